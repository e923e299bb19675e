//! What database this is, for whoever looks whether all is well.

use sqlx::Row as _;

use super::{Result, Store, System};
use crate::domain::ids::Time;

/// What database this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name and version: `SQLite 3.46.0`, `PostgreSQL 15.8`.
    pub system: String,
    /// How many of this program's migrations it has.
    pub migrations: u64,
    /// What time it is there; none when it has no clock of its own.
    pub now: Option<Time>,
}

impl Store {
    /// Asks the database what it is and what time it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn about(&self) -> Result<About> {
        let applied: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(&self.reader).await?;
        let migrations = u64::try_from(applied).unwrap_or(0);
        match self.system {
            System::Sqlite => {
                let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.reader).await?;
                Ok(About { system: format!("SQLite {version}"), migrations, now: None })
            }
            System::Postgres => {
                let row = sqlx::query(
                    "SELECT current_setting('server_version') AS version,
                         CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now",
                )
                .fetch_one(&self.reader)
                .await?;
                let version: String = row.try_get("version")?;
                Ok(About { system: format!("PostgreSQL {version}"), migrations, now: Some(Time(row.try_get("now")?)) })
            }
        }
    }
}
