//! The tables and how they came to be: migrations in order, never edited once released, only added to.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, SqlSafeStr};

use super::{Result, Store, StoreError};

/// Every migration: its number, its name, its SQL. The list is written out so that a new file cannot be forgotten by an
/// incremental build.
const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "queue", include_str!("migrations/0001_queue.sql")),
    (2, "registry", include_str!("migrations/0002_registry.sql")),
    (3, "runs", include_str!("migrations/0003_runs.sql")),
    (4, "recipes", include_str!("migrations/0004_recipes.sql")),
    (5, "meaning_and_totals", include_str!("migrations/0005_meaning_and_totals.sql")),
    (7, "keys", include_str!("migrations/0007_keys.sql")),
    (8, "waits", include_str!("migrations/0008_waits.sql")),
    (9, "arrivals", include_str!("migrations/0009_arrivals.sql")),
];

/// Applies the migrations that the database does not have yet, inside the caller's transaction: two processes that
/// open a new database at once do it one after the other, and a failing one leaves the tables as they were.
///
/// # Errors
/// When an applied migration is not the one of this program, is unknown to it, or a new one fails.
pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<()> {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect());
    // The caller's transaction holds the only lock that is needed; one of the migrator's own would outlive a failure.
    migrator.set_locking(false);
    // `run` gives a future that cannot move between threads (`Acquire` is not general enough).
    migrator.run_direct(None, connection, false).await?;
    Ok(())
}

impl Store {
    /// Answers when the database does and has exactly the tables that this program works with.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it has other migrations than this program, for instance because a newer one has been
    /// here; [`StoreError::Unavailable`] when it does not answer.
    pub async fn check_ready(&self) -> Result<()> {
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(&self.reader).await?;
        let known: Vec<i64> = MIGRATIONS.iter().map(|(version, ..)| *version).collect();
        if applied == known {
            return Ok(());
        }
        Err(StoreError::corrupt(format!("it has the migrations {applied:?}, and this program works with {known:?}")))
    }
}
