//! GitHub, as far as modelship meets it: a stateful fake behind Prism, which checks every request and every answer against
//! GitHub's own `OpenAPI` file.
//!
//! A test starts a [`GitHub`], makes repositories and people, and points a client at [`GitHub::url`]. Repositories are real
//! ones: a `git push` to [`GitHub::clone_url`] or [`GitHub::directory`] tells the fake, which tells the hook. When the value
//! is dropped it complains about requests that Prism or the fake refused as not being GitHub's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

mod app;
mod by_people;
mod checks;
mod deployments;
mod faults;
mod front;
mod git;
mod holds;
mod hooks;
pub(crate) mod http;
mod oauth;
mod prism;
mod references;
mod routes;
mod setup;
mod shapes;
mod state;
mod threads;

use self::faults::Armed;
pub(crate) use self::faults::Fault;
pub(crate) use self::front::Logged;
use self::holds::Catcher;
pub(crate) use self::holds::{Held, Holds, numberless};
pub(crate) use self::http::{Request, Response, send};
use self::state::{App, Budget, Hook, State, User, now, seconds};
pub(crate) use self::state::{Comment, Delivery, Permission};

/// What the fake's threads share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// The fake's own answers, until the front has looked at them.
    pub(crate) answers: Mutex<HashMap<String, Response>>,
    requests: AtomicU64,
    log: Mutex<Vec<Logged>>,
    armed: Mutex<Vec<Armed>>,
    catcher: Mutex<Option<Catcher>>,
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
        let events = [
            "push",
            "pull_request",
            "issue_comment",
            "check_run",
            "check_suite",
            "create",
            "delete",
            "deployment",
            "repository",
        ];
        let app = App {
            id: 4242,
            slug: "modelship".to_owned(),
            bot: 2,
            owner: 1,
            private_key,
            public_key,
            installation: 7001,
            others: Vec::new(),
            permissions,
            withheld: Vec::new(),
            events: events.map(str::to_owned).into(),
            suspended: false,
            installed: true,
            client_secret: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            callbacks: Vec::new(),
        };
        let state = State {
            url: String::new(),
            directory: root.path().join("repositories"),
            last_id: 10_000,
            users: vec![user(1, "urban", "Organization"), user(2, "modelship[bot]", "Bot")],
            permissions: HashMap::new(),
            repositories: BTreeMap::new(),
            app,
            hook_secrets: BTreeSet::new(),
            manifests: HashMap::new(),
            codes: HashMap::new(),
            visitor: None,
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
            catcher: Mutex::default(),
            outage: AtomicBool::new(false),
            complaints: Mutex::default(),
            post: Mutex::new(post),
            in_post: AtomicU64::new(0),
        });
        let name = prism::enter(&shared);
        let (world, its_name) = (Arc::downgrade(&shared), name.clone());
        let front = http::Server::start(move |request| match world.upgrade() {
            Some(world) => front::answer(&world, &its_name, &request),
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

    // -- Webhooks

    /// Says where events go from now on.
    pub(crate) fn deliver_to(&self, url: &str, secret: &str) {
        self.with(|state| {
            state.hook_secrets.insert(secret.to_owned());
            state.hook = Some(Hook { url: url.to_owned(), secret: secret.to_owned() });
        });
    }

    /// Every secret by which deliveries were signed.
    pub(crate) fn hook_secrets(&self) -> BTreeSet<String> {
        self.with(|state| state.hook_secrets.clone())
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

    /// Takes back the faults that did not happen yet, and gives them.
    pub(crate) fn heal(&self) -> Vec<Fault> {
        let mut armed = self.shared.armed.lock().unwrap();
        armed.drain(..).flat_map(|armed| std::iter::repeat_n(armed.fault, armed.times)).collect()
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

    /// How many requests all that is counted for have used up: the App itself, its installations, and people.
    pub(crate) fn used(&self) -> u64 {
        self.with(|state| state.budgets.values().map(|budget| budget.used).sum())
    }

    /// How many requests `app` or `installation` has left.
    pub(crate) fn left(&self, whose: &str) -> u64 {
        self.with(|state| state.budgets.get(whose).map_or(0, |budget| budget.limit.saturating_sub(budget.used)))
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
