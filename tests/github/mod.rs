//! GitHub, as far as modelship meets it: a stateful fake behind Prism, which checks every request and every answer against
//! GitHub's own `OpenAPI` file.
//!
//! A test starts a [`GitHub`], makes repositories and people, and points a client at [`GitHub::url`]. Repositories are real
//! ones: a `git push` to [`GitHub::clone_url`] or [`GitHub::directory`] tells the fake, which tells the hook. When the value
//! is dropped it complains about requests that Prism or the fake refused as not being GitHub's.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod app;
mod checks;
mod deployments;
mod faults;
mod front;
mod git;
mod hooks;
mod http;
mod prism;
mod references;
mod routes;
mod shapes;
mod state;
mod threads;

use self::faults::Armed;
pub(crate) use self::faults::Fault;
pub(crate) use self::front::Logged;
pub(crate) use self::http::{Request, Response, send};
use self::state::{App, Budget, Deployment, Holder, Hook, Pull, Repository, State, Token, User, now, seconds};
pub(crate) use self::state::{Comment, Delivery, Permission};

/// What the fake's threads share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// The fake's own answers, until the front has looked at them.
    pub(crate) answers: Mutex<HashMap<String, Response>>,
    requests: AtomicU64,
    log: Mutex<Vec<Logged>>,
    armed: Mutex<Vec<Armed>>,
    outage: AtomicBool,
    complaints: Mutex<Vec<String>>,
    post: Mutex<Sender<Delivery>>,
    in_post: AtomicU64,
}

impl Shared {
    /// Keeps something that no client of GitHub should do, and no fake of it.
    pub(crate) fn complain(&self, what: String) {
        self.complaints.lock().unwrap().push(what);
    }

    /// Sends a delivery once more.
    pub(crate) fn send(&self, delivery: Delivery) {
        self.send_first(Delivery { redelivery: true, ..delivery });
    }

    /// Sends a delivery; they arrive one after the other.
    pub(crate) fn send_first(&self, delivery: Delivery) {
        self.in_post.fetch_add(1, Ordering::SeqCst);
        let _ = self.post.lock().unwrap().send(delivery);
    }

    fn take_fault(&self, request: &str) -> Option<Fault> {
        let mut armed = self.armed.lock().unwrap();
        let at = armed.iter().position(|armed| faults::fits(&armed.pattern, request))?;
        let fault = armed[at].fault.clone();
        armed[at].times -= 1;
        if armed[at].times == 0 {
            armed.remove(at);
        }
        Some(fault)
    }
}

/// A pull request that somebody opens.
#[derive(Debug, Clone)]
pub(crate) struct Opened<'a> {
    pub(crate) author: &'a str,
    pub(crate) title: &'a str,
    /// A branch, or `owner/fork:branch`.
    pub(crate) head: &'a str,
    pub(crate) base: &'a str,
    pub(crate) draft: bool,
}

/// A GitHub of one test.
pub(crate) struct GitHub {
    shared: Arc<Shared>,
    front: http::Server,
    name: String,
    /// Goes last: repositories lie in it.
    _root: TempDir,
}

/// The keys of all Apps of this process: making one takes long.
static KEYS: OnceLock<(String, String)> = OnceLock::new();

impl GitHub {
    /// A GitHub with an App, `modelship`, installed in the organization `urban`, and nothing else.
    pub(crate) fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (private_key, public_key) = KEYS.get_or_init(|| app::make_keys(root.path())).clone();
        let user = |id: u64, login: &str, kind: &'static str| User { id, login: login.to_owned(), kind };
        let write = ["checks", "contents", "deployments", "issues", "pull_requests", "statuses"];
        let mut permissions: BTreeMap<_, _> = write.map(|name| (name.to_owned(), "write".to_owned())).into();
        permissions.insert("metadata".to_owned(), "read".to_owned());
        let events =
            ["push", "pull_request", "issue_comment", "check_run", "create", "delete", "deployment", "repository"];
        let app = App {
            id: 4242,
            slug: "modelship".to_owned(),
            bot: 2,
            owner: 1,
            private_key,
            public_key,
            installation: 7001,
            permissions,
            events: events.map(str::to_owned).into(),
            suspended: false,
            installed: true,
        };
        let state = State {
            url: String::new(),
            directory: root.path().join("repositories"),
            last_id: 10_000,
            users: vec![user(1, "urban", "Organization"), user(2, "modelship[bot]", "Bot")],
            permissions: HashMap::new(),
            repositories: BTreeMap::new(),
            app,
            manifests: HashMap::new(),
            tokens: HashMap::new(),
            minted: 0,
            token_life: 3600,
            deliveries: BTreeMap::new(),
            budgets: HashMap::new(),
            hook: None,
        };
        let (post, letters) = channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            answers: Mutex::default(),
            requests: AtomicU64::new(0),
            log: Mutex::default(),
            armed: Mutex::default(),
            outage: AtomicBool::new(false),
            complaints: Mutex::default(),
            post: Mutex::new(post),
            in_post: AtomicU64::new(0),
        });
        let name = prism::enter(&shared);
        let (world, its_name) = (Arc::downgrade(&shared), name.clone());
        let front = http::Server::start(move |request| match world.upgrade() {
            Some(world) => front::answer(&world, &its_name, request),
            None => http::Reply::Nothing,
        });
        shared.state.lock().unwrap().url = front.url();
        let world = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for delivery in letters {
                let Some(world) = world.upgrade() else { return };
                carry(&world, delivery);
                world.in_post.fetch_sub(1, Ordering::SeqCst);
            }
        });
        Self { shared, front, name, _root: root }
    }

    /// Where clients find GitHub's API, and git its repositories.
    pub(crate) fn url(&self) -> String {
        self.front.url()
    }

    /// Where the fake answers without Prism; requests need [`GitHub::direct_header`].
    pub(crate) fn direct_url(&self) -> String {
        prism::direct_url()
    }

    /// The header that says which test's GitHub is meant.
    pub(crate) fn direct_header(&self) -> (String, String) {
        (prism::WORLD.to_owned(), self.name.clone())
    }

    /// Where Prism listens, which passes on what has [`GitHub::direct_header`].
    pub(crate) fn prism_url(&self) -> String {
        prism::url().to_owned()
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.state.lock().unwrap())
    }

    // -- People and repositories

    /// Makes somebody who has `permission` everywhere, and gives the id.
    pub(crate) fn user(&self, login: &str, permission: Permission) -> u64 {
        self.with(|state| {
            let id = state.ensure_user(login, "User");
            state.permissions.insert(id, permission);
            id
        })
    }

    /// Says what somebody may do with one repository.
    pub(crate) fn permit(&self, repository: &str, login: &str, permission: Permission) {
        self.with(|state| {
            let user = state.ensure_user(login, "User");
            state.named_mut(repository).permissions.insert(user, permission);
        });
    }

    /// Gives a login to another account, as happens after a deletion. Gives the new id.
    pub(crate) fn reuse_login(&self, login: &str) -> u64 {
        self.with(|state| {
            let old = state.user_named(login).unwrap_or_else(|| panic!("there is no {login}")).id;
            let ghost = format!("ghost-{old}");
            state.users.iter_mut().filter(|user| user.id == old).for_each(|user| user.login.clone_from(&ghost));
            state.ensure_user(login, "User")
        })
    }

    /// A token of somebody's own.
    pub(crate) fn token_of(&self, login: &str) -> String {
        let token = format!("ghp_{}", uuid::Uuid::new_v4().simple());
        self.with(|state| {
            let id = state.ensure_user(login, "User");
            state.tokens.insert(token.clone(), Token { holder: Holder::User(id), expires: None });
        });
        token
    }

    /// Makes an empty public repository that the App is installed in, and gives its id.
    pub(crate) fn repository(&self, full_name: &str) -> u64 {
        self.with(|state| {
            let id = new_repository(state, full_name, None);
            git::make(&state.repositories[&id].directory, self.front.port(), id);
            id
        })
    }

    /// Makes a fork, which the App knows nothing of, and gives its id.
    pub(crate) fn fork(&self, of: &str, full_name: &str) -> u64 {
        self.with(|state| {
            let (parent, from) = (state.named(of).id, state.named(of).directory.clone());
            let id = new_repository(state, full_name, Some(parent));
            git::fork(&from, &state.repositories[&id].directory, self.front.port(), id);
            id
        })
    }

    /// The repository on disk; git can push to it and fetch from it.
    pub(crate) fn directory(&self, repository: &str) -> PathBuf {
        self.with(|state| state.named(repository).directory.clone())
    }

    /// The repository for git over HTTP.
    pub(crate) fn clone_url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.url())
    }

    pub(crate) fn set_private(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).private = true);
        self.tell_of_repository(repository, json!({"action": "privatized"}));
    }

    pub(crate) fn archive(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).archived = true);
        self.tell_of_repository(repository, json!({"action": "archived"}));
    }

    /// Renames or transfers a repository; the old name redirects.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let changes = self.with(|state| {
            let (owner, name) = to.split_once('/').expect("a name is `owner/name`");
            let owner = state.ensure_user(owner, "Organization");
            let repository = state.named_mut(from);
            let former = std::mem::replace(&mut repository.name, name.to_owned());
            repository.former_names.push(from.to_owned());
            let same_owner = std::mem::replace(&mut repository.owner, owner) == owner;
            if same_owner {
                json!({"action": "renamed", "changes": {"repository": {"name": {"from": former}}}})
            } else {
                json!({"action": "transferred", "changes": {"owner": {"from": {}}}})
            }
        });
        self.tell_of_repository(to, changes);
    }

    /// Deletes a repository; pull requests from it lose their head's.
    pub(crate) fn delete_repository(&self, full_name: &str) {
        self.with(|state| {
            let id = state.named(full_name).id;
            state.repositories.remove(&id);
            for pull in state.repositories.values_mut().flat_map(|repository| repository.pulls.values_mut()) {
                if pull.head_repository == Some(id) {
                    pull.head_repository = None;
                }
            }
        });
    }

    fn tell_of_repository(&self, full_name: &str, fields: Value) {
        self.with(|state| {
            let (id, owner) = (state.named(full_name).id, state.named(full_name).owner);
            hooks::emit(&self.shared, state, "repository", id, owner, fields);
        });
    }

    // -- The App

    /// The App's id.
    pub(crate) fn app_id(&self) -> u64 {
        self.with(|state| state.app.id)
    }

    /// The App's private key, as PEM.
    pub(crate) fn private_key(&self) -> String {
        self.with(|state| state.app.private_key.clone())
    }

    pub(crate) fn installation_id(&self) -> u64 {
        self.with(|state| state.app.installation)
    }

    /// Changes what the App may do: `read`, `write`, or nothing at all.
    pub(crate) fn set_app_permission(&self, name: &str, level: Option<&str>) {
        self.with(|state| match level {
            Some(level) => state.app.permissions.insert(name.to_owned(), level.to_owned()),
            None => state.app.permissions.remove(name),
        });
    }

    /// How long the tokens live that are minted from now on.
    pub(crate) fn set_token_life(&self, seconds: i64) {
        self.with(|state| state.token_life = seconds);
    }

    /// Ends every token that was minted.
    pub(crate) fn expire_tokens(&self) {
        self.with(|state| {
            for token in state.tokens.values_mut().filter(|token| token.expires.is_some()) {
                token.expires = Some(0);
            }
        });
    }

    /// Suspends the installation.
    pub(crate) fn suspend(&self) {
        self.tell_of_installation("suspend");
        self.with(|state| state.app.suspended = true);
    }

    pub(crate) fn unsuspend(&self) {
        self.with(|state| state.app.suspended = false);
        self.tell_of_installation("unsuspend");
    }

    /// Removes the installation altogether.
    pub(crate) fn uninstall(&self) {
        self.tell_of_installation("deleted");
        self.with(|state| state.app.installed = false);
    }

    fn tell_of_installation(&self, action: &str) {
        self.with(|state| {
            let rows = state.repositories.values().filter(|repository| repository.installed);
            let rows: Vec<_> = rows.map(|repository| short_repository(state, repository)).collect();
            let owner = state.app.owner;
            let fields = json!({"action": action, "repositories": rows});
            hooks::emit_to_app(&self.shared, state, "installation", owner, fields);
        });
    }

    /// Adds a repository to the installation.
    pub(crate) fn install_in(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).installed = true);
        self.tell_of_repositories("added", repository);
    }

    /// Takes a repository out of the installation.
    pub(crate) fn uninstall_from(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).installed = false);
        self.tell_of_repositories("removed", repository);
    }

    fn tell_of_repositories(&self, action: &str, repository: &str) {
        self.with(|state| {
            let row = json!([short_repository(state, state.named(repository))]);
            let none = json!([]);
            let (added, removed) = if action == "added" { (row, none) } else { (none, row) };
            let owner = state.app.owner;
            let fields = json!({
                "action": action, "repositories_added": added, "repositories_removed": removed,
                "repository_selection": "selected", "requester": null,
            });
            hooks::emit_to_app(&self.shared, state, "installation_repositories", owner, fields);
        });
    }

    /// What a person does in the manifest flow; the code is good once.
    pub(crate) fn submit_manifest(&self, manifest: Value) -> String {
        let code = uuid::Uuid::new_v4().simple().to_string();
        self.with(|state| state.manifests.insert(code.clone(), manifest));
        code
    }

    // -- Pull requests

    /// Opens a pull request and gives its number.
    pub(crate) fn open_pull(&self, repository: &str, opened: &Opened<'_>) -> u64 {
        self.with(|state| {
            let author = state.ensure_user(opened.author, "User");
            let (head, branch) = opened.head.split_once(':').unwrap_or((repository, opened.head));
            let (head, head_owner) = (state.named(head).id, state.named(head).owner);
            let of = |id: u64, branch: &str| {
                let found = git::commit_of(&state.repositories[&id].directory, &format!("refs/heads/{branch}"));
                found.unwrap_or_else(|| panic!("there is no branch {branch}"))
            };
            let base_repository = state.named(repository).id;
            let (head_sha, base_sha) = (of(head, branch), of(base_repository, opened.base));
            let id = state.fresh_id();
            let base = state.repositories.get_mut(&base_repository).expect("it was just found");
            let number = base.next_number;
            base.next_number += 1;
            let pull = Pull {
                id,
                number,
                title: opened.title.to_owned(),
                body: None,
                author,
                head_repository: Some(head),
                head_owner,
                head_branch: branch.to_owned(),
                head_sha,
                base_branch: opened.base.to_owned(),
                base_sha,
                draft: opened.draft,
                open: true,
                locked: false,
                merged_as: None,
                created_at: now(),
                updated_at: now(),
                closed_at: None,
            };
            base.pulls.insert(number, pull);
            hooks::keep_head(state, (base_repository, number));
            let fields = json!({"action": "opened"});
            hooks::tell_of_pull(&self.shared, state, (base_repository, number), author, fields);
            number
        })
    }

    /// Changes a pull request and tells of it under `action`.
    fn change_pull(&self, repository: &str, number: u64, action: &str, change: impl FnOnce(&mut Pull)) {
        self.with(|state| {
            let (id, sender) = (state.named(repository).id, state.named(repository).owner);
            let pull = state.named_mut(repository).pulls.get_mut(&number).expect("the pull request is there");
            change(pull);
            pull.updated_at = now();
            hooks::tell_of_pull(&self.shared, state, (id, number), sender, json!({"action": action}));
        });
    }

    pub(crate) fn close_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "closed", |pull| {
            pull.open = false;
            pull.closed_at = Some(now());
        });
    }

    pub(crate) fn reopen_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "reopened", |pull| {
            pull.open = true;
            pull.closed_at = None;
        });
    }

    /// Locks the conversation: only who may write can comment.
    pub(crate) fn lock_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "locked", |pull| pull.locked = true);
    }

    pub(crate) fn mark_ready(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "ready_for_review", |pull| pull.draft = false);
    }

    /// Merges a pull request with a merge commit, which it gives.
    pub(crate) fn merge_pull(&self, repository: &str, number: u64) -> String {
        let (id, base, commit, change) = self.with(|state| {
            let repository = state.named(repository);
            let pull = &repository.pulls[&number];
            let directory = &repository.directory;
            let branch = format!("refs/heads/{}", pull.base_branch);
            let base = git::commit_of(directory, &branch).expect("the base is there");
            let tree = git::git(directory, &["merge-tree", "--write-tree", &base, &pull.head_sha]);
            let message = format!("Merge pull request #{number}");
            let parents = ["commit-tree", tree.trim(), "-p", &base, "-p", &pull.head_sha, "-m", &message];
            let commit = git::git(directory, &parents).trim().to_owned();
            git::git(directory, &["update-ref", &branch, &commit]);
            let change = git::Change { before: base, after: commit.clone(), reference: branch };
            (repository.id, repository.owner, commit, change)
        });
        self.change_pull(repository, number, "closed", |pull| {
            pull.open = false;
            pull.closed_at = Some(now());
            pull.merged_as = Some(commit.clone());
        });
        self.with(|state| hooks::pushed(&self.shared, state, id, base, &[change]));
        commit
    }

    // -- Conversations

    /// Somebody writes a comment; gives its id.
    pub(crate) fn comment_as(&self, login: &str, repository: &str, number: u64, body: &str) -> u64 {
        self.with(|state| {
            let author = state.ensure_user(login, "User");
            let repository = state.named(repository).id;
            let said = hooks::Said { repository, number, author, by_app: false, body: body.to_owned() };
            hooks::comment(&self.shared, state, said)
        })
    }

    /// Somebody changes a comment, perhaps somebody else's.
    pub(crate) fn edit_comment_as(&self, login: &str, repository: &str, comment: u64, body: &str) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let id = state.named(repository).id;
            hooks::edit(&self.shared, state, (id, comment), sender, body.to_owned());
        });
    }

    pub(crate) fn delete_comment_as(&self, login: &str, repository: &str, comment: u64) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let id = state.named(repository).id;
            hooks::delete(&self.shared, state, (id, comment), sender);
        });
    }

    /// The comments of a pull request, the oldest first.
    pub(crate) fn comments(&self, repository: &str, number: u64) -> Vec<Comment> {
        self.with(|state| {
            let comments = state.named(repository).comments.values();
            comments.filter(|comment| comment.number == number).cloned().collect()
        })
    }

    /// The comments of the App.
    pub(crate) fn app_comments(&self, repository: &str, number: u64) -> Vec<Comment> {
        self.comments(repository, number).into_iter().filter(|comment| comment.by_app).collect()
    }

    /// The reactions to a comment.
    pub(crate) fn reactions(&self, repository: &str, comment: u64) -> Vec<String> {
        self.with(|state| {
            let given = &state.named(repository).comments[&comment].reactions;
            given.iter().map(|reaction| reaction.content.clone()).collect()
        })
    }

    // -- Checks, statuses, deployments

    /// The check runs of a commit, as GitHub shows them, the oldest first.
    pub(crate) fn checks(&self, repository: &str, commit: &str) -> Vec<Value> {
        self.with(|state| {
            let checks = state.named(repository).checks.values().map(|check| check.shown.clone());
            checks.filter(|check| check["head_sha"] == commit).collect()
        })
    }

    /// The annotations of a check run.
    pub(crate) fn annotations(&self, repository: &str, check: u64) -> Vec<Value> {
        self.with(|state| state.named(repository).checks[&check].annotations.clone())
    }

    /// Somebody asks for a check again.
    pub(crate) fn rerequest(&self, login: &str, repository: &str, check: u64) {
        self.tell_of_check(login, repository, check, json!({"action": "rerequested"}));
    }

    /// Somebody presses one of the buttons of a check.
    pub(crate) fn press(&self, login: &str, repository: &str, check: u64, identifier: &str) {
        let fields = json!({"action": "requested_action", "requested_action": {"identifier": identifier}});
        self.tell_of_check(login, repository, check, fields);
    }

    fn tell_of_check(&self, login: &str, repository: &str, check: u64, fields: Value) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let found = state.named(repository);
            let (id, shown) = (found.id, found.checks[&check].shown.clone());
            let fields = shapes::with(json!({"check_run": shown}), fields);
            hooks::emit(&self.shared, state, "check_run", id, sender, fields);
        });
    }

    /// The statuses of a commit, the newest first.
    pub(crate) fn statuses(&self, repository: &str, commit: &str) -> Vec<Value> {
        self.with(|state| checks::statuses_of(state.named(repository), commit))
    }

    /// The deployments with their statuses, the oldest first.
    pub(crate) fn deployments(&self, repository: &str) -> Vec<(Value, Vec<Value>)> {
        let pair = |deployment: &Deployment| (deployment.shown.clone(), deployment.statuses.clone());
        self.with(|state| state.named(repository).deployments.values().map(pair).collect())
    }

    /// Somebody asks for a deployment; gives its id.
    pub(crate) fn deploy_as(&self, login: &str, repository: &str, reference: &str, fields: Value) -> u64 {
        self.with(|state| {
            let user = state.ensure_user(login, "User");
            let found = state.named(repository);
            let commit = git::commit_of(&found.directory, reference).expect("the reference is there");
            let (repository, reference) = (found.id, reference.to_owned());
            let asked = deployments::Asked { repository, user, reference, commit, fields };
            deployments::make(&self.shared, state, asked)
        })
    }

    // -- Webhooks

    /// Says where events go from now on.
    pub(crate) fn deliver_to(&self, url: &str, secret: &str) {
        self.with(|state| state.hook = Some(Hook { url: url.to_owned(), secret: secret.to_owned() }));
    }

    /// Events are lost from now on: nothing is sent and nothing is kept.
    pub(crate) fn stop_delivering(&self) {
        self.until_delivered();
        self.with(|state| state.hook = None);
    }

    /// Every delivery, the oldest first.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.with(|state| state.deliveries.values().cloned().collect())
    }

    /// Forgets the deliveries, as GitHub does after three days.
    pub(crate) fn forget_deliveries(&self) {
        self.with(|state| state.deliveries.clear());
    }

    /// Sends a delivery once more, under its old GUID.
    pub(crate) fn redeliver(&self, delivery: &Delivery) {
        self.shared.send(delivery.clone());
    }

    /// Sends a delivery once more, under a new GUID, as a second hook would.
    pub(crate) fn deliver_twice(&self, delivery: &Delivery) {
        self.shared.send_first(Delivery { guid: uuid::Uuid::new_v4().to_string(), ..delivery.clone() });
    }

    /// Waits until every event has been sent.
    pub(crate) fn until_delivered(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.shared.in_post.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "events are not delivered within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    // -- Trouble

    /// The next `times` requests that fit `METHOD /path`, in which `*` stands for any characters, go wrong.
    pub(crate) fn fail_next(&self, times: usize, pattern: &str, fault: Fault) {
        assert!(times > 0, "a fault happens at least once");
        self.shared.armed.lock().unwrap().push(Armed { pattern: pattern.to_owned(), times, fault });
    }

    /// Takes back the faults that did not happen yet.
    pub(crate) fn heal(&self) {
        self.shared.armed.lock().unwrap().clear();
    }

    /// Nobody reaches GitHub until [`GitHub::end_outage`].
    pub(crate) fn begin_outage(&self) {
        self.shared.outage.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_outage(&self) {
        self.shared.outage.store(false, Ordering::SeqCst);
    }

    /// Leaves the installation so many requests, until the limit is renewed after so many seconds.
    pub(crate) fn set_rate_limit(&self, remaining: u64, seconds_left: i64) {
        let budget = Budget { limit: 5000, used: 5000 - remaining, reset: seconds() + seconds_left };
        self.with(|state| state.budgets.insert("installation".to_owned(), budget));
    }

    /// How many requests the installation has used up.
    pub(crate) fn used(&self) -> u64 {
        self.with(|state| state.budgets.get("installation").map_or(0, |budget| budget.used))
    }

    // -- What was asked

    /// Every request, the oldest first.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How many requests fit `METHOD /path`, in which `*` stands for any characters.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        let fits = |request: &&Logged| faults::fits(pattern, &format!("{} {}", request.method, request.path));
        self.shared.log.lock().unwrap().iter().filter(fits).count()
    }

    /// Takes what Prism and the fake object to; a test that is wrong on purpose looks at it.
    pub(crate) fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.complaints.lock().unwrap())
    }

    /// Makes a check run that GitHub would never show, to see that Prism notices.
    pub(crate) fn spoil_check(&self, repository: &str, check: u64) {
        self.with(|state| {
            let check = state.named_mut(repository).checks.get_mut(&check).expect("the check is there");
            check.shown["status"] = json!("perhaps");
        });
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        let complaints = self.take_complaints();
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "this is not how GitHub is used:\n{}", complaints.join("\n"));
        }
    }
}

fn short_repository(state: &State, repository: &Repository) -> Value {
    json!({
        "id": repository.id, "node_id": shapes::node("R", repository.id), "name": repository.name,
        "full_name": state.full_name(repository), "private": repository.private,
    })
}

fn new_repository(state: &mut State, full_name: &str, parent: Option<u64>) -> u64 {
    assert!(state.find(full_name).is_none(), "{full_name} is there already");
    let (owner, name) = full_name.split_once('/').expect("a name is `owner/name`");
    let owner = state.ensure_user(owner, if parent.is_some() { "User" } else { "Organization" });
    let id = state.fresh_id();
    let repository = Repository {
        id,
        owner,
        name: name.to_owned(),
        former_names: Vec::new(),
        directory: state.directory.join(format!("{id}.git")),
        default_branch: "main".to_owned(),
        private: false,
        archived: false,
        parent,
        installed: parent.is_none(),
        permissions: HashMap::new(),
        pulls: BTreeMap::new(),
        comments: BTreeMap::new(),
        checks: BTreeMap::new(),
        statuses: Vec::new(),
        deployments: BTreeMap::new(),
        next_number: 1,
    };
    state.repositories.insert(id, repository);
    id
}

/// Takes a delivery to the hook and keeps what came of it.
fn carry(world: &Shared, mut delivery: Delivery) {
    let (hook, app) = {
        let state = world.state.lock().unwrap();
        (state.hook.clone(), state.app.id)
    };
    let Some(hook) = hook else { return };
    let (status_code, answer) = hooks::attempt(&delivery, &hook, app);
    let mut state = world.state.lock().unwrap();
    delivery.id = state.fresh_id();
    delivery.delivered_at = now();
    delivery.status_code = status_code;
    delivery.answer = answer;
    state.deliveries.insert(delivery.id, delivery);
}
