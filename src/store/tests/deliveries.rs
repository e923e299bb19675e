use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Database, NOW, at, claim_event, event, on_every_database, what};
use crate::domain::event::Keyed;
use crate::domain::ids::Digest;
use crate::store::Store;
use crate::store::deliveries::{Accepted, NewDelivery};
use crate::store::queue::QueueDepth;

on_every_database!(
    a_delivery_acts_once,
    another_body_under_a_known_id_does_nothing,
    the_same_happening_under_another_id_acts_once,
    what_comes_together_is_told_apart,
    what_came_in_is_counted_until_it_is_decided,
    a_delivery_that_cannot_be_read_stops_no_other,
    other_work_steps_back_for_deliveries_and_goes_on,
    the_same_delivery_on_two_handles_at_once_acts_once,
    a_delivery_survives_the_end_of_the_process,
);

fn delivery(id: &str, body: &str, events: Vec<Keyed>) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        event: "push".to_owned(),
        body_digest: Digest::of(body),
        meaning: None,
        events,
        received_at: NOW,
    }
}

/// A delivery that tells of `meaning`.
fn telling(id: &str, meaning: &str) -> NewDelivery {
    let body = format!("{meaning}, told by {id}");
    NewDelivery { meaning: Some(Digest::of(meaning)), ..delivery(id, &body, vec![event(1, meaning)]) }
}

async fn accept(store: &Store, delivery: NewDelivery) -> Accepted {
    store.accept_deliveries(&[delivery]).await.unwrap()[0]
}

/// What is told of, in the order in which it is handed out.
async fn events(store: &Store) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(claimed) = claim_event(store, NOW).await {
        told.push(what(&claimed).to_owned());
        store.fail_event(&claimed.lease, "seen").await.unwrap();
    }
    told
}

async fn a_delivery_acts_once(database: &Database) {
    let store = &database.store;
    let twice = || delivery("a", "body", vec![event(1, "first"), event(1, "second")]);
    assert_eq!(accept(store, twice()).await, Accepted::New);
    assert_eq!(accept(store, twice()).await, Accepted::Repeated);
    assert_eq!(events(store).await, ["first", "second"]);
    assert_eq!(accept(store, twice()).await, Accepted::Repeated);
    assert_eq!(events(store).await, [""; 0]);
}

async fn another_body_under_a_known_id_does_nothing(database: &Database) {
    let store = &database.store;
    accept(store, delivery("a", "body", vec![event(1, "true")])).await;
    let answer = accept(store, delivery("a", "other", vec![event(1, "false")])).await;
    assert_eq!((answer, events(store).await), (Accepted::Conflicting, vec!["true".to_owned()]));
}

async fn the_same_happening_under_another_id_acts_once(database: &Database) {
    let store = &database.store;
    assert_eq!(accept(store, telling("a", "push 1")).await, Accepted::New);
    assert_eq!(accept(store, telling("b", "push 1")).await, Accepted::Repeated);
    assert_eq!(accept(store, telling("b", "push 1")).await, Accepted::Repeated, "its id is known by now");
    assert_eq!(accept(store, telling("b", "push 2")).await, Accepted::Conflicting);
    assert_eq!(accept(store, telling("c", "push 2")).await, Accepted::New);
    assert_eq!(accept(store, delivery("d", "body", vec![event(1, "unsure")])).await, Accepted::New);
    assert_eq!(
        accept(store, delivery("e", "body", vec![event(1, "unsure")])).await,
        Accepted::New,
        "nobody can be sure"
    );
    assert_eq!(events(store).await, ["push 1", "push 2", "unsure", "unsure"]);
}

async fn what_comes_together_is_told_apart(database: &Database) {
    use Accepted::{Conflicting, New, Repeated};
    let store = &database.store;
    accept(store, telling("known", "push 0")).await;
    let mut group = vec![
        telling("known", "push 0"),
        telling("a", "push 1"),
        telling("a", "push 1"),
        telling("b", "push 1"),
        telling("a", "push 2"),
        telling("c", "push 0"),
        telling("c", "push 3"),
    ];
    let mut expected = vec![Repeated, New, Repeated, Repeated, Conflicting, Repeated, Conflicting];
    // More than one commit keeps.
    for number in 0..300 {
        group.push(telling(&format!("more {number}"), &format!("more {number}")));
        expected.push(New);
    }
    assert_eq!(store.accept_deliveries(&group).await.unwrap(), expected);
    let in_order =
        ["push 0", "push 1"].map(str::to_owned).into_iter().chain((0..300).map(|number| format!("more {number}")));
    assert_eq!(events(store).await, in_order.collect::<Vec<_>>());
}

async fn what_came_in_is_counted_until_it_is_decided(database: &Database) {
    let store = &database.store;
    accept(store, delivery("silent", "body", vec![])).await;
    assert!(store.is_idle(NOW).await.unwrap(), "nothing follows from it");
    accept(store, delivery("a", "body", vec![event(1, "first")])).await;
    accept(store, delivery("b", "body", vec![event(2, "second")])).await;
    let waits = |depth: QueueDepth| (depth.events, depth.leased, depth.oldest_age);
    let age = Some(Duration::from_secs(7));
    assert_eq!(waits(store.pending(at(7)).await.unwrap()), (2, 0, age));
    assert!(!store.is_idle(NOW).await.unwrap() && store.has_tasks("model/ada/tides").await.unwrap());

    let claimed = claim_event(store, at(3)).await.unwrap();
    assert_eq!(waits(store.pending(at(7)).await.unwrap()), (1, 1, age), "as old as when it came in");
    accept(store, delivery("c", "body", vec![event(3, "third")])).await;
    assert_eq!(store.pending(NOW).await.unwrap().events, 2);
    store.fail_event(&claimed.lease, "seen").await.unwrap();
    assert_eq!(events(store).await, ["second", "third"], "those that wait in the queue came earlier");
    assert!(store.is_idle(NOW).await.unwrap() && !store.has_tasks("model/ada/tides").await.unwrap());
}

async fn a_delivery_that_cannot_be_read_stops_no_other(database: &Database) {
    let store = &database.store;
    accept(store, delivery("a", "body", vec![event(1, "first")])).await;
    accept(store, delivery("b", "body", vec![event(1, "second")])).await;
    sqlx::query("UPDATE deliveries SET events = 'not JSON' WHERE id = 'a'").execute(&store.writer).await.unwrap();
    assert_eq!(events(store).await, ["second"]);
    assert_eq!(
        accept(store, delivery("a", "body", vec![event(1, "first")])).await,
        Accepted::New,
        "it can be sent again"
    );
    assert_eq!(events(store).await, ["first"]);
}

async fn other_work_steps_back_for_deliveries_and_goes_on(database: &Database) {
    let store = &database.store;
    let _first = store.deliveries_first().await;
    // On a busy machine a delivery can take longer than others wait for it.
    let went_first = async |attempt: u64| {
        let work = [event(attempt, "work")];
        let mut other = pin!(store.enqueue_events(&work, NOW));
        let begun = poll_fn(|context| Poll::Ready(other.as_mut().poll(context))).await;
        assert!(begun.is_pending(), "it asks before the delivery does");
        accept(store, delivery(&format!("{attempt}"), "body", vec![event(attempt, "delivery")])).await;
        let is_first = poll_fn(|context| Poll::Ready(other.as_mut().poll(context))).await.is_pending();
        if is_first {
            other.await.unwrap();
        }
        is_first
    };
    for attempt in 1..=20 {
        if went_first(attempt).await {
            return;
        }
    }
    panic!("deliveries never went first");
}

async fn the_same_delivery_on_two_handles_at_once_acts_once(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    let requests: Vec<_> = (0..20)
        .map(|number| {
            let store = handles[number % 2].clone();
            tokio::spawn(async move { accept(&store, delivery("a", "body", vec![event(1, "once")])).await })
        })
        .collect();
    let mut new = 0;
    for request in requests {
        new += usize::from(request.await.unwrap() == Accepted::New);
    }
    assert_eq!((new, events(&database.store).await), (1, vec!["once".to_owned()]));
}

async fn a_delivery_survives_the_end_of_the_process(database: &Database) {
    accept(&database.store, delivery("a", "body", vec![event(1, "kept")])).await;
    database.store.close().await;
    let store = database.open_again().await;
    assert_eq!(accept(&store, delivery("a", "body", vec![])).await, Accepted::Repeated);
    assert_eq!(what(&claim_event(&store, NOW).await.unwrap()), "kept");
}
