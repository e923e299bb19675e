//! What can be wrong with a repository, split by who can mend it.

use anyhow::anyhow;

/// Why something could not be read from a repository. Sentences without capital and full stop.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What was named is not there. The one who named it can mend that.
    #[error("{0}")]
    Absent(String),
    /// It is there and we do not take it: a link, a submodule, a forbidden path, too much of it. The one who committed
    /// it can mend that.
    #[error("{0}")]
    Refused(String),
    /// git or the disk failed. Ours to mend.
    #[error("{context}")]
    Failed {
        /// What was tried, with which value.
        context: String,
        /// What went wrong.
        #[source]
        source: anyhow::Error,
    },
}

impl SourceError {
    /// Whether the fault lies in what was asked for or committed, so that its author should be told.
    #[must_use]
    pub fn is_users_fault(&self) -> bool {
        match self {
            Self::Absent(_) | Self::Refused(_) => true,
            Self::Failed { .. } => false,
        }
    }
}

pub(super) fn absent(message: String) -> SourceError {
    SourceError::Absent(message)
}

pub(super) fn refused(message: String) -> SourceError {
    SourceError::Refused(message)
}

/// A failure of git, with what was tried.
pub(super) fn failed(error: &git2::Error, context: String) -> SourceError {
    // git2's own Display repeats class and code numbers that help nobody.
    SourceError::Failed { context, source: anyhow!("{}", error.message()) }
}

/// Turns a failure of git or the disk into [`SourceError::Failed`] with what was tried.
pub(super) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, SourceError>;
}

impl<T> Context<T> for Result<T, git2::Error> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, SourceError> {
        self.map_err(|error| failed(&error, doing()))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, SourceError> {
        self.map_err(|error| SourceError::Failed { context: doing(), source: error.into() })
    }
}
