//! Several engines on one database, and a server that goes away under them. Time is real here, as it is for them.

// The stories have such servers too.
#[path = "../../../tests/world/postgres.rs"]
#[expect(dead_code, reason = "the stories use the rest of it")]
mod own_server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use self::own_server::Postgres;
use super::{Database, LEASE, NOW, at, claim_event, event, on_every_database, owner, what};
use crate::domain::event::Keyed;
use crate::domain::ids::{Digest, Time};
use crate::store::deliveries::{Accepted, NewDelivery};
use crate::store::queue::{ClaimedEvent, CommitDecision, Leases, NewState, Owner};
use crate::store::{Store, StoreError};

on_every_database!(workers_that_stall_neither_lose_nor_repeat_anything);

/// How long a claim holds in these stories.
const SHORT: Duration = Duration::from_millis(400);

/// How long may a story take?
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys, and how many events each one gets.
const KEYS: u64 = 6;
const EVENTS: u64 = 20;

/// The moment, for claims and leases.
fn moment(began: Instant) -> Time {
    NOW.plus(began.elapsed())
}

/// The event `number` of a key, told apart by its number in two digits.
fn numbered(key: u64, number: u64) -> Keyed {
    event(key, &format!("{number:02}"))
}

/// The decision that adds the event to its key's state, which is the list of what was decided, in order.
fn append(claimed: &ClaimedEvent) -> CommitDecision {
    let json = format!("{} {}", claimed.state.as_deref().unwrap_or_default(), what(claimed));
    CommitDecision { state: Some(NewState { kind: "pull".to_owned(), json }), ..CommitDecision::default() }
}

/// Every key has all its events in its state, each once and in order, and nothing is left.
async fn all_decided_in_order(store: &Store) {
    let states: BTreeMap<_, _> =
        store.states("pull").await.unwrap().into_iter().map(|row| (row.key, row.json)).collect();
    let expected: String = (0..EVENTS).map(|number| format!(" {number:02}")).collect();
    assert_eq!(states.len() as u64, KEYS);
    for (key, state) in states {
        assert_eq!(state, expected, "{key}");
    }
    assert!(store.failed_tasks().await.unwrap().is_empty());
}

/// Six workers on two handles; each sometimes sleeps on a claim for longer than its lease and then commits all the same.
async fn workers_that_stall_neither_lose_nor_repeat_anything(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    let events: Vec<_> = (0..EVENTS).flat_map(|number| (0..KEYS).map(move |key| numbered(key, number))).collect();
    database.store.enqueue_events(&events, NOW).await.unwrap();
    let (began, fenced, left) = (Instant::now(), Arc::new(AtomicU32::new(0)), events.len());
    let decided = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..6)
        .map(|worker: u32| {
            let store = handles[worker as usize % 2].clone();
            let (fenced, decided) = (Arc::clone(&fenced), Arc::clone(&decided));
            tokio::spawn(async move {
                let owner = Owner::new(format!("engine-{worker}"));
                let mut turn = worker;
                while (decided.load(Ordering::Relaxed) as usize) < left {
                    assert!(began.elapsed() < PATIENCE, "{decided:?} of {left} are decided");
                    let claimed = store.claim_event(&owner, moment(began), SHORT).await.unwrap();
                    let Some(claimed) = claimed else {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    };
                    turn += 1;
                    if turn.is_multiple_of(9) {
                        tokio::time::sleep(SHORT + SHORT / 4).await;
                    }
                    match store.commit_decision(&claimed.lease, append(&claimed), moment(began)).await {
                        Ok(()) => decided.fetch_add(1, Ordering::Relaxed),
                        Err(StoreError::LeaseLost { .. }) => fenced.fetch_add(1, Ordering::Relaxed),
                        Err(error) => panic!("{error:?}"),
                    };
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(decided.load(Ordering::Relaxed) as usize, left, "each commit that was answered counts once");
    assert!(fenced.load(Ordering::Relaxed) > 0, "some workers were too slow, or this story shows nothing");
    all_decided_in_order(&database.store).await;
}

#[tokio::test]
async fn who_starts_frees_every_lease_on_a_file_and_none_of_a_replica() {
    let file = Database::sqlite().await;
    file.store.enqueue_events(&[event(1, "a")], NOW).await.unwrap();
    claim_event(&file.store, NOW).await.unwrap();
    assert_eq!(file.open_again().await.release_leases(Leases::Abandoned).await.unwrap(), 1);

    let server = Database::postgres().await;
    server.store.enqueue_events(&[event(1, "a")], NOW).await.unwrap();
    let claimed = claim_event(&server.store, NOW).await.unwrap();
    let replica = server.open_again().await;
    assert_eq!(replica.release_leases(Leases::Abandoned).await.unwrap(), 0);
    let other = Owner::new("engine-2");
    assert_eq!(replica.claim_event(&other, at(29), LEASE).await.unwrap(), None, "its owner still works on it");
    server.store.commit_decision(&claimed.lease, CommitDecision::default(), at(29)).await.unwrap();
}

fn delivery(key: u64, number: u64) -> NewDelivery {
    let id = format!("{key}-{number}");
    NewDelivery {
        body_digest: Digest::of(id.as_bytes()),
        id,
        event: "push".to_owned(),
        meaning: None,
        events: vec![numbered(key, number)],
        received_at: NOW,
    }
}

/// Deliveries come in and are decided on two handles while the server is stopped, twice, in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_starts_under_load_loses_and_repeats_nothing() {
    let server = Postgres::start();
    let url = server.url().to_owned();
    let handles = [Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap()];
    let (began, end) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let senders: Vec<_> = (0..KEYS)
        .map(|key| {
            let store = handles[usize::try_from(key % 2).unwrap()].clone();
            tokio::spawn(async move {
                let mut refused = 0;
                for number in 0..EVENTS {
                    // As a forge does that was answered 5xx: the same delivery once more.
                    loop {
                        let deliveries = [delivery(key, number)];
                        match store.accept_deliveries(&deliveries).await.map(|answers| answers[0]) {
                            Ok(Accepted::New | Accepted::Repeated) => break,
                            Ok(Accepted::Conflicting) => panic!("{key}-{number} conflicts"),
                            Err(StoreError::Unavailable(_)) => refused += 1,
                            Err(other) => panic!("{other:?}"),
                        }
                        assert!(began.elapsed() < PATIENCE);
                    }
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
                refused
            })
        })
        .collect();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (store, end) = (handles[worker % 2].clone(), Arc::clone(&end));
            tokio::spawn(async move {
                let owner = Owner::new(format!("engine-{worker}"));
                while !end.load(Ordering::Relaxed) {
                    match store.claim_event(&owner, moment(began), SHORT).await {
                        Ok(Some(claimed)) => {
                            match store.commit_decision(&claimed.lease, append(&claimed), moment(began)).await {
                                Ok(()) | Err(StoreError::LeaseLost { .. } | StoreError::Unavailable(_)) => {}
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                        Ok(None) | Err(StoreError::Unavailable(_)) => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();

    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        server.stop();
        let (asked, owner) = (Instant::now(), owner());
        let answers = tokio::join!(
            handles[0].check_ready(),
            handles[0].claim_event(&owner, NOW, LEASE),
            handles[1].release_leases(Leases::Of(&owner)),
        );
        assert!(matches!(answers.0, Err(StoreError::Unavailable(_))), "{:?}", answers.0);
        assert!(matches!(answers.1, Err(StoreError::Unavailable(_))), "{:?}", answers.1);
        assert!(matches!(answers.2, Err(StoreError::Unavailable(_))), "{:?}", answers.2);
        assert!(asked.elapsed() < Duration::from_secs(8), "before whoever sends a webhook gives up");
        server.start_again();
        handles[0].check_ready().await.unwrap();
    }
    let mut refused = 0;
    for sender in senders {
        refused += sender.await.unwrap();
    }
    assert!(refused > 0, "the server was away while deliveries came in, or this story shows nothing");
    while !handles[0].is_idle(moment(began)).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "{:?}", handles[0].pending(moment(began)).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    all_decided_in_order(&handles[1]).await;
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let url = super::empty_postgres().await;
    for (url, reason) in [
        (url.replace("story", "nowhere"), "no such database"),
        (url.replace(":secret@", ":secret-but-wrong@"), "refuses the user's name or password"),
        (format!("{url}?pasword=secret"), "option"),
        ("postgres://modelship:secret@127.0.0.1:1/nobody-listens".to_owned(), "cannot be used now"),
    ] {
        let error = match Store::open(&url).await {
            Err(error) => error,
            Ok(store) => panic!("{} was opened", store.address()),
        };
        let error = anyhow::Error::from(error);
        let shown = format!("{error:#} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains(reason), "{shown}");
    }
    let store = Store::open(&url).await.unwrap();
    assert!(!format!("{store:?} {}", store.address()).contains("secret"), "{store:?}");
}
