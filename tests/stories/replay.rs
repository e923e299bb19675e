//! Past runs done again, their logs, and samples of their files.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::world::laptop::Laptop;
use crate::world::tables::{read_csv, texts};

/// A model whose output depends on a file beside the repository, which nobody declared.
fn fickle() -> Laptop {
    let laptop = Laptop::with_models(&[]);
    laptop.write(
        "modelship.yaml",
        "owner: ada\ntitle: fickle\nbuild: {process: []}\n\
         run: {command: [sh, \"{model}/run.sh\", \"{outputs}\"], params: {format: env}}\n\
         parameters: {N: {type: int, default: 1}}\n\
         outputs: {summary: summary.json, files: [table.csv]}\n",
    );
    let hidden = laptop.path().join(".git/hidden");
    std::fs::write(&hidden, "0").unwrap();
    laptop.write(
        "run.sh",
        &format!(
            "echo hello from $N\nhidden=$(cat '{}')\necho \"{{\\\"a\\\": $N.5, \\\"b\\\": $((N + hidden))}}\" > \"$1/summary.json\"\n\
             echo \"n,$N,$hidden\" > \"$1/table.csv\"\n",
            hidden.display()
        ),
    );
    laptop.write(
        "sweeps/ns.yaml",
        "sweep: ns\nmodel: ada/fickle\nparameters:\n  N: {range: {start: 1, stop: 12, step: 1}}\n",
    );
    laptop.commit("Depend on what nobody sees");
    laptop.modelship(&["sweep", "run", "sweeps/ns.yaml"]).ok();
    laptop
}

/// The ids of the runs of a sweep, in the order of its points.
fn runs(laptop: &Laptop, sweep: &str) -> Vec<String> {
    let report = laptop.modelship(&["sweep", "status", sweep, "--output", "json"]).ok().json();
    let id = report[0]["plan"]["id"].as_str().unwrap();
    let table = read_csv(&laptop.path().join(format!(".modelship/artifacts/sweeps/{id}/analysis.csv")));
    texts(&table, "run_id")
}

fn leftovers(laptop: &Laptop) -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(laptop.path().join(folder)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    [names(".modelship/artifacts/replays"), names(".modelship/scratch")].concat()
}

#[test]
fn a_replay_says_what_is_the_same_and_what_is_not_and_touches_nothing() {
    let laptop = fickle();
    let run = &runs(&laptop, "ns")[2];
    let before = contents(&laptop.path().join(".modelship/artifacts/sweeps"));

    let same = laptop.modelship(&["replay", &run[..8]]).ok();
    assert!(same.stdout.contains("N = 3") && same.stdout.contains("table.csv") && same.stdout.contains("wall time"));
    assert!(!same.stdout.contains("DIFFERS"), "{same:?}");

    std::fs::write(laptop.path().join(".git/hidden"), "100").unwrap();
    let keep = laptop.path().join(".git/kept");
    let differs = laptop.modelship(&["replay", &run[..8], "--keep", keep.to_str().unwrap(), "--output", "json"]);
    assert_eq!(differs.status, 1, "{differs:?}");
    let answer = differs.json();
    assert_eq!(answer["same"], false);
    let output = |name: &str| {
        let outputs = answer["run"]["outputs"].as_array().unwrap();
        outputs.iter().find(|output| output["name"] == name).unwrap().clone()
    };
    assert_eq!(output("a")["verdict"], "same");
    assert_eq!((output("b")["recorded"].as_str(), output("b")["replayed"].as_str()), (Some("3"), Some("103")));
    assert_eq!(answer["run"]["files"][0]["verdict"], "differs");
    let kept = keep.join(&run[..12]).join("table.csv");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "n,3,100\n");

    let near = laptop.modelship(&["replay", run, "--rel", "0.99"]);
    assert_eq!(near.status, 1, "a file is compared by its digest whatever the tolerance: {near:?}");
    assert!(near.stdout.contains("same within"), "{near:?}");

    assert_eq!(before, contents(&laptop.path().join(".modelship/artifacts/sweeps")), "the record is as it was");
    assert_eq!(leftovers(&laptop), Vec::<String>::new());
}

#[test]
fn a_replay_that_cannot_be_done_ends_with_two_and_says_why() {
    let laptop = fickle();
    for wanted in ["abc", "nothex!", "ffffffffffff"] {
        let said = laptop.modelship(&["replay", wanted]);
        assert_eq!(said.status, 2, "{said:?}");
        assert!(!said.stderr.contains("not your input's fault") && said.stderr.contains("run"), "{said:?}");
    }
    let run = &runs(&laptop, "ns")[0];
    std::fs::write(laptop.path().join("taken"), "mine").unwrap();
    let said = laptop.modelship(&["replay", run, "--keep", "."]);
    assert_eq!(said.status, 2, "nothing is overwritten: {said:?}");
    assert_eq!(laptop.modelship(&["sweep", "replay", "nothing"]).status, 2);
}

#[test]
fn a_version_that_is_no_longer_built_is_built_again_from_its_commit() {
    let laptop = fickle();
    let run = runs(&laptop, "ns")[4].clone();
    laptop.write("run.sh", "exit 1\n");
    laptop.commit("Break it");
    let models = laptop.path().join(".modelship/models");
    for built in std::fs::read_dir(&models).unwrap() {
        let built = built.unwrap().path();
        std::process::Command::new("chmod").args(["-R", "u+w"]).arg(&built).status().unwrap();
        std::fs::remove_dir_all(built).unwrap();
    }
    let said = laptop.modelship(&["replay", &run]).ok();
    assert!(said.stderr.contains("no longer built"), "{said:?}");
    assert!(said.stdout.contains("N = 5"), "{said:?}");
}

#[test]
fn a_whole_sweep_or_a_sample_of_it_is_replayed() {
    let laptop = fickle();
    let all = laptop.modelship(&["sweep", "replay", "ns", "--output", "json"]).ok().json();
    assert_eq!((all["report"]["runs"].as_u64(), all["report"]["same"].as_u64()), (Some(12), Some(12)));

    std::fs::write(laptop.path().join(".git/hidden"), "1").unwrap();
    let some = laptop.modelship(&["sweep", "replay", "ns", "--sample", "4", "--seed", "7", "--output", "json"]);
    assert_eq!(some.status, 1, "{some:?}");
    let report = &some.json()["report"];
    assert_eq!((report["runs"].as_u64(), report["differing"].as_u64()), (Some(4), Some(4)));
    assert_eq!(report["differences"]["b"]["runs"], 4);
    assert!(report["differences"]["a"].is_null());

    let shown = laptop.modelship(&["sweep", "replay", "ns", "--sample", "2"]);
    assert_eq!(shown.status, 1, "{shown:?}");
    assert!(shown.stdout.contains("WHAT DIFFERS") && shown.stdout.contains("N = "), "{shown:?}");
    assert_eq!(leftovers(&laptop), Vec::<String>::new());
}

#[test]
fn a_random_sample_of_runs_brings_its_files() {
    let laptop = fickle();
    let arguments = ["sweep", "results", "ns", "--sample", "5", "--seed", "3"];
    laptop.modelship(&[&arguments[..], &["--to", "first"]].concat()).ok();
    laptop.modelship(&[&arguments[..], &["--to", "second"]].concat()).ok();
    let read = |folder: &str| read_csv(&laptop.path().join(folder).join("manifest.csv"));
    let (first, second) = (read("first"), read("second"));
    assert_eq!(first, second, "the seed decides");
    assert_eq!(first.1.len(), 5);
    for (folder, n) in texts(&first, "folder").iter().zip(texts(&first, "N")) {
        let table = std::fs::read_to_string(laptop.path().join("first").join(folder).join("table.csv")).unwrap();
        assert_eq!(table, format!("n,{n},0\n"));
    }
    let again = laptop.modelship(&[&arguments[..], &["--to", "first"]].concat());
    assert_eq!(again.status, 1, "nothing is overwritten: {again:?}");
    let other = laptop.modelship(&["sweep", "results", "ns", "--sample", "5", "--seed", "4", "--output", "json"]).ok();
    let folder = other.json()["sample"]["folder"].as_str().unwrap().to_owned();
    assert_ne!(texts(&read(&folder), "run_id"), texts(&first, "run_id"));
}

#[test]
fn a_log_is_shown_with_everything_about_its_run() {
    let laptop = fickle();
    let run = &runs(&laptop, "ns")[1];
    let said = laptop.modelship(&["logs", &run[..10]]).ok();
    for part in [run.as_str(), "N = 2", "hello from 2", "succeeded", "table.csv", "ada/fickle"] {
        assert!(said.stdout.contains(part), "{part}: {said:?}");
    }
    let json = laptop.modelship(&["logs", run, "--output", "json"]).ok().json();
    assert_eq!(json["log"], "hello from 2\n");
    assert_eq!(laptop.modelship(&["logs", "ffffffffff"]).status, 1);
}

#[test]
fn the_end_of_a_log_that_is_gone_is_shown_without_secrets() {
    const SECRET: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let laptop = Laptop::with_models(&[]);
    let harmless = "x".repeat(SECRET.len());
    laptop.write(
        "modelship.yaml",
        "owner: ada\ntitle: fails\nbuild: {process: []}\n\
         run: {command: [sh, \"{model}/run.sh\"], params: {format: env}}\n\
         parameters: {N: {type: int, default: 3}}\noutputs: {summary: summary.json}\n",
    );
    laptop.write("run.sh", &format!("echo it says {harmless} and fails\nexit 3\n"));
    laptop.write("sweeps/fails.yaml", "sweep: fails\nmodel: ada/fails\nparameters: {N: [4]}\n");
    laptop.commit("Fail");
    laptop.modelship(&["build"]).ok();
    laptop.modelship(&["sweep", "run", "sweeps/fails.yaml"]);
    let left = contents(&laptop.path().join(".modelship/artifacts/sweeps"));
    let file = |name: &str| left.iter().find(|(path, _)| path.ends_with(name)).unwrap_or_else(|| panic!("{name}"));
    // The model can write to the place that has the records.
    let (records, text) = file("records.jsonl");
    let text = String::from_utf8(text.clone()).unwrap();
    std::fs::write(records, text.replace(&harmless, SECRET)).unwrap();
    std::fs::remove_file(&file("log.txt").0).unwrap();
    let record: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let said = laptop.modelship(&["logs", record["run"].as_str().unwrap()]).ok();
    assert!(said.stdout.contains("it says [redacted] and fails"), "{said:?}");
}

#[test]
fn a_run_that_is_under_way_is_followed_to_its_end() {
    let laptop = Laptop::with_models(&[]);
    laptop.write(
        "modelship.yaml",
        "owner: ada\ntitle: steps\nbuild: {process: []}\n\
         run: {command: [sh, \"{model}/run.sh\", \"{outputs}\"], params: {format: env}}\n\
         parameters: {STEPS: {type: int, default: 3}}\noutputs: {summary: summary.json}\n",
    );
    laptop.write(
        "run.sh",
        "i=0; while [ $i -lt $STEPS ]; do i=$((i + 1)); echo step $i; sleep 0.1; done\nprintf 'the end'\necho '{\"a\": 1}' > $1/summary.json\n",
    );
    laptop.write("sweeps/long.yaml", "sweep: long\nmodel: ada/steps\nparameters: {STEPS: [40]}\n");
    laptop.commit("Walk");
    laptop.modelship(&["build"]).ok();
    let sweep = laptop.start(&["sweep", "run", "sweeps/long.yaml"]);
    let run = laptop.until("the run is known", |laptop| {
        let jobs = laptop.path().join(".modelship/artifacts/sweeps");
        let slice = contents(&jobs).into_iter().find(|(name, _)| name.ends_with("slice.jsonl"))?.1;
        let line: serde_json::Value = serde_json::from_slice(&slice).ok()?;
        let run = line["run"].as_str()?.to_owned();
        (laptop.modelship(&["logs", &run]).status == 0).then_some(run)
    });
    let mut following = laptop.start(&["logs", &run[..12], "--follow"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.find(|line| line == "step 1").is_some();
    let early = laptop.modelship(&["sweep", "status", "long", "--output", "json"]).ok().json();
    assert!(first && early[0]["phase"]["phase"] == "running", "lines come while the run goes on: {early}");
    let rest: Vec<_> = lines.collect();
    let expected: Vec<_> = (2..=40).map(|step| format!("step {step}")).chain(["the end".to_owned()]).collect();
    assert_eq!(rest, expected);
    assert!(following.wait().unwrap().success());
    assert!(sweep.wait_with_output().unwrap().status.success());
    let live = contents(&laptop.path().join(".modelship/artifacts/sweeps"));
    assert!(!live.iter().any(|(name, _)| name.ends_with("live.log")), "it is gone at the end");
}

#[test]
fn the_log_of_the_last_build_is_shown() {
    let laptop = Laptop::with_models(&["simple-tax-cpp"]);
    laptop.modelship(&["build"]).ok();
    let said = laptop.modelship(&["logs", "--build", "urban/simple-tax-cpp"]).ok();
    assert!(said.stdout.contains("$ make"), "{said:?}");
    laptop.write("models/simple-tax-cpp/simple_tax.cpp", "int main( {\n");
    laptop.commit("Break it");
    assert_eq!(laptop.modelship(&["build"]).status, 1);
    let said = laptop.modelship(&["logs", "urban/simple-tax-cpp"]).ok();
    assert!(said.stdout.contains("error:") && said.stderr.contains("failed in"), "{said:?}");
    let said = laptop.modelship(&["logs", "urban/nothing"]);
    assert_eq!(said.status, 1, "{said:?}");
}

/// Every file below `folder` with its bytes, by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
    found.sort();
    found
}
