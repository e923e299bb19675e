//! The local forge as people and the server meet it: real repositories, a real hook, real deliveries.

#![expect(clippy::unwrap_used, reason = "a test ends where it finds a fault")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use modelship::domain::event::{Event, Key, Keyed, PullChange};
use modelship::domain::forge::{CommitState, Permission, PullSnapshot, PullStatus, User};
use modelship::domain::ids::{
    CommitSha, ModelName, PullNumber, PullRef, Repository, RepositoryName, RunId, SweepId, Time,
};
use modelship::domain::image::ImageName;
use modelship::domain::offer::{Identity, OfferState};
use modelship::domain::version::Version;
use modelship::edge::artifacts::content::Content;
use modelship::edge::forge::local::{
    Delivery, DeliveryOutcome, LocalForge, LocalForgeError, NewPull, app_account, signature,
};
use modelship::edge::oidc::TokenError;
use modelship::edge::source::Source;
use modelship::engine::{Recorded, SweepFile};
use modelship::server::{self, payload};
use modelship::settings::Public;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

fn noon() -> Time {
    Time(1_790_000_000_000)
}

/// A forge with one repository and a clone of it.
struct World {
    directory: tempfile::TempDir,
    forge: LocalForge,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        Self::in_folder("forge")
    }

    /// The forge lies in a folder of this name; the hook writes down how it was called.
    fn in_folder(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let forge = LocalForge::create(&directory.path().join(name), "http://127.0.0.1:9", noon).unwrap();
        let recorder = directory.path().join("it's \"modelship\" $(touch pwned)");
        let script = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s\\n' \"$@\" >\"$here/argv\"\ncat >\"$here/lines\"\n";
        std::fs::write(&recorder, script).unwrap();
        std::fs::set_permissions(&recorder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = RepositoryName::parse("urban/hub").unwrap();
        let repository = forge.create_repository(&name, &recorder).unwrap();
        let world = Self { directory, forge, repository };
        world.git(&["clone", "-q", world.git_dir().to_str().unwrap(), world.clone().to_str().unwrap()], Path::new("/"));
        world.commit("main", "README.md", "hello");
        world
    }

    fn git_dir(&self) -> PathBuf {
        self.forge.git_dir(&self.repository.name)
    }

    fn clone(&self) -> PathBuf {
        self.directory.path().join("clone")
    }

    fn source(&self) -> Source {
        Source::open(&self.git_dir()).unwrap()
    }

    fn git(&self, arguments: &[&str], at: &Path) {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(at)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Commits a file on the branch, which is made from where the clone stands, and pushes. Gives what the hook saw.
    fn commit(&self, branch: &str, file: &str, text: &str) -> String {
        let clone = self.clone();
        let known = self.source().branch(branch).unwrap().is_some();
        if known {
            self.git(&["fetch", "-q", "origin"], &clone);
            self.git(&["checkout", "-q", "-B", branch, &format!("refs/remotes/origin/{branch}")], &clone);
        } else {
            self.git(&["checkout", "-q", "-B", branch], &clone);
        }
        std::fs::create_dir_all(clone.join(file).parent().unwrap()).unwrap();
        std::fs::write(clone.join(file), text).unwrap();
        self.git(&["add", "-A"], &clone);
        self.git(&["commit", "-qm", &format!("write {file}")], &clone);
        self.push(&[&format!("refs/heads/{branch}")])
    }

    fn push(&self, refs: &[&str]) -> String {
        let clone = self.clone();
        self.git(&[&["push", "-qf", "origin", "--"][..], refs].concat(), &clone);
        std::fs::read_to_string(self.directory.path().join("lines")).unwrap()
    }

    fn open(&self, head: &str) -> (PullRef, Vec<Delivery>) {
        let (snapshot, deliveries) = self.forge.open_pull(&self.new_pull(head, "main")).unwrap();
        (snapshot.pull, deliveries)
    }

    fn new_pull(&self, head: &str, base: &str) -> NewPull {
        NewPull {
            repository: self.repository.name.clone(),
            title: "A change".into(),
            head: head.into(),
            base: base.into(),
            author: "ada".into(),
        }
    }

    fn received(&self, lines: &str) -> Vec<Delivery> {
        self.forge.post_receive(&self.repository.name, lines).unwrap()
    }
}

fn body(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.body).unwrap()
}

/// The deliveries as the server reads them.
fn events(deliveries: &[Delivery]) -> Vec<Keyed> {
    deliveries
        .iter()
        .flat_map(|delivery| payload::read(delivery.event, delivery.body.as_bytes()).unwrap().events)
        .collect()
}

/// The only pull request event among the deliveries.
fn pull_event(deliveries: &[Delivery]) -> (PullChange, PullSnapshot) {
    let mut found = events(deliveries).into_iter().filter_map(|keyed| match keyed.event {
        Event::PullChanged { snapshot, change } => Some((change, *snapshot)),
        _ => None,
    });
    let first = found.next().expect("a pull request event");
    assert!(found.next().is_none(), "one pull request event");
    first
}

fn refusal<T: std::fmt::Debug>(result: Result<T, LocalForgeError>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_users_fault(), "{error:?}");
    error.to_string()
}

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

/// An inbox that keeps what it is given.
#[derive(Default)]
struct Kept(Mutex<Vec<Keyed>>);

impl server::Inbox for Kept {
    fn accept(
        &self,
        _: server::Delivery,
        events: Vec<Keyed>,
    ) -> BoxFuture<'_, Result<server::Accepted, server::Unavailable>> {
        self.0.lock().unwrap().extend(events);
        async { Ok(server::Accepted::New) }.boxed()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, server::Unavailable>>;

impl server::Registry for Kept {
    fn ready(&self) -> Answer<'_, ()> {
        async { Ok(()) }.boxed()
    }
    fn figures(&self) -> Answer<'_, server::Figures> {
        async { Ok(server::Figures::default()) }.boxed()
    }
    fn models(&self) -> Answer<'_, Vec<server::ModelEntry>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn model(&self, _: ModelName) -> Answer<'_, Option<server::ModelEntry>> {
        async { Ok(None) }.boxed()
    }
    fn versions(&self, _: ModelName) -> Answer<'_, Vec<Version>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn sweeps(&self) -> Answer<'_, Vec<server::SweepEntry>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn sweep(&self, _: SweepId) -> Answer<'_, Option<server::SweepEntry>> {
        async { Ok(None) }.boxed()
    }
    fn sweep_file(&self, _: SweepId, _: SweepFile) -> Answer<'_, Option<Content>> {
        async { Ok(None) }.boxed()
    }
    fn run(&self, _: RunId) -> Answer<'_, Option<server::RunEntry>> {
        async { Ok(None) }.boxed()
    }
    fn recorded(&self, _: server::RunEntry) -> Answer<'_, Option<Recorded>> {
        async { Ok(None) }.boxed()
    }
    fn run_log<'a>(&'a self, _: &'a Recorded) -> Answer<'a, String> {
        async { Ok(String::new()) }.boxed()
    }
    fn run_file<'a>(&'a self, _: &'a Recorded, _: &'a str) -> Answer<'a, Option<Content>> {
        async { Ok(None) }.boxed()
    }
}

/// Nobody offers anything here.
impl server::Offers for Kept {
    fn identify(&self, _: SecretString) -> BoxFuture<'_, Option<Result<(Identity, Time), TokenError>>> {
        async { None }.boxed()
    }
    fn offer(&self, _: ModelName, _: String) -> Answer<'_, Option<OfferState>> {
        async { Ok(None) }.boxed()
    }
    fn accepted(&self, _: server::Sender, _: &str) -> Vec<ImageName> {
        Vec::new()
    }
}

async fn serve(secret: SecretString, kept: Arc<Kept>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let context = server::ServerContext {
        secrets: server::WebhookSecrets::new(vec![secret]).unwrap(),
        repositories: server::AllowedRepositories::Any,
        inbox: kept.clone(),
        registry: kept.clone(),
        access: Arc::new(server::Access::new(Public::All, server::Others::Everybody)),
        offers: server::OfferDoors { offers: kept.clone(), registry_secrets: Vec::new() },
        limits: server::Limits::default(),
    };
    tokio::spawn(server::serve(listener, context, std::future::pending()));
    url
}

#[tokio::test]
async fn deliveries_reach_the_server_signed_and_in_order() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, mut deliveries) = world.open("work");
    deliveries.extend(world.forge.comment(&pull, "ada", "/modelship run").unwrap().1);
    let me = world.forge.me().unwrap().login;
    deliveries.extend(world.forge.merge(&pull, &me).unwrap().1);

    let kept = Arc::new(Kept::default());
    let url = serve(world.forge.webhook_secret().unwrap(), kept.clone()).await;
    world.forge.set_url(&format!("{url}/")).unwrap();
    let results = world.forge.deliver(&deliveries).await.unwrap();
    assert!(results.iter().all(|it| it.outcome == DeliveryOutcome::Accepted { status: 202 }), "{results:?}");
    let names: Vec<_> = kept.0.lock().unwrap().iter().map(|keyed| keyed.event.name()).collect();
    assert_eq!(names, ["PullChanged", "CommentCreated", "PushReceived", "PullChanged"]);
}

#[tokio::test]
async fn a_server_with_another_secret_rejects_and_a_missing_one_is_no_error() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (_, deliveries) = world.open("work");
    let kept = Arc::new(Kept::default());
    world.forge.set_url(&serve(SecretString::from("other"), kept.clone()).await).unwrap();
    let results = world.forge.deliver(&deliveries).await.unwrap();
    let DeliveryOutcome::Rejected { status: 401, answer } = &results[0].outcome else { panic!("{results:?}") };
    assert!(answer.contains("signature"));
    assert!(kept.0.lock().unwrap().is_empty());

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    world.forge.set_url(&url).unwrap();
    let two = [deliveries[0].clone(), deliveries[0].clone()];
    let results = world.forge.deliver(&two).await.unwrap();
    assert!(results.iter().all(|it| matches!(it.outcome, DeliveryOutcome::Unanswered { .. })), "{results:?}");
}

#[test]
fn the_signature_is_that_of_githubs_documentation() {
    let secret = SecretString::from("It's a Secret to Everybody");
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(signature(&secret, b"Hello, World!"), expected);
}
