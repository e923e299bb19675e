//! Faults that a model has without a word: each of the models in `tests/faulty` has one, ends with status 0, and is
//! found out by a sweep through the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A faulty model in a repository of its own.
struct Faulty(TempDir);

impl Faulty {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faulty").join(name), folder.path());
        let faulty = Self(folder);
        faulty.git(&["init", "--quiet", "--initial-branch", "main"]);
        faulty.commit();
        faulty
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"];
        let status = Command::new("git").current_dir(&self.0).args(identity).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "as it is"]);
    }

    /// Changes a file and commits that.
    fn rewrite(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        self.commit();
    }

    fn modelship(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_modelship"))
            .current_dir(&self.0)
            .env("HOME", self.0.path())
            .env_remove("MODELSHIP_SETTINGS")
            .env_remove("MODELSHIP_STATE")
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs the sweep; gives its report and what a person reads.
    fn sweep(&self, name: &str) -> (Value, String) {
        let file = format!("sweeps/{name}.yaml");
        let said = self.modelship(&["sweep", "run", &file, "--output", "json"]);
        let report = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
        let told = self.modelship(&["sweep", "results", name]);
        (report, format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr)))
    }

    fn warnings(&self, sweep: &str) -> (Vec<Value>, String) {
        let (report, told) = self.sweep(sweep);
        assert_eq!(report["phase"]["phase"], "succeeded", "{report}");
        let warnings = report["phase"]["analysis"]["warnings"].as_array().cloned().unwrap_or_default();
        assert_eq!(told.matches("warning:").count(), warnings.len(), "{told}");
        (warnings, told)
    }

    /// Each failed run's moved parameters and message.
    fn failures(&self, sweep: &str) -> Vec<String> {
        let (report, _) = self.sweep(sweep);
        let mut failures: Vec<String> = report["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| {
                assert_eq!(failure["class"], "invalid_output", "{failure}");
                format!("{}: {}", failure["parameters"][0][1].as_str().unwrap(), failure["message"].as_str().unwrap())
            })
            .collect();
        failures.sort();
        failures
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_parameter_without_effect_is_found_among_others_that_have_one() {
    let (warnings, told) = Faulty::new("ignores-parameter").warnings("grid");
    assert_eq!(warnings, [serde_json::json!({"warning": "without_effect", "parameter": "EXEMPT", "pairs": 6})]);
    assert!(told.contains("`EXEMPT` has no effect"), "{told}");
}

#[test]
fn a_parameter_that_is_read_is_not_suspected() {
    let sound = Faulty::new("ignores-parameter");
    sound.rewrite("model.sh", "- 1000)", "- exempt)");
    sound.rewrite(
        "model.sh",
        "awk -v rate",
        "exempt=$(sed -n 's/^EXEMPT,//p' \"$1\")\nawk -v exempt=\"$exempt\" -v rate",
    );
    assert_eq!(sound.warnings("grid").0, [] as [Value; 0]);
}

#[test]
fn defaults_used_for_want_of_a_parameter_file_show_in_outputs_that_never_move() {
    let (warnings, told) = Faulty::new("uses-defaults").warnings("points");
    assert_eq!(
        warnings,
        [serde_json::json!({"warning": "nothing_moves", "parameters": ["RATE", "STANDARD"], "points": 3})]
    );
    assert!(told.contains("every output stays the same at all 3 points"), "{told}");
}

#[test]
fn an_output_that_never_moves_is_told_unless_it_is_declared_constant() {
    let model = Faulty::new("uses-defaults");
    model.rewrite(
        "model.sh",
        "if [ -f parameterOptions.csv ]",
        "ln -s \"$1\" parameterOptions.csv\nif [ -f parameterOptions.csv ]",
    );
    assert_eq!(model.warnings("points").0, [] as [Value; 0], "it reads its parameters, and `units` is declared");
    model.rewrite("modelship.yaml", ", constant: true", "");
    let (warnings, _) = model.warnings("points");
    assert_eq!(warnings, [serde_json::json!({"warning": "constant", "output": "units", "value": 3, "points": 3})]);
    model.rewrite("modelship.yaml", "min: 1", "min: 1, constant: true");
    model.rewrite("model.sh", "\\\"units\\\": 3}\\n\", rate", "\\\"units\\\": %d}\\n\", rate");
    model.rewrite("model.sh", "(50000 - standard)", "(50000 - standard), standard / 100");
    let (warnings, _) = model.warnings("points");
    assert_eq!(warnings, [serde_json::json!({"warning": "not_constant", "output": "units", "one": 16, "other": 17})]);
}

#[test]
fn a_table_with_a_row_too_many_fails_where_the_number_is_declared() {
    let model = Faulty::new("repeats-last-row");
    assert_eq!(model.failures("rates"), ["0.3: file `output.csv` has 21 rows, not the 20 that the manifest declares"]);
    model.rewrite("modelship.yaml", "rows: 20", "rows: {min: 10, max: 30}");
    assert_eq!(model.warnings("rates").0, [] as [Value; 0]);
    model.rewrite("modelship.yaml", "rows: {min: 10, max: 30}", "rows: same");
    let (warnings, told) = model.warnings("rates");
    assert_eq!(warnings, [serde_json::json!({"warning": "rows_differ", "file": "output.csv", "min": 20, "max": 21})]);
    assert!(told.contains("20 rows in one run and 21 in another"), "{told}");
}

#[test]
fn two_ports_of_a_model_that_differ_by_a_row_are_told_apart() {
    let model = Faulty::new("repeats-last-row");
    model.rewrite("modelship.yaml", "{path: output.csv, rows: 20}", "output.csv");
    let (first, _) = model.sweep("rates");
    model.rewrite("model.sh", "if (rate > 0.25) print row > out", "print row > out");
    let (second, _) = model.sweep("rates");
    let id = |report: &Value| report["plan"]["id"].as_str().unwrap().to_owned();
    let against = ["sweep", "results", &id(&second), "--against", &id(&first)];
    let told = String::from_utf8(model.modelship(&against).stdout).unwrap();
    assert!(told.contains("another number of rows at 2 points: 20 before, 21 now"), "{told}");
    let json = model.modelship(&[&against[..], &["--output", "json"]].concat());
    let compared: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(compared["warnings"][0]["warning"], "rows_differ_between", "{compared}");
    assert_eq!(compared["outputs"][0]["differing"], 0, "{compared}");
}

#[test]
fn success_with_nothing_to_show_is_a_failure_unless_it_is_declared() {
    let model = Faulty::new("writes-nothing");
    let end = "though the command ended with status 0";
    assert_eq!(
        model.failures("cases"),
        [
            format!("1: the summary in `summary.json` is empty, {end}"),
            format!("2: the summary in `summary.json` is empty, {end}"),
            format!("3: the summary in `summary.json` holds no value, {end}"),
            format!("4: file `output.csv` has no row, {end}"),
            format!("5: file `output.csv` has no row, {end}"),
        ]
    );
    model.rewrite(
        "modelship.yaml",
        "files: [output.csv]",
        "may_be_empty: true\n  files: [{path: output.csv, may_be_empty: true}]",
    );
    let (warnings, _) = model.warnings("cases");
    assert_eq!(
        warnings,
        [serde_json::json!({"warning": "without_value", "output": "revenue", "runs": 3})],
        "they are let through, and still told"
    );
}

#[test]
fn what_is_not_a_number_in_range_fails_by_column_value_and_limit() {
    assert_eq!(
        Faulty::new("not-a-number").failures("values"),
        [
            "****: output `tax` is NaN",
            "-1: output `tax` is -1, less than its smallest allowed value 0",
            "-inf: output `tax` is infinite",
            "101: output `tax` is 101, more than its largest allowed value 100",
            "12 USD: output `tax` is `12 USD`, which is not a number",
            "NA: output `tax` has no value",
            "empty: output `tax` has no value",
            "nan: output `tax` is NaN",
        ]
    );
}
