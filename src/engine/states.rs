//! Whether what an earlier program has stored can still be read.
//!
//! Decisions are made on stored states. One that cannot be read would stop everything about its key, much later and out
//! of sight, so whoever starts an engine looks at all of them first.

use super::Engine;
use crate::domain::decide::State;
use crate::store::StoreError;

/// A stored state that this program cannot read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state of `{key}` in `{database}` cannot be read by modelship {} ({reason}); use the version that wrote it, or begin \
     anew with another folder: `--state DIR`",
    env!("CARGO_PKG_VERSION")
)]
pub struct UnreadableState {
    key: String,
    database: String,
    reason: serde_json::Error,
}

/// Why the states cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// One of them cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableState),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Looks whether every stored state can be read.
    ///
    /// # Errors
    /// The first one that cannot.
    pub async fn check_states(&self) -> Result<(), StateError> {
        for kind in State::KINDS {
            for row in self.store.states(kind).await? {
                self.read_state(&row.key, &row.json)?;
            }
        }
        Ok(())
    }

    /// The stored state `json` of `key`, read.
    ///
    /// # Errors
    /// When it was written by a program that spells it otherwise.
    pub fn read_state(&self, key: &str, json: &str) -> Result<State, UnreadableState> {
        serde_json::from_str(json).map_err(|reason| UnreadableState {
            key: key.to_owned(),
            database: self.store.address().to_owned(),
            reason,
        })
    }
}
