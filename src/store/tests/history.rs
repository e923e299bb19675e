use super::{Database, LEASE, NOW, at, claim_quick, comment, decide_effects, event, now, on_every_database, owner};
use crate::domain::event::Keyed;
use crate::domain::ids::{Digest, Time};
use crate::store::Store;
use crate::store::deliveries::{Accepted, NewDelivery};
use crate::store::queue::{Failed, NewEffect};

on_every_database!(only_what_is_old_and_over_is_forgotten, a_clock_that_was_set_back_keeps_nothing_waiting,);

async fn accept(store: &Store, id: &str, events: Vec<Keyed>, received_at: Time) -> Accepted {
    let (id, body_digest) = (id.to_owned(), Digest::of(id));
    let delivery = NewDelivery { id, event: "push".to_owned(), body_digest, meaning: None, events, received_at };
    store.accept_deliveries(&[delivery]).await.unwrap()[0]
}

async fn only_what_is_old_and_over_is_forgotten(database: &Database) {
    let store = &database.store;
    accept(store, "old", vec![event(1, "old")], NOW).await;
    decide_effects(store, vec![now(comment("failed")), now(comment("waiting"))], NOW).await;
    let failed = claim_quick(store, NOW).await.remove(0);
    store.fail_effect(&failed.lease, "no", Failed::ForGood, &[], NOW).await.unwrap();
    accept(store, "new", vec![], at(100)).await;
    let before = store.pending(at(100)).await.unwrap();

    assert_eq!(store.forget(NOW).await.unwrap(), 0, "nothing is from before that");
    assert!(store.forget(at(100)).await.unwrap() >= 3, "a delivery, a decided event and a failed task");
    assert_eq!(store.forget(at(100)).await.unwrap(), 0);
    let after = store.pending(at(100)).await.unwrap();
    assert_eq!((after.events, after.effects, after.leased), (before.events, before.effects, before.leased));
    assert_eq!((before.failed, after.failed), (1, 0));
    assert_eq!(accept(store, "new", vec![], at(100)).await, Accepted::Repeated);
    assert_eq!(accept(store, "old", vec![], at(100)).await, Accepted::New);
}

async fn a_clock_that_was_set_back_keeps_nothing_waiting(database: &Database) {
    let store = &database.store;
    assert_eq!(store.newest_moment().await.unwrap(), None);
    let later = NewEffect { not_before: Some(at(7300)), ..now(comment("later")) };
    decide_effects(store, vec![now(comment("taken")), later], at(7200)).await;
    assert_eq!(claim_quick(store, at(7200)).await.len(), 1, "and its worker dies");
    assert_eq!(store.newest_moment().await.unwrap(), Some(at(7200)));

    // Two hours back.
    assert!(claim_quick(store, NOW).await.is_empty());
    assert_eq!(store.clock_was_set_back(NOW, LEASE).await.unwrap(), 2);
    assert_eq!(claim_quick(store, NOW).await.len(), 1, "what waited is due");
    assert!(store.claim_event(&owner(), NOW, LEASE).await.unwrap().is_none());
    let expired = NOW.plus(LEASE);
    assert_eq!(claim_quick(store, expired).await.len(), 2, "and what the dead had is free once its time has run out");
    assert_eq!(store.clock_was_set_back(expired, LEASE).await.unwrap(), 0);
}
