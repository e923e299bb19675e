//! Deliveries: one webhook request each, kept before it is answered, acted on once.

use sqlx::Row;

use super::queue::enqueue;
use super::{Result, Store};
use crate::domain::event::Keyed;
use crate::domain::ids::{Digest, Time};

/// A verified webhook request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The forge's own id of the request, the same for each time that it is sent again.
    pub id: String,
    /// What the forge calls the event: `push`, `pull_request`.
    pub event: String,
    /// The digest of the request's body.
    pub body_digest: Digest,
    /// When it came in.
    pub received_at: Time,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is kept, and so are its events.
    New,
    /// It was kept before; nothing was done.
    Repeated,
    /// Another body came under the same id before; nothing was done.
    Conflicting,
}

impl Store {
    /// Keeps a delivery and the events that follow from it. Once this has answered, no crash loses them.
    ///
    /// # Errors
    /// When the database fails; then nothing is kept.
    pub async fn accept_delivery(&self, delivery: &NewDelivery, tasks: &[Keyed], now: Time) -> Result<Accepted> {
        let mut transaction = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO deliveries (id, event, body_digest, received_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(delivery.id.as_str())
        .bind(delivery.event.as_str())
        .bind(delivery.body_digest.as_str())
        .bind(delivery.received_at.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if inserted == 0 {
            let known: String = sqlx::query("SELECT body_digest FROM deliveries WHERE id = $1")
                .bind(delivery.id.as_str())
                .fetch_one(&mut *transaction)
                .await?
                .try_get("body_digest")?;
            let same = known == delivery.body_digest.as_str();
            return Ok(if same { Accepted::Repeated } else { Accepted::Conflicting });
        }
        enqueue::events(&mut transaction, tasks, now).await?;
        transaction.commit().await?;
        Ok(Accepted::New)
    }
}
