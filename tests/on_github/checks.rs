//! Checks beside commits: what they say, and their buttons.

use serde_json::Value;

use crate::github::Permission;
use crate::hub::{HUB, Hub};

/// The check of that name beside the commit once `so` holds of it. There is one, or the newest counts.
fn check(hub: &Hub, commit: &str, name: &str, so: impl Fn(&Value) -> bool) -> Value {
    let found = |hub: &Hub| hub.github.checks(HUB, commit).into_iter().rfind(|check| check["name"] == name);
    hub.world.until(&format!("the check `{name}`: {:#?}", found(hub)), |_| found(hub).filter(&so))
}

#[test]
fn a_sweep_is_started_and_followed_by_the_buttons_beside_its_commit() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2, 4]");
    let (head, name) = (hub.commit("sizes"), "modelship/sweep sizes");
    let planned = check(&hub, &head, name, |check| check["conclusion"] == "neutral");
    let button = &planned["actions"][0];
    assert_eq!(button["label"], "Run sweep", "{planned:#}");
    let (id, run) = (planned["id"].as_u64().unwrap(), button["identifier"].as_str().unwrap());

    hub.github.user("eve", Permission::Read);
    hub.github.press("eve", HUB, id, run);
    hub.until_said(number, &["was not done for", "eve"]);
    hub.github.press("ada", HUB, id, run);
    hub.until_said(number, &["3 runs done"]);
    let done = check(&hub, &head, name, |check| check["conclusion"] == "success");
    assert!(done["output"]["summary"].as_str().unwrap().contains("3 runs done"), "{done:#}");
    hub.world.until_idle();
    let all = hub.github.checks(HUB, &head);
    let ours: Vec<_> = all.iter().filter(|check| check["name"] == name).collect();
    assert_eq!(ours.len(), 2, "the one of the plan, and the one of the runs: {ours:#?}");
}

#[test]
fn faults_stand_in_the_file_beside_their_lines_each_once() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    let mut text = String::from("sweep: faulty\nmodel: examples/identity-matrix\nparameters:\n");
    for number in 0..120 {
        text.push_str(&format!("  UNKNOWN_{number}: 1\n"));
    }
    hub.world.write("sweeps/faulty.yaml", &text);
    hub.push_and_open("faulty", "Ask with faults");
    let head = hub.commit("faulty");
    let shown = check(&hub, &head, "modelship/sweep faulty", |check| check["conclusion"] == "failure");
    hub.world.until_idle();
    let annotations = hub.github.annotations(HUB, shown["id"].as_u64().unwrap());
    assert_eq!(annotations.len(), 120, "three requests of at most fifty");
    let lines: Vec<u64> = annotations.iter().map(|it| it["start_line"].as_u64().unwrap()).collect();
    assert_eq!((lines[0], lines[119]), (4, 123));
    assert!(annotations.iter().all(|it| it["path"] == "sweeps/faulty.yaml" && it["annotation_level"] == "failure"));
}

/// A manifest with faults in its lines 10, 13 and 16.
const FAULTY: &str = "owner: examples
title: faulty
description: nobody can read it
source: {path: models/identity-matrix}
build:
  process: []
run:
  command: [python3, \"{model}/identity_matrix.py\", \"{params}\", \"{outputs}\"]
  params: {format: json}
  resources: {vcpu: none, memory: 256 MiB}
  timeout: 2m
parameters:
  N: {type: integer, default: 3}
outputs:
  summary: summary.json
  colums: {trace: {}}
";

#[test]
fn faults_of_manifests_stand_in_their_files_beside_their_lines_each_once() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    hub.world.write("config/examples/faulty.yaml", FAULTY);
    // What is wrong with what was read is found once all of it was read.
    let readable = [("faulty", "readable"), ("none", "1"), ("integer", "int"), ("colums", "columns"), ("2m", "0s")];
    let readable = readable.iter().fold(FAULTY.to_owned(), |text, (from, to)| text.replace(from, to));
    hub.world.write("config/examples/readable.yaml", &readable);
    hub.world.write("config/examples/broken.yaml", "owner: examples\ntitle: broken\nsource: {path: models/x\n");
    hub.push_and_open("faulty", "Bring models with faults");
    let head = hub.commit("faulty");
    let places = |annotations: &[Value]| {
        let place = |it: &Value| (it["start_line"].as_u64().unwrap(), it["start_column"].as_u64().unwrap());
        annotations.iter().map(place).collect::<Vec<_>>()
    };
    for (file, faults) in [
        ("config/examples/faulty.yaml", vec![(10, 21), (13, 13), (16, 3)]),
        ("config/examples/readable.yaml", vec![(11, 12)]),
        ("config/examples/broken.yaml", vec![(3, 9)]),
    ] {
        let name = format!("modelship/manifest {file}");
        let shown = check(&hub, &head, &name, |check| check["conclusion"] == "failure");
        hub.world.until_idle();
        let annotations = hub.github.annotations(HUB, shown["id"].as_u64().unwrap());
        for it in &annotations {
            assert_eq!((&it["path"], &it["annotation_level"]), (&file.into(), &"failure".into()), "{it}");
        }
        assert_eq!(places(&annotations), faults, "{annotations:#?}");
        let named = hub.github.checks(HUB, &head).into_iter().filter(|check| check["name"] == *name);
        assert_eq!(named.count(), 1, "{name}");
    }
}

#[test]
fn a_build_that_failed_is_built_again_by_the_button_of_the_forge() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    let path = "config/examples/identity-matrix.yaml";
    let manifest = std::fs::read_to_string(hub.world.clone.join(path)).unwrap();
    // It builds once a file is there that lies on this machine only: as when a mirror was out.
    let sign = hub.world.clone.with_file_name("mirror-is-up");
    let build = format!("build:\n  process: [[test, -e, {}]]\n", sign.display());
    let start = manifest.find("build:").unwrap();
    let end = start + manifest[start..].find("\nrun:").unwrap() + 1;
    hub.world.write(path, &format!("{}{build}{}", &manifest[..start], &manifest[end..]));
    hub.world.push_branch("broken", "Depend on a mirror");
    let head = hub.commit("broken");
    let name = "modelship/build examples/identity-matrix";
    let failed = check(&hub, &head, name, |check| check["conclusion"] == "failure");
    hub.world.until_idle();

    std::fs::write(&sign, "").unwrap();
    hub.github.user("eve", Permission::Read);
    hub.github.rerequest("eve", HUB, failed["id"].as_u64().unwrap());
    hub.github.until_delivered();
    hub.world.until_idle();
    assert_eq!(check(&hub, &head, name, |_| true)["id"], failed["id"], "she may not");
    hub.github.rerequest("ada", HUB, failed["id"].as_u64().unwrap());
    check(&hub, &head, name, |check| check["conclusion"] == "success");
}

/// What presses the button of a check that is called `label`.
fn button(check: &Value, label: &str) -> String {
    let buttons = check["actions"].as_array().unwrap();
    let found = buttons.iter().find(|button| button["label"] == label).unwrap_or_else(|| panic!("{check:#}"));
    found["identifier"].as_str().unwrap().to_owned()
}

#[test]
fn a_sweep_is_cancelled_and_taken_up_again_by_the_buttons_beside_its_commit() {
    let hub = Hub::as_app();
    let sweep = "sweep: slow\nmodel: examples/identity-matrix\nparameters: {N: [1, 2], SLEEP: 60}\n";
    let number = hub.ask_with("slow", "Slow", sweep);
    let (head, name) = (hub.commit("slow"), "modelship/sweep slow");
    hub.github.user("eve", Permission::Read);
    let press = |login: &str, check: &Value, label: &str| {
        hub.github.press(login, HUB, check["id"].as_u64().unwrap(), &button(check, label));
    };
    press("ada", &check(&hub, &head, name, |check| check["conclusion"] == "neutral"), "Run sweep");
    hub.until_running();
    let running = check(&hub, &head, name, |check| check["actions"][0]["label"] == "Cancel");
    press("eve", &running, "Cancel");
    hub.until_said(number, &["was not done for", "eve"]);
    press("ada", &running, "Cancel");
    hub.until_said(number, &["was cancelled", "ada"]);
    hub.until_nothing_runs();
    let cancelled = check(&hub, &head, name, |check| check["conclusion"] == "cancelled");
    press("ada", &cancelled, "Retry");
    hub.until_running();
    let again = check(&hub, &head, name, |check| check["actions"][0]["label"] == "Cancel");
    press("ada", &again, "Cancel");
    hub.until_nothing_runs();
}

#[test]
fn what_was_refused_is_planned_again_by_the_buttons_of_the_forge() {
    let hub = Hub::as_app();
    let limit = |most: u32| {
        hub.world.checkout("main");
        hub.world.write("config/policy.yaml", &format!("max_runs: {most}\n"));
        hub.world.push_branch("main", "Say how much is allowed");
        hub.github.until_delivered();
        hub.world.until_idle();
    };
    limit(1);
    let sweep = "sweep: many\nmodel: examples/identity-matrix\nparameters: {N: [1, 2, 4]}\n";
    hub.open("many", "Many", sweep);
    let (head, name) = (hub.commit("many"), "modelship/sweep many");
    let refuses = |check: &Value| check["conclusion"] == "failure";
    let allows = |check: &Value| check["conclusion"] == "neutral";
    let refused = check(&hub, &head, name, refuses);
    hub.github.user("eve", Permission::Read);

    // One check is asked for again, and then all of them.
    limit(3);
    hub.github.rerequest("eve", HUB, refused["id"].as_u64().unwrap());
    hub.github.rerequest_all("eve", HUB, &head);
    hub.github.until_delivered();
    hub.world.until_idle();
    assert!(refuses(&check(&hub, &head, name, |_| true)), "she may not");
    hub.github.rerequest("ada", HUB, refused["id"].as_u64().unwrap());
    check(&hub, &head, name, allows);
    limit(2);
    hub.github.rerequest_all("ada", HUB, &head);
    check(&hub, &head, name, refuses);
}
