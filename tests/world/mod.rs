//! A machine for a story: a forge, a hub on it, a clone to work in, and a server that can be killed.
//!
//! Everything goes through the real program: `git push` runs the real hook, verbs are the real binary. Nothing sleeps for
//! luck: [`World::until`] asks again until the answer is there, and tells what it last saw when it is not there in time.
//! When the world ends it complains about a server that logged an error or left processes behind.

pub(crate) mod docker;
pub(crate) mod figures;
pub(crate) mod laptop;
mod models;
pub(crate) mod postgres;
mod processes;
mod programs;
pub(crate) mod tables;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use models::{copy_hub, files_below};
use processes::{complain_of_processes, processes_below};
pub(crate) use programs::{Said, git, git_said};
use programs::{commit, modelship, write};
use tables::read_csv;

/// How long may something take before the story is over? Work of a killed server waits for 30 s when others share its
/// database.
const PATIENCE: Duration = Duration::from_secs(120);

/// The state folder of a server beside the first.
const REPLICA: &str = "replica";

/// A forge with a hub, a clone of it, and a server.
pub(crate) struct World {
    root: TempDir,
    pub(crate) clone: PathBuf,
    state: &'static str,
    server: Option<Server>,
    /// Words that may stand in error lines of the server's log because the story brings them about.
    pub(crate) expected_errors: Vec<&'static str>,
    /// More variables of every program that is started: the server, the verbs, git and its hooks.
    pub(crate) environment: Vec<(&'static str, String)>,
    log: Arc<Mutex<String>>,
}

/// A server that runs beside the world's.
pub(crate) struct Replica(Server);

impl Replica {
    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.child.try_wait().unwrap().is_none()
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.0.child.kill().unwrap();
        self.0.child.wait().unwrap();
    }
}

struct Server {
    child: Child,
    started: Mutex<Receiver<()>>,
}

impl World {
    /// A world whose hub holds these models, pushed to `main`, with the server running and every model in production.
    pub(crate) fn with_models(models: &[&str]) -> Self {
        Self::with_settings(models, "")
    }

    /// The same, with more lines in the settings file.
    pub(crate) fn with_settings(models: &[&str], settings: &str) -> Self {
        let mut world = Self::empty();
        world.add_settings(settings);
        copy_hub(&world.clone, models);
        world.start_server();
        world.publish();
        world
    }

    /// Adds lines to the settings file; each takes the place of the line with the same key.
    pub(crate) fn add_settings(&self, lines: &str) {
        let mut file = fs::read_to_string(self.settings()).unwrap();
        for line in lines.lines() {
            let key = line.split_inclusive(':').next().unwrap();
            file = file.lines().filter(|old| !old.starts_with(key)).map(|old| format!("{old}\n")).collect();
            let _ = writeln!(file, "{line}");
        }
        fs::write(self.settings(), file).unwrap();
    }

    /// Commits everything in the clone, pushes it to `main`, and waits until each of its models is in production.
    pub(crate) fn publish(&self) {
        commit(&self.clone, "Begin");
        self.push("main");
        let manifests = files_below(&self.clone.join("config"));
        let models = manifests.iter().filter(|path| !path.ends_with("policy.yaml")).count();
        self.until("every model is in production", |world| {
            let listed = world.modelship(&["models", "--output", "json"]).ok().json();
            let ready = listed.as_array().unwrap().iter().filter(|model| !model["production"].is_null()).count();
            (ready == models).then_some(())
        });
    }

    /// A world with a forge and an empty clone; no server runs.
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("place");
        let said = Said::of(
            &modelship(root.path()).args(["init", "--listen", "127.0.0.1:0", "--forge"]).arg(&place).output().unwrap(),
        )
        .ok();
        assert!(said.stderr.contains("modelship serve --settings"), "{said:?}");
        let settings = fs::read_to_string(place.join("settings.yaml")).unwrap();
        fs::write(place.join("settings.yaml"), format!("{settings}comment_interval: 50ms\nreconcile_every: 1s\n"))
            .unwrap();
        let clone = root.path().join("clone");
        git(root.path(), &["clone", "--quiet", place.join("forge/example/hub.git").to_str().unwrap(), "clone"]);
        git(&clone, &["checkout", "--quiet", "-B", "main"]);
        Self {
            root,
            clone,
            state: "state",
            server: None,
            expected_errors: Vec::new(),
            environment: Vec::new(),
            log: Arc::default(),
        }
    }

    /// A world whose forge is elsewhere: `settings` name it, and the clone is of the repository at `origin`. No server
    /// runs.
    pub(crate) fn elsewhere(settings: &str, origin: &Path) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clone = root.path().join("clone");
        git(root.path(), &["clone", "--quiet", origin.to_str().unwrap(), "clone"]);
        git(&clone, &["checkout", "--quiet", "-B", "main"]);
        let text = format!(
            "state: state\nserver: {{listen: \"127.0.0.1:0\"}}\ncomment_interval: 50ms\nreconcile_every: 1s\n{settings}"
        );
        write(root.path(), "place/settings.yaml", &text);
        Self {
            root,
            clone,
            state: "state",
            server: None,
            expected_errors: Vec::new(),
            environment: Vec::new(),
            log: Arc::default(),
        }
    }

    /// Puts these models of the project's own hub into the clone.
    pub(crate) fn bring(&self, models: &[&str]) {
        copy_hub(&self.clone, models);
    }

    /// Where the server said that it listens, last.
    pub(crate) fn address(&self) -> String {
        let log = self.server_log();
        let said = log.rsplit("serves http://").next().unwrap();
        format!("http://{}", said.split_whitespace().next().unwrap())
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.root.path().join("place/settings.yaml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("place").join(self.state)
    }

    /// The artifact store.
    fn artifacts(&self) -> PathBuf {
        let settings = fs::read_to_string(self.settings()).unwrap();
        match settings.lines().find_map(|line| line.strip_prefix("artifacts: ")) {
            Some(shared) => self.root.path().join("place").join(shared),
            None => self.state().join("artifacts"),
        }
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start_server(&mut self) {
        assert!(self.server.is_none(), "the server is running already");
        let server = self.launch_server();
        if server.started.lock().unwrap().recv_timeout(PATIENCE).is_err() {
            panic!("the server did not start:\n{}", self.log.lock().unwrap());
        }
        self.server = Some(server);
    }

    /// Starts a server and does not wait until it answers.
    fn launch_server(&self) -> Server {
        let mut child = modelship(self.root.path())
            .args(["serve", "--settings"])
            .arg(self.settings())
            .arg("--state")
            .arg(self.state())
            .args(if self.state == REPLICA { &["--listen", "127.0.0.1:0"][..] } else { &[] })
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, started) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let serves = line.contains("serves http://");
                let _ = writeln!(log.lock().unwrap(), "{line}");
                if serves {
                    let _ = tell.send(());
                }
            }
        });
        Server { child, started: Mutex::new(started) }
    }

    /// Kills the server and starts it again, over and over, while `story` is told; `pause` says how long each one lives.
    /// Ends when `pause` gives no more or the story is over, and leaves a server running. Gives the number of kills.
    pub(crate) fn under_kills(
        &mut self,
        mut pause: impl FnMut() -> Option<Duration> + Send,
        story: impl FnOnce(&Self),
    ) -> usize {
        let mut server = self.server.take().expect("the server is running");
        let (over, ended) = channel::<()>();
        let world = &*self;
        let kills = std::thread::scope(|scope| {
            let killer = scope.spawn(move || {
                let mut kills = 0;
                while let Some(life) = pause() {
                    if !matches!(ended.recv_timeout(life), Err(RecvTimeoutError::Timeout)) {
                        break;
                    }
                    server.child.kill().unwrap();
                    server.child.wait().unwrap();
                    kills += 1;
                    server = world.launch_server();
                }
                (server, kills)
            });
            story(world);
            drop(over);
            killer.join().unwrap()
        });
        self.server = Some(kills.0);
        kills.1
    }

    /// Where the server listens now.
    pub(crate) fn url(&self) -> String {
        let record: Value = serde_json::from_slice(&fs::read(self.forge().join("forge.json")).unwrap()).unwrap();
        record["url"].as_str().unwrap().to_owned()
    }

    /// The forge's directory.
    pub(crate) fn forge(&self) -> PathBuf {
        self.root.path().join("place/forge")
    }

    /// What the servers have logged so far.
    pub(crate) fn server_log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the queue holds nothing but what comes again by itself, and checks that nothing was given up.
    pub(crate) fn until_idle(&self) {
        self.until("nothing is left to do", |world| {
            let queue = world.queue();
            assert_eq!(queue["failed"], 0, "{queue}");
            (queue["effects"] == 0 && queue["leased"] == 0 && queue["events"] == 0).then_some(())
        });
    }

    /// How the queue stands.
    pub(crate) fn queue(&self) -> Value {
        self.modelship(&["queue", "--output", "json"]).ok().json()
    }

    /// Starts another server on the same forge, with a state folder and an address of its own, instead of the one that
    /// answers now. That one is returned, still running.
    pub(crate) fn start_replica(&mut self) -> Replica {
        let first = self.server.take().expect("the server is running");
        self.state = REPLICA;
        self.start_server();
        Replica(first)
    }

    /// Ends the server as its supervisor does, and waits until it has ended well.
    pub(crate) fn stop_server(&mut self) {
        let mut server = self.server.take().expect("the server is running");
        assert!(Command::new("kill").arg(server.child.id().to_string()).status().unwrap().success());
        assert!(server.child.wait().unwrap().success(), "the server ends well");
    }

    /// The most memory that the server has had so far, in bytes.
    pub(crate) fn most_memory(&self) -> u64 {
        let pid = self.server.as_ref().expect("the server is running").child.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Kills the server as a power cut would.
    pub(crate) fn kill_server(&mut self) {
        let mut server = self.server.take().expect("the server is running");
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.clone, path, text);
    }

    /// Commits everything in the clone on a new branch that begins where the clone is.
    pub(crate) fn commit_branch(&self, branch: &str, message: &str) {
        git(&self.clone, &["checkout", "--quiet", "-B", branch]);
        commit(&self.clone, message);
    }

    /// The same, and pushes it.
    pub(crate) fn push_branch(&self, branch: &str, message: &str) -> Said {
        self.commit_branch(branch, message);
        self.push(branch)
    }

    /// Pushes what the clone has to another repository, as `branch` or `from:to`.
    pub(crate) fn push_to(&self, repository: &Path, what: &str) {
        git(&self.clone, &["push", "--quiet", repository.to_str().unwrap(), what]);
    }

    pub(crate) fn push(&self, branch: &str) -> Said {
        git_said(&self.clone, &["push", "--quiet", "--force", "origin", branch])
    }

    pub(crate) fn checkout(&self, branch: &str) {
        git(&self.clone, &["checkout", "--quiet", branch]);
    }

    /// A verb, with the server's settings, in the clone.
    pub(crate) fn modelship(&self, arguments: &[&str]) -> Said {
        let mut verb = modelship(&self.clone);
        verb.env("MODELSHIP_SETTINGS", self.settings())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Said::of(&verb.args(arguments).output().unwrap())
    }

    /// Gives somebody a permission on the forge, as its owner does: in the list of members.
    pub(crate) fn member(&self, login: &str, permission: &str) {
        let path = self.root.path().join("place/forge/members.json");
        let mut members: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        members[login] = serde_json::json!({"id": 900 + login.len(), "permission": permission});
        fs::write(path, members.to_string()).unwrap();
    }

    /// Opens a pull request for `branch` and gives its number.
    pub(crate) fn open_pull(&self, branch: &str, title: &str) -> u64 {
        let said = self.modelship(&["pr", "open", "--title", title, "--head", branch, "--output", "json"]).ok();
        said.json()["pull"]["number"].as_u64().unwrap()
    }

    pub(crate) fn comment(&self, number: u64, body: &str) {
        self.modelship(&["pr", "comment", &number.to_string(), body]).ok();
    }

    pub(crate) fn comment_as(&self, login: &str, number: u64, body: &str) {
        self.modelship(&["pr", "comment", "--as", login, &number.to_string(), body]).ok();
    }

    /// The bodies of the comments of a pull request that modelship wrote, without their markers.
    pub(crate) fn comments(&self, number: u64) -> Vec<String> {
        let thread = self.modelship(&["pr", "show", &number.to_string(), "--output", "json"]).ok().json();
        let ours = |comment: &&Value| comment["author"]["login"] == "modelship[bot]";
        let body =
            |comment: &Value| comment["body"].as_str().unwrap().split("\n\n<!-- modelship:").next().unwrap().to_owned();
        thread["comments"].as_array().unwrap().iter().filter(ours).map(body).collect()
    }

    /// Waits until one of modelship's comments holds every one of `words`, and gives it.
    pub(crate) fn until_comment(&self, number: u64, words: &[&str]) -> String {
        self.until(&format!("a comment with {words:?} in #{number}"), |world| {
            world.comments(number).into_iter().find(|body| words.iter().all(|word| body.contains(word)))
        })
    }

    /// Asks until there is an answer.
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut(&Self) -> Option<T>) -> T {
        ask_until(self, what, look, Self::story_so_far)
    }

    /// Whether a process of this world runs a program of that name.
    pub(crate) fn is_running(&self, program: &str) -> bool {
        let root = self.root.path().to_str().unwrap();
        processes_below(root)
            .iter()
            .any(|(_, command)| command.split(' ').next().unwrap_or_default().ends_with(program))
    }

    fn story_so_far(&self) -> String {
        let mut told = String::new();
        for number in 1..4 {
            let said = self.modelship(&["pr", "show", &number.to_string()]);
            if said.status == 0 {
                let _ = writeln!(told, "{}", said.stdout);
            }
        }
        format!("{told}\nthe server's log:\n{}", self.log.lock().unwrap())
    }

    /// The rows of a sweep's analysis, as (header, rows).
    pub(crate) fn analysis(&self, sweep: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let report = self.modelship(&["sweep", "results", sweep, "--output", "json"]).ok().json();
        let id = report["report"]["plan"]["id"].as_str().unwrap().to_owned();
        read_csv(&self.artifacts().join(format!("sweeps/{id}/analysis.csv")))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill").arg(server.child.id().to_string()).status();
            let _ = server.child.wait();
        }
        complain_of_processes(self.root.path());
        if std::thread::panicking() {
            return;
        }
        let log = self.log.lock().unwrap().clone();
        let bad: Vec<_> = log
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("panicked"))
            .filter(|line| !self.expected_errors.iter().any(|words| line.contains(words)))
            .collect();
        assert!(bad.is_empty(), "the server's log has errors:\n{}", bad.join("\n"));
    }
}

/// Asks `look` until there is an answer; tells `so_far` when there is none in time.
fn ask_until<W, T>(world: &W, what: &str, mut look: impl FnMut(&W) -> Option<T>, so_far: impl Fn(&W) -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look(world) {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}\n{}", so_far(world));
        std::thread::sleep(Duration::from_millis(30));
    }
}
