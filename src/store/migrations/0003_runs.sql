-- Jobs at an executor, how far their records have been read, and where the record of each run lies.

CREATE TABLE jobs (
    place TEXT NOT NULL PRIMARY KEY,
    sweep TEXT NOT NULL,
    round BIGINT NOT NULL,
    model TEXT NOT NULL,
    token TEXT NOT NULL,
    byte_offset BIGINT NOT NULL DEFAULT 0,
    succeeded BIGINT NOT NULL DEFAULT 0,
    succeeded_ms BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    ended BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX jobs_by_round ON jobs (sweep, round);
CREATE INDEX jobs_by_model ON jobs (model, created_at);

-- One row for each way in which runs of a round ended: `succeeded` or a failure class.
CREATE TABLE round_counts (
    sweep TEXT NOT NULL,
    round BIGINT NOT NULL,
    class TEXT NOT NULL,
    runs BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    PRIMARY KEY (sweep, round, class)
);

-- The best known result of each run, whoever asked for it. `class` is null for a success.
CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    sweep TEXT NOT NULL,
    round BIGINT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed')),
    class TEXT,
    place TEXT NOT NULL REFERENCES jobs (place),
    byte_offset BIGINT NOT NULL,
    byte_length BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    indexed_at BIGINT NOT NULL
);
CREATE INDEX runs_by_sweep ON runs (sweep, outcome, run_id);
