//! Why a test of a model has not passed, whether it ran as a process or in a container.

use super::check_expectations;
use super::process::TestError;
use crate::domain::manifest::{Expectation, Test};
use crate::domain::sweep::record::{Outcome, Record};

/// Why a test has not passed, before it is put under its name.
pub(super) enum Trouble {
    Failed { message: String, log_tail: String },
    Cancelled,
    Internal(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Failed { message, log_tail: String::new() }
    }
}

impl Trouble {
    /// The same, under the name of `test`.
    pub(super) fn of(self, test: &Test) -> TestError {
        match self {
            Self::Failed { message, log_tail } => TestError::Failed { name: test.name.clone(), message, log_tail },
            Self::Cancelled => TestError::Cancelled,
            Self::Internal(error) => TestError::Internal(error),
        }
    }
}

/// Compares the record of a test's one run with what is expected of it.
pub(super) fn judge(record: Record, expect: &[(String, Expectation)]) -> Result<(), Trouble> {
    if let Outcome::Failed { class, message, log_tail } = record.outcome {
        return Err(Trouble::Failed { message: format!("{}: {message}", class.words()), log_tail });
    }
    check_expectations(expect, &record.outputs).map_err(Trouble::from)
}
