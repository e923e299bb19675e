//! JSON Schemas of the files that a user writes, for editors and for people.
//!
//! They come from the very declarations that the readers use, so a schema cannot know a key that its reader does not.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::manifest::RawManifest;
use super::notice::Body;
use super::policy::RawPolicy;
use super::sweep::spec::RawSweep;

/// The schema of a manifest.
#[must_use]
pub fn manifest_schema() -> Value {
    schema::<RawManifest>("modelship manifest")
}

/// The schema of a sweep file.
#[must_use]
pub fn sweep_schema() -> Value {
    schema::<RawSweep>("modelship sweep")
}

/// The schema of `config/policy.yaml`.
#[must_use]
pub fn policy_schema() -> Value {
    schema::<RawPolicy>("modelship policy")
}

/// The schema of what other programs are told.
#[must_use]
pub fn webhook_schema() -> Value {
    schema::<Body>("modelship webhook")
}

/// Every schema with the name of its file, for instance `manifest.schema.json`.
#[must_use]
pub fn all() -> [(&'static str, Value); 4] {
    [
        ("manifest.schema.json", manifest_schema()),
        ("sweep.schema.json", sweep_schema()),
        ("policy.schema.json", policy_schema()),
        ("webhook.schema.json", webhook_schema()),
    ]
}

/// A schema as its file holds it: indented, with a line end.
#[must_use]
pub fn file_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    // Draft 7 is what editors' YAML extensions understand best.
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    rename(&mut schema);
    schema
}

/// Takes the `Raw` off the names of definitions: it says something about our code and nothing about the files.
fn rename(schema: &mut Value) {
    let plain = |name: &str| name.strip_prefix("Raw").unwrap_or(name).to_owned();
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(definitions)) = object.get_mut("definitions") {
                *definitions =
                    std::mem::take(definitions).into_iter().map(|(name, value)| (plain(&name), value)).collect();
            }
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                *reference = reference.replace("#/definitions/Raw", "#/definitions/");
            }
            object.values_mut().for_each(rename);
        }
        Value::Array(values) => values.iter_mut().for_each(rename),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
