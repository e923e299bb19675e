//! Stories about the store. Each is a plain function over a database, so that every database runs the same ones.

mod deliveries;
mod effects;
mod events;
mod history;
mod keys;
mod opening;
mod registry;
mod replicas;
mod runs;
mod totals;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tempfile::TempDir;

use super::Store;
use super::queue::{ClaimedEffect, ClaimedEvent, CommitDecision, NewEffect, Owner};
use crate::domain::effect::{Effect, Lane};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::{PullNumber, PullRef, Repository, RepositoryName, SweepId, Time};

/// Runs stories on each kind of database, each story on a fresh one.
macro_rules! on_every_database {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story(&crate::store::tests::Database::sqlite().await).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story(&crate::store::tests::Database::postgres().await).await;
                }
            )+
        }
    };
}
use on_every_database;

/// A database of one story's own. A file is gone with this value, a database on a server with that server.
struct Database {
    store: Store,
    url: String,
    /// Another empty database of the same kind.
    fresh: String,
    _folder: Option<TempDir>,
}

impl Database {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("inner folder/modelship.db").display());
        Self { store: Store::open(&url).await.unwrap(), fresh: format!("{url}-fresh"), url, _folder: Some(folder) }
    }

    async fn postgres() -> Self {
        let (url, fresh) = (empty_postgres().await, empty_postgres().await);
        Self { store: Store::open(&url).await.unwrap(), url, fresh, _folder: None }
    }

    /// Another handle with connections of its own, as another process would have.
    async fn open_again(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }
}

/// The URL of the throw-away server, without a database.
fn postgres_server() -> String {
    std::env::var("MODELSHIP_TEST_POSTGRES").expect(
        "the suite needs a PostgreSQL in MODELSHIP_TEST_POSTGRES; start it with `scripts/with-postgres cargo test`",
    )
}

/// The URL of a new database on the throw-away server.
async fn empty_postgres() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    sqlx::any::install_default_drivers();
    let server = postgres_server();
    let name = format!("story_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let options: AnyConnectOptions = format!("{server}/postgres").parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await.unwrap();
    connection.close().await.unwrap();
    format!("{server}/{name}")
}

const LEASE: Duration = Duration::from_secs(30);
const NOW: Time = Time(1_000_000);

/// `seconds` after the story began.
fn at(seconds: u64) -> Time {
    NOW.plus(Duration::from_secs(seconds))
}

fn owner() -> Owner {
    Owner::new("engine-1")
}

fn repository() -> Repository {
    Repository { id: 7, name: RepositoryName::parse("urban/hub").unwrap() }
}

fn pull(number: u64) -> PullRef {
    PullRef { repository: repository(), number: PullNumber(number) }
}

fn sweep(name: &str) -> SweepId {
    SweepId::parse(name).unwrap()
}

/// An event for pull request `number` that can be told from others by `what`.
fn event(number: u64, what: &str) -> Keyed {
    let event =
        Event::EffectFailed { effect: "UpsertComment".to_owned(), subject: what.to_owned(), reason: String::new() };
    Keyed { key: Key::Pull(pull(number)), event }
}

/// What tells events of [`event`] apart.
fn what(claimed: &ClaimedEvent) -> &str {
    match &claimed.keyed.event {
        Event::EffectFailed { subject, .. } => subject,
        other => other.name(),
    }
}

fn comment(body: &str) -> Effect {
    Effect::UpsertComment { pull: pull(1), marker: "plan".to_owned(), body: body.to_owned() }
}

fn body(claimed: &ClaimedEffect) -> &str {
    match &claimed.effect {
        Effect::UpsertComment { body, .. } => body,
        other => other.name(),
    }
}

fn now(effect: Effect) -> NewEffect {
    NewEffect { effect, not_before: None, coalesce: None }
}

fn coalesced(effect: Effect, not_before: Option<Time>) -> NewEffect {
    NewEffect { effect, not_before, coalesce: Some("plan".to_owned()) }
}

/// Puts effects into the queue the only way there is: as the outcome of a decision.
async fn decide_effects(store: &Store, effects: Vec<NewEffect>, time: Time) {
    store.enqueue_events(&[event(99, "cause")], time).await.unwrap();
    let claimed = store.claim_event(&owner(), time, LEASE).await.unwrap().unwrap();
    let decision = CommitDecision { effects, ..CommitDecision::default() };
    store.commit_decision(&claimed.lease, decision, time).await.unwrap();
}

async fn claim_event(store: &Store, time: Time) -> Option<ClaimedEvent> {
    store.claim_event(&owner(), time, LEASE).await.unwrap()
}

async fn claim_quick(store: &Store, time: Time) -> Vec<ClaimedEffect> {
    store.claim_effects(&owner(), Lane::Quick, 10, time, LEASE).await.unwrap()
}
