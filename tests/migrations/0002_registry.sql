UPDATE counters SET value = 1 WHERE name IN ('version', 'channel_move');
INSERT INTO models (name, repository_id, repository_name, created_at)
VALUES ('urban/simple-tax', 7, 'urban/hub', 1700000000000);
INSERT INTO versions (id, position, model, commit_sha, executable, manifest, builder, tree, body, registered_at)
VALUES ('0123456789abcdef', 1, 'urban/simple-tax', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'sha256:1111111111111111111111111111111111111111111111111111111111111111',
    'sha256:2222222222222222222222222222222222222222222222222222222222222222', 'process', 'committed',
    '{"id":"0123456789abcdef","model":"urban/simple-tax","source":{"repository":{"id":7,"name":"urban/hub"},"commit":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","manifest":"config/urban/simple-tax.yaml"},"tree":"committed","source_tree":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","executable":"sha256:1111111111111111111111111111111111111111111111111111111111111111","builder":"process","manifest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","manifest_text":"owner: urban","inputs":{},"toolchain":["gfortran 12.2.0"],"tests":[{"name":"base case","duration_ms":12}],"build_ms":345,"registered_at":1700000000000}',
    1700000000000);
INSERT INTO channels (model, channel, version, moved_at)
VALUES ('urban/simple-tax', 'production', '0123456789abcdef', 1700000000000);
INSERT INTO channel_moves (id, model, channel, version, previous, reason, moved_at, token)
VALUES (1, 'urban/simple-tax', 'production', '0123456789abcdef', NULL, 'push to main', 1700000000000, NULL);
