//! The whole way in containers: a push becomes an image in a registry, a sweep runs in containers of it, and they go on
//! while the server is away.

use std::process::Command;

use serde_json::Value;

use crate::world::World;
use crate::world::docker::{docker_settings, given};
use crate::world::tables::{numbers, texts};

fn world_of_containers(models: &[&str]) -> World {
    World::with_settings(models, &docker_settings("story"))
}

/// Containers of this world, ended ones too: those with its state folder mounted.
fn containers(world: &World) -> Vec<Value> {
    let docker = |arguments: &[&str]| {
        let said = Command::new("docker").arg("-H").arg(given("MODELSHIP_TEST_DOCKER_HOST")).args(arguments).output();
        String::from_utf8(said.unwrap().stdout).unwrap()
    };
    let all = docker(&["ps", "-aq"]);
    let ids: Vec<_> = all.split_whitespace().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let inspected: Vec<Value> = serde_json::from_str(&docker(&[&["inspect"], ids.as_slice()].concat())).unwrap();
    let state = std::fs::canonicalize(world.state()).unwrap();
    let own = |container: &Value| container["Mounts"].to_string().contains(state.to_str().unwrap());
    inspected.into_iter().filter(own).collect()
}

fn succeeded(world: &World) -> u64 {
    let said = world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    said[0]["succeeded"].as_u64().unwrap_or(0)
}

#[test]
fn a_pushed_model_becomes_an_image_and_its_sweep_runs_in_containers_that_outlive_the_server() {
    let mut world = world_of_containers(&["identity-matrix"]);
    let version =
        world.modelship(&["versions", "examples/identity-matrix", "production", "--output", "json"]).ok().json();
    let image = version["image"]["reference"].as_str().unwrap();
    let digest = version["executable"].as_str().unwrap();
    assert!(image.starts_with(&given("MODELSHIP_TEST_REGISTRY")) && image.ends_with(digest), "{version}");

    world.write(
        "sweeps/steady.yaml",
        "sweep: steady\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 24, step: 1}}\n  SLEEP: 0.3\n",
    );
    world.push_branch("steady", "Run steadily");
    let number = world.open_pull("steady", "Steady");
    world.until_comment(number, &["/modelship run steady"]);
    world.comment(number, "/modelship run");
    world.until("some runs are done", |world| (succeeded(world) > 1).then_some(()));
    assert!(!containers(&world).is_empty(), "runs happen in containers");

    world.kill_server();
    assert!(!containers(&world).is_empty(), "containers go on without the server");
    world.start_server();
    let result = world.until_comment(number, &["24 runs done"]);
    assert!(!result.contains("failed"), "{result}");
    let table = world.analysis("steady");
    assert_eq!(numbers(&table, "N"), (1..=24).map(f64::from).collect::<Vec<_>>());
    assert!(texts(&table, "status").iter().all(|status| status == "succeeded"));
    world.until_idle();
    assert!(containers(&world).is_empty(), "what has ended is removed");
}
