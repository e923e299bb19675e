//! A sweep pull request becomes a result.

use crate::world::tables::{numbers, texts};
use crate::world::{World, git};

const SWEEP: &str = "sweep: standard-deduction
model: urban/simple-tax-cpp
parameters:
  STANDARD: {range: {start: 1600, stop: 3500, step: 100}}
baseline: {STANDARD: 1500}
outputs: [revenue, average_tax_rate]
";

/// The models' own base case, in exact fractions from their data.
const BASE_REVENUE: f64 = 921_360_786_769.362;

#[test]
fn a_sweep_is_planned_run_and_told_in_its_pull_request() {
    let world = World::with_models(&["simple-tax-cpp"]);
    world.write("sweeps/standard-deduction.yaml", SWEEP);
    world.push_branch("deduction", "Sweep the standard deduction");
    let number = world.open_pull("deduction", "Which standard deduction?");

    let plan = world.until_comment(number, &["/modelship run standard-deduction"]);
    for words in ["STANDARD", "range 1600", "21", "production"] {
        assert!(plan.contains(words), "the plan does not say `{words}`:\n{plan}");
    }

    world.comment(number, "Looks right.\n\n/modelship run");
    let result = world.until_comment(number, &["21 runs done", "mermaid"]);
    for words in ["revenue", "analysis.csv", "analysis.parquet", "1600"] {
        assert!(result.contains(words), "the result does not say `{words}`:\n{result}");
    }

    let table = world.analysis("standard-deduction");
    assert_eq!(table.1.len(), 21);
    assert_eq!(texts(&table, "role")[0], "baseline");
    let revenue = numbers(&table, "revenue");
    assert!((revenue[0] / BASE_REVENUE - 1.0).abs() < 1e-12, "{revenue:?}");
    assert!(revenue.windows(2).all(|pair| pair[1] < pair[0]), "a higher deduction brings less revenue: {revenue:?}");
    let difference = numbers(&table, "revenue_difference");
    assert!((difference[20] - (revenue[20] - revenue[0])).abs() < 1e-3, "{difference:?}");

    // The result is told once, in a comment of its own; the plan's comment was edited in place.
    let comments = world.comments(number);
    assert_eq!(comments.iter().filter(|body| body.contains("mermaid")).count(), 1, "{comments:#?}");
    assert_eq!(comments.len(), 2, "{comments:#?}");
}

#[test]
fn a_pull_request_that_changes_a_model_sweeps_its_own_version() {
    let world = World::with_models(&["simple-tax-python"]);
    let sweep =
        SWEEP.replace("simple-tax-cpp", "simple-tax-python").replace("stop: 3500, step: 100", "stop: 2000, step: 200");
    world.write("sweeps/standard-deduction.yaml", &sweep);
    world.push_branch("first", "Sweep the standard deduction");
    let first = world.open_pull("first", "As it is");
    world.until_comment(first, &["/modelship run"]);
    world.comment(first, "/modelship run standard-deduction");
    world.until_comment(first, &["4 runs done"]);

    // The tax now falls on one and a half of the salary above the deduction... a change of the model's own code.
    git(&world.clone, &["checkout", "--quiet", "main"]);
    let path = "models/simple-tax-python/simple_tax.py";
    let code = std::fs::read_to_string(world.clone.join(path)).unwrap();
    let changed = double_the_tax(&code);
    world.write(path, &changed);
    drop_tests(&world, "config/urban/simple-tax-python.yaml");
    world.write("sweeps/reform.yaml", &sweep.replace("sweep: standard-deduction", "sweep: reform"));
    world.push_branch("reform", "Double the tax");
    let second = world.open_pull("reform", "A reform");

    world.until_comment(second, &["urban/simple-tax-python", "version", "pr-2"]);
    world.until_comment(second, &["/modelship run reform", "this pull request"]);
    world.comment(second, "/modelship run");
    world.until_comment(second, &["4 runs done"]);

    let before = numbers(&world.analysis("standard-deduction"), "revenue");
    let after = numbers(&world.analysis("reform"), "revenue");
    for (before, after) in before.iter().zip(&after) {
        assert!((after / before - 2.0).abs() < 1e-9, "{before} {after}");
    }
    let compared =
        world.modelship(&["sweep", "results", "reform", "--against", "standard-deduction", "--output", "json"]).ok();
    assert!(compared.stdout.contains("revenue"), "{compared:?}");

    // Merging builds the merge commit and makes it production.
    world.modelship(&["pr", "merge", &second.to_string()]).ok();
    git(&world.clone, &["fetch", "--quiet", "origin"]);
    let merged = git(&world.clone, &["rev-parse", "origin/main"]);
    world.until("the merge is in production", |world| {
        let said = world.modelship(&["versions", "urban/simple-tax-python", "production", "--output", "json"]).ok();
        (said.json()["source"]["commit"] == merged.trim()).then_some(())
    });
}

/// The model with twice the rate.
fn double_the_tax(code: &str) -> String {
    let at = code.find("rate * (").or_else(|| code.find("RATE * (")).expect("the formula begins with the rate");
    format!("{}2 * {}", &code[..at], &code[at..])
}

/// A reform changes what the model's own tests expect; this story is not about them.
fn drop_tests(world: &World, manifest: &str) {
    let text = std::fs::read_to_string(world.clone.join(manifest)).unwrap();
    let end = text.find("\ntests:").expect("the manifest has tests");
    world.write(manifest, &text[..=end]);
}

#[test]
fn equal_runs_are_reused_and_a_wider_sweep_runs_only_what_is_new() {
    let world = World::with_models(&["identity-matrix"]);
    let sweep = |name: &str, levels: &str| {
        format!("sweep: {name}\nmodel: examples/identity-matrix\nparameters:\n  N: [{levels}]\n")
    };
    world.write("sweeps/narrow.yaml", &sweep("narrow", "1, 2, 3"));
    world.push_branch("narrow", "Sweep a little");
    let narrow = world.open_pull("narrow", "A little");
    world.until_comment(narrow, &["/modelship run"]);
    world.comment(narrow, "/modelship run");
    world.until_comment(narrow, &["3 runs done"]);

    git(&world.clone, &["checkout", "--quiet", "main"]);
    world.write("sweeps/wide.yaml", &sweep("wide", "1, 2, 3, 4, 5"));
    world.push_branch("wide", "Sweep more");
    let wide = world.open_pull("wide", "More");
    world.until_comment(wide, &["/modelship run"]);
    let planned = world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    assert_eq!(planned.as_array().unwrap().len(), 1, "only the first sweep was started");
    world.comment(wide, "/modelship run");
    world.until_comment(wide, &["5 runs done"]);
    let report = world.modelship(&["sweep", "status", "wide", "--output", "json"]).ok().json();
    assert_eq!(report[0]["plan"]["counts"]["reused"], 3, "{report}");
    assert_eq!(report[0]["succeeded"], 5, "{report}");
}

#[test]
fn faults_of_a_sweep_file_are_told_with_their_place_and_mended_by_the_next_push() {
    let world = World::with_models(&["identity-matrix"]);
    world.write("sweeps/typo.yaml", "sweep: typo\nmodel: examples/identity-matrix\nparameters:\n  M: [1, 2]\n");
    world.push_branch("typo", "Mistype a parameter");
    let number = world.open_pull("typo", "A typo");
    let comment = world.until_comment(number, &["sweeps/typo.yaml", "4"]);
    assert!(comment.contains("`M`") || comment.contains("M: [1, 2]"), "{comment}");

    world.write("sweeps/typo.yaml", "sweep: typo\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.push_branch("typo", "Mend it");
    world.until_comment(number, &["/modelship run typo"]);
    assert_eq!(world.comments(number).len(), 1, "the same comment was edited");
}

#[test]
fn of_very_many_sweep_files_the_first_are_planned_and_it_is_said_that_others_are_not() {
    let world = World::with_models(&["identity-matrix"]);
    for number in 1..=52 {
        let sweep = format!("sweep: s{number:02}\nmodel: examples/identity-matrix\nparameters: {{N: [{number}]}}\n");
        world.write(&format!("sweeps/s{number:02}.yaml"), &sweep);
    }
    world.push_branch("many", "Ask for much");
    let number = world.open_pull("many", "Much");
    world.until_comment(number, &["sweeps/s51.yaml", "52 sweep files", "the first 50"]);
    world.until_comment(number, &["/modelship run s50"]);
    world.until_idle();
    let comments = world.comments(number);
    assert!(!comments.iter().any(|comment| comment.contains("s52")), "one speaks for both");
}

#[test]
fn only_those_who_may_push_may_run_and_only_by_their_own_words() {
    let world = World::with_models(&["identity-matrix"]);
    world.write("sweeps/small.yaml", "sweep: small\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.push_branch("small", "Sweep a little");
    let number = world.open_pull("small", "A little");
    world.until_comment(number, &["/modelship run small"]);

    world.comment_as("mallory", number, "/modelship run");
    world.until_comment(number, &["mallory", "write permission"]);
    world.comment(number, "> /modelship run\n\nI would not say\n\n    /modelship run\n");
    world.comment(number, "/modelship rum");
    world.until_comment(number, &["Did you mean", "run"]);
    let started = world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    assert!(started.as_array().unwrap().is_empty(), "{started}");

    world.comment(number, "/modelship run");
    world.until_comment(number, &["2 runs done"]);
}

#[test]
fn a_run_that_fails_leaves_the_others_standing_and_is_retried_on_request() {
    let world = World::with_models(&["identity-matrix"]);
    // The model refuses a size above its bound; the manifest here allows more than the model does.
    let manifest = std::fs::read_to_string(world.clone.join("config/examples/identity-matrix.yaml")).unwrap();
    world.write("config/examples/identity-matrix.yaml", &manifest.replace("max: 64", "max: 100"));
    world.write(
        "sweeps/too-far.yaml",
        "sweep: too-far\nmodel: examples/identity-matrix\nparameters:\n  N: [63, 64, 65]\n",
    );
    world.push_branch("too-far", "Go too far");
    let number = world.open_pull("too-far", "Too far");
    world.until_comment(number, &["/modelship run too-far"]);
    world.comment(number, "/modelship run");
    let result = world.until_comment(number, &["2 of 3 runs done", "analysis.csv"]);
    for words in ["model error", "N", "65", "/modelship retry"] {
        assert!(result.contains(words), "the result does not say `{words}`:\n{result}");
    }
    let table = world.analysis("too-far");
    assert_eq!(texts(&table, "status"), ["succeeded", "succeeded", "failed"]);

    world.comment(number, "/modelship retry");
    world.until("a second result", |world| {
        (world
            .comments(number)
            .iter()
            .filter(|body| body.contains("2 of 3 runs done") && body.contains("analysis.csv"))
            .count()
            >= 2)
            .then_some(())
    });
}

#[test]
fn closing_a_pull_request_cancels_its_sweep_and_ends_its_processes() {
    let world = World::with_models(&["identity-matrix"]);
    world.write(
        "sweeps/slow.yaml",
        "sweep: slow\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2, 3, 4]\n  SLEEP: 60\n",
    );
    world.push_branch("slow", "Take long");
    let number = world.open_pull("slow", "Slow");
    world.until_comment(number, &["/modelship run slow"]);
    world.comment(number, "/modelship run");
    world.until("the sweep runs", |world| {
        let said = world.modelship(&["sweep", "status", "slow", "--output", "json"]);
        (said.status == 0 && said.json()[0]["phase"]["phase"] == "running").then_some(())
    });
    world.modelship(&["pr", "close", &number.to_string()]).ok();
    world.until_comment(number, &["cancelled", "closed"]);
    // That the processes end is checked when the world does.
}

#[test]
fn a_push_that_leaves_the_plan_as_it_was_keeps_the_sweep() {
    let world = World::with_models(&["identity-matrix"]);
    world.write("sweeps/kept.yaml", "sweep: kept\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.push_branch("kept", "Sweep a little");
    let number = world.open_pull("kept", "Kept");
    world.until_comment(number, &["/modelship run kept"]);
    world.comment(number, "/modelship run");
    world.until_comment(number, &["2 runs done"]);

    world.write("README.md", "about this hub\n");
    world.push_branch("kept", "Say more");
    let head = git(&world.clone, &["rev-parse", "HEAD"]);
    world.until("the new head was looked at", |world| {
        let thread = world.modelship(&["pr", "show", &number.to_string(), "--output", "json"]).ok().json();
        (thread["snapshot"]["head"] == head.trim()).then_some(())
    });
    world.comment(number, "/modelship status");
    world.until_comment(number, &["Sweeps of this pull request", "done"]);
}

#[test]
fn the_policy_of_the_default_branch_holds_whatever_the_pull_request_says() {
    let world = World::with_models(&["identity-matrix"]);
    world.write("config/policy.yaml", "allow: [admin]\nmax_runs: 3\n");
    world.push_branch("main", "Only administrators, and little");
    world.member("bob", "write");

    world.write("config/policy.yaml", "max_runs: 1000\n");
    world.write("sweeps/large.yaml", "sweep: large\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2, 3, 4]\n");
    world.write("sweeps/small.yaml", "sweep: small\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.push_branch("loosen", "Loosen the policy");
    let number = world.open_pull("loosen", "Loosen");
    world.until_comment(number, &["large", "3"]);
    world.until_comment(number, &["/modelship run small"]);

    world.comment_as("bob", number, "/modelship run small");
    world.until_comment(number, &["bob", "administrators only"]);
    world.comment(number, "/modelship run small");
    world.until_comment(number, &["2 runs done"]);
}

#[test]
fn a_promise_that_processes_cannot_keep_is_refused_in_the_plan() {
    let world = World::with_models(&["identity-matrix"]);
    let manifest = std::fs::read_to_string(world.clone.join("config/examples/identity-matrix.yaml")).unwrap();
    world.write(
        "config/examples/identity-matrix.yaml",
        &manifest.replace("\n  timeout:", "\n  network: none\n  timeout:"),
    );
    world.write("sweeps/closed.yaml", "sweep: closed\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2]\n");
    world.push_branch("closed", "Close the network");
    let number = world.open_pull("closed", "Closed");
    world.until_comment(number, &["closed", "network: none"]);
    world.comment(number, "/modelship run");
    world.until_comment(number, &["policy refuses"]);
}
