//! Events of GitHub, made of its own examples, and what its own packages (`jobs.mjs`) make of a workflow for them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::driver::PROJECT;

/// The commit before a push.
pub(crate) const BEFORE: &str = "1111111111111111111111111111111111111111";

/// The head of a pull request.
pub(crate) const PROPOSED: &str = "2222222222222222222222222222222222222222";

/// The commit of the branch that it goes to.
pub(crate) const BASE: &str = "3333333333333333333333333333333333333333";

/// The commit that an event is about; of a pull request, its merge with where it goes to.
pub(crate) const HEAD: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// The token of every job.
pub(crate) const TOKEN: &str = "the job's own token";

/// What happened on GitHub, and what steps will say.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    github: Value,
    pub(crate) vars: Value,
    inputs: Value,
    steps: Value,
}

/// What GitHub makes of a workflow.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    /// Whether the event starts it at all.
    pub(crate) started: bool,
    pub(crate) group: Option<String>,
    pub(crate) jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) result: String,
    pub(crate) permissions: BTreeMap<String, String>,
    /// The workflow that it calls, and with what.
    pub(crate) uses: Option<String>,
    pub(crate) with: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
    /// One for each combination of its matrix.
    pub(crate) legs: Vec<Leg>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Leg {
    pub(crate) matrix: Value,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) uses: Option<String>,
    pub(crate) with: BTreeMap<String, String>,
}

/// The folder `node_modules` with GitHub's packages in it.
fn modules() -> String {
    std::env::var("MODELSHIP_TEST_GITHUB").expect(
        "the suite needs GitHub's packages in MODELSHIP_TEST_GITHUB; run it with `scripts/with-github cargo test`",
    )
}

/// GitHub's packages at work. They end with this process, whose questions they read.
static NODE: LazyLock<Mutex<Node>> = LazyLock::new(|| {
    let mut child = Command::new("node")
        .args([&format!("{PROJECT}/tests/actions/jobs.mjs"), &modules(), PROJECT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs GitHub's packages; `scripts/install-needs test` installs it");
    let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    Mutex::new(Node { _child: child, questions, answers })
});

struct Node {
    _child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

/// The first of GitHub's example webhooks of this name for which this holds.
fn example(name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{}/@octokit/webhooks-examples/api.github.com/index.json", modules());
    let all: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let event = all.into_iter().find(|event| event["name"] == name).unwrap();
    event["examples"].as_array().unwrap().iter().find(|body| fits(body)).unwrap().clone()
}

impl Event {
    fn of(name: &str, reference: &str, event: &Value) -> Self {
        let github = json!({
            "event_name": name, "event": event, "ref": reference, "sha": HEAD, "repository": "ada/hub", "token": TOKEN,
        });
        Self { github, vars: json!({}), inputs: json!({}), steps: json!({}) }
    }

    pub(crate) fn push(reference: &str) -> Self {
        let mut event = example("push", |body| body["ref"] == "refs/heads/master");
        event["ref"] = json!(reference);
        event["before"] = json!(BEFORE);
        Self::of("push", reference, &event)
    }

    /// More commits of a pull request, whose head is a branch of this repository.
    pub(crate) fn pull_request() -> Self {
        let mut event = example("pull_request", |body| body["action"] == "synchronize");
        event["number"] = json!(7);
        event["pull_request"]["number"] = json!(7);
        event["pull_request"]["head"]["sha"] = json!(PROPOSED);
        event["pull_request"]["base"]["sha"] = json!(BASE);
        Self::of("pull_request", "refs/pull/7/merge", &event)
    }

    /// The same from somebody else's repository.
    pub(crate) fn of_fork() -> Self {
        let mut event = Self::pull_request();
        let head = &mut event.github["event"]["pull_request"]["head"];
        head["repo"]["full_name"] = json!("mallory/hub");
        head["repo"]["fork"] = json!(true);
        event
    }

    /// Somebody asks for a workflow by hand, with these inputs.
    pub(crate) fn dispatch(inputs: Value) -> Self {
        let mut event = example("workflow_dispatch", |_| true);
        event["inputs"] = inputs.clone();
        Self { inputs, ..Self::of("workflow_dispatch", "refs/heads/main", &event) }
    }

    /// The end of a workflow of this name that `by` had started.
    pub(crate) fn end_of(workflow: &str, by: &str) -> Self {
        let mut event = example("workflow_run", |body| body["action"] == "completed");
        event["workflow_run"]["name"] = json!(workflow);
        event["workflow_run"]["event"] = json!(by);
        event["workflow_run"]["id"] = json!(77);
        Self::of("workflow_run", "refs/heads/main", &event)
    }

    /// The same told under another name.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.github["event_name"] = json!(name);
        self
    }

    /// The same with another `action`.
    pub(crate) fn doing(mut self, action: &str) -> Self {
        self.github["event"]["action"] = json!(action);
        self
    }

    /// What a step of a job leaves.
    pub(crate) fn leaving(mut self, job: &str, step: &str, outputs: &[(&str, &str)]) -> Self {
        let outputs: BTreeMap<_, _> = outputs.iter().copied().collect();
        self.steps[job][step]["outputs"] = json!(outputs);
        self
    }

    /// What the job `changed` finds.
    pub(crate) fn changing(self, job: &str, models: &[&str], sweeps: &[&str]) -> Self {
        let (models, sweeps) = (json!(models).to_string(), json!(sweeps).to_string());
        self.leaving(job, "changed", &[("changed-models", &models), ("changed-sweeps", &sweeps)])
    }

    /// The step of that job fails.
    pub(crate) fn failing(mut self, job: &str, step: &str) -> Self {
        self.steps[job][step]["outcome"] = json!("failure");
        self
    }

    /// What GitHub makes of it, or why it does not start the workflow or a job of it.
    pub(crate) fn try_on(&self, workflow: &str) -> Result<Answer, String> {
        let question = json!({
            "name": "workflow.yml", "content": workflow,
            "github": self.github, "vars": self.vars, "inputs": self.inputs, "steps": self.steps,
        });
        let answer = NODE.lock().unwrap_or_else(PoisonError::into_inner).ask(&question);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(serde_json::from_value(answer).unwrap()),
        }
    }

    #[track_caller]
    pub(crate) fn on(&self, workflow: &str) -> Answer {
        self.try_on(workflow).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Answer {
    /// The jobs that were not skipped.
    pub(crate) fn ran(&self) -> Vec<&str> {
        self.jobs.iter().filter(|(_, job)| job.result != "skipped").map(|(name, _)| name.as_str()).collect()
    }

    /// The values over which a job's matrix goes.
    pub(crate) fn matrix(&self, job: &str) -> Vec<Value> {
        self.jobs[job].legs.iter().map(|leg| leg.matrix.clone()).collect()
    }

    /// What may be written with the token of any job, whether it runs or not.
    pub(crate) fn writes(&self) -> Vec<(&str, &str)> {
        let mut all = Vec::new();
        for (name, job) in &self.jobs {
            let scopes = job.permissions.iter().filter(|(_, level)| *level == "write");
            all.extend(scopes.map(|(scope, _)| (name.as_str(), scope.as_str())));
        }
        all
    }
}

impl Job {
    /// What its steps give the action of this name, in every leg.
    pub(crate) fn gives(&self, action: &str) -> Vec<&BTreeMap<String, String>> {
        let steps = self.legs.iter().flat_map(|leg| &leg.steps);
        let named =
            |step: &&Step| step.uses.as_deref().is_some_and(|uses| uses.split('@').next().unwrap().ends_with(action));
        steps.filter(named).map(|step| &step.with).collect()
    }
}
