//! A machine for a story: a forge, a hub on it, a clone to work in, and a server that can be killed.
//!
//! Everything goes through the real program: `git push` runs the real hook, verbs are the real binary. Nothing sleeps for
//! luck: [`World::until`] asks again until the answer is there, and tells what it last saw when it is not there in time.
//! When the world ends it complains about a server that logged an error or left processes behind.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long may something take before the story is over? Work of a killed server waits for 30 s when others share its
/// database.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder of this project.
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// What a finished program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The program's answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Checks that the program ended with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A folder with a git repository in it, used through the laptop's verbs.
pub(crate) struct Laptop {
    pub(crate) directory: TempDir,
}

impl Laptop {
    /// A repository with the project's own hub in it: the models that are named, and every sweep of them.
    pub(crate) fn with_models(models: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
        copy_hub(directory.path(), models);
        commit(directory.path(), "Begin");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(self.path(), path, text);
    }

    pub(crate) fn commit(&self, message: &str) {
        commit(self.path(), message);
    }

    pub(crate) fn modelship(&self, arguments: &[&str]) -> Said {
        self.modelship_in(self.path(), arguments)
    }

    /// A verb in another folder of the laptop.
    pub(crate) fn modelship_in(&self, folder: &Path, arguments: &[&str]) -> Said {
        Said::of(&modelship(folder).args(arguments).output().unwrap())
    }
}

impl Laptop {
    /// Starts a verb and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        modelship(self.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Asks until there is an answer.
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut(&Self) -> Option<T>) -> T {
        ask_until(self, what, look, |_| String::new())
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        complain_of_processes(self.directory.path());
    }
}

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
            let queue = world.modelship(&["queue", "--output", "json"]).ok().json();
            assert_eq!(queue["failed"], 0, "{queue}");
            (queue["effects"] == 0 && queue["leased"] == 0 && queue["events"] == 0).then_some(())
        });
    }

    /// Starts another server on the same forge, with a state folder of its own, instead of the one that answers now. That
    /// one is returned, still running.
    pub(crate) fn start_replica(&mut self) -> Replica {
        let first = self.server.take().expect("the server is running");
        self.state = "replica";
        self.start_server();
        Replica(first)
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

    /// Commits everything in the clone on a new branch that begins at `main`, and pushes it.
    pub(crate) fn push_branch(&self, branch: &str, message: &str) -> Said {
        git(&self.clone, &["checkout", "--quiet", "-B", branch]);
        commit(&self.clone, message);
        self.push(branch)
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
        read_csv(&self.state().join(format!("artifacts/sweeps/{id}/analysis.csv")))
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

/// The table of a CSV file, as (header, rows).
pub(crate) fn read_csv(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    (header, rows)
}

/// The numbers of one column.
pub(crate) fn numbers(table: &(Vec<String>, Vec<Vec<String>>), column: &str) -> Vec<f64> {
    let at =
        table.0.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}: {:?}", table.0));
    table.1.iter().map(|row| row[at].parse().unwrap_or(f64::NAN)).collect()
}

/// The values of one column.
pub(crate) fn texts(table: &(Vec<String>, Vec<Vec<String>>), column: &str) -> Vec<String> {
    let at =
        table.0.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}: {:?}", table.0));
    table.1.iter().map(|row| row[at].clone()).collect()
}

fn modelship(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelship"));
    command
        .current_dir(directory)
        .env("MODELSHIP_RUNNER", env!("CARGO_BIN_EXE_modelship-runner"))
        .env("MODELSHIP_USER", "ada")
        .env_remove("MODELSHIP_SETTINGS")
        .env_remove("MODELSHIP_STATE")
        .env_remove("MODELSHIP_LOG")
        .env_remove("MODELSHIP_WEBHOOK_SECRET");
    command
}

/// Runs git, which has to succeed, and gives what it put out.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    git_said(directory, arguments).stdout
}

/// Runs git, which has to succeed.
pub(crate) fn git_said(directory: &Path, arguments: &[&str]) -> Said {
    let output = Command::new("git")
        .current_dir(directory)
        .env("MODELSHIP_USER", "ada")
        .env("MODELSHIP_RUNNER", env!("CARGO_BIN_EXE_modelship-runner"))
        .env_remove("MODELSHIP_SETTINGS")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    let said = Said::of(&output);
    assert_eq!(said.status, 0, "git {arguments:?}: {said:?}");
    said
}

fn commit(directory: &Path, message: &str) {
    git(directory, &["add", "--all"]);
    git(directory, &["commit", "--quiet", "--allow-empty", "-m", message]);
}

fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Copies the named models with their manifests and sweeps out of this project's own hub, as git knows it.
fn copy_hub(into: &Path, models: &[&str]) {
    for manifest in files_below(&Path::new(PROJECT).join("config")) {
        let text = fs::read_to_string(&manifest).unwrap();
        let Some(model) = models.iter().find(|model| text.contains(&format!("path: models/{model}"))) else { continue };
        copy(&manifest, into);
        let listed = git(Path::new(PROJECT), &["ls-files", "-z", "--", &format!("models/{model}")]);
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            copy(&Path::new(PROJECT).join(file), into);
        }
    }
    fs::write(into.join(".gitignore"), ".modelship/\n").unwrap();
}

fn copy(file: &Path, into: &Path) {
    let target = into.join(file.strip_prefix(PROJECT).unwrap());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(file, target).unwrap();
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        }
    }
    files
}

/// Ends and complains about processes whose environment says that they work below `root`.
fn complain_of_processes(root: &Path) {
    let root = root.to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes_below(root);
        if left.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            for (pid, _) in &left {
                let _ = Command::new("kill").args(["-9", pid]).status();
            }
            assert!(std::thread::panicking(), "processes were left behind: {left:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn processes_below(root: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let marked = String::from_utf8_lossy(&environment)
            .split('\0')
            .any(|variable| variable.starts_with("MODELSHIP_") && variable.contains(root));
        if marked || String::from_utf8_lossy(&command).contains(root) {
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}
