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

/// The program that executes jobs: of this version, and static where it goes into images.
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
        Ok(_) if settings.executor == ExecutorKind::Docker && is_static(path) == Some(false) => Check::bad(
            "runner",
            format!("`{shown}` needs shared libraries, which a model's image may not have"),
            "build a static one with `scripts/build-runner` and name it as `docker.runner` in the settings",
        ),
        Ok(_) => Check::good("runner", format!("{shown}, run contract {CONTRACT}")),
    }
}

/// Whether the program at `path` needs no loader: its headers name none. None when it is no ELF file of 64 bits.
fn is_static(path: &Path) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    let bytes = fs_err::read(path).ok()?;
    if bytes.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let half = |at: usize| bytes.get(at..at + 2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let start = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    let kinds = (0..count).map(|index| {
        let at = start + index * size;
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    });
    Some(!kinds.collect::<Option<Vec<_>>>()?.contains(&INTERPRETER))
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
    fn a_program_that_needs_a_loader_is_told_from_a_static_one() {
        assert_eq!(is_static(Path::new("/bin/sh")), Some(false));
        let header = |kind: u8| {
            let mut bytes = vec![0; 64 + 56];
            bytes[..5].copy_from_slice(b"\x7fELF\x02");
            (bytes[32], bytes[54], bytes[56], bytes[64]) = (64, 56, 1, kind);
            bytes
        };
        let dir = tempfile::tempdir().unwrap();
        for (bytes, expected) in [(header(1), Some(true)), (header(3), Some(false)), (b"#!/bin/sh".to_vec(), None)] {
            fs_err::write(dir.path().join("program"), bytes).unwrap();
            assert_eq!(is_static(&dir.path().join("program")), expected);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_what_to_do() {
        let check = folder("state", Path::new("/proc/nothing"));
        assert_eq!(check.mark(), "BAD");
        assert!(check.advice.unwrap().contains("--state DIR"));
    }
}
