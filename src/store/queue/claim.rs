//! Taking tasks out, one worker each.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::{ClaimedEffect, ClaimedEvent, Lease, Owner, enqueue};
use crate::domain::effect::Lane;
use crate::domain::ids::Time;
use crate::store::row::{Cells, storable};
use crate::store::{Result, Store};

/// The oldest event that is due and is the oldest of its key. A key's oldest event that is leased or not yet due holds
/// all later ones of that key back. `arrived` is whether deliveries have come in since.
const OLDEST_EVENT: &str = "
    SELECT t.id, t.key, t.payload, t.attempts,
        CAST((CASE WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.events IS NOT NULL) THEN 1 ELSE 0 END) AS BIGINT) AS arrived
    FROM tasks t
    WHERE t.kind = 'event' AND t.lane = '' AND t.not_before <= $1
      AND (t.status = 'pending' OR (t.status = 'leased' AND t.lease_until <= $1))
      AND NOT EXISTS (
          SELECT 1 FROM tasks o
          WHERE o.key = t.key AND o.kind = 'event' AND o.id < t.id AND o.status <> 'failed')
    ORDER BY t.id LIMIT 1";

/// Effects of a lane that are due, oldest first; of those with one coalescing key only the oldest.
const OLDEST_EFFECTS: &str = "
    SELECT t.id, t.payload, t.attempts, t.waits, t.cancelled FROM tasks t
    WHERE t.kind = 'effect' AND t.lane = $2 AND t.not_before <= $1
      AND (t.status = 'pending' OR (t.status = 'leased' AND t.lease_until <= $1))
      AND NOT EXISTS (
          SELECT 1 FROM tasks o
          WHERE o.coalesce_key = t.coalesce_key AND o.id < t.id AND o.status <> 'failed')
    ORDER BY t.id LIMIT $3";

impl Store {
    /// Takes the oldest event that may be decided now, with its key's state.
    ///
    /// An event that this program cannot read is put aside as failed, so that it does not stop its key.
    ///
    /// # Errors
    /// When the database fails; then nothing is taken.
    pub async fn claim_event(&self, owner: &Owner, now: Time, lease: Duration) -> Result<Option<ClaimedEvent>> {
        let mut transaction = self.write().await?;
        let claimed = loop {
            let oldest = sqlx::query(OLDEST_EVENT).bind(now.0).fetch_optional(&mut *transaction).await?;
            let is_late = oldest.as_ref().map(|row| row.flag("arrived")).transpose()?.unwrap_or(true);
            let more = is_late && enqueue::arrived(&mut transaction, now).await?;
            let Some(row) = oldest else {
                if more {
                    continue;
                }
                break None;
            };
            let Some(keyed) = readable(&mut transaction, &row).await? else { continue };
            let lease = take(&mut transaction, &row, owner, now.plus(lease)).await?;
            let state = sqlx::query_scalar("SELECT body FROM states WHERE key = $1")
                .bind(row.text("key")?)
                .fetch_optional(&mut *transaction)
                .await?;
            break Some(ClaimedEvent { lease, keyed, state });
        };
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Takes up to `limit` effects of `lane` that are due, oldest first.
    ///
    /// An effect that this program cannot read is put aside as failed.
    ///
    /// # Errors
    /// When the database fails; then nothing is taken.
    pub async fn claim_effects(
        &self,
        owner: &Owner,
        lane: Lane,
        limit: usize,
        now: Time,
        lease: Duration,
    ) -> Result<Vec<ClaimedEffect>> {
        let mut transaction = self.write().await?;
        let rows = sqlx::query(OLDEST_EFFECTS)
            .bind(now.0)
            .bind(lane.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(effect) = readable(&mut transaction, row).await? else { continue };
            let cancelled = row.flag("cancelled")?;
            let lease = take(&mut transaction, row, owner, now.plus(lease)).await?;
            let waits = row.number("waits")?;
            let [attempts, waits] =
                [lease.attempt - waits, waits].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            claimed.push(ClaimedEffect { lease, effect, attempts, waits, cancelled });
        }
        transaction.commit().await?;
        Ok(claimed)
    }
}

/// The row's payload; when it cannot be read, the task becomes a failed one and there is nothing.
async fn readable<T: serde::de::DeserializeOwned>(connection: &mut AnyConnection, row: &AnyRow) -> Result<Option<T>> {
    let error = match row.json("payload") {
        Ok(payload) => return Ok(Some(payload)),
        Err(error) => error.to_string(),
    };
    let id = row.number("id")?;
    tracing::error!(task.id = id, error, "put aside a task that cannot be read");
    sqlx::query(
        "UPDATE tasks SET status = 'failed', lease_owner = NULL, lease_until = NULL, last_error = $2 WHERE id = $1",
    )
    .bind(id)
    .bind(storable(&error))
    .execute(connection)
    .await?;
    Ok(None)
}

async fn take(connection: &mut AnyConnection, row: &AnyRow, owner: &Owner, until: Time) -> Result<Lease> {
    let lease = Lease { task: row.number("id")?, owner: owner.clone(), attempt: row.number("attempts")? + 1 };
    sqlx::query("UPDATE tasks SET status = 'leased', attempts = $2, lease_owner = $3, lease_until = $4 WHERE id = $1")
        .bind(lease.task)
        .bind(lease.attempt)
        .bind(owner.as_str())
        .bind(until.0)
        .execute(connection)
        .await?;
    Ok(lease)
}
