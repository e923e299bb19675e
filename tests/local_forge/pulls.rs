//! Pull requests.

use modelship::domain::event::{Event, PullChange};
use modelship::domain::forge::{Permission, PullStatus};
use modelship::domain::ids::{PullNumber, PullRef};
use modelship::edge::forge::local::{LocalForgeError, NewPull};

use crate::place::*;

#[test]
fn opening_needs_two_branches_that_differ() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, deliveries) = world.open("work");
    assert_eq!(pull.number, PullNumber(1));
    let (change, snapshot) = pull_event(&deliveries);
    assert_eq!(change, PullChange::Opened);
    assert_eq!(snapshot, world.forge.pull(&pull).unwrap(), "what is told is what is there");
    assert_eq!((snapshot.head_branch.as_str(), snapshot.base_branch.as_str()), ("work", "main"));
    let open = |head, base| refusal(world.forge.open_pull(&world.new_pull(head, base)));
    assert_eq!(open("work", "main"), "#1 is open from `work` to `main` already");
    assert_eq!(open("main", "main"), "`main` cannot be merged into itself");
    assert_eq!(open("none", "main"), "there is no branch `none` in `urban/hub`");
    assert_eq!(open("work", "a\nb"), "there is no branch `a\\nb` in `urban/hub`");
    assert_eq!(open("main", "work"), "`work` holds every commit of `main` already");
    assert_eq!(open("refs/heads/../work", "main"), "there is no branch `refs/heads/../work` in `urban/hub`");
    let untitled = NewPull { title: " \n".into(), ..world.new_pull("work", "main") };
    assert_eq!(refusal(world.forge.open_pull(&untitled)), "a pull request needs a title");
}

#[test]
fn branch_names_titles_and_bodies_may_hold_anything_that_git_allows() {
    let world = World::new();
    let branch = "-o\"$(touch${IFS}pwned)\";'#";
    let lines = {
        let clone = world.clone();
        world.git(&["commit", "-q", "--allow-empty", "-m", "odd"], &clone);
        world.push(&[&format!("HEAD:refs/heads/{branch}")])
    };
    assert_eq!(body(&world.received(&lines)[0])["ref"], format!("refs/heads/{branch}"));
    let title = "fix \"quotes\"\n; rm -rf / \0 <!-- modelship:plan --> 🚢";
    let new = NewPull { title: title.into(), ..world.new_pull(branch, "main") };
    let (snapshot, deliveries) = world.forge.open_pull(&new).unwrap();
    assert_eq!(snapshot.title, "fix \"quotes\" ; rm -rf /   <!-- modelship:plan --> 🚢");
    assert_eq!(pull_event(&deliveries).1, snapshot);
    let text = "--help\n\0`$(id)`\n<!-- modelship:plan -->\"'";
    let (comment, _) = world.forge.comment(&snapshot.pull, "ada", text).unwrap();
    assert_eq!(comment.body, text.replace('\0', "\u{fffd}"));
    world.forge.set_member("ada", Permission::Write).unwrap();
    let (merged, _) = world.forge.merge(&snapshot.pull, "ada").unwrap();
    let note = world.source().describe(&merged.merge_commit.unwrap()).unwrap();
    assert_eq!(note.summary, format!("Merge pull request #1 from {branch}"));
}

#[test]
fn a_pull_request_follows_its_branch() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let old = world.forge.pull(&pull).unwrap().head;
    let lines = world.commit("work", "w", "2");
    let new = world.source().branch("work").unwrap().unwrap();
    assert_eq!(world.forge.pull(&pull).unwrap().head, new, "also before the hook has run");
    let deliveries = world.received(&lines);
    assert_eq!(deliveries.iter().map(|it| it.event).collect::<Vec<_>>(), ["push", "pull_request"]);
    let synchronize = body(&deliveries[1]);
    assert_eq!(synchronize["before"].as_str(), Some(old.as_str()));
    assert_eq!(synchronize["after"].as_str(), Some(new.as_str()));
    assert_eq!(pull_event(&deliveries).0, PullChange::Pushed);
    assert_eq!(world.received(&lines).len(), 1, "told once");
    let closed = world.received(&world.push(&[":refs/heads/work"]));
    assert_eq!(pull_event(&closed).0, PullChange::Closed);
    assert_eq!(world.forge.pull(&pull).unwrap().status, PullStatus::Closed);
    assert!(refusal(world.forge.reopen(&pull, "ada")).contains("is gone"));
}

#[test]
fn closing_and_reopening_are_for_its_author_and_writers() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    let told = world.forge.close(&pull, "mallory").unwrap_err();
    assert!(matches!(told, LocalForgeError::Forbidden(_)), "{told:?}");
    let (_, deliveries) = world.forge.close(&pull, "ada").unwrap();
    assert_eq!(pull_event(&deliveries).0, PullChange::Closed);
    let head = world.forge.pull(&pull).unwrap().head;
    let lines = world.commit("work", "w", "2");
    assert_eq!(world.received(&lines).len(), 1, "a closed one does not follow");
    assert_eq!(world.forge.pull(&pull).unwrap().head, head);
    assert_eq!(refusal(world.forge.close(&pull, "ada")), "#1 is closed");
    world.forge.set_member("grace", Permission::Write).unwrap();
    let (snapshot, deliveries) = world.forge.reopen(&pull, "grace").unwrap();
    assert_eq!(pull_event(&deliveries).0, PullChange::Opened);
    assert_ne!(snapshot.head, head);
    assert_eq!(refusal(world.forge.reopen(&pull, "ada")), "#1 is not closed");
    let list = |status| world.forge.list_pulls(&world.repository.name, status).unwrap().len();
    assert_eq!((list(None), list(Some(PullStatus::Open)), list(Some(PullStatus::Closed))), (1, 1, 0));
    let absent = PullRef { number: PullNumber(9), ..pull };
    assert_eq!(refusal(world.forge.close(&absent, "ada")), "there is no pull request #9 in `urban/hub`");
}

#[test]
fn merging_makes_a_merge_commit_and_tells_of_both() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, _) = world.open("work");
    assert!(matches!(world.forge.merge(&pull, "mallory"), Err(LocalForgeError::Forbidden(_))));
    world.forge.set_member("grace", Permission::Write).unwrap();
    let before = world.source().branch("main").unwrap();
    let (snapshot, deliveries) = world.forge.merge(&pull, "grace").unwrap();
    let merge = snapshot.merge_commit.clone().unwrap();
    assert_eq!(world.source().branch("main").unwrap(), Some(merge.clone()));
    assert_eq!(deliveries.iter().map(|it| it.event).collect::<Vec<_>>(), ["push", "pull_request"]);
    let Event::PushReceived { before: from, after, pusher, .. } = &events(&deliveries)[0].event else { panic!() };
    assert_eq!((from, after, pusher.as_str()), (&before, &Some(merge), "grace"));
    let (change, told) = pull_event(&deliveries);
    assert_eq!(
        (change, told.status, &told.merge_commit),
        (PullChange::Closed, PullStatus::Merged, &snapshot.merge_commit)
    );
    assert_eq!(world.forge.pull(&pull).unwrap(), told);
    assert_eq!(refusal(world.forge.merge(&pull, "grace")), "#1 is merged");
    assert_eq!(refusal(world.forge.close(&pull, "ada")), "#1 is merged");
}

#[test]
fn a_conflict_changes_nothing_and_names_the_file() {
    let world = World::new();
    world.commit("work", "same.txt", "1");
    world.git(&["checkout", "-q", "main"], &world.clone());
    world.commit("main", "same.txt", "2");
    let (pull, _) = world.open("work");
    let main = world.source().branch("main").unwrap();
    let me = world.forge.me().unwrap().login;
    let error = world.forge.merge(&pull, &me).unwrap_err();
    assert!(error.is_users_fault());
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("`same.txt`"));
    assert_eq!(world.source().branch("main").unwrap(), main);
    assert_eq!(world.forge.pull(&pull).unwrap().status, PullStatus::Open);
}

#[test]
fn what_is_merged_with_git_is_merged_and_what_is_reset_is_closed() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (merged, _) = world.open("work");
    world.git(&["checkout", "-q", "main"], &world.clone());
    world.commit("other", "o", "1");
    let (reset, _) = world.open("other");
    world.git(&["checkout", "-q", "main"], &world.clone());
    world.git(&["merge", "-q", "--no-ff", "-m", "by hand", "work"], &world.clone());
    let lines = world.push(&["refs/heads/main"]);
    let (change, snapshot) = pull_event(&world.received(&lines));
    assert_eq!((change, snapshot.status, &snapshot.pull), (PullChange::Closed, PullStatus::Merged, &merged));
    assert_eq!(snapshot.merge_commit, world.source().branch("main").unwrap());

    let lines = world.push(&["refs/heads/main:refs/heads/other"]);
    let told = events(&world.received(&lines));
    let Event::PullChanged { snapshot, .. } = &told.last().unwrap().event else { panic!() };
    assert_eq!((snapshot.status, &snapshot.pull), (PullStatus::Closed, &reset));
}
