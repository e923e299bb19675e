//! Keeping leases alive, freeing them, and cancelling what they stand for.

use std::time::Duration;

use sqlx::Row;

use super::{Beat, Lease, Leases};
use crate::domain::ids::Time;
use crate::store::{Result, Store, System};

impl Store {
    /// Prolongs leases to `lease` from `now` and tells how each one stands, in the same order.
    ///
    /// # Errors
    /// When the database fails; then none is prolonged.
    pub async fn heartbeat(&self, leases: &[Lease], now: Time, lease: Duration) -> Result<Vec<Beat>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.write().await?;
        let mut beats = Vec::with_capacity(leases.len());
        for held in leases {
            let row = sqlx::query(
                "UPDATE tasks SET lease_until = $4
                 WHERE id = $1 AND status = 'leased' AND lease_owner = $2 AND attempts = $3
                 RETURNING cancelled",
            )
            .bind(held.task)
            .bind(held.owner.as_str())
            .bind(held.attempt)
            .bind(now.plus(lease).0)
            .fetch_optional(&mut *transaction)
            .await?;
            let cancelled = row.map(|row| row.try_get::<i64, _>("cancelled")).transpose()?;
            beats.push(match cancelled {
                None => Beat::Lost,
                Some(0) => Beat::Ok,
                Some(_) => Beat::Cancelled,
            });
        }
        transaction.commit().await?;
        Ok(beats)
    }

    /// Frees leases, so that their tasks can be taken at once, and returns how many.
    ///
    /// # Errors
    /// When the database fails; then none is freed.
    pub async fn release_leases(&self, whose: Leases<'_>) -> Result<u64> {
        let owner = match (whose, self.system) {
            (Leases::Of(owner), _) => Some(owner.as_str()),
            (Leases::Abandoned, System::Sqlite) => None,
            (Leases::Abandoned, System::Postgres) => return Ok(0),
        };
        let mut transaction = self.write().await?;
        let freed = sqlx::query(
            "UPDATE tasks SET status = 'pending', lease_owner = NULL, lease_until = NULL
             WHERE status = 'leased' AND lease_owner = COALESCE($1, lease_owner)",
        )
        .bind(owner)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(freed)
    }

    /// Cancels the effects of this name, key and subject, and returns how many there were. Those that nobody has taken
    /// become due at once and are claimed as cancelled; the workers of the others are told by their next heartbeat. Either
    /// way the effect itself reports its end, so that no crash can lose it.
    ///
    /// # Errors
    /// When the database fails; then none is cancelled.
    pub async fn cancel_effects(&self, name: &str, key: &str, subject: &str, now: Time) -> Result<u64> {
        let mut transaction = self.write().await?;
        let cancelled = sqlx::query(
            "UPDATE tasks SET cancelled = 1, not_before = CASE WHEN status = 'pending' THEN $4 ELSE not_before END
             WHERE key = $1 AND kind = 'effect' AND name = $2 AND subject = $3 AND status <> 'failed'",
        )
        .bind(key)
        .bind(name)
        .bind(subject)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(cancelled)
    }
}
