//! The database: all SQL, and only SQL.
//!
//! One [`Store`] speaks to every database in one portable subset of SQL. A method is one use case and one transaction:
//! it happens as a whole or not at all, also when the process is killed in the middle. Nothing here decides what
//! happens next, asks the time, or talks to anything but the database; rows come out as plain structs and domain types.
//!
//! What the queries may use: TEXT, BIGINT and DOUBLE PRECISION columns, JSON and ids as TEXT, time as milliseconds since
//! the epoch, flags as 0 and 1, `$1` placeholders, `ON CONFLICT`, `RETURNING`; sums cast to BIGINT.
//!
//! # One writer at a time, on every database
//!
//! All that differs between SQLite and PostgreSQL is how to connect (`connect`), how a writing transaction begins
//! (`Store::write`), whose leases a new process may free (`Leases::Abandoned`), and how damage is told ([`error`]). SQLite lets one transaction write at a time.
//! PostgreSQL would let many, so there each takes an advisory lock first, which falls with its transaction, also when its
//! process or its machine dies. That keeps two replicas from taking one task, or two events of one key, and gives ids in
//! the order of commits; and every proof about a query holds on both databases, because no writer ever sees another one
//! half way. Readers never wait. Deliveries alone come in without the lock, one statement for many: nobody else writes those
//! rows but whoever claims next, and puts their events into the queue under the lock.
//!
//! The price is that commits reach the disk one after another. It is small, because what is written often takes ids
//! from one row of `counters`, whose lock would be held to the end of the transaction anyway; and because everything that
//! comes in masses (records of runs) comes in batches. Measured on two busy cores, unoptimised, with commits on disk: 1,800
//! events a second and 700 events claimed and decided a second, by one replica or by two with sixteen workers (SQLite:
//! 2,800 and 1,400). Row locks (`FOR UPDATE SKIP LOCKED`) would need another claim for each
//! database, and a second lock for the keys; serializable transactions would need every caller to try again.

pub mod about;
mod connect;
pub mod deliveries;
pub mod error;
mod history;
mod keys;
pub mod queue;
pub mod registry;
mod row;
pub mod runs;
mod schema;
pub mod states;
#[cfg(test)]
mod tests;
pub mod totals;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use sqlx::any::Any;
use sqlx::{AnyConnection, AnyPool, Transaction};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

pub use error::{Conflict, StoreError};

/// What every method of the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A handle on the database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    system: System,
    /// The address, without any password.
    address: String,
    /// One connection on SQLite: writers wait for each other here, in order, and not inside the database.
    writer: AnyPool,
    /// Connections that only read.
    reader: AnyPool,
    /// Held for writing while deliveries come in, see [`Store::deliveries_first`].
    first: Arc<RwLock<()>>,
    /// The next delivery's place in line.
    next_arrival: Arc<AtomicI64>,
}

/// Deliveries go first while this lives.
#[derive(Debug)]
pub struct DeliveriesFirst {
    _guard: OwnedRwLockWriteGuard<()>,
}

/// How long does other work wait at most for deliveries that go first? Long enough to leave them nearly all of the time,
/// short enough that every lease is renewed in a flood that does not end.
const STEP_BACK: Duration = Duration::from_millis(500);

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    /// A file that one instance has for itself.
    Sqlite,
    /// A server that several replicas of an instance may share.
    Postgres,
}

/// What every writing transaction on PostgreSQL locks: the letters `modelship`, as far as they fit.
const WRITE_LOCK: i64 = 0x6d6f_6465_6c73_6869;

impl Store {
    /// Opens the database at `url` and brings its tables up to date.
    ///
    /// `url` is `sqlite:` and the path of a file, which is made if it is not there, with the folders of that path; or
    /// `postgres://user:password@host:port/database`, which must be there and may be empty. Several processes may have the
    /// same database open.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] when `url` names no database that this program knows or that lets it in,
    /// [`StoreError::Corrupt`] when it is none of ours or a newer program has changed its tables,
    /// [`StoreError::Unavailable`] otherwise. None of them shows a password.
    pub async fn open(url: &str) -> Result<Self> {
        let store = connect::connect(url).await?;
        let mut transaction = store.write().await?;
        schema::migrate(&mut transaction).await?;
        transaction.commit().await?;
        Ok(store)
    }

    /// Which database this is, for people: the address without any password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Closes every connection and waits until the database has been let go.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Lets deliveries go first as long as the answer lives: every other transaction that writes steps back for a moment
    /// before it begins. Who sends a delivery waits for an answer and may give up; all other work can wait.
    pub async fn deliveries_first(&self) -> DeliveriesFirst {
        DeliveriesFirst { _guard: Arc::clone(&self.first).write_owned().await }
    }

    /// Begins a transaction that may write, after deliveries.
    async fn write(&self) -> Result<Transaction<'static, Any>> {
        // Whoever has waited long enough goes on.
        let _ = tokio::time::timeout(STEP_BACK, self.first.read()).await;
        self.write_at_once().await
    }

    /// Begins a transaction that may write. It holds the database's only write lock until it ends; dropped without
    /// `commit`, it leaves no trace.
    async fn write_at_once(&self) -> Result<Transaction<'static, Any>> {
        match self.system {
            System::Sqlite => Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?),
            System::Postgres => {
                // Read committed: what is read after the lock was taken includes what its last holder committed.
                let mut transaction = self.writer.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
                let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITE_LOCK);
                lock.execute(&mut *transaction).await?;
                Ok(transaction)
            }
        }
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
