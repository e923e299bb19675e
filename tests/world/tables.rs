//! What people make of an analysis: its CSV file, read.

use std::path::Path;

/// The table of a CSV file, as (header, rows).
pub(crate) fn read_csv(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    (header, rows)
}

/// The numbers of one column.
pub(crate) fn numbers(table: &(Vec<String>, Vec<Vec<String>>), column: &str) -> Vec<f64> {
    let at =
        table.0.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}: {:?}", table.0));
    table.1.iter().map(|row| row[at].parse().unwrap_or(f64::NAN)).collect()
}

/// The values of one column.
pub(crate) fn texts(table: &(Vec<String>, Vec<Vec<String>>), column: &str) -> Vec<String> {
    let at =
        table.0.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}: {:?}", table.0));
    table.1.iter().map(|row| row[at].clone()).collect()
}
