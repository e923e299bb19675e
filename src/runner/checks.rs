//! Output checks: what a manifest says that a run's columns must be. Pure, so that they can be applied again to kept
//! results.

use std::collections::BTreeMap;

use crate::domain::manifest::Column;
use crate::domain::sweep::record::OutputValue;

/// Checks every declared column of `outputs`.
///
/// A declared column must be there, must have a value, must be finite, and must lie between `min` and `max`, which are
/// allowed themselves. Columns that are not declared may be anything.
///
/// # Errors
/// A sentence part that names the first column that is wrong and its value.
pub fn check_outputs(columns: &BTreeMap<String, Column>, outputs: &[(String, OutputValue)]) -> Result<(), String> {
    for (name, column) in columns {
        let Some((_, value)) = outputs.iter().find(|(output, _)| output == name) else {
            return Err(format!("output `{name}` is missing from the summary"));
        };
        check_value(name, column, value)?;
    }
    Ok(())
}

fn check_value(name: &str, column: &Column, value: &OutputValue) -> Result<(), String> {
    let number = match value {
        OutputValue::Missing => return Err(format!("output `{name}` has no value")),
        OutputValue::Float(number) if number.is_nan() => return Err(format!("output `{name}` is NaN")),
        OutputValue::Float(number) if number.is_infinite() => return Err(format!("output `{name}` is infinite")),
        OutputValue::Int(_) | OutputValue::Float(_) | OutputValue::Bool(_) | OutputValue::Text(_) => value.number(),
    };
    if column.min.is_none() && column.max.is_none() {
        return Ok(());
    }
    let Some(number) = number else {
        return Err(format!("output `{name}` is `{}`, which is not a number", shown(value)));
    };
    if let Some(min) = column.min
        && number < min
    {
        return Err(format!("output `{name}` is {}, less than its smallest allowed value {min}", shown(value)));
    }
    if let Some(max) = column.max
        && number > max
    {
        return Err(format!("output `{name}` is {}, more than its largest allowed value {max}", shown(value)));
    }
    Ok(())
}

/// A value as messages show it; a long text is cut.
#[must_use]
pub fn shown(value: &OutputValue) -> String {
    match value {
        OutputValue::Int(value) => value.to_string(),
        OutputValue::Float(value) if value.is_finite() => {
            serde_json::to_string(value).expect("a finite number always serialises")
        }
        OutputValue::Float(value) => value.to_string(),
        OutputValue::Bool(value) => value.to_string(),
        OutputValue::Text(text) => text.chars().take(80).collect::<String>().escape_debug().to_string(),
        OutputValue::Missing => "no value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(min: Option<f64>, max: Option<f64>, value: OutputValue, expect: &str) {
        let columns = BTreeMap::from([("units".to_owned(), Column { min, max, ..Column::default() })]);
        let said = check_outputs(&columns, &[("units".to_owned(), value)]).err().unwrap_or_default();
        assert_eq!(said, expect);
    }

    #[test]
    fn bounds_are_allowed_values() {
        check(Some(1.0), Some(2.0), OutputValue::Int(1), "");
        check(Some(1.0), Some(2.0), OutputValue::Float(2.0), "");
        check(Some(1.0), None, OutputValue::Int(0), "output `units` is 0, less than its smallest allowed value 1");
        check(None, Some(2.0), OutputValue::Float(2.5), "output `units` is 2.5, more than its largest allowed value 2");
    }

    #[test]
    fn a_declared_column_must_have_a_finite_value() {
        check(None, None, OutputValue::Missing, "output `units` has no value");
        check(None, None, OutputValue::Float(f64::NAN), "output `units` is NaN");
        check(None, None, OutputValue::Float(f64::NEG_INFINITY), "output `units` is infinite");
        check(Some(0.0), None, OutputValue::Text("many".into()), "output `units` is `many`, which is not a number");
        check(None, None, OutputValue::Text("many".into()), "");
    }

    #[test]
    fn a_declared_column_must_be_there_and_others_may_be() {
        let columns = BTreeMap::from([("units".to_owned(), Column::default())]);
        let other = [("revenue".to_owned(), OutputValue::Missing)];
        assert_eq!(check_outputs(&columns, &other), Err("output `units` is missing from the summary".to_owned()));
        assert_eq!(check_outputs(&BTreeMap::new(), &other), Ok(()));
    }
}
