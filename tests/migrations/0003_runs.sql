INSERT INTO jobs (place, sweep, round, model, token, byte_offset, succeeded, succeeded_ms, failed, ended, created_at)
VALUES ('sweeps/tax-0123456789/jobs/0/1', 'tax-0123456789', 1, 'urban/simple-tax', 'pid 1', 200, 1, 120, 1, 1,
    1700000000000);
INSERT INTO round_counts (sweep, round, class, runs, wall_ms)
VALUES ('tax-0123456789', 1, 'succeeded', 1, 120), ('tax-0123456789', 1, 'timeout', 1, 1000);
INSERT INTO runs (run_id, sweep, round, outcome, class, place, byte_offset, byte_length, wall_ms, indexed_at)
VALUES
    ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'tax-0123456789', 1, 'succeeded', NULL,
     'sweeps/tax-0123456789/jobs/0/1', 0, 100, 120, 1700000000000),
    ('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'tax-0123456789', 1, 'failed', 'timeout',
     'sweeps/tax-0123456789/jobs/0/1', 100, 100, 1000, 1700000000000);
