use super::{Database, NOW, claim_event, event, on_every_database, what};
use crate::domain::ids::Digest;
use crate::store::deliveries::{Accepted, NewDelivery};

on_every_database!(
    a_delivery_acts_once,
    another_body_under_a_known_id_does_nothing,
    the_same_delivery_on_two_handles_at_once_acts_once,
    a_delivery_survives_the_end_of_the_process,
);

fn delivery(id: &str, body: &str) -> NewDelivery {
    NewDelivery { id: id.to_owned(), event: "push".to_owned(), body_digest: Digest::of(body), received_at: NOW }
}

async fn a_delivery_acts_once(database: &Database) {
    let store = &database.store;
    let tasks = [event(1, "first"), event(1, "second")];
    assert_eq!(store.accept_delivery(&delivery("a", "body"), &tasks, NOW).await.unwrap(), Accepted::New);
    assert_eq!(store.accept_delivery(&delivery("a", "body"), &tasks, NOW).await.unwrap(), Accepted::Repeated);
    assert_eq!(store.pending(NOW).await.unwrap().events, 2);
}

async fn another_body_under_a_known_id_does_nothing(database: &Database) {
    let store = &database.store;
    store.accept_delivery(&delivery("a", "body"), &[event(1, "true")], NOW).await.unwrap();
    let answer = store.accept_delivery(&delivery("a", "other"), &[event(1, "false")], NOW).await.unwrap();
    assert_eq!(answer, Accepted::Conflicting);
    assert_eq!(store.pending(NOW).await.unwrap().events, 1);
}

async fn the_same_delivery_on_two_handles_at_once_acts_once(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    let requests: Vec<_> = (0..20)
        .map(|number| {
            let store = handles[number % 2].clone();
            tokio::spawn(async move { store.accept_delivery(&delivery("a", "body"), &[event(1, "once")], NOW).await })
        })
        .collect();
    let mut new = 0;
    for request in requests {
        new += usize::from(request.await.unwrap().unwrap() == Accepted::New);
    }
    assert_eq!((new, database.store.pending(NOW).await.unwrap().events), (1, 1));
}

async fn a_delivery_survives_the_end_of_the_process(database: &Database) {
    database.store.accept_delivery(&delivery("a", "body"), &[event(1, "kept")], NOW).await.unwrap();
    database.store.close().await;
    let store = database.open_again().await;
    assert_eq!(store.accept_delivery(&delivery("a", "body"), &[], NOW).await.unwrap(), Accepted::Repeated);
    assert_eq!(what(&claim_event(&store, NOW).await.unwrap()), "kept");
}
