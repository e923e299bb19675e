//! Jobs: announced, found again, ended.

use sqlx::any::AnyRow;

use super::{JobProgress, JobRow};
use crate::domain::ids::{ModelName, SweepId, Time};
use crate::domain::sweep::state::JobHandle;
use crate::store::row::Cells;
use crate::store::{Result, Store, StoreError};

/// How many of a model's newest jobs tell how long its runs take?
const SAMPLE: i64 = 100;

impl Store {
    /// Keeps the jobs of a round. A job that is known already keeps what was read of it and gets its new token.
    ///
    /// # Errors
    /// When the database fails; then none is kept.
    pub async fn add_jobs(
        &self,
        sweep: &SweepId,
        round: u32,
        model: &ModelName,
        jobs: &[JobHandle],
        now: Time,
    ) -> Result<()> {
        let mut transaction = self.write().await?;
        for job in jobs {
            sqlx::query(
                "INSERT INTO jobs (place, sweep, round, model, token, created_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (place) DO UPDATE SET token = excluded.token",
            )
            .bind(job.place.as_str())
            .bind(sweep.as_str())
            .bind(i64::from(round))
            .bind(model.to_string())
            .bind(job.token.as_str())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The job at `place`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job(&self, place: &str) -> Result<Option<JobRow>> {
        let row = sqlx::query("SELECT * FROM jobs WHERE place = $1").bind(place).fetch_optional(&self.reader).await?;
        row.as_ref().map(job_row).transpose()
    }

    /// The jobs of a round, by place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn jobs_of_round(&self, sweep: &SweepId, round: u32) -> Result<Vec<JobRow>> {
        let rows = sqlx::query("SELECT * FROM jobs WHERE sweep = $1 AND round = $2 ORDER BY place")
            .bind(sweep.as_str())
            .bind(i64::from(round))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(job_row).collect()
    }

    /// The jobs that have not ended as far as we know, of every sweep.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_jobs(&self) -> Result<Vec<JobRow>> {
        let rows = sqlx::query("SELECT * FROM jobs WHERE ended = 0 ORDER BY place").fetch_all(&self.reader).await?;
        rows.iter().map(job_row).collect()
    }

    /// Notes that a job has ended and all its records are indexed. Noting it again changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_job_ended(&self, place: &str) -> Result<()> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE jobs SET ended = 1 WHERE place = $1").bind(place).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How long a good run of `model` takes, in milliseconds, from its newest jobs; nothing before the first one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mean_wall_ms(&self, model: &ModelName) -> Result<Option<u64>> {
        let row = sqlx::query(
            "SELECT CAST(SUM(succeeded_ms) AS BIGINT) AS wall_ms, CAST(SUM(succeeded) AS BIGINT) AS runs
             FROM (SELECT succeeded_ms, succeeded FROM jobs WHERE model = $1 AND succeeded > 0
                   ORDER BY created_at DESC LIMIT $2) AS newest",
        )
        .bind(model.to_string())
        .bind(SAMPLE)
        .fetch_one(&self.reader)
        .await?;
        let Some(wall_ms) = row.optional_number("wall_ms")? else { return Ok(None) };
        let mean = wall_ms / row.number("runs")?.max(1);
        Ok(Some(u64::try_from(mean).unwrap_or(0)))
    }
}

fn job_row(row: &AnyRow) -> Result<JobRow> {
    Ok(JobRow {
        handle: JobHandle { place: row.text("place")?, token: row.text("token")? },
        sweep: row.id("sweep")?,
        round: round(row)?,
        model: row.id("model")?,
        byte_offset: row.count("byte_offset")?,
        succeeded: row.count("succeeded")?,
        failed: row.count("failed")?,
        progress: if row.flag("ended")? { JobProgress::Ended } else { JobProgress::Running },
        created_at: row.time("created_at")?,
    })
}

/// The column `round`.
pub(super) fn round(row: &AnyRow) -> Result<u32> {
    u32::try_from(row.count("round")?).map_err(|_| StoreError::corrupt("a round's number is out of range"))
}
