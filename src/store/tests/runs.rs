use std::collections::BTreeMap;

use super::registry::version;
use super::{Database, NOW, at, on_every_database, repository, sweep};
use crate::domain::ids::{Digest, ModelName, Repository, RunId, VersionId};
use crate::domain::sweep::record::FailureClass;
use crate::domain::sweep::state::{JobHandle, RoundCounts};
use crate::domain::version::Version;
use crate::store::registry::Found;
use crate::store::runs::{IndexedRun, JobProgress, RunFilter, RunOutcome};
use crate::store::{Conflict, Store, StoreError};

on_every_database!(
    jobs_are_kept_once_and_end_once,
    records_are_counted_once_however_many_read_them,
    two_readers_at_once_count_each_record_once,
    a_round_counts_all_its_jobs_and_no_others,
    a_success_stays_whatever_comes_later,
    a_run_that_is_reported_twice_at_once_is_kept_once,
    records_of_an_unknown_job_are_refused,
    thousands_of_runs_are_looked_up_at_once,
    runs_are_found_by_the_beginning_of_their_id,
    a_run_is_found_among_those_of_one_repository_however_many_others_have,
    runs_of_a_sweep_are_listed_by_outcome,
    the_newest_jobs_tell_how_long_a_run_takes,
);

const SUCCEEDED: RunOutcome = RunOutcome::Succeeded;
const TIMEOUT: RunOutcome = RunOutcome::Failed(FailureClass::Timeout);
const MODEL_ERROR: RunOutcome = RunOutcome::Failed(FailureClass::ModelError);

fn model() -> ModelName {
    ModelName::new("urban", "simple-tax").unwrap()
}

fn run_id(number: usize) -> RunId {
    RunId::parse(Digest::of(number.to_string()).hex()).unwrap()
}

/// A record of 100 bytes at its place in the file, of a run that took 10 ms.
fn record(number: usize, outcome: RunOutcome) -> IndexedRun {
    let byte_offset = number as u64 * 100;
    IndexedRun { run: run_id(number), outcome, byte_offset, byte_length: 100, wall_ms: 10 }
}

fn job(place: &str) -> JobHandle {
    JobHandle { place: place.to_owned(), token: "pid 1".to_owned() }
}

/// Keeps jobs of round 1 of sweep `a-1`.
async fn add(store: &Store, places: &[&str]) {
    let jobs: Vec<_> = places.iter().map(|place| job(place)).collect();
    store.add_jobs(&sweep("a-1"), 1, &model(), &jobs, NOW).await.unwrap();
}

fn counts(succeeded: u64, failed: &[(FailureClass, u64)], run_ms: u64) -> RoundCounts {
    RoundCounts { succeeded, failed: BTreeMap::from_iter(failed.iter().copied()), run_ms }
}

async fn jobs_are_kept_once_and_end_once(database: &Database) {
    let store = &database.store;
    add(store, &["a/1", "a/2"]).await;
    store.index_records("a/1", 0..100, &[record(0, SUCCEEDED)], NOW).await.unwrap();
    let adopted = JobHandle { token: "pid 2".to_owned(), ..job("a/1") };
    store.add_jobs(&sweep("a-1"), 1, &model(), std::slice::from_ref(&adopted), at(5)).await.unwrap();
    store.mark_job_ended("a/1").await.unwrap();
    store.mark_job_ended("a/1").await.unwrap();

    let row = store.job("a/1").await.unwrap().unwrap();
    assert_eq!((row.handle, row.byte_offset, row.created_at), (adopted, 100, NOW));
    assert_eq!((row.succeeded, row.failed, row.progress), (1, 0, JobProgress::Ended));
    assert_eq!((row.sweep, row.round, row.model), (sweep("a-1"), 1, model()));
    assert_eq!(store.job("a/3").await.unwrap(), None);
    let round = store.jobs_of_round(&sweep("a-1"), 1).await.unwrap();
    let round: Vec<_> = round.iter().map(|row| (row.handle.place.as_str(), row.progress)).collect();
    assert_eq!(round, [("a/1", JobProgress::Ended), ("a/2", JobProgress::Running)]);
}

async fn records_are_counted_once_however_many_read_them(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    let first = [record(0, SUCCEEDED), record(1, TIMEOUT)];
    let expected = counts(1, &[(FailureClass::Timeout, 1)], 20);
    assert_eq!(store.index_records("a/1", 0..200, &first, NOW).await.unwrap(), expected);
    assert_eq!(store.index_records("a/1", 0..200, &first, NOW).await.unwrap(), expected, "read again");
    let more = [&first[..], &[record(2, SUCCEEDED)]].concat();
    assert_eq!(store.index_records("a/1", 0..300, &more, NOW).await.unwrap(), expected, "from a stale offset");
    assert!(store.known_runs(&[run_id(2)]).await.unwrap().is_empty());
    let expected = counts(2, &[(FailureClass::Timeout, 1)], 30);
    assert_eq!(store.index_records("a/1", 200..300, &more[2..], NOW).await.unwrap(), expected);
    assert_eq!(store.round_counts(&sweep("a-1"), 1).await.unwrap(), expected);
    assert_eq!(store.job("a/1").await.unwrap().unwrap().byte_offset, 300);
}

async fn two_readers_at_once_count_each_record_once(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    add(&database.store, &["a/1"]).await;
    let readers: Vec<_> = handles
        .into_iter()
        .map(|store| {
            tokio::spawn(async move {
                for step in 0..20 {
                    let start = step as u64 * 200;
                    let rows = [record(step * 2, SUCCEEDED), record(step * 2 + 1, MODEL_ERROR)];
                    store.index_records("a/1", start..start + 200, &rows, NOW).await.unwrap();
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    let expected = counts(20, &[(FailureClass::ModelError, 20)], 400);
    assert_eq!(database.store.round_counts(&sweep("a-1"), 1).await.unwrap(), expected);
}

async fn a_round_counts_all_its_jobs_and_no_others(database: &Database) {
    let store = &database.store;
    add(store, &["a/1", "a/2"]).await;
    store.add_jobs(&sweep("a-1"), 2, &model(), &[job("a/3")], NOW).await.unwrap();
    store.add_jobs(&sweep("b-1"), 1, &model(), &[job("b/1")], NOW).await.unwrap();
    store.index_records("a/1", 0..100, &[record(0, SUCCEEDED)], NOW).await.unwrap();
    store.index_records("a/3", 0..100, &[record(1, SUCCEEDED)], NOW).await.unwrap();
    store.index_records("b/1", 0..100, &[record(2, SUCCEEDED)], NOW).await.unwrap();
    let round = store.index_records("a/2", 0..200, &[record(3, SUCCEEDED), record(4, TIMEOUT)], NOW).await.unwrap();
    assert_eq!(round, counts(2, &[(FailureClass::Timeout, 1)], 30));
    assert_eq!(store.round_counts(&sweep("a-1"), 2).await.unwrap(), counts(1, &[], 10));
    assert_eq!(store.round_counts(&sweep("a-1"), 3).await.unwrap(), RoundCounts::default());
}

async fn a_success_stays_whatever_comes_later(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    store.add_jobs(&sweep("b-1"), 1, &model(), &[job("b/1"), job("b/2")], NOW).await.unwrap();
    let known = async || store.known_runs(&[run_id(0)]).await.unwrap().remove(&run_id(0)).unwrap();
    store.index_records("a/1", 0..100, &[record(0, TIMEOUT)], NOW).await.unwrap();
    store.index_records("a/1", 100..200, &[record(0, MODEL_ERROR)], at(1)).await.unwrap();
    assert_eq!(known().await.outcome, MODEL_ERROR, "the later failure");
    store.index_records("b/1", 0..100, &[record(0, SUCCEEDED)], at(2)).await.unwrap();
    assert_eq!(store.index_records("b/2", 0..100, &[record(0, TIMEOUT)], at(3)).await.unwrap().finished(), 2);
    let run = known().await;
    assert_eq!((run.outcome, run.place.as_str(), run.indexed_at), (SUCCEEDED, "b/1", at(2)));
    assert_eq!((run.sweep, run.round, run.byte_offset, run.byte_length, run.wall_ms), (sweep("b-1"), 1, 0, 100, 10));
}

async fn a_run_that_is_reported_twice_at_once_is_kept_once(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    let rows = [record(0, TIMEOUT), record(0, SUCCEEDED), record(0, MODEL_ERROR), record(1, TIMEOUT)];
    let expected = counts(1, &[(FailureClass::Timeout, 1)], 20);
    assert_eq!(store.index_records("a/1", 0..400, &rows, NOW).await.unwrap(), expected);
    assert_eq!(store.known_runs(&[run_id(0)]).await.unwrap()[&run_id(0)].outcome, SUCCEEDED);
}

async fn records_of_an_unknown_job_are_refused(database: &Database) {
    let refused = database.store.index_records("x/1", 0..100, &[record(0, SUCCEEDED)], NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(Conflict::UnknownJob { place }) if place == "x/1"));
}

async fn thousands_of_runs_are_looked_up_at_once(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    let rows: Vec<_> =
        (0..2_345).map(|number| record(number, if number % 7 == 0 { TIMEOUT } else { SUCCEEDED })).collect();
    store.index_records("a/1", 0..234_500, &rows, NOW).await.unwrap();
    let wanted: Vec<_> = (1_000..4_321).map(run_id).collect();
    let known = store.known_runs(&wanted).await.unwrap();
    assert_eq!(known.len(), 1_345);
    for number in 1_000..2_345 {
        let run = &known[&run_id(number)];
        assert_eq!((run.outcome, run.byte_offset), (rows[number].outcome, rows[number].byte_offset));
    }
    assert!(store.known_runs(&[]).await.unwrap().is_empty());
}

async fn runs_are_found_by_the_beginning_of_their_id(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    let rows: Vec<_> = (0..300).map(|number| record(number, SUCCEEDED)).collect();
    store.index_records("a/1", 0..30_000, &rows, NOW).await.unwrap();
    let wanted = run_id(5);
    for length in [12, 64] {
        let found = store.run(&wanted.as_str()[..length]).await.unwrap();
        assert!(matches!(found, Found::One(run) if run.run == wanted));
    }
    assert!(matches!(store.run(&wanted.as_str()[..1]).await.unwrap(), Found::Many(runs) if runs.len() > 1));
    for unknown in ["ffffffffffff", "g", "%"] {
        assert_eq!(store.run(unknown).await.unwrap(), Found::None);
    }
}

async fn runs_of_a_sweep_are_listed_by_outcome(database: &Database) {
    let store = &database.store;
    add(store, &["a/1"]).await;
    store.add_jobs(&sweep("b-1"), 1, &model(), &[job("b/1")], NOW).await.unwrap();
    let rows = [record(0, SUCCEEDED), record(1, TIMEOUT), record(2, SUCCEEDED)];
    store.index_records("a/1", 0..300, &rows, NOW).await.unwrap();
    store.index_records("b/1", 0..400, &[record(3, SUCCEEDED)], NOW).await.unwrap();
    for (filter, limit, expected) in [
        (RunFilter::All, 10, 3),
        (RunFilter::Succeeded, 10, 2),
        (RunFilter::Failed, 10, 1),
        (RunFilter::Succeeded, 1, 1),
    ] {
        let runs = store.runs_of_sweep(&sweep("a-1"), filter, limit).await.unwrap();
        assert_eq!(runs.len(), expected, "{filter:?}");
        assert!(runs.is_sorted_by_key(|run| run.run.clone()));
    }
}

async fn a_run_is_found_among_those_of_one_repository_however_many_others_have(database: &Database) {
    let store = &database.store;
    let own = version('a', 'b');
    let other = ModelName::new("urban", "other").unwrap();
    let theirs = {
        let mut theirs = Version { model: other.clone(), ..version('c', 'd') };
        theirs.source.repository = Repository { id: 8, ..repository() };
        Version { id: VersionId::of(&other, &theirs.source.commit, &theirs.executable, &theirs.manifest), ..theirs }
    };
    for version in [&own, &theirs] {
        store.register_version(version, &[], NOW).await.unwrap();
    }
    store.add_jobs(&sweep("a-1"), 1, &own.model, &[job("a/1")], NOW).await.unwrap();
    store.add_jobs(&sweep("b-1"), 1, &other, &[job("b/1")], NOW).await.unwrap();
    // Theirs come first in the order of ids.
    let named = |number: usize| {
        let run = RunId::parse(format!("abcd{number:060x}")).unwrap();
        IndexedRun { run, ..record(number, SUCCEEDED) }
    };
    let foreign: Vec<_> = (0..30).map(named).collect();
    store.index_records("b/1", 0..3_000, &foreign, NOW).await.unwrap();
    store.index_records("a/1", 0..3_100, &[named(30)], NOW).await.unwrap();

    let found = store.run_of("abcd", own.source.repository.id).await.unwrap();
    assert!(matches!(&found, Found::One(known) if known.run == named(30).run), "{found:?}");
    let found = store.run_of("abcd", theirs.source.repository.id).await.unwrap();
    assert!(matches!(&found, Found::Many(many) if many.len() == 20), "{found:?}");
    assert!(matches!(store.run_of(foreign[0].run.as_str(), 7).await.unwrap(), Found::None), "it is another's");
    assert!(matches!(store.run_of("abcd", 9).await.unwrap(), Found::None));
}

async fn the_newest_jobs_tell_how_long_a_run_takes(database: &Database) {
    let store = &database.store;
    assert_eq!(store.mean_wall_ms(&model()).await.unwrap(), None);
    add(store, &["a/1", "a/2"]).await;
    store.index_records("a/1", 0..100, &[IndexedRun { wall_ms: 100, ..record(0, TIMEOUT) }], NOW).await.unwrap();
    assert_eq!(store.mean_wall_ms(&model()).await.unwrap(), None, "a failed run says nothing");
    let good = [record(1, SUCCEEDED), IndexedRun { wall_ms: 40, ..record(2, SUCCEEDED) }];
    store.index_records("a/2", 0..300, &good, NOW).await.unwrap();
    assert_eq!(store.mean_wall_ms(&model()).await.unwrap(), Some(25));
    assert_eq!(store.mean_wall_ms(&ModelName::new("urban", "other").unwrap()).await.unwrap(), None);
}
