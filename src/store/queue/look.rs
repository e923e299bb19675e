//! Looking at the queue without touching it.

use super::{FailedTask, LeasedTask, Owner, QueueDepth};
use crate::domain::event::Event;
use crate::domain::ids::Time;
use crate::store::row::Cells;
use crate::store::{Result, Store};

impl Store {
    /// The earliest moment after `now` at which a waiting task becomes due. Tasks that are due already are for a claim to
    /// find, or are held back by another task whose end will be noticed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self, now: Time) -> Result<Option<Time>> {
        let row = sqlx::query("SELECT MIN(not_before) AS due FROM tasks WHERE status = 'pending' AND not_before > $1")
            .bind(now.0)
            .fetch_one(&self.reader)
            .await?;
        Ok(row.optional_number("due")?.map(Time))
    }

    /// How much there is to do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending(&self, now: Time) -> Result<QueueDepth> {
        let rows = sqlx::query(
            "SELECT kind, status, COUNT(*) AS tasks, MIN(created_at) AS oldest FROM tasks GROUP BY kind, status",
        )
        .fetch_all(&self.reader)
        .await?;
        let mut depth = QueueDepth::default();
        for row in &rows {
            let tasks = row.count("tasks")?;
            match (row.text("status")?.as_str(), row.text("kind")?.as_str()) {
                ("failed", _) => depth.failed += tasks,
                ("leased", _) => depth.leased += tasks,
                (_, "event") => depth.events += tasks,
                _ => depth.effects += tasks,
            }
            if row.text("status")? != "failed" {
                let age = now.since(row.time("oldest")?);
                depth.oldest_age = depth.oldest_age.max(Some(age));
            }
        }
        let arrived = sqlx::query(
            "SELECT COUNT(*) AS deliveries, MIN(received_at) AS oldest FROM deliveries WHERE events IS NOT NULL",
        )
        .fetch_one(&self.reader)
        .await?;
        depth.events += arrived.count("deliveries")?;
        let oldest = arrived.optional_number("oldest")?.map(|oldest| now.since(Time(oldest)));
        depth.oldest_age = depth.oldest_age.max(oldest);
        Ok(depth)
    }

    /// Whether the key has tasks that are neither done nor given up, or may get some from a delivery that has come in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_tasks(&self, key: &str) -> Result<bool> {
        let task = sqlx::query(
            "SELECT key FROM tasks WHERE key = $1 AND status <> 'failed'
             UNION ALL SELECT id FROM deliveries WHERE events IS NOT NULL LIMIT 1",
        )
        .bind(key)
        .fetch_optional(&self.reader)
        .await?;
        Ok(task.is_some())
    }

    /// Whether nobody works on anything and nothing is due at `now`. Ticks do not count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_idle(&self, now: Time) -> Result<bool> {
        let busy = sqlx::query(
            "SELECT key FROM tasks
             WHERE (status = 'leased' OR (status = 'pending' AND not_before <= $1)) AND name <> $2
             UNION ALL SELECT id FROM deliveries WHERE events IS NOT NULL LIMIT 1",
        )
        .bind(now.0)
        .bind(Event::Ticked.name())
        .fetch_optional(&self.reader)
        .await?;
        Ok(busy.is_none())
    }

    /// Tasks that somebody works on, oldest first. One whose time has run out is among them until somebody takes it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leased_tasks(&self) -> Result<Vec<LeasedTask>> {
        let rows = sqlx::query(
            "SELECT id, name, key, subject, attempts, lease_owner, lease_until, cancelled, created_at FROM tasks
             WHERE status = 'leased' ORDER BY id",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LeasedTask {
                    id: row.number("id")?,
                    name: row.text("name")?,
                    key: row.text("key")?,
                    subject: row.text("subject")?,
                    attempts: u32::try_from(row.count("attempts")?).unwrap_or(u32::MAX),
                    owner: Owner::new(row.text("lease_owner")?),
                    until: row.time("lease_until")?,
                    cancelled: row.flag("cancelled")?,
                    created_at: row.time("created_at")?,
                })
            })
            .collect()
    }

    /// Tasks that were given up, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failed_tasks(&self) -> Result<Vec<FailedTask>> {
        let rows = sqlx::query(
            "SELECT id, name, key, subject, attempts, last_error, created_at FROM tasks
             WHERE status = 'failed' ORDER BY id",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(FailedTask {
                    id: row.number("id")?,
                    name: row.text("name")?,
                    key: row.text("key")?,
                    subject: row.text("subject")?,
                    attempts: u32::try_from(row.count("attempts")?).unwrap_or(u32::MAX),
                    error: row.optional_text("last_error")?.unwrap_or_default(),
                    created_at: row.time("created_at")?,
                })
            })
            .collect()
    }
}
