//! Indexing records: what has been read of a job is counted exactly once, by whoever reads it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use sqlx::{AnyConnection, AssertSqlSafe};

use super::{FAILED, IndexedRun, RunOutcome, SUCCEEDED, class_text, failure_text};
use crate::domain::ids::{SweepId, Time};
use crate::domain::sweep::record::FailureClass;
use crate::domain::sweep::state::RoundCounts;
use crate::store::row::{Cells, placeholders, stored};
use crate::store::{Conflict, Result, Store, StoreError};

/// How many rows does one statement insert? `SQLite` looks each placeholder up among all of its statement by name, so a
/// row of a statement twice as long costs twice as much; a statement costs PostgreSQL a round trip.
const ROWS: usize = 32;

/// The job that records belong to.
struct Job {
    place: String,
    sweep: SweepId,
    round: i64,
}

impl Store {
    /// Indexes what was read between two offsets of a job's record file, and returns how its whole round stands.
    ///
    /// Nothing is changed when the job's stored offset is not `read.start`: somebody else has read further, and the
    /// round's counts include that. Of records of one run, a success replaces a failure, a later failure an earlier one,
    /// and nothing replaces a success.
    ///
    /// # Errors
    /// [`Conflict::UnknownJob`] when no job has this place.
    pub async fn index_records(
        &self,
        place: &str,
        read: Range<u64>,
        rows: &[IndexedRun],
        now: Time,
    ) -> Result<RoundCounts> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT sweep, round, byte_offset FROM jobs WHERE place = $1")
            .bind(place)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Err(Conflict::UnknownJob { place: place.to_owned() }.into()) };
        let job = Job { place: place.to_owned(), sweep: row.id("sweep")?, round: row.number("round")? };
        if row.count("byte_offset")? == read.start && read.start < read.end {
            let rows = one_for_each_run(rows);
            for chunk in rows.chunks(ROWS) {
                insert_runs(&mut transaction, &job, chunk, now).await?;
            }
            count(&mut transaction, &job, read.end, &rows).await?;
        }
        let counts = counts(&mut transaction, job.sweep.as_str(), job.round).await?;
        transaction.commit().await?;
        Ok(counts)
    }

    /// How a round stands: all records of its jobs that are indexed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round_counts(&self, sweep: &SweepId, round: u32) -> Result<RoundCounts> {
        let mut connection = self.reader.acquire().await?;
        counts(&mut connection, sweep.as_str(), i64::from(round)).await
    }
}

/// The rows with each run once, in their order: its success if there is one, else its last failure. One statement may
/// not touch a row twice.
fn one_for_each_run(rows: &[IndexedRun]) -> Vec<&IndexedRun> {
    let mut position = HashMap::new();
    let mut kept: Vec<&IndexedRun> = Vec::with_capacity(rows.len());
    for row in rows {
        match position.get(&row.run) {
            None => {
                position.insert(&row.run, kept.len());
                kept.push(row);
            }
            Some(&at) if kept[at].outcome != RunOutcome::Succeeded => kept[at] = row,
            Some(_) => {}
        }
    }
    kept
}

async fn insert_runs(connection: &mut AnyConnection, job: &Job, rows: &[&IndexedRun], now: Time) -> Result<()> {
    let statement = format!(
        "INSERT INTO runs
             (sweep, round, place, indexed_at, run_id, outcome, class, byte_offset, byte_length, wall_ms)
         VALUES {}
         ON CONFLICT (run_id) DO UPDATE SET
             sweep = excluded.sweep, round = excluded.round, outcome = excluded.outcome, class = excluded.class,
             place = excluded.place, byte_offset = excluded.byte_offset, byte_length = excluded.byte_length,
             wall_ms = excluded.wall_ms, indexed_at = excluded.indexed_at
         WHERE runs.outcome = 'failed'",
        placeholders(4, rows.len(), 6)
    );
    // Only the statement for a full chunk comes often enough to be kept prepared.
    let mut query = sqlx::query(AssertSqlSafe(statement))
        .persistent(rows.len() == ROWS)
        .bind(job.sweep.as_str())
        .bind(job.round)
        .bind(job.place.as_str())
        .bind(now.0);
    for row in rows {
        let (outcome, class) = match row.outcome {
            RunOutcome::Succeeded => (SUCCEEDED, None),
            RunOutcome::Failed(class) => (FAILED, Some(failure_text(class))),
        };
        query = query
            .bind(row.run.as_str())
            .bind(outcome)
            .bind(class)
            .bind(stored(row.byte_offset))
            .bind(stored(row.byte_length))
            .bind(stored(row.wall_ms));
    }
    query.execute(connection).await?;
    Ok(())
}

/// Adds the rows to the counts of the job and of its round, and moves the job's offset.
async fn count(connection: &mut AnyConnection, job: &Job, offset: u64, rows: &[&IndexedRun]) -> Result<()> {
    let mut classes: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let (runs, wall_ms) = classes.entry(class_text(row.outcome)).or_default();
        *runs += 1;
        *wall_ms += row.wall_ms;
    }
    for (class, (runs, wall_ms)) in &classes {
        sqlx::query(
            "INSERT INTO round_counts (sweep, round, class, runs, wall_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (sweep, round, class) DO UPDATE SET
                 runs = round_counts.runs + excluded.runs, wall_ms = round_counts.wall_ms + excluded.wall_ms",
        )
        .bind(job.sweep.as_str())
        .bind(job.round)
        .bind(*class)
        .bind(stored(*runs))
        .bind(stored(*wall_ms))
        .execute(&mut *connection)
        .await?;
    }
    let (succeeded, succeeded_ms) = classes.get(SUCCEEDED).copied().unwrap_or_default();
    sqlx::query(
        "UPDATE jobs SET byte_offset = $2, succeeded = succeeded + $3, succeeded_ms = succeeded_ms + $4,
             failed = failed + $5
         WHERE place = $1",
    )
    .bind(job.place.as_str())
    .bind(stored(offset))
    .bind(stored(succeeded))
    .bind(stored(succeeded_ms))
    .bind(stored(rows.len() as u64 - succeeded))
    .execute(connection)
    .await?;
    Ok(())
}

async fn counts(connection: &mut AnyConnection, sweep: &str, round: i64) -> Result<RoundCounts> {
    let rows = sqlx::query("SELECT class, runs, wall_ms FROM round_counts WHERE sweep = $1 AND round = $2")
        .bind(sweep)
        .bind(round)
        .fetch_all(connection)
        .await?;
    let mut counts = RoundCounts::default();
    for row in &rows {
        let class = row.text("class")?;
        counts.run_ms += row.count("wall_ms")?;
        if class == SUCCEEDED {
            counts.succeeded = row.count("runs")?;
        } else {
            counts.failed.insert(failure_class(&class)?, row.count("runs")?);
        }
    }
    Ok(counts)
}

/// The failure class that the database spells `text`.
pub(super) fn failure_class(text: &str) -> Result<FailureClass> {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let spelled: StrDeserializer<'_, Error> = text.into_deserializer();
    FailureClass::deserialize(spelled).map_err(|_| StoreError::corrupt(format!("there is no failure class `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_class_is_read_as_it_was_written() {
        for class in [
            FailureClass::Interrupted,
            FailureClass::OutOfMemory,
            FailureClass::Timeout,
            FailureClass::CannotStart,
            FailureClass::InvalidOutput,
            FailureClass::ModelError,
        ] {
            assert_eq!(failure_class(failure_text(class)).unwrap(), class);
            assert_eq!(serde_json::to_value(class).unwrap(), failure_text(class));
        }
        assert!(matches!(failure_class("tired"), Err(StoreError::Corrupt { .. })));
    }
}
