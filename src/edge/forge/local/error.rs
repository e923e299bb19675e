//! What can go wrong in the local forge, split by who can mend it.

use crate::edge::source::{MergeError, SourceError};

/// Why the local forge did not do what it was asked. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum LocalForgeError {
    /// What was named is not there.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as asked.
    #[error("{0}")]
    Refused(String),
    /// Whoever asked may not.
    #[error("{0}")]
    Forbidden(String),
    /// The pull request cannot be merged.
    #[error("cannot merge")]
    Merge(#[source] MergeError),
    /// The repository cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The disk or the network failed. Ours to mend.
    #[error("{context}")]
    Failed {
        /// What was tried, with which value.
        context: String,
        /// What went wrong.
        #[source]
        source: anyhow::Error,
    },
}

impl LocalForgeError {
    /// Whether the fault lies in what was asked for.
    #[must_use]
    pub fn is_users_fault(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Refused(_) | Self::Forbidden(_) => true,
            Self::Merge(MergeError::Source(error)) | Self::Source(error) => error.is_users_fault(),
            Self::Merge(MergeError::Conflict(_) | MergeError::Nothing(_) | MergeError::Moved(_)) => true,
            Self::Failed { .. } => false,
        }
    }
}

pub(super) fn refused(message: impl Into<String>) -> LocalForgeError {
    LocalForgeError::Refused(message.into())
}

/// Turns a failure of the disk or the network into [`LocalForgeError::Failed`] with what was tried.
pub(super) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, LocalForgeError>;
}

impl<T, E: Into<anyhow::Error>> Context<T> for Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, LocalForgeError> {
        self.map_err(|error| LocalForgeError::Failed { context: doing(), source: error.into() })
    }
}
