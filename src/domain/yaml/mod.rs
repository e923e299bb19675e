//! Reading the files that a user writes: YAML text in, values with their places or every fault at once out.
//!
//! A text becomes a tree of [`Node`]s that remember where they stand, and raw records (see [`read`]) are read from the
//! tree. Nothing is guessed here: a scalar stays text until somebody who knows its declared type asks for a number, a
//! boolean or a text. Nothing here opens a file; who needs another file asks [`Files`].

mod number;
mod read;
mod suggest;
mod tree;

use std::sync::Arc;

use super::diagnostic::Diagnostic;

pub(crate) use number::{Exact, exact};
pub(crate) use read::{Entries, Fields, Placed, Read, Reader, read_word, record, spelled};
pub(crate) use suggest::{closest, did_you_mean};
pub(crate) use tree::{Key, Kind, Node, Scalar, Style};

/// Longest text that is read at all, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Most characters of a line that a diagnostic carries.
const MAX_EXCERPT: usize = 400;

/// The files beside the one that is read, at the same commit.
pub trait Files {
    /// The text at `path`, relative to the repository; none when there is no such file.
    ///
    /// # Errors
    /// One sentence for the user when the file is there but cannot be read as text.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// No other file can be read.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Where something stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column in characters, from 1.
    pub(crate) column: u32,
    /// How many characters it covers on that line; at least 1.
    pub(crate) length: u32,
}

impl Place {
    /// The very beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1, length: 1 };
}

/// A file's path and text; what turns a place into a diagnostic.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    path: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// The file at `path`, relative to the repository, with its `text`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A fault at `place`, with the text of its line.
    pub(crate) fn fault(&self, place: Place, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        let line = self.line(place.line);
        let excerpt = if line.chars().count() <= MAX_EXCERPT {
            line.to_owned()
        } else if (place.column as usize) < MAX_EXCERPT {
            line.chars().take(MAX_EXCERPT).collect()
        } else {
            String::new()
        };
        Diagnostic {
            file: self.path.to_string(),
            line: place.line,
            column: place.column,
            length: place.length,
            excerpt,
            message: message.into(),
            hint,
        }
    }

    /// The text of line `number`, from 1, without its line end; empty beyond the last one.
    pub(crate) fn line(&self, number: u32) -> &str {
        let mut rest = &*self.text;
        for _ in 1..number {
            let Some(end) = rest.find(['\n', '\r']) else { return "" };
            rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
        }
        rest.split(['\n', '\r']).next().unwrap_or("")
    }
}

/// `text` as messages show it: at most 60 characters, nothing that could break a line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(visible).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control() || matches!(character, '`' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    let replacement = if character == '`' { '\'' } else { ' ' };
    std::iter::once(if escaped { replacement } else { character })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::diagnostic::Faults;

    /// Faults as a person sees them: the message, the line and a caret under the place.
    pub(crate) fn picture(faults: &Faults) -> String {
        let mut picture = String::new();
        for fault in &faults.0 {
            picture.push_str(&format!("{fault}\n"));
            if fault.line > 0 {
                let indent = " ".repeat(fault.column as usize - 1);
                picture.push_str(&format!("| {}\n| {indent}{}\n", fault.excerpt, "^".repeat(fault.length as usize)));
            }
        }
        picture
    }

    #[test]
    fn lines_end_in_any_of_the_three_ways() {
        let source = Source::new("f", "a\nb\r\nc\rd");
        assert_eq!((1..=5).map(|line| source.line(line)).collect::<Vec<_>>(), ["a", "b", "c", "d", ""]);
    }

    #[test]
    fn what_a_user_wrote_is_shown_short_and_on_one_line() {
        assert_eq!(shown("a`b\nc"), "a'b c");
        assert_eq!(shown(&"x".repeat(70)).chars().count(), 61);
    }

    #[test]
    fn a_very_long_line_is_not_carried_along() {
        let source = Source::new("f", &"y".repeat(5000));
        assert_eq!(source.fault(Place { line: 1, column: 3, length: 1 }, "m", None).excerpt.len(), MAX_EXCERPT);
        assert_eq!(source.fault(Place { line: 1, column: 3000, length: 1 }, "m", None).excerpt, "");
    }
}
