//! What the end of a step means for its run: the failure's class and the sentence for the user.

use std::ffi::OsStr;
use std::io;

use crate::domain::manifest::Run;
use crate::domain::sweep::record::FailureClass;

use super::keep::plain;
use super::memory::MemoryWatch;
use super::run::{Failure, Trouble};
use super::supervise::{Ended, How, Step};

/// A step that ends by SIGKILL with this share of its memory used is taken to have run out of it.
const NEARLY_ALL: f64 = 0.9;

/// Says whether `name`, a step of `run`, ended well.
///
/// # Errors
/// How the run failed, or that it was stopped.
pub(super) fn judge(name: &str, ended: &Ended, run: &Run, memory: &MemoryWatch) -> Result<(), Trouble> {
    let limit = run.resources.memory;
    let (class, message) = match ended.how {
        How::Exit(0) => return Ok(()),
        How::Stopped => return Err(Trouble::Stopped),
        How::Timeout => {
            let limit = humantime::format_duration(run.timeout);
            (FailureClass::Timeout, format!("ran longer than its limit of {limit}"))
        }
        How::OutOfMemory(used) => {
            let (used, limit) = (bytes(used), bytes(limit));
            (FailureClass::OutOfMemory, format!("used {used} of memory, more than its limit of {limit}"))
        }
        How::Signal(9) if nearly_all(ended.peak_memory, limit) || memory.kernel_killed() => {
            let message = format!("{name} was killed for lack of memory; its limit is {}", bytes(limit));
            (FailureClass::OutOfMemory, message)
        }
        // A part of the command was taken, and the rest of it gave up.
        how @ (How::Exit(_) | How::Signal(_)) if memory.is_own() && memory.kernel_killed() => {
            let limit = bytes(limit);
            (
                FailureClass::OutOfMemory,
                format!("{name} {how} after the kernel took a part of it; its limit of memory is {limit}"),
            )
        }
        How::Signal(9) => (FailureClass::Interrupted, format!("{name} was killed from outside (SIGKILL)")),
        How::Signal(15) => (FailureClass::Interrupted, format!("{name} was ended from outside (SIGTERM)")),
        how @ (How::Exit(_) | How::Signal(_)) => (FailureClass::ModelError, format!("{name} {how}")),
    };
    Err(Failure::new(class, message).into())
}

/// The failure of a step that the operating system refused to start.
pub(super) fn cannot_start(step: &Step<'_>, error: &io::Error) -> Failure {
    let name = step.program.file_name().unwrap_or_else(|| OsStr::new("")).to_string_lossy();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "; the file, or the interpreter that its first line names, is not there",
        io::ErrorKind::PermissionDenied => "; is it executable?",
        io::ErrorKind::ArgumentListTooLong => "; pass the parameters in a file",
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            "; a script needs a first line like `#!/bin/sh`"
        }
        _ => "",
    };
    Failure::new(FailureClass::CannotStart, format!("cannot start `{name}`: {}{hint}", plain(error)))
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no exact bytes")]
fn nearly_all(used: u64, limit: u64) -> bool {
    used as f64 >= limit as f64 * NEARLY_ALL
}

fn bytes(size: u64) -> String {
    bytesize::ByteSize(size).to_string()
}
