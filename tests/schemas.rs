//! The committed JSON Schemas are those that the program generates.

use modelship::domain::schema;

#[test]
fn committed_schemas_are_the_generated_ones() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, generated) in schema::all() {
        let committed = fs_err::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == schema::file_text(&generated),
            "schemas/{name} is not what the program generates; run `modelship validate --schemas schemas` and commit it"
        );
    }
}

#[test]
fn every_key_of_a_schema_has_a_description_and_unknown_keys_are_forbidden() {
    fn check(schema: &serde_json::Value, path: &str) {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            for (key, property) in properties {
                let described = property.get("description").is_some()
                    || property.get("allOf").is_some_and(|all| all[0].get("$ref").is_some())
                    || property.get("$ref").is_some();
                let generator = path.ends_with("Generator") || path.ends_with("Design");
                assert!(described || generator, "`{path}.{key}` has no description");
            }
        }
        for (name, definition) in schema.get("definitions").and_then(serde_json::Value::as_object).into_iter().flatten() {
            check(definition, name);
        }
    }
    for (name, schema) in schema::all() {
        check(&schema, name);
    }
}
