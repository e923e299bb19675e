//! A pushed branch becomes a version.

use crate::world::{World, git};

#[test]
fn a_pushed_branch_becomes_a_version_with_its_provenance() {
    let world = World::with_models(&["identity-matrix"]);

    world.write("models/identity-matrix/NOTES.md", "a thought\n");
    world.push_branch("thoughtful", "Write a thought down");

    let version = world.until("the branch has a version", |world| {
        let said = world.modelship(&["versions", "examples/identity-matrix", "thoughtful", "--output", "json"]);
        (said.status == 0).then(|| said.json())
    });
    let head = git(&world.clone, &["rev-parse", "HEAD"]);
    assert_eq!(version["source"]["commit"], head.trim());
    assert_eq!(version["source"]["repository"]["name"], "example/hub");
    assert_eq!(version["source"]["manifest"], "config/examples/identity-matrix.yaml");
    let tree = git(&world.clone, &["rev-parse", "HEAD:models/identity-matrix"]);
    assert_eq!(version["source_tree"], tree.trim());
    assert!(!version["tests"].as_array().unwrap().is_empty());
    assert!(version["toolchain"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("Python")));

    // The branch's version is not production's: that changes by a merge or by hand.
    let production = world.modelship(&["versions", "examples/identity-matrix", "production", "--output", "json"]).ok();
    assert_ne!(production.json()["id"], version["id"]);
}

#[test]
fn a_push_builds_only_the_models_that_it_touches() {
    let world = World::with_models(&["identity-matrix", "simple-tax-python"]);

    world.write("models/identity-matrix/NOTES.md", "a thought\n");
    world.push_branch("one-of-two", "Touch one model");
    world.until("the touched model has a version", |world| {
        (world.modelship(&["versions", "examples/identity-matrix", "one-of-two"]).status == 0).then_some(())
    });
    assert_eq!(world.modelship(&["versions", "urban/simple-tax-python", "one-of-two"]).status, 1);

    world.checkout("main");
    world.write("README.md", "about this hub\n");
    world.push_branch("none-of-two", "Touch no model");
    // A later push is decided later: once its version is there, the one before has been looked at.
    world.checkout("main");
    world.write("models/identity-matrix/NOTES.md", "a second thought\n");
    world.push_branch("again-one", "Touch one model again");
    world.until("the later push has its version", |world| {
        (world.modelship(&["versions", "examples/identity-matrix", "again-one"]).status == 0).then_some(())
    });
    assert_eq!(world.modelship(&["versions", "examples/identity-matrix", "none-of-two"]).status, 1);
}

#[test]
fn a_build_that_fails_its_tests_becomes_no_version_and_says_why() {
    let world = World::with_models(&["identity-matrix"]);
    let model = std::fs::read_to_string(world.clone.join("models/identity-matrix/identity_matrix.py")).unwrap();

    world.write("models/identity-matrix/identity_matrix.py", &format!("raise SystemExit('a wrong turn')\n{model}"));
    world.push_branch("wrong-turn", "Take a wrong turn");
    let number = world.open_pull("wrong-turn", "A wrong turn");

    let comment = world.until_comment(number, &["failed in", "Last lines of the log"]);
    assert!(comment.contains("examples/identity-matrix"), "{comment}");
    assert_eq!(world.modelship(&["versions", "examples/identity-matrix", "wrong-turn"]).status, 1);
    let thread = world.modelship(&["pr", "show", &number.to_string(), "--output", "json"]).ok().json();
    let statuses = thread["statuses"].as_array().unwrap();
    assert!(statuses.iter().any(|status| status["state"] == "failure"), "{statuses:?}");
}

#[test]
fn a_manifest_with_faults_is_told_with_its_place() {
    let world = World::with_models(&["identity-matrix"]);
    let manifest = std::fs::read_to_string(world.clone.join("config/examples/identity-matrix.yaml")).unwrap();

    world.write("config/examples/identity-matrix.yaml", &manifest.replace("description:", "descripton:"));
    world.push_branch("typo", "Mistype a key");
    let number = world.open_pull("typo", "A typo");

    let comment = world.until_comment(number, &["Manifests that cannot be read"]);
    assert!(comment.contains("descripton"), "{comment}");
    assert!(comment.contains("description"), "it says what was meant: {comment}");
    assert!(comment.contains("config/examples/identity-matrix.yaml"), "{comment}");
}

#[test]
fn a_channel_moves_with_a_history_and_moves_back() {
    let world = World::with_models(&["identity-matrix"]);
    let model = "examples/identity-matrix";
    let production = |world: &World| {
        world.modelship(&["versions", model, "production", "--output", "json"]).ok().json()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = production(&world);

    world.write("models/identity-matrix/NOTES.md", "better\n");
    world.push_branch("better", "Make it better");
    world.until("the branch has a version", |world| {
        (world.modelship(&["versions", model, "better"]).status == 0).then_some(())
    });
    world.modelship(&["promote", model, "better"]).ok();
    let second = production(&world);
    assert_ne!(first, second);

    world.modelship(&["promote", model, "--back"]).ok();
    assert_eq!(production(&world), first);
    let history = world.modelship(&["versions", model, "--history", "production", "--output", "json"]).ok().json();
    assert_eq!(history.as_array().unwrap().len(), 3, "{history}");

    let unknown = world.modelship(&["promote", model, "never-built"]);
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert!(unknown.stderr.contains("never-built"), "{unknown:?}");
}

#[test]
fn a_tag_names_the_versions_of_every_model_at_its_commit() {
    let mut world = World::with_models(&["identity-matrix"]);
    let production = world.modelship(&["versions", "examples/identity-matrix", "production", "--output", "json"]).ok();
    git(&world.clone, &["tag", "v1.0"]);
    git(&world.clone, &["push", "--quiet", "origin", "v1.0"]);
    let tagged = |world: &World, tag: &str| {
        world.until("the tag is a channel", |world| {
            let said = world.modelship(&["versions", "examples/identity-matrix", tag, "--output", "json"]);
            (said.status == 0).then(|| said.json())
        })
    };
    assert_eq!(tagged(&world, "v1.0")["id"], production.json()["id"]);

    world.kill_server();
    git(&world.clone, &["tag", "-a", "-m", "annotated", "v1.1"]);
    git(&world.clone, &["push", "--quiet", "origin", "v1.1"]);
    world.start_server();
    assert_eq!(tagged(&world, "v1.1")["id"], production.json()["id"]);
}
