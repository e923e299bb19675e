UPDATE counters SET value = 4 WHERE name = 'task';
INSERT INTO deliveries (id, event, body_digest, received_at)
VALUES ('72d3162e-cc78-11e3-81ab-4c9367dc0958', 'push', 'sha256:00', 1700000000000);
INSERT INTO tasks (id, kind, status, name, key, subject, lane, payload, not_before, coalesce_key, attempts, lease_owner,
    lease_until, cancelled, created_at, last_error)
VALUES
    (2, 'event', 'leased', 'CancelRequested', 'sweep/tax-0123456789', '', '',
     '{"key":{"sweep":"tax-0123456789"},"event":{"event":"CancelRequested","by":"ada"}}',
     1700000000000, NULL, 1, 'old', 1700000030000, 0, 1700000000000, NULL),
    (3, 'effect', 'pending', 'Reconcile', 'instance', '', 'quick', '{"effect":"Reconcile"}',
     1700000000000, 'reconcile', 0, NULL, NULL, 0, 1700000000000, NULL),
    (4, 'effect', 'failed', 'Reconcile', 'instance', '', 'quick', '{"effect":"Reconcile"}',
     1700000000000, NULL, 5, NULL, NULL, 0, 1700000000000, 'the forge is away');
INSERT INTO states (key, kind, body, updated_at)
VALUES ('sweep/tax-0123456789', 'sweep', '{"phase":"running"}', 1700000000000);
INSERT INTO event_log (id, key, name, payload, created_at, decided_at, outcome)
VALUES (1, 'sweep/tax-0123456789', 'SweepStarted', '{}', 1700000000000, 1700000000001, '');
