INSERT INTO keys (name, value, created_at) VALUES ('session', 'c2VjcmV0', 1700000000000);
