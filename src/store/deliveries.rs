//! Deliveries: one webhook request each, kept before it is answered, acted on once.

use std::slice;
use std::sync::atomic::Ordering::Relaxed;

use sqlx::AssertSqlSafe;

use super::row::{Cells, json, placeholders};
use super::{Result, Store, StoreError};
use crate::domain::event::Keyed;
use crate::domain::ids::{Digest, Time};

/// How many deliveries does one commit keep at most? Each number is a statement of its own to prepare, and more would
/// not make it cheaper.
pub const GROUP: usize = 16;

/// What leaves out the rows that are known, and keeps the others.
const OR_NOTHING: &str = " ON CONFLICT DO NOTHING";

/// A verified webhook request.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// The forge's own id of the request, the same for each time that it is sent again.
    pub id: String,
    /// What the forge calls the event: `push`, `pull_request`.
    pub event: String,
    /// The digest of the request's body.
    pub body_digest: Digest,
    /// What tells this happening from all others, whoever told of it; none when the request does not say enough.
    pub meaning: Option<Digest>,
    /// What follows from it.
    pub events: Vec<Keyed>,
    /// When it came in.
    pub received_at: Time,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is kept, and so are its events.
    New,
    /// It was kept before, or another one told of the same; its events are not kept again.
    Repeated,
    /// Another body came under the same id before; nothing was done.
    Conflicting,
}

impl Store {
    /// Keeps deliveries with the events that follow from them, and says for each what became of it; up to [`GROUP`] with
    /// one statement, which is one commit. Once this has answered, no crash loses them. Their events get in line with the
    /// next claim.
    ///
    /// # Errors
    /// When the database fails. Some may be kept then, and are known when they come again.
    pub async fn accept_deliveries(&self, deliveries: &[NewDelivery]) -> Result<Vec<Accepted>> {
        let mut accepted = Vec::with_capacity(deliveries.len());
        for group in deliveries.chunks(GROUP) {
            // Nearly always all of them are new.
            if group.len() > 1 && self.insert_all(group).await? {
                accepted.extend(group.iter().map(|_| Accepted::New));
                continue;
            }
            for delivery in group {
                accepted.push(self.accept_one(delivery).await?);
            }
        }
        Ok(accepted)
    }

    /// Keeps all of them if all are new, and none otherwise.
    async fn insert_all(&self, deliveries: &[NewDelivery]) -> Result<bool> {
        match self.insert(deliveries, "").await {
            Ok(_) => Ok(true),
            Err(StoreError::Unavailable(sqlx::Error::Database(error))) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps a delivery if it is new. One that tells what is known under another id is kept without its events, so that
    /// its own id is known the next time.
    async fn accept_one(&self, delivery: &NewDelivery) -> Result<Accepted> {
        if self.insert(slice::from_ref(delivery), OR_NOTHING).await? == 1 {
            return Ok(Accepted::New);
        }
        let heard = NewDelivery { meaning: None, events: Vec::new(), ..delivery.clone() };
        if self.insert(&[heard], OR_NOTHING).await? == 1 {
            return Ok(Accepted::Repeated);
        }
        let row = sqlx::query("SELECT body_digest FROM deliveries WHERE id = $1").bind(delivery.id.as_str());
        let same = row.fetch_one(&self.reader).await?.text("body_digest")? == delivery.body_digest.as_str();
        Ok(if same { Accepted::Repeated } else { Accepted::Conflicting })
    }

    /// Inserts deliveries, and says how many it were. Each statement is a transaction of its own, and needs no lock: nobody
    /// else changes these rows, and whoever comes second is told so by an index.
    async fn insert(&self, deliveries: &[NewDelivery], known: &str) -> Result<u64> {
        let statement = format!(
            "INSERT INTO deliveries (id, event, body_digest, received_at, meaning, arrival, events) VALUES {}{known}",
            placeholders(0, deliveries.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for delivery in deliveries {
            query = query
                .bind(delivery.id.as_str())
                .bind(delivery.event.as_str())
                .bind(delivery.body_digest.as_str())
                .bind(delivery.received_at.0)
                .bind(delivery.meaning.as_ref().map(Digest::as_str))
                .bind(self.arrival(delivery.received_at))
                .bind((!delivery.events.is_empty()).then(|| json(&delivery.events)).transpose()?);
        }
        Ok(query.execute(&self.writer).await?.rows_affected())
    }

    /// The place in line of a delivery that comes in `now`: behind all before it in this process, and comparable with those
    /// of others, as it is a moment in microseconds.
    fn arrival(&self, now: Time) -> i64 {
        self.next_arrival.fetch_max(now.0.saturating_mul(1000), Relaxed);
        self.next_arrival.fetch_add(1, Relaxed)
    }
}
