//! The programs of a story: modelship itself and git.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What a finished program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(super) fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The program's answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Checks that the program ended with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

pub(super) fn modelship(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelship"));
    command
        .current_dir(directory)
        .env("MODELSHIP_RUNNER", env!("CARGO_BIN_EXE_modelship-runner"))
        .env("MODELSHIP_USER", "ada")
        .env_remove("MODELSHIP_SETTINGS")
        .env_remove("MODELSHIP_STATE")
        .env_remove("MODELSHIP_LOG")
        .env_remove("MODELSHIP_WEBHOOK_SECRET");
    command
}

/// Runs git, which has to succeed, and gives what it put out.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    git_said(directory, arguments).stdout
}

/// Runs git, which has to succeed.
pub(crate) fn git_said(directory: &Path, arguments: &[&str]) -> Said {
    let output = Command::new("git")
        .current_dir(directory)
        .env("MODELSHIP_USER", "ada")
        .env("MODELSHIP_RUNNER", env!("CARGO_BIN_EXE_modelship-runner"))
        .env_remove("MODELSHIP_SETTINGS")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    let said = Said::of(&output);
    assert_eq!(said.status, 0, "git {arguments:?}: {said:?}");
    said
}

pub(super) fn commit(directory: &Path, message: &str) {
    git(directory, &["add", "--all"]);
    git(directory, &["commit", "--quiet", "--allow-empty", "-m", message]);
}

pub(super) fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
