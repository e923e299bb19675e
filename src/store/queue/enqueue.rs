//! Putting tasks in. Ids are given in the order of commits, so a smaller id was there earlier.

use std::borrow::Borrow;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::NewEffect;
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::Time;
use crate::store::row::{Cells, json, placeholders, stored};
use crate::store::{Result, Store, take_ids};

/// How many events does one statement insert? Many that come at once are rare, and each number is a statement of its own.
const ROWS: usize = 16;

impl Store {
    /// Keeps events for their keys.
    ///
    /// # Errors
    /// When the database fails; then none is kept.
    pub async fn enqueue_events(&self, events: &[Keyed], now: Time) -> Result<()> {
        let mut transaction = self.write().await?;
        self::events(&mut transaction, events, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps a tick, unless one waits already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue_tick(&self, now: Time) -> Result<()> {
        let tick = Keyed { key: Key::Instance, event: Event::Ticked };
        let mut transaction = self.write().await?;
        let waiting = sqlx::query(
            "SELECT id FROM tasks WHERE key = $1 AND kind = 'event' AND name = $2 AND status = 'pending' LIMIT 1",
        )
        .bind(tick.key.to_string())
        .bind(tick.event.name())
        .fetch_optional(&mut *transaction)
        .await?;
        if waiting.is_none() {
            events(&mut transaction, &[tick], now).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// Puts the events of deliveries that have come in into the queue, in their order, and says whether there were any. It
/// takes more than one claim needs and no more than one statement holds: in a flood, deliveries wait for it.
pub(super) async fn arrived(connection: &mut AnyConnection, now: Time) -> Result<bool> {
    let rows = sqlx::query(
        "SELECT id, received_at, events FROM deliveries WHERE events IS NOT NULL ORDER BY arrival LIMIT $1",
    )
    .bind(stored(ROWS as u64))
    .fetch_all(&mut *connection)
    .await?;
    let (mut arrived, mut since) = (Vec::new(), now);
    for row in &rows {
        match row.json::<Vec<Keyed>>("events") {
            Ok(events) => arrived.extend(events),
            Err(error) => {
                let id = row.text("id")?;
                tracing::error!(delivery.id = id, %error, "forgot a delivery that cannot be read; have it sent again");
                sqlx::query("DELETE FROM deliveries WHERE id = $1").bind(id).execute(&mut *connection).await?;
            }
        }
        since = since.min(row.time("received_at")?);
    }
    events(connection, &arrived, since).await?;
    if !rows.is_empty() {
        let statement = format!("UPDATE deliveries SET events = NULL WHERE id IN {}", placeholders(0, 1, rows.len()));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in &rows {
            query = query.bind(row.text("id")?);
        }
        query.execute(connection).await?;
    }
    Ok(!rows.is_empty())
}

/// Inserts events in their order.
pub(in crate::store) async fn events<E: Borrow<Keyed> + Sync>(
    connection: &mut AnyConnection,
    events: &[E],
    now: Time,
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let mut id = take_ids(connection, "task", events.len()).await?;
    for chunk in events.chunks(ROWS) {
        let statement = format!(
            "INSERT INTO tasks
                 (not_before, created_at, kind, status, subject, lane, id, name, key, payload)
             VALUES {}",
            rows_of_events(chunk.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(now.0);
        for keyed in chunk.iter().map(Borrow::borrow) {
            query = query.bind(id).bind(keyed.event.name()).bind(keyed.key.to_string()).bind(json(keyed)?);
            id += 1;
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The values of so many events: `$1` is the moment, each has an id, a name, a key and a payload of its own.
fn rows_of_events(count: usize) -> String {
    let row = |at: usize| {
        let [id, name, key, payload] = [2, 3, 4, 5].map(|own| at * 4 + own);
        format!("($1, $1, 'event', 'pending', '', '', ${id}, ${name}, ${key}, ${payload})")
    };
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

/// Inserts effects in their order; one with a coalescing key takes the place of the waiting one with that key.
pub(super) async fn effects(connection: &mut AnyConnection, effects: &[NewEffect], now: Time) -> Result<()> {
    for new in effects {
        let waiting = match &new.coalesce {
            Some(key) => newest_waiting(connection, key).await?,
            None => None,
        };
        match waiting {
            Some(id) => replace_effect(connection, id, new, now).await?,
            None => insert_effect(connection, new, now).await?,
        }
    }
    Ok(())
}

/// The newest effect with this coalescing key that nobody has taken.
pub(super) async fn newest_waiting(connection: &mut AnyConnection, coalesce_key: &str) -> Result<Option<i64>> {
    let row = sqlx::query(
        "SELECT id FROM tasks WHERE coalesce_key = $1 AND kind = 'effect' AND status = 'pending'
         ORDER BY id DESC LIMIT 1",
    )
    .bind(coalesce_key)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?)
}

async fn insert_effect(connection: &mut AnyConnection, new: &NewEffect, now: Time) -> Result<()> {
    let id = take_ids(connection, "task", 1).await?;
    let (key, subject) = new.effect.subject();
    sqlx::query(
        "INSERT INTO tasks
             (id, kind, status, name, key, subject, lane, payload, not_before, coalesce_key, created_at)
         VALUES ($1, 'effect', 'pending', $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(new.effect.name())
    .bind(key.to_string())
    .bind(subject)
    .bind(new.effect.lane().as_str())
    .bind(json(&new.effect)?)
    .bind(new.not_before.unwrap_or(now).0)
    .bind(new.coalesce.as_deref())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the waiting effect `id` a new content. It keeps its place and the earlier of both times; one that failed before
/// keeps its own time, or new content would undo the pause between attempts.
async fn replace_effect(connection: &mut AnyConnection, id: i64, new: &NewEffect, now: Time) -> Result<()> {
    let (key, subject) = new.effect.subject();
    sqlx::query(
        "UPDATE tasks SET name = $2, key = $3, subject = $4, lane = $5, payload = $6, cancelled = 0,
             not_before = CASE WHEN attempts > 0 OR not_before < $7 THEN not_before ELSE $7 END
         WHERE id = $1",
    )
    .bind(id)
    .bind(new.effect.name())
    .bind(key.to_string())
    .bind(subject)
    .bind(new.effect.lane().as_str())
    .bind(json(&new.effect)?)
    .bind(new.not_before.unwrap_or(now).0)
    .execute(connection)
    .await?;
    Ok(())
}
