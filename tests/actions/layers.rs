//! The layer cache of `build`: what one machine built, another one need not.

use std::fs;
use std::process::Command;

use crate::driver::{Did, Runner};
use crate::images::{BUILD, SCRIPT, docker, machine};
use crate::place::{MODEL, manifest};
use crate::steps::passed;
use crate::world::docker::given;

/// A model with a stage before its own, each with something that takes long. `MARK` is in every image of both.
const DOCKERFILE: &str = "FROM modelship-test/busybox AS made\nLABEL story=MARK\nRUN echo MARK && cat /proc/uptime >/made\n\
                          FROM modelship-test/busybox\nLABEL story=MARK\nRUN echo MARK again >/kept\nWORKDIR /model\n\
                          COPY --from=made /made .\nCOPY tiny.sh .\n";

/// The engine's images of this story.
fn images(mark: &str) -> Vec<String> {
    let filter = format!("label=story={mark}");
    let listed = docker(&["image", "ls", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    listed.lines().map(str::to_owned).collect()
}

/// Removes them all, as if the machine were another.
fn forget(mark: &str) {
    for _ in 0..10 {
        let left = images(mark);
        if left.is_empty() {
            return;
        }
        // One that others stand on goes after them.
        let mut remove = Command::new("docker");
        remove.args(["image", "rm", "--force"]).args(left).env("DOCKER_HOST", given("MODELSHIP_TEST_DOCKER_HOST"));
        remove.output().unwrap();
    }
    panic!("these stay: {:?}", images(mark));
}

/// What became of each step of the Dockerfile: whether it was found.
fn found(runner: &Runner) -> Vec<(String, bool)> {
    let log = runner.modelship(&["logs", MODEL]);
    let mut steps: Vec<(String, bool)> = Vec::new();
    for line in log.lines().filter(|line| !line.contains("modelship-runner")) {
        if let Some((_, step)) = line.strip_prefix("Step ").and_then(|line| line.split_once(" : ")) {
            steps.push((step.to_owned(), false));
        } else if line == " ---> Using cache" {
            steps.last_mut().unwrap().1 = true;
        }
    }
    steps.retain(|(step, _)| ["RUN", "COPY"].iter().any(|long| step.starts_with(long)));
    steps
}

/// A machine with the model in this state, and with the layers that another one left.
fn build(mark: &str, script: &str, layers: Option<&Runner>) -> (Runner, Did) {
    let runner = machine();
    runner.write("config/tests/tiny.yaml", &manifest(BUILD));
    runner.write("models/tiny/Dockerfile", &DOCKERFILE.replace("MARK", mark));
    runner.write("models/tiny/tiny.sh", script);
    runner.commit("Begin");
    if let Some(other) = layers {
        // `actions/cache` does this.
        fs::copy(other.temp().join("modelship-layers.tar"), runner.temp().join("modelship-layers.tar")).unwrap();
    }
    let did = passed(runner.run("build", &[("model", MODEL)]));
    (runner, did)
}

#[test]
fn what_one_machine_built_the_next_one_finds() {
    let mark = format!("layers{}", std::process::id());
    let (first, did) = build(&mark, SCRIPT, None);
    let [restore, save] = did.uses.as_slice() else { panic!("{did:?}") };
    assert!(restore.starts_with("actions/cache/restore@") && save.starts_with("actions/cache/save@"), "{did:?}");
    let steps = found(&first);
    assert!(steps.len() == 4 && steps.iter().all(|(_, found)| !found), "{steps:?}");
    forget(&mark);

    let (second, _) = build(&mark, &format!("# changed\n{SCRIPT}"), Some(&first));
    let steps = found(&second);
    let (last, before) = steps.split_last().unwrap();
    assert!(before.len() == 3 && before.iter().all(|(_, found)| *found), "{steps:?}");
    assert_eq!(last, &("COPY tiny.sh .".to_owned(), false), "what changed is built");
    forget(&mark);

    // What cannot be read costs time and nothing else.
    fs::write(second.temp().join("modelship-layers.tar"), "no archive").unwrap();
    let (third, _) = build(&mark, SCRIPT, Some(&second));
    let steps = found(&third);
    assert!(steps.len() == 4 && steps.iter().all(|(_, found)| !found), "{steps:?}");
    forget(&mark);
}
