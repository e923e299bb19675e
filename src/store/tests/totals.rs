use sqlx::Executor as _;

use super::{
    Database, NOW, at, claim_quick, comment, decide_effects, event, now, on_every_database, repository, sweep,
};
use crate::domain::event::{BuildOutcome, Event, Key, Keyed};
use crate::domain::ids::{CommitSha, Digest, ModelName, RunId};
use crate::domain::sweep::record::FailureClass;
use crate::domain::sweep::state::JobHandle;
use crate::domain::version::SourceRef;
use crate::store::StoreError;
use crate::store::queue::Failed;
use crate::store::runs::{IndexedRun, RunOutcome};

on_every_database!(
    what_ended_is_counted_by_how_and_stays_counted,
    runs_are_counted_by_how_they_ended,
    a_database_with_other_tables_is_not_ready,
);

fn built(outcome: BuildOutcome) -> Keyed {
    let commit = CommitSha::parse("a".repeat(40)).unwrap();
    let source = SourceRef { repository: repository(), commit, manifest: "modelship.yaml".to_owned() };
    let model = ModelName::new("urban", "simple-tax").unwrap();
    Keyed { key: Key::Model(model), event: Event::BuildFinished { source, outcome } }
}

fn texts(totals: &[(&str, u64)]) -> Vec<(String, u64)> {
    totals.iter().map(|(text, times)| ((*text).to_owned(), *times)).collect()
}

async fn what_ended_is_counted_by_how_and_stays_counted(database: &Database) {
    let store = &database.store;
    decide_effects(store, vec![now(comment("done")), now(comment("given up")), now(comment("later"))], NOW).await;
    let claimed = claim_quick(store, NOW).await;
    let events = [built(BuildOutcome::Cancelled), event(1, "else")];
    store.finish_effect(&claimed[0].lease, &events, NOW).await.unwrap();
    store.fail_effect(&claimed[1].lease, "no", Failed::ForGood, &[], NOW).await.unwrap();
    store.fail_effect(&claimed[2].lease, "not now", Failed::Again(NOW), &[], NOW).await.unwrap();
    let again = claim_quick(store, NOW).await.remove(0);
    store.finish_effect(&again.lease, &[built(BuildOutcome::Cancelled)], NOW).await.unwrap();
    let lost = store.finish_effect(&again.lease, &[built(BuildOutcome::Cancelled)], NOW).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost { .. })));

    let store = database.open_again().await;
    let totals = store.totals().await.unwrap();
    assert_eq!(totals.builds, texts(&[("cancelled", 2)]));
    let effects: Vec<_> = totals.effects.iter().map(|(name, result, times)| (&**name, &**result, *times)).collect();
    assert_eq!(
        effects,
        [("UpsertComment", "done", 2), ("UpsertComment", "failed", 1), ("UpsertComment", "retried", 1)]
    );
    store.forget(at(1_000_000)).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), totals, "forgetting takes nothing away");
}

async fn runs_are_counted_by_how_they_ended(database: &Database) {
    let store = &database.store;
    let model = ModelName::new("urban", "simple-tax").unwrap();
    for (name, first) in [("a-1", 0), ("b-1", 10)] {
        let job = JobHandle { place: name.to_owned(), token: String::new() };
        store.add_jobs(&sweep(name), 1, &model, &[job], NOW).await.unwrap();
        let outcomes = [RunOutcome::Succeeded, RunOutcome::Succeeded, RunOutcome::Failed(FailureClass::Timeout)];
        let records: Vec<_> = (first..)
            .zip(outcomes)
            .map(|(number, outcome): (u64, _)| IndexedRun {
                run: RunId::parse(Digest::of(number.to_string()).hex()).unwrap(),
                outcome,
                byte_offset: 0,
                byte_length: 1,
                wall_ms: 1,
            })
            .collect();
        store.index_records(name, 0..3, &records, NOW).await.unwrap();
    }
    assert_eq!(store.totals().await.unwrap().runs, texts(&[("succeeded", 4), ("timeout", 2)]));
}

async fn a_database_with_other_tables_is_not_ready(database: &Database) {
    let store = &database.store;
    store.check_ready().await.unwrap();
    store.writer.execute("UPDATE _sqlx_migrations SET version = 999 WHERE version = 5").await.unwrap();
    let error = store.check_ready().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what } if what.contains("999")), "{error:?}");
    store.writer.execute("DROP TABLE _sqlx_migrations").await.unwrap();
    assert!(store.check_ready().await.is_err());
}
