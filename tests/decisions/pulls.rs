//! Pull requests.

use modelship::domain::command::Command;
use modelship::domain::decide::State;
use modelship::domain::event::{Event, Key};
use modelship::domain::forge::{CommentRef, Given, PullStatus};
use modelship::domain::ids::Time;
use modelship::domain::pull::PullSweepPhase;
use modelship::domain::sweep::state::SweepPhase;

use crate::driver::*;
use crate::things::*;

#[test]
fn a_command_acts_once_however_often_its_comment_is_told() {
    let mut world = World::planned();
    world.comment("/modelship run");
    let again = world.deliveries.last().unwrap().clone();
    world.tell(again.key.clone(), again.event.clone());
    assert_eq!(world.names(), ["CheckCommand"]);
    world.answer(0, Luck::Good).tell(again.key, again.event);
    assert_eq!(world.names(), ["SubmitJobs"]);
}

#[test]
fn only_the_newest_comments_are_remembered() {
    let mut world = World::planned();
    for _ in 0..230 {
        world.comment("/modelship help");
    }
    let heard = world.pull_state().heard;
    assert_eq!((heard.len(), heard.first()), (200, Some(&31)));
    assert_eq!(world.posted.len(), 230);
}

#[test]
fn a_comment_that_overtook_its_pull_request_comes_back_to_it() {
    let mut world = World::new();
    world.comment("/modelship status");
    assert_eq!(world.names(), ["InspectPull"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.posted, ["reply/1/0"]);
}

#[test]
fn a_command_without_permission_starts_nothing() {
    let mut world = World::planned();
    world.comment("/modelship run").answer(0, Luck::Bad);
    assert_eq!(world.names(), [""; 0]);
    assert_eq!(world.posted.len(), 1);
}

#[test]
fn a_command_that_is_older_than_the_plan_does_not_mean_it() {
    let mut world = World::planned();
    let comment = CommentRef { id: 1, created_at: Time(world.now.0 - 6_000) };
    let command = Command::Run { sweep: None };
    world.tell_pull(Event::CommandChecked {
        given: Given::Comment(comment),
        nth: 0,
        command,
        author: ada(),
        denied: None,
    });
    assert_eq!(world.names(), [""; 0]);
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
}

#[test]
fn a_plan_for_a_head_that_has_moved_on_counts_for_nothing() {
    let mut world = World::planned();
    world.push_head(5);
    let late = Event::SweepPlanned { path: SWEEP_FILE.to_owned(), head: commit(2), result: Err(faults()) };
    world.drain().tell_pull(late);
    assert!(matches!(world.file(), PullSweepPhase::Planned { plan, .. } if plan.head == Some(commit(5))));
}

#[test]
fn a_push_that_leaves_the_plan_as_it_is_leaves_the_sweep_alone_and_another_one_stops_it() {
    let mut world = World::running();
    world.push_head(3);
    while let Some(at) = world.open.iter().position(|(effect, _)| effect.name() != "WatchJobs") {
        world.answer(at, Luck::Good);
    }
    assert!(matches!(world.sweep().phase, SweepPhase::Running { .. }));
    world.push_head(5);
    while let Some(at) = world.names().iter().position(|name| !["WatchJobs", "CancelJobs"].contains(name)) {
        world.answer(at, Luck::Good);
    }
    assert!(matches!(world.sweep().phase, SweepPhase::Stopping { .. }));
    assert_eq!(world.asked("CancelJobs").len(), 1);
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
    world.drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Cancelled { .. }));
}

#[test]
fn closing_stops_the_sweep_and_merging_lets_it_go_on() {
    let mut world = World::running();
    world.set_status(PullStatus::Closed).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs", "CancelJobs"]);
    world.drain();
    assert!(matches!(&world.sweep().phase, SweepPhase::Cancelled { analysis: Some(_), .. }));

    let mut world = World::running();
    world.set_status(PullStatus::Merged).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs", "BuildModel"]);
    world.answer(1, Luck::Good);
    assert_eq!(world.channels(200), ["production"]);
    world.drain();
    assert!(matches!(&world.sweep().phase, SweepPhase::Succeeded { .. }));
}

#[test]
fn that_a_sweep_was_cancelled_is_told_also_when_no_run_was_done() {
    let mut world = World::running();
    world.set_status(PullStatus::Closed).answer(1, Luck::Good).answer(0, Luck::Bad);
    assert!(matches!(&world.sweep().phase, SweepPhase::Cancelled { analysis: None, .. }));
    assert_eq!(world.posted.iter().filter(|marker| marker.starts_with("result/")).count(), 1);
    world.drain().check_rest();
}

#[test]
fn the_result_is_told_in_a_comment_of_its_own_once() {
    let mut world = World::running();
    world.drain();
    let results = |world: &World| world.posted.iter().filter(|marker| marker.starts_with("result/")).count();
    assert_eq!(results(&world), 1);
    let round = world.sweep().round;
    world.tell_sweep(Event::AnalysisWritten { round, summary: analysis(0) });
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() });
    assert_eq!(results(&world), 1);
}

#[test]
fn what_ended_is_kept_apart_from_what_is_looked_at_again_and_again() {
    for ended in [PullStatus::Closed, PullStatus::Merged] {
        let mut world = World::planned();
        let kind = |world: &World| world.states[&Key::Pull(pull())].kind();
        assert_eq!(kind(&world), State::PULL);
        world.set_status(ended).drain();
        assert!(kind(&world) != State::PULL && State::KINDS.contains(&kind(&world)), "{}", kind(&world));
        world.set_status(PullStatus::Open).drain();
        assert_eq!(kind(&world), State::PULL);
    }
}
