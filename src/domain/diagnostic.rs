//! What is wrong in a file that a user wrote, and where.
//!
//! One type serves the terminal, the pull request and the forge's annotations alike, so the same fault is told in the
//! same words everywhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One fault in one file, with its place and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file's path as the user knows it, relative to the repository.
    pub file: String,
    /// The line, from 1. 0 when the fault has no place in the file (for instance a missing file).
    pub line: u32,
    /// The column in characters, from 1. 0 when there is no place.
    pub column: u32,
    /// How many characters the fault covers; at least 1.
    pub length: u32,
    /// The text of that line, without its line end.
    pub excerpt: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead, when that can be said.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A fault of the file as a whole.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            length: 1,
            excerpt: String::new(),
            message: message.into(),
            hint,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// Every fault found in one reading of a user's files. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Diagnostic>);

impl From<Diagnostic> for Faults {
    fn from(fault: Diagnostic) -> Self {
        Self(vec![fault])
    }
}
