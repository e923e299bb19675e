//! What the database remembers only for people, and for how long.

use super::{Result, Store};
use crate::domain::ids::Time;

/// How many of the oldest decided events are looked at together. The log has no other order than that of its ids.
const BATCH: i64 = 2_000;

impl Store {
    /// Forgets deliveries, decided events and tasks that were given up from before `since`, and says how many there were.
    /// Nothing that is still to be done, and no version, channel or run, is among them. A delivery that comes again after
    /// that is heard again, and finds nothing new to do.
    ///
    /// # Errors
    /// When the database fails; what was forgotten by then stays forgotten.
    pub async fn forget(&self, since: Time) -> Result<u64> {
        let mut forgotten = 0;
        for old in [
            "DELETE FROM deliveries WHERE received_at < $1 AND events IS NULL",
            "DELETE FROM tasks WHERE status = 'failed' AND created_at < $1",
        ] {
            let mut transaction = self.write().await?;
            forgotten += sqlx::query(old).bind(since.0).execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
        }
        loop {
            let mut transaction = self.write().await?;
            let decided = sqlx::query(
                "DELETE FROM event_log WHERE decided_at < $1 AND id <= (
                     SELECT MAX(oldest.id) FROM (SELECT id FROM event_log ORDER BY id LIMIT $2) oldest)",
            )
            .bind(since.0)
            .bind(BATCH)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            transaction.commit().await?;
            forgotten += decided;
            if decided == 0 {
                return Ok(forgotten);
            }
        }
    }
}
