//! The table as CSV: RFC 4180 quoting, lines ended by `\n`.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, also one that came from a pull
//! request. Texts that begin so get a `'` in front; numbers stay as they are.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Context as _;

use super::columns::TableColumn;

/// One value of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Missing,
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Cow<'a, str>),
}

/// Writes rows as CSV.
pub(super) struct DelimitedWriter<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> DelimitedWriter<W> {
    /// Begins the file with the column names.
    pub(super) fn new(target: W, columns: &[TableColumn]) -> anyhow::Result<Self> {
        let mut writer = csv::WriterBuilder::new().from_writer(target);
        writer
            .write_record(columns.iter().map(|column| defused(&column.name).into_owned()))
            .context("failed to write CSV")?;
        Ok(Self { writer })
    }

    pub(super) fn write(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for cell in cells {
            self.writer.write_field(shown(cell).as_bytes()).context("failed to write CSV")?;
        }
        self.writer.write_record(None::<&[u8]>).context("failed to write CSV")
    }

    pub(super) fn finish(self) -> anyhow::Result<W> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error).context("failed to write CSV")
    }
}

fn shown<'a>(cell: &'a Cell<'_>) -> Cow<'a, str> {
    match cell {
        Cell::Missing => Cow::Borrowed(""),
        Cell::Int(value) => Cow::Owned(value.to_string()),
        Cell::Float(value) => Cow::Owned(exact(*value)),
        Cell::Bool(value) => Cow::Owned(value.to_string()),
        Cell::Text(value) => defused(value),
    }
}

/// The shortest decimal that reads back as the same number.
pub(super) fn exact(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-5..1e17).contains(&size) { format!("{value:e}") } else { format!("{value}") }
}

fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
