//! A small stand-in for GitHub's runner: reads `action.yml`, resolves inputs and expressions, runs each script with its
//! shell and its files, and takes workflow commands out of what it prints. Steps that use other actions are only noted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The folder of this project.
pub(crate) const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// A job's machine with a repository checked out.
pub(crate) struct Runner {
    pub(crate) workspace: TempDir,
    temp: TempDir,
    /// What stands before `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// More variables of every script.
    pub(crate) environment: Vec<(String, String)>,
    /// Where the actions lie: this project, or a copy of it.
    pub(crate) project: PathBuf,
}

/// What an action did.
#[derive(Debug, Default)]
pub(crate) struct Did {
    /// Whether every step that ran ended with 0.
    pub(crate) passed: bool,
    /// The action's outputs.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Everything that its scripts printed, on both streams.
    pub(crate) log: String,
    /// The workflow commands in it that the runner took.
    pub(crate) commands: Vec<String>,
    /// The summary.
    pub(crate) summary: String,
    /// Actions that its steps use.
    pub(crate) uses: Vec<String>,
    /// What it puts before `PATH`, for itself and for the steps after it, the newest first.
    pub(crate) path: Vec<PathBuf>,
}

impl Runner {
    /// A machine with an empty repository; the built program is first on `PATH`.
    pub(crate) fn new() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_modelship")).parent().unwrap().to_path_buf();
        let runner = Self {
            workspace: tempfile::tempdir().unwrap(),
            temp: tempfile::tempdir().unwrap(),
            path: vec![program],
            environment: Vec::new(),
            project: PathBuf::from(PROJECT),
        };
        runner.git(&["init", "--quiet", "--initial-branch", "main"]);
        runner
    }

    /// The folder for what steps leave to one another, `RUNNER_TEMP`.
    pub(crate) fn temp(&self) -> &Path {
        self.temp.path()
    }

    /// Puts a program of the test's own before `PATH`.
    pub(crate) fn stub(&mut self, name: &str, script: &str) {
        let folder = self.temp.path().join("stubs");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), script).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        if !self.path.contains(&folder) {
            self.path.push(folder);
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.workspace.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything and gives the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.workspace.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What `modelship --output github` prints with these arguments.
    pub(crate) fn modelship(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.path[0].join("modelship"));
        command.args(["--output", "github"]).args(arguments).current_dir(self.workspace.path());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// Runs the action `name` of this project.
    pub(crate) fn run(&self, name: &str, inputs: &[(&str, &str)]) -> Did {
        let folder = self.project.join(".github/actions").join(name);
        let text = fs::read_to_string(folder.join("action.yml")).unwrap();
        let action: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(action["runs"]["using"], "composite");
        let mut scope = Scope::default();
        let declared = action["inputs"].as_object().cloned().unwrap_or_default();
        for (input, about) in &declared {
            let given = inputs.iter().find(|(name, _)| name == input).map(|(_, value)| (*value).to_owned());
            assert!(given.is_some() || about["required"] != true, "`{input}` is required");
            let default = || about["default"].as_str().unwrap_or_default().to_owned();
            scope.values.insert(format!("inputs.{input}"), given.unwrap_or_else(default));
        }
        for (name, _) in inputs {
            assert!(declared.contains_key(*name), "the action has no input `{name}`");
        }
        let mut did = Did { passed: true, ..Did::default() };
        for step in action["runs"]["steps"].as_array().unwrap() {
            if !did.passed || !step["if"].as_str().is_none_or(|condition| scope.holds(condition)) {
                continue;
            }
            match step["uses"].as_str() {
                Some(uses) => did.uses.push(uses.to_owned()),
                None => self.script(step, &folder, &mut scope, &mut did),
            }
        }
        for (name, about) in action["outputs"].as_object().cloned().unwrap_or_default() {
            did.outputs.insert(name, scope.fill(about["value"].as_str().unwrap()));
        }
        did
    }

    /// Runs a job of this project's workflow with these values of its expressions: what each step did that uses an action
    /// of this project, all of which have to pass. Steps that use others' are left out.
    pub(crate) fn job(&self, workflow: &str, job: &str, given: &[(&str, &str)]) -> Vec<(String, Did)> {
        let file = self.project.join(".github/workflows").join(format!("{workflow}.yml"));
        let workflow: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut scope = Scope::default();
        for (input, about) in workflow["on"]["workflow_call"]["inputs"].as_object().unwrap() {
            let default = about["default"].as_str().unwrap_or_default();
            scope.values.insert(format!("inputs.{input}"), default.to_owned());
        }
        for (name, value) in given {
            let known = !name.starts_with("inputs.") || scope.values.contains_key(*name);
            assert!(known, "the workflow has no `{name}`");
            scope.values.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut all = Vec::new();
        for step in workflow["jobs"][job]["steps"].as_array().unwrap() {
            let Some(name) = step["uses"].as_str().unwrap().strip_prefix("$/.github/actions/") else { continue };
            if !step["if"].as_str().is_none_or(|condition| scope.holds(condition)) {
                continue;
            }
            let with = step["with"].as_object().cloned().unwrap_or_default();
            let with: Vec<_> = with.iter().map(|(name, value)| (name, scope.fill(value.as_str().unwrap()))).collect();
            let with: Vec<_> = with.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let did = self.run(name, &with);
            assert!(did.passed, "{name}: {}", did.log);
            for (output, value) in did.outputs.iter().filter(|_| step["id"].is_string()) {
                scope.values.insert(format!("steps.{}.outputs.{output}", step["id"].as_str().unwrap()), value.clone());
            }
            all.push((name.to_owned(), did));
        }
        all
    }

    fn script(&self, step: &Value, folder: &Path, scope: &mut Scope, did: &mut Did) {
        assert_eq!(step["shell"], "bash", "{step}");
        let run = step["run"].as_str().unwrap();
        assert!(!run.contains("${{"), "a script gets its values from `env` alone: {run}");
        let temp = tempfile::tempdir_in(self.temp.path()).unwrap();
        let file = |name: &str| {
            let path = temp.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let script = temp.path().join("script.sh");
        fs::write(&script, run).unwrap();
        let (output, summary, added) = (file("output"), file("summary"), file("path"));
        let own: Vec<_> = did.path.iter().chain(&self.path).map(|path| path.to_str().unwrap()).collect();
        let path = format!("{}:{}", own.join(":"), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-c", "exec bash --noprofile --norc -e -o pipefail \"$0\" 2>&1"]);
        command.arg(&script).current_dir(self.workspace.path()).env_clear();
        command.env("PATH", path).env("HOME", self.temp.path()).env("CI", "true").env("GITHUB_ACTIONS", "true");
        command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary).env("GITHUB_ENV", file("env"));
        command.env("GITHUB_PATH", &added).env("RUNNER_TEMP", self.temp.path()).env("RUNNER_OS", "Linux");
        command.env("GITHUB_SHA", "0".repeat(40)).env("RUNNER_ARCH", "X64").env("GITHUB_ACTION_PATH", folder);
        command.env("GITHUB_WORKSPACE", self.workspace.path()).env("GITHUB_REPOSITORY", "ada/hub");
        for (name, value) in step["env"].as_object().cloned().unwrap_or_default() {
            command.env(name, scope.fill(value.as_str().unwrap()));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let done = command.output().unwrap();
        did.passed &= done.status.success();
        let log = String::from_utf8_lossy(&done.stdout).into_owned();
        did.commands.extend(commands(&log));
        did.log.push_str(&log);
        did.summary.push_str(&fs::read_to_string(summary).unwrap());
        for folder in fs::read_to_string(added).unwrap().lines() {
            did.path.insert(0, PathBuf::from(folder));
        }
        if let Some(id) = step["id"].as_str() {
            for (name, value) in outputs(&fs::read_to_string(output).unwrap()) {
                scope.values.insert(format!("steps.{id}.outputs.{name}"), value);
            }
        }
    }
}

/// What expressions can name.
#[derive(Debug, Default)]
struct Scope {
    values: BTreeMap<String, String>,
}

impl Scope {
    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, expression)) = rest.split_once("${{") {
            let (name, after) = expression.split_once("}}").unwrap();
            filled.push_str(before);
            filled.push_str(&self.value(name));
            rest = after;
        }
        filled + rest
    }

    /// A condition of the kind that our actions have: comparisons joined by `&&`.
    fn holds(&self, condition: &str) -> bool {
        condition.split("&&").all(|term| match (term.split_once("=="), term.split_once("!=")) {
            (Some((a, b)), None) => self.value(a) == self.value(b),
            (None, Some((a, b))) => self.value(a) != self.value(b),
            _ => panic!("`{condition}` is more than this runner knows"),
        })
    }

    fn value(&self, word: &str) -> String {
        let word = word.trim();
        if let Some(quoted) = word.strip_prefix('\'') {
            return quoted.strip_suffix('\'').unwrap().to_owned();
        }
        // What a step that was left out would have said is empty, and so is what an event does not tell.
        let may_lack = word.starts_with("steps.") || word.starts_with("github.");
        assert!(may_lack || self.values.contains_key(word), "`{word}` is more than this runner knows");
        self.values.get(word).cloned().unwrap_or_default()
    }
}

/// Reads `GITHUB_OUTPUT` as the runner does.
pub(crate) fn outputs(text: &str) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let plain = line.split_once('=').filter(|(name, _)| !name.contains("<<"));
        if let Some((name, value)) = plain {
            outputs.push((name.to_owned(), value.to_owned()));
        } else {
            let (name, delimiter) = line.split_once("<<").unwrap_or_else(|| panic!("`{line}` is no output"));
            let value: Vec<_> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            outputs.push((name.to_owned(), value.join("\n")));
        }
    }
    outputs
}

/// The workflow commands that the runner would take, in order.
pub(crate) fn commands(log: &str) -> Vec<String> {
    let mut taken = Vec::new();
    let mut stopped: Option<String> = None;
    for line in log.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        match &stopped {
            Some(token) if line == format!("::{token}::") => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(token) => stopped = Some(token.to_owned()),
                None => taken.push(line.to_owned()),
            },
        }
    }
    assert_eq!(stopped, None, "the runner was never told to go on:\n{log}");
    taken
}
