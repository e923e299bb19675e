//! A hub on GitHub with a server that works for it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::github::{Comment, GitHub, Opened, Permission};
use crate::http::free_port;
use crate::world::{World, git};

pub(crate) const HUB: &str = "urban/hub";
pub(crate) const SECRET: &str = "a secret between GitHub and us";
/// Where the App's key lies, beside the settings.
const KEY: &str = "app.pem";
/// What lies there on purpose: that key, and what making an App writes.
const SECRETS: [&str; 4] = [KEY, "github-app.pem", "webhook-secret", "client-secret"];

/// GitHub, and the world of somebody who works on its hub.
pub(crate) struct Hub {
    pub(crate) world: World,
    /// Goes last: the server has ended then.
    pub(crate) github: GitHub,
    /// The hub's number.
    pub(crate) repository: u64,
}

impl Drop for Hub {
    /// No secret lies in what the server wrote: its log, and its place but for those that were put there.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let secrets = self.secrets();
        let found = |text: &str| secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert_eq!(found(&self.world.server_log()), None, "a secret in the server's log");
        let settings = self.world.settings();
        let place = settings.parent().unwrap();
        let mut folders = vec![place.to_owned()];
        while let Some(entries) = folders.pop().map(fs::read_dir) {
            // What the server just removed is not there.
            for entry in entries.into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() && !SECRETS.iter().any(|name| path == place.join(name)) => {
                        let bytes = fs::read(&path).unwrap_or_default();
                        assert_eq!(found(&String::from_utf8_lossy(&bytes)), None, "a secret in {}", path.display());
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Hub {
    /// A hub with one model in production, and a server that is its App. Ada may write.
    pub(crate) fn as_app() -> Self {
        let mut hub = Self::empty();
        let settings = hub.app_settings();
        hub.begin(&settings);
        hub
    }

    /// The same App, whose server listens where it did whenever it is started again.
    pub(crate) fn as_app_on_one_port() -> Self {
        let mut hub = Self::empty();
        hub.world.add_settings(&format!("server: {{listen: \"{}\"}}\n", free_address()));
        let settings = hub.app_settings();
        hub.begin(&settings);
        hub
    }

    /// The same App, by which people sign in; `more` is said of the server, and `models` are brought along.
    pub(crate) fn signing_in(more: &str, bring: impl FnOnce(&World)) -> Self {
        let mut hub = Self::empty();
        let address = free_address();
        let (id, secret) = hub.github.client();
        hub.world.environment.push(("MODELSHIP_GITHUB_CLIENT_SECRET", secret));
        hub.github.call_back_to(&format!("http://{address}/signed-in"));
        let settings = hub.app_settings().replace("key: app.pem", &format!("key: app.pem, client_id: {id}"));
        hub.world.add_settings(&format!("server: {{listen: \"{address}\", url: \"http://{address}\"{more}}}\n"));
        bring(&hub.world);
        hub.begin(&settings);
        hub
    }

    /// The same with a token of the account `robot`.
    pub(crate) fn with_token() -> Self {
        let mut hub = Self::empty();
        hub.github.user("robot", Permission::Write);
        let (address, repository) = (free_address(), hub.repository);
        hub.world.add_settings(&format!("server: {{listen: \"{address}\", repositories: [{repository}]}}\n"));
        hub.world.environment.push(("MODELSHIP_GITHUB_TOKEN", hub.github.token_of("robot")));
        let settings = format!("forge: {{github: {{{}}}}}\n", hub.addresses());
        hub.begin(&settings);
        hub
    }

    /// GitHub with an empty hub; no server runs.
    pub(crate) fn empty() -> Self {
        Self::on(GitHub::start())
    }

    /// The same on this GitHub.
    pub(crate) fn on(github: GitHub) -> Self {
        github.user("ada", Permission::Write);
        let repository = github.repository(HUB);
        let mut world = World::elsewhere("", &github.directory(HUB));
        world.environment.push(("MODELSHIP_WEBHOOK_SECRET", SECRET.to_owned()));
        Self { world, github, repository }
    }

    /// The settings of a server that is the App.
    pub(crate) fn app_settings(&self) -> String {
        let key = self.world.settings().with_file_name(KEY);
        fs::write(&key, self.github.private_key()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        format!("forge: {{github: {{app: {}, key: {KEY}, {}}}}}\n", self.github.app_id(), self.addresses())
    }

    /// All that nobody but GitHub and the server may know: the App's key, the secrets that it shares with GitHub, and
    /// every token by which GitHub was asked for something, also as git says it.
    fn secrets(&self) -> BTreeSet<String> {
        let key = self.github.private_key().lines().nth(1).unwrap().to_owned();
        let mut secrets = BTreeSet::from([key, self.github.client().1]);
        secrets.extend(self.github.hook_secrets());
        for token in self.github.log().into_iter().filter_map(|asked| asked.token) {
            secrets.insert(BASE64_STANDARD.encode(format!("x-access-token:{token}")));
            secrets.insert(token);
        }
        secrets
    }

    fn addresses(&self) -> String {
        format!("api: \"{0}\", git: \"{0}\", between_writes: 0s", self.github.url())
    }

    pub(crate) fn begin(&mut self, settings: &str) {
        self.world.add_settings(settings);
        self.world.add_settings(&format!("process: {{trusted: [{HUB}]}}\n"));
        self.world.bring(&["identity-matrix"]);
        self.start();
        self.world.publish();
    }

    /// Starts the server, and lets GitHub tell it of everything from now on.
    pub(crate) fn start(&mut self) {
        self.world.start_server();
        self.listen();
    }

    /// Lets GitHub tell the server of everything from now on.
    pub(crate) fn listen(&self) {
        self.github.deliver_to(&format!("{}/webhooks/github", self.world.address()), SECRET);
    }

    /// Opens a pull request with a sweep over these values of `N`, and gives its number once its plan is there.
    pub(crate) fn ask_for(&self, branch: &str, values: &str) -> u64 {
        let sweep = format!("sweep: {branch}\nmodel: examples/identity-matrix\nparameters:\n  N: {values}\n");
        self.ask_with(branch, "A sweep", &sweep)
    }

    /// The same with this title and sweep file.
    pub(crate) fn ask_with(&self, branch: &str, title: &str, sweep: &str) -> u64 {
        let number = self.open(branch, title, sweep);
        self.until_said(number, &[&format!("/modelship run {branch}")]);
        number
    }

    /// Opens a pull request with this title and sweep file, and gives its number at once.
    pub(crate) fn open(&self, branch: &str, title: &str, sweep: &str) -> u64 {
        self.world.checkout("main");
        self.world.write(&format!("sweeps/{branch}.yaml"), sweep);
        self.push_and_open(branch, title)
    }

    /// Pushes everything in the clone as a new branch, opens a pull request for it, and gives its number at once.
    pub(crate) fn push_and_open(&self, branch: &str, title: &str) -> u64 {
        self.world.push_branch(branch, title);
        self.open_pull(branch, title)
    }

    /// Opens Ada's pull request for a branch of the hub, and gives its number at once.
    pub(crate) fn open_pull(&self, branch: &str, title: &str) -> u64 {
        self.github.open_pull(HUB, &Opened { author: "ada", title, head: branch, base: "main", draft: false })
    }

    /// Pushes everything in the clone as the branch `theirs` to a fork of Eve's, who may only read, and gives the number
    /// of her pull request and the fork's.
    pub(crate) fn open_from_fork(&self) -> (u64, u64) {
        self.github.user("eve", Permission::Read);
        let fork = self.github.fork(HUB, "eve/hub");
        self.world.commit_branch("theirs", "Change something from outside");
        self.world.push_to(&self.github.directory("eve/hub"), "theirs");
        let opened =
            Opened { author: "eve", title: "From outside", head: "eve/hub:theirs", base: "main", draft: false };
        (self.github.open_pull(HUB, &opened), fork)
    }

    /// Starts a sweep of two slow runs, waits until one is under way, and gives its pull request.
    pub(crate) fn run_slowly(&self) -> u64 {
        let sweep = "sweep: slow\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n  SLEEP: 3\n";
        let number = self.ask_with("slow", "Slowly", sweep);
        self.github.comment_as("ada", HUB, number, "/modelship run");
        self.world.until("a run is under way", |world| world.is_running("python3").then_some(()));
        number
    }

    /// Starts the server again with more lines in its settings.
    pub(crate) fn start_again(&mut self, settings: &str) {
        self.world.kill_server();
        self.world.add_settings(settings);
        self.start();
        self.world.until_idle();
    }

    /// Waits until one of our comments holds every one of `words`, and gives it.
    pub(crate) fn until_said(&self, number: u64, words: &[&str]) -> Comment {
        self.world.until(&format!("a comment with {words:?} in #{number}: {:#?}", self.said(number)), |_| {
            let mut comments = self.ours(number).into_iter();
            comments.find(|comment| words.iter().all(|word| says(&comment.body, word)))
        })
    }

    /// What each of our comments is about, in order of the alphabet.
    pub(crate) fn subjects(&self, number: u64) -> Vec<String> {
        let about = |body: &str| body.rsplit("<!-- modelship:").next().unwrap().split('/').next().unwrap().to_owned();
        let mut subjects: Vec<_> = self.ours(number).iter().map(|comment| about(&comment.body)).collect();
        subjects.sort_unstable();
        subjects
    }

    /// Every check beside the head of a branch with what it came to, in order of the alphabet.
    pub(crate) fn conclusions(&self, branch: &str) -> Vec<String> {
        let word = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
        let checks = self.github.checks(HUB, &self.commit(branch)).into_iter();
        let mut all: Vec<_> =
            checks.map(|check| format!("{}: {}", word(&check, "name"), word(&check, "conclusion"))).collect();
        all.sort_unstable();
        all
    }

    /// Our comments, as the App or as the owner of the token.
    pub(crate) fn ours(&self, number: u64) -> Vec<Comment> {
        let marked = |comment: &Comment| comment.body.contains("<!-- modelship:");
        self.github.comments(HUB, number).into_iter().filter(marked).collect()
    }

    /// Waits until the server has asked so often anew for something, such as `GET */issues/1/comments`.
    pub(crate) fn until_asked(&self, times: usize, pattern: &str) {
        let before = self.github.count(pattern);
        self.world.until(&format!("{pattern} is asked for {times} times more"), |_| {
            (self.github.count(pattern) >= before + times).then_some(())
        });
    }

    /// Waits until the newest check of that name beside the commit has come to this conclusion.
    pub(crate) fn until_concluded(&self, commit: &str, name: &str, conclusion: &str) {
        self.world.until(&format!("`{name}` beside {commit} is {conclusion}"), |_| {
            let newest = self.github.checks(HUB, commit).into_iter().rfind(|check| check["name"] == name)?;
            (newest["conclusion"] == conclusion).then_some(())
        });
    }

    /// Waits until a run of a model is under way.
    pub(crate) fn until_running(&self) {
        self.world.until("a run is under way", |world| world.is_running("python3").then_some(()));
    }

    /// Waits until no run is under way.
    pub(crate) fn until_nothing_runs(&self) {
        self.world.until("no run is under way", |world| (!world.is_running("python3")).then_some(()));
    }

    /// The sweeps that were started, however they stand.
    pub(crate) fn sweeps(&self) -> Vec<Value> {
        let status = self.world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
        status.as_array().unwrap().clone()
    }

    /// No sweep has handed a job to the executor.
    #[track_caller]
    pub(crate) fn assert_no_job(&self) {
        let sweeps: Vec<_> = fs::read_dir(self.world.state().join("artifacts/sweeps")).unwrap().collect();
        assert!(!sweeps.is_empty(), "there is a plan");
        for sweep in sweeps {
            assert!(!sweep.unwrap().path().join("jobs").exists(), "a job was made");
        }
    }

    fn said(&self, number: u64) -> Vec<String> {
        self.github.comments(HUB, number).into_iter().map(|comment| comment.body).collect()
    }

    /// The commit that the branch of the clone points to.
    pub(crate) fn commit(&self, branch: &str) -> String {
        git(&self.world.clone, &["rev-parse", branch]).trim().to_owned()
    }
}

/// Whether a comment says this. What begins with a number is meant whole: "1 of 2 runs done" is not "2 runs done".
pub(crate) fn says(body: &str, words: &str) -> bool {
    let is_number = words.starts_with(|first: char| first.is_ascii_digit());
    let is_part = |before: &str| before.ends_with("of ") || before.ends_with(|last: char| last.is_ascii_digit());
    body.match_indices(words).any(|(at, _)| !is_number || !is_part(&body[..at]))
}

/// An address where nobody listens: a server that is killed comes back there.
pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
