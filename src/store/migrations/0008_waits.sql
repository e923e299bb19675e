-- How many of a task's attempts do not count, as whoever was asked was away.

ALTER TABLE tasks ADD COLUMN waits BIGINT NOT NULL DEFAULT 0;
