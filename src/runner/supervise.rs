//! The one way in which commands are run: a process group with a deadline, a memory limit and a bounded log.
//!
//! Used for runs, their summaries, builds and tests alike. It blocks its thread until the command has ended. It waits in
//! `poll`, never by looking again and again, so that a run of a millisecond costs a millisecond.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, test_kill_process_group};
use wait4::Wait4;

use super::log::Log;
use super::memory::MemoryWatch;
use super::processes::{self, Stat, poll};

/// How long a group has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// How often a group's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// How long a killed group's processes may take to be gone.
const GONE: Duration = Duration::from_secs(1);

/// How often a program that somebody still writes is tried again, [`BUSY_WAIT`] apart.
const BUSY_TRIES: u32 = 20;
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// A request to end what is under way. Once made it stays. Any number of threads can watch one.
#[derive(Debug)]
pub struct Stop {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Stop {
    /// A request that nobody has made yet.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { reader, writer })
    }

    /// Makes the request.
    pub fn stop(&self) {
        // The pipe holds thousands of these; when it is full the request has long been made.
        let _ = (&self.writer).write(b"s");
    }

    /// Whether the request was made.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits at most `timeout` for the request and says whether it was made.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        processes::wait_for_end(&self.reader, timeout)
    }

    /// Lets SIGTERM, SIGINT and SIGHUP make the request from now on.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
            signal_hook::low_level::pipe::register(signal, self.writer.try_clone()?)?;
        }
        Ok(())
    }
}

/// What is executed.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The program's path.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Its working directory.
    pub directory: &'a Path,
    /// Its whole environment.
    pub environment: &'a [(OsString, OsString)],
    /// Where its standard output goes; its standard error always goes to the log.
    pub stdout: Stdout,
}

/// Where standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// To the log.
    Log,
    /// To [`Ended::stdout`], at most this many bytes and one more; the rest is dropped.
    Apart(u64),
}

/// What a command may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// When it must have ended.
    pub deadline: Instant,
    /// Memory in bytes over the whole group, when limited.
    pub memory: Option<(u64, &'a MemoryWatch)>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this status.
    Exit(i32),
    /// By a signal that was not sent here.
    Signal(i32),
    /// Its deadline passed and it was ended.
    Timeout,
    /// It used this much memory, in bytes, and was ended.
    OutOfMemory(u64),
    /// [`Stop`] was requested and it was ended.
    Stopped,
}

impl fmt::Display for How {
    /// What follows the command's name in a sentence: `ended with status 2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => {
                let name = signal_hook::low_level::signal_name(*signal).unwrap_or("unknown");
                write!(f, "was ended by signal {signal} ({name})")
            }
            Self::Timeout => f.write_str("ran longer than its limit"),
            Self::OutOfMemory(_) => f.write_str("used more memory than its limit"),
            Self::Stopped => f.write_str("was stopped"),
        }
    }
}

/// A command that has ended, together with its whole group.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub how: How,
    /// CPU time of the command and of its children that it waited for.
    pub cpu: Duration,
    /// Peak resident memory in bytes of its largest process. Never less than this program's own at the start.
    pub peak_memory: u64,
    /// What it printed, when asked for apart from the log.
    pub stdout: Vec<u8>,
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The operating system refused to start it.
    #[error("{0}")]
    CannotStart(#[source] io::Error),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Runs `step` in a process group of its own until it ends, its limits are reached, or `stop` is requested.
///
/// At the deadline or on request the group gets SIGTERM, two seconds later SIGKILL; over its memory, SIGKILL at once.
/// When the command has ended, what is left of its group is killed. What it prints goes to `log`, which never blocks it.
///
/// # Errors
/// [`SuperviseError::CannotStart`] when the program cannot be executed.
pub fn supervise(step: &Step<'_>, limits: &Limits<'_>, log: &mut Log, stop: &Stop) -> Result<Ended, SuperviseError> {
    let (log_reader, log_writer) = io::pipe().context("failed to make a pipe")?;
    let mut command = Command::new(step.program);
    command.args(step.arguments).current_dir(step.directory).env_clear().stdin(Stdio::null()).process_group(0);
    command.envs(step.environment.iter().map(|(name, value)| (name, value)));
    let mut apart = None;
    match step.stdout {
        Stdout::Log => command.stdout(log_writer.try_clone().context("failed to copy a pipe")?),
        Stdout::Apart(limit) => {
            let (reader, writer) = io::pipe().context("failed to make a pipe")?;
            apart = Some(Apart { reader, limit, bytes: Vec::new() });
            command.stdout(writer)
        }
    };
    command.stderr(log_writer);
    let child = start(&mut command)?;
    if let Some((_, memory)) = limits.memory {
        memory.offer(child.id());
    }
    // The command holds the writing ends; the pipes must end with the processes.
    drop(command);
    let mut watch = Watch { group: Pid::from_child(&child), log_reader: Some(log_reader), apart, log, stopping: None };
    let outcome = watch.until_ended(limits, stop);
    watch.finish(child, outcome)
}

/// Starts `command`, again when the program is still open for writing in a process that is just being started.
fn start(command: &mut Command) -> Result<Child, SuperviseError> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(BUSY_WAIT),
            started => return started.map_err(SuperviseError::CannotStart),
        }
    }
    command.spawn().map_err(SuperviseError::CannotStart)
}

/// Standard output that is kept apart.
struct Apart {
    reader: PipeReader,
    limit: u64,
    bytes: Vec<u8>,
}

impl Apart {
    fn push(&mut self, bytes: &[u8]) {
        let room = (self.limit + 1).saturating_sub(self.bytes.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

/// A group that is being ended.
struct Stopping {
    how: How,
    /// When patience ends; none once it was killed.
    kill_at: Option<Instant>,
}

struct Watch<'a> {
    group: Pid,
    log_reader: Option<PipeReader>,
    apart: Option<Apart>,
    log: &'a mut Log,
    stopping: Option<Stopping>,
}

/// Which of the watched things are ready.
#[derive(Default)]
struct Ready {
    ended: bool,
    stop: bool,
    log: bool,
    apart: bool,
}

impl Watch<'_> {
    /// Returns once the command itself has ended and has not been collected yet.
    fn until_ended(&mut self, limits: &Limits<'_>, stop: &Stop) -> anyhow::Result<()> {
        let handle = pidfd_open(self.group, PidfdFlags::empty()).context("failed to open a child's handle")?;
        let mut apart_open = self.apart.is_some();
        let mut next_sample = Instant::now() + SAMPLE;
        loop {
            let ready = self.wait(&handle, stop, apart_open, self.wake_at(limits, next_sample))?;
            if ready.log && !read_log(self.log_reader.as_mut(), self.log)? {
                self.log_reader = None;
            }
            if ready.apart {
                apart_open = read_apart(self.apart.as_mut())?;
            }
            if ready.ended {
                return Ok(());
            }
            self.log.tick();
            let now = Instant::now();
            match &mut self.stopping {
                Some(Stopping { kill_at, .. }) => {
                    if kill_at.is_some_and(|at| at <= now) {
                        *kill_at = None;
                        self.kill(Signal::KILL);
                    }
                }
                None if ready.stop => self.end(How::Stopped, now),
                None if limits.deadline <= now => self.end(How::Timeout, now),
                None => {
                    if let Some((limit, memory)) = limits.memory
                        && next_sample <= now
                    {
                        self.check_memory(limit, memory);
                        next_sample = Instant::now() + SAMPLE;
                    }
                }
            }
        }
    }

    /// When to look again, whatever happens; none when there is nothing to look for.
    fn wake_at(&self, limits: &Limits<'_>, next_sample: Instant) -> Option<Instant> {
        match &self.stopping {
            Some(stopping) => stopping.kill_at,
            None if limits.memory.is_some() => Some(limits.deadline.min(next_sample)),
            None => Some(limits.deadline),
        }
    }

    fn wait(
        &self,
        handle: &impl std::os::fd::AsFd,
        stop: &Stop,
        apart_open: bool,
        wake_at: Option<Instant>,
    ) -> anyhow::Result<Ready> {
        // The handle comes first: what was printed before the end is seen in the same look that sees the end.
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(handle, PollFlags::IN));
        let log = self.log_reader.as_ref().map(|reader| push(&mut fds, PollFd::new(reader, PollFlags::IN)));
        let apart = self.apart.as_ref().filter(|_| apart_open);
        let apart = apart.map(|apart| push(&mut fds, PollFd::new(&apart.reader, PollFlags::IN)));
        let stop = self.stopping.is_none().then(|| push(&mut fds, PollFd::new(&stop.reader, PollFlags::IN)));
        let timeout = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
        poll(&mut fds, timeout).context("failed to wait for a child")?;
        let is_ready = |index: Option<usize>| index.is_some_and(|index| !fds[index].revents().is_empty());
        Ok(Ready { ended: is_ready(Some(0)), stop: is_ready(stop), log: is_ready(log), apart: is_ready(apart) })
    }

    fn check_memory(&mut self, limit: u64, memory: &MemoryWatch) {
        let group = self.group.as_raw_nonzero().get();
        if memory.resident(group) > limit {
            let used = memory.proportional(group);
            if used > limit {
                self.stopping = Some(Stopping { how: How::OutOfMemory(used), kill_at: None });
                self.kill(Signal::KILL);
            }
        }
    }

    fn end(&mut self, how: How, now: Instant) {
        self.stopping = Some(Stopping { how, kill_at: Some(now + GRACE) });
        self.kill(Signal::TERM);
        // A stopped process takes SIGTERM only once it goes on.
        self.kill(Signal::CONT);
    }

    fn kill(&self, signal: Signal) {
        // There is nothing left to signal when this fails.
        let _ = kill_process_group(self.group, signal);
    }

    /// Kills what is left of the group, reads the rest of what it printed, and collects the command.
    fn finish(mut self, child: Child, outcome: anyhow::Result<()>) -> Result<Ended, SuperviseError> {
        // The command is not collected yet, so its group's number still belongs to it.
        self.kill(Signal::KILL);
        let drained = self.drain();
        let used = child.wait4().context("failed to collect a child")?;
        if test_kill_process_group(self.group).is_ok() {
            wait_until_gone(self.group);
        }
        outcome?;
        drained?;
        let how = match (self.stopping, used.status.code(), used.status.signal()) {
            (Some(stopping), ..) => stopping.how,
            (None, Some(code), _) => How::Exit(code),
            (None, None, signal) => How::Signal(signal.unwrap_or(0)),
        };
        Ok(Ended {
            how,
            cpu: used.rusage.utime + used.rusage.stime,
            peak_memory: used.rusage.maxrss,
            stdout: self.apart.map(|apart| apart.bytes).unwrap_or_default(),
        })
    }

    /// Reads what is in the pipes now. Not until their ends: a process that left the group could hold them open.
    fn drain(&mut self) -> anyhow::Result<()> {
        for _ in 0..64 {
            let mut fds = Vec::with_capacity(2);
            let log = self.log_reader.as_ref().map(|reader| push(&mut fds, PollFd::new(reader, PollFlags::IN)));
            let apart = self.apart.as_ref();
            let apart = apart.map(|apart| push(&mut fds, PollFd::new(&apart.reader, PollFlags::IN)));
            if fds.is_empty() {
                return Ok(());
            }
            poll(&mut fds, Some(Duration::ZERO)).context("failed to look into a pipe")?;
            let has_text =
                |index: Option<usize>| index.is_some_and(|index| fds[index].revents().contains(PollFlags::IN));
            let (log, apart) = (has_text(log), has_text(apart));
            if log {
                read_log(self.log_reader.as_mut(), self.log)?;
            }
            if apart {
                read_apart(self.apart.as_mut())?;
            }
            if !log && !apart {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn push<'a>(fds: &mut Vec<PollFd<'a>>, fd: PollFd<'a>) -> usize {
    fds.push(fd);
    fds.len() - 1
}

/// Reads once and says whether there may be more.
fn read_log(reader: Option<&mut PipeReader>, log: &mut Log) -> anyhow::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let Some(reader) = reader else { return Ok(false) };
    let length = reader.read(&mut buffer).context("failed to read a log")?;
    log.push(&buffer[..length]);
    Ok(length > 0)
}

/// Reads once and says whether there may be more.
fn read_apart(apart: Option<&mut Apart>) -> anyhow::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let Some(apart) = apart else { return Ok(false) };
    let length = apart.reader.read(&mut buffer).context("failed to read standard output")?;
    apart.push(&buffer[..length]);
    Ok(length > 0)
}

/// Waits until no process of the killed `group` runs any more, so that nothing writes into what is read next.
fn wait_until_gone(group: Pid) {
    let deadline = Instant::now() + GONE;
    let number = group.as_raw_nonzero().get();
    while Instant::now() < deadline {
        let mut members = processes::all().into_iter().flatten().filter_map(Stat::read);
        if !members.any(|stat| stat.group == number && !stat.is_dead()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
