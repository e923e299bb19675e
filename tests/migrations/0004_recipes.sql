UPDATE counters SET value = 2 WHERE name = 'version';
INSERT INTO versions (id, position, model, commit_sha, executable, recipe, manifest, builder, tree, body, registered_at)
VALUES ('fedcba9876543210', 2, 'urban/simple-tax', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'sha256:4444444444444444444444444444444444444444444444444444444444444444',
    'sha256:3333333333333333333333333333333333333333333333333333333333333333',
    'sha256:2222222222222222222222222222222222222222222222222222222222222222', 'docker', 'committed',
    '{"id":"fedcba9876543210","model":"urban/simple-tax","source":{"repository":{"id":7,"name":"urban/hub"},"commit":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","manifest":"config/urban/simple-tax.yaml"},"tree":"committed","source_tree":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","executable":"sha256:4444444444444444444444444444444444444444444444444444444444444444","recipe":"sha256:3333333333333333333333333333333333333333333333333333333333333333","builder":"docker","manifest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","manifest_text":"owner: urban","inputs":{},"toolchain":["gfortran 12.2.0"],"tests":[{"name":"base case","duration_ms":12}],"build_ms":345,"registered_at":1700000000000}',
    1700000000000);
