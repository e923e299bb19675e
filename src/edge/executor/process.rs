//! Runs jobs as processes of this machine. It promises no isolation: a job runs as the server's own user.
//!
//! Each job is one runner process in a process group of its own, so that it outlives the server, and the server finds
//! it again by what the runner wrote into the job's place. The calls block, but for [`ProcessExecutor::wait_for_change`];
//! callers on an async runtime put them on a blocking thread.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::Signal;

use super::JobStatus;
use crate::domain::sweep::state::JobHandle;
use crate::runner::place::{self, write_durably};
use crate::runner::processes::{self, ProcessId, wait_for_any, wait_for_end};
use crate::runner::{JOB_MARKER, JobSpec, SlotsSpec, scratch, tail_of};

/// How long a runner may take to say that it has its place.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(20);

/// How long to look on after it has ended without saying so.
const EXITED_WAIT: Duration = Duration::from_secs(1);

/// How often to look whether it has.
const ANNOUNCE_LOOK: Duration = Duration::from_millis(1);

/// How long a runner has to end its runs after SIGTERM. It gives them two seconds itself.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How this executor is set up. All paths are absolute.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The `modelship-runner` program.
    pub runner: PathBuf,
    /// The root of the artifact store; every job's place lies below it, and a handle names it relative to this.
    pub artifacts: PathBuf,
    /// Where runs have their fresh directories.
    pub scratch: PathBuf,
    /// Where the slots' lock files lie.
    pub slots_dir: PathBuf,
    /// Most runs at once over all jobs.
    pub slots: u32,
}

/// Starts, watches and ends jobs on this machine.
#[derive(Debug)]
pub struct ProcessExecutor {
    settings: ProcessSettings,
    /// Runners that this process started and has not collected yet.
    children: Mutex<HashMap<u32, Child>>,
}

impl ProcessExecutor {
    /// An executor that has started nothing yet.
    #[must_use]
    pub fn new(settings: ProcessSettings) -> Self {
        Self { settings, children: Mutex::new(HashMap::new()) }
    }

    /// Starts `job`, whose scratch directory and slots are this executor's own, whatever it says. A job whose process
    /// lives, or that has ended, is not started again: its handle is returned. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When the place lies outside of the artifact store or cannot be written, or the runner does not start.
    pub fn submit(&self, job: &JobSpec) -> anyhow::Result<JobHandle> {
        self.collect_children();
        let place = self.relative(&job.place)?;
        let known = place::announced(&job.place);
        if place::ended(&job.place)?.is_some() || known.as_ref().is_some_and(ProcessId::is_alive) {
            return Ok(JobHandle { place, token: known.map(|process| process.to_string()).unwrap_or_default() });
        }
        fs_err::create_dir_all(&job.place).context("failed to make a job's place")?;
        let slots = SlotsSpec { directory: self.settings.slots_dir.clone(), count: self.settings.slots };
        let job = JobSpec { scratch: self.settings.scratch.clone(), slots: Some(slots), ..job.clone() };
        let description = job.place.join(place::JOB);
        let text = serde_json::to_vec_pretty(&job).context("failed to write a job as JSON")?;
        write_durably(&description, &text)?;
        let mut runner = self.start(&job.place, &description)?;
        let announced = wait_for_announcement(&job.place, known.as_ref(), &mut runner);
        self.children().insert(runner.id(), runner);
        Ok(JobHandle { place, token: announced?.to_string() })
    }

    /// How each job stands, in the order of `jobs`.
    #[must_use]
    pub fn status(&self, jobs: &[JobHandle]) -> Vec<JobStatus> {
        self.collect_children();
        jobs.iter().map(|job| self.status_of(job)).collect()
    }

    fn status_of(&self, job: &JobHandle) -> JobStatus {
        let place = self.settings.artifacts.join(&job.place);
        let has_ended = || matches!(place::ended(&place), Ok(Some(_)));
        // Looked at once more after the process is seen to be gone, because it ends right after it wrote that down.
        if has_ended() {
            JobStatus::Ended
        } else if self.process_of(job).is_some_and(|process| process.is_alive()) {
            JobStatus::Running
        } else if has_ended() {
            JobStatus::Ended
        } else {
            JobStatus::Vanished
        }
    }

    /// What the runner of a vanished job said last; empty when it said nothing.
    #[must_use]
    pub fn last_words(&self, job: &JobHandle) -> String {
        let log = self.settings.artifacts.join(&job.place).join(place::RUNNER_LOG);
        let text = fs_err::read(log).unwrap_or_default();
        tail_of(&crate::runner::redact::redact(&String::from_utf8_lossy(&text)))
    }

    /// Waits until the process of one of the jobs is gone, at most `timeout`. Returns at once when one is gone already,
    /// so callers leave out the jobs that they know to have ended.
    ///
    /// # Errors
    /// When the process has no file descriptors or threads left.
    pub async fn wait_for_change(&self, jobs: &[JobHandle], timeout: Duration) -> anyhow::Result<()> {
        let open = |job: &JobHandle| self.process_of(job).and_then(|process| process.open());
        // A process that cannot be watched counts as gone; the caller looks at it more closely.
        let Some(handles) = jobs.iter().map(open).collect::<Option<Vec<_>>>() else { return Ok(()) };
        // When this future is dropped, the writing end is, and the thread returns.
        let (abandoned, _held) = std::io::pipe().context("failed to make a pipe")?;
        let waiting = tokio::task::spawn_blocking(move || {
            let ends = handles.iter().map(AsFd::as_fd);
            wait_for_any(ends.chain([abandoned.as_fd()]), timeout)
        });
        waiting.await.context("failed to wait for jobs")??;
        self.collect_children();
        Ok(())
    }

    /// Ends a job: its runner gets SIGTERM and some seconds to end its runs, then everything of it is killed. A job that
    /// is gone already is no fault. Records that were written stay. Blocks for seconds.
    ///
    /// # Errors
    /// When something of it is still there afterwards.
    pub fn cancel(&self, job: &JobHandle) -> anyhow::Result<()> {
        let place = self.settings.artifacts.join(&job.place);
        if let Some(handle) = self.process_of(job).and_then(|process| process.open()) {
            processes::signal(&handle, Signal::TERM);
            if !wait_for_end(&handle, CANCEL_GRACE) {
                processes::signal(&handle, Signal::KILL);
                anyhow::ensure!(wait_for_end(&handle, CANCEL_GRACE), "the runner in `{}` cannot be ended", job.place);
            }
        }
        self.collect_children();
        let marker = place.to_str().context("the artifact store's path must be UTF-8")?;
        processes::end_where(|process| process.value(JOB_MARKER) == Some(marker))?;
        scratch::remove(&self.settings.scratch, &place)
    }

    /// Ends processes of jobs of this artifact store whose runner is dead, and says how many there were. Jobs whose
    /// runner lives are left alone. Called when the server starts.
    ///
    /// # Errors
    /// When one of them is still there afterwards.
    pub fn reap_orphans(&self) -> anyhow::Result<usize> {
        let root = &self.settings.artifacts;
        let runner_lives = |place: &Path| place::announced(place).is_some_and(|process| process.is_alive());
        processes::end_where(|process| {
            let place = process.value(JOB_MARKER).map(Path::new);
            place.is_some_and(|place| place.starts_with(root) && !runner_lives(place))
        })
    }

    fn start(&self, place: &Path, description: &Path) -> anyhow::Result<Child> {
        let log = fs_err::File::create(place.join(place::RUNNER_LOG)).context("failed to make the runner's log")?;
        let log = log.into_file();
        let mut command = Command::new(&self.settings.runner);
        command.arg(description).env_clear().current_dir(place).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("failed to open the runner's log again")?);
        command.stderr(log);
        command.spawn().with_context(|| format!("failed to start the runner `{}`", self.settings.runner.display()))
    }

    /// The process that works on the job: the one that the handle names, or one that took the place later.
    fn process_of(&self, job: &JobHandle) -> Option<ProcessId> {
        let later = || place::announced(&self.settings.artifacts.join(&job.place));
        ProcessId::parse(&job.token).filter(ProcessId::is_alive).or_else(later)
    }

    fn relative(&self, place: &Path) -> anyhow::Result<String> {
        let below = place.strip_prefix(&self.settings.artifacts).ok();
        let plain = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let text = below.filter(plain).and_then(Path::to_str).filter(|text| !text.is_empty());
        let root = self.settings.artifacts.display();
        text.map(str::to_owned)
            .with_context(|| format!("the job's place `{}` does not lie within `{root}`", place.display()))
    }

    /// Collects runners that have ended, so that they do not stay zombies of this process.
    fn collect_children(&self) {
        self.children().retain(|_, child| matches!(child.try_wait(), Ok(None)));
    }

    fn children(&self) -> MutexGuard<'_, HashMap<u32, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a runner other than `before` has announced itself. That is the one just started, or one that took the
/// place before it: an earlier server may have been killed right after it started one.
fn wait_for_announcement(place: &Path, before: Option<&ProcessId>, runner: &mut Child) -> anyhow::Result<ProcessId> {
    let mut deadline = Instant::now() + ANNOUNCE_WAIT;
    let mut exited = None;
    loop {
        if exited.is_none() {
            exited = runner.try_wait().context("failed to look at a runner")?;
            if exited.is_some() {
                // Another one may have the place and be about to say so.
                deadline = deadline.min(Instant::now() + EXITED_WAIT);
            }
        }
        match place::announced(place) {
            Some(process) if before != Some(&process) => return Ok(process),
            Some(_) | None => {}
        }
        if Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(ANNOUNCE_LOOK);
    }
    if let Some(status) = exited {
        let said = fs_err::read_to_string(place.join(place::RUNNER_LOG)).unwrap_or_default();
        anyhow::bail!("the runner ended at once ({status}): {}", said.trim_end());
    }
    // It must not begin after its job was given up.
    runner.kill().context("failed to end a stuck runner")?;
    runner.wait().context("failed to collect a stuck runner")?;
    anyhow::bail!("the runner did not begin within {ANNOUNCE_WAIT:?}")
}
