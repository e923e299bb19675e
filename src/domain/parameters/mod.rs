//! Parameters: their declared types and their values.
//!
//! A value has one form whatever file it came from and however it was spelled there: `given` reads it by the declared
//! type, and its canonical JSON is the text that hashes are taken over.

mod base_csv;
mod given;

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub(crate) use base_csv::{BaseParameter, read_base};
pub(crate) use given::{Given, inferred};

/// A parameter's value. Floats are finite; a value of a `float` parameter is always `Float`, also when it is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text.
    Text(String),
    /// Several values under one name, for instance one for each year.
    List(Vec<Self>),
}

impl fmt::Display for Value {
    /// The value as parameter files and tables show it: numbers in their shortest exact form, lists joined by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => f.write_str(&float_text(*value)),
            Self::Text(value) => value.fmt(f),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    value.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl Value {
    /// The value as a number, when it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "bounds and statistics beyond 2^53 may round")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Appends the value's canonical JSON: shortest form, a float always with a point or an exponent, zero without sign.
    pub(crate) fn write_json(&self, json: &mut String) {
        match self {
            Self::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => write_int(json, *value),
            // Adding zero takes the sign off a negative zero.
            Self::Float(value) => write!(json, "{:?}", value + 0.0).expect("a String takes any text"),
            Self::Text(value) => write_json_text(json, value),
            Self::List(values) => {
                json.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    value.write_json(json);
                }
                json.push(']');
            }
        }
    }
}

fn write_int(json: &mut String, value: i64) {
    write!(json, "{value}").expect("a String takes any text");
}

/// Appends `text` as a JSON string.
pub(crate) fn write_json_text(json: &mut String, text: &str) {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// A finite float in its shortest exact form, without a needless `.0`: `1500`, `0.1`, `1e300`.
pub(crate) fn float_text(value: f64) -> String {
    let text = format!("{:?}", value + 0.0);
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A parameter's declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A finite number.
    Float,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
    /// Text.
    String,
    /// Several values under one name.
    List,
}

/// A parameter as the manifest declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ParameterType,
    /// Its value where nothing else is said; none means that every sweep must say it.
    pub default: Option<Value>,
    /// Smallest allowed value.
    pub min: Option<f64>,
    /// Largest allowed value.
    pub max: Option<f64>,
    /// The only allowed values, when not empty.
    pub choices: Vec<Value>,
    /// Its unit; empty when there is none.
    pub unit: String,
    /// What it means.
    pub description: String,
}

impl Parameter {
    /// A parameter of which nothing is said but its name and its type.
    #[must_use]
    pub fn new(name: &str, kind: ParameterType) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            default: None,
            min: None,
            max: None,
            choices: Vec::new(),
            unit: String::new(),
            description: String::new(),
        }
    }
}

impl ParameterType {
    /// The type as manifests spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::String => "string",
            Self::List => "list",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &Value) -> String {
        let mut json = String::new();
        value.write_json(&mut json);
        json
    }

    #[test]
    fn numbers_are_shown_in_their_shortest_exact_form() {
        let shown: Vec<String> =
            [1500.0, 0.1, -0.0, 1e300, 1e-7, 0.1 + 0.2].iter().map(|value| Value::Float(*value).to_string()).collect();
        assert_eq!(shown, ["1500", "0.1", "0", "1e300", "1e-7", "0.30000000000000004"]);
        assert_eq!(Value::List(vec![Value::Int(1), Value::Float(2.5), Value::Bool(true)]).to_string(), "1,2.5,true");
    }

    #[test]
    fn canonical_json_tells_types_apart_and_spellings_not() {
        assert_eq!(json(&Value::Float(1500.0)), "1500.0");
        assert_eq!(json(&Value::Int(1500)), "1500");
        assert_eq!(json(&Value::Float(-0.0)), json(&Value::Float(0.0)));
        assert_eq!(json(&Value::Text("a\"b\u{1}é".into())), r#""a\"b\u0001é""#);
        assert_eq!(json(&Value::List(vec![Value::Text("x".into()), Value::List(vec![])])), r#"["x",[]]"#);
    }

    #[test]
    fn canonical_json_is_json_and_reads_back() {
        for value in [Value::Float(1e300), Value::Float(1e16), Value::Int(i64::MIN), Value::Text("\u{7f}\\".into())] {
            assert_eq!(serde_json::from_str::<Value>(&json(&value)).unwrap(), value);
        }
    }
}
