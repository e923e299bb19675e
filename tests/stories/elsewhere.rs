//! An image that somebody built and pushed without modelship: told of by the registry's webhook, tested, and registered.

use std::process::Command;

use serde_json::{Value, json};

use crate::world::docker::given;
use crate::world::{World, git};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The model's program: prints RATE and the number 7.
const SIM: &str = "#!/bin/sh\nfor argument; do case $argument in --RATE=*) rate=${argument#*=};; esac; done\n\
                   echo \"rate,$rate\"; echo seven,7\n";

fn docker(arguments: &[&str]) -> String {
    let said =
        Command::new("docker").arg("-H").arg(given("MODELSHIP_TEST_DOCKER_HOST")).args(arguments).output().unwrap();
    assert!(said.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// A hub with the model `elsewhere/sim`, whose images are pushed to the registry by others.
struct Hub {
    world: World,
    image: String,
}

impl Hub {
    fn new(seven: u32) -> Self {
        let registry = given("MODELSHIP_TEST_REGISTRY");
        let image = format!("{registry}/elsewhere{}/sim", std::process::id() + seven);
        let mut world = World::empty();
        world.environment.push(("MODELSHIP_REGISTRY_SECRET", SECRET.to_owned()));
        world.add_settings(&format!(
            "executor: docker\ndocker: {{host: \"{}\", runner: \"{}\", registry: \"{registry}/own\", accept: [\"{image}\"], \
             max_image: 20 MB}}\n",
            given("MODELSHIP_TEST_DOCKER_HOST"),
            given("MODELSHIP_TEST_RUNNER"),
        ));
        world.write(
            "config/elsewhere/sim.yaml",
            &format!(
                "owner: elsewhere\ntitle: sim\ndescription: built by others\nsource: {{path: models/sim}}\n\
                 build: {{image: \"{image}\"}}\nbuild_by: registry\n\
                 run:\n  command: [\"{{model}}/sim\"]\n  params: {{format: args}}\n  resources: {{memory: 64 MiB}}\n  network: none\n\
                 parameters:\n  RATE: {{type: float, default: 0.5}}\noutputs: {{summary: stdout}}\n\
                 tests:\n  - {{name: base case, parameters: {{RATE: 2}}, expect: {{rate: 2, seven: {seven}}}}}\n"
            ),
        );
        world.write("models/sim/sim", SIM);
        world.start_server();
        Self { world, image }
    }

    /// Builds and pushes an image of this commit as anybody would, and gives its digest.
    fn push_image(&self, commit: &str) -> String {
        self.push_image_with(commit, "")
    }

    /// The same with one more line in its Dockerfile.
    fn push_image_with(&self, commit: &str, line: &str) -> String {
        let folder = self.world.clone.join("models/sim");
        let dockerfile = "FROM modelship-test/busybox\nWORKDIR /model\nCOPY sim .\nRUN chmod 755 sim\n";
        std::fs::write(folder.join("Dockerfile"), format!("{dockerfile}{line}\n")).unwrap();
        let label = |name: &str, value: &str| format!("--label={name}={value}");
        docker(&[
            "build",
            "--quiet",
            "--tag",
            &self.image,
            &label("org.modelship.model", "elsewhere/sim"),
            &label("org.opencontainers.image.revision", commit),
            &label("org.opencontainers.image.source", "https://forge.example.org/example/hub"),
            folder.to_str().unwrap(),
        ]);
        docker(&["push", "--quiet", &self.image]);
        let named = docker(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &self.image]);
        named.split('@').nth(1).unwrap().to_owned()
    }

    /// Tells the server as the registry would.
    fn tell(&self, id: &str, digest: &str) {
        let (_, repository) = self.image.split_once('/').unwrap();
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let target = json!({"mediaType": kind, "digest": digest, "repository": repository});
        let told = json!({"events": [{"id": id, "action": "push", "target": target}]}).to_string();
        let said = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--noproxy",
                "*",
                "--header",
                "Content-Type: application/json",
            ])
            .args(["--header", &format!("Authorization: Bearer {SECRET}"), "--data", &told])
            .arg(format!("{}/webhooks/registry", self.world.url()))
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
    }

    fn versions(&self) -> Vec<Value> {
        let said = self.world.modelship(&["versions", "elsewhere/sim", "--output", "json"]);
        if said.status == 0 { said.json().as_array().unwrap().clone() } else { Vec::new() }
    }

    fn push_commit(&self) -> String {
        self.world.push_branch("main", "Describe the model");
        git(&self.world.clone, &["rev-parse", "HEAD"]).trim().to_owned()
    }
}

#[test]
fn an_image_built_elsewhere_is_registered_once_its_tests_pass() {
    let hub = Hub::new(7);
    let commit = hub.push_commit();
    let digest = hub.push_image(&commit);
    hub.tell("first", &digest);
    let version = hub.world.until("the image is a version", |_| hub.versions().into_iter().next())["version"].clone();
    assert_eq!(version["source"]["commit"], commit.as_str());
    assert_eq!(version["recipe"], digest.as_str(), "what it was made of: {version}");
    assert_eq!(version["tests"][0]["name"], "base case");
    let reference = version["image"]["reference"].as_str().unwrap();
    assert!(reference.contains("/own/elsewhere/sim@") && reference.ends_with(version["executable"].as_str().unwrap()));
    assert_eq!(version["image"]["workdir"], "/model");
    // Told again, under another id: nothing happens.
    hub.tell("second", &digest);
    hub.world.until_idle();
    assert_eq!(hub.versions().len(), 1);
}

#[test]
fn an_image_built_elsewhere_that_becomes_large_when_it_is_unpacked_is_no_version() {
    let hub = Hub::new(9);
    let commit = hub.push_commit();
    hub.tell("first", &hub.push_image_with(&commit, "RUN head -c 30000000 /dev/zero >zeros"));
    hub.world.until("it was looked at", |world| world.server_log().contains("was refused").then_some(()));
    hub.world.until_idle();
    assert!(hub.versions().is_empty());
    let log = hub.world.server_log();
    assert!(log.contains("`docker pull` gave an image of 3") && log.contains("none above 20.0 MB"), "{log}");
}

#[test]
fn an_image_built_elsewhere_whose_tests_fail_is_no_version() {
    let hub = Hub::new(8);
    let commit = hub.push_commit();
    hub.tell("first", &hub.push_image(&commit));
    hub.world.until("its tests were run", |world| world.server_log().contains("was refused").then_some(()));
    hub.world.until_idle();
    assert!(hub.versions().is_empty());
    assert!(hub.world.server_log().contains("seven"), "{}", hub.world.server_log());
}
