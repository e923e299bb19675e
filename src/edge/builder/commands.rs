//! One build's commands, in a directory of its own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::runner::processes::ProcessId;
use crate::runner::supervise::{How, Limits, Stdout, Step, Stop, SuperviseError, supervise};
use crate::runner::tree::remove_tree;
use crate::runner::{BUILD_MARKER, Log, base_environment, processes, resolve_program, tail_of};

use super::process::{BuildError, BuildRequest, BuilderSettings};
use super::text_of;

/// Ends what was left of the same build, then checks out and runs the commands. Returns the build's directory and how
/// long the commands took. The log is written however it ends.
pub(super) fn build(
    request: BuildRequest,
    settings: &BuilderSettings,
    stop: &Stop,
) -> Result<(Room, Duration), BuildError> {
    let prefix = format!("build-{}-", &request.digest.hex()[..16]);
    end_builds(&settings.scratch, &prefix)?;
    let room = Room::make(&settings.scratch, &prefix)?;
    let log_path = request.log.clone();
    let mut log = Log::new(Log::BUILD);
    let built = build_in(&room, request, settings, &mut log, stop);
    write_log(&log_path, &log)?;
    built.map(|elapsed| (room, elapsed))
}

/// Ends processes of builds whose directory in `scratch` has a name that begins with `prefix`, and removes those
/// directories. Says how many processes there were.
pub(super) fn end_builds(scratch: &Path, prefix: &str) -> anyhow::Result<usize> {
    let named = |directory: &Path| {
        let name = directory.file_name().and_then(|name| name.to_str());
        directory.parent() == Some(scratch) && name.is_some_and(|name| name.starts_with(prefix) && !owner_lives(name))
    };
    let ended = processes::end_where(|process| process.value(BUILD_MARKER).map(Path::new).is_some_and(named))?;
    fs_err::create_dir_all(scratch).context("failed to make the scratch directory")?;
    for entry in fs_err::read_dir(scratch).context("failed to look for left builds")? {
        let path = entry.context("failed to look for left builds")?.path();
        if named(&path) {
            remove_tree(&path).context("failed to remove a left build")?;
        }
    }
    Ok(ended)
}

/// What the name of a directory begins with in which tests run. They run in whatever process asks for them, also beside
/// the one that builds, so the name says which process that is.
pub(super) fn tests_prefix() -> String {
    format!("{TESTS}{}-", ProcessId::own())
}

/// What is common to all of them.
const TESTS: &str = "build-tests-";

/// Whether the directory is one for tests whose process is at work on them.
fn owner_lives(name: &str) -> bool {
    let owner = name.strip_prefix(TESTS).and_then(|rest| rest.rsplit_once('-'));
    owner.and_then(|(process, _)| ProcessId::parse(process)).is_some_and(|process| process.is_alive())
}

/// A build's own directory. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) path: PathBuf,
    /// The source, and what is built of it.
    pub(super) model: PathBuf,
    /// Home and temporary files of the commands.
    home: PathBuf,
}

impl Room {
    pub(super) fn make(scratch: &Path, prefix: &str) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(scratch);
        let path = directory.context("failed to make a build's directory")?.keep();
        let room = Self { model: path.join("model"), home: path.join("home"), path };
        for directory in [&room.model, &room.home] {
            fs_err::create_dir(directory).context("failed to make a build's directory")?;
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next build of the same digest.
        let _ = remove_tree(&self.path);
    }
}

fn build_in(
    room: &Room,
    request: BuildRequest,
    settings: &BuilderSettings,
    log: &mut Log,
    stop: &Stop,
) -> Result<Duration, BuildError> {
    (request.checkout)(&room.model).context("failed to check out the source")?;
    let around = request.build.surroundings(text_of(&room.model)?, &settings.search_path);
    let mut environment = base_environment(&around.search_path, &room.home, 1000);
    environment.extend(around.variables.iter().map(|(name, value)| (name.into(), value.into())));
    environment.extend(settings.environment.iter().map(|(name, value)| (name.into(), value.into())));
    environment.push((BUILD_MARKER.into(), room.path.clone().into()));
    let start = Instant::now();
    let commands =
        Commands { room, search_path: around.search_path, environment, timeout: request.timeout, start, stop };
    let ran = request.commands.iter().try_for_each(|command| commands.run(command, log));
    let elapsed = start.elapsed();
    // However they ended: what left their groups would go on in a folder that is gone.
    end_strays(&room.path)?;
    ran.map(|()| elapsed)
}

/// What all commands of a build share.
struct Commands<'a> {
    room: &'a Room,
    search_path: String,
    environment: Vec<(OsString, OsString)>,
    timeout: Duration,
    start: Instant,
    stop: &'a Stop,
}

impl Commands<'_> {
    fn run(&self, command: &[String], log: &mut Log) -> Result<(), BuildError> {
        let shown = command.join(" ");
        log.push(format!("$ {shown}\n").as_bytes());
        let exit = match self.execute(command, log) {
            Ok(How::Exit(0)) => return Ok(()),
            Ok(How::Stopped) => return Err(BuildError::Cancelled),
            Ok(How::Timeout) => {
                return Err(BuildError::Timeout { limit: self.timeout, log_tail: tail_of(&log.text()) });
            }
            Ok(how @ (How::Exit(_) | How::Signal(_) | How::OutOfMemory(_))) => how.to_string(),
            Err(SuperviseError::CannotStart(error)) => format!("did not start: {error}"),
            Err(SuperviseError::Internal(error)) => return Err(BuildError::Internal(error)),
        };
        log.push(format!("{exit}\n").as_bytes());
        Err(BuildError::Failed { command: shown, exit, log_tail: tail_of(&log.text()) })
    }

    fn execute(&self, command: &[String], log: &mut Log) -> Result<How, SuperviseError> {
        let model = &self.room.model;
        let (program, arguments) = program_of(command, model, &self.search_path)
            .map_err(|reason| SuperviseError::CannotStart(io::Error::other(reason)))?;
        let step = Step {
            program: &program,
            arguments: &arguments,
            directory: model,
            environment: &self.environment,
            stdout: Stdout::Log,
        };
        let limits = Limits { deadline: self.start + self.timeout, memory: None };
        Ok(supervise(&step, &limits, log, self.stop)?.how)
    }
}

/// Ends what commands or tests left running outside of their groups, so that nothing changes the model any more.
pub(super) fn end_strays(build: &Path) -> anyhow::Result<()> {
    let build = build.to_str().context("the scratch directory's path must be UTF-8")?;
    processes::end_where(|process| process.value(BUILD_MARKER) == Some(build))?;
    Ok(())
}

/// The program and the arguments of an argv list.
fn program_of(command: &[String], model: &Path, search_path: &str) -> Result<(PathBuf, Vec<OsString>), String> {
    let (first, rest) = command.split_first().ok_or("the command is empty")?;
    let program = resolve_program(first.as_ref(), model, search_path)?;
    Ok((program, rest.iter().map(OsString::from).collect()))
}

pub(super) fn write_log(path: &Path, log: &Log) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory).context("failed to make a place for a build's log")?;
    }
    fs_err::write(path, log.text()).context("failed to write a build's log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_under_way_in_a_living_process_are_not_taken_for_leftovers() {
        let scratch = tempfile::tempdir().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let gone = ProcessId::of(ended.id()).map(|process| process.to_string());
        ended.wait().unwrap();
        let own = Room::make(scratch.path(), &tests_prefix()).unwrap();
        let left = scratch.path().join(format!("{TESTS}{}-abcdef", gone.unwrap_or_else(|| "1.1.x".to_owned())));
        let older = scratch.path().join("build-tests-abcdef");
        let build = scratch.path().join("build-0123456789abcdef-abcdef");
        [&left, &older, &build].iter().for_each(|path| fs_err::create_dir(path).unwrap());
        end_builds(scratch.path(), "build-").unwrap();
        assert!(own.path.exists(), "somebody runs tests here");
        assert!(!left.exists() && !older.exists() && !build.exists());
    }
}
