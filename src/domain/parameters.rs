//! Parameters: their declared types and their values.

use std::fmt;

use serde::{Deserialize, Serialize};

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
            Self::Float(value) => value.fmt(f),
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
