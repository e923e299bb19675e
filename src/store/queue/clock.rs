//! What is left of a clock that was set back: moments that lie further ahead than anybody meant.

use std::time::Duration;

use crate::domain::ids::Time;
use crate::store::row::Cells;
use crate::store::{Result, Store};

impl Store {
    /// When the newest event that is remembered was decided; none when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_moment(&self) -> Result<Option<Time>> {
        let row = sqlx::query("SELECT decided_at FROM event_log ORDER BY id DESC LIMIT 1");
        row.fetch_optional(&self.reader).await?.map(|row| row.time("decided_at")).transpose()
    }

    /// Makes every task that waits due `now`, and every lease end within `lease` from now unless it is renewed; says how
    /// many tasks that changed. To be called once the clock is known to have been set back: a pause of seconds would last
    /// for hours, and a dead worker's task would never be free. To do something a little early harms nobody.
    ///
    /// # Errors
    /// When the database fails; then nothing is changed.
    pub async fn clock_was_set_back(&self, now: Time, lease: Duration) -> Result<u64> {
        let mut transaction = self.write().await?;
        let due = sqlx::query("UPDATE tasks SET not_before = $1 WHERE status <> 'failed' AND not_before > $1")
            .bind(now.0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        let leased = sqlx::query("UPDATE tasks SET lease_until = $1 WHERE status = 'leased' AND lease_until > $1")
            .bind(now.plus(lease).0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(due.max(leased))
    }
}
