INSERT INTO deliveries (id, event, body_digest, received_at, meaning)
VALUES ('82d3162e-cc78-11e3-81ab-4c9367dc0958', 'push', 'sha256:00', 1700000000000, 'sha256:01');
INSERT INTO totals (what, name, result, times) VALUES ('effect', 'BuildModel', 'done', 3);
