//! Moves of channels whose answers come in any order.

use modelship::domain::deployment::Asker;
use modelship::domain::effect::Effect;
use modelship::domain::event::{Event, PromotionTarget};
use modelship::domain::ids::{ChannelName, Time};
use modelship::domain::notice::{NoticeKind, Subscription};
use modelship::domain::version::{ChannelMove, Tree};

use crate::driver::*;
use crate::things::*;

/// Production of commit `number`, moved at this moment.
fn production(number: u8, at: i64) -> ChannelMove {
    ChannelMove { at: Time(at), ..moved("production", number) }
}

fn registered(number: u8, at: i64) -> Event {
    Event::VersionRegistered {
        source: source(number),
        version: Box::new(version(&source(number), Tree::Committed)),
        moves: vec![production(number, at)],
        is_new: false,
    }
}

fn answered(request: &str, number: u8, at: i64) -> Event {
    let moved = production(number, at);
    let (request, channel) = (request.to_owned(), ChannelName::production());
    Event::PromotionAnswered { request, channel, result: Ok(moved.version.clone()), moved: Some(moved) }
}

/// When each move was of which a deployment was asked for, and of which a notice was, in the order of telling.
fn told(world: &World) -> (Vec<i64>, Vec<i64>) {
    let (mut shown, mut noticed) = (Vec::new(), Vec::new());
    for effect in &world.told {
        match effect {
            Effect::RecordDeployment { moved } => shown.push(moved.at.0),
            Effect::Notify { notice, .. } => noticed.push(notice.at().0),
            _ => {}
        }
    }
    (shown, noticed)
}

#[test]
fn an_older_move_that_is_answered_late_is_told_of_but_shown_nowhere() {
    let mut world = World::new();
    world.rules.subscriptions = vec![Subscription { target: "all".to_owned(), kinds: vec![NoticeKind::Promoted] }];
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good);
    world.take("RegisterVersion");
    world.tell_model(answered("a", 3, 2_000)).tell_model(registered(2, 1_000));
    assert!(world.model_state().builds.is_empty(), "it was heard");
    assert_eq!(told(&world), (vec![2_000], vec![2_000, 1_000]), "each happened, and the newer one stands");
    world.tell_model(request(4, main_branch(), None)).answer(0, Luck::Good);
    world.take("RegisterVersion");
    world.tell_model(registered(4, 3_000)).tell_model(registered(4, 3_000));
    assert_eq!(told(&world), (vec![2_000, 3_000], vec![2_000, 1_000, 3_000]));
}

#[test]
fn whoever_is_answered_late_hears_what_the_own_move_did() {
    let mut world = World::new();
    world.tell_model(Event::PromotionRequested {
        request: "late".to_owned(),
        channel: ChannelName::production(),
        target: PromotionTarget::Version(version(&source(2), Tree::Committed).id),
        by: "ada by deployment 7".to_owned(),
        asker: deployed(7).1,
    });
    world.take("MoveChannel");
    world.tell_model(answered("newer", 3, 2_000)).tell_model(answered("late", 2, 1_000));
    let said = world.told.iter().find_map(|effect| match effect {
        Effect::AnswerDeployment { description, .. } => Some(description.clone()),
        _ => None,
    });
    let version = version(&source(2), Tree::Committed).id;
    assert_eq!(said, Some(format!("production of urban/simple-tax is version {version}")));
    assert_eq!(told(&world).0, [2_000], "the newer one stands");
}

#[test]
fn of_deployments_that_wait_for_one_channel_the_newest_is_left() {
    let mut world = World::new();
    let wish = |number: u8| Event::PromotionRequested {
        request: format!("r{number}"),
        channel: ChannelName::production(),
        target: PromotionTarget::Version(version(&source(number), Tree::Committed).id),
        by: "ada".to_owned(),
        asker: Asker::Terminal,
    };
    world.tell_model(request(2, of_pull(), None)).drain();
    for number in [2, 3, 4] {
        world.tell_model(wish(number)).drain();
    }
    let newest = world.channels[&ChannelName::production()].at.0;
    let waiting: Vec<_> = world.waiting.values().map(|moved| (moved.channel.as_str(), moved.at.0)).collect();
    assert_eq!(waiting, [("production", newest), ("staging", world.channels[&ChannelName::staging()].at.0)]);
}
