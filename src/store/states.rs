//! What decisions are made on, and the log of the events that were decided. Written by [`super::queue`] alone.

use super::row::Cells;
use super::{Result, Store};
use crate::domain::ids::Time;

/// The state of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The key, as its `Display` spells it.
    pub key: String,
    /// What kind of state it is.
    pub kind: String,
    /// The state as JSON.
    pub json: String,
    /// When it was last decided on.
    pub updated_at: Time,
}

/// An event that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The id that it had as a task.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The event with its key as JSON; cut when it is long, so it is for people to read.
    pub payload: String,
    /// When it was kept.
    pub created_at: Time,
    /// When it was decided.
    pub decided_at: Time,
    /// What the decision said about itself: `ignored: <why>`, or nothing.
    pub outcome: String,
}

impl Store {
    /// The state of `key` as JSON, when it has one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn state(&self, key: &str) -> Result<Option<String>> {
        let query = sqlx::query_scalar("SELECT body FROM states WHERE key = $1").bind(key);
        Ok(query.fetch_optional(&self.reader).await?)
    }

    /// Every state of `kind`, ordered by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn states(&self, kind: &str) -> Result<Vec<StateRow>> {
        let rows = sqlx::query("SELECT key, kind, body, updated_at FROM states WHERE kind = $1 ORDER BY key")
            .bind(kind)
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(StateRow {
                    key: row.text("key")?,
                    kind: row.text("kind")?,
                    json: row.text("body")?,
                    updated_at: row.time("updated_at")?,
                })
            })
            .collect()
    }

    /// The newest `limit` decided events of `key`, oldest first. Ticks are not logged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_of(&self, key: &str, limit: u32) -> Result<Vec<LoggedEvent>> {
        let rows = sqlx::query(
            "SELECT id, name, payload, created_at, decided_at, outcome FROM event_log
             WHERE key = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(key)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .rev()
            .map(|row| {
                Ok(LoggedEvent {
                    id: row.number("id")?,
                    name: row.text("name")?,
                    payload: row.text("payload")?,
                    created_at: row.time("created_at")?,
                    decided_at: row.time("decided_at")?,
                    outcome: row.text("outcome")?,
                })
            })
            .collect()
    }
}
