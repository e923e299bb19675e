//! Output checks: what a manifest says that a run's columns must be. Pure, so that they can be applied again to kept
//! results.

use std::collections::BTreeMap;

use crate::domain::manifest::{Column, Outputs, Rows, Summary};
use crate::domain::sweep::record::OutputValue;

/// What a run left, as far as it is checked.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The summary's columns.
    pub outputs: &'a [(String, OutputValue)],
    /// Rows of the kept CSV files by name, as far as they were counted.
    pub rows: &'a BTreeMap<String, u64>,
}

/// Checks what a run left against what the manifest declares.
///
/// A summary holds at least one value, and a kept CSV file at least one row, unless the manifest says that they may be
/// empty. A declared column must be there, must have a value, must be finite, and must lie between `min` and `max`, which
/// are allowed themselves. Columns that are not declared may be anything.
///
/// # Errors
/// A sentence part that names the first thing that is wrong and its value.
pub fn check_outputs(declared: &Outputs, left: Left<'_>) -> Result<(), String> {
    let nothing = |what: &str| {
        let name = match &declared.summary {
            Summary::File(name) => name,
            Summary::Stdout => "stdout",
        };
        Err(format!("the summary in `{name}` {what}, though the command ended with status 0"))
    };
    if left.outputs.is_empty() && !declared.may_be_empty {
        return nothing("is empty");
    }
    for (name, column) in &declared.columns {
        match left.outputs.iter().find(|(output, _)| output == name) {
            Some((_, value)) => check_value(name, column, value)?,
            None if left.outputs.is_empty() => {}
            None => return Err(format!("output `{name}` is missing from the summary")),
        }
    }
    if left.outputs.iter().all(|(_, value)| is_nothing(value)) && !declared.may_be_empty {
        return nothing("holds no value");
    }
    for (name, rows) in left.rows {
        check_rows(declared, name, *rows)?;
    }
    Ok(())
}

/// Whether there is no value, or one that records cannot keep: records hold a missing value for it.
fn is_nothing(value: &OutputValue) -> bool {
    match value {
        OutputValue::Missing => true,
        OutputValue::Float(number) => !number.is_finite(),
        OutputValue::Int(_) | OutputValue::Bool(_) | OutputValue::Text(_) => false,
    }
}

fn check_rows(declared: &Outputs, name: &str, rows: u64) -> Result<(), String> {
    let check = declared.file_checks.get(name);
    if rows == 0 && !check.is_some_and(|check| check.may_be_empty) {
        return Err(format!("file `{name}` has no row, though the command ended with status 0"));
    }
    let Some(Rows::Within { min, max }) = check.and_then(|check| check.rows) else { return Ok(()) };
    if (min..=max).contains(&rows) {
        return Ok(());
    }
    let wanted = match (min, max) {
        (min, max) if min == max => format!("not the {min}"),
        (min, u64::MAX) => format!("fewer than the {min}"),
        (0, max) => format!("more than the {max}"),
        (min, max) => format!("not the {min} to {max}"),
    };
    Err(format!("file `{name}` has {rows} rows, {wanted} that the manifest declares"))
}

fn check_value(name: &str, column: &Column, value: &OutputValue) -> Result<(), String> {
    let number = match value {
        OutputValue::Missing => return Err(format!("output `{name}` has no value")),
        OutputValue::Float(number) if number.is_nan() => return Err(format!("output `{name}` is NaN")),
        OutputValue::Float(number) if number.is_infinite() => return Err(format!("output `{name}` is infinite")),
        OutputValue::Int(_) | OutputValue::Float(_) | OutputValue::Bool(_) | OutputValue::Text(_) => value.number(),
    };
    // What has a unit is a quantity, whether or not it has bounds.
    if column.min.is_none() && column.max.is_none() && column.unit.is_empty() {
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
    use crate::domain::manifest::FileCheck;

    fn declared(columns: &[(&str, Column)]) -> Outputs {
        Outputs {
            summary: Summary::File("summary.json".to_owned()),
            columns: columns.iter().map(|(name, column)| ((*name).to_owned(), column.clone())).collect(),
            files: Vec::new(),
            file_checks: BTreeMap::new(),
            limit: 1 << 30,
            may_be_empty: false,
        }
    }

    fn said(declared: &Outputs, outputs: &[(&str, OutputValue)], rows: &[(&str, u64)]) -> String {
        let outputs: Vec<_> = outputs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let rows = rows.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        check_outputs(declared, Left { outputs: &outputs, rows: &rows }).err().unwrap_or_default()
    }

    #[track_caller]
    fn check(min: Option<f64>, max: Option<f64>, value: OutputValue, expect: &str) {
        let declared = declared(&[("units", Column { min, max, ..Column::default() })]);
        assert_eq!(said(&declared, &[("units", value), ("more", OutputValue::Int(1))], &[]), expect);
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
    fn a_quantity_is_a_number_though_it_has_no_bounds() {
        let declared = declared(&[("tax", Column { unit: "USD".to_owned(), ..Column::default() })]);
        let text = OutputValue::Text("12.5".to_owned());
        assert_eq!(said(&declared, &[("tax", text)], &[]), "output `tax` is `12.5`, which is not a number");
    }

    #[test]
    fn a_declared_column_must_be_there_and_others_may_be() {
        let with = declared(&[("units", Column::default())]);
        let other = [("revenue", OutputValue::Int(1))];
        assert_eq!(said(&with, &other, &[]), "output `units` is missing from the summary");
        assert_eq!(said(&declared(&[]), &other, &[]), "");
    }

    #[test]
    fn an_empty_summary_is_a_failure_unless_it_may_be_empty() {
        let mut declared = declared(&[]);
        let nothing = [("units", OutputValue::Missing), ("tax", OutputValue::Float(f64::NAN))];
        let end = "though the command ended with status 0";
        assert_eq!(said(&declared, &[], &[]), format!("the summary in `summary.json` is empty, {end}"));
        assert_eq!(said(&declared, &nothing, &[]), format!("the summary in `summary.json` holds no value, {end}"));
        declared.may_be_empty = true;
        assert_eq!(said(&declared, &[], &[]), "");
        assert_eq!(said(&declared, &nothing, &[]), "");
    }

    #[test]
    fn a_table_has_rows_and_as_many_as_declared() {
        let value = [("tax", OutputValue::Int(1))];
        let mut declared = declared(&[]);
        let mut rows = |check: Option<FileCheck>, rows: u64| {
            declared.file_checks = check.map(|check| ("output.csv".to_owned(), check)).into_iter().collect();
            said(&declared, &value, &[("output.csv", rows)])
        };
        let of = |min: u64, max: u64| Some(FileCheck { rows: Some(Rows::Within { min, max }), may_be_empty: false });
        assert_eq!(rows(None, 1), "");
        assert_eq!(rows(None, 0), "file `output.csv` has no row, though the command ended with status 0");
        assert_eq!(rows(Some(FileCheck { rows: None, may_be_empty: true }), 0), "");
        assert_eq!(rows(of(20_017, 20_017), 20_017), "");
        let end = "that the manifest declares";
        assert_eq!(rows(of(20_017, 20_017), 20_018), format!("file `output.csv` has 20018 rows, not the 20017 {end}"));
        assert_eq!(rows(of(5, u64::MAX), 4), format!("file `output.csv` has 4 rows, fewer than the 5 {end}"));
        assert_eq!(rows(of(0, 5), 6), format!("file `output.csv` has 6 rows, more than the 5 {end}"));
        assert_eq!(rows(of(2, 5), 6), format!("file `output.csv` has 6 rows, not the 2 to 5 {end}"));
        assert_eq!(rows(Some(FileCheck { rows: Some(Rows::Same), may_be_empty: false }), 7), "");
    }
}
