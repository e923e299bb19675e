//! The workflows and actions as files: what they use, and what linters say of them and of those of a new hub.

use std::path::Path;
use std::process::Command;

use crate::driver::{PROJECT, Runner};

fn is_commit(reference: &str) -> bool {
    reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks the workflows and actions of a repository.
fn lint(folder: &Path) {
    let done = Command::new("scripts/lint-actions").arg(folder).current_dir(PROJECT).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn no_key_is_stored_anywhere() {
    // Not in a workflow or an action, and not in what a new hub gets; the job's own token goes by another name.
    let asked = ["-rnE", r"\bsecrets\b", ".github", "src/cli/init/hub"];
    let found = Command::new("grep").args(asked).current_dir(PROJECT).output().unwrap();
    assert_eq!(found.status.code(), Some(1), "grep finds none: {}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn what_is_used_of_others_is_pinned_by_commit() {
    let found = Command::new("grep").args(["-rhoE", "uses: +[^ ]+", ".github"]).current_dir(PROJECT).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.lines().count() > 10);
    for line in found.lines() {
        let used = line.trim_start_matches("uses:").trim();
        let pinned = used.split_once('@').is_some_and(|(_, commit)| is_commit(commit));
        assert!(pinned || used.starts_with("$/"), "`{used}` can change under us");
    }
}

#[test]
fn the_linters_find_nothing_here() {
    lint(Path::new("."));
}

#[test]
fn a_new_hub_has_workflows_that_the_linters_accept() {
    let runner = Runner::new();
    let program = env!("CARGO_BIN_EXE_modelship");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let init = |folder: &str, more: &[&str]| {
        let mut command = Command::new(program);
        command.args(["init", "--hub", folder]).args(more).current_dir(runner.workspace.path());
        command.output().unwrap()
    };
    let made = init("hub", &["--actions", &format!("urban/modelship@{commit}")]);
    assert!(made.status.success(), "{made:?}");
    let hub = runner.workspace.path().join("hub");
    lint(&hub);
    let check = std::fs::read_to_string(hub.join(".github/workflows/modelship-check.yml")).unwrap();
    assert!(check.contains(&format!("uses: urban/modelship/.github/workflows/check-model.yml@{commit}\n")), "{check}");

    // Without a word of where: at the commit that the program was built from, which one that is no release does not know.
    let usual = init("usual", &[]);
    let said = String::from_utf8(usual.stderr).unwrap();
    let check = runner.workspace.path().join("usual/.github/workflows/modelship-check.yml");
    let check = std::fs::read_to_string(check).unwrap();
    let used = check.split("modelship/modelship/.github/workflows/check-model.yml@").nth(1).unwrap();
    let used = used.lines().next().unwrap();
    if is_commit(used) {
        assert!(!said.contains("pins them"), "{said}");
        lint(&runner.workspace.path().join("usual"));
    } else {
        assert_eq!(used, format!("v{}", env!("CARGO_PKG_VERSION")));
        assert!(said.contains("does not know which commit it was built from") && said.contains("pins them"), "{said}");
    }
    let moving = init("moving", &["--actions", "urban/modelship@main"]);
    let said = String::from_utf8(moving.stderr).unwrap();
    assert!(said.contains("`--actions` names no commit") && said.contains("`urban/modelship@main`"), "{said}");
    assert!(!String::from_utf8(made.stderr).unwrap().contains("pins them"));
    for wrong in ["urban/modelship", "urban/modelship@", "urban/modelship@a\nb", "x@y", "urban/m@$(id)"] {
        assert!(!init("wrong", &["--actions", wrong]).status.success(), "{wrong}");
    }

    // GitHub lets one run of a group wait: each push is in one of its own, so that none is left out.
    let publish = std::fs::read_to_string(hub.join(".github/workflows/modelship-publish.yml")).unwrap();
    let publish: serde_json::Value = serde_yaml::from_str(&publish).unwrap();
    let group = publish["concurrency"]["group"].as_str().unwrap();
    assert!(group.contains("${{ github.ref }}") && group.contains("${{ github.sha }}"), "{group}");
    // Nor is any sweep that somebody asked for, however often the same file.
    for file in [hub.join(".github/workflows/modelship-sweep.yml"), ".github/workflows/sweep.yml".into()] {
        let sweep = std::fs::read_to_string(Path::new(PROJECT).join(file)).unwrap();
        let sweep: serde_json::Value = serde_yaml::from_str(&sweep).unwrap();
        let jobs = sweep["jobs"].as_object().unwrap().values();
        assert!(jobs.chain([&sweep]).all(|level| level.get("concurrency").is_none()), "{sweep}");
    }
}
