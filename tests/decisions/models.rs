//! Models and their builds.

use modelship::domain::event::{BuildOrigin, Event, Key};
use modelship::domain::forge::PullStatus;
use modelship::domain::pull::PullSweepPhase;
use modelship::domain::version::Tree;

use crate::driver::*;
use crate::things::*;

#[test]
fn a_push_is_looked_at_once_however_often_it_is_told() {
    let mut world = World::new();
    let key = Key::Repository(hub());
    world.tell(key.clone(), push("refs/heads/work", None, 2)).tell(key.clone(), push("refs/heads/work", None, 2));
    assert_eq!(world.names(), ["InspectPush"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), ["BuildModel"]);
    world.tell(key, push("refs/heads/work", None, 2)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["work"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_newer_push_stops_the_build_of_the_older_one() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).tell_model(request(3, branch("work"), None));
    assert_eq!(world.names(), ["BuildModel", "CancelBuild", "BuildModel"]);
    world.answer(1, Luck::Good).answer(0, Luck::Slow);
    assert_eq!(world.names(), ["BuildModel"], "the older one has told that it was cancelled");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["work"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_superseded_build_that_passes_before_it_is_stopped_moves_no_channel() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).tell_model(request(3, branch("work"), None));
    world.take("CancelBuild");
    world.answer(0, Luck::Good);
    assert_eq!(world.asked("RegisterVersion").len(), 1);
    assert_eq!(world.channels(2), [""; 0]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_build_that_is_wanted_again_while_it_is_stopped_starts_again() {
    let mut world = World::new();
    for number in [2, 3, 2] {
        world.tell_model(request(number, branch("work"), None));
    }
    // Both were told to stop: the first by the second, the second by the first's return.
    assert_eq!(world.names(), ["BuildModel", "CancelBuild", "BuildModel", "CancelBuild"]);
    world.answer(1, Luck::Slow).answer(0, Luck::Bad);
    world.check();
    assert_eq!(world.asked("BuildModel").len(), 2);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_build_that_a_push_and_a_pull_request_share_is_made_once_and_goes_on_while_one_wants_it() {
    let mut world = World::planned();
    world.tell_model(request(4, branch("work"), None));
    world.tell_model(request(4, of_pull(), Some(Key::Pull(pull()))));
    assert_eq!(world.names(), ["BuildModel"]);
    world.tell_model(request(6, branch("work"), None));
    assert_eq!(world.names(), ["BuildModel", "BuildModel"], "the pull request still waits for the first one");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(4), ["pr-1", "staging"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn the_first_version_of_the_default_branch_becomes_production_and_later_ones_only_by_rule() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["main", "production"]);
    world.drain().tell_model(request(3, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["main"]);
    world.drain().rules.promote_direct_pushes = true;
    world.tell_model(request(4, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(4), ["main", "production"]);
}

#[test]
fn uncommitted_work_moves_no_channel() {
    let mut world = World::new();
    let (source, tree) = (source(2), Tree::Dirty);
    world.tell_model(Event::BuildRequested { source, tree, origin: main_branch(), waiter: None }).answer(0, Luck::Good);
    assert_eq!(world.channels(2), [""; 0]);
    assert_eq!(world.model_state().production, None);
}

#[test]
fn whoever_waits_hears_of_a_version_that_could_not_be_registered() {
    let mut world = World::new();
    world.set_status(PullStatus::Open);
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.names(), ["RegisterVersion"]);
    assert_eq!(world.file(), PullSweepPhase::WaitingForBuild);
    world.answer(0, Luck::Broken);
    assert!(matches!(world.file(), PullSweepPhase::Blocked { reason } if reason.contains("the disk is full")));
    world.check();
    world.check_rest();
    assert_eq!(world.model_state().failures.len(), 1);
}

#[test]
fn failed_builds_are_remembered_up_to_twenty_and_forgotten_when_asked_for_again() {
    let mut world = World::new();
    for number in 0..30 {
        world.tell_model(request(number, BuildOrigin::Terminal, None)).answer(0, Luck::Bad);
    }
    let failures = world.model_state().failures;
    assert_eq!((failures.len(), &failures[19].source.commit), (20, &commit(29)));
    world.tell_model(request(29, BuildOrigin::Terminal, None));
    assert!(world.model_state().failures.iter().all(|failed| failed.source.commit != commit(29)));
}

#[test]
fn a_branch_or_tag_with_the_name_of_a_channel_of_its_own_moves_nothing() {
    for name in ["production", "staging", "pr-7"] {
        for origin in [branch(name), BuildOrigin::Tag { name: name.to_owned() }] {
            let mut world = World::new();
            world.tell_model(request(2, origin, None)).answer(0, Luck::Good);
            assert_eq!(world.channels(2), [""; 0], "{name}");
        }
    }
}
