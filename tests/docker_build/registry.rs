//! Images pushed to a registry, and found there again.

use std::process::Command;

use serde_json::Value;

use crate::place::{Place, RUN, SIM, TESTS, docker, given};

const DOCKERFILE: &str = "FROM modelship-test/busybox\nWORKDIR /model\nCOPY sim .\nRUN chmod 755 sim\n";

fn tiny(place: &Place) {
    place.file("sim", SIM);
    place.file("Dockerfile", DOCKERFILE);
    place.manifest(&format!("build: {{dockerfile: Dockerfile}}\n{RUN}{TESTS}"));
}

/// The digest that the registry itself gives to a tag.
fn digest_in_registry(registry: &str, name: &str, tag: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--head", "--user", "modelship:secret"])
        .args(["--header", "Accept: application/vnd.docker.distribution.manifest.v2+json"])
        .arg(format!("http://{registry}/v2/{name}/manifests/{tag}"))
        .output()
        .unwrap();
    let head = String::from_utf8(output.stdout).unwrap();
    let line =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("docker-content-digest: ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("{head}")).trim().to_owned()
}

fn short(version: &Value) -> String {
    version["source"]["commit"].as_str().unwrap()[..10].to_owned()
}

#[test]
fn the_executable_is_what_the_registry_has_and_unchanged_source_is_not_built_again() {
    let place = Place::with_registry();
    let registry = given("MODELSHIP_TEST_REGISTRY");
    tiny(&place);
    place.build().ok();
    let first = place.version();
    let name = format!("image/{}", place.model());
    let digest = digest_in_registry(&registry, &name, &short(&first));
    assert_eq!(first["executable"], digest);
    assert_eq!(first["image"]["reference"], format!("{registry}/{name}@{digest}"));
    let images = place.images();
    assert_eq!(images.len(), 1);

    place.laptop.write("README.md", "a change that is none of the model's");
    place.laptop.commit("Change something else");
    place.build().ok();
    let second = place.version();
    assert_ne!(second["source"]["commit"], first["source"]["commit"]);
    assert_eq!((&second["executable"], &second["image"]), (&first["executable"], &first["image"]));
    assert_eq!(place.images(), images, "nothing was built");

    // The engine forgets the image; the registry still has it.
    docker(&["image", "rm", "--force", &images[0]]);
    place.laptop.commit("Nothing at all");
    place.build().ok();
    assert!(place.images().is_empty(), "nothing was built");
    assert_eq!(place.version()["executable"], first["executable"]);
    // Tests of that version pull it.
    let tested = place.laptop.modelship(&["test", &place.model()]).ok();
    assert!(tested.stdout.contains("base case"), "{tested:?}");

    place.file("sim", &SIM.replace("seven,7", "seven,7; echo eight,8"));
    place.laptop.commit("Change the model");
    place.build().ok();
    assert_ne!(place.version()["executable"], first["executable"]);
}

#[test]
fn a_registry_that_refuses_the_login_says_what_to_set() {
    let closed = given("MODELSHIP_TEST_CLOSED_REGISTRY");
    let place = Place::with_settings(&format!("  registry: {closed}\n"));
    tiny(&place);
    let run = |words: &[&str], user: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelship"));
        command.current_dir(place.laptop.path()).args(words);
        command.env_remove("MODELSHIP_SETTINGS").env_remove("MODELSHIP_STATE");
        if let Some(user) = user {
            command.env("MODELSHIP_REGISTRY_USER", user).env("MODELSHIP_REGISTRY_PASSWORD", "secret");
        }
        command.output().unwrap()
    };
    let build = |user: Option<&str>| {
        let output = run(&["build", &place.model()], user);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let doctor = |user: Option<&str>| {
        let output = run(&["doctor", "--output", "json"], user);
        let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        checks.as_array().unwrap().iter().find(|check| check["part"] == "registry").unwrap().clone()
    };
    for user in [None, Some("mallory")] {
        let said = doctor(user);
        assert_eq!(said["state"], "bad", "{said}");
        assert!(said["found"].as_str().unwrap().contains("refuses the login"), "{said}");
        assert!(
            said["advice"].as_str().unwrap().contains("MODELSHIP_REGISTRY_USER")
                && !said.to_string().contains("secret")
        );
    }
    assert_eq!(doctor(Some("modelship"))["state"], "good");
    let (status, said) = build(None);
    assert!(status == Some(1) && said.contains("the registry asks for a login"), "{said}");
    assert!(said.contains("set MODELSHIP_REGISTRY_USER and"), "{said}");
    let (status, said) = build(Some("mallory"));
    assert!(
        status == Some(1) && said.contains("the registry refuses user `mallory`") && !said.contains("secret"),
        "{said}"
    );
    let (status, said) = build(Some("modelship"));
    assert_eq!(status, Some(0), "{said}");
    let version = place.version();
    let digest = digest_in_registry(&closed, &place.model(), &short(&version));
    assert_eq!(version["executable"], digest);
}
