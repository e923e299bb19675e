//! What is pushed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use modelship::domain::event::{Event, Key, Keyed};
use modelship::domain::forge::Permission;
use modelship::domain::ids::RepositoryName;
use modelship::edge::forge::local::LocalForge;
use secrecy::ExposeSecret as _;

use crate::place::*;

#[test]
fn a_new_forge_has_a_secret_and_its_maker_as_administrator() {
    let world = World::new();
    let secret = world.forge.webhook_secret().unwrap();
    assert_eq!(secret.expose_secret().len(), 64);
    assert!(secret.expose_secret().bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mode = std::fs::metadata(world.forge.root().join("webhook-secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let me = world.forge.me().unwrap();
    assert_eq!(world.forge.permission(&world.repository, &me).unwrap(), Permission::Admin);
    assert!(refusal(LocalForge::create(world.forge.root(), "http://x", noon)).contains("already"));
    let again = LocalForge::open(world.forge.root(), noon).unwrap();
    assert_eq!(again.repositories().unwrap(), std::slice::from_ref(&world.repository));
    assert_eq!(again.webhook_secret().unwrap().expose_secret(), secret.expose_secret());
    assert!(refusal(LocalForge::open(&world.directory.path().join("none"), noon)).contains("no local forge"));
    assert_eq!(again.default_branch(&world.repository).unwrap(), "main");
}

#[test]
fn names_that_would_break_the_forge_are_refused() {
    let world = World::new();
    let exe = Path::new("/bin/true");
    let make = |name: &str| world.forge.create_repository(&RepositoryName::parse(name).unwrap(), exe);
    assert!(refusal(make("urban/hub")).contains("already"));
    assert!(refusal(make("forge.json/x")).contains("cannot be the owner"));
    assert!(refusal(make("webhook-secret/x")).contains("cannot be the owner"));
    assert!(
        refusal(world.forge.create_repository(&RepositoryName::parse("a/b").unwrap(), Path::new("rel")))
            .contains("absolute")
    );
    let other = make("urban/hub.pulls").unwrap();
    assert_ne!(other.id, world.repository.id);
    for login in ["modelship[bot]", "a\nb", "../x", ""] {
        assert!(refusal(world.forge.set_member(login, Permission::Admin)).contains("not an account name"));
    }
}

#[test]
fn the_hook_survives_any_folder_name_and_runs_nothing_else() {
    let world = World::in_folder("it's a \"forge\"; $(touch pwned) `touch pwned`\nnext & -x");
    let argv = std::fs::read_to_string(world.directory.path().join("argv")).unwrap();
    let root = world.forge.root().to_str().unwrap();
    assert_eq!(argv, format!("forge-hook\n--forge\n{root}\n--repository\nurban/hub\n"));
    let lines = std::fs::read_to_string(world.directory.path().join("lines")).unwrap();
    assert!(lines.ends_with(" refs/heads/main\n"), "{lines}");
    let pwned = [world.git_dir(), world.directory.path().to_owned(), world.clone()];
    assert!(pwned.iter().all(|folder| !folder.join("pwned").exists()));
}

#[test]
fn a_push_is_told_as_github_tells_it() {
    let world = World::new();
    let before = world.source().branch("main").unwrap().unwrap();
    let lines = world.commit("main", "a/b.txt", "1");
    let after = world.source().branch("main").unwrap().unwrap();
    let deliveries = world.received(&lines);
    assert_eq!(deliveries.len(), 1);
    let push = body(&deliveries[0]);
    assert_eq!((push["ref"].as_str(), push["before"].as_str()), (Some("refs/heads/main"), Some(before.as_str())));
    assert_eq!(push["after"].as_str(), Some(after.as_str()));
    assert_eq!((push["created"].as_bool(), push["forced"].as_bool()), (Some(false), Some(false)));
    assert_eq!(push["repository"]["id"].as_i64(), Some(world.repository.id));
    assert_eq!(push["repository"]["full_name"], "urban/hub");
    assert_eq!(push["repository"]["default_branch"], "main");
    assert_eq!(push["commits"].as_array().unwrap().len(), 1);
    assert_eq!(push["commits"][0]["added"], serde_json::json!(["a/b.txt"]));
    assert_eq!(push["head_commit"]["message"], "write a/b.txt");
    assert_eq!(push["sender"]["login"], world.forge.me().unwrap().login);
    assert!(uuid::Uuid::parse_str(&deliveries[0].id).is_ok());
    let [Keyed { key: Key::Repository(repository), event }] = &events(&deliveries)[..] else { panic!() };
    assert_eq!(*repository, world.repository);
    let Event::PushReceived { reference, default_branch, .. } = event else { panic!() };
    assert_eq!((reference.as_str(), default_branch.as_str()), ("refs/heads/main", "main"));
}

#[test]
fn new_forced_and_deleted_references_are_told_apart() {
    let world = World::new();
    let created = body(&world.received(&world.commit("work", "w", "1"))[0]);
    assert_eq!((created["created"].as_bool(), created["commits"].as_array().unwrap().len()), (Some(true), 1));
    world.git(&["commit", "-q", "--amend", "-m", "again"], &world.clone());
    let forced = body(&world.received(&world.push(&["refs/heads/work"]))[0]);
    assert_eq!(forced["forced"].as_bool(), Some(true));
    let deleted = world.received(&world.push(&[":refs/heads/work"]));
    assert_eq!(body(&deleted[0])["deleted"].as_bool(), Some(true));
    let Event::PushReceived { after, .. } = &events(&deleted)[0].event else { panic!() };
    assert_eq!(*after, None);

    world.git(&["tag", "-a", "v1", "-m", "one"], &world.clone());
    let tagged = world.received(&world.push(&["refs/tags/v1"]));
    let Event::PushReceived { after, .. } = &events(&tagged)[0].event else { panic!() };
    let commit = world.source().resolve("v1").unwrap();
    assert_eq!(*after, Some(commit), "an annotated tag means its commit");
    let notes = format!("{} {} refs/notes/x\n", "0".repeat(40), "a".repeat(40));
    assert!(world.received(&notes).is_empty());
    for bad in ["x", "a b refs/heads/main", "\u{1b}[2J"] {
        assert!(refusal(world.forge.post_receive(&world.repository.name, bad)).contains("is not a"));
    }
}

#[test]
fn a_push_of_many_commits_lists_the_newest() {
    let world = World::new();
    let clone = world.clone();
    for n in 0..25 {
        world.git(&["commit", "-q", "--allow-empty", "-m", &format!("number {n}")], &clone);
    }
    let push = body(&world.received(&world.push(&["refs/heads/main"]))[0]);
    let commits = push["commits"].as_array().unwrap();
    assert_eq!((commits.len(), commits[0]["message"].as_str()), (20, Some("number 5")));
    assert_eq!(commits[19]["message"], "number 24");
}
