-- A delivery is kept with one statement. Its events wait with it, in the order in which deliveries came in, until somebody
-- claims an event and puts them into the queue first; then they are null.

ALTER TABLE deliveries ADD COLUMN arrival BIGINT;
ALTER TABLE deliveries ADD COLUMN events TEXT;
CREATE INDEX deliveries_in_line ON deliveries (arrival) WHERE events IS NOT NULL;
