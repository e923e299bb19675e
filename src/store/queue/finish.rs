//! Ending tasks. Each way first proves the lease, then writes the result and removes the task, all in one transaction.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::{CommitDecision, Failed, Kept, Lease, NewState, enqueue};
use crate::domain::event::{Event, Keyed};
use crate::domain::ids::Time;
use crate::store::row::{Cells, cut, storable};
use crate::store::totals::{self, Total};
use crate::store::{Result, Store, StoreError};

/// How much of an event is kept in the log, in bytes? Enough to see what it said; progress reports with log tails of
/// many failed runs would else outgrow everything.
const LOGGED_BYTES: usize = 8 * 1024;

/// How much of an error is kept with its task, in bytes?
const ERROR_BYTES: usize = 8 * 1024;

impl Store {
    /// Commits a decision: the key's new state, new events and effects, a line in the log, and the event's end.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the event has been taken by another worker since; then nothing is changed.
    pub async fn commit_decision(&self, claim: &Lease, decision: CommitDecision, now: Time) -> Result<()> {
        let CommitDecision { state, events, effects, outcome } = decision;
        let mut transaction = self.write().await?;
        let task = prove(&mut transaction, claim).await?;
        if let Some(state) = state {
            write_state(&mut transaction, &task.text("key")?, state, now).await?;
        }
        write_log(&mut transaction, &task, outcome, now).await?;
        remove(&mut transaction, claim).await?;
        enqueue::events(&mut transaction, &events, now).await?;
        enqueue::effects(&mut transaction, &effects, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Gives an event up that could not be decided because of a defect of ours. It is kept as failed, and the key goes on.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the event has been taken by another worker since; then nothing is changed.
    pub async fn fail_event(&self, lease: &Lease, error: &str) -> Result<()> {
        let mut transaction = self.write().await?;
        prove(&mut transaction, lease).await?;
        give_up(&mut transaction, lease, error).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends an effect that was done and keeps the events that tell of it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the effect has been taken by another worker since; then nothing is changed.
    pub async fn finish_effect(&self, lease: &Lease, events: &[Keyed], now: Time) -> Result<()> {
        let mut transaction = self.write().await?;
        let task = prove(&mut transaction, lease).await?;
        remove(&mut transaction, lease).await?;
        enqueue::events(&mut transaction, events, now).await?;
        totals::add(&mut transaction, Total::Effect, &task.text("name")?, "done").await?;
        for outcome in events.iter().filter_map(|keyed| keyed.event.build_outcome()) {
            totals::add(&mut transaction, Total::Build, "", outcome).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Puts an effect that failed back, or gives it up; and keeps the events that tell of it.
    ///
    /// When a newer effect with the same coalescing key waits, that one takes over the pause and the counts, and this one
    /// is done. A thread that takes no words for weeks leaves one failed task, and not one for each word.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the effect has been taken by another worker since; then nothing is changed.
    pub async fn fail_effect(
        &self,
        lease: &Lease,
        error: &str,
        failed: Failed,
        events: &[Keyed],
        now: Time,
    ) -> Result<Kept> {
        let mut transaction = self.write().await?;
        let task = prove(&mut transaction, lease).await?;
        let newer = match task.optional_text("coalesce_key")? {
            Some(key) => enqueue::newest_waiting(&mut transaction, &key).await?,
            None => None,
        };
        let (at, waited) = match failed {
            Failed::Again(at) => (Some(at), 0),
            Failed::Waits(at) => (Some(at), 1),
            Failed::ForGood | Failed::Refused | Failed::Left => (None, 0),
        };
        let kept = match (at, newer) {
            (None, _) if failed == Failed::Left => {
                remove(&mut transaction, lease).await?;
                Kept::Nothing
            }
            (None, _) if failed == Failed::Refused && was_refused(&mut transaction, &task, error).await? => {
                remove(&mut transaction, lease).await?;
                Kept::RefusedAgain
            }
            (None, _) => {
                give_up(&mut transaction, lease, error).await?;
                Kept::GivenUp
            }
            (Some(at), None) => {
                put_back(&mut transaction, lease, error, (at, waited)).await?;
                Kept::Waiting
            }
            (Some(at), Some(newer)) => {
                remove(&mut transaction, lease).await?;
                let pause = Pause { at, attempts: lease.attempt, waits: task.number("waits")? + waited };
                hand_on(&mut transaction, newer, pause).await?;
                Kept::Waiting
            }
        };
        enqueue::events(&mut transaction, events, now).await?;
        let result = if kept == Kept::Waiting { "retried" } else { "failed" };
        totals::add(&mut transaction, Total::Effect, &task.text("name")?, result).await?;
        transaction.commit().await?;
        Ok(kept)
    }
}

/// The task of the lease, when the lease still holds.
async fn prove(connection: &mut AnyConnection, lease: &Lease) -> Result<AnyRow> {
    let row = sqlx::query(
        "SELECT id, key, name, payload, coalesce_key, created_at, waits FROM tasks
         WHERE id = $1 AND status = 'leased' AND lease_owner = $2 AND attempts = $3",
    )
    .bind(lease.task)
    .bind(lease.owner.as_str())
    .bind(lease.attempt)
    .fetch_optional(connection)
    .await?;
    row.ok_or(StoreError::LeaseLost { task: lease.task })
}

async fn write_state(connection: &mut AnyConnection, key: &str, state: NewState, now: Time) -> Result<()> {
    sqlx::query(
        "INSERT INTO states (key, kind, body, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (key) DO UPDATE SET
             kind = excluded.kind, body = excluded.body, updated_at = excluded.updated_at",
    )
    .bind(key)
    .bind(state.kind)
    .bind(state.json)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Logs a decided event. Ticks are left out: they say nothing and come for ever.
async fn write_log(connection: &mut AnyConnection, task: &AnyRow, outcome: String, now: Time) -> Result<()> {
    let name = task.text("name")?;
    if name == Event::Ticked.name() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO event_log (id, key, name, payload, created_at, decided_at, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(task.number("id")?)
    .bind(task.text("key")?)
    .bind(name)
    .bind(cut(&task.text("payload")?, LOGGED_BYTES))
    .bind(task.number("created_at")?)
    .bind(now.0)
    .bind(storable(&outcome))
    .execute(connection)
    .await?;
    Ok(())
}

async fn remove(connection: &mut AnyConnection, lease: &Lease) -> Result<()> {
    sqlx::query("DELETE FROM tasks WHERE id = $1").bind(lease.task).execute(connection).await?;
    Ok(())
}

async fn give_up(connection: &mut AnyConnection, lease: &Lease, error: &str) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET status = 'failed', lease_owner = NULL, lease_until = NULL, last_error = $2 WHERE id = $1",
    )
    .bind(lease.task)
    .bind(cut(error, ERROR_BYTES))
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether an effect of the task's kind is kept that was about the same and given up for the same reason.
async fn was_refused(connection: &mut AnyConnection, task: &AnyRow, error: &str) -> Result<bool> {
    let before = sqlx::query(
        "SELECT id FROM tasks
         WHERE key = $1 AND name = $2 AND kind = 'effect' AND status = 'failed' AND last_error = $3 LIMIT 1",
    )
    .bind(task.text("key")?)
    .bind(task.text("name")?)
    .bind(cut(error, ERROR_BYTES))
    .fetch_optional(connection)
    .await?;
    Ok(before.is_some())
}

/// The effect waits until a moment, which adds so much to its waits.
async fn put_back(connection: &mut AnyConnection, lease: &Lease, error: &str, (at, waited): (Time, i64)) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET status = 'pending', lease_owner = NULL, lease_until = NULL, last_error = $2, not_before = $3,
             waits = waits + $4
         WHERE id = $1",
    )
    .bind(lease.task)
    .bind(cut(error, ERROR_BYTES))
    .bind(at.0)
    .bind(waited)
    .execute(connection)
    .await?;
    Ok(())
}

/// Where an effect stopped.
struct Pause {
    at: Time,
    attempts: i64,
    waits: i64,
}

/// The waiting effect `newer` goes on where another stopped.
async fn hand_on(connection: &mut AnyConnection, newer: i64, pause: Pause) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET attempts = $2, waits = $3,
             not_before = CASE WHEN not_before > $4 THEN not_before ELSE $4 END
         WHERE id = $1",
    )
    .bind(newer)
    .bind(pause.attempts)
    .bind(pause.waits)
    .bind(pause.at.0)
    .execute(connection)
    .await?;
    Ok(())
}
