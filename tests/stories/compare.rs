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
