//! Builds that failed, done again: never in the place of something newer.

use modelship::domain::check::CheckState;
use modelship::domain::deployment::Asker;
use modelship::domain::event::{BuildFailure, BuildOrigin, BuildOutcome, Event, Key, PromotionTarget};
use modelship::domain::forge::PullStatus;
use modelship::domain::ids::ChannelName;
use modelship::domain::pull::PullBuild;
use modelship::domain::version::Tree;

use crate::driver::*;
use crate::things::*;

const BUILD: &str = "modelship/build urban/simple-tax";

fn pressed(number: u8) -> Event {
    Event::BuildPressed { model: model(), commit: commit(number), author: ada() }
}

/// Commit 2 failed for whoever wanted it by `origin`.
fn failed(origin: BuildOrigin) -> World {
    let mut world = World::new();
    world.tell_model(request(2, origin, None)).answer(0, Luck::Bad);
    world
}

fn title(world: &World, number: u8) -> &str {
    let check = &world.checks[&(commit(number), BUILD.to_owned())];
    assert_eq!(check.state, CheckState::Failure);
    &check.title
}

#[test]
fn an_older_commit_built_again_moves_no_channel_back() {
    for origin in [main_branch(), branch("work"), of_pull(), BuildOrigin::Tag { name: "nightly".to_owned() }] {
        let mut world = failed(origin.clone());
        world.tell_model(request(3, origin, None)).drain();
        let before = world.channels.clone();
        world.tell_model(pressed(2));
        assert_eq!(world.names(), [""; 0], "nobody wants it");
        assert!(title(&world, 2).starts_with("not built again, as something newer took its place; it failed in build"));
        assert_eq!(world.channels, before);
    }
}

#[test]
fn an_older_commit_built_again_stops_no_newer_build() {
    let mut world = World::new();
    world.set_status(PullStatus::Open);
    let luck = |world: &World| if world.names()[0] == "BuildModel" { Luck::Bad } else { Luck::Good };
    while !world.open.is_empty() {
        world.answer(0, luck(&world));
    }
    world.push_head(4);
    while let Some(at) = world.names().iter().position(|name| *name != "BuildModel") {
        world.answer(at, Luck::Good);
    }
    world.tell_model(pressed(2));
    assert_eq!(world.asked("CancelBuild").len() + world.asked("BuildAgain").len(), 0, "{:?}", world.names());
    world.drain();
    let build = &world.pull_state().models[&model()].build;
    assert!(matches!(build, PullBuild::Ready { .. }), "{build:?}");
}

#[test]
fn a_newer_commit_that_comes_while_permission_is_looked_up_counts() {
    let mut world = failed(main_branch());
    world.tell_model(pressed(2));
    world.tell_model(request(3, main_branch(), None));
    assert_eq!(world.names(), ["BuildAgain", "BuildModel"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), ["BuildModel"]);
    title(&world, 2);
    world.drain();
    assert_eq!(world.model_state().production, Some(version(&source(3), Tree::Committed).id));
}

#[test]
fn whoever_wants_nothing_newer_gets_the_build_again() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).tell_model(request(2, branch("release"), None));
    world.answer(0, Luck::Bad).tell_model(request(3, main_branch(), None)).drain();
    world.tell_model(pressed(2)).answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["release"]);
}

#[test]
fn what_the_registry_refuses_after_something_newer_came_is_not_wanted_again() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.names(), ["RegisterVersion"]);
    world.tell_model(request(3, main_branch(), None));
    let refused = BuildOutcome::Failed(BuildFailure::without_log("registry", "it differs"));
    world.tell_model(Event::BuildFinished { source: source(2), outcome: refused });
    world.open.retain(|(effect, _)| effect.name() == "BuildModel");
    world.drain();
    world.tell(Key::Repository(hub()), pressed(2));
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn what_the_registry_is_being_told_of_is_not_taken_for_something_newer() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.names(), ["RegisterVersion"]);
    world.tell_model(request(3, main_branch(), None)).answer(1, Luck::Bad);
    world.drain().tell_model(pressed(3));
    assert_eq!(world.names(), ["BuildAgain"], "nothing newer came");
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["main"]);
}

#[test]
fn a_merge_built_again_takes_production_from_no_direct_push_and_from_nobody_by_hand() {
    let merge = BuildOrigin::Merge { number: pull().number };
    let merge_failed = |promote_direct_pushes| {
        let mut world = World::new();
        world.rules.promote_direct_pushes = promote_direct_pushes;
        world.tell_model(request(2, main_branch(), None)).drain();
        world.tell_model(request(3, main_branch(), None)).tell_model(request(3, merge.clone(), None));
        world.answer(0, Luck::Bad);
        world
    };
    let again = |world: &mut World| {
        world.tell_model(pressed(3));
        if !world.open.is_empty() {
            world.answer(0, Luck::Good).answer(0, Luck::Good);
        }
        world.channels(3).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };

    assert_eq!(again(&mut merge_failed(false)), ["main", "production"], "nothing newer came");

    let mut pushed = merge_failed(true);
    pushed.tell_model(request(4, main_branch(), None)).drain();
    assert_eq!(again(&mut pushed), [""; 0]);
    title(&pushed, 3);

    for promote_direct_pushes in [true, false] {
        let mut promoted = merge_failed(promote_direct_pushes);
        promoted.tell_model(request(5, of_pull(), None)).drain();
        promoted.tell_model(Event::PromotionRequested {
            request: "r".to_owned(),
            channel: ChannelName::production(),
            target: PromotionTarget::Version(version(&source(5), Tree::Committed).id),
            by: "ada".to_owned(),
            asker: Asker::Terminal,
        });
        assert_eq!(again(promoted.drain()), ["main"], "the branch alone follows");
    }
}
