//! The action `register`: its script run as GitHub's runner does, with the built program and the real server.

use std::process::Command;

use serde_json::json;

use crate::driver::{Did, Runner};
use crate::issuer::JOB_TOKEN;
use crate::place::{MODEL, Place, manifest};
use crate::world::git;

/// A job that built the newest commit of the hub's `main`, with an image of it in the registry.
struct Job {
    place: Place,
    runner: Runner,
    commit: String,
    image: String,
}

impl Job {
    fn new() -> Self {
        let place = Place::new();
        let commit = place.push("main");
        let mut runner = Runner::new();
        let origin = git(&place.world.clone, &["remote", "get-url", "origin"]).trim().to_owned();
        runner.git(&["pull", "--quiet", &origin, "main"]);
        assert_eq!(runner.git(&["rev-parse", "HEAD"]), commit);
        runner.write(".git/info/exclude", ".modelship/\n");
        let built = runner.run("build", &[("model", MODEL), ("executor", "process")]);
        assert!(built.passed, "{}", built.log);
        place.issuer.job_is(place.claims(&commit));
        runner.environment = vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), format!("{}/token?api-version=2.0", place.issuer.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), JOB_TOKEN.to_owned()),
        ];
        let image = place.image(&commit);
        Self { place, runner, commit, image }
    }

    fn register(&self, more: &[(&str, &str)]) -> Did {
        let mut inputs =
            vec![("model", MODEL), ("image", &self.image), ("server", &self.place.url), ("timeout", "60s")];
        inputs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        inputs.extend(more);
        self.runner.run("register", &inputs)
    }
}

#[test]
fn what_the_job_built_is_a_version_of_the_server_when_the_step_ends() {
    let job = Job::new();
    let did = job.register(&[]);
    assert!(did.passed, "{}", did.log);
    let [version] = job.place.versions().try_into().unwrap();
    assert_eq!(did.outputs["version"], version["id"].as_str().unwrap());
    assert_eq!(did.outputs["digest"], version["executable"].as_str().unwrap());
    assert!(did.summary.contains("**Registered:**") && did.summary.contains(&job.image), "{}", did.summary);
    assert_eq!(version["tests"][0]["name"], "base", "what the job says of its tests is kept");
    assert!(did.commands.is_empty(), "{:?}", did.commands);
    assert!(!did.log.contains(JOB_TOKEN) && !did.log.contains("eyJ"), "no token is printed: {}", did.log);

    let again = job.register(&[]);
    assert_eq!((again.passed, &again.outputs), (true, &did.outputs));
    assert_eq!(job.place.versions().len(), 1);
}

#[test]
fn a_refused_offer_fails_the_step_and_says_why() {
    let job = Job::new();
    let refused = |words: &str, more: &[(&str, &str)]| {
        let did = job.register(more);
        assert!(!did.passed && did.outputs["version"].is_empty(), "{}", did.log);
        assert!(
            did.commands.iter().any(|line| line.starts_with("::error") && line.contains(words)),
            "{:?}",
            did.commands
        );
    };
    let missing = format!("{}@sha256:{}", job.image.split('@').next().unwrap(), "0".repeat(64));
    refused("the registry has no", &[("image", &missing)]);
    refused("no name of an image", &[("image", "simple-tax:latest")]);
    refused("not reached by HTTPS", &[("server", "http://models.example.org")]);
    refused("audience", &[("server", &job.place.url.replace("127.0.0.1", "localhost"))]);
    refused("there is no model `tests/other`", &[("model", "tests/other")]);

    let mut claims = job.place.claims(&job.commit);
    claims["event_name"] = json!("pull_request");
    job.place.issuer.job_is(claims);
    refused("run it on `push`", &[]);
    assert!(job.place.versions().is_empty());
}

#[test]
fn a_model_that_the_server_builds_is_left_to_it() {
    let job = Job::new();
    job.runner.write("config/tests/tiny.yaml", &manifest("build: {process: []}\n"));
    job.runner.commit("Leave it to the server");
    let did = job.register(&[]);
    assert!(did.passed && did.outputs["version"].is_empty(), "{did:?}");
    assert!(did.commands[0].starts_with("::warning") && did.commands[0].contains("`build_by: actions`"), "{did:?}");
    assert!(job.place.versions().is_empty());
}

#[test]
fn a_job_that_may_not_ask_for_a_token_is_told_what_to_write() {
    let mut job = Job::new();
    job.runner.environment.clear();
    let did = job.register(&[]);
    assert!(!did.passed && did.commands[0].contains("id-token: write"), "{did:?}");
    job.runner.environment = vec![
        ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), format!("{}/token?api-version=2.0", job.place.issuer.url())),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), "another".to_owned()),
    ];
    let did = job.register(&[]);
    assert!(!did.passed && did.commands[0].contains("GitHub signs no token"), "{did:?}");
}

#[test]
fn a_server_that_comes_up_late_is_waited_for_and_one_that_does_not_is_not() {
    let mut job = Job::new();
    job.place.world.kill_server();
    let did = job.register(&[("timeout", "2s")]);
    assert!(!did.passed && did.commands[0].contains("the time is over"), "{did:?}");
    std::thread::scope(|scope| {
        let (runner, image, url) = (&job.runner, &job.image, &job.place.url);
        let step = scope.spawn(move || {
            runner.run("register", &[("model", MODEL), ("image", image), ("server", url), ("timeout", "60s")])
        });
        job.place.world.start_server();
        let did = step.join().unwrap();
        assert!(did.passed, "{}", did.log);
    });
}

#[test]
fn no_input_becomes_a_command_or_a_flag() {
    let job = Job::new();
    for value in ["$(touch evil)", "`touch evil`", "x; touch evil", "--help", "a\ntouch evil", "\";touch${IFS}evil;#"] {
        for input in ["model", "image", "server", "timeout"] {
            let did = job.register(&[(input, value)]);
            assert!(!did.passed, "{input} {value:?}: {}", did.log);
        }
    }
    assert!(!job.runner.workspace.path().join("evil").exists());
}

#[test]
fn outside_of_a_workflow_nobody_signs_who_this_is() {
    let job = Job::new();
    let said = Command::new(env!("CARGO_BIN_EXE_modelship"))
        .args(["register", MODEL, "--image", &job.image, "--server", &job.place.url])
        .env_remove("ACTIONS_ID_TOKEN_REQUEST_URL")
        .current_dir(job.runner.workspace.path())
        .output()
        .unwrap();
    let told = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && told.contains("id-token: write"), "{told}");
}
