//! Compares what a test's run put out with what its manifest expects.

use crate::domain::manifest::Expectation;
use crate::domain::parameters::Value;
use crate::domain::report::numbers::number;
use crate::domain::sweep::record::OutputValue;
use crate::runner::checks::shown;

/// Most differences that one message tells.
const TOLD: usize = 5;

/// Checks every expected output. A number fits when it differs by no more than the larger of the absolute tolerance and
/// the relative one times the expected value; everything else must be equal.
///
/// # Errors
/// A sentence part that shows each differing output with both values.
pub fn check_expectations(expect: &[(String, Expectation)], outputs: &[(String, OutputValue)]) -> Result<(), String> {
    let differences: Vec<_> = expect
        .iter()
        .filter_map(|(name, expectation)| match outputs.iter().find(|(output, _)| output == name) {
            Some((_, value)) => difference(name, expectation, value),
            None => Some(format!("output `{name}` is missing, expected {}", expected(&expectation.value))),
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let more = match differences.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Err(format!("{}{more}", differences[..differences.len().min(TOLD)].join("; ")))
}

fn difference(name: &str, expectation: &Expectation, found: &OutputValue) -> Option<String> {
    let told = || format!("output `{name}` is {}, expected {}", shown(found), expected(&expectation.value));
    let fits = match (&expectation.value, found) {
        (Value::Int(_) | Value::Float(_), OutputValue::Int(_) | OutputValue::Float(_)) => {
            return number_difference(expectation, found).map(|tolerance| format!("{}{tolerance}", told()));
        }
        (Value::Text(expected), OutputValue::Text(found)) => expected == found,
        (Value::Bool(expected), OutputValue::Bool(found)) => expected == found,
        _ => false,
    };
    (!fits).then(told)
}

/// How much was allowed, when a number differs by more.
fn number_difference(expectation: &Expectation, found: &OutputValue) -> Option<String> {
    if let (Value::Int(expected), OutputValue::Int(found)) = (&expectation.value, found)
        && expected == found
    {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "equal whole numbers are told apart before")]
    let expected = match &expectation.value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Bool(_) | Value::Text(_) | Value::List(_) => f64::NAN,
    };
    let found = found.number().unwrap_or(f64::NAN);
    let allowed = expectation.absolute.max(expectation.relative * expected.abs());
    let whole = matches!(expectation.value, Value::Int(_)) && allowed == 0.0;
    let difference = (found - expected).abs();
    // Two whole numbers beyond 2^53 can differ and still be the same float; those came here because they differ.
    let fits = difference <= allowed && !(whole && found.abs() >= 9_007_199_254_740_992.0);
    let by = if difference > 0.0 { format!("differs by {}, ", number(difference)) } else { String::new() };
    (!fits).then(|| format!(" ({by}allowed is {})", number(allowed)))
}

fn expected(value: &Value) -> String {
    match value {
        Value::Int(value) => shown(&OutputValue::Int(*value)),
        Value::Float(value) => shown(&OutputValue::Float(*value)),
        Value::Bool(value) => shown(&OutputValue::Bool(*value)),
        Value::Text(value) => shown(&OutputValue::Text(value.clone())),
        Value::List(_) => "a list, which no output can be".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Value, (relative, absolute): (f64, f64), found: OutputValue, said: &str) {
        let expect = [("x".to_owned(), Expectation { value: expected, relative, absolute })];
        let result = check_expectations(&expect, &[("x".to_owned(), found)]);
        assert_eq!(result.err().unwrap_or_default(), said);
    }

    #[test]
    fn numbers_may_differ_by_the_larger_tolerance() {
        check(Value::Float(100.0), (1e-3, 0.0), OutputValue::Float(100.1), "");
        check(Value::Float(100.0), (1e-9, 0.2), OutputValue::Float(100.1), "");
        check(Value::Float(-100.0), (1e-3, 0.0), OutputValue::Int(-100), "");
        check(
            Value::Float(100.0),
            (1e-3, 0.0),
            OutputValue::Float(100.5),
            "output `x` is 100.5, expected 100.0 (differs by 0.5, allowed is 0.1)",
        );
        check(
            Value::Float(0.0),
            (1e-3, 0.0),
            OutputValue::Float(1e-300),
            "output `x` is 1e-300, expected 0.0 (differs by 1e-300, allowed is 0)",
        );
    }

    #[test]
    fn whole_numbers_are_exact_however_large() {
        check(Value::Int(20_000), (0.0, 0.0), OutputValue::Int(20_000), "");
        check(Value::Int(20_000), (0.0, 0.0), OutputValue::Float(20_000.0), "");
        check(
            Value::Int(1),
            (0.0, 0.0),
            OutputValue::Int(2),
            "output `x` is 2, expected 1 (differs by 1, allowed is 0)",
        );
        check(Value::Int(i64::MAX), (0.0, 0.0), OutputValue::Int(i64::MAX), "");
        check(
            Value::Int(i64::MAX),
            (0.0, 0.0),
            OutputValue::Int(i64::MAX - 1),
            "output `x` is 9223372036854775806, expected 9223372036854775807 (allowed is 0)",
        );
    }

    #[test]
    fn other_kinds_must_be_equal() {
        check(Value::Text("a".into()), (1.0, 1.0), OutputValue::Text("a".into()), "");
        check(Value::Text("a".into()), (1.0, 1.0), OutputValue::Text("b".into()), "output `x` is b, expected a");
        check(Value::Bool(true), (1.0, 1.0), OutputValue::Int(1), "output `x` is 1, expected true");
        check(Value::Float(1.0), (1.0, 1.0), OutputValue::Missing, "output `x` is no value, expected 1.0");
        let expect = [("y".to_owned(), Expectation { value: Value::Int(1), relative: 0.0, absolute: 0.0 })];
        assert_eq!(check_expectations(&expect, &[]), Err("output `y` is missing, expected 1".to_owned()));
    }
}
