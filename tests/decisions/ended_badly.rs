//! Stories that once did not end well.

use std::collections::BTreeSet;

use modelship::domain::effect::Effect;
use modelship::domain::event::{BuildOrigin, Event, Key};
use modelship::domain::forge::PullStatus;
use modelship::domain::ids::{PullNumber, Repository, RepositoryName};
use modelship::domain::sweep::plan::{MaxFailures, RunLimits};
use modelship::domain::sweep::state::{Retry, SweepPhase};
use modelship::domain::version::{SourceRef, Tree};

use crate::driver::*;
use crate::things::*;

#[test]
fn what_an_overtaken_push_changed_is_compared_by_the_next_one() {
    let mut world = World::new();
    let key = Key::Repository(hub());
    world.tell(key.clone(), push("refs/heads/work", None, 2)).drain();
    world.tell(key.clone(), push("refs/heads/work", Some(2), 3)).tell(key, push("refs/heads/work", Some(3), 4));
    let Effect::InspectPush { before, after, .. } = world.take("InspectPush") else { panic!() };
    assert_eq!((before, after), (Some(commit(2)), commit(4)), "what 3 touched is looked at together with what 4 did");
}

#[test]
fn a_closed_pull_request_starts_no_sweep() {
    let mut world = World::planned();
    world.comment("/modelship run").set_status(PullStatus::Closed).answer(1, Luck::Good);
    assert_eq!(world.names(), ["CheckCommand"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn a_running_sweep_is_followed_although_a_new_plan_could_not_be_made() {
    let mut world = World::running();
    world.push_head(3);
    while let Some(at) = world.names().iter().position(|name| !["WatchJobs", "PlanSweep"].contains(name)) {
        world.answer(at, Luck::Good);
    }
    let plan = world.take("PlanSweep");
    world.tell_pull(failed_effect(&plan).event);
    world.check();
}

#[test]
fn a_push_to_another_repository_stops_no_build_of_this_one() {
    let mut world = World::new();
    let other = Repository { id: 8, name: RepositoryName::new("eve", "hub").unwrap() };
    world.tell_model(request(2, main_branch(), None));
    let source = SourceRef { repository: other, ..source(3) };
    let (tree, origin) = (Tree::Committed, main_branch());
    world.tell_model(Event::BuildRequested { source, tree, origin, waiter: None });
    assert_eq!(world.asked("CancelBuild").len(), 0);
}

#[test]
fn each_command_of_a_comment_is_answered() {
    let mut world = World::planned();
    world.comment("/modelship run\n/modelship cancel").answer(0, Luck::Bad).answer(0, Luck::Bad);
    assert_eq!(world.posted.iter().collect::<BTreeSet<_>>().len(), 2, "{:?}", world.posted);
}

#[test]
fn a_cancelled_sweep_goes_on_with_run() {
    let mut world = World::running();
    world.comment("/modelship cancel").answer(1, Luck::Good).drain();
    world.comment("/modelship run").answer(0, Luck::Good);
    assert_eq!(world.names(), ["SubmitJobs"]);
}

#[test]
fn a_pull_request_that_was_merged_at_once_is_promoted() {
    let mut world = World::new();
    world.set_status(PullStatus::Open).set_status(PullStatus::Merged);
    assert_eq!(world.names(), ["InspectPull"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), ["BuildModel"]);
}

#[test]
fn production_stays_at_the_newest_merge() {
    let mut world = World::new();
    for number in [1, 2] {
        let origin = BuildOrigin::Merge { number: PullNumber(u64::from(number)) };
        world.tell_model(request(number, origin, None));
    }
    world.answer(1, Luck::Good).answer(1, Luck::Good);
    world.tell_model(passed(1));
    assert_eq!(world.channels(1), [""; 0]);
}

#[test]
fn a_version_that_could_not_be_registered_is_not_the_first_of_production() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good).answer(0, Luck::Broken);
    world.tell_model(request(3, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["main", "production"]);
}

#[test]
fn who_asks_during_a_registration_gets_channels_of_their_own_after_it() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).answer(0, Luck::Good);
    world.tell_model(request(2, of_pull(), None));
    assert_eq!(world.channels(2), ["work"], "one registration at a time");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["pr-1", "staging"]);
    world.tell_model(request(2, BuildOrigin::Tag { name: "v1".to_owned() }, None)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["v1"]);
    world.answer(0, Luck::Good);
    world.check_rest_of_builds();
}

#[test]
fn interrupted_runs_are_not_counted_as_failures() {
    let limits = RunLimits { max_failures: Some(MaxFailures::Count(0)), ..RunLimits::default() };
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, limits)).answer(0, Luck::Good).answer(0, Luck::Bad);
    assert_eq!((world.names(), world.sweep().round), (vec!["SubmitJobs"], 2));
}

#[test]
fn a_run_that_succeeded_after_an_interruption_is_no_failure() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good).answer(0, Luck::Bad);
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(2, counts(RUNS, &[]), true)).drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
    assert_eq!(world.sweep().failures, []);
}
