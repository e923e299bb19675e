//! Which jobs run, with what, and what their tokens may do: the reusable workflows and those of a new hub, as GitHub's
//! own packages read them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::driver::{PROJECT, Runner};
use crate::events::{Answer, BASE, BEFORE, Event, HEAD, PROPOSED, TOKEN};
use crate::steps::passed;

/// The commit of this project that the hub's workflows name.
const PIN: &str = "0123456789abcdef0123456789abcdef01234567";

/// The reusable workflows.
const OURS: [&str; 3] = ["check-model", "publish-model", "sweep"];

/// Model names that mean something to a shell, to YAML and to GitHub; no model may be called so.
const AWKWARD: [&str; 8] = [
    "a'b",
    "a\"b\\",
    "${{ github.token }}",
    "}}' || true || '${{",
    "fromJSON('[1]')",
    "[\"x\", 'y']",
    "a\nb: *c",
    "ünïcødé/🜁 ",
];

/// A repository as `modelship init --hub` makes it.
struct Hub(Runner);

impl Hub {
    fn new() -> Self {
        let runner = Runner::new();
        let mut init = Command::new(env!("CARGO_BIN_EXE_modelship"));
        init.args(["init", "--hub", ".", "--actions", &format!("urban/modelship@{PIN}")]);
        let done = init.current_dir(runner.workspace.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        Self(runner)
    }

    fn workflow(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(format!("modelship-{name}.yml"))).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.0.workspace.path().join(".github/workflows")
    }
}

/// One of ours as the hub names it.
fn pinned(ours: &str) -> String {
    format!("urban/modelship/.github/workflows/{ours}.yml@{PIN}")
}

/// A workflow for many events whose job `it` calls one of ours, with these inputs and permissions.
fn calling(ours: &str, with: &Value, permissions: &Value) -> String {
    let on = ["push", "pull_request", "pull_request_target", "workflow_dispatch"];
    json!({"on": on, "jobs": {"it": {"uses": pinned(ours), "with": with, "permissions": permissions}}}).to_string()
}

fn reading() -> Value {
    json!({"contents": "read"})
}

/// A map of texts.
fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_push_publishes_each_model_that_it_changes_and_none_where_none_did() {
    let publish = Hub::new().workflow("publish");
    let mut push = Event::push("refs/heads/topic");
    push.vars = json!({
        "MODELSHIP_REGISTRY": "1.dkr.ecr.eu-central-1.amazonaws.com/m",
        "MODELSHIP_AWS_ROLE": "arn:aws:iam::1:role/push",
        "MODELSHIP_AWS_REGION": "eu-central-1",
        "MODELSHIP_SERVER": "https://models.example.org",
    });
    let both = push.clone().changing("models / changed", &["urban/tax", "energy/grid"], &["sweeps/a.yaml"]);
    let answer = both.clone().leaving("models / publish", "push", &[("image", "m/tax@sha256:ab")]).on(&publish);
    assert_eq!(answer.ran(), ["models", "models / changed", "models / publish"]);
    assert_eq!(answer.jobs["models"].uses, Some(pinned("publish-model")));
    assert_eq!(answer.jobs["models"].outputs, texts(&[("changed-models", r#"["urban/tax","energy/grid"]"#)]));
    let changed = answer.jobs["models / changed"].gives("/changed");
    assert_eq!(changed, [&texts(&[("since", BEFORE), ("base", "")])]);
    let models = [json!({"model": "urban/tax"}), json!({"model": "energy/grid"})];
    let job = &answer.jobs["models / publish"];
    assert_eq!(answer.matrix("models / publish"), models);
    assert!(job.gives("actions/checkout").iter().all(|with| with["ref"] == HEAD), "{job:?}");
    for (at, model) in ["urban/tax", "energy/grid"].into_iter().enumerate() {
        let built = [("model", model), ("executor", "docker"), ("layer-cache", "false")];
        assert_eq!(job.gives("/build")[at], &texts(&built));
        let pushed = [
            ("model", model),
            ("registry", "1.dkr.ecr.eu-central-1.amazonaws.com/m"),
            ("executor", "docker"),
            ("aws-role", "arn:aws:iam::1:role/push"),
            ("aws-region", "eu-central-1"),
        ];
        assert_eq!(job.gives("/push")[at], &texts(&pushed));
        let told = [("model", model), ("image", "m/tax@sha256:ab"), ("server", "https://models.example.org")];
        assert_eq!(job.gives("/register")[at], &texts(&told));
    }
    assert_eq!((job.gives("/push").len(), job.gives("/register").len()), (2, 2));
    assert_eq!(answer.writes(), [("models", "id-token"), ("models / publish", "id-token")]);

    // What was not pushed is offered to nobody, and nothing is pushed where no registry is named.
    let answer = both.on(&publish);
    let job = &answer.jobs["models / publish"];
    assert_eq!((job.gives("/push").len(), job.gives("/register").len()), (2, 0));
    let mut bare = both.clone();
    bare.vars = json!({});
    let answer = bare.on(&publish);
    let job = &answer.jobs["models / publish"];
    assert_eq!((job.gives("/build").len(), job.gives("/push").len(), job.gives("/register").len()), (2, 0, 0));

    // Without the condition GitHub would stumble over a matrix of nothing.
    let none = push.clone().changing("models / changed", &[], &["sweeps/a.yaml"]).on(&publish);
    assert_eq!(none.ran(), ["models", "models / changed"]);
    assert_eq!(none.jobs["models"].result, "success");

    // A tag is a push, and other events are none; each commit of a branch waits for itself alone.
    let tag = Event::push("refs/tags/v1").changing("models / changed", &["urban/tax"], &[]).on(&publish);
    assert_eq!(tag.ran(), ["models", "models / changed", "models / publish"]);
    for other in [Event::pull_request(), Event::dispatch(json!({})), Event::end_of("modelship-check", "push")] {
        assert!(!other.on(&publish).started, "{other:?}");
    }
    assert_eq!(both.on(&publish).group, Some(format!("modelship-publish-refs/heads/topic-{HEAD}")));
}

#[test]
fn a_pull_request_is_built_and_planned_and_may_write_nothing() {
    let check = Hub::new().workflow("check");
    for pull in [Event::pull_request(), Event::of_fork()] {
        let answer = pull
            .clone()
            .changing("models / changed", &["urban/tax", "energy/grid"], &[])
            .changing("sweeps / changed", &[], &["sweeps/a.yaml", "sweeps/b.yaml"])
            .on(&check);
        let built = ["models", "models / build", "models / changed"];
        assert_eq!(answer.ran(), [&built[..], &["sweeps", "sweeps / changed", "sweeps / plan"]].concat());
        assert_eq!(answer.jobs["models"].uses, Some(pinned("check-model")));
        assert_eq!(answer.jobs["sweeps"].uses, Some(pinned("sweep")));
        assert_eq!(answer.matrix("models / build"), [json!({"model": "urban/tax"}), json!({"model": "energy/grid"})]);
        assert_eq!(
            answer.matrix("sweeps / plan"),
            [json!({"file": "sweeps/a.yaml"}), json!({"file": "sweeps/b.yaml"})]
        );
        assert_eq!(answer.jobs["models"].outputs, texts(&[("changed-models", r#"["urban/tax","energy/grid"]"#)]));
        assert_eq!(answer.jobs["sweeps"].outputs, texts(&[("sweep-id", "")]));
        assert_eq!(answer.group.as_deref(), Some("modelship-check-7"));
        for (name, job) in &answer.jobs {
            assert!(
                job.permissions == texts(&[("contents", "read")]) || name.ends_with(" / refused"),
                "{name}: {job:?}"
            );
            assert!(job.gives("actions/checkout").iter().all(|with| with["ref"] == PROPOSED), "{name}: {job:?}");
        }
        // What it goes to counts, not what it pushed last.
        for changed in ["models / changed", "sweeps / changed"] {
            assert_eq!(answer.jobs[changed].gives("/changed")[0]["base"], BASE);
        }
        let tested = texts(&[("model", "urban/tax"), ("executor", "docker")]);
        let job = &answer.jobs["models / build"];
        assert_eq!((job.gives("/build")[0], job.gives("/test")[0]), (&tested, &tested));

        let nothing = pull.changing("models / changed", &[], &[]).changing("sweeps / changed", &[], &[]);
        let answer = nothing.on(&check);
        assert_eq!(answer.ran(), ["models", "models / changed", "sweeps", "sweeps / changed"]);
        assert!(!nothing.clone().doing("closed").on(&check).started);
    }
}

#[test]
fn a_pull_request_never_publishes_whoever_calls() {
    for pull in [Event::pull_request(), Event::of_fork()] {
        let pull = pull.changing("it / changed", &["urban/tax"], &[]);
        // Where its caller lends it the token, the job is left out all the same.
        let lent = calling("publish-model", &json!({}), &json!({"contents": "read", "id-token": "write"}));
        assert_eq!(pull.on(&lent).ran(), ["it", "it / changed"]);
        // And where it does not, GitHub starts nothing.
        let refused = pull.try_on(&calling("publish-model", &json!({}), &reading())).unwrap_err();
        assert_eq!(refused, "The nested job 'publish' is requesting 'id-token: write', but is only allowed 'none'");
        // What is meant for pull requests asks for no more than to read.
        for ours in ["check-model", "sweep"] {
            let answer = pull.on(&calling(ours, &json!({}), &json!({"contents": "write", "id-token": "write"})));
            let nested = answer.jobs.iter().filter(|(name, _)| *name != "it");
            for (name, job) in nested {
                let reads = if name == "it / refused" { texts(&[]) } else { texts(&[("contents", "read")]) };
                assert_eq!(job.permissions, reads, "{ours}, {name}");
            }
            assert!(answer.jobs.len() > 2, "{ours}");
        }
    }
}

#[test]
fn where_a_fork_would_run_beside_what_is_the_repositorys_there_is_an_error_and_nothing_runs() {
    let target = Event::of_fork().called("pull_request_target");
    let target = target.changing("it / changed", &["urban/tax"], &["sweeps/a.yaml"]);
    let rights = json!({"contents": "write", "id-token": "write"});
    let named = json!({"run": "sweeps/a.yaml"});
    for (ours, with) in
        [("sweep", &json!({})), ("sweep", &named), ("check-model", &json!({})), ("publish-model", &json!({}))]
    {
        let answer = target.on(&calling(ours, with, &rights));
        assert_eq!(answer.ran(), ["it", "it / refused"], "{ours}");
        // What is left out counts as passed; this ends in an error whatever else there is.
        let steps = &answer.jobs["it / refused"].legs[0].steps;
        assert!(steps.len() == 1 && steps[0].uses.is_none() && answer.jobs["it / refused"].permissions.is_empty());
        let text = fs::read_to_string(format!("{PROJECT}/.github/workflows/{ours}.yml")).unwrap();
        assert!(text.contains("start this workflow by pull_request\"\n          exit 1\n"), "{text}");
    }
}

#[test]
fn a_sweep_is_planned_where_it_is_proposed_and_run_where_somebody_asks() {
    let sweep = Hub::new().workflow("sweep");
    let asked = Event::dispatch(json!({"file": "sweeps/a b.yaml"}));
    let done = asked.clone().leaving("sweep / run", "sweep", &[("sweep-id", "identity-1")]);
    let answer = done.on(&sweep);
    assert_eq!(answer.ran(), ["sweep", "sweep / run"]);
    assert_eq!(answer.jobs["sweep"].uses, Some(pinned("sweep")));
    assert_eq!(answer.jobs["sweep"].with, texts(&[("run", "sweeps/a b.yaml")]));
    assert_eq!(answer.jobs["sweep"].outputs, texts(&[("sweep-id", "identity-1")]));
    let job = &answer.jobs["sweep / run"];
    assert_eq!(job.gives("/sweep-run"), [&texts(&[("file", "sweeps/a b.yaml"), ("executor", "docker")])]);
    assert_eq!(job.gives("actions/upload-artifact")[0]["name"], "identity-1");
    assert_eq!((answer.writes(), &answer.group), (vec![], &None));
    // Nobody has to name a file.
    let usual = Event::dispatch(json!({})).on(&sweep);
    assert_eq!(usual.jobs["sweep"].with, texts(&[("run", "sweeps/identity.yaml")]));

    // What a failed sweep left is kept, and what failed before it was one left nothing.
    let failed = done.failing("sweep / run", "sweep").on(&sweep);
    assert_eq!((failed.jobs["sweep"].result.as_str(), failed.ran()), ("failure", vec!["sweep", "sweep / run"]));
    assert_eq!(failed.jobs["sweep"].outputs, texts(&[("sweep-id", "identity-1")]));
    let uploads = |answer: &Answer| answer.jobs["sweep / run"].gives("actions/upload-artifact").len();
    assert_eq!((uploads(&failed), uploads(&asked.failing("sweep / run", "sweep").on(&sweep))), (1, 0));

    // Called with the name of a file in a pull request it runs nothing, and in no other event does it plan besides.
    let named = calling("sweep", &json!({"run": "sweeps/a.yaml"}), &reading());
    for pull in [Event::pull_request(), Event::of_fork()] {
        assert_eq!(pull.on(&named).ran(), ["it"]);
    }
    assert_eq!(Event::push("refs/heads/main").on(&named).ran(), ["it", "it / run"]);

    // Called without one it plans what changed, one job for each, or nothing.
    let unnamed = calling("sweep", &json!({"executor": "process"}), &reading());
    for event in [Event::pull_request(), Event::push("refs/heads/main")] {
        let some = event.clone().changing("it / changed", &["urban/tax"], &["sweeps/a.yaml", "sweeps/b.yaml"]);
        let answer = some.on(&unnamed);
        assert_eq!(answer.ran(), ["it", "it / changed", "it / plan"]);
        assert_eq!(answer.matrix("it / plan"), [json!({"file": "sweeps/a.yaml"}), json!({"file": "sweeps/b.yaml"})]);
        let plans = answer.jobs["it / plan"].gives("/sweep-plan");
        assert_eq!(plans[1], &texts(&[("file", "sweeps/b.yaml"), ("executor", "process")]));
        let none = event.changing("it / changed", &["urban/tax"], &[]).on(&unnamed);
        assert_eq!(none.ran(), ["it", "it / changed"]);
    }
}

#[test]
fn what_needs_a_job_that_failed_is_left_out() {
    for ours in OURS {
        let whole = calling(ours, &json!({}), &json!({"contents": "read", "id-token": "write"}));
        let push = Event::push("refs/heads/main").changing("it / changed", &["urban/tax"], &["sweeps/a.yaml"]);
        assert_eq!(push.on(&whole).ran().len(), 3, "{ours}");
        // `changed` says what it found even where it fails, as over a broken manifest.
        let answer = push.failing("it / changed", "changed").on(&whole);
        assert_eq!(answer.ran(), ["it", "it / changed"], "{ours}");
        assert_eq!(answer.jobs["it"].result, "failure", "{ours}");
    }
}

#[test]
fn a_report_follows_a_check_of_a_pull_request_and_takes_its_number_alone() {
    let report = Hub::new().workflow("report");
    let answer = Event::end_of("modelship-check", "pull_request").on(&report);
    assert_eq!(answer.ran(), ["report"]);
    let job = &answer.jobs["report"];
    let [leg] = job.legs.as_slice() else { panic!("{job:?}") };
    let [step] = leg.steps.as_slice() else { panic!("{job:?}") };
    assert_eq!(step.uses, Some(format!("urban/modelship/.github/actions/report@{PIN}")));
    // No commit, no branch and no pull request of the check's own telling.
    assert_eq!(step.with, texts(&[("run", "77"), ("token", TOKEN)]));
    assert_eq!(answer.writes(), [("report", "pull-requests")]);
    assert_eq!(answer.group.as_deref(), Some("modelship-report-77"));

    for by in ["push", "workflow_dispatch", "pull_request_target", "schedule"] {
        assert_eq!(Event::end_of("modelship-check", by).on(&report).ran(), [""; 0], "{by}");
    }
    assert!(!Event::end_of("modelship-sweep", "pull_request").on(&report).started);
    assert!(!Event::end_of("modelship-check", "pull_request").doing("requested").on(&report).started);
    assert!(!Event::pull_request().on(&report).started);
}

#[test]
fn a_name_is_a_value_however_it_is_spelled() {
    for (ours, job, key, action) in [
        ("check-model", "build", "model", "/build"),
        ("publish-model", "publish", "model", "/build"),
        ("sweep", "plan", "file", "/sweep-plan"),
    ] {
        let whole = calling(ours, &json!({}), &json!({"contents": "read", "id-token": "write"}));
        let answer = Event::push("refs/heads/main").changing("it / changed", &AWKWARD, &AWKWARD).on(&whole);
        let job = format!("it / {job}");
        assert_eq!(answer.matrix(&job), AWKWARD.map(|name| json!({ key: name })), "{ours}");
        let given: Vec<_> = answer.jobs[&job].gives(action).iter().map(|with| with[key].as_str()).collect();
        assert_eq!(given, AWKWARD, "{ours}");
    }
    // The file that somebody asks for, and what is set in the repository.
    let hub = Hub::new();
    let (sweep, publish) = (hub.workflow("sweep"), hub.workflow("publish"));
    for name in AWKWARD {
        let answer = Event::dispatch(json!({"file": name})).on(&sweep);
        assert_eq!(answer.jobs["sweep / run"].gives("/sweep-run")[0]["file"], name);
        let mut push = Event::push("refs/heads/main").changing("models / changed", &["urban/tax"], &[]);
        push.vars = json!({"MODELSHIP_REGISTRY": name});
        assert_eq!(push.on(&publish).jobs["models / publish"].gives("/push")[0]["registry"], name);
    }
}

#[test]
fn what_changed_finds_is_a_matrix_of_the_very_files() {
    let hub = Hub::new();
    let sweep = fs::read_to_string(hub.0.workspace.path().join("sweeps/identity.yaml")).unwrap();
    let before = hub.0.commit("Begin");
    let files = ["sweeps/${{ github.token }}.yaml", "sweeps/'] || '\".yaml", "sweeps/a<<b=c.yaml", "sweeps/é \\n.yaml"];
    for file in files {
        hub.0.write(file, &sweep);
    }
    hub.0.commit("Sweep under odd names");
    let found = passed(hub.0.run("changed", &[("since", &before)]));
    let outputs: Vec<_> = found.outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let push = Event::push("refs/heads/main").leaving("it / changed", "changed", &outputs);
    let answer = push.on(&calling("sweep", &json!({}), &reading()));
    let mut planned: Vec<_> =
        answer.jobs["it / plan"].gives("/sweep-plan").iter().map(|with| with["file"].clone()).collect();
    planned.sort();
    let mut files = files.map(str::to_owned);
    files.sort();
    assert_eq!(planned, files);
    assert!(planned.iter().all(|file| hub.0.workspace.path().join(file).exists()));
}

#[test]
fn every_workflow_of_a_hub_is_one_of_these_stories() {
    let hub = Hub::new();
    let mut names: Vec<_> = fs::read_dir(hub.folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    let known = ["check", "publish", "report", "sweep"].map(|name| format!("modelship-{name}.yml"));
    assert_eq!(names, known.map(OsString::from));
}
