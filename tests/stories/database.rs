//! Servers on PostgreSQL: it goes away and comes back; several servers share it.

use crate::world::World;
use crate::world::postgres::Postgres;

/// What the server's log may say while its database is away.
const AWAY: &[&str] = &[
    "cannot read the queue",
    "cannot keep the tick",
    "could not be kept",
    "leases could not be renewed",
    "the database does not answer",
];

/// Waits until a branch of the example model has a version.
fn until_built(world: &World, branch: &str) {
    world.until(&format!("`{branch}` has a version"), |world| {
        (world.modelship(&["versions", "examples/identity-matrix", branch]).status == 0).then_some(())
    });
}

#[test]
fn a_push_while_the_database_is_away_is_found_once_it_is_back() {
    let postgres = Postgres::start();
    let mut world = World::with_settings(&["identity-matrix"], &postgres.settings());
    world.expected_errors.extend(AWAY);

    postgres.stop();
    world.write("models/identity-matrix/NOTES.md", "while the database is away\n");
    let pushed = world.push_branch("unheard", "Push while the database is away");
    assert!(pushed.stderr.contains("503"), "the pusher is told: {pushed:?}");
    let doctor = world.modelship(&["doctor"]);
    assert!(doctor.status != 0 && doctor.stderr.contains("database cannot be used"), "{doctor:?}");
    assert!(!format!("{doctor:?}").contains("secret@"), "{doctor:?}");

    postgres.start_again();
    until_built(&world, "unheard");
    let doctor = world.modelship(&["doctor"]).ok();
    assert!(doctor.stdout.contains("postgres://127.0.0.1:"), "{doctor:?}");
    assert!(!format!("{doctor:?}").contains("secret@"), "{doctor:?}");
    world.until("nothing is left to do", |world| {
        let queue = world.queue();
        assert_eq!(queue["failed"], 0, "{queue}");
        (queue["effects"] == 0 && queue["leased"] == 0).then_some(())
    });
}

#[test]
fn two_servers_share_a_database_and_one_goes_on_when_the_other_dies() {
    let postgres = Postgres::start();
    let mut world = World::with_settings(&["identity-matrix"], &postgres.settings());
    let mut first = world.start_replica();

    for branch in ["one", "two", "three"] {
        world.checkout("main");
        world.write("models/identity-matrix/NOTES.md", branch);
        world.push_branch(branch, "Write a note");
    }
    for branch in ["one", "two", "three"] {
        until_built(&world, branch);
    }
    assert!(first.is_alive(), "a second server on another state folder does not disturb the first");
    let listed = world.modelship(&["versions", "examples/identity-matrix", "--output", "json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 4, "each push is built and registered once: {listed}");

    world.checkout("main");
    let manifest = std::fs::read_to_string(world.clone.join("config/examples/identity-matrix.yaml")).unwrap();
    let slow = manifest.replace("process: []", "process: [[sleep, '3'], [touch, built.txt]]");
    assert_ne!(slow, manifest, "the manifest's build is where this story expects it");
    world.write("config/examples/identity-matrix.yaml", &slow);
    world.push_branch("four", "Build slowly");
    let lease = world.until("somebody builds", |world| {
        let queue = world.queue();
        let leases = queue["leases"].as_array().unwrap().clone();
        leases.into_iter().find(|lease| lease["name"] == "BuildModel")
    });
    assert!(lease["owner"].is_string() && lease["until"].is_i64(), "{lease}");
    let told = world.modelship(&["queue"]).ok();
    assert!(told.stdout.contains("BuildModel") && told.stdout.contains("under way"), "{told:?}");
    first.kill();
    until_built(&world, "four");
}
