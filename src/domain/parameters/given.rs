//! Values as files give them, read by the type that the manifest declares.
//!
//! The declared type decides and nothing is converted behind the user's back: `no` is text for a `string` and a fault
//! for a `bool`, `1e3` is 1000 for an `int`, `2.5` is a fault there.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Parameter, ParameterType, Value, float_text};
use crate::domain::yaml::{Exact, Kind, Node, Place, Read, Reader, Scalar, Style, exact, shown};

/// A value as a file gives it: not read before its declared type is known.
#[derive(Debug, Clone)]
pub(crate) struct Given(pub(crate) Node);

/// Why a value does not fit its parameter, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
}

impl Misfit {
    fn new(message: String) -> Self {
        Self { message, hint: None }
    }

    /// Notes the misfit at `place`.
    pub(crate) fn at(self, place: Place, reader: &mut Reader) {
        reader.fault(place, self.message, self.hint);
    }
}

impl Read for Given {
    const EXPECTED: &'static str = "a value";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.kind, Kind::Mapping(_)) || node.is_null() {
            Self::mismatch(node, reader);
            return None;
        }
        Some(Self(node.clone()))
    }
}

impl JsonSchema for Given {
    fn schema_name() -> Cow<'static, str> {
        "ParameterValue".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A value; the parameter's declared type decides how it is read.",
            "type": ["number", "string", "boolean", "array"],
            "items": { "type": ["number", "string", "boolean"] }
        })
    }
}

impl Parameter {
    /// Reads the value that a file gives for this parameter, bounds and choices checked.
    pub(crate) fn read(&self, node: &Node, reader: &mut Reader) -> Option<Value> {
        match self.value_of(node).and_then(|value| self.check(&value).map(|()| value)) {
            Ok(value) => Some(value),
            Err(misfit) => {
                misfit.at(node.place, reader);
                None
            }
        }
    }

    /// Reads a table's cell for this parameter, bounds and choices checked.
    pub(crate) fn read_cell(&self, cell: &str) -> Result<Value, Misfit> {
        let value = self.cell_value(cell.trim())?;
        self.check(&value)?;
        Ok(value)
    }

    fn cell_value(&self, cell: &str) -> Result<Value, Misfit> {
        let misfit = || Misfit::new(format!("`{}` is no value for `{}`, which is of type {}", shown(cell), self.name, self.kind.as_str()));
        match self.kind {
            ParameterType::Float | ParameterType::Int => {
                let number = exact(cell).map_err(|(message, hint)| Misfit { message, hint })?;
                self.number(&number)
            }
            ParameterType::Bool => fortran_bool(cell).map(Value::Bool).ok_or_else(misfit),
            ParameterType::String => Ok(Value::Text(cell.to_owned())),
            ParameterType::List => Err(misfit()),
        }
    }

    /// The value of a number for this parameter.
    pub(crate) fn number(&self, number: &Exact) -> Result<Value, Misfit> {
        match self.kind {
            ParameterType::Float => Ok(Value::Float(number.float())),
            ParameterType::Int => number.int().map(Value::Int).ok_or_else(|| {
                Misfit::new(format!("`{}` is a whole number; {} is none", self.name, number.plain()))
            }),
            ParameterType::Bool | ParameterType::String | ParameterType::List => Err(Misfit::new(format!(
                "`{}` is of type {}, not a number",
                self.name,
                self.kind.as_str()
            ))),
        }
    }

    fn value_of(&self, node: &Node) -> Result<Value, Misfit> {
        match (&node.kind, self.kind) {
            (Kind::Sequence(items), ParameterType::List) => self.list_of(items),
            (Kind::Scalar(_), ParameterType::List) => Err(Misfit {
                message: format!("`{}` is of type list, found {}", self.name, node.what()),
                hint: Some("write a list: `[...]`".to_owned()),
            }),
            (Kind::Scalar(scalar), _) if !node.is_null() => self.scalar_value(scalar),
            (Kind::Sequence(_) | Kind::Mapping(_) | Kind::Scalar(_), _) => {
                let message = format!("`{}` is of type {}, found {}", self.name, self.kind.as_str(), node.what());
                Err(Misfit::new(message))
            }
        }
    }

    fn scalar_value(&self, scalar: &Scalar) -> Result<Value, Misfit> {
        let text = scalar.text.as_str();
        match self.kind {
            ParameterType::Float | ParameterType::Int => {
                if scalar.style != Style::Plain {
                    let message = format!("`{}` is of type {}, found the text \"{}\"", self.name, self.kind.as_str(), shown(text));
                    let hint = exact(text).is_ok().then(|| "remove the quotes".to_owned());
                    return Err(Misfit { message, hint });
                }
                let number = exact(text).map_err(|(message, hint)| Misfit { message, hint })?;
                self.number(&number)
            }
            ParameterType::Bool => yaml_bool(scalar).map(Value::Bool).ok_or_else(|| Misfit {
                message: format!("`{}` is of type bool, found `{}`", self.name, shown(text)),
                hint: Some("write `true` or `false`".to_owned()),
            }),
            ParameterType::String if text.contains('\0') => {
                Err(Misfit::new(format!("`{}` may not hold the character NUL", self.name)))
            }
            ParameterType::String => Ok(Value::Text(text.to_owned())),
            ParameterType::List => Err(Misfit::new(format!("`{}` is of type list, found `{}`", self.name, shown(text)))),
        }
    }

    /// A list's items are read by what they look like. Where one is a float, or the default has floats, all numbers are.
    fn list_of(&self, items: &[Node]) -> Result<Value, Misfit> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let Some(scalar) = item.scalar() else {
                return Err(Misfit::new(format!("a list's items are plain values, found {} in `{}`", item.what(), self.name)));
            };
            values.push(inferred(scalar)?);
        }
        let floats = |values: &[Value]| values.iter().any(|value| matches!(value, Value::Float(_)));
        let like_default = matches!(&self.default, Some(Value::List(default)) if floats(default));
        if like_default || floats(&values) {
            values.iter_mut().for_each(make_float);
        }
        Ok(Value::List(values))
    }

    /// Checks bounds and choices.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Misfit> {
        if let Value::List(values) = value {
            for item in values {
                self.check_bounds(item)?;
            }
        }
        self.check_bounds(value)?;
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<String> = self.choices.iter().take(20).map(|choice| format!("`{choice}`")).collect();
            let message = format!("`{}` may not be `{}`", self.name, shown(&value.to_string()));
            return Err(Misfit { message, hint: Some(format!("choose one of {}", choices.join(", "))) });
        }
        Ok(())
    }

    fn check_bounds(&self, value: &Value) -> Result<(), Misfit> {
        let Some(number) = value.number() else { return Ok(()) };
        let (bound, side, word) = match (self.min, self.max) {
            (Some(min), _) if number < min => (min, "below", "minimum"),
            (_, Some(max)) if number > max => (max, "above", "maximum"),
            _ => return Ok(()),
        };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let message = format!("`{}` is {value}, {side} its {word} {}{unit}", self.name, float_text(bound));
        Err(Misfit { message, hint: None })
    }
}

fn make_float(value: &mut Value) {
    if let Value::Int(_) = value {
        *value = Value::Float(value.number().expect("a whole number is a number"));
    }
}

fn yaml_bool(scalar: &Scalar) -> Option<bool> {
    match scalar.text.as_str() {
        "true" | "True" | "TRUE" if scalar.style == Style::Plain => Some(true),
        "false" | "False" | "FALSE" if scalar.style == Style::Plain => Some(false),
        _ => None,
    }
}

/// Booleans in tables: `true` and `false` in any case, also between dots as Fortran writes them.
pub(super) fn fortran_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | ".true." => Some(true),
        "false" | ".false." => Some(false),
        _ => None,
    }
}

/// The value of a scalar whose type nobody declares: a number when it looks like one, `true` or `false`, else text.
pub(crate) fn inferred(scalar: &Scalar) -> Result<Value, Misfit> {
    let text = scalar.text.as_str();
    if scalar.style != Style::Plain {
        return Ok(Value::Text(text.to_owned()));
    }
    if let Some(value) = yaml_bool(scalar) {
        return Ok(Value::Bool(value));
    }
    let digits_first = text.trim_start_matches(['+', '-', '.']).starts_with(|first: char| first.is_ascii_digit());
    match exact(text) {
        Ok(number) if !text.contains(['.', 'e', 'E']) => {
            number.int().map(Value::Int).ok_or_else(|| Misfit::new(format!("`{}` is too large for a whole number", shown(text))))
        }
        Ok(number) => Ok(Value::Float(number.float())),
        // A spelling that deceives is refused rather than taken for text.
        Err((message, hint)) if hint.is_some() || (!digits_first && message.contains("finite")) => {
            Err(Misfit { message, hint })
        }
        Err(_) => Ok(Value::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::yaml::Placed;

    fn parameter(kind: ParameterType) -> Parameter {
        let (unit, description) = (String::new(), String::new());
        Parameter { name: "P".into(), kind, default: None, min: None, max: None, choices: vec![], unit, description }
    }

    fn read(parameter: &Parameter, text: &str) -> String {
        let (mut reader, root) = Reader::open("f.yaml", text).unwrap();
        let value = parameter.read(&root, &mut reader);
        match reader.finish(value) {
            Ok(value) => format!("{value:?}"),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn the_declared_type_decides() {
        let cases = [
            (ParameterType::Float, "1500", "Float(1500.0)"),
            (ParameterType::Float, "-0.0", "Float(0.0)"),
            (ParameterType::Int, "1e3", "Int(1000)"),
            (ParameterType::String, "no", "Text(\"no\")"),
            (ParameterType::String, "0777", "Text(\"0777\")"),
            (ParameterType::String, "1_000", "Text(\"1_000\")"),
            (ParameterType::String, ".nan", "Text(\".nan\")"),
            (ParameterType::Bool, "True", "Bool(true)"),
            (ParameterType::List, "[1, 2]", "List([Int(1), Int(2)])"),
            (ParameterType::List, "[1, 2.5]", "List([Float(1.0), Float(2.5)])"),
            (ParameterType::List, "[no, '1', true]", "List([Text(\"no\"), Text(\"1\"), Bool(true)])"),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(read(&parameter(kind), text), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        insta::assert_snapshot!(read(&parameter(ParameterType::Float), "'1500'"), @r#"f.yaml:1:1: `P` is of type float, found the text "1500" (hint: remove the quotes)"#);
        insta::assert_snapshot!(read(&parameter(ParameterType::Float), ".inf"), @"f.yaml:1:1: `.inf` is not a finite number");
        insta::assert_snapshot!(read(&parameter(ParameterType::Float), "[1, 2]"), @"f.yaml:1:1: `P` is of type float, found a list");
        insta::assert_snapshot!(read(&parameter(ParameterType::Int), "2.5"), @"f.yaml:1:1: `P` is a whole number; 2.5 is none");
        insta::assert_snapshot!(read(&parameter(ParameterType::Int), "0777"), @"f.yaml:1:1: `0777` begins with a zero (hint: write `777`; some readers take a leading zero for an octal number)");
        insta::assert_snapshot!(read(&parameter(ParameterType::Bool), "no"), @"f.yaml:1:1: `P` is of type bool, found `no` (hint: write `true` or `false`)");
        insta::assert_snapshot!(read(&parameter(ParameterType::String), "~"), @"f.yaml:1:1: `P` is of type string, found nothing");
        insta::assert_snapshot!(read(&parameter(ParameterType::List), "1"), @"f.yaml:1:1: `P` is of type list, found `1` (hint: write a list: `[...]`)");
        insta::assert_snapshot!(read(&parameter(ParameterType::List), "[1_000]"), @"f.yaml:1:1: `1_000` is not a number (hint: write `1000`)");
        insta::assert_snapshot!(read(&parameter(ParameterType::List), "[.nan]"), @"f.yaml:1:1: `.nan` is not a finite number");
        insta::assert_snapshot!(read(&parameter(ParameterType::List), "[[1]]"), @"f.yaml:1:1: a list's items are plain values, found a list in `P`");
    }

    #[test]
    fn bounds_and_choices_name_the_value_and_the_bound() {
        let bounded = Parameter { min: Some(0.0), max: Some(1.0), unit: "USD".into(), ..parameter(ParameterType::Float) };
        insta::assert_snapshot!(read(&bounded, "1.5"), @"f.yaml:1:1: `P` is 1.5, above its maximum 1 USD");
        insta::assert_snapshot!(read(&bounded, "-1"), @"f.yaml:1:1: `P` is -1, below its minimum 0 USD");
        assert_eq!(read(&bounded, "1"), "Float(1.0)");
        let chosen = Parameter { choices: vec![Value::Text("none".into()), Value::Text("join".into())], ..parameter(ParameterType::String) };
        insta::assert_snapshot!(read(&chosen, "leave"), @"f.yaml:1:1: `P` may not be `leave` (hint: choose one of `none`, `join`)");
    }

    #[test]
    fn numbers_of_a_list_are_of_the_default_s_kind() {
        let floats = Parameter { default: Some(Value::List(vec![Value::Float(0.5)])), ..parameter(ParameterType::List) };
        assert_eq!(read(&floats, "[1, 2]"), "List([Float(1.0), Float(2.0)])");
    }

    #[test]
    fn a_cell_of_a_table_is_trimmed_and_may_be_a_fortran_logical() {
        assert_eq!(parameter(ParameterType::Float).read_cell(" 1500 "), Ok(Value::Float(1500.0)));
        assert_eq!(parameter(ParameterType::Bool).read_cell(".TRUE."), Ok(Value::Bool(true)));
        assert!(parameter(ParameterType::Bool).read_cell("1").is_err());
        assert!(parameter(ParameterType::Int).read_cell("").is_err());
    }

    #[test]
    fn a_value_remembers_its_place() {
        let (mut reader, root) = Reader::open("f.yaml", "  abc").unwrap();
        assert_eq!(Placed::<String>::read(&root, &mut reader).unwrap().place.column, 3);
    }
}
