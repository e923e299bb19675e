//! A hub on GitHub with a server that works for it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::github::{Comment, GitHub, Opened, Permission};
use crate::world::{World, git};

pub(crate) const HUB: &str = "urban/hub";
pub(crate) const SECRET: &str = "a secret between GitHub and us";

/// GitHub, and the world of somebody who works on its hub.
pub(crate) struct Hub {
    pub(crate) world: World,
    /// Goes last: the server has ended then.
    pub(crate) github: GitHub,
    /// The hub's number.
    pub(crate) repository: u64,
}

impl Drop for Hub {
    /// No token of the server's and no key lies in its log or in its folder.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let key = self.github.private_key().lines().nth(1).unwrap_or_default().to_owned();
        let asked = self.github.log().into_iter().filter_map(|asked| asked.token);
        let secrets: BTreeSet<String> = asked.chain([key]).collect();
        let found = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str()));
        assert!(!found(&self.world.server_log()), "a secret in the server's log");
        let mut folders = vec![self.world.state()];
        while let Some(entries) = folders.pop().map(fs::read_dir) {
            // What the server just removed is not there.
            for entry in entries.into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let bytes = fs::read(entry.path()).unwrap_or_default();
                        let path = entry.path();
                        assert!(!found(&String::from_utf8_lossy(&bytes)), "a secret in {}", path.display());
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
        let github = GitHub::start();
        github.user("ada", Permission::Write);
        let repository = github.repository(HUB);
        let mut world = World::elsewhere("", &github.directory(HUB));
        world.environment.push(("MODELSHIP_WEBHOOK_SECRET", SECRET.to_owned()));
        Self { world, github, repository }
    }

    /// The settings of a server that is the App.
    pub(crate) fn app_settings(&self) -> String {
        let key = self.world.settings().with_file_name("app.pem");
        fs::write(&key, self.github.private_key()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        format!("forge: {{github: {{app: {}, key: app.pem, {}}}}}\n", self.github.app_id(), self.addresses())
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
        self.world.checkout("main");
        self.world.write(&format!("sweeps/{branch}.yaml"), sweep);
        self.world.push_branch(branch, "Ask for a sweep");
        let number =
            self.github.open_pull(HUB, &Opened { author: "ada", title, head: branch, base: "main", draft: false });
        self.until_said(number, &[&format!("/modelship run {branch}")]);
        number
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
            comments.find(|comment| words.iter().all(|word| comment.body.contains(word)))
        })
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

    fn said(&self, number: u64) -> Vec<String> {
        self.github.comments(HUB, number).into_iter().map(|comment| comment.body).collect()
    }

    /// The commit that the branch of the clone points to.
    pub(crate) fn commit(&self, branch: &str) -> String {
        git(&self.world.clone, &["rev-parse", branch]).trim().to_owned()
    }
}

/// An address where nobody listens: a server that is killed comes back there.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
