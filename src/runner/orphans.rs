//! Processes that outlive whoever started them. They cannot outlive their run.
//!
//! A model can start a process, let it leave its group and clear its environment; then nothing tells whose it is. But it
//! cannot choose its parent: once its own is gone, it becomes a child of the runner, as the first process of a container
//! or by the runner's wish (`PR_SET_CHILD_SUBREAPER`). What the runner's first thread has for a child, it did not start
//! itself: runs are started by its workers.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use rustix::time::{ClockId, clock_gettime};

use crate::domain::ids::RunId;

use super::processes::{Environment, Stat};
use super::{JOB_MARKER, RUN_MARKER};

/// How often the dead are collected while runs go on, so that they do not use up the numbers that processes may have.
const COLLECT: Duration = Duration::from_millis(200);

/// How long killed processes may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// How long to wait before looking again whether they are.
const AGAIN: Duration = Duration::from_millis(1);

/// What the runner does about orphans.
#[derive(Debug)]
pub(super) struct Orphans {
    kind: Kind,
    /// The job's place, as its processes carry it.
    place: String,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// They become somebody else's.
    None,
    /// They become this process's, which may have the machine for itself or not.
    Inherited,
    /// This is the first process of a container: all others are of its runs.
    First,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    under_way: HashMap<u64, UnderWay>,
    closing: bool,
}

#[derive(Debug)]
struct UnderWay {
    run: RunId,
    /// When it began, in the kernel's ticks since the boot.
    began: u64,
}

/// A run that is under way. Its processes are its own until [`RunUnderWay::end`].
#[derive(Debug)]
pub(super) struct RunUnderWay<'a> {
    orphans: &'a Orphans,
    number: u64,
}

impl Orphans {
    /// Leaves them to whoever gets them: for runs within another program.
    pub(super) fn left_alone(place: &str) -> Self {
        Self::new(Kind::None, place)
    }

    /// Makes this process inherit them from now on. To be called by its first thread, which must start nothing itself.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn inherit(place: &str) -> std::io::Result<Self> {
        let own = rustix::process::getpid();
        if own == Pid::INIT {
            return Ok(Self::new(Kind::First, place));
        }
        rustix::process::set_child_subreaper(Some(own))?;
        Ok(Self::new(Kind::Inherited, place))
    }

    fn new(kind: Kind, place: &str) -> Self {
        Self { kind, place: place.to_owned(), state: Mutex::default(), closed: Condvar::new() }
    }

    /// Notes that `run` begins.
    pub(super) fn begin(&self, run: &RunId) -> RunUnderWay<'_> {
        let began = if self.kind == Kind::None { 0 } else { ticks_now() };
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, UnderWay { run: run.clone(), began });
        RunUnderWay { orphans: self, number }
    }

    /// Collects the dead now and then until [`Self::close`]. Runs on a thread of its own.
    pub(super) fn keep_collected(&self) {
        let mut state = self.lock();
        while !state.closing && self.kind != Kind::None {
            let waited = self.closed.wait_timeout_while(state, COLLECT, |state| !state.closing);
            drop(waited.unwrap_or_else(PoisonError::into_inner).0);
            for pid in children() {
                collect(pid);
            }
            state = self.lock();
        }
    }

    /// Lets [`Self::keep_collected`] return.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.closed.notify_all();
    }

    /// Ends the orphans that no run under way can have started.
    fn end_left(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + GONE;
        loop {
            let mut left = children();
            if self.kind == Kind::Inherited {
                left.retain(|pid| !self.may_belong(*pid));
            }
            if left.is_empty() {
                return Ok(());
            }
            if self.kind == Kind::First && self.lock().under_way.is_empty() {
                // As a group, 1 stands for every process but the caller: they cannot start new ones faster than this.
                let _ = kill_process_group(Pid::INIT, Signal::KILL);
            }
            for pid in left {
                // Ours until it is collected here, so the number cannot be another's.
                let _ = kill_process(pid, Signal::KILL);
                collect(pid);
            }
            anyhow::ensure!(Instant::now() < deadline, "a process is still there {GONE:?} after it was killed");
            if !children().is_empty() {
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// Whether a run under way may have started it: the one that it names, or one that began before it.
    fn may_belong(&self, pid: Pid) -> bool {
        let number = pid.as_raw_nonzero().get();
        let state = self.lock();
        if state.under_way.is_empty() {
            return false;
        }
        let Some(stat) = Stat::read(number) else { return false };
        let environment = Environment::of(number);
        let named = environment.as_ref().filter(|found| found.value(JOB_MARKER) == Some(self.place.as_str()));
        match named.and_then(|found| found.value(RUN_MARKER)) {
            Some(named) => state.under_way.values().any(|under_way| under_way.run.as_str() == named),
            None => state.under_way.values().any(|under_way| under_way.began <= stat.start),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunUnderWay<'_> {
    /// Ends what the run has left behind.
    ///
    /// # Errors
    /// When something of it is still there seconds after it was killed.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.orphans.lock().under_way.remove(&self.number);
        if self.orphans.kind == Kind::None { Ok(()) } else { self.orphans.end_left() }
    }
}

impl Drop for RunUnderWay<'_> {
    fn drop(&mut self) {
        self.orphans.lock().under_way.remove(&self.number);
    }
}

/// What became a child of this process's first thread.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    // A kernel that does not tell leaves this to the markers in the processes' environments.
    let text = fs_err::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Takes note of the end of `pid`, if it has ended.
fn collect(pid: Pid) {
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
}

/// Now, as the kernel notes when processes start.
fn ticks_now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let part = u64::try_from(now.tv_nsec).unwrap_or(0) * per_second / 1_000_000_000;
    u64::try_from(now.tv_sec).unwrap_or(0) * per_second + part
}
