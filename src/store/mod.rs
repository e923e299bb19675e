//! The database: all SQL, and only SQL.
//!
//! One [`Store`] speaks to every database in one portable subset of SQL. A method is one use case and one transaction:
//! it happens as a whole or not at all, also when the process is killed in the middle. Nothing here decides what
//! happens next, asks the time, or talks to anything but the database; rows come out as plain structs and domain types.
//!
//! What the queries may use: TEXT, BIGINT and DOUBLE PRECISION columns, JSON and ids as TEXT, time as milliseconds since
//! the epoch, flags as 0 and 1, `$1` placeholders, `ON CONFLICT`, `RETURNING`; sums cast to BIGINT.

mod connect;
pub mod deliveries;
pub mod error;
pub mod queue;
pub mod registry;
mod row;
pub mod runs;
mod schema;
pub mod states;
#[cfg(test)]
mod tests;

use sqlx::any::Any;
use sqlx::{AnyConnection, AnyPool, Transaction};

pub use error::{Conflict, StoreError};

/// What every method of the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A handle on the database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection on SQLite: writers wait for each other here, in order, and not inside the database.
    writer: AnyPool,
    /// Connections that only read.
    reader: AnyPool,
}

impl Store {
    /// Opens the database at `url`, makes it if it is not there, and brings its tables up to date.
    ///
    /// `url` is `sqlite:` and the path of a file; missing folders of that path are made. Several processes may have the
    /// same file open.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] when `url` names no database that this program knows, [`StoreError::Corrupt`] when the
    /// file is none of ours or a newer program has changed its tables, [`StoreError::Unavailable`] otherwise.
    pub async fn open(url: &str) -> Result<Self> {
        let (writer, reader) = connect::connect(url).await?;
        let store = Self { writer, reader };
        let mut transaction = store.write().await?;
        schema::migrate(&mut transaction).await?;
        transaction.commit().await?;
        Ok(store)
    }

    /// Closes every connection and waits until the database has been let go.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT value FROM counters WHERE name = $1").bind("task").fetch_one(&self.reader).await?;
        Ok(())
    }

    /// Begins a transaction that may write. It holds the database's only write lock until it ends; dropped without
    /// `commit`, it leaves no trace.
    async fn write(&self) -> Result<Transaction<'static, Any>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Takes `count` new ids of the counter `name` and returns the first one.
async fn take_ids(connection: &mut AnyConnection, name: &str, count: usize) -> Result<i64> {
    let count = row::stored(count as u64);
    let last: i64 = sqlx::query_scalar("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(count)
        .bind(name)
        .fetch_one(connection)
        .await?;
    Ok(last - count + 1)
}
