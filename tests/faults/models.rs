//! Models that misbehave, each as a run of one sweep beside runs that do well: whoever asked is told what each one did,
//! the others keep their results, and nothing is left running or lying about.

use std::collections::BTreeMap;

use crate::trouble::{self, executed, sweep};
use crate::world::World;
use crate::world::tables::texts;

/// What a run does, and what its failure is called.
const FAILURES: &[(&str, &str, &str)] = &[
    ("status", "model error", "the command ended with status 3"),
    ("killed", "interrupted", "1 interrupted"),
    ("long", "timeout", "ran longer than its limit of 3s"),
    ("talkative", "model error", "the command ended with status 4"),
    ("silent", "invalid output", "summary `summary.csv` was not written by the model"),
    ("nan", "invalid output", "output `n` is NaN"),
    (
        "huge",
        "invalid output",
        "summary `summary.csv` has at least 11000000 bytes, more than the 10485760 that are read",
    ),
    ("link", "invalid output", "summary `summary.csv` is a symbolic link; outputs must be regular files"),
    ("escape", "invalid output", "file `kept.txt` is a symbolic link; outputs must be regular files"),
    ("directory", "invalid output", "summary `summary.csv` does not lie in a plain directory of `{outputs}`"),
    (
        "bulky",
        "invalid output",
        "file `kept.txt` has 1.9 MiB, and with it the kept files have more than `outputs.limit`",
    ),
    (
        "sparse",
        "invalid output",
        "file `kept.txt` has 1.0 TiB, and with it the kept files have more than `outputs.limit`",
    ),
    ("markdown", "model error", "the command ended with status 5"),
];

/// How often a run is done again that was killed from outside each time: that is nobody's fault at first.
const KILLED_AGAIN: usize = 3;

/// Runs that do well in spite of what they leave behind.
const FINE: &[&str] = &["fine", "children"];

#[test]
fn whatever_a_model_does_is_told_once_and_harms_nobody_else() {
    let world = trouble::world("");
    // A comment shows ten failed runs, so they come in two sweeps, with runs that do well in each.
    let halves = FAILURES.split_at(FAILURES.len() / 2);
    let sweeps = [("first", halves.0), ("second", halves.1)];
    for (name, failures) in sweeps {
        let modes: Vec<&str> = FINE.iter().copied().chain(failures.iter().map(|(mode, ..)| *mode)).collect();
        let moved = format!("MODE: [{}]", modes.join(", "));
        world.write(&format!("sweeps/{name}.yaml"), &sweep(name, &[&moved, "MARK: 1", &format!("N: {}", name.len())]));
    }
    world.push_branch("trouble", "Ask for trouble");
    let number = world.open_pull("trouble", "Trouble");
    for (name, _) in sweeps {
        world.until_comment(number, &[&format!("/modelship run {name}")]);
    }
    world.comment(number, "/modelship run");
    for (name, failures) in sweeps {
        let done = format!("2 of {} runs done", failures.len() + 2);
        let result = world.until_comment(number, &[name, &done, "analysis.csv"]);
        told(&world, name, &result, failures);
    }

    // Only what was killed from outside is nobody's fault and is tried again, a few times.
    let mut runs = executed(&world.state());
    let all = runs.len();
    runs.dedup();
    assert_eq!(runs.len(), FAILURES.len() + 2 * FINE.len(), "{runs:?}");
    assert_eq!(all, runs.len() + KILLED_AGAIN, "nothing but the killed one is done again");
    world.until("what the runs started has ended", |_| {
        let running = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            command == b"sleep\x007391\0" || command == b"sleep\x007392\0"
        });
        (!running).then_some(())
    });
    assert_eq!(size_below(&world.state().join("scratch")), 0, "nothing is left in scratch");
    assert!(size_below(&world.state().join("artifacts")) < 8 << 20, "nor are huge files kept");
    world.until_idle();
    let comments = world.comments(number);
    assert_eq!(comments.len(), 4, "the plan and the result of each: {comments:#?}");
}

/// The result names what each run did, and shows nothing that it should not.
fn told(world: &World, name: &str, result: &str, failures: &[(&str, &str, &str)]) {
    let table = world.analysis(name);
    let column = |column| texts(&table, "MODE").into_iter().zip(texts(&table, column)).collect::<BTreeMap<_, _>>();
    let (status, failure) = (column("status"), column("failure"));
    for mode in FINE {
        assert_eq!(status[*mode], "succeeded");
    }
    // As it was before some characters were escaped for Markdown.
    let plain = result.replace('\\', "");
    for (mode, class, message) in failures {
        assert_eq!((status[*mode].as_str(), failure[*mode].as_str()), ("failed", *class), "{mode}");
        assert!(plain.contains(message), "{mode}: {result}");
    }
    assert!(!result.contains("root:x:0"), "{result}");
    assert!(result.len() < 60_000, "a hundred megabytes of output are not shown");
    let mut fenced = false;
    for line in result.lines() {
        fenced ^= line.starts_with("```");
        assert!(fenced || !line.contains("<script>") && !line.contains("@everyone"), "shown as it is: {line}");
    }
}

/// How many bytes the files below `directory` take up on the disk.
fn size_below(directory: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => size_below(&entry.path()),
            false => entry.metadata().unwrap().blocks() * 512,
        })
        .sum()
}
