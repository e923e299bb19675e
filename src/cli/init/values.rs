//! Parameters as they were found: in a file, or in the options that a script declares.

use serde_json::Value;

use super::folder::{Folder, ending, stem};

/// A parameter of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: String,
    /// Its default; none when nothing says one.
    pub(super) default: Option<Value>,
    /// What the model's own text calls its type, as the manifest spells it; none to take the default's.
    pub(super) kind: Option<&'static str>,
    /// The only values that it may have.
    pub(super) choices: Vec<Value>,
    /// What it means.
    pub(super) description: String,
}

impl Parameter {
    /// A parameter of which only the default is known.
    pub(super) fn with_default(name: &str, default: Value) -> Self {
        Self {
            name: name.to_owned(),
            default: Some(default),
            kind: None,
            choices: Vec::new(),
            description: String::new(),
        }
    }

    /// The type as a manifest spells it.
    pub(super) fn type_name(&self) -> &'static str {
        self.kind.unwrap_or(match &self.default {
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(number)) if number.is_i64() => "int",
            Some(Value::Number(_)) => "float",
            Some(Value::Array(_)) => "list",
            Some(_) | None => "string",
        })
    }
}

/// Whether a manifest can call a parameter so.
pub(super) fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    letters && (1..=100).contains(&name.len()) && !name.as_bytes()[0].is_ascii_digit()
}

/// A file of parameters.
#[derive(Debug, PartialEq)]
pub(super) struct ParameterFile {
    /// Its path.
    pub(super) file: String,
    /// `csv`, `json`, `yaml` or `toml`.
    pub(super) format: &'static str,
    /// What it holds.
    pub(super) parameters: Vec<Parameter>,
    /// What it holds that is no parameter: nested values, names that cannot be.
    pub(super) left_out: Vec<String>,
}

/// The first file that looks like the model's parameters.
pub(super) fn parameter_file(folder: &Folder) -> Option<ParameterFile> {
    folder
        .files()
        .filter(|file| file.matches('/').count() <= 1 && is_called_so(file))
        .find_map(|file| read(file, &folder.text(file)?))
}

/// Whether a file's name says that it holds parameters.
fn is_called_so(file: &str) -> bool {
    let name = stem(file).to_ascii_lowercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let known =
        ["param", "params", "parameter", "parameters", "config", "settings", "base", "defaults", "input", "inputs"];
    matches!(ending(file), "csv" | "json" | "yaml" | "yml" | "toml") && words.iter().any(|word| known.contains(word))
}

/// Reads a file of parameters; none when it is something else.
fn read(file: &str, text: &str) -> Option<ParameterFile> {
    let (format, entries): (&'static str, Vec<(String, Value)>) = match ending(file) {
        "csv" => ("csv", rows(text)?),
        "json" => ("json", entries(serde_json::from_str(text).ok()?)?),
        "toml" => ("toml", entries(toml::from_str(text).ok()?)?),
        _ => ("yaml", entries(serde_yaml::from_str(text).ok()?)?),
    };
    let mut found = ParameterFile { file: file.to_owned(), format, parameters: Vec::new(), left_out: Vec::new() };
    for (name, value) in entries {
        let flat = match &value {
            Value::Null | Value::Object(_) => false,
            Value::Array(all) => all.iter().all(|one| one.is_number()) && !all.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        };
        if flat && is_name(&name) {
            found.parameters.push(Parameter::with_default(&name, value));
        } else {
            found.left_out.push(name);
        }
    }
    (!found.parameters.is_empty()).then_some(found)
}

fn entries(value: Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(entries) => Some(entries.into_iter().collect()),
        _ => None,
    }
}

/// Rows `NAME,v1[,v2...]`, perhaps below a header.
fn rows(text: &str) -> Option<Vec<(String, Value)>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.ok()?;
        let mut cells = row.iter();
        let name = cells.next()?;
        let values: Vec<Value> = cells.filter(|cell| !cell.is_empty()).map(literal).collect();
        let is_header = rows.is_empty() && values.first() == Some(&Value::String("value".to_owned()));
        if is_header || name.starts_with('#') || name.is_empty() {
            continue;
        }
        match values.len() {
            _ if !is_name(name) => return None,
            0 => return None,
            1 => rows.push((name.to_owned(), values.into_iter().next()?)),
            _ => rows.push((name.to_owned(), Value::Array(values))),
        }
    }
    // A table of data begins with several names; parameters have values.
    let tables = rows.iter().filter(|(_, value)| value.is_string()).count();
    (tables * 2 <= rows.len()).then_some(rows)
}

/// A value as somebody wrote it: a number, true or false, a list of those, or text.
pub(super) fn literal(text: &str) -> Value {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = inner.or_else(|| text.strip_prefix("c(").and_then(|rest| rest.strip_suffix(')'))) {
        let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
        return Value::Array(parts.map(literal).collect());
    }
    let unquoted = |mark: char| text.len() >= 2 && text.starts_with(mark) && text.ends_with(mark);
    if unquoted('"') || unquoted('\'') {
        return Value::String(text[1..text.len() - 1].to_owned());
    }
    match text {
        "True" | "TRUE" | "true" => return Value::Bool(true),
        "False" | "FALSE" | "false" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.replace('_', "");
    let digits = digits.strip_suffix('L').unwrap_or(&digits);
    if let Ok(number) = digits.parse::<i64>() {
        return Value::from(number);
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() && digits.bytes().any(|byte| byte.is_ascii_digit()) => Value::from(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, text: &str) -> Option<String> {
        let found = read(file, text)?;
        let all =
            found.parameters.iter().map(|p| format!("{} {} {}", p.name, p.type_name(), p.default.clone().unwrap()));
        Some(format!("{}: {}; without {:?}", found.format, all.collect::<Vec<_>>().join(", "), found.left_out))
    }

    #[test]
    fn flat_files_of_every_kind_give_parameters() {
        let table = "name,value\nRATE,0.1\nSTEPS,10\n# a comment,1\nAGES,1,2,3\n";
        assert_eq!(
            shown("params.csv", table).unwrap(),
            "csv: RATE float 0.1, STEPS int 10, AGES list [1,2,3]; without []"
        );
        assert_eq!(
            shown("a.json", r#"{"RATE": 0.1, "ON": true, "deep": {"x": 1}, "two words": 1}"#).unwrap(),
            r#"json: RATE float 0.1, ON bool true; without ["deep", "two words"]"#
        );
        assert_eq!(
            shown("a.yaml", "rate: 1\nname: base\n").unwrap(),
            r#"yaml: rate int 1, name string "base"; without []"#
        );
        assert_eq!(
            shown("a.toml", "rate = 1.5\n[deep]\nx = 1\n").unwrap(),
            r#"toml: rate float 1.5; without ["deep"]"#
        );
    }

    #[test]
    fn a_table_of_data_is_no_file_of_parameters() {
        assert_eq!(shown("input.csv", "id,wage,weight\n1,20000,3.5\n2,30000,1\n"), None);
        assert_eq!(shown("input.csv", "name,city\nann,paris\nbob,rome\n"), None);
        assert_eq!(shown("config.json", "[1, 2]"), None);
        assert!(is_called_so("base_parameters.csv") && !is_called_so("package.json") && !is_called_so("units.csv"));
    }
}
