//! A pull request that changes a model learns what that does to results.

use crate::world::{World, git};

const MODEL: &str = "models/simple-tax-python/simple_tax.py";
const MANIFEST: &str = "config/urban/simple-tax-python.yaml";
const FORMULA: &str = "rate * (salary - max(itemized, standard) - exempt * (1 + married))";

const SWEEP: &str = "sweep: deductions
model: urban/simple-tax-python
parameters:
  STANDARD: [1000, 1500, 2000]
outputs: [revenue, average_tax_rate, units]
";

impl World {
    /// Changes the model's code in the clone.
    fn rewrite(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.clone.join(path)).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replace(from, to));
    }
}

#[test]
fn a_changed_formula_is_compared_by_the_sweeps_that_name_the_model() {
    let world = World::with_models(&["simple-tax-python"]);
    world.write("sweeps/deductions.yaml", SWEEP);
    world.push_branch("main", "Sweep deductions");

    world.rewrite(MODEL, FORMULA, &format!("1.01 * {FORMULA}"));
    // What its own tests expect has changed with it.
    let manifest = std::fs::read_to_string(world.clone.join(MANIFEST)).unwrap();
    world.write(MANIFEST, &manifest[..=manifest.find("\ntests:").unwrap()]);
    world.push_branch("dearer", "Tax one percent more");
    let number = world.open_pull("dearer", "One percent more");

    let offered = world.until_comment(number, &["What this pull request does to", "/modelship compare"]);
    for words in ["urban/simple-tax-python", "deductions", "3 runs on each version", "6 new", "`main`"] {
        assert!(offered.contains(words), "the offer does not say `{words}`:\n{offered}");
    }
    world.comment(number, "/modelship compare");
    let told = world.until_comment(number, &["Largest mover"]);
    for words in ["results differ", "revenue", "USD", "STANDARD", "+1 %", "3 of 3", "0 of 3", "run time"] {
        assert!(told.contains(words), "the comparison does not say `{words}`:\n{told}");
    }
    let both = world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    let purposes: Vec<_> = both.as_array().unwrap().iter().map(|report| &report["plan"]["purpose"]).collect();
    assert_eq!(purposes, ["comparison", "comparison"], "nobody asked for the sweep itself: {both}");
    let about = |body: &String| body.contains("What this pull request does to");
    assert_eq!(world.comments(number).iter().filter(|body| about(body)).count(), 1, "one comment, edited in place");

    // A push that leaves the model as it is leaves what was compared.
    world.write("README.md", "about this hub\n");
    world.push_branch("dearer", "Say more");
    let head = git(&world.clone, &["rev-parse", "HEAD"]);
    world.until("the new head was looked at", |world| {
        let thread = world.modelship(&["pr", "show", &number.to_string(), "--output", "json"]).ok().json();
        (thread["snapshot"]["head"] == head.trim()).then_some(())
    });
    world.comment(number, "/modelship compare deductions");
    world.until_comment(number, &["found nothing to do", "it is done"]);

    // One that changes it again takes the comparison's place, and the base's runs are known.
    world.rewrite(MODEL, "1.01 * rate", "1.02 * rate");
    world.push_branch("dearer", "Tax two percent more");
    world.until_comment(number, &["What this pull request does to", "3 new, 3 known"]);
    world.comment(number, "/modelship compare");
    world.until_comment(number, &["Largest mover", "+2 %"]);
}

#[test]
fn a_refactoring_shows_no_difference_and_starts_by_itself_where_policy_says_so() {
    let world = World::with_models(&["simple-tax-python"]);
    world.write("config/policy.yaml", "compare: auto\ncompare_runs: 10\n");
    world.push_branch("main", "Compare by itself");

    world.rewrite(MODEL, "\"\"\"The tax of every unit, in order.\"\"\"", "\"\"\"What every unit pays, in order.\"\"\"");
    world.push_branch("refactor", "Say it better");
    let number = world.open_pull("refactor", "Say it better");
    // No sweep names the model, so the runs of its tests are compared.
    let told = world.until_comment(number, &["No difference in any of 2 points"]);
    for words in ["✅ no difference", "The manifest's tests"] {
        assert!(told.contains(words), "the comparison does not say `{words}`:\n{told}");
    }
}

#[test]
fn what_is_more_than_policy_starts_by_itself_waits_for_a_command() {
    let world = World::with_models(&["simple-tax-python"]);
    world.write("config/policy.yaml", "compare: auto\ncompare_runs: 3\n");
    world.push_branch("main", "Compare little by itself");
    world.rewrite(MODEL, "\"\"\"The tax of every unit, in order.\"\"\"", "\"\"\"What every unit pays, in order.\"\"\"");
    world.push_branch("refactor", "Say it better");
    let number = world.open_pull("refactor", "Say it better");
    world.until_comment(number, &["2 runs on each version", "/modelship compare"]);
    world.member("mallory", "read");
    world.comment_as("mallory", number, "/modelship compare");
    world.until_comment(number, &["mallory", "write permission"]);
    let started = world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    assert!(started.as_array().unwrap().is_empty(), "{started}");
}

#[test]
fn closing_a_pull_request_cancels_its_comparison() {
    let world = World::with_models(&["identity-matrix"]);
    world.write(
        "sweeps/slow.yaml",
        "sweep: slow\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2, 3]\n  SLEEP: 60\n",
    );
    world.push_branch("main", "Sweep slowly");
    let path = "models/identity-matrix/identity_matrix.py";
    let code = std::fs::read_to_string(world.clone.join(path)).unwrap();
    world.write(path, &format!("{code}\n# changed\n"));
    world.push_branch("change", "Change the model");
    let number = world.open_pull("change", "Changed");
    world.until_comment(number, &["What this pull request does to", "/modelship compare"]);
    world.comment(number, "/modelship compare");
    world.until("both versions run", |world| {
        let said = world.modelship(&["sweep", "status", "slow", "--output", "json"]);
        let running = |report: &&serde_json::Value| report["phase"]["phase"] == "running";
        (said.status == 0 && said.json().as_array().unwrap().iter().filter(running).count() == 2).then_some(())
    });
    world.modelship(&["pr", "close", &number.to_string()]).ok();
    world.until_comment(number, &["What this pull request does to", "Cancelled by:", "the pull request was closed"]);
    // That the processes end is checked when the world does.
}

#[test]
fn faults_without_a_word_stand_first_in_the_results() {
    let world = World::with_models(&["identity-matrix"]);
    let faulty = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faulty");
    let read = |path: String| std::fs::read_to_string(faulty.join(path)).unwrap();
    let models = [
        ("ignores-parameter", "grid", "1 warning", "`EXEMPT` has no effect"),
        ("uses-defaults", "points", "1 warning", "every output stays the same at all 3 points"),
        ("repeats-last-row", "rates", "2 of 3 runs done", "file `output.csv` has 21 rows, not the 20"),
        ("writes-nothing", "cases", "2 of 7 runs done", "`summary.json` is empty, though the command ended"),
        ("not-a-number", "values", "1 of 9 runs done", "output `tax` is 101, more than its largest allowed value"),
    ];
    for (model, sweep, ..) in models {
        let manifest = read(format!("{model}/modelship.yaml"));
        world.write(&format!("config/faulty/{model}.yaml"), &format!("{manifest}source: {{path: models/{model}}}\n"));
        world.write(&format!("models/{model}/model.sh"), &read(format!("{model}/model.sh")));
        world.write(&format!("sweeps/{sweep}.yaml"), &read(format!("{model}/sweeps/{sweep}.yaml")));
    }
    world.push_branch("faulty", "Bring models with faults");
    let number = world.open_pull("faulty", "Faulty");
    for (_, sweep, ..) in models {
        world.until_comment(number, &[&format!("/modelship run {sweep}")]);
    }
    world.comment(number, "/modelship run");
    for (_, sweep, headline, said) in models {
        let told = world.until_comment(number, &[&format!("### Sweep `{sweep}` ⚠️"), headline, "analysis.csv"]);
        // A message of a failed run stands in a comment with its marks escaped.
        let plain = |text: &str| text.replace(['`', '\\', '\u{200B}'], "");
        assert!(plain(&told).contains(&plain(said)), "the result does not say `{said}`:\n{told}");
        if headline.contains("warning") {
            let (warned, table) = (told.find("before you trust").unwrap(), told.find("| Output |").unwrap());
            assert!(warned < table, "the warning stands below the numbers:\n{told}");
        }
    }
    // Versions that are the first of their models are compared with nothing, and nothing is said of that unasked.
    assert!(!world.comments(number).iter().any(|body| body.contains("What this pull request does to")));
    world.comment(number, "/modelship compare");
    world.until_comment(number, &["found nothing to do", "it has no other version yet"]);
}
