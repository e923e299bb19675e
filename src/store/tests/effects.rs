use std::collections::HashSet;
use std::time::Duration;

use super::{
    Database, LEASE, NOW, at, body, claim_quick, coalesced, comment, decide_effects, event, now, on_every_database,
    owner, sweep,
};
use crate::domain::effect::{Effect, Lane};
use crate::store::StoreError;
use crate::store::queue::{Beat, ClaimedEffect, Failed, Kept, Leases, NewEffect, Owner};

on_every_database!(
    effects_are_done_once_and_tell_what_they_found,
    lanes_do_not_stand_in_each_others_way,
    an_effect_waits_for_its_time,
    a_failed_effect_comes_back_at_its_time,
    an_attempt_that_met_nobody_does_not_count,
    an_effect_that_was_given_up_is_kept,
    what_is_refused_again_and_again_is_kept_once,
    a_heartbeat_keeps_a_lease_and_tells_when_it_is_gone,
    cancelled_effects_end,
    a_cancelled_effect_whose_worker_died_still_gives_its_answer,
    a_newer_effect_takes_the_place_of_the_waiting_one,
    a_newer_effect_waits_for_the_one_under_way,
    a_newer_effect_goes_on_where_a_failed_one_stopped,
    leases_of_one_owner_are_freed_alone,
    the_queue_can_be_looked_at,
    two_engines_never_take_the_same_effect,
);

async fn only_quick(database: &Database, seconds: u64) -> ClaimedEffect {
    let mut claimed = claim_quick(&database.store, at(seconds)).await;
    assert_eq!(claimed.len(), 1);
    claimed.pop().unwrap()
}

async fn effects_are_done_once_and_tell_what_they_found(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a"))], NOW).await;
    let claimed = only_quick(database, 0).await;
    assert_eq!((body(&claimed), claimed.attempts, claimed.cancelled), ("a", 1, false));
    assert!(claim_quick(store, NOW).await.is_empty(), "it is taken");
    store.finish_effect(&claimed.lease, &[event(1, "done")], NOW).await.unwrap();
    assert!(claim_quick(store, at(1000)).await.is_empty(), "it is done");
    assert_eq!(store.pending(NOW).await.unwrap().events, 1);
    let lost = store.finish_effect(&claimed.lease, &[event(1, "done")], NOW).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { .. }));
    assert_eq!(store.pending(NOW).await.unwrap().events, 1, "a second end tells nothing");
}

async fn lanes_do_not_stand_in_each_others_way(database: &Database) {
    let store = &database.store;
    let watch = Effect::WatchJobs { sweep: sweep("a-1"), round: 1, jobs: Vec::new() };
    let quick: Vec<_> = (0..5).map(|number| now(comment(&number.to_string()))).collect();
    decide_effects(store, [vec![now(watch)], quick].concat(), NOW).await;
    let watching = store.claim_effects(&owner(), Lane::Watch, 10, NOW, LEASE).await.unwrap();
    assert_eq!(watching.iter().map(|claimed| claimed.effect.name()).collect::<Vec<_>>(), ["WatchJobs"]);
    let first = store.claim_effects(&owner(), Lane::Quick, 2, NOW, LEASE).await.unwrap();
    assert_eq!(first.iter().map(body).collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(claim_quick(store, NOW).await.iter().map(body).collect::<Vec<_>>(), ["2", "3", "4"]);
}

async fn an_effect_waits_for_its_time(database: &Database) {
    let store = &database.store;
    let later = NewEffect { not_before: Some(at(20)), ..now(comment("later")) };
    decide_effects(store, vec![later], NOW).await;
    assert!(claim_quick(store, at(19)).await.is_empty());
    assert!(store.is_idle(at(19)).await.unwrap(), "nothing is due");
    assert!(!store.is_idle(at(20)).await.unwrap());
    assert_eq!(store.next_due(NOW).await.unwrap(), Some(at(20)));
    assert_eq!(store.next_due(at(20)).await.unwrap(), None, "it is for a claim to find");
    assert_eq!(body(&only_quick(database, 20).await), "later");
}

async fn a_failed_effect_comes_back_at_its_time(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a"))], NOW).await;
    let first = only_quick(database, 0).await;
    store.fail_effect(&first.lease, "the disk is full", Failed::Again(at(5)), &[], NOW).await.unwrap();
    assert!(claim_quick(store, at(4)).await.is_empty());
    let second = only_quick(database, 5).await;
    assert_eq!((body(&second), second.attempts), ("a", 2));
    let lost = store.finish_effect(&first.lease, &[], at(5)).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { .. }), "the first attempt is over");
}

async fn an_attempt_that_met_nobody_does_not_count(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![coalesced(comment("old"), None)], NOW).await;
    let first = only_quick(database, 0).await;
    store.fail_effect(&first.lease, "the forge is away", Failed::Waits(at(5)), &[], NOW).await.unwrap();
    let second = only_quick(database, 5).await;
    assert_eq!((second.attempts, second.waits), (1, 1));
    let lost = store.finish_effect(&first.lease, &[], at(5)).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { .. }), "each attempt has a lease of its own all the same");
    store.fail_effect(&second.lease, "the disk is full", Failed::Again(at(6)), &[], at(5)).await.unwrap();
    let third = only_quick(database, 6).await;
    assert_eq!((third.attempts, third.waits), (2, 1));
    decide_effects(store, vec![coalesced(comment("new"), None)], at(6)).await;
    store.fail_effect(&third.lease, "the forge is away", Failed::Waits(at(9)), &[], at(6)).await.unwrap();
    let newer = only_quick(database, 9).await;
    assert_eq!((body(&newer), newer.attempts, newer.waits), ("new", 2, 2), "a newer one goes on from there");
}

async fn an_effect_that_was_given_up_is_kept(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a"))], NOW).await;
    let claimed = only_quick(database, 0).await;
    store
        .fail_effect(&claimed.lease, "no such pull request", Failed::ForGood, &[event(1, "gave up")], NOW)
        .await
        .unwrap();
    assert!(claim_quick(store, at(1000)).await.is_empty());
    let failed = store.failed_tasks().await.unwrap();
    let kept = failed.first().unwrap();
    assert_eq!((failed.len(), kept.name.as_str(), kept.key.as_str()), (1, "UpsertComment", "pull/7/1"));
    assert_eq!((kept.subject.as_str(), kept.attempts, kept.error.as_str()), ("plan", 1, "no such pull request"));
    let depth = store.pending(NOW).await.unwrap();
    assert_eq!((depth.failed, depth.events, depth.effects, depth.leased), (1, 1, 0, 0));
}

async fn what_is_refused_again_and_again_is_kept_once(database: &Database) {
    let store = &database.store;
    for (words, failed, kept) in [
        ("it is locked", Failed::Refused, Kept::GivenUp),
        ("it is locked", Failed::Refused, Kept::RefusedAgain),
        ("it is archived", Failed::Refused, Kept::GivenUp),
        ("it is locked", Failed::ForGood, Kept::GivenUp),
        ("nobody answers", Failed::Left, Kept::Nothing),
    ] {
        decide_effects(store, vec![now(comment("a"))], NOW).await;
        let claimed = only_quick(database, 0).await;
        let told = [event(1, "gave up")];
        assert_eq!(store.fail_effect(&claimed.lease, words, failed, &told, NOW).await.unwrap(), kept, "{words}");
    }
    let errors: Vec<_> = store.failed_tasks().await.unwrap().into_iter().map(|task| task.error).collect();
    assert_eq!(errors, ["it is locked", "it is archived", "it is locked"]);
    assert_eq!(store.pending(NOW).await.unwrap().events, 5, "each is told");
}

async fn a_heartbeat_keeps_a_lease_and_tells_when_it_is_gone(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a")), now(comment("b"))], NOW).await;
    let claimed = claim_quick(store, NOW).await;
    let leases: Vec<_> = claimed.iter().map(|claimed| claimed.lease.clone()).collect();
    assert_eq!(store.heartbeat(&leases, at(20), LEASE).await.unwrap(), [Beat::Ok, Beat::Ok]);
    assert!(claim_quick(store, at(49)).await.is_empty(), "both are held until 50");
    assert_eq!(store.heartbeat(&leases[..1], at(49), LEASE).await.unwrap(), [Beat::Ok]);
    let taken = only_quick(database, 50).await;
    assert_eq!((body(&taken), taken.attempts), ("b", 2));
    assert_eq!(store.heartbeat(&leases, at(50), LEASE).await.unwrap(), [Beat::Ok, Beat::Lost]);
    assert_eq!(store.heartbeat(&[], at(50), LEASE).await.unwrap(), []);
}

async fn cancelled_effects_end(database: &Database) {
    let store = &database.store;
    let watch = |round| now(Effect::WatchJobs { sweep: sweep("a-1"), round, jobs: Vec::new() });
    decide_effects(store, vec![watch(1)], NOW).await;
    let claimed = store.claim_effects(&owner(), Lane::Watch, 10, NOW, LEASE).await.unwrap();
    decide_effects(store, vec![watch(1), watch(2), now(comment("a"))], NOW).await;

    assert_eq!(store.cancel_effects("WatchJobs", "sweep/a-1", "1", at(1)).await.unwrap(), 2, "one waits, one is taken");
    assert_eq!(store.cancel_effects("WatchJobs", "sweep/b-1", "1", at(1)).await.unwrap(), 0);
    let beats = store.heartbeat(&[claimed[0].lease.clone()], at(1), LEASE).await.unwrap();
    assert_eq!(beats, [Beat::Cancelled]);
    store.finish_effect(&claimed[0].lease, &[event(1, "cancelled")], at(1)).await.unwrap();
    let left = store.claim_effects(&owner(), Lane::Watch, 10, at(1000), LEASE).await.unwrap();
    let rounds: Vec<_> = left.iter().map(|claimed| (claimed.effect.subject().1, claimed.cancelled)).collect();
    assert_eq!(rounds, [("1".to_owned(), true), ("2".to_owned(), false)], "who takes it gives the answer");
    assert_eq!(claim_quick(store, NOW).await.len(), 1, "other effects stay");
}

async fn a_cancelled_effect_whose_worker_died_still_gives_its_answer(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a"))], NOW).await;
    only_quick(database, 0).await;
    assert_eq!(store.cancel_effects("UpsertComment", "pull/7/1", "plan", at(1)).await.unwrap(), 1);
    assert!(only_quick(database, 30).await.cancelled, "taken by the next worker once the lease is over");
    store.release_leases(Leases::Of(&owner())).await.unwrap();
    assert!(only_quick(database, 30).await.cancelled, "and by the one after a restart");
}

async fn a_newer_effect_takes_the_place_of_the_waiting_one(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![coalesced(comment("1 of 9"), Some(at(20)))], NOW).await;
    decide_effects(store, vec![coalesced(comment("2 of 9"), Some(at(25)))], at(5)).await;
    assert!(claim_quick(store, at(19)).await.is_empty());
    let claimed = only_quick(database, 20).await;
    assert_eq!(body(&claimed), "2 of 9", "the newer content at the earlier time");
    store.finish_effect(&claimed.lease, &[], at(20)).await.unwrap();

    decide_effects(store, vec![coalesced(comment("3 of 9"), Some(at(60)))], at(21)).await;
    decide_effects(store, vec![coalesced(comment("9 of 9"), None)], at(22)).await;
    assert_eq!(body(&only_quick(database, 22).await), "9 of 9", "a newer one may be in more of a hurry");
}

async fn a_newer_effect_waits_for_the_one_under_way(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![coalesced(comment("first"), None)], NOW).await;
    let first = only_quick(database, 0).await;
    decide_effects(store, vec![coalesced(comment("second"), None)], at(1)).await;
    decide_effects(store, vec![coalesced(comment("third"), None), now(comment("free"))], at(2)).await;
    assert_eq!(body(&only_quick(database, 2).await), "free");
    store.finish_effect(&first.lease, &[], at(3)).await.unwrap();
    assert_eq!(body(&only_quick(database, 3).await), "third");

    // The same after a crash: the one that was under way goes first, and alone.
    decide_effects(store, vec![coalesced(comment("fourth"), None)], at(4)).await;
    store.release_leases(Leases::Of(&owner())).await.unwrap();
    let again = claim_quick(store, at(4)).await;
    assert_eq!(again.iter().map(body).collect::<Vec<_>>(), ["third", "free"]);
}

async fn a_newer_effect_goes_on_where_a_failed_one_stopped(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![coalesced(comment("old"), None)], NOW).await;
    let old = only_quick(database, 0).await;
    decide_effects(store, vec![coalesced(comment("new"), None)], at(1)).await;
    store.fail_effect(&old.lease, "the forge is away", Failed::Again(at(60)), &[], at(2)).await.unwrap();
    assert!(claim_quick(store, at(59)).await.is_empty(), "the pause counts for the newer one");
    decide_effects(store, vec![coalesced(comment("newest"), None)], at(10)).await;
    assert!(claim_quick(store, at(59)).await.is_empty(), "and newer content does not end it");
    let claimed = only_quick(database, 60).await;
    assert_eq!((body(&claimed), claimed.attempts), ("newest", 2));
    assert_eq!(store.pending(at(60)).await.unwrap().effects, 0, "the old one is gone");
}

async fn leases_of_one_owner_are_freed_alone(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("a")), now(comment("b"))], NOW).await;
    let other = Owner::new("engine-2");
    store.claim_effects(&owner(), Lane::Quick, 1, NOW, LEASE).await.unwrap();
    store.claim_effects(&other, Lane::Quick, 1, NOW, LEASE).await.unwrap();
    assert_eq!(store.release_leases(Leases::Of(&other)).await.unwrap(), 1);
    assert_eq!(body(&only_quick(database, 0).await), "b");
}

async fn the_queue_can_be_looked_at(database: &Database) {
    let store = &database.store;
    assert!(store.is_idle(NOW).await.unwrap());
    assert_eq!(store.pending(NOW).await.unwrap().oldest_age, None);
    decide_effects(store, vec![now(comment("a")), now(comment("b"))], NOW).await;
    store.enqueue_events(&[event(1, "a"), event(2, "b"), event(3, "c")], at(2)).await.unwrap();
    store.claim_effects(&owner(), Lane::Quick, 1, at(2), LEASE).await.unwrap();
    let depth = store.pending(at(7)).await.unwrap();
    assert_eq!((depth.events, depth.effects, depth.leased, depth.failed), (3, 1, 1, 0));
    assert_eq!(depth.oldest_age, Some(Duration::from_secs(7)));
    let leased = store.leased_tasks().await.unwrap();
    let [task] = leased.as_slice() else { panic!("one is under way: {leased:?}") };
    assert_eq!((task.name.as_str(), task.key.as_str(), task.subject.as_str()), ("UpsertComment", "pull/7/1", "plan"));
    assert_eq!((&task.owner, task.until, task.created_at, task.attempts), (&owner(), at(32), NOW, 1));
    assert!(!task.cancelled);
    assert!(!store.is_idle(at(7)).await.unwrap());
}

async fn two_engines_never_take_the_same_effect(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    decide_effects(&database.store, (0..40).map(|number| now(comment(&number.to_string()))).collect(), NOW).await;
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let (store, owner) = (handles[number % 2].clone(), Owner::new(format!("engine-{number}")));
            tokio::spawn(async move {
                let mut tasks = Vec::new();
                loop {
                    let claimed = store.claim_effects(&owner, Lane::Quick, 3, NOW, LEASE).await.unwrap();
                    if claimed.is_empty() {
                        return tasks;
                    }
                    tasks.extend(claimed.iter().map(|claimed| claimed.lease.task()));
                }
            })
        })
        .collect();
    let mut tasks = Vec::new();
    for worker in workers {
        tasks.extend(worker.await.unwrap());
    }
    assert_eq!((tasks.len(), tasks.iter().collect::<HashSet<_>>().len()), (40, 40));
}
