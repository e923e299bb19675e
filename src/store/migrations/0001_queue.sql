-- Deliveries, the durable queue, the states that decisions are made on, and the log of decided events.
-- Portable subset: TEXT, BIGINT, DOUBLE PRECISION. Times are milliseconds since the epoch, flags are 0 and 1.

-- Ids are counted here, not by the database: in the order of commits, never used twice, the same everywhere.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('task', 0);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    received_at BIGINT NOT NULL
);

-- A row leaves the table when it is done, so the table stays as small as the work that is left.
CREATE TABLE tasks (
    id BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('event', 'effect')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'leased', 'failed')),
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    subject TEXT NOT NULL,
    lane TEXT NOT NULL,
    payload TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    coalesce_key TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until BIGINT,
    cancelled BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX tasks_in_order ON tasks (kind, lane, id);
CREATE INDEX tasks_by_key ON tasks (key, kind, id);
CREATE INDEX tasks_by_due ON tasks (status, not_before);
CREATE INDEX tasks_by_coalesce_key ON tasks (coalesce_key, id) WHERE coalesce_key IS NOT NULL;

CREATE TABLE states (
    key TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX states_by_kind ON states (kind, key);

-- One row for each decided event, with the id that it had as a task.
CREATE TABLE event_log (
    id BIGINT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX event_log_by_key ON event_log (key, id);
