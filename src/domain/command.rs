//! Commands that people give in comments: `/modelship run`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::SweepName;

/// A command that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Start a planned sweep, or every planned one.
    Run {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Plan again.
    Plan {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Stop.
    Cancel {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Do the failed and missing runs again.
    Retry {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Tell how things stand.
    Status,
    /// List the commands.
    Help,
    /// A line that begins like a command and is none.
    Unknown {
        /// What was typed after `/modelship`, at most 80 characters.
        text: String,
        /// The command that was probably meant.
        suggestion: Option<String>,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, sweep) = match self {
            Self::Run { sweep } => ("run", sweep.as_ref()),
            Self::Plan { sweep } => ("plan", sweep.as_ref()),
            Self::Cancel { sweep } => ("cancel", sweep.as_ref()),
            Self::Retry { sweep } => ("retry", sweep.as_ref()),
            Self::Status => ("status", None),
            Self::Help => ("help", None),
            Self::Unknown { text, .. } => return write!(f, "{text}"),
        };
        match sweep {
            Some(sweep) => write!(f, "{word} {sweep}"),
            None => f.write_str(word),
        }
    }
}
