use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::{Database, LEASE, NOW, at, claim_event, comment, event, now, on_every_database, what};
use crate::domain::event::{Event, Key, Keyed};
use crate::store::StoreError;
use crate::store::queue::{CommitDecision, Leases, NewState, Owner};

on_every_database!(
    events_of_one_key_come_one_at_a_time_and_in_order,
    a_busy_key_holds_no_other_key_back,
    an_event_that_is_not_due_holds_back_the_later_ones_of_its_key,
    a_decision_is_kept_as_a_whole,
    a_decision_that_fails_half_way_leaves_no_trace,
    a_worker_that_was_too_slow_changes_nothing,
    a_killed_process_loses_and_repeats_nothing,
    an_unreadable_event_does_not_stop_its_key,
    a_failed_event_is_kept_and_its_key_goes_on,
    ticks_do_not_pile_up_and_are_not_logged,
    two_engines_never_hold_two_events_of_one_key,
    a_long_event_is_cut_in_the_log,
);

fn state(json: &str) -> Option<NewState> {
    Some(NewState { kind: "pull".to_owned(), json: json.to_owned() })
}

async fn events_of_one_key_come_one_at_a_time_and_in_order(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a"), event(1, "b"), event(1, "c")], NOW).await.unwrap();
    for expected in ["a", "b", "c"] {
        let claimed = claim_event(store, NOW).await.unwrap();
        assert_eq!(what(&claimed), expected);
        assert_eq!(claim_event(store, NOW).await, None, "the next one waits for the end of `{expected}`");
        store.commit_decision(&claimed.lease, CommitDecision::default(), NOW).await.unwrap();
    }
    assert_eq!(claim_event(store, NOW).await, None);
}

async fn a_busy_key_holds_no_other_key_back(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a"), event(1, "b"), event(2, "c")], NOW).await.unwrap();
    assert_eq!(what(&claim_event(store, NOW).await.unwrap()), "a");
    assert_eq!(what(&claim_event(store, NOW).await.unwrap()), "c");
    assert_eq!(claim_event(store, NOW).await, None);
}

async fn an_event_that_is_not_due_holds_back_the_later_ones_of_its_key(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "later")], at(10)).await.unwrap();
    store.enqueue_events(&[event(1, "now")], NOW).await.unwrap();
    assert_eq!(claim_event(store, NOW).await, None);
    assert_eq!(store.next_due(NOW).await.unwrap(), Some(at(10)));
    assert_eq!(what(&claim_event(store, at(10)).await.unwrap()), "later");
}

async fn a_decision_is_kept_as_a_whole(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a")], NOW).await.unwrap();
    let claimed = claim_event(store, NOW).await.unwrap();
    assert_eq!(claimed.state, None);
    let decision = CommitDecision {
        state: state(r#"{"phase":"open"}"#),
        events: vec![event(1, "follows"), event(2, "elsewhere")],
        effects: vec![now(comment("hello"))],
        outcome: "ignored: nothing to do".to_owned(),
    };
    store.commit_decision(&claimed.lease, decision, at(1)).await.unwrap();

    let follows = claim_event(store, at(1)).await.unwrap();
    assert_eq!((what(&follows), follows.state.as_deref()), ("follows", Some(r#"{"phase":"open"}"#)));
    assert_eq!(claim_event(store, at(1)).await.unwrap().state, None, "another key has no state yet");
    assert_eq!(store.pending(at(1)).await.unwrap().effects, 1);

    let key = Key::Pull(super::pull(1)).to_string();
    assert_eq!(store.state(&key).await.unwrap().as_deref(), Some(r#"{"phase":"open"}"#));
    let states = store.states("pull").await.unwrap();
    assert_eq!(states.iter().map(|row| (row.key.as_str(), row.updated_at)).collect::<Vec<_>>(), [(&*key, at(1))]);
    let log = store.events_of(&key, 10).await.unwrap();
    let line = log.first().unwrap();
    assert_eq!((log.len(), line.name.as_str()), (1, "EffectFailed"));
    assert_eq!((line.created_at, line.decided_at, line.outcome.as_str()), (NOW, at(1), "ignored: nothing to do"));
    assert_eq!(serde_json::from_str::<Keyed>(&line.payload).unwrap(), event(1, "a"));
}

async fn a_decision_that_fails_half_way_leaves_no_trace(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a")], NOW).await.unwrap();
    let claimed = claim_event(store, NOW).await.unwrap();
    let execute = async |statement: &'static str| sqlx::query(statement).execute(&store.writer).await.unwrap();
    execute("ALTER TABLE counters RENAME TO counters_away").await;
    let decision = CommitDecision { state: state("{}"), effects: vec![now(comment("x"))], ..Default::default() };
    store.commit_decision(&claimed.lease, decision.clone(), NOW).await.unwrap_err();
    execute("ALTER TABLE counters_away RENAME TO counters").await;

    let key = claimed.keyed.key.to_string();
    assert_eq!(store.state(&key).await.unwrap(), None);
    assert!(store.events_of(&key, 10).await.unwrap().is_empty());
    store.commit_decision(&claimed.lease, decision, NOW).await.unwrap();
    assert_eq!(store.state(&key).await.unwrap().as_deref(), Some("{}"));
}

async fn a_worker_that_was_too_slow_changes_nothing(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a")], NOW).await.unwrap();
    let slow = claim_event(store, NOW).await.unwrap();
    assert_eq!(claim_event(store, at(29)).await, None, "the lease holds");
    let other = Owner::new("engine-2");
    let quick = store.claim_event(&other, at(30), LEASE).await.unwrap().unwrap();
    assert_eq!(quick.lease.task(), slow.lease.task());

    let decision = |json| CommitDecision { state: state(json), events: vec![event(2, json)], ..Default::default() };
    let lost = store.commit_decision(&slow.lease, decision("slow"), at(31)).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { task } if task == slow.lease.task()));
    store.commit_decision(&quick.lease, decision("quick"), at(31)).await.unwrap();
    let lost = store.commit_decision(&slow.lease, decision("slow"), at(32)).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { .. }));

    assert_eq!(store.state(&slow.keyed.key.to_string()).await.unwrap().as_deref(), Some("quick"));
    assert_eq!(store.pending(at(32)).await.unwrap().events, 1);
}

async fn a_killed_process_loses_and_repeats_nothing(database: &Database) {
    database.store.enqueue_events(&[event(1, "a"), event(1, "b")], NOW).await.unwrap();
    let before = claim_event(&database.store, NOW).await.unwrap();
    database.store.close().await;

    let store = database.open_again().await;
    assert_eq!(claim_event(&store, NOW).await, None, "the dead process still has its lease");
    store.release_leases(Leases::Abandoned).await.unwrap();
    let after = claim_event(&store, at(30)).await.unwrap();
    assert_eq!((what(&after), after.lease.task()), ("a", before.lease.task()));
    let lost = store.commit_decision(&before.lease, CommitDecision::default(), NOW).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { .. }), "the same owner's earlier attempt is fenced off, too");
    store.commit_decision(&after.lease, CommitDecision::default(), NOW).await.unwrap();
    assert_eq!(what(&claim_event(&store, NOW).await.unwrap()), "b");
}

async fn an_unreadable_event_does_not_stop_its_key(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a"), event(1, "b")], NOW).await.unwrap();
    sqlx::query("UPDATE tasks SET payload = $1 WHERE id = 1")
        .bind(r#"{"key":"instance","event":{"event":"Forgotten"}}"#)
        .execute(&store.writer)
        .await
        .unwrap();
    assert_eq!(what(&claim_event(store, NOW).await.unwrap()), "b");
    let failed = store.failed_tasks().await.unwrap();
    assert_eq!((failed.len(), failed[0].id), (1, 1));
    assert!(failed[0].error.contains("Forgotten"), "{}", failed[0].error);
}

async fn a_failed_event_is_kept_and_its_key_goes_on(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, "a"), event(1, "b")], NOW).await.unwrap();
    let claimed = claim_event(store, NOW).await.unwrap();
    store.fail_event(&claimed.lease, "a defect").await.unwrap();
    assert_eq!(what(&claim_event(store, NOW).await.unwrap()), "b");
    let failed = store.failed_tasks().await.unwrap();
    assert_eq!((failed[0].name.as_str(), failed[0].error.as_str()), ("EffectFailed", "a defect"));
    assert_eq!(store.pending(NOW).await.unwrap().failed, 1);
}

async fn ticks_do_not_pile_up_and_are_not_logged(database: &Database) {
    let store = &database.store;
    store.enqueue_tick(NOW).await.unwrap();
    store.enqueue_tick(at(1)).await.unwrap();
    assert_eq!(store.pending(at(1)).await.unwrap().events, 1);
    assert!(store.is_idle(at(1)).await.unwrap(), "ticks do not count");
    let tick = claim_event(store, at(1)).await.unwrap();
    assert_eq!(tick.keyed, Keyed { key: Key::Instance, event: Event::Ticked });
    store.enqueue_tick(at(2)).await.unwrap();
    assert_eq!(store.pending(at(2)).await.unwrap().events, 1, "one may wait while another is decided");
    store.commit_decision(&tick.lease, CommitDecision::default(), at(2)).await.unwrap();
    assert!(store.events_of("instance", 10).await.unwrap().is_empty());
}

/// Four workers on two handles decide sixty events of five keys. Each notes what it holds between claim and commit.
async fn two_engines_never_hold_two_events_of_one_key(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    let events: Vec<_> = (0..60).map(|number| event(number % 5, &format!("{number:02}"))).collect();
    database.store.enqueue_events(&events, NOW).await.unwrap();

    let held = Arc::new(Mutex::new(HashSet::new()));
    let decided = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let (store, held, decided) = (handles[number % 2].clone(), Arc::clone(&held), Arc::clone(&decided));
            let owner = Owner::new(format!("engine-{number}"));
            tokio::spawn(async move {
                while decided.lock().unwrap().len() < 60 {
                    let Some(claimed) = store.claim_event(&owner, NOW, LEASE).await.unwrap() else { continue };
                    let key = claimed.keyed.key.to_string();
                    assert!(held.lock().unwrap().insert(key.clone()), "two hold `{key}`");
                    decided.lock().unwrap().push((key.clone(), what(&claimed).to_owned()));
                    tokio::task::yield_now().await;
                    assert!(held.lock().unwrap().remove(&key));
                    store.commit_decision(&claimed.lease, CommitDecision::default(), NOW).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }

    let decided = decided.lock().unwrap();
    assert_eq!(decided.len(), 60, "each event once");
    for number in 0..5 {
        let key = Key::Pull(super::pull(number)).to_string();
        let of_key: Vec<_> = decided.iter().filter(|(of, _)| *of == key).map(|(_, what)| what.as_str()).collect();
        assert_eq!(of_key.len(), 12);
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
}

async fn a_long_event_is_cut_in_the_log(database: &Database) {
    let store = &database.store;
    store.enqueue_events(&[event(1, &"ä".repeat(20_000))], NOW).await.unwrap();
    let claimed = claim_event(store, NOW).await.unwrap();
    assert_eq!(what(&claimed).chars().count(), 20_000, "the queue itself cuts nothing");
    store.commit_decision(&claimed.lease, CommitDecision::default(), NOW).await.unwrap();
    let log = store.events_of(&claimed.keyed.key.to_string(), 1).await.unwrap();
    assert!(log[0].payload.len() < 9_000 && log[0].payload.ends_with(" bytes)"), "{}", log[0].payload.len());
}
