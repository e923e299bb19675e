//! Deliveries: one webhook request each, kept before it is answered, acted on once.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::queue::enqueue;
use super::row::{Cells, placeholders};
use super::{Result, Store};
use crate::domain::event::Keyed;
use crate::domain::ids::{Digest, Time};

/// How many deliveries does one statement insert? Each number is a statement of its own to prepare.
const ROWS: usize = 16;

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
    /// Keeps deliveries and the events that follow from them, all with one commit, and says for each what became of it.
    /// Once this has answered, no crash loses them.
    ///
    /// # Errors
    /// When the database fails; then none is kept.
    pub async fn accept_deliveries(&self, deliveries: &[NewDelivery], now: Time) -> Result<Vec<Accepted>> {
        // Nearly always all of them are new.
        if self.accept_new(deliveries, now).await? {
            return Ok(vec![Accepted::New; deliveries.len()]);
        }
        let mut transaction = self.write_at_once().await?;
        let mut accepted = Vec::with_capacity(deliveries.len());
        let mut events = Vec::new();
        for delivery in deliveries {
            // Of two copies in one call, the first one counts.
            if insert(&mut transaction, std::slice::from_ref(delivery)).await? == 1 {
                events.extend(&delivery.events);
                accepted.push(Accepted::New);
            } else {
                accepted.push(known(&mut transaction, delivery).await?);
            }
        }
        enqueue::events(&mut transaction, &events, now).await?;
        transaction.commit().await?;
        Ok(accepted)
    }

    /// Keeps all of them if all are new, and none otherwise.
    async fn accept_new(&self, deliveries: &[NewDelivery], now: Time) -> Result<bool> {
        let mut transaction = self.write_at_once().await?;
        for chunk in deliveries.chunks(ROWS) {
            if insert(&mut transaction, chunk).await? < chunk.len() as u64 {
                return Ok(false);
            }
        }
        let events: Vec<_> = deliveries.iter().flat_map(|delivery| &delivery.events).collect();
        enqueue::events(&mut transaction, &events, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Inserts the deliveries whose id and meaning are new, and says how many they are.
async fn insert(connection: &mut AnyConnection, deliveries: &[NewDelivery]) -> Result<u64> {
    let statement = format!(
        "INSERT INTO deliveries (id, event, body_digest, received_at, meaning) VALUES {}
         ON CONFLICT DO NOTHING",
        placeholders(0, deliveries.len(), 5)
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for delivery in deliveries {
        query = query
            .bind(delivery.id.as_str())
            .bind(delivery.event.as_str())
            .bind(delivery.body_digest.as_str())
            .bind(delivery.received_at.0)
            .bind(delivery.meaning.as_ref().map(Digest::as_str));
    }
    Ok(query.execute(connection).await?.rows_affected())
}

/// What became of a delivery whose row was not inserted: its id is known, or else its meaning is. In that case its id is
/// kept too, so that the next time it is known.
async fn known(connection: &mut AnyConnection, delivery: &NewDelivery) -> Result<Accepted> {
    let row = sqlx::query("SELECT body_digest FROM deliveries WHERE id = $1")
        .bind(delivery.id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = row {
        let same = row.text("body_digest")? == delivery.body_digest.as_str();
        return Ok(if same { Accepted::Repeated } else { Accepted::Conflicting });
    }
    sqlx::query("INSERT INTO deliveries (id, event, body_digest, received_at) VALUES ($1, $2, $3, $4)")
        .bind(delivery.id.as_str())
        .bind(delivery.event.as_str())
        .bind(delivery.body_digest.as_str())
        .bind(delivery.received_at.0)
        .execute(connection)
        .await?;
    Ok(Accepted::Repeated)
}
