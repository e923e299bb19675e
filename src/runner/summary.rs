//! Reads a run's summary: flat JSON, a two-column CSV or a one-row CSV, told apart by name and content.
//!
//! Numbers that are not finite are kept as such here, because the output checks must see them; [`finite`] turns them
//! into missing values afterwards.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};

use crate::domain::sweep::record::OutputValue;

/// The largest summary that is read, in bytes.
pub(super) const LIMIT: u64 = 10 * 1024 * 1024;

/// Most columns of a summary.
const COLUMNS: usize = 10_000;

/// Longest text in a summary, in bytes.
const TEXT: usize = 64 * 1024;

/// Longest name of a column, in bytes.
const NAME: usize = 200;

/// A summary's columns in the model's own order.
type Columns = Vec<(String, OutputValue)>;

/// Reads the summary `bytes` that came under `name`.
///
/// Nothing, and a CSV header with nothing behind it, are a summary without columns: whether that may be is for the output
/// checks to say.
///
/// # Errors
/// A sentence part for the user: what is wrong and where.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Columns, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("{name} is not UTF-8 text: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let columns = if is_json(name, text) { json(name, text)? } else { csv(name, text)? };
    check_names(name, &columns)?;
    Ok(columns)
}

/// The same columns with a missing value where a number is not finite, as records keep them.
pub(super) fn finite(columns: Columns) -> Columns {
    let keep = |value| match value {
        OutputValue::Float(number) if !number.is_finite() => OutputValue::Missing,
        value => value,
    };
    columns.into_iter().map(|(name, value)| (name, keep(value))).collect()
}

fn is_json(name: &str, text: &str) -> bool {
    let extension = std::path::Path::new(name).extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("json") => true,
        Some("csv") => false,
        _ => text.trim_start().starts_with(['{', '[']),
    }
}

fn check_names(name: &str, columns: &Columns) -> Result<(), String> {
    if columns.len() > COLUMNS {
        return Err(format!("{name} has {} columns, more than the {COLUMNS} that are kept", columns.len()));
    }
    let mut seen = BTreeSet::new();
    for (column, value) in columns {
        if column.is_empty() {
            return Err(format!("{name} has a column without a name"));
        }
        if column.len() > NAME || column.chars().any(char::is_control) {
            let shown: String = column.chars().take(40).collect();
            return Err(format!(
                "{name} has a column `{}` whose name is longer than {NAME} bytes or holds control characters",
                shown.escape_debug()
            ));
        }
        if !seen.insert(column) {
            return Err(format!("{name} has the column `{column}` twice"));
        }
        if let OutputValue::Text(text) = value
            && text.len() > TEXT
        {
            return Err(format!("{name} has a text of {} bytes in `{column}`, more than {TEXT}", text.len()));
        }
    }
    Ok(())
}

fn json(name: &str, text: &str) -> Result<Columns, String> {
    let text = quote_special_numbers(text);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let fault = |error: serde_json::Error| format!("{name} is not a flat JSON object: {error}");
    let entries = reader.deserialize_any(Flat).map_err(fault)?;
    reader.end().map_err(fault)?;
    entries
        .into_iter()
        .map(|(column, value)| {
            let value = json_value(&column, value).map_err(|path| {
                format!(
                    "{name} holds a list or an object at `{path}`; a summary is one flat object of numbers and texts"
                )
            })?;
            Ok((column, value))
        })
        .collect()
}

/// An object's entries in their own order, with repeated names still there.
struct Flat;

impl<'de> Visitor<'de> for Flat {
    type Value = Vec<(String, serde_json::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// A JSON value as an output, or the path of what is nested.
fn json_value(column: &str, value: serde_json::Value) -> Result<OutputValue, String> {
    match value {
        serde_json::Value::Null => Ok(OutputValue::Missing),
        serde_json::Value::Bool(value) => Ok(OutputValue::Bool(value)),
        serde_json::Value::Number(number) => Ok(match number.as_i64() {
            Some(whole) => OutputValue::Int(whole),
            None => OutputValue::Float(number.as_f64().unwrap_or(f64::INFINITY)),
        }),
        serde_json::Value::String(text) => {
            Ok(special_number(&text).map_or_else(|| OutputValue::Text(text), OutputValue::Float))
        }
        serde_json::Value::Array(_) => Err(format!("{column}[0]")),
        serde_json::Value::Object(inner) => Err(match inner.keys().next() {
            Some(key) => format!("{column}.{key}"),
            None => column.to_owned(),
        }),
    }
}

/// `NaN`, `Infinity` and `-Infinity` outside of strings, as Python writes them, put in quotes so that JSON can be read.
fn quote_special_numbers(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let word = if in_string {
            None
        } else {
            ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word))
        };
        if let Some(word) = word {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            continue;
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(out)
}

fn csv(name: &str, text: &str) -> Result<Columns, String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut rows: Vec<csv::StringRecord> = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| format!("{name} is not readable as CSV: {error}"))?;
        if row.iter().all(str::is_empty) {
            continue;
        }
        if rows.len() > COLUMNS {
            return Err(format!("{name} has more than {COLUMNS} rows; a summary is one value for each name"));
        }
        rows.push(row);
    }
    let pairs = rows.iter().all(|row| row.len() == 2);
    match rows.as_slice() {
        // A header and nothing behind it: the model wrote no value.
        [header] if !pairs && !header.iter().any(is_value) => Ok(Vec::new()),
        [header, rest @ ..] if pairs && header[1].eq_ignore_ascii_case("value") => Ok(two_columns(rest)),
        [header, row] if header.len() == row.len() && !(pairs && is_value(&header[1])) => {
            Ok(header.iter().zip(row).map(|(column, field)| (column.to_owned(), csv_value(field))).collect())
        }
        rows if pairs => Ok(two_columns(rows)),
        rows => Err(format!(
            "{name} has {} rows of {} columns; a summary is either lines of `label,value`, or one header and one row",
            rows.len(),
            rows.iter().map(csv::StringRecord::len).max().unwrap_or(0),
        )),
    }
}

fn two_columns(rows: &[csv::StringRecord]) -> Columns {
    rows.iter().map(|row| (row[0].to_owned(), csv_value(&row[1]))).collect()
}

/// Whether a field of a first row can only be a value, so that the row is no header.
fn is_value(field: &str) -> bool {
    !matches!(csv_value(field), OutputValue::Text(_))
}

fn csv_value(field: &str) -> OutputValue {
    if matches!(field, "" | "NA" | "N/A" | "n/a" | "null" | "NULL" | "None" | ".") {
        return OutputValue::Missing;
    }
    if let Some(number) = special_number(field) {
        return OutputValue::Float(number);
    }
    match field {
        "true" | "True" | "TRUE" => return OutputValue::Bool(true),
        "false" | "False" | "FALSE" => return OutputValue::Bool(false),
        _ => {}
    }
    if let Ok(whole) = field.parse::<i64>() {
        return OutputValue::Int(whole);
    }
    // Fortran writes double precision exponents with a D.
    let numeric =
        field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' | b'd' | b'D'));
    match field.replace(['d', 'D'], "e").parse::<f64>() {
        Ok(number) if numeric => OutputValue::Float(number),
        _ => OutputValue::Text(field.to_owned()),
    }
}

/// The texts by which programs say that a number is not finite.
fn special_number(text: &str) -> Option<f64> {
    let (sign, word) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = word.to_ascii_lowercase();
    // C libraries write `nan(ind)` and `1.#IND`, Fortran fills a field that is too narrow with asterisks.
    let is_nan = lower == "nan"
        || lower.starts_with("nan(")
        || matches!(&*lower, "1.#ind" | "1.#qnan" | "1.#snan" | "nanq" | "nans")
        || word.bytes().all(|byte| byte == b'*');
    if is_nan && !word.is_empty() {
        Some(f64::NAN)
    } else if matches!(&*lower, "inf" | "infinity" | "1.#inf") {
        Some(sign * f64::INFINITY)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expect: &str) {
        let said = match read(name, text.as_bytes()) {
            Ok(columns) => format!("{columns:?}"),
            Err(fault) => fault,
        };
        assert_eq!(said, expect);
    }

    #[test]
    fn flat_json_keeps_its_order() {
        check(
            "summary.json",
            r#"{"units": 3, "revenue": 1.50, "name": "a\"NaN", "ok": true, "none": null, "big": 18446744073709551615}"#,
            r#"[("units", Int(3)), ("revenue", Float(1.5)), ("name", Text("a\"NaN")), ("ok", Bool(true)), ("none", Missing), ("big", Float(1.8446744073709552e19))]"#,
        );
    }

    #[test]
    fn special_numbers_are_seen_in_json_and_csv() {
        check(
            "summary.json",
            r#"{"a": NaN, "b": -Infinity, "c": "nan", "text NaN": "x"}"#,
            r#"[("a", Float(NaN)), ("b", Float(-inf)), ("c", Float(NaN)), ("text NaN", Text("x"))]"#,
        );
        check("s.csv", "a,NaN\nb,+Infinity\nc,\n", r#"[("a", Float(NaN)), ("b", Float(inf)), ("c", Missing)]"#);
        check(
            "s.csv",
            "a,-nan(ind)\nb,1.#INF\nc,*****\nd,N/A\ne,.\nf,inf\n",
            r#"[("a", Float(NaN)), ("b", Float(inf)), ("c", Float(NaN)), ("d", Missing), ("e", Missing), ("f", Float(inf))]"#,
        );
        assert_eq!(finite(vec![("a".into(), OutputValue::Float(f64::NAN))]), vec![("a".into(), OutputValue::Missing)]);
    }

    #[test]
    fn nested_json_is_refused_by_its_path() {
        let end = "; a summary is one flat object of numbers and texts";
        check(
            "s.json",
            r#"{"a": 1, "bands": {"low": 1}}"#,
            &format!("s.json holds a list or an object at `bands.low`{end}"),
        );
        check("s.json", r#"{"a": [1]}"#, &format!("s.json holds a list or an object at `a[0]`{end}"));
        check("s.json", r#"{"a": 1, "a": 2}"#, "s.json has the column `a` twice");
        assert!(read("s.json", b"[1]").unwrap_err().contains("expected one JSON object"));
        assert!(read("s.json", b"{\"a\": 1} x").unwrap_err().contains("trailing characters"));
    }

    #[test]
    fn the_two_csv_forms_are_told_apart() {
        let two = r#"[("revenue", Float(3.5)), ("units", Int(4))]"#;
        check("s.csv", "label,value\nrevenue,3.5\nunits,4\n", two);
        check("s.csv", "revenue,3.5\nunits,4\n", two);
        check("s.csv", "revenue,units\n3.5,4\n", two);
        check("stdout", "revenue, 3.5\r\n\r\nunits ,4\r\n", two);
        check("s.csv", "label,value\nrevenue,3.5\n", r#"[("revenue", Float(3.5))]"#);
        check("s.csv", "revenue,3.5", r#"[("revenue", Float(3.5))]"#);
        check("s.csv", "a,b,c\n1,2,x\n", r#"[("a", Int(1)), ("b", Int(2)), ("c", Text("x"))]"#);
        check("s.csv", "revenue\n3.5\n", r#"[("revenue", Float(3.5))]"#);
        check(
            "s.csv",
            "a,b,c\n1,2,3\n4,5,6\n",
            "s.csv has 3 rows of 3 columns; a summary is either lines of `label,value`, or one header and one row",
        );
    }

    #[test]
    fn nothing_and_a_header_alone_hold_no_column() {
        for (name, text) in [
            ("s.json", ""),
            ("s.json", " \n"),
            ("s.json", "{}"),
            ("s.csv", "\r\n"),
            ("s.csv", "label,value\n"),
            ("s.csv", "revenue\n"),
            ("s.csv", "revenue,units,tax\n"),
        ] {
            check(name, text, "[]");
        }
    }

    #[test]
    fn numbers_of_every_language_are_numbers() {
        check(
            "s.csv",
            "a,1.5D+03\nb,-2\nc,.5\nd,1e3\ne,+7",
            r#"[("a", Float(1500.0)), ("b", Int(-2)), ("c", Float(0.5)), ("d", Float(1000.0)), ("e", Int(7))]"#,
        );
        check("s.csv", "a,dad\nb,TRUE\nc,1e", r#"[("a", Text("dad")), ("b", Bool(true)), ("c", Text("1e"))]"#);
    }

    #[test]
    fn names_are_bounded() {
        assert!(
            read("s.csv", format!("{},1\n", "x".repeat(300)).as_bytes()).unwrap_err().contains("longer than 200 bytes")
        );
        assert!(read("s.csv", b",1\nb,2\nc,3\n").unwrap_err().contains("without a name"));
        assert!(read("s.csv", b"\xff,1\n").unwrap_err().contains("not UTF-8"));
        let wide = (0..=COLUMNS).map(|index| format!("c{index},1\n")).collect::<String>();
        assert!(read("s.csv", wide.as_bytes()).unwrap_err().contains("more than"));
    }
}
