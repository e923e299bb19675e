//! Says that the database fails: at once, then once a minute while it goes on, and when it is over. Every worker looks
//! several times a second, and a log that grows with each look would fill the very disk that is full.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::ids::Time;
use crate::store::StoreError;

/// How long between two lines about one outage?
const INTERVAL: Duration = Duration::from_secs(60);

/// Whether the database fails, and what was said about it.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Option<Said>>);

#[derive(Debug, Clone, Copy)]
struct Said {
    began: Time,
    last: Time,
}

impl Outage {
    /// The database failed; `what` says what could not be done.
    pub(super) fn failed(&self, what: &'static str, error: StoreError, now: Time) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match *said {
            // A clock that was set back says nothing about how long ago that was.
            Some(Said { last, .. }) if last <= now && now.since(last) < INTERVAL => return,
            Some(Said { began, .. }) => began,
            None => now,
        };
        *said = Some(Said { began, last: now });
        drop(said);
        let reason = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(error = reason, "{what}");
    }

    /// The database answered.
    pub(super) fn over(&self, now: Time) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Said { began, .. }) = said.take() {
            let seconds = now.since(began).as_secs();
            tracing::info!(outage_s = seconds, "the database can be used again, after {seconds} s");
        }
    }
}
