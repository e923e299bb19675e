//! The server is killed, and the story still ends right once it is started again.

use crate::world::World;
use crate::world::tables::{numbers, texts};

#[test]
fn a_server_killed_during_a_build_builds_it_after_its_next_start() {
    let mut world = World::with_models(&["identity-matrix"]);
    let manifest = std::fs::read_to_string(world.clone.join("config/examples/identity-matrix.yaml")).unwrap();
    let slow = manifest.replace("process: []", "process: [[sleep, '3'], [touch, built.txt]]");
    assert_ne!(slow, manifest, "the manifest's build is where this story expects it");
    world.write("config/examples/identity-matrix.yaml", &slow);
    world.push_branch("slow-build", "Build slowly");
    world.until("the build has begun", |world| world.is_running("sleep").then_some(()));

    world.kill_server();
    world.start_server();
    let version = world.until("the branch has a version", |world| {
        let said = world.modelship(&["versions", "examples/identity-matrix", "slow-build", "--output", "json"]);
        (said.status == 0).then(|| said.json())
    });
    let listed = world.modelship(&["versions", "examples/identity-matrix", "--output", "json"]).ok().json();
    let same = listed.as_array().unwrap().iter().filter(|row| row["version"]["id"] == version["id"]).count();
    assert_eq!(same, 1, "built and registered once: {listed}");
}

#[test]
fn a_server_killed_during_a_sweep_goes_on_with_it_after_its_next_start() {
    let mut world = World::with_models(&["identity-matrix"]);
    world.write(
        "sweeps/steady.yaml",
        "sweep: steady\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 24, step: 1}}\n  SLEEP: 0.3\n",
    );
    world.push_branch("steady", "Run steadily");
    let number = world.open_pull("steady", "Steady");
    world.until_comment(number, &["/modelship run steady"]);
    world.comment(number, "/modelship run");

    for _ in 0..2 {
        let before = succeeded(&world);
        world.until("some more runs are done", |world| (succeeded(world) > before).then_some(()));
        world.kill_server();
        world.start_server();
    }
    let result = world.until_comment(number, &["24 runs done"]);
    assert!(!result.contains("failed"), "{result}");
    let table = world.analysis("steady");
    assert_eq!(numbers(&table, "N"), (1..=24).map(f64::from).collect::<Vec<_>>());
    assert_eq!(numbers(&table, "trace").len(), 24);
    assert!(texts(&table, "status").iter().all(|status| status == "succeeded"));
    let comments = world.comments(number);
    assert_eq!(
        comments.iter().filter(|body| body.contains("24 runs done") && body.contains("analysis.csv")).count(),
        1,
        "told once: {comments:#?}"
    );
    assert_eq!(comments.len(), 2, "one for the plan and its progress, one for the result: {comments:#?}");
}

#[test]
fn what_happens_while_the_server_is_down_is_found_when_it_starts() {
    let mut world = World::with_models(&["identity-matrix"]);
    world.kill_server();
    world.write("sweeps/missed.yaml", "sweep: missed\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.write("models/identity-matrix/NOTES.md", "while nobody looked\n");
    world.push_branch("missed", "Push while nobody listens");
    let number = world.open_pull("missed", "Missed");

    world.start_server();
    world.until_comment(number, &["/modelship run missed"]);
    world.until("the branch has a version", |world| {
        (world.modelship(&["versions", "examples/identity-matrix", "missed"]).status == 0).then_some(())
    });

    world.kill_server();
    world.comment(number, "/modelship run");
    world.start_server();
    world.until_comment(number, &["2 runs done"]);
}

fn succeeded(world: &World) -> u64 {
    let said = world.modelship(&["sweep", "status", "steady", "--output", "json"]);
    if said.status == 0 { said.json()[0]["succeeded"].as_u64().unwrap() } else { 0 }
}
