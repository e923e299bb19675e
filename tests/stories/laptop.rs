//! A laptop: no server, no forge, the same engine.

use crate::world::laptop::Laptop;
use crate::world::tables::{numbers, read_csv};

#[test]
fn a_sweep_runs_from_the_terminal_alone_and_a_second_time_costs_nothing() {
    let laptop = Laptop::with_models(&["simple-tax-cpp"]);
    laptop.write(
        "sweeps/rates.yaml",
        "sweep: rates\nmodel: urban/simple-tax-cpp\nparameters:\n  RATE: {range: {start: 0.1, stop: 0.3, num: 5}}\n  EXEMPT: [1000, 2000]\noutputs: [revenue]\n",
    );
    laptop.commit("Sweep the rates");

    let planned = laptop.modelship(&["sweep", "plan", "sweeps/rates.yaml", "--output", "json"]).ok().json();
    assert_eq!(planned["counts"]["runs"], 10);
    assert_eq!(planned["counts"]["reused"], 0);

    let first = laptop.modelship(&["sweep", "run", "sweeps/rates.yaml", "--output", "json"]).ok().json();
    assert_eq!(first["succeeded"], 10, "{first}");
    assert_eq!(first["phase"]["phase"], "succeeded");
    let id = first["plan"]["id"].as_str().unwrap();
    let table = read_csv(&laptop.path().join(format!(".modelship/artifacts/sweeps/{id}/analysis.csv")));
    let (rate, revenue) = (numbers(&table, "RATE"), numbers(&table, "revenue"));
    assert_eq!(rate.len(), 10);
    assert!((revenue[8] / revenue[0] - 3.0).abs() < 1e-12, "the tax is linear in its rate: {revenue:?}");

    let again = laptop.modelship(&["sweep", "run", "sweeps/rates.yaml", "--output", "json"]).ok().json();
    assert_eq!(again["plan"]["counts"]["reused"], 10, "{again}");
    assert_eq!(again["succeeded"], 10);

    let shown = laptop.modelship(&["sweep", "results", "rates", "--head", "3"]).ok();
    assert!(shown.stdout.contains("revenue") && shown.stdout.contains("analysis.parquet"), "{shown:?}");
    let told = laptop.modelship(&["sweep", "run", "sweeps/rates.yaml"]).ok();
    assert!(!told.stderr.contains("next:"), "all ten rows were shown: {told:?}");
    let itself = laptop.modelship(&["sweep", "results", "rates", "--against", id]);
    assert!(itself.status == 1 && itself.stderr.contains("this sweep itself"), "{itself:?}");
}

#[test]
fn the_three_ports_of_the_tax_model_agree_on_every_output() {
    let laptop = Laptop::with_models(&["simple-tax-fortran", "simple-tax-cpp", "simple-tax-python"]);
    let mut tables = Vec::new();
    for port in ["fortran", "cpp", "python"] {
        laptop.write(
            &format!("sweeps/{port}.yaml"),
            &format!(
                "sweep: {port}\nmodel: urban/simple-tax-{port}\nparameters:\n  RATE: [0.1, 0.237]\n  STANDARD: [1500, 2500]\n  EXEMPT: [1000, 5000]\n"
            ),
        );
    }
    laptop.commit("Sweep each port");
    for port in ["fortran", "cpp", "python"] {
        let report =
            laptop.modelship(&["sweep", "run", &format!("sweeps/{port}.yaml"), "--output", "json"]).ok().json();
        let id = report["plan"]["id"].as_str().unwrap();
        tables.push(read_csv(&laptop.path().join(format!(".modelship/artifacts/sweeps/{id}/analysis.csv"))));
    }
    for output in [
        "revenue",
        "units",
        "population",
        "average_tax_rate",
        "rate_under_25k",
        "rate_25k_50k",
        "rate_50k_100k",
        "rate_100k_250k",
        "rate_over_250k",
    ] {
        let columns: Vec<_> = tables.iter().map(|table| numbers(table, output)).collect();
        for row in 0..8 {
            let reference = columns[0][row];
            assert!(reference.is_finite(), "{output} has no value in row {row}");
            for column in &columns {
                assert!((column[row] - reference).abs() <= 1e-9 * reference.abs(), "{output}: {columns:?}");
            }
        }
    }
}

#[test]
fn a_work_tree_with_changes_needs_to_be_asked_for_and_cannot_be_promoted() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.write("sweeps/new.yaml", "sweep: new\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");

    let refused = laptop.modelship(&["sweep", "run", "sweeps/new.yaml"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("--dirty"), "{refused:?}");

    let report = laptop.modelship(&["sweep", "run", "sweeps/new.yaml", "--dirty", "--output", "json"]).ok().json();
    assert_eq!(report["succeeded"], 2);
    let version = report["plan"]["version"].as_str().unwrap();
    let promoted = laptop.modelship(&["promote", "examples/identity-matrix", version]);
    assert_eq!(promoted.status, 1, "{promoted:?}");
    assert!(promoted.stderr.contains("commit"), "{promoted:?}");
}

#[test]
fn faults_are_shown_with_their_place_and_end_with_one() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.write(
        "sweeps/bad.yaml",
        "sweep: bad\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 4, step: 0}}\n",
    );
    let said = laptop.modelship(&["validate"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.stderr.contains("sweeps/bad.yaml:4"), "{said:?}");
    assert!(said.stdout.contains("config/examples/identity-matrix.yaml"), "what is good is told too: {said:?}");

    let said = laptop.modelship(&["sweep", "results", "nothing"]);
    assert_eq!(said.status, 1, "{said:?}");
    let said = laptop.modelship(&["sweep", "walk"]);
    assert_eq!(said.status, 2, "clap's own usage error");
}

#[test]
fn tests_are_run_and_listed_one_by_one() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    let said = laptop.modelship(&["test"]).ok();
    assert!(said.stdout.contains("passed"), "{said:?}");
    let built = laptop.modelship(&["build", "--output", "json"]).ok().json();
    assert!(built[0]["version"]["id"].is_string(), "{built}");
    let listed = laptop.modelship(&["models"]).ok();
    assert!(listed.stdout.contains("examples/identity-matrix"), "{listed:?}");
}

#[test]
fn a_hub_that_init_makes_works_at_once() {
    let laptop = Laptop::with_models(&[]);
    laptop.modelship(&["init", "--hub", "."]).ok();
    laptop.commit("Begin a hub");
    laptop.modelship(&["validate"]).ok();
    let report = laptop.modelship(&["sweep", "run", "sweeps/identity.yaml", "--output", "json"]).ok().json();
    assert_eq!(report["phase"]["phase"], "succeeded", "{report}");

    let again = laptop.modelship(&["init", "--hub", "."]);
    assert_eq!(again.status, 1, "nothing is overwritten: {again:?}");
    laptop.modelship(&["doctor"]).ok();
    let script = laptop.modelship(&["completions", "bash"]).ok();
    assert!(script.stdout.contains("_modelship"), "{script:?}");
}

#[test]
fn a_model_in_its_own_repository_begins_with_init_and_keeps_its_runs() {
    let laptop = Laptop::with_models(&[]);
    laptop.modelship(&["init", "ada/doubling"]).ok();
    laptop.modelship(&["validate"]).ok();
    let manifest = std::fs::read_to_string(laptop.path().join("modelship.yaml")).unwrap();
    let manifest =
        manifest.replace("[\"{model}/doubling\", \"{params}\", \"{outputs}\"]", "[python3, \"{model}/doubling.py\"]");
    let manifest = manifest.replace("format: csv", "format: env").replace("summary: summary.json", "summary: stdout");
    laptop.write("modelship.yaml", &manifest);
    laptop.write("doubling.py", "import os\nprint('{\"double\": %r}' % (2 * float(os.environ['RATE'])))\n");
    laptop.write("sweeps/rates.yaml", "sweep: rates\nmodel: ada/doubling\nparameters:\n  RATE: [0.25, 0.5]\n");
    laptop.commit("Double it");
    let report = laptop.modelship(&["sweep", "run", "sweeps/rates.yaml", "--output", "json"]).ok();
    assert_eq!(report.json()["succeeded"], 2);
    assert!(report.stderr.is_empty(), "a program that asks for JSON gets nothing else: {report:?}");

    // What only modelship reads is no part of the model: another sweep file does not make another executable.
    laptop.write("sweeps/more.yaml", "sweep: more\nmodel: ada/doubling\nparameters:\n  RATE: [0.25, 0.5, 1]\n");
    laptop.commit("Ask for more");
    let more = laptop.modelship(&["sweep", "run", "sweeps/more.yaml", "--output", "json"]).ok().json();
    assert_eq!(more["plan"]["counts"]["reused"], 2, "{more}");
    assert_eq!(more["succeeded"], 3);
}

#[test]
fn a_sweep_whose_terminal_was_killed_is_followed_to_its_end_by_the_next_one() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.write(
        "sweeps/steady.yaml",
        "sweep: steady\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 12, step: 1}}\n  SLEEP: 0.3\n",
    );
    laptop.commit("Run steadily");
    laptop.modelship(&["build"]).ok();

    let mut first = laptop.start(&["sweep", "run", "sweeps/steady.yaml"]);
    laptop.until("a run is done", |laptop| {
        let said = laptop.modelship(&["sweep", "status", "steady", "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(0)).then_some(())
    });
    first.kill().unwrap();
    first.wait().unwrap();

    // Two terminals at once: one runs the engine, both see the end.
    let second = laptop.start(&["sweep", "run", "sweeps/steady.yaml", "--output", "json"]);
    let report = laptop.modelship(&["sweep", "run", "sweeps/steady.yaml", "--output", "json"]).ok().json();
    assert_eq!(report["succeeded"], 12, "{report}");
    assert_eq!(report["phase"]["phase"], "succeeded", "{report}");
    assert!(second.wait_with_output().unwrap().status.success());
}

#[test]
fn a_sweep_is_cancelled_from_another_terminal_and_goes_on_by_retry() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.write(
        "sweeps/long.yaml",
        "sweep: long\nmodel: examples/identity-matrix\nparameters:\n  N: {range: {start: 1, stop: 10, step: 1}}\n  SLEEP: 0.4\n",
    );
    laptop.commit("Run for long");
    laptop.modelship(&["build"]).ok();
    let running = laptop.start(&["sweep", "run", "sweeps/long.yaml"]);
    laptop.until("a run is done", |laptop| {
        let said = laptop.modelship(&["sweep", "status", "long", "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(0)).then_some(())
    });
    let cancelled = laptop.modelship(&["sweep", "cancel", "long", "--output", "json"]).ok().json();
    assert_eq!(cancelled["phase"]["phase"], "cancelled", "{cancelled}");
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(1));

    let again = laptop.modelship(&["sweep", "cancel", "long"]);
    assert_eq!(again.status, 1, "{again:?}");
    let report = laptop.modelship(&["sweep", "retry", "long", "--output", "json"]).ok().json();
    assert_eq!(report["succeeded"], 10, "{report}");
    let before = report["before_ms"].as_u64();
    assert!(before >= Some(400), "the time before it was cancelled counts: {report}");

    let nothing = laptop.modelship(&["sweep", "retry", "long"]).ok();
    assert!(nothing.stderr.contains("nothing of `long-") && nothing.stderr.contains("failed"), "{nothing:?}");
    assert!(!nothing.stderr.contains("long: 10 of 10 runs"), "{nothing:?}");
    let still = laptop.modelship(&["sweep", "status", "long", "--output", "json"]).ok().json();
    assert_eq!((&still[0]["before_ms"], &still[0]["round"]), (&report["before_ms"], &report["round"]));
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.write("sweeps/ns.yaml", "sweep: ns\nmodel: examples/identity-matrix\nparameters: {N: [1, 2, 3]}\n");
    laptop.commit("Sweep");
    let would =
        |arguments: &[&str]| laptop.modelship(&[arguments, &["--dry-run", "--output", "json"]].concat()).ok().json();
    let nothing_is_registered = || {
        assert_eq!(laptop.modelship(&["models", "--output", "json"]).ok().json(), serde_json::json!([]));
        assert_eq!(laptop.modelship(&["sweep", "status", "--output", "json"]).ok().json(), serde_json::json!([]));
    };

    let build = would(&["build"]);
    assert_eq!((&build[0]["would"], &build[0]["why"]), (&"build".into(), &"the model has no version yet".into()));
    let sweep = would(&["sweep", "run", "sweeps/ns.yaml"]);
    assert_eq!((&sweep["would"], &sweep["runs"]), (&"build".into(), &3.into()));
    nothing_is_registered();

    laptop.modelship(&["build"]).ok();
    assert_eq!(would(&["build"])[0]["would"], "nothing");
    assert_eq!(would(&["sweep", "run", "sweeps/ns.yaml"])["plan"]["counts"]["reused"], 0);
    laptop.modelship(&["sweep", "run", "sweeps/ns.yaml"]).ok();
    laptop.write("README.md", "more\n");
    laptop.commit("Say more");
    assert_eq!(would(&["build"])[0]["would"], "register");
    assert_eq!(would(&["sweep", "run", "sweeps/ns.yaml"])["plan"]["counts"]["reused"], 3);
    let said = laptop.modelship(&["sweep", "run", "sweeps/ns.yaml", "--dry-run"]).ok();
    assert!(said.stdout.contains("every run is known"), "{said:?}");

    let model = "models/identity-matrix/identity_matrix.py";
    let text = std::fs::read_to_string(laptop.path().join(model)).unwrap();
    laptop.write(model, &format!("{text}\n# another comment\n"));
    laptop.commit("Touch the model");
    let build = would(&["build"]);
    assert!(build[0]["why"].as_str().unwrap().starts_with("the source has changed since"), "{build}");
}

#[test]
fn a_dry_promotion_tells_from_where_to_where() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    let model = "examples/identity-matrix";
    laptop.modelship(&["build"]).ok();
    let dry = laptop.modelship(&["promote", model, "HEAD", "--dry-run"]);
    assert_eq!(dry.status, 1, "a version has to be named: {dry:?}");
    let version = laptop.modelship(&["versions", model, "--output", "json"]).ok().json()[0]["version"]["id"].clone();
    let version = version.as_str().unwrap();
    let dry = laptop.modelship(&["promote", model, version, "--dry-run", "--output", "json"]).ok().json();
    assert_eq!((dry["from"].is_null(), &dry["to"]), (true, &version.into()));
    assert!(laptop.modelship(&["models", "--output", "json"]).ok().json()[0]["production"].is_null());
    laptop.modelship(&["promote", model, version]).ok();
    let dry = laptop.modelship(&["promote", model, version, "--dry-run"]).ok();
    assert!(dry.stdout.contains("already"), "{dry:?}");
    let back = laptop.modelship(&["promote", model, "--back", "--dry-run"]);
    assert_eq!(back.status, 1, "{back:?}");
}

#[test]
fn what_was_known_is_said_to_be_known() {
    let laptop = Laptop::with_models(&["simple-tax-cpp"]);
    let said = laptop.modelship(&["build"]).ok();
    assert!(said.stderr.contains("built in"), "{said:?}");
    let said = laptop.modelship(&["build"]).ok();
    assert!(said.stderr.contains("known already") && !said.stderr.contains("built in"), "{said:?}");
}

#[test]
fn a_state_folder_that_cannot_be_used_is_told_with_what_to_do() {
    let laptop = Laptop::with_models(&[]);
    laptop.write("file", "no folder\n");
    for state in ["file", "file/below", "/proc/nothing"] {
        let said = laptop.modelship(&["models", "--state", state]);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.stderr.contains("--state DIR") && !said.stderr.contains("not your input's fault"), "{said:?}");
    }
}

#[test]
fn a_state_that_another_version_stored_is_refused_in_one_sentence() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    laptop.modelship(&["build"]).ok();
    let database = laptop.path().join(".modelship/modelship.db");
    let spoil = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
        db.execute(\"UPDATE states SET body = '{\\\"kind\\\":\\\"model\\\"}' WHERE kind = 'model'\"); db.commit()";
    let spoiled = std::process::Command::new("python3").args(["-c", spoil]).arg(database).status().unwrap();
    assert!(spoiled.success());
    let said = laptop.modelship(&["build"]);
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.stderr.contains("cannot be read by modelship") && said.stderr.contains("--state DIR"), "{said:?}");
    assert!(!said.stderr.contains("not your input's fault"), "{said:?}");
}
