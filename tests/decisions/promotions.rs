//! Channels that people move, deployments, and who is told.

use modelship::domain::deployment::DeploymentState;
use modelship::domain::effect::Effect;
use modelship::domain::event::{Event, Key, PromotionTarget};
use modelship::domain::forge::PullStatus;
use modelship::domain::ids::ChannelName;
use modelship::domain::notice::{NoticeKind, Subscription};
use modelship::domain::version::Tree;

use crate::driver::*;
use crate::things::*;

/// A pull request whose version of the model is registered, and nothing told yet.
fn ready() -> World {
    let mut world = World::new();
    world.set_status(PullStatus::Open).drain();
    world.told.clear();
    world.posted.clear();
    world
}

fn wish(id: i64, number: u8) -> Event {
    Event::PromotionRequested {
        request: format!("deployment/1/{id}"),
        channel: ChannelName::production(),
        target: PromotionTarget::Version(version(&source(number), Tree::Committed).id),
        by: "ada".to_owned(),
        asker: deployed(id).1,
    }
}

/// What was answered to deployments, with what.
fn answers(world: &World) -> Vec<(i64, DeploymentState, &str)> {
    let answer = |effect| match effect {
        &Effect::AnswerDeployment { id, state, ref description, .. } => Some((id, state, description.as_str())),
        _ => None,
    };
    world.told.iter().filter_map(answer).collect()
}

fn recorded(world: &World) -> Vec<&str> {
    let mut channels = Vec::new();
    for effect in &world.told {
        if let Effect::RecordDeployment { moved } = effect {
            channels.push(moved.channel.as_str());
        }
    }
    channels
}

#[test]
fn a_command_moves_a_channel_once_and_is_answered_once() {
    let mut world = ready();
    world.comment("/modelship promote urban/simple-tax production").drain();
    let again = world.deliveries.last().unwrap().clone();
    world.tell(again.key, again.event).drain();
    assert_eq!(world.channels[&ChannelName::production()].reason, "promoted by ada in #1");
    assert_eq!(recorded(&world), ["production"]);
    assert_eq!(world.posted, ["reply/1/0"]);
    world.check_rest();
}

#[test]
fn a_command_of_somebody_who_may_not_moves_nothing() {
    let mut world = ready();
    world.comment("/modelship promote urban/simple-tax production").answer(0, Luck::Bad).drain();
    assert_eq!(world.posted, ["reply/1/0"]);
    assert!(!world.channels.contains_key(&ChannelName::production()));
}

#[test]
fn a_model_that_the_pull_request_does_not_change_or_that_still_builds_is_not_promoted() {
    let mut world = ready();
    world.comment("/modelship promote urban/other production").drain();
    assert_eq!(world.posted, ["reply/1/0"]);
    world.push_head(4);
    let builds = world.names();
    assert!(builds.contains(&"InspectPull"), "{builds:?}");
    let at = world.names().iter().position(|name| *name == "InspectPull").unwrap();
    world.answer(at, Luck::Good).comment("/modelship promote urban/simple-tax production");
    let at = world.names().iter().position(|name| *name == "CheckCommand").unwrap();
    world.answer(at, Luck::Good);
    assert_eq!(world.posted.last().unwrap(), "reply/2/0");
    world.drain();
    assert!(!world.channels.contains_key(&ChannelName::production()));
}

#[test]
fn a_move_that_fails_by_our_fault_is_answered_all_the_same() {
    let mut world = ready();
    world.comment("/modelship promote urban/simple-tax production").answer(0, Luck::Good).answer(0, Luck::Broken);
    assert_eq!(world.posted, ["reply/1/0"]);
    world.tell_model(wish(7, 2)).answer(0, Luck::Broken);
    assert!(matches!(answers(&world)[..], [(7, DeploymentState::Error, _)]), "{:?}", answers(&world));
    assert!(world.model_state().promotions.is_empty());
}

#[test]
fn a_deployment_moves_a_channel_and_makes_no_second_one() {
    let mut world = ready();
    let (notice, _) = deployed(7);
    let told = Event::DeploymentCreated { deployment: Box::new(notice) };
    for _ in 0..3 {
        world.tell(Key::Repository(hub()), told.clone());
    }
    assert_eq!(world.names(), ["CheckDeployment"]);
    world.tell_model(wish(7, 2)).tell_model(wish(7, 2));
    world.open.retain(|(effect, _)| effect.name() == "MoveChannel");
    world.drain();
    assert_eq!(recorded(&world), [""; 0]);
    let answers = answers(&world);
    assert!(matches!(answers[0], (7, DeploymentState::Success, _)), "{answers:?}");
    assert_eq!(world.channels[&ChannelName::production()].version, version(&source(2), Tree::Committed).id);
}

#[test]
fn an_older_deployment_that_comes_late_moves_nothing_back() {
    let mut world = ready();
    world.tell_model(wish(8, 3)).drain();
    world.tell_model(wish(7, 2)).drain();
    assert_eq!(world.channels[&ChannelName::production()].version, version(&source(3), Tree::Committed).id);
    let answers = answers(&world);
    assert_eq!(answers[1], (7, DeploymentState::Failure, "deployment 8 to the same environment is newer"));
    assert_eq!(answers.len(), 2);
}

#[test]
fn staging_and_production_are_told_of_once_and_branches_never() {
    let mut world = World::new();
    let every = |target: &str, kinds: &[NoticeKind]| Subscription { target: target.to_owned(), kinds: kinds.to_vec() };
    world.rules.subscriptions = vec![every("all", &NoticeKind::ALL), every("moves", &[NoticeKind::Promoted])];
    world.tell_model(request(2, branch("work"), None)).drain();
    let targets = |world: &World| -> Vec<String> {
        let target = |effect: &Effect| match effect {
            Effect::Notify { target, notice } => Some(format!("{target} {}", notice.kind().as_str())),
            _ => None,
        };
        world.told.iter().filter_map(target).collect()
    };
    assert_eq!(targets(&world), ["all registered"], "a branch is nobody's deployment");
    world.tell_model(request(3, of_pull(), None)).drain();
    assert_eq!(recorded(&world), ["staging"]);
    world.tell_model(request(3, of_pull(), None)).drain();
    assert_eq!(recorded(&world), ["staging"], "it stands there already");
    let heard = targets(&world);
    assert_eq!(heard.iter().filter(|heard| heard.ends_with("promoted")).count(), 2, "{heard:?}");
}

#[test]
fn a_sweep_that_ends_is_told_of_once() {
    let mut world = World::running();
    let all = Subscription { target: "all".to_owned(), kinds: vec![NoticeKind::Finished] };
    world.rules.subscriptions = vec![all];
    world.drain();
    let notices = world.told.iter().filter(|effect| effect.name() == "Notify").count();
    assert_eq!(notices, 1, "{:?}", world.told);
}
