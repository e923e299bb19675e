//! How parameters reach a model: as a file, as arguments or as environment variables.

use crate::domain::manifest::{ParamsFormat, is_guarded};
use crate::domain::parameters::Value;

/// One run's parameters in the form that its manifest asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// A file with this name and text.
    File { name: &'static str, text: String },
    /// Arguments after the command's own.
    Arguments(Vec<String>),
    /// Environment variables.
    Environment(Vec<(String, String)>),
}

/// Puts `parameters` into `format`.
///
/// # Errors
/// When a name or a text cannot be carried in that format; the sentence names both.
pub(super) fn deliver(format: ParamsFormat, parameters: &[(String, Value)]) -> Result<Delivery, String> {
    match format {
        ParamsFormat::Csv => csv(parameters).map(|text| Delivery::File { name: "params.csv", text }),
        ParamsFormat::Json => Ok(Delivery::File { name: "params.json", text: json(parameters) }),
        ParamsFormat::Yaml => Ok(Delivery::File { name: "params.yaml", text: lines(parameters, ": ") }),
        ParamsFormat::Toml => Ok(Delivery::File { name: "params.toml", text: lines(parameters, " = ") }),
        ParamsFormat::Args => arguments(parameters).map(Delivery::Arguments),
        ParamsFormat::Env => environment(parameters).map(Delivery::Environment),
    }
}

fn csv(parameters: &[(String, Value)]) -> Result<String, String> {
    let mut text = String::new();
    for (name, value) in parameters {
        csv_field(name, name)?;
        text.push_str(name);
        for value in flat(name, value, "csv")? {
            let field = scalar(value);
            csv_field(name, &field)?;
            text.push(',');
            text.push_str(&field);
        }
        text.push('\n');
    }
    Ok(text)
}

/// The csv format has no quotes, so that the simplest reader in any language can read it.
fn csv_field(name: &str, field: &str) -> Result<(), String> {
    if field.contains([',', '\n', '\r', '"', '\0']) {
        return Err(format!(
            "parameter `{name}` holds `{}`, and a csv parameter file cannot hold commas, quotes or line ends; \
             use `params: {{format: json}}`",
            field.escape_debug()
        ));
    }
    Ok(())
}

fn json(parameters: &[(String, Value)]) -> String {
    let entries: Vec<_> =
        parameters.iter().map(|(name, value)| format!("  {}: {}", quoted(name), literal(value))).collect();
    if entries.is_empty() { "{}\n".to_owned() } else { format!("{{\n{}\n}}\n", entries.join(",\n")) }
}

/// YAML and TOML, with every name and text in double quotes: the same literals serve JSON, YAML 1.1, YAML 1.2 and TOML.
fn lines(parameters: &[(String, Value)], sign: &str) -> String {
    if parameters.is_empty() && sign == ": " {
        return "{}\n".to_owned();
    }
    parameters.iter().map(|(name, value)| format!("{}{sign}{}\n", quoted(name), literal(value))).collect()
}

fn arguments(parameters: &[(String, Value)]) -> Result<Vec<String>, String> {
    parameters.iter().map(|(name, value)| Ok(format!("--{name}={}", joined(name, value)?))).collect()
}

fn environment(parameters: &[(String, Value)]) -> Result<Vec<(String, String)>, String> {
    parameters
        .iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) || is_guarded(name) {
                return Err(format!(
                    "parameter `{name}` cannot be passed as an environment variable of that name; \
                     use `params: {{format: json}}`"
                ));
            }
            Ok((name.clone(), joined(name, value)?))
        })
        .collect()
}

/// A value as one text: a list's values joined by commas.
fn joined(name: &str, value: &Value) -> Result<String, String> {
    let values = flat(name, value, "args or env")?;
    let several = values.len() > 1;
    let fields: Vec<_> = values.into_iter().map(scalar).collect();
    match fields.iter().find(|field| field.contains('\0') || (several && field.contains(','))) {
        Some(field) => Err(format!(
            "parameter `{name}` holds `{}`, which cannot be passed among other values joined by commas; \
             use `params: {{format: json}}`",
            field.escape_debug()
        )),
        None => Ok(fields.join(",")),
    }
}

fn flat<'a>(name: &str, value: &'a Value, format: &str) -> Result<Vec<&'a Value>, String> {
    match value {
        Value::List(values) if values.iter().any(|value| matches!(value, Value::List(_))) => Err(format!(
            "parameter `{name}` holds a list within a list, which the {format} format cannot carry; \
             use `params: {{format: json}}`"
        )),
        Value::List(values) => Ok(values.iter().collect()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => Ok(vec![value]),
    }
}

/// A value without quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => literal(value),
    }
}

/// A value as JSON, YAML and TOML all write it.
fn literal(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Text(text) => quoted(text),
        Value::List(values) => format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
    }
}

/// The shortest text that reads back as the same number. It always has a point, and a sign in its exponent, because a
/// YAML 1.1 reader takes `1e300` for a text.
fn float(value: f64) -> String {
    let text = serde_json::to_string(&value).expect("a number always serialises");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
    format!("{digits}{point}e{sign}{exponent}")
}

/// A text in double quotes with escapes that JSON, YAML and TOML share.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text always serialises");
    if !json.contains(['\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']) {
        return json;
    }
    json.chars()
        .map(|c| match c {
            '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
            _ => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Value)> {
        vec![
            ("RATE".to_owned(), Value::Float(0.1)),
            ("STANDARD".to_owned(), Value::Float(1500.0)),
            ("HUGE".to_owned(), Value::Float(1e300)),
            ("TINY".to_owned(), Value::Float(-1.5e-7)),
            ("UNITS".to_owned(), Value::Int(-3)),
            ("NO".to_owned(), Value::Bool(true)),
            ("CASE".to_owned(), Value::Text("yes".to_owned())),
            ("YEARS".to_owned(), Value::List(vec![Value::Int(2024), Value::Float(2.5)])),
        ]
    }

    fn text(format: ParamsFormat, parameters: &[(String, Value)]) -> String {
        match deliver(format, parameters).unwrap() {
            Delivery::File { text, .. } => text,
            other => panic!("not a file: {other:?}"),
        }
    }

    #[test]
    fn csv_has_one_line_for_each_parameter() {
        insta::assert_snapshot!(text(ParamsFormat::Csv, &sample()), @r"
        RATE,0.1
        STANDARD,1500.0
        HUGE,1.0e+300
        TINY,-1.5e-7
        UNITS,-3
        NO,true
        CASE,yes
        YEARS,2024,2.5
        ");
    }

    #[test]
    fn csv_refuses_text_that_it_cannot_hold() {
        let refused = deliver(ParamsFormat::Csv, &[("NAME".to_owned(), Value::Text("a,b\nc".to_owned()))]);
        insta::assert_snapshot!(
            refused.unwrap_err(),
            @"parameter `NAME` holds `a,b\\nc`, and a csv parameter file cannot hold commas, quotes or line ends; use `params: {format: json}`"
        );
    }

    #[test]
    fn json_yaml_and_toml_read_back_as_written() {
        let mut parameters = sample();
        let awkward = "a \"b\" \\ \n\t\u{7f}\u{85}\u{2028}\u{1}: # '{x}' ä";
        parameters.push(("TEXT".to_owned(), Value::Text(awkward.to_owned())));
        parameters
            .push(("WORDS".to_owned(), Value::List(vec![Value::Text("1e5".to_owned()), Value::Text(String::new())])));
        let expect: serde_json::Value = serde_json::from_str(&text(ParamsFormat::Json, &parameters)).unwrap();
        assert_eq!(expect["TEXT"], awkward);
        assert_eq!(expect["HUGE"], 1e300);
        assert!(expect["STANDARD"].is_f64() && expect["UNITS"].is_i64());
        let yaml: serde_json::Value = serde_yaml::from_str(&text(ParamsFormat::Yaml, &parameters)).unwrap();
        assert_eq!(yaml, expect);
        let toml: serde_json::Value = toml::from_str(&text(ParamsFormat::Toml, &parameters)).unwrap();
        assert_eq!(toml, expect);
    }

    #[test]
    fn arguments_and_variables_carry_one_text_for_each_parameter() {
        let parameters = &sample()[..1];
        assert_eq!(deliver(ParamsFormat::Args, parameters), Ok(Delivery::Arguments(vec!["--RATE=0.1".to_owned()])));
        assert_eq!(
            deliver(ParamsFormat::Env, &sample()[7..]),
            Ok(Delivery::Environment(vec![("YEARS".to_owned(), "2024,2.5".to_owned())]))
        );
    }

    #[test]
    fn a_parameter_cannot_take_over_the_environment() {
        for name in ["PATH", "LD_PRELOAD", "MODELSHIP_JOB", "A=B", "", "AWS_ACCESS_KEY_ID", "PYTHONPATH", "https_proxy"]
        {
            let refused = deliver(ParamsFormat::Env, &[(name.to_owned(), Value::Int(1))]);
            assert!(refused.unwrap_err().contains("cannot be passed as an environment variable"), "{name}");
        }
        for name in ["RATE", "TERM", "TEMP", "USER", "LANGUAGE", "OMP_NUM_THREADS", "LC_TIME", "GIT_LAG", "path"] {
            assert!(deliver(ParamsFormat::Env, &[(name.to_owned(), Value::Int(1))]).is_ok(), "{name}");
        }
    }
}
