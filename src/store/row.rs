//! Cells of a row as Rust values, and back. A cell that does not fit is [`StoreError::Corrupt`], never a panic.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Result, StoreError};
use crate::domain::ids::Time;

/// Reads cells by column name.
pub(super) trait Cells {
    /// A text.
    fn text(&self, column: &str) -> Result<String>;
    /// A text or nothing.
    fn optional_text(&self, column: &str) -> Result<Option<String>>;
    /// A whole number.
    fn number(&self, column: &str) -> Result<i64>;
    /// A whole number or nothing.
    fn optional_number(&self, column: &str) -> Result<Option<i64>>;

    /// A whole number that cannot be negative.
    fn count(&self, column: &str) -> Result<u64> {
        let value = self.number(column)?;
        u64::try_from(value).map_err(|_| StoreError::corrupt(format!("`{column}` is {value}")))
    }

    /// A moment.
    fn time(&self, column: &str) -> Result<Time> {
        self.number(column).map(Time)
    }

    /// A flag, stored as 0 or 1.
    fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.number(column)? != 0)
    }

    /// A text that is an id or a name.
    fn id<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T> {
        parse(column, &self.text(column)?)
    }

    /// A text that is an id or a name, or nothing.
    fn optional_id<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| parse(column, &text)).transpose()
    }

    /// A text that is JSON.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|error| StoreError::corrupt(format!("`{column}` does not fit this program: {error}")))
    }
}

impl Cells for AnyRow {
    fn text(&self, column: &str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn optional_text(&self, column: &str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn number(&self, column: &str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn optional_number(&self, column: &str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }
}

fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error: T::Err| StoreError::corrupt(format!("`{column}`: {error}")))
}

/// `value` as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(format!("a value has no JSON form: {error}")))
}

/// A count as the database holds it. No count of ours comes near the limit.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `($1, $2, $3), ($1, $4, $5)` for one value that all rows share, two rows, and two values of each row's own.
pub(super) fn placeholders(shared: usize, rows: usize, own: usize) -> String {
    let row = |row: usize| {
        let numbers = (1..=shared).chain((1..=own).map(|column| shared + row * own + column));
        format!("({})", numbers.map(|number| format!("${number}")).collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// The first `limit` bytes of `text`, cut between characters, with a note when something is missing.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return storable(text);
    }
    let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{} ... ({} bytes)", storable(&text[..end]), text.len())
}

/// `text` as every database can hold it: PostgreSQL has no NUL in a text. JSON never has one, but what a model or a person
/// wrote may.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
