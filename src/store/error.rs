//! How the store fails: the database's fault, a rule of the registry or the queue, or data that nobody can read.

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::domain::ids::{ChannelName, ModelName, Repository, VersionId};

/// Why a method of the store did nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is down, locked for too long, or its disk is full. Trying again later may help.
    #[error("the database cannot be used now; try again, and look at its disk and its server")]
    Unavailable(#[source] sqlx::Error),
    /// A rule forbids it. Trying again does not help.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Somebody else holds the task now, or it is done; what this worker found out no longer counts.
    #[error("the lease on task {task} is lost")]
    LeaseLost {
        /// The task.
        task: i64,
    },
    /// The database holds something that this program cannot read.
    #[error("the database holds something unreadable: {what}")]
    Corrupt {
        /// What, and where.
        what: String,
    },
    /// The address names no database.
    #[error("`{url}` is no database that modelship can open: {reason}")]
    BadUrl {
        /// The address, without any password.
        url: String,
        /// Why not, and what to write instead.
        reason: &'static str,
    },
}

/// A rule that stands against what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A model's name belongs to the repository that registered it first.
    #[error(
        "model `{model}` belongs to repository `{}` and cannot be published from `{}`; choose another owner or title",
        owner.name, other.name
    )]
    OtherRepository {
        /// The model.
        model: ModelName,
        /// The repository that has it.
        owner: Box<Repository>,
        /// The repository that wants it.
        other: Box<Repository>,
    },
    /// A version never changes.
    #[error("version `{version}` of `{model}` is registered with another {field}; a version never changes")]
    VersionDiffers {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionId,
        /// The first thing that differs.
        field: &'static str,
    },
    /// What nobody else can check out stays on the machine where it was made.
    #[error(
        "version `{version}` was built from uncommitted changes and cannot go to `{channel}`; commit them and build again"
    )]
    DirtyVersion {
        /// The version.
        version: VersionId,
        /// The channel.
        channel: ChannelName,
    },
    /// The model has no such version.
    #[error("model `{model}` has no version `{version}`")]
    UnknownVersion {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionId,
    },
    /// There is nothing to go back to.
    #[error("channel `{channel}` of `{model}` has never pointed to another version, so it cannot move back")]
    NoPrevious {
        /// The model.
        model: ModelName,
        /// The channel.
        channel: ChannelName,
    },
    /// Records of a job that was never announced.
    #[error("there is no job `{place}`")]
    UnknownJob {
        /// The job's place.
        place: String,
    },
}

impl StoreError {
    /// Something unreadable in the database.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. } => Self::corrupt(error.to_string()),
            sqlx::Error::Database(inner) if is_damage(inner.as_ref()) => Self::corrupt(error.to_string()),
            _ => Self::Unavailable(error),
        }
    }
}

/// Whether the database says that what it holds is damaged, or is not what this program has put there.
fn is_damage(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        // Damaged pages and indexes; a missing table, column or function.
        return matches!(&*code, "XX001" | "XX002" | "42P01" | "42703" | "42883");
    }
    // SQLite: the file is damaged (11) or no database at all (26). The low byte is the primary code.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 11 | 26))
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(version) => Self::corrupt(format!(
                "its tables are at step {version}, which this program does not know; use the newer program"
            )),
            other => Self::corrupt(other.to_string()),
        }
    }
}
