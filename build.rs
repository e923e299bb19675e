//! Tells a release which commit it is built from: the workflows of a new hub use the actions of that commit.
//!
//! Other builds are not told, as each commit would then build them anew. Without git, or without a repository of its own
//! as in an unpacked archive, nobody knows, and the program says so where it matters.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // The runner is built without the feature.
    let wanted = variable("PROFILE") == "release" && !variable("CARGO_FEATURE_SERVER").is_empty();
    // An archive may lie in somebody else's repository.
    if !wanted || !Path::new(".git").exists() {
        return;
    }
    let Some(commit) = git(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]) else { return };
    println!("cargo::rustc-env=MODELSHIP_COMMIT={commit}");
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        // A file that is not there would count as changed each time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// What git answers in one line; none when it has nothing to say, or is not there.
fn git(arguments: &[&str]) -> Option<String> {
    let said = Command::new("git").args(arguments).output().ok().filter(|said| said.status.success())?;
    let text = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
