//! Versions compared.

use std::collections::BTreeSet;
use std::time::Duration;

use modelship::domain::check::{Button, Press};
use modelship::domain::event::Event;
use modelship::domain::forge::{CommentRef, HeadOrigin, PullStatus};
use modelship::domain::pull::{ComparedStage, ComparisonPhase, Ending};

use crate::driver::*;
use crate::things::*;

impl World {
    /// A pull request whose changed model is compared: both versions run.
    fn comparing() -> Self {
        let mut world = Self::planned();
        world.comment("/modelship compare").answer(0, Luck::Good);
        assert_eq!(world.names(), ["SubmitJobs", "SubmitJobs"]);
        world.answer(0, Luck::Good).answer(0, Luck::Good);
        world
    }

    fn stage(&self) -> ComparedStage {
        match &self.pull_state().comparisons[&model()].phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps[0].stage.clone(),
            other => panic!("nothing is compared: {other:?}"),
        }
    }
}

#[test]
fn both_versions_run_and_are_compared_once_both_have_ended() {
    let mut world = World::comparing();
    world.answer(0, Luck::Good).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs"], "one side alone is not compared");
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.names(), ["CompareVersions"]);
    world.answer(0, Luck::Good);
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
    assert_eq!(world.posted.iter().filter(|marker| marker.starts_with("result/")).count(), 0);
    assert!(world.edited.iter().filter(|marker| marker.starts_with("compare/")).count() > 1);
}

#[test]
fn a_comparison_starts_by_itself_only_within_its_allowance() {
    for (allowance, starts) in [(None, false), (Some(2 * RUNS - 1), false), (Some(2 * RUNS), true)] {
        let mut world = World { allowance, ..World::new() };
        world.set_status(PullStatus::Open).drain();
        assert_eq!(matches!(world.stage(), ComparedStage::Compared { .. }), starts, "{allowance:?}");
    }
}

#[test]
fn nothing_of_a_fork_is_compared() {
    let mut world = World { allowance: Some(1_000), ..World::new() };
    let Event::PullInspected { looked_at, mut snapshot, models, sweeps, faults } = world.inspected() else { panic!() };
    snapshot.origin = HeadOrigin::Fork;
    world.tell_pull(Event::PullInspected { looked_at, snapshot, models, sweeps, faults }).drain();
    world.comment("/modelship compare").drain();
    assert_eq!((world.sweeps().len(), world.pull_state().comparisons.len()), (0, 0));
}

#[test]
fn closing_cancels_both_versions_and_a_comparison_goes_on_when_it_is_asked_for_again() {
    let mut world = World::comparing();
    world.set_status(PullStatus::Closed).answer(2, Luck::Good);
    assert_eq!(world.asked("CancelJobs").len(), 2);
    world.drain();
    assert!(matches!(world.stage(), ComparedStage::Ended { ending: Ending::Cancelled { .. }, .. }));
    world.set_status(PullStatus::Open).drain();
    world.comment("/modelship compare").drain();
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
}

#[test]
fn a_button_beside_a_sweep_cancels_no_comparison_and_a_command_with_its_name_does() {
    let mut world = World::comparing();
    let check = |world: &World| world.names().iter().position(|name| *name == "CheckCommand").unwrap();
    let (marker, press) = (format!("sweep/{SWEEP_FILE}"), Press::Button { button: Button::Cancel });
    world.tell_pull(Event::SweepPressed { marker, commit: commit(2), check: 9, press, author: ada() });
    let at = check(&world);
    world.answer(at, Luck::Good);
    assert_eq!(world.asked("CancelJobs").len(), 0, "the sweep itself was not started");
    world.comment("/modelship cancel deduction");
    let at = check(&world);
    world.answer(at, Luck::Good);
    assert_eq!(world.asked("CancelJobs").len(), 2);
}

#[test]
fn a_push_that_changes_the_model_takes_the_place_of_its_comparison_and_another_does_not() {
    let mut world = World::comparing();
    let ids = |world: &World| world.sweeps().iter().map(|sweep| sweep.plan.id.clone()).collect::<BTreeSet<_>>();
    let before = ids(&world);
    // The fixture's heads with odd numbers change no model.
    world.push_head(4);
    while let Some(at) = world.names().iter().position(|name| *name != "WatchJobs" && *name != "CancelJobs") {
        world.answer(at, Luck::Good);
    }
    assert_eq!(world.asked("CancelJobs").len(), 2, "the old comparison is over");
    assert!(matches!(world.stage(), ComparedStage::Offered { .. }));
    world.comment("/modelship compare").drain();
    assert_eq!(ids(&world).difference(&before).count(), 2);
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
    world.check();
}

#[test]
fn when_one_version_cannot_run_the_other_need_not() {
    let mut world = World::planned();
    world.comment("/modelship compare").answer(0, Luck::Good);
    world.answer(1, Luck::Good).answer(0, Luck::Bad);
    assert_eq!(world.asked("CancelJobs").len(), 2, "the other's, and what it may have begun itself");
    world.drain();
    assert!(
        matches!(world.stage(), ComparedStage::Ended { ending: Ending::Stopped { reason }, .. } if reason.contains("head has moved"))
    );
}

#[test]
fn a_command_older_than_its_plan_compares_nothing() {
    let mut world = World::new();
    world.set_status(PullStatus::Open);
    let before = world.now;
    world.now = world.now.plus(Duration::from_secs(60));
    world.drain();
    let comment = CommentRef { id: 1, created_at: before };
    let body = "/modelship compare".to_owned();
    world.tell_pull(Event::CommentCreated { comment, author: ada(), body }).drain();
    assert!(matches!(world.stage(), ComparedStage::Offered { .. }));
}
