//! Manifests, sweep files and policies that are broken, huge, or meant to do harm: on the command line and in a pull
//! request. Whoever wrote one is told where and what; nobody waits, and nothing else suffers.

use std::time::{Duration, Instant};

use crate::trouble::{self, MANIFEST, sweep};
use crate::world::Said;
use crate::world::laptop::Laptop;

/// How long a file may take that is only to be refused, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Lists in lists by name, ten in each: a thousand million values in a few hundred bytes.
fn bomb() -> String {
    let mut text = "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("  a{level}: &a{level} [{uses}]\n"));
    }
    text
}

/// What is wrong with each text, and the words that say so. `%` stands for the file's path.
fn broken() -> Vec<(&'static str, String, &'static [&'static str])> {
    let one = |parameters: &str| sweep("CASE", &[parameters]);
    let mut cases: Vec<(&'static str, String, &'static [&'static str])> = vec![
        (
            "malformed",
            "sweep: CASE\nmodel: [examples/trouble\nparameters:\n  N: 1\n".into(),
            &["%:3", "not valid YAML"],
        ),
        ("not-a-mapping", "- sweep\n- bad\n".into(), &["%:1:1", "expected a mapping, found a list"]),
        ("empty", String::new(), &["%", "the file is empty"]),
        ("binary", "sweep: \u{0}\u{1}\u{2}\n".into(), &["%", "not valid YAML"]),
        ("huge", format!("# {}\n{}", "x".repeat(30 << 20), one("N: [1]")), &["%", "bytes; at most", "are read"]),
        ("deep", one(&format!("N: {}", "[".repeat(100_000))), &["%:4", "recursion limit exceeded"]),
        ("bomb", format!("{}\nsweep2:\n{}", one("N: [1]"), bomb()), &["%", "more than 200000 values in one file"]),
        ("itself", one("N: &n [*n]"), &["%:4", "within the value that it names"]),
        ("second-document", format!("{}---\nsweep: two\n", one("N: [1]")), &["%:5", "a second document begins here"]),
        ("tagged", one("N: !!python/object:os.system [1]"), &["%:4", "YAML tags"]),
        (
            "trillion",
            sweep(
                "CASE",
                &[
                    "N: {range: {start: 1, stop: 1000000, step: 1}}",
                    "SLEEP: {range: {start: 0, stop: 60, num: 1000000}}",
                ],
            ),
            &["%", "1,000,000,000,000", "1,000,000"],
        ),
        ("step-of-zero", one("N: {range: {start: 1, stop: 9, step: 0}}"), &["%:4", "step"]),
        ("step-backwards", one("N: {range: {start: 1, stop: 9, step: -1}}"), &["%:4", "step"]),
        ("step-of-nan", one("N: {range: {start: 1, stop: 9, step: .nan}}"), &["%:4", "nan"]),
        ("step-that-misses", one("N: {range: {start: 1, stop: 10, step: 2}}"), &["%:4", "step"]),
        ("stop-at-infinity", one("N: {range: {start: 1, stop: .inf, step: 1}}"), &["%:4", "inf"]),
        ("tiny-step", one("SLEEP: {range: {start: 0, stop: 60, step: 1e-300}}"), &["%:4"]),
        ("no-levels", one("N: []"), &["%:4", "empty"]),
        ("no-parameter", one("M: [1, 2]"), &["%:4", "M"]),
        ("out-of-bounds", one("N: [1, 2000000]"), &["%:4", "2000000", "1000000"]),
        ("not-a-number", one("N: [one]"), &["%:4", "one"]),
        ("half-a-unit", one("N: [1.5]"), &["%:4", "1.5"]),
        (
            "unknown-key",
            format!("{}basline: {{N: 1}}\n", one("N: [1]")),
            &["%:5", "basline", "did you mean `baseline`?"],
        ),
    ];
    for (case, text, _) in &mut cases {
        *text = text.replacen("CASE", case, 1);
    }
    cases
}

/// What was said is short, comes at once, and holds the words.
#[track_caller]
fn told(said: &str, file: &str, case: &str, words: &[&str]) {
    for word in words {
        let word = word.replace('%', file);
        assert!(said.contains(&word), "{case}: `{word}` is not in:\n{}", said.chars().take(3000).collect::<String>());
    }
    assert!(said.len() < 20_000, "{case}: {} bytes are no clear message", said.len());
    for ours in ["panicked", "RUST_BACKTRACE", "/src/"] {
        assert!(!said.contains(ours), "{case}: {said}");
    }
}

#[track_caller]
fn refused(laptop: &Laptop, arguments: &[&str]) -> Said {
    let begin = Instant::now();
    let said = laptop.modelship(arguments);
    assert!(begin.elapsed() < AT_ONCE, "{arguments:?} took {:?}", begin.elapsed());
    assert_eq!(said.status, 1, "{arguments:?}: {said:?}");
    said
}

#[test]
fn a_broken_sweep_file_is_refused_at_once_with_its_place_on_the_command_line() {
    let laptop = trouble::laptop();
    for (case, text, words) in broken() {
        let file = format!("sweeps/{case}.yaml");
        laptop.write(&file, &text);
        told(&refused(&laptop, &["validate", &file]).stderr, &file, case, words);
    }
    // What plans and runs refuses as well, in the same words, and leaves no sweep.
    for case in ["trillion", "bomb", "step-of-zero"] {
        let file = format!("sweeps/{case}.yaml");
        let (_, _, words) = broken().into_iter().find(|(name, ..)| *name == case).unwrap();
        told(&refused(&laptop, &["sweep", "run", "--dirty", &file]).stderr, &file, case, words);
    }
    let sweeps = laptop.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    assert_eq!(sweeps.as_array().unwrap().len(), 0, "{sweeps}");
}

#[test]
fn a_broken_manifest_or_policy_is_refused_at_once_with_its_place_on_the_command_line() {
    let laptop = trouble::laptop();
    let deep = format!("{MANIFEST}x: {}", "{a: ".repeat(100_000));
    let aliases = format!("{MANIFEST}bomb:\n{}", bomb());
    let huge = format!("{MANIFEST}# {}\n", "x".repeat(30 << 20));
    for (case, text, words) in [
        ("malformed", MANIFEST.replace("{process: []}", "{process: [}"), &["%:5", "not valid YAML"][..]),
        ("deep", deep, &["%:23", "nested deeper than 32 levels"]),
        ("bomb", aliases, &["%", "more than 200000 values"]),
        ("huge", huge, &["%", "bytes; at most", "are read"]),
        ("nan", MANIFEST.replace("max: 60", "max: .nan"), &["%:14", "nan"]),
        ("climbing", MANIFEST.replace("models/trouble", "../../etc"), &["%:4", "../../etc"]),
    ] {
        let file = "config/examples/trouble.yaml";
        laptop.write(file, &text);
        told(&refused(&laptop, &["validate", file]).stderr, file, case, words);
        told(&refused(&laptop, &["build", "--dirty"]).stderr, file, case, words);
    }
    laptop.write("config/examples/trouble.yaml", MANIFEST);
    for (case, text, words) in [
        ("malformed", "allow: [admin\nmax_runs: 3\n".to_owned(), &["%:2", "not valid YAML"][..]),
        ("bomb", format!("bomb:\n{}", bomb()), &["%", "more than 200000 values"]),
        ("deep", format!("allow: {}", "[".repeat(100_000)), &["%:1", "recursion limit exceeded"]),
        ("unknown", "max_run: 3\n".to_owned(), &["%:1", "did you mean `max_runs`?"]),
        ("negative", "max_runs: -3\n".to_owned(), &["%:1", "-3"]),
    ] {
        let file = "config/policy.yaml";
        laptop.write(file, &text);
        told(&refused(&laptop, &["validate", file]).stderr, file, case, words);
    }
}

#[test]
fn broken_files_of_a_pull_request_are_told_there_and_hold_up_nobody() {
    let world = trouble::world("");
    let cases = broken();
    for (case, text, _) in &cases {
        world.write(&format!("sweeps/{case}.yaml"), text);
    }
    world.write("config/examples/bomb.yaml", &format!("{MANIFEST}bomb:\n{}", bomb()));
    world.push_branch("broken", "Break everything");
    let number = world.open_pull("broken", "Everything is broken");

    // Somebody else's sweep, asked for after all that.
    world.checkout("main");
    world.write("sweeps/good.yaml", &sweep("good", &["N: [1, 2]"]));
    world.push_branch("good", "Sweep a little");
    let other = world.open_pull("good", "All is well");
    world.until_comment(other, &["/modelship run good"]);
    world.comment(other, "/modelship run");
    world.until_comment(other, &["2 runs done", "analysis.csv"]);

    for (case, _, words) in &cases {
        let file = format!("sweeps/{case}.yaml");
        let comment = world.until_comment(number, &[&format!("`{file}"), "to repair"]);
        // In Markdown some characters are escaped.
        told(&comment.replace('\\', ""), &file, case, words);
    }
    world.until_comment(number, &["Manifests that cannot be read", "config/examples/bomb.yaml", "200000 values"]);
    world.until_idle();
    assert_eq!(world.comments(number).len(), cases.len() + 1, "one for each file: {:#?}", world.comments(number));

    // A policy that cannot be read refuses, and says so, rather than be taken for none.
    world.checkout("main");
    world.write("config/policy.yaml", "allow: [admin\n");
    world.push_branch("main", "Break the policy");
    world.write("sweeps/later.yaml", &sweep("later", &["N: [3, 4]"]));
    world.push_branch("later", "Sweep under a broken policy");
    let later = world.open_pull("later", "Later");
    world.until_comment(later, &["config/policy.yaml"]);
    world.comment(later, "/modelship run");
    world.until_idle();
    let started = world.modelship(&["sweep", "status", "later", "--output", "json"]);
    assert_ne!(started.status, 0, "{started:?}");
}
