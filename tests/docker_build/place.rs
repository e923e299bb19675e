//! A repository whose models are built as images.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::world::Said;
use crate::world::laptop::Laptop;

/// A laptop's repository with one model, `<owner>/tiny`, and settings that build images.
pub(crate) struct Place {
    pub(crate) laptop: Laptop,
    /// Nobody else's models have this owner.
    pub(crate) owner: String,
}

/// What the suite starts for its tests.
pub(crate) fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("the suite needs a Docker engine and registries ({variable}); start it with `scripts/with-docker cargo test`")
    })
}

/// What runs: it takes its parameters as arguments and prints RATE and the number 7.
pub(crate) const SIM: &str = "#!/bin/sh\nfor argument; do case $argument in --RATE=*) rate=${argument#*=};; esac; done\n\
                              echo \"rate,$rate\"; echo seven,7\n";

/// The run part of a manifest whose command prints its summary.
pub(crate) const RUN: &str = "run:\n  command: [\"{model}/sim\"]\n  params: {format: args}\n  resources: {memory: 64 MiB}\n  network: none\n  timeout: 1m\n\
                              parameters:\n  RATE: {type: float, default: 0.5}\noutputs: {summary: stdout}\n";

/// Tests for a model that runs [`SIM`].
pub(crate) const TESTS: &str = "tests:\n  - {name: base case, parameters: {}, expect: {rate: 0.5, seven: 7}}\n  - {name: other, parameters: {RATE: 2}, expect: {rate: 2}}\n";

impl Place {
    /// A repository without a model yet, whose images stay on the engine.
    pub(crate) fn new() -> Self {
        Self::with_settings("")
    }

    /// The same with images pushed to the registry that asks nobody.
    pub(crate) fn with_registry() -> Self {
        Self::with_settings(&format!("  registry: {}/image\n", given("MODELSHIP_TEST_REGISTRY")))
    }

    /// The same with these further lines below `docker:`.
    pub(crate) fn with_settings(docker: &str) -> Self {
        Self::of(Laptop::with_models(&[]), docker)
    }

    /// A place for models of this project, whose images are pushed to the registry that asks nobody.
    pub(crate) fn with_models(models: &[&str]) -> Self {
        let registry = format!("  registry: {}/examples\n", given("MODELSHIP_TEST_REGISTRY"));
        Self::of(Laptop::with_models(models), &registry)
    }

    fn of(laptop: Laptop, docker: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let owner = format!("image{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        laptop.write(
            ".modelship/settings.yaml",
            &format!(
                "executor: docker\ndocker:\n  host: {}\n  runner: {}\n  build_network: host\n  build_args: {{BASE: modelship-test/debian}}\n  \
                 bases: {{debian: modelship-test/debian, python: modelship-test/python}}\n{docker}",
                given("MODELSHIP_TEST_DOCKER_HOST"),
                given("MODELSHIP_TEST_RUNNER"),
            ),
        );
        Self { laptop, owner }
    }

    /// Writes the manifest of `<owner>/tiny` with these lines after its first ones, and commits everything.
    pub(crate) fn manifest(&self, rest: &str) {
        let source = if rest.contains("source:") { "" } else { "source: {path: models/tiny}\n" };
        let text = format!("owner: {0}\ntitle: tiny\ndescription: a tiny model\n{source}{rest}", self.owner);
        self.laptop.write(&format!("config/{}/tiny.yaml", self.owner), &text);
        self.laptop.commit("Change the model");
    }

    /// Writes a file of the model.
    pub(crate) fn file(&self, path: &str, text: &str) {
        self.laptop.write(&format!("models/tiny/{path}"), text);
    }

    pub(crate) fn model(&self) -> String {
        format!("{}/tiny", self.owner)
    }

    /// Builds the model.
    pub(crate) fn build(&self) -> Said {
        self.laptop.modelship(&["build", &self.model()])
    }

    /// The newest version, whole.
    pub(crate) fn version(&self) -> Value {
        let listed = self.laptop.modelship(&["versions", &self.model(), "--output", "json"]).ok().json();
        listed[0]["version"].clone()
    }

    /// How many images of this place's model the engine has with a runner in them.
    pub(crate) fn images(&self) -> Vec<String> {
        let filter = format!("label=org.modelship.model={}", self.model());
        let ids = docker(&["image", "ls", "--no-trunc", "--quiet", "--filter", &filter]);
        let mut ids: Vec<_> = ids.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for image in self.images() {
            let _ = Command::new("docker")
                .args(["image", "rm", "--force", "--no-prune", &image])
                .env("DOCKER_HOST", given("MODELSHIP_TEST_DOCKER_HOST"))
                .output();
        }
    }
}

/// Runs the `docker` program, which has to succeed, and gives what it printed.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", given("MODELSHIP_TEST_DOCKER_HOST"))
        .output()
        .unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An image's configuration.
pub(crate) fn config(image: &str) -> Value {
    serde_json::from_str(&docker(&["image", "inspect", "--format", "{{json .Config}}", image])).unwrap()
}
