-- The model registry. Versions never change; channels move, and every move is kept.

INSERT INTO counters (name, value) VALUES ('version', 0), ('channel_move', 0);

CREATE TABLE models (
    name TEXT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL,
    repository_name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- `position` is the order of registration; `body` is the whole version as JSON.
CREATE TABLE versions (
    id TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL UNIQUE,
    model TEXT NOT NULL REFERENCES models (name),
    commit_sha TEXT NOT NULL,
    executable TEXT NOT NULL,
    manifest TEXT NOT NULL,
    builder TEXT NOT NULL,
    tree TEXT NOT NULL CHECK (tree IN ('committed', 'dirty')),
    body TEXT NOT NULL,
    registered_at BIGINT NOT NULL,
    UNIQUE (model, commit_sha, executable, manifest)
);
CREATE INDEX versions_by_model ON versions (model, position);
CREATE INDEX versions_by_content ON versions (model, executable, manifest);

CREATE TABLE channels (
    model TEXT NOT NULL REFERENCES models (name),
    channel TEXT NOT NULL,
    version TEXT NOT NULL REFERENCES versions (id),
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (model, channel)
);

-- A token makes a move happen once, however often it is asked for.
CREATE TABLE channel_moves (
    id BIGINT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL REFERENCES models (name),
    channel TEXT NOT NULL,
    version TEXT NOT NULL REFERENCES versions (id),
    previous TEXT,
    reason TEXT NOT NULL,
    moved_at BIGINT NOT NULL,
    token TEXT UNIQUE
);
CREATE INDEX channel_moves_by_channel ON channel_moves (model, channel, id);
