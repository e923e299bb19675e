//! What a finished run leaves, and the classes of failure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;

/// One output of a run: what the model's summary says under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutputValue {
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
    /// The model said that there is no value.
    Missing,
}

impl OutputValue {
    /// The value as a number, when it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "statistics over counts beyond 2^53 may round")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) | Self::Missing => None,
        }
    }
}

/// Why a run failed. The class decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The machine or the executor ended it. Retried, not counted.
    Interrupted,
    /// It needed more memory than it was given.
    OutOfMemory,
    /// It ran longer than its limit.
    Timeout,
    /// The command could not be started at all.
    CannotStart,
    /// It ended well but its outputs are missing, unreadable or out of range.
    InvalidOutput,
    /// The model ended with an error of its own. Not retried.
    ModelError,
}

impl FailureClass {
    /// The class in words, as tables and comments show it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::OutOfMemory => "out of memory",
            Self::Timeout => "timeout",
            Self::CannotStart => "cannot start",
            Self::InvalidOutput => "invalid output",
            Self::ModelError => "model error",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It ended well and every output check passed.
    Succeeded,
    /// It failed.
    Failed {
        /// The class.
        class: FailureClass,
        /// One sentence for the user: what happened, with the value that matters.
        message: String,
        /// The last lines that the model printed, redacted; at most 4 KiB.
        log_tail: String,
    },
}

/// What a finished run leaves: one line of `records.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The run.
    pub run: RunId,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The summary's columns, in the order that the model wrote them. Kept also when an output check failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<(String, OutputValue)>,
    /// Kept files by name, with their size in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, u64>,
    /// Rows of the kept CSV files by name, headers not counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
    /// Start, in milliseconds since the epoch.
    pub started_ms: i64,
    /// Wall time in milliseconds, command and summary together.
    pub wall_ms: u64,
    /// CPU time in milliseconds over the process group, as far as it was waited for.
    pub cpu_ms: u64,
    /// Peak resident memory in bytes of the largest process.
    pub peak_memory: u64,
    /// The exit status, when the command ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}
