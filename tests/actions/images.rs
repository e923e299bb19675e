//! Models as images: built, tested and pushed by the steps of the workflows, registered by a server, and swept.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::driver::Runner;
use crate::http::{Request, send};
use crate::issuer::JOB_TOKEN;
use crate::place::{MODEL, Place, manifest};
use crate::steps::passed;
use crate::world::docker::given;
use crate::world::git;
use crate::world::tables::{numbers, read_csv};

/// What stands in the manifest for who builds it, and how.
pub(crate) const BUILD: &str = "build: {dockerfile: Dockerfile}\nbuild_by: actions\n";

/// What the model of [`manifest`] runs.
pub(crate) const SCRIPT: &str = "printf '{\"twice\": %d}' $((N * 2)) >\"$1/summary.json\"\n";

const DOCKERFILE: &str = "FROM modelship-test/busybox\nWORKDIR /model\nCOPY tiny.sh .\n";

const SWEEP: &str = "sweep: all\nmodel: tests/tiny\nparameters:\n  N: {range: {start: 1, stop: 4, step: 1}}\n";

/// A machine as `setup` leaves it: the program with the static runner beside it, and a Docker engine.
pub(crate) fn machine() -> Runner {
    let mut runner = Runner::new();
    let programs = runner.temp().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_modelship"), programs.join("modelship")).unwrap();
    fs::copy(given("MODELSHIP_TEST_RUNNER"), programs.join("modelship-runner")).unwrap();
    runner.path = vec![programs];
    runner.environment = vec![("DOCKER_HOST".to_owned(), given("MODELSHIP_TEST_DOCKER_HOST"))];
    runner.write(".git/info/exclude", ".modelship/\n");
    runner
}

/// What the engine's own program says.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    let said = Command::new("docker").args(arguments).env("DOCKER_HOST", given("MODELSHIP_TEST_DOCKER_HOST")).output();
    let said = said.unwrap();
    assert!(said.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// The digest of what lies at `name:tag` in a registry, in its own words.
fn digest_in(registry: &str, name: &str, tag: &str) -> String {
    let headers = vec![
        ("accept".to_owned(), "application/vnd.docker.distribution.manifest.v2+json".to_owned()),
        // `modelship:secret`, for the registry that asks.
        ("authorization".to_owned(), "Basic bW9kZWxzaGlwOnNlY3JldA==".to_owned()),
    ];
    let (method, target) = ("HEAD".to_owned(), format!("/v2/{name}/manifests/{tag}"));
    let answer =
        send(registry, &Request { method, target, headers, body: Vec::new() }, Duration::from_secs(20)).unwrap();
    assert_eq!(answer.status, 200, "{registry}/{name}:{tag}: {answer:?}");
    answer.header("docker-content-digest").unwrap().to_owned()
}

/// A folder of a registry that no other test uses.
fn own_folder(name: &str) -> String {
    format!("{name}{}", std::process::id())
}

/// Which image the engine has under this name.
fn id_of(image: &str) -> String {
    docker(&["image", "inspect", "--format", "{{.Id}}", image])
}

#[test]
fn what_the_steps_build_and_push_is_registered_and_swept() {
    let (registry, folder) = (given("MODELSHIP_TEST_REGISTRY"), own_folder("actions"));
    let below = format!("{registry}/{folder}");
    let place = Place::with(BUILD, |_| format!("docker: {{registry: \"{below}\"}}\n"));
    place.world.write("models/tiny/Dockerfile", DOCKERFILE);
    place.world.write("sweeps/all.yaml", SWEEP);
    let commit = place.push("main");

    let mut runner = machine();
    let origin = git(&place.world.clone, &["remote", "get-url", "origin"]).trim().to_owned();
    runner.git(&["pull", "--quiet", &origin, "main"]);
    place.issuer.job_is(place.claims(&commit));
    runner.environment.extend([
        ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), format!("{}/token?api-version=2.0", place.issuer.url())),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), JOB_TOKEN.to_owned()),
    ]);

    let before = "0".repeat(40);
    let found = runner.job("publish-model", "changed", &[("github.event.before", &before)]);
    assert_eq!(found[1].1.outputs["changed-models"], r#"["tests/tiny"]"#);
    let did = runner.job(
        "publish-model",
        "publish",
        &[("matrix.model", MODEL), ("inputs.registry", &below), ("inputs.server", &place.url)],
    );
    let names: Vec<_> = did.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["setup", "build", "push", "register"]);
    let [_, (_, built), (_, pushed), (_, registered)] = did.try_into().unwrap();
    assert_eq!(built.outputs["digest"], built.outputs["image"], "on this engine: {built:?}");
    let digest = digest_in(&registry, &format!("{folder}/{MODEL}"), &commit[..10]);
    assert_eq!(pushed.outputs["digest"], digest);
    assert_eq!(pushed.outputs["image"], format!("{below}/{MODEL}@{digest}"));
    assert_eq!(id_of(&pushed.outputs["image"]), built.outputs["image"], "what was pushed is what was built");
    assert!(pushed.summary.contains(&pushed.outputs["image"]) && pushed.commands.is_empty(), "{pushed:?}");
    let image = pushed.outputs["image"].as_str();
    let [version] = place.versions().try_into().unwrap();
    assert_eq!(registered.outputs["version"], version["id"].as_str().unwrap());
    assert_eq!(pushed.outputs["version"], registered.outputs["version"], "`push` knows what the server will call it");
    assert_eq!((&version["executable"], &version["image"]["reference"]), (&digest.into(), &image.into()));
    assert_eq!((&version["source"]["commit"], &version["builder"]), (&commit.into(), &"docker".into()));
    assert_eq!(version["tests"][0]["name"], "base");

    // The steps of the other workflows on the same machine: nothing is built again.
    let checked = runner.job("check-model", "build", &[("matrix.model", MODEL)]);
    assert_eq!(checked[1].1.outputs["version"], built.outputs["version"]);
    assert!(checked[2].1.summary.contains("| `tests/tiny` | `base` | passed |"), "{}", checked[2].1.summary);
    let planned = &runner.job("sweep", "plan", &[("matrix.file", "sweeps/all.yaml")])[1].1;
    assert_eq!((planned.outputs["runs"].as_str(), &planned.outputs["version"]), ("4", &built.outputs["version"]));
    let swept = &runner.job("sweep", "run", &[("inputs.run", "sweeps/all.yaml")])[1].1;
    assert_eq!((swept.outputs["succeeded"].as_str(), &swept.outputs["sweep-id"]), ("4", &planned.outputs["sweep-id"]));
    let table = runner.workspace.path().join(".modelship/artifacts/sweeps").join(&swept.outputs["sweep-id"]);
    let table = read_csv(&table.join("analysis.csv"));
    assert_eq!(numbers(&table, "twice"), [2.0, 4.0, 6.0, 8.0]);
    docker(&["image", "rm", "--force", &built.outputs["image"]]);
}

#[test]
fn a_role_opens_amazons_registry_for_the_image_that_was_built() {
    let (registry, folder) = (given("MODELSHIP_TEST_CLOSED_REGISTRY"), own_folder("amazon"));
    let below = format!("{registry}/{folder}");
    let mut runner = machine();
    runner.write("config/tests/tiny.yaml", &manifest(BUILD));
    runner.write("models/tiny/Dockerfile", DOCKERFILE);
    runner.write("models/tiny/tiny.sh", &format!("# for Amazon\n{SCRIPT}"));
    let commit = runner.commit("Begin");
    let built = passed(runner.run("build", &[("model", MODEL), ("layer-cache", "false")]));
    let role = [
        ("model", MODEL),
        ("registry", below.as_str()),
        ("aws-role", "arn:aws:iam::1:role/push"),
        ("aws-region", "eu-central-1"),
    ];
    // Whom the role does not open it for.
    runner.stub("aws", "#!/bin/sh\n[ \"$*\" = 'ecr get-login-password' ] && echo another\n");
    let refused = runner.run("push", &role);
    assert!(!refused.passed && refused.outputs["digest"].is_empty(), "{refused:?}");
    assert!(refused.commands.iter().any(|line| line.contains("refuses user `AWS`")), "{refused:?}");
    assert!(!runner.run("push", &role[..2]).passed, "nobody is let in without a login");

    runner.stub("aws", "#!/bin/sh\n[ \"$*\" = 'ecr get-login-password' ] && echo secret\n");
    let pushed = passed(runner.run("push", &role));
    assert!(pushed.uses[0].starts_with("aws-actions/configure-aws-credentials@"), "{pushed:?}");
    assert_eq!(pushed.commands, ["::add-mask::secret"]);
    assert_eq!(pushed.log.matches("secret").count(), 1, "the password is masked and then not shown: {}", pushed.log);
    let digest = digest_in(&registry, &format!("{folder}/{MODEL}"), &commit[..10]);
    assert_eq!(pushed.outputs["digest"], digest);
    assert_eq!(id_of(&pushed.outputs["image"]), built.outputs["image"]);
    docker(&["image", "rm", "--force", &built.outputs["image"]]);
}
