//! What this machine has: programs, folders, limits.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit};

use super::Check;
use crate::domain::report::numbers;
use crate::runner::CONTRACT;
use crate::settings::{ExecutorKind, Settings};

/// How much room a folder should have. A sweep of small runs needs far less.
const ROOM: u64 = 1 << 30;

/// How many open files one run needs at most: pipes, handles, its record.
const FILES_OF_A_RUN: u64 = 16;

/// How many open files everything else needs: connections, logs, listeners.
const FILES: u64 = 256;

/// git, which users push with and which the local forge calls its hooks from. modelship itself reads repositories without
/// it.
pub(super) fn git() -> Check {
    match answer(Path::new("git"), "--version") {
        Ok(version) => Check::good("git", version),
        Err(_) => Check::bad("git", "not found on PATH", "install it: `apt-get install git`"),
    }
}

/// The program that executes jobs, which has to be of this version.
pub(super) fn runner(settings: &Settings) -> Check {
    let path = match settings.executor {
        ExecutorKind::Process => &settings.process.runner,
        ExecutorKind::Docker => &settings.docker.runner,
    };
    let shown = path.display();
    let beside = "put the `modelship-runner` of this release beside `modelship`, or name it in MODELSHIP_RUNNER";
    let own = format!("modelship-runner {} (run contract {CONTRACT})", env!("CARGO_PKG_VERSION"));
    match answer(path, "--version") {
        Err(why) => Check::bad("runner", format!("`{shown}` {why}"), beside),
        Ok(version) if version != own => {
            Check::bad("runner", format!("`{shown}` is {version}, and this is {own}"), beside)
        }
        Ok(_) => Check::good("runner", format!("{shown}, run contract {CONTRACT}")),
    }
}

/// A folder that has to be written to, with how much room there is.
pub(super) fn folder(part: &'static str, path: &Path) -> Check {
    let advice = match part {
        "state" => "choose one that you can write to with `--state DIR` or `state` in the settings",
        _ => "choose one that you can write to with `artifacts` in the settings",
    };
    let written = fs_err::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path));
    if let Err(error) = written {
        return Check::bad(part, error.to_string(), advice);
    }
    match rustix::fs::statvfs(path) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let text = format!("{}, {} free", path.display(), numbers::bytes(free));
            if free < ROOM {
                Check::look(part, text, "make room, or move it to another disk")
            } else {
                Check::good(part, text)
            }
        }
        Err(_) => Check::good(part, path.display().to_string()),
    }
}

/// How many files this process may have open.
pub(super) fn descriptors(settings: &Settings) -> Check {
    let needed = FILES + FILES_OF_A_RUN * u64::from(settings.process.slots);
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < needed => Check::look(
            "open files",
            format!("{} at most", numbers::count(most)),
            format!(
                "allow {} for {} runs at once: `ulimit -n {needed}`",
                numbers::count(needed),
                settings.process.slots
            ),
        ),
        Some(most) => Check::good("open files", format!("{} at most", numbers::count(most))),
        None => Check::good("open files", "as many as you like"),
    }
}

/// The first line that a program says when it is asked.
fn answer(program: &Path, question: &str) -> Result<String, String> {
    match Command::new(program).arg(question).stdin(Stdio::null()).output() {
        Ok(answer) if answer.status.success() => {
            Ok(String::from_utf8_lossy(&answer.stdout).lines().next().unwrap_or_default().to_owned())
        }
        Ok(answer) => Err(format!("does not answer to `{question}` ({})", answer.status)),
        Err(error) => Err(format!("does not start ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_says_what_to_do() {
        let check = folder("state", Path::new("/proc/nothing"));
        assert_eq!(check.mark(), "BAD");
        assert!(check.advice.unwrap().contains("--state DIR"));
    }
}
