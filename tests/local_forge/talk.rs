//! Comments, statuses and who may.

use modelship::domain::event::{Event, Key, Keyed};
use modelship::domain::forge::{CommitState, Permission, User};
use modelship::domain::ids::CommitSha;
use modelship::edge::forge::local::{LocalForge, app_account};

use crate::place::*;

#[test]
fn comments_are_told_and_ours_are_not() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let (comment, deliveries) = world.forge.comment(&pull, "ada", "/modelship run").unwrap();
    let [Keyed { key: Key::Pull(told), event: Event::CommentCreated { comment: id, author, body } }] =
        &events(&deliveries)[..]
    else {
        panic!()
    };
    assert_eq!((told, id.id, author, body.as_str()), (&pull, comment.id, &comment.author, "/modelship run"));
    assert_eq!(id.created_at.0, comment.created_at.0 / 1000 * 1000, "as GitHub does, in whole seconds");
    assert!(refusal(world.forge.comment(&pull, "modelship[bot]", "x")).contains("not an account name"));
    assert!(refusal(world.forge.comment(&pull, "ada", " \n")).contains("needs a text"));
    let long = "é".repeat(65_536);
    assert!(world.forge.comment(&pull, "ada", &long).is_ok());
    assert!(refusal(world.forge.comment(&pull, "ada", &format!("{long}x"))).contains("maximum is 65536 characters"));
}

#[test]
fn our_comment_is_found_by_marker_and_nobody_can_pass_theirs_off_as_ours() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let forge = &world.forge;
    forge.comment(&pull, "mallory", "mine\n\n<!-- modelship:plan a -->").unwrap();
    let first = forge.upsert_comment(&pull, "plan a", "one").unwrap();
    let second = forge.upsert_comment(&pull, "plan b", "other").unwrap();
    assert_eq!(forge.upsert_comment(&pull, "plan a", "two").unwrap(), first);
    assert_eq!(forge.post_comment_once(&pull, "plan a", "three").unwrap(), first);
    let once = forge.post_comment_once(&pull, "result", "four").unwrap();
    assert_eq!(forge.post_comment_once(&pull, "result", "five").unwrap(), once);
    let thread = forge.show(&pull).unwrap();
    let told: Vec<_> = thread.comments.iter().map(|it| (it.author.login.as_str(), it.body.as_str())).collect();
    assert_eq!(
        told,
        [
            ("mallory", "mine\n\n<!-- modelship:plan a -->"),
            ("modelship[bot]", "two\n\n<!-- modelship:plan a -->"),
            ("modelship[bot]", "other\n\n<!-- modelship:plan b -->"),
            ("modelship[bot]", "four\n\n<!-- modelship:result -->"),
        ]
    );
    assert_ne!(first, second);
    assert_eq!(thread.comments[1].author, app_account());
    assert!(refusal(forge.upsert_comment(&pull, "x --> <img>", "body")).contains("cannot mark"));
    assert!(refusal(forge.upsert_comment(&pull, "a", &"x".repeat(65_530))).contains("too long"));
    forge.close(&pull, "ada").unwrap();
    forge.upsert_comment(&pull, "plan a", "after closing").unwrap();
}

#[test]
fn statuses_are_kept_by_context_and_shown_with_the_pull_request() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let head = world.forge.pull(&pull).unwrap().head;
    let set = |context: &str, state, text: &str| {
        world.forge.set_status(&world.repository, &head, context, state, text).unwrap();
    };
    set("modelship/build urban/x", CommitState::Pending, "building");
    set("modelship/build urban/x", CommitState::Success, "built");
    set("../../escape", CommitState::Failure, &"é".repeat(200));
    let statuses = world.forge.show(&pull).unwrap().statuses;
    let told: Vec<_> = statuses.iter().map(|it| (it.context.as_str(), it.state)).collect();
    assert_eq!(told, [("../../escape", CommitState::Failure), ("modelship/build urban/x", CommitState::Success)]);
    assert_eq!(statuses[0].description.chars().count(), 140);
    assert_eq!(statuses[1].updated_at, noon());
    let other = CommitSha::parse("a".repeat(40)).unwrap();
    assert!(world.forge.statuses(&world.repository, &other).unwrap().is_empty());
}

#[test]
fn permission_goes_by_number_not_by_login() {
    let world = World::new();
    let grace = world.forge.set_member("grace", Permission::Write).unwrap();
    let of = |user: &User| world.forge.permission(&world.repository, user).unwrap();
    assert_eq!(of(&grace), Permission::Write);
    assert_eq!(of(&User { id: grace.id, login: "renamed".into() }), Permission::Write);
    assert_eq!(of(&User { id: 999, login: "grace".into() }), Permission::None);
    assert_eq!(of(&app_account()), Permission::None);
    assert_eq!(of(&User { id: 0, login: "ghost".into() }), Permission::None);
    world.forge.set_member("grace", Permission::None).unwrap();
    assert_eq!(of(&grace), Permission::None, "taken away at once");
}

#[test]
fn many_hands_at_once_lose_nothing() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let root = world.forge.root();
    std::thread::scope(|scope| {
        for hand in 0..8 {
            let pull = &pull;
            scope.spawn(move || {
                // Each opens the forge for itself, as another process would.
                let forge = LocalForge::open(root, noon).unwrap();
                for n in 0..10 {
                    forge.comment(pull, &format!("user{hand}"), &format!("{hand}/{n}")).unwrap();
                    forge.upsert_comment(pull, "sticky", &format!("{hand}/{n}")).unwrap();
                    forge.post_comment_once(pull, "once", "once").unwrap();
                    forge.show(pull).unwrap();
                }
            });
        }
    });
    let thread = world.forge.show(&pull).unwrap();
    assert_eq!(thread.comments.len(), 82);
    let mut ids: Vec<_> = thread.comments.iter().map(|it| it.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 82);
    let members = world.forge.members().unwrap();
    let mut numbers: Vec<_> = members.iter().map(|(user, _)| user.id).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), members.len(), "no number twice");
}
