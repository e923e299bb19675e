-- What tells one happening from another, whoever told of it and under whatever id: two hooks may tell of one push.
-- Null where a delivery does not say enough to be sure.

ALTER TABLE deliveries ADD COLUMN meaning TEXT;
CREATE UNIQUE INDEX deliveries_by_meaning ON deliveries (meaning);

-- How often something ended, for whoever watches. Rows come and go; these numbers only grow.
CREATE TABLE totals (
    what TEXT NOT NULL,
    name TEXT NOT NULL,
    result TEXT NOT NULL,
    times BIGINT NOT NULL,
    PRIMARY KEY (what, name, result)
);
