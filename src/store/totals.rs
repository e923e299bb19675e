//! How often things ended, for whoever watches the instance.
//!
//! Counted in the transaction that ends them, so that neither a restart nor a second server makes a number wrong; read
//! without a look at what was counted.

use sqlx::AnyConnection;

use super::row::Cells;
use super::{Result, Store};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// Effects, by name.
    Effect,
    /// Builds.
    Build,
}

impl Total {
    fn as_str(self) -> &'static str {
        match self {
            Self::Effect => "effect",
            Self::Build => "build",
        }
    }
}

/// How often things ended since the database was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Effects: name, result (`done`, `retried`, `failed`), times.
    pub effects: Vec<(String, String, u64)>,
    /// Builds: result (`passed`, `failed`, `cancelled`), times.
    pub builds: Vec<(String, u64)>,
    /// Runs: `succeeded` or the class of their failure, times. A run that was done again counts each time.
    pub runs: Vec<(String, u64)>,
}

impl Store {
    /// How often things ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn totals(&self) -> Result<Totals> {
        let mut totals = Totals::default();
        let rows = sqlx::query("SELECT what, name, result, times FROM totals ORDER BY what, name, result")
            .fetch_all(&self.reader)
            .await?;
        for row in &rows {
            let (what, result, times) = (row.text("what")?, row.text("result")?, row.count("times")?);
            if what == Total::Effect.as_str() {
                totals.effects.push((row.text("name")?, result, times));
            } else if what == Total::Build.as_str() {
                totals.builds.push((result, times));
            }
        }
        // Some rows for each round of a sweep, never one for each run.
        let rows = sqlx::query(
            "SELECT class, CAST(SUM(runs) AS BIGINT) AS runs FROM round_counts GROUP BY class ORDER BY class",
        )
        .fetch_all(&self.reader)
        .await?;
        for row in &rows {
            totals.runs.push((row.text("class")?, row.count("runs")?));
        }
        Ok(totals)
    }
}

/// Counts one more.
pub(super) async fn add(connection: &mut AnyConnection, what: Total, name: &str, result: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO totals (what, name, result, times) VALUES ($1, $2, $3, 1)
         ON CONFLICT (what, name, result) DO UPDATE SET times = totals.times + 1",
    )
    .bind(what.as_str())
    .bind(name)
    .bind(result)
    .execute(connection)
    .await?;
    Ok(())
}
