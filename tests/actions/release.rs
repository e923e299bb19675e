//! What a release knows of the commit that it is built from: `build.rs`, compiled and run as cargo does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::driver::{PROJECT, Runner};

/// The build script as a program.
struct Script(PathBuf);

/// What it tells cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// The commit that the program will know.
    commit: Option<String>,
    /// What makes cargo run it again.
    watched: Vec<String>,
}

impl Script {
    fn compiled(folder: &Path) -> Self {
        let program = folder.join("build-script");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-o"]).arg(&program).arg(Path::new(PROJECT).join("build.rs"));
        let done = rustc.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        Self(program)
    }

    fn told(&self, folder: &Path, profile: &str) -> Told {
        let mut command = Command::new(&self.0);
        command.current_dir(folder).env("PROFILE", profile).env("CARGO_FEATURE_SERVER", "1");
        // A hook of git that runs this suite speaks of another repository.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let text = String::from_utf8(done.stdout).unwrap();
        let all = |key: &str| text.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect();
        let commits: Vec<String> = all("cargo::rustc-env=MODELSHIP_COMMIT=");
        Told { commit: commits.into_iter().next(), watched: all("cargo::rerun-if-changed=") }
    }
}

/// What lies at the watched paths.
fn seen(folder: &Path, told: &Told) -> Vec<Vec<u8>> {
    let read = |path: &String| fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    told.watched.iter().map(read).collect()
}

#[test]
fn a_release_knows_its_commit_and_is_built_again_for_another_one_alone() {
    let runner = Runner::new();
    let script = Script::compiled(runner.temp());
    let folder = runner.workspace.path();
    runner.write("build.rs", "");
    let nothing = Told { commit: None, watched: vec!["build.rs".to_owned()] };
    assert_eq!(script.told(folder, "release"), nothing, "there is no commit yet");

    let first = runner.commit("Begin");
    let told = script.told(folder, "release");
    assert_eq!(told.commit, Some(first));
    assert_eq!(script.told(folder, "debug"), nothing, "a commit builds nothing anew while one works");

    // However git keeps its branches: a commit is noticed, and nothing else is.
    let before = seen(folder, &told);
    runner.write("more", "");
    assert_eq!((seen(folder, &told), script.told(folder, "release")), (before.clone(), told.clone()));
    let second = runner.commit("Go on");
    assert_ne!(seen(folder, &told), before);
    runner.git(&["pack-refs", "--all"]);
    let told = script.told(folder, "release");
    assert_eq!(told.commit, Some(second));
    let before = seen(folder, &told);
    runner.write("more", "1");
    let third = runner.commit("Go further");
    assert_ne!(seen(folder, &told), before);

    // A work tree of its own.
    let beside = runner.temp().join("beside");
    runner.git(&["worktree", "add", "--quiet", "-b", "topic", beside.to_str().unwrap()]);
    let told = script.told(&beside, "release");
    assert_eq!(told.commit, Some(third));
    seen(&beside, &told);

    // An archive that was unpacked in somebody's repository.
    let unpacked = folder.join("modelship-0.1.0");
    fs::create_dir(&unpacked).unwrap();
    assert_eq!(script.told(&unpacked, "release"), nothing);
}
