use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::{Database, NOW, claim_event, event, on_every_database, what};
use crate::domain::event::Keyed;
use crate::domain::ids::Digest;
use crate::store::Store;
use crate::store::deliveries::{Accepted, NewDelivery};

on_every_database!(
    a_delivery_acts_once,
    another_body_under_a_known_id_does_nothing,
    the_same_happening_under_another_id_acts_once,
    what_comes_together_is_told_apart,
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
    store.accept_deliveries(&[delivery], NOW).await.unwrap()[0]
}

async fn events(store: &Store) -> u64 {
    store.pending(NOW).await.unwrap().events
}

async fn a_delivery_acts_once(database: &Database) {
    let store = &database.store;
    let twice = || delivery("a", "body", vec![event(1, "first"), event(1, "second")]);
    assert_eq!(accept(store, twice()).await, Accepted::New);
    assert_eq!(accept(store, twice()).await, Accepted::Repeated);
    assert_eq!(events(store).await, 2);
}

async fn another_body_under_a_known_id_does_nothing(database: &Database) {
    let store = &database.store;
    accept(store, delivery("a", "body", vec![event(1, "true")])).await;
    let answer = accept(store, delivery("a", "other", vec![event(1, "false")])).await;
    assert_eq!((answer, events(store).await), (Accepted::Conflicting, 1));
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
    assert_eq!(events(store).await, 4);
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
    // More than one statement holds.
    for number in 0..40 {
        group.push(telling(&format!("more {number}"), &format!("more {number}")));
        expected.push(New);
    }
    assert_eq!(store.accept_deliveries(&group, NOW).await.unwrap(), expected);
    assert_eq!(events(store).await, 42);
    for first in ["push 0", "push 1", "more 0", "more 1"] {
        let claimed = claim_event(store, NOW).await.unwrap();
        assert_eq!(what(&claimed), first, "in the order in which they came");
        store.fail_event(&claimed.lease, "seen").await.unwrap();
    }
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
        other.await.unwrap();
        let claimed = claim_event(store, NOW).await.unwrap();
        let is_first = what(&claimed) == "delivery";
        store.fail_event(&claimed.lease, "seen").await.unwrap();
        while let Some(claimed) = claim_event(store, NOW).await {
            store.fail_event(&claimed.lease, "seen").await.unwrap();
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
    assert_eq!((new, events(&database.store).await), (1, 1));
}

async fn a_delivery_survives_the_end_of_the_process(database: &Database) {
    accept(&database.store, delivery("a", "body", vec![event(1, "kept")])).await;
    database.store.close().await;
    let store = database.open_again().await;
    assert_eq!(accept(&store, delivery("a", "body", vec![])).await, Accepted::Repeated);
    assert_eq!(what(&claim_event(&store, NOW).await.unwrap()), "kept");
}
