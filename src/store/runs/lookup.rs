//! Looking runs up, one or thousands.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::index::failure_class;
use super::jobs::round;
use super::{FAILED, KnownRun, RunFilter, RunOutcome, SUCCEEDED};
use crate::domain::ids::{RunId, SweepId};
use crate::store::registry::{Found, past};
use crate::store::row::Cells;
use crate::store::{Result, Store};

/// How many runs does one statement look up?
const CHUNK: usize = 500;

/// How many runs are listed when a short name is not unique?
const LISTED: i64 = 20;

impl Store {
    /// Whether any run has a result.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_runs(&self) -> Result<bool> {
        Ok(sqlx::query("SELECT run_id FROM runs LIMIT 1").fetch_optional(&self.reader).await?.is_some())
    }

    /// Those of `run_ids` that have a result. Fast for many thousands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn known_runs(&self, run_ids: &[RunId]) -> Result<HashMap<RunId, KnownRun>> {
        let places: Vec<String> = (1..=CHUNK).map(|number| format!("${number}")).collect();
        let statement = format!("SELECT * FROM runs WHERE run_id IN ({})", places.join(", "));
        let mut known = HashMap::new();
        for chunk in run_ids.chunks(CHUNK) {
            // The last id fills the places that are left, so that one prepared statement serves every chunk.
            let filling = std::iter::repeat(&chunk[chunk.len() - 1]);
            let query = chunk
                .iter()
                .chain(filling)
                .take(CHUNK)
                .fold(sqlx::query(AssertSqlSafe(statement.as_str())), |query, run| query.bind(run.as_str()));
            for row in &query.fetch_all(&self.reader).await? {
                let run = known_run(row)?;
                known.insert(run.run.clone(), run);
            }
        }
        Ok(known)
    }

    /// The run whose id begins with `prefix`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run(&self, prefix: &str) -> Result<Found<KnownRun>> {
        let rows = sqlx::query("SELECT * FROM runs WHERE run_id >= $1 AND run_id < $2 ORDER BY run_id LIMIT $3")
            .bind(prefix)
            .bind(past(prefix))
            .bind(LISTED)
            .fetch_all(&self.reader)
            .await?;
        Ok(Found::of(rows.iter().map(known_run).collect::<Result<_>>()?))
    }

    /// The run of a model of the repository of that number whose id begins with `prefix`; runs of other repositories are
    /// as if they were not there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_of(&self, prefix: &str, repository: i64) -> Result<Found<KnownRun>> {
        let rows = sqlx::query(
            "SELECT runs.* FROM runs
             JOIN jobs ON jobs.place = runs.place
             JOIN models ON models.name = jobs.model
             WHERE runs.run_id >= $1 AND runs.run_id < $2 AND models.repository_id = $3
             ORDER BY runs.run_id LIMIT $4",
        )
        .bind(prefix)
        .bind(past(prefix))
        .bind(repository)
        .bind(LISTED)
        .fetch_all(&self.reader)
        .await?;
        Ok(Found::of(rows.iter().map(known_run).collect::<Result<_>>()?))
    }

    /// Up to `limit` runs that `sweep` executed and whose newest result is its, ordered by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_of_sweep(&self, sweep: &SweepId, filter: RunFilter, limit: u32) -> Result<Vec<KnownRun>> {
        let outcome = match filter {
            RunFilter::All => None,
            RunFilter::Succeeded => Some(SUCCEEDED),
            RunFilter::Failed => Some(FAILED),
        };
        let rows = sqlx::query(
            "SELECT * FROM runs WHERE sweep = $1 AND outcome = COALESCE($2, outcome) ORDER BY run_id LIMIT $3",
        )
        .bind(sweep.as_str())
        .bind(outcome)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(known_run).collect()
    }
}

fn known_run(row: &AnyRow) -> Result<KnownRun> {
    let class = row.optional_text("class")?;
    Ok(KnownRun {
        run: row.id("run_id")?,
        outcome: match class {
            None => RunOutcome::Succeeded,
            Some(class) => RunOutcome::Failed(failure_class(&class)?),
        },
        sweep: row.id("sweep")?,
        round: round(row)?,
        place: row.text("place")?,
        byte_offset: row.count("byte_offset")?,
        byte_length: row.count("byte_length")?,
        wall_ms: row.count("wall_ms")?,
        indexed_at: row.time("indexed_at")?,
    })
}
