//! How far a sweep goes by itself: runs that go ahead, runs that are done again, budgets, and what is left when it is cut
//! short.

use std::process::Command;

use serde_json::Value;

use crate::world::World;
use crate::world::laptop::Laptop;
use crate::world::tables::{read_csv, texts};

const MANIFEST: &str = "owner: control
title: moody
source: {path: models/moody}
build: {process: []}
run:
  command: [python3, -B, '{model}/moody.py', '{params}', '{outputs}']
  params: {format: json}
  resources: {vcpu: 1, memory: 64 MiB}
  timeout: 1m
parameters:
  N: {type: int, default: 1}
  MIB: {type: int, default: 0, description: memory to hold for a while}
  SLEEP: {type: float, default: 0}
  FAIL: {type: bool, default: false}
outputs:
  summary: summary.json
  columns: {twice: {}}
";

const MODEL: &str = "import json, sys, time
given = json.load(open(sys.argv[1]))
if given['FAIL']:
    sys.exit('moody: not today')
held = b'x' * (given['MIB'] << 20)
time.sleep(given['SLEEP'] + (0.6 if held else 0))
json.dump({'twice': 2 * given['N']}, open(sys.argv[2] + '/summary.json', 'w'))
";

/// A laptop with the moody model, built, and these sweeps of it.
fn moody(sweeps: &[(&str, &str)]) -> Laptop {
    let laptop = Laptop::with_models(&[]);
    laptop.write("config/control/moody.yaml", MANIFEST);
    laptop.write("models/moody/moody.py", MODEL);
    for (name, body) in sweeps {
        laptop.write(&format!("sweeps/{name}.yaml"), &format!("sweep: {name}\nmodel: control/moody\n{body}"));
    }
    laptop.commit("Begin");
    laptop.modelship(&["build"]).ok();
    laptop
}

fn run(laptop: &Laptop, sweep: &str) -> Value {
    laptop.modelship(&["sweep", "run", &format!("sweeps/{sweep}.yaml"), "--output", "json"]).json()
}

/// How many runs of the sweep were executed in all its rounds.
fn executed(laptop: &Laptop, report: &Value) -> usize {
    let jobs =
        laptop.path().join(".modelship/artifacts/sweeps").join(report["plan"]["id"].as_str().unwrap()).join("jobs/1");
    let rounds = std::fs::read_dir(jobs).unwrap().map(|round| round.unwrap().path().join("records.jsonl"));
    rounds.map(|records| std::fs::read_to_string(records).unwrap_or_default().lines().count()).sum()
}

#[test]
fn a_fault_that_all_runs_have_costs_one_run() {
    let laptop = moody(&[("broken", "parameters: {N: {range: {start: 1, stop: 30, step: 1}}, FAIL: true}\n")]);
    let said = laptop.modelship(&["sweep", "run", "sweeps/broken.yaml"]);
    assert_eq!(said.status, 1, "{said:?}");
    for words in ["went ahead of the others failed, so the 29 others were not started", "not today", "--retry-failed"] {
        assert!(said.stderr.contains(words), "{said:?}");
    }
    let report = laptop.modelship(&["sweep", "status", "broken", "--output", "json"]).ok().json()[0].clone();
    assert_eq!((executed(&laptop, &report), &report["phase"]["phase"]), (1, &"stopped".into()), "{report}");

    laptop.write("models/moody/moody.py", &MODEL.replace("sys.exit('moody: not today')", "pass"));
    laptop.commit("Mend it");
    let report = run(&laptop, "broken");
    assert_eq!((&report["succeeded"], &report["round"]), (&30.into(), &2.into()), "{report}");
    assert_eq!(executed(&laptop, &report), 30);
    assert!(report["mean_ms"].as_u64().is_some(), "{report}");
}

#[test]
fn runs_that_need_more_memory_get_it_and_the_result_says_so() {
    let laptop = moody(&[
        ("hungry", "parameters: {MIB: [0, 90]}\n"),
        ("strict", "parameters: {MIB: [1, 91]}\nrun: {retry: {oom: 0}}\n"),
    ]);
    let said = laptop.modelship(&["sweep", "run", "sweeps/hungry.yaml"]).ok();
    assert!(said.stderr.contains("1 run needed 128 MiB of memory"), "{said:?}");
    let report = laptop.modelship(&["sweep", "status", "hungry", "--output", "json"]).ok().json()[0].clone();
    assert_eq!(report["raised"], serde_json::json!([{"memory": 128 << 20, "runs": 1}]));
    assert_eq!(report["phase"]["phase"], "succeeded", "{report}");

    let report = run(&laptop, "strict");
    assert_eq!(report["failed"], serde_json::json!({"out_of_memory": 1}));
    assert_eq!((executed(&laptop, &report), &report["succeeded"]), (2, &1.into()), "{report}");
}

#[test]
fn a_budget_refuses_stops_and_tells_what_was_spent() {
    let sweep =
        |levels: &str, run: &str| format!("parameters: {{N: {levels}, SLEEP: 0.3}}\nrun: {{max_parallel: 1, {run}}}\n");
    let laptop = moody(&[
        ("first", &sweep("[1, 2, 3, 4, 5, 6, 7, 8]", "budget: 1 USD")),
        ("spent", &sweep("[11, 12, 13, 14, 15, 16, 17, 18]", "budget: 1 USD, canary: 0")),
        ("known", &sweep("[21, 22, 23, 24, 25, 26, 27, 28]", "budget: 1 USD")),
    ]);
    // A second of a processor is a dollar.
    laptop.write(".modelship/settings.yaml", "process: {price: {vcpu_hour: 3600}}\n");

    // Nothing tells what a run costs; the one that goes ahead does.
    let planned = laptop.modelship(&["sweep", "plan", "sweeps/spent.yaml", "--output", "json"]).ok().json();
    assert_eq!(planned["estimate_usd"], Value::Null, "{planned}");
    let spent = run(&laptop, "spent");
    let reason = spent["phase"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the budget of 1 USD is used up: finished runs cost "), "{spent}");
    let succeeded = spent["succeeded"].as_u64().unwrap();
    assert!((1..=5).contains(&succeeded) && spent["cost_usd"].as_f64().unwrap() > 1.0, "{spent}");
    let table = read_csv(
        &laptop
            .path()
            .join(format!(".modelship/artifacts/sweeps/{}/analysis.csv", spent["plan"]["id"].as_str().unwrap())),
    );
    let done = texts(&table, "status").iter().filter(|status| *status == "succeeded").count();
    assert_eq!((done as u64, table.1.len()), (succeeded, 8));

    // Now earlier runs tell.
    let said = laptop.modelship(&["sweep", "run", "sweeps/known.yaml"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.stderr.contains("it would cost about") && said.stderr.contains("its budget is 1 USD"), "{said:?}");

    // A model without history: the run that goes ahead tells.
    laptop.write("config/control/moody2.yaml", &MANIFEST.replace("title: moody", "title: moody2"));
    laptop.write(
        "sweeps/first.yaml",
        &format!("sweep: first\nmodel: control/moody2\n{}", sweep("[1, 2, 3, 4, 5, 6]", "budget: 1 USD")),
    );
    laptop.commit("The same under another name");
    let first = run(&laptop, "first");
    let reason = first["phase"]["reason"].as_str().unwrap();
    assert!(reason.contains("with 5 more the sweep would cost about"), "{first}");
    assert_eq!(executed(&laptop, &first), 1);
}

#[test]
fn what_is_done_when_a_sweep_is_cancelled_is_analysed() {
    let laptop = moody(&[("long", "parameters: {N: [1, 2, 3, 4, 5, 6, 7, 8]}\nrun: {max_parallel: 1}\n")]);
    laptop.write(
        "sweeps/long.yaml",
        "sweep: long\nmodel: control/moody\nparameters: {N: [1, 2, 3, 4, 5, 6], SLEEP: 0.4}\nrun: {max_parallel: 1}\n",
    );
    laptop.commit("Slowly");
    laptop.modelship(&["build"]).ok();
    let running = laptop.start(&["sweep", "run", "sweeps/long.yaml"]);
    laptop.until("a run is done", |laptop| {
        let said = laptop.modelship(&["sweep", "status", "long", "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(0)).then_some(())
    });
    let cancelled = laptop.modelship(&["sweep", "cancel", "long", "--output", "json"]).ok().json();
    assert_eq!(cancelled["phase"]["phase"], "cancelled", "{cancelled}");
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(1));
    let rows = laptop.modelship(&["sweep", "results", "long", "--output", "json"]).ok().json();
    let missing = rows["report"]["phase"]["analysis"]["missing"].as_u64().unwrap();
    assert_eq!(missing, 6 - cancelled["succeeded"].as_u64().unwrap(), "{rows}");
    let report = run(&laptop, "long");
    assert_eq!((&report["succeeded"], executed(&laptop, &report)), (&6.into(), 6), "nothing is done twice");
}

#[test]
fn the_second_interrupt_leaves_at_once_and_the_sweep_is_ended_by_the_next_who_asks() {
    let laptop = moody(&[("deaf", "parameters: {N: [1, 2], SLEEP: 50}\n")]);
    let mark = laptop.path().join("hears-nothing");
    let deaf = format!("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen({mark:?}, 'w')\n{MODEL}");
    laptop.write("models/moody/moody.py", &deaf);
    laptop.commit("Hear no signal");
    laptop.modelship(&["build"]).ok();
    let mut running = laptop.start(&["sweep", "run", "sweeps/deaf.yaml"]);
    let phase = |laptop: &Laptop| {
        let said = laptop.modelship(&["sweep", "status", "deaf", "--output", "json"]);
        (said.status == 0).then(|| said.json()[0]["phase"]["phase"].clone())
    };
    let interrupt =
        |pid: u32| assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    laptop.until("a run hears nothing", |_| mark.exists().then_some(()));
    interrupt(running.id());
    laptop.until("it is being stopped", |laptop| (phase(laptop)? == "stopping").then_some(()));
    interrupt(running.id());
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_eq!(phase(&laptop).unwrap(), "stopping", "nobody has waited for its end");
    let ended = laptop.modelship(&["sweep", "cancel", "deaf", "--output", "json"]).ok().json();
    assert_eq!(ended["phase"]["phase"], "cancelled", "{ended}");
}

#[test]
fn a_cancelled_sweep_of_a_pull_request_tells_what_it_found() {
    let world = World::with_models(&["identity-matrix"]);
    world.write(
        "sweeps/steady.yaml",
        "sweep: steady\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 24, step: 1}}\n  SLEEP: 0.3\n",
    );
    world.push_branch("steady", "Run steadily");
    let number = world.open_pull("steady", "Steady");
    let plan = world.until_comment(number, &["/modelship run steady"]);
    assert!(plan.contains("1 run goes ahead of the others"), "{plan}");
    world.comment(number, "/modelship run");
    world.until("the others follow", |world| {
        let said = world.modelship(&["sweep", "status", "steady", "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(2)).then_some(())
    });
    world.comment(number, "/modelship cancel");
    let told = world.until_comment(number, &["was cancelled", "analysis.csv"]);
    for words in ["**Ended by:** ada", "trace", "/modelship run steady"] {
        assert!(told.contains(words), "{told}");
    }
    world.comment(number, "/modelship run");
    world.until_comment(number, &["24 runs done", "analysis.csv"]);
}

#[test]
fn what_cannot_be_promised_or_is_not_allowed_is_refused_by_name() {
    let laptop = moody(&[
        ("plain", "parameters: {N: [1, 2]}\n"),
        (
            "large",
            "parameters: {N: {range: {start: 1, stop: 9, step: 1}}}\nwhere: 'MIB == 0 || N / MIB > 1'\noutputs: [thrice]\n",
        ),
    ]);
    let said = laptop.modelship(&["sweep", "plan", "sweeps/large.yaml"]).ok();
    assert!(said.stderr.contains("declares no output `thrice`"), "{said:?}");
    laptop.write("config/policy.yaml", "max_runs: 3\n");
    laptop.write("config/control/moody.yaml", &MANIFEST.replace("vcpu: 1,", "vcpu: 1, gpu: 2,"));
    laptop.commit("Little, and with GPUs");
    let said = laptop.modelship(&["sweep", "plan", "sweeps/large.yaml"]);
    assert!(said.status == 1 && said.stderr.contains("the grid has 9 points; the policy allows 3"), "{said:?}");
    let said = laptop.modelship(&["sweep", "plan", "sweeps/plain.yaml"]);
    assert!(said.status == 1 && said.stderr.contains("2 GPUs, which the `process` executor cannot give"), "{said:?}");
}
