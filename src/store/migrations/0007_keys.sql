-- Keys that this instance made for itself, once. Every server of it signs with the same ones.

CREATE TABLE keys (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
