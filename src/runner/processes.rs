//! Finds processes again: by pid and start time, by group, and by the marker in their environment.
//!
//! A pid alone says nothing, because pids are used again. Signals go through pidfds, so that they cannot hit a process
//! that took over the number in between.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The largest environment that is searched for a marker, in bytes.
const ENVIRONMENT: u64 = 4 * 1024 * 1024;

/// How long killed processes may take to be gone.
const END_WAIT: Duration = Duration::from_secs(5);

/// A process that cannot be mistaken for a later one: pid, start time and boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessId {
    pid: i32,
    start: u64,
    boot: String,
}

impl ProcessId {
    /// The identity of the living process `pid`; none when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let stat = Stat::read(pid)?;
        (!stat.is_dead()).then(|| Self { pid, start: stat.start, boot: boot() })
    }

    /// The identity of this process.
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id()).expect("/proc shows a process to itself")
    }

    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let pid = parts.next()?.parse().ok().filter(|pid| *pid > 0)?;
        let start = parts.next()?.parse().ok()?;
        Some(Self { pid, start, boot: parts.next()?.to_owned() })
    }

    /// The pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this very process still runs. A zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && !stat.is_dead()) && self.boot == boot()
    }

    /// A handle on this very process; none when it has ended.
    #[must_use]
    pub fn open(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        self.is_alive().then_some(handle)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.pid, self.start, self.boot)
    }
}

/// The start of the id that the kernel gives each boot.
fn boot() -> String {
    let id = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().take(8).collect()
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    state: u8,
    /// The process group.
    pub(super) group: i32,
    /// When it started, in ticks since the boot.
    pub(super) start: u64,
    /// Resident memory in pages.
    pub(super) resident_pages: u64,
}

impl Stat {
    /// None when there is no such process.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let mut buffer = [0; 1024];
        let length = fs_err::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).ok().or_else(|| {
            // The program's name may be anything; what matters comes after its closing parenthesis.
            let end = buffer[..length].iter().rposition(|byte| *byte == b')')?;
            std::str::from_utf8(&buffer[end..length]).ok()
        })?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // The first field here is the third of proc(5).
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            group: field(5)?.parse().ok()?,
            start: field(22)?.parse().ok()?,
            resident_pages: field(24)?.parse().unwrap_or(0),
        })
    }

    /// Whether it has ended and only waits to be collected.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The pids of all processes that this one can see.
pub(super) fn all() -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs_err::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// What a process was started with.
#[derive(Debug)]
pub struct Environment(Vec<u8>);

impl Environment {
    /// That of the process `pid`; none when it cannot be read.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let mut bytes = Vec::new();
        fs_err::File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRONMENT).read_to_end(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The value of the variable `name`, when it is there and is text.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let entries = self.0.split(|byte| *byte == 0);
        let mut values = entries.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        values.next().and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Every process whose environment `belongs`, but not this one. Environments of other users' processes cannot be read.
fn with_environment(belongs: impl Fn(&Environment) -> bool) -> io::Result<Vec<OwnedFd>> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let look = |pid| {
        // The handle first: what is read afterwards belongs to the process that it holds, or to none.
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        belongs(&Environment::of(pid)?).then_some(handle)
    };
    Ok(all()?.filter(|pid| *pid != own).filter_map(look).collect())
}

/// Kills every process whose environment `belongs`, and those that they start meanwhile, and waits until they are gone.
/// Says how many there were.
///
/// # Errors
/// When `/proc` cannot be read, or a process is still there seconds after it was killed.
pub fn end_where(belongs: impl Fn(&Environment) -> bool) -> anyhow::Result<usize> {
    let deadline = Instant::now() + END_WAIT;
    let mut ended = 0;
    loop {
        let found = with_environment(&belongs).context("failed to look at the processes")?;
        if found.is_empty() {
            return Ok(ended);
        }
        for handle in &found {
            signal(handle, Signal::KILL);
        }
        for handle in &found {
            let left = deadline.saturating_duration_since(Instant::now());
            anyhow::ensure!(wait_for_end(handle, left), "a process is still there {END_WAIT:?} after it was killed");
        }
        ended += found.len();
    }
}

/// Sends `signal` to the process behind `handle`; one that has ended already is no fault.
pub fn signal(handle: &OwnedFd, signal: Signal) {
    let _ = pidfd_send_signal(handle, signal);
}

/// Waits at most `timeout` for the process behind `handle` to end, and says whether it has.
#[must_use]
pub fn wait_for_end(handle: impl AsFd, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&handle, PollFlags::IN)];
        match poll(&mut fds, Some(left)) {
            Ok(ready) if ready > 0 => return true,
            Ok(_) if left.is_zero() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Waits at most `timeout` until one of the processes behind `handles` has ended.
///
/// # Errors
/// When the operating system cannot watch them.
pub fn wait_for_any<'a>(handles: impl IntoIterator<Item = BorrowedFd<'a>>, timeout: Duration) -> io::Result<()> {
    let mut fds: Vec<_> = handles.into_iter().map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)).collect();
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if poll(&mut fds, Some(left))? > 0 || left.is_zero() {
            return Ok(());
        }
    }
}

/// `poll(2)` that a signal does not break off early with an error: it returns 0 then, as after a short wait.
pub(super) fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match rustix::event::poll(fds, timeout.as_ref()) {
        Ok(ready) => Ok(ready),
        Err(rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_pid_and_start_until_it_ends() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert_eq!(ProcessId::parse(&id.to_string()), Some(id.clone()));
        assert!(id.is_alive());
        let earlier = ProcessId { start: id.start - 1, ..id.clone() };
        assert!(!earlier.is_alive() && earlier.open().is_none());
        let handle = id.open().unwrap();
        signal(&handle, Signal::KILL);
        assert!(wait_for_end(&handle, Duration::from_secs(5)));
        assert!(!id.is_alive(), "a zombie counts as ended");
        child.wait().unwrap();
        assert!(ProcessId::of(child.id()).is_none());
    }

    #[test]
    fn processes_are_found_and_ended_by_their_marker() {
        let value = format!("/marker/{}", std::process::id());
        let start = |value: &str| {
            Command::new("/bin/sh").args(["-c", "sleep 60 & wait"]).env("MODELSHIP_TEST", value).spawn().unwrap()
        };
        let (mut child, mut other) = (start(&value), start(&format!("{value}/other")));
        let ended = end_where(|process| process.value("MODELSHIP_TEST") == Some(&value)).unwrap();
        assert!(ended >= 1, "{ended}");
        assert!(!child.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        let below =
            |process: &Environment| process.value("MODELSHIP_TEST").is_some_and(|found| found.starts_with(&value));
        assert!(end_where(below).unwrap() >= 1);
        other.wait().unwrap();
    }
}
