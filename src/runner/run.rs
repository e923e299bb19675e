//! One run, from its fresh directory to its record.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use crate::domain::manifest::Summary;
use crate::domain::sweep::record::{FailureClass, Outcome, OutputValue, Record};

use super::checks::{Left, check_outputs};
use super::judge::{cannot_start, judge};
use super::keep::{KeepError, keep_file, summary_bytes, too_large};
use super::log::{Log, tail_of};
use super::memory::MemoryWatch;
use super::orphans::Orphans;
use super::place::RUN_LOG;
use super::room::Room;
use super::rows;
use super::spec::{JobSpec, SliceLine};
use super::steps::{ReadyRun, Steps};
use super::summary;
use super::supervise::{Ended, How, Limits, Stdout, Step, Stop, SuperviseError, supervise};
use super::{JOB_MARKER, RUN_MARKER, processes};

/// What all runs of a job share.
pub(super) struct Runs<'a> {
    spec: &'a JobSpec,
    scratch: &'a Path,
    steps: Steps<'a>,
    /// Where commands start, when that is not each run's own directory.
    directory: Option<&'a Path>,
    memory: MemoryWatch,
    orphans: &'a Orphans,
    next_room: AtomicU64,
}

/// A run that failed, before it becomes a record.
pub(super) struct Failure {
    class: FailureClass,
    message: String,
}

impl Failure {
    pub(super) fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

/// Why a run has not succeeded.
pub(super) enum Trouble {
    /// It failed.
    Failed(Failure),
    /// A stop was requested.
    Stopped,
    /// Our fault.
    Internal(anyhow::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<KeepError> for Trouble {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Model(message) => Failure::new(FailureClass::InvalidOutput, message).into(),
            KeepError::Internal(error) => Self::Internal(error),
        }
    }
}

/// What is measured and found on the way.
#[derive(Default)]
struct Tally {
    cpu: Duration,
    peak_memory: u64,
    exit_code: Option<i32>,
    signal: Option<i32>,
    outputs: Vec<(String, OutputValue)>,
    files: BTreeMap<String, u64>,
    rows: BTreeMap<String, u64>,
}

impl<'a> Runs<'a> {
    /// Gets ready to execute runs in fresh directories below `scratch`.
    pub(super) fn new(spec: &'a JobSpec, scratch: &'a Path, orphans: &'a Orphans) -> Self {
        let directory = spec.image.as_ref().and_then(|image| image.starts_in()).map(Path::new);
        let memory = if spec.image.is_some() { MemoryWatch::of_container() } else { MemoryWatch::new() };
        Self { spec, scratch, steps: Steps::new(spec), directory, memory, orphans, next_room: AtomicU64::new(0) }
    }

    /// Executes one run, in the room that this worker's last run left if it left one. None when `stop` was requested before it ended: such a run leaves nothing.
    ///
    /// # Errors
    /// Ours only; whatever the model does wrong is in the record.
    pub(super) fn execute(
        &self,
        line: &SliceLine,
        left: &mut Option<Room>,
        stop: &Stop,
    ) -> anyhow::Result<Option<Record>> {
        let number = || self.next_room.fetch_add(1, Ordering::Relaxed);
        let mut room = match left.take().and_then(|room| room.again(self.scratch, number())) {
            Some(room) => room,
            None => Room::make(self.scratch, number())?,
        };
        let kept = self.spec.place.join(line.run.as_str());
        let mut log = Log::new(Log::RUN).followed_in(kept.clone());
        let mut tally = Tally::default();
        let started_ms = now_ms();
        let start = Instant::now();
        self.memory.forget_kills();
        let under_way = self.orphans.begin(&line.run);
        let attempt = self.attempt(line, &mut room, &mut log, &mut tally, stop);
        let wall = start.elapsed();
        // What a run leaves behind must not write into what is read next.
        under_way.end()?;
        log.end_following();
        let failure = match attempt.and_then(|printed| self.collect(&room, &kept, &printed, &mut tally)) {
            Ok(()) => None,
            Err(Trouble::Failed(failure)) => Some(failure),
            Err(Trouble::Stopped) => return Ok(None),
            Err(Trouble::Internal(error)) => return Err(error),
        };
        let log_text = if log.is_empty() { String::new() } else { log.text() };
        if (failure.is_some() || !log_text.is_empty()) && !tally.files.contains_key(RUN_LOG) {
            fs_err::create_dir_all(&kept).context("failed to make a run's directory")?;
            fs_err::write(kept.join(RUN_LOG), &log_text).context("failed to keep a run's log")?;
        }
        *left = failure.is_none().then_some(room);
        let outcome = match failure {
            None => Outcome::Succeeded,
            Some(Failure { class, message }) => Outcome::Failed { class, message, log_tail: tail_of(&log_text) },
        };
        Ok(Some(Record {
            run: line.run.clone(),
            outcome,
            outputs: summary::finite(tally.outputs),
            files: tally.files,
            rows: tally.rows,
            started_ms,
            wall_ms: millis(wall),
            cpu_ms: millis(tally.cpu),
            peak_memory: tally.peak_memory,
            exit_code: tally.exit_code,
            signal: tally.signal,
        }))
    }

    /// Runs the command and `summarize`. Returns what the last of them printed, when that is the summary.
    fn attempt(
        &self,
        line: &SliceLine,
        room: &mut Room,
        log: &mut Log,
        tally: &mut Tally,
        stop: &Stop,
    ) -> Result<Vec<u8>, Trouble> {
        let ReadyRun { steps, environment } = self.steps.ready(line, room)?;
        let limits = Limits {
            deadline: Instant::now() + self.spec.run.timeout,
            memory: Some((self.spec.run.resources.memory, &self.memory)),
        };
        let mut printed = Vec::new();
        let last = steps.len() - 1;
        for (index, ready) in steps.iter().enumerate() {
            let apart = index == last && self.spec.outputs.summary == Summary::Stdout;
            let step = Step {
                program: &ready.program,
                arguments: &ready.arguments,
                directory: self.directory.unwrap_or(&room.work),
                environment: &environment,
                stdout: if apart { Stdout::Apart(summary::LIMIT) } else { Stdout::Log },
            };
            let ended = supervise(&step, &limits, log, stop).map_err(|error| match error {
                SuperviseError::CannotStart(error) => cannot_start(&step, &error).into(),
                SuperviseError::Internal(error) => Trouble::Internal(error),
            })?;
            tally.add(&ended);
            if ended.how != How::Exit(0) {
                // What it printed is no summary any more, but what its user needs to see.
                log.push(&ended.stdout);
                self.end_strays(line)?;
            }
            judge(ready.name, &ended, &self.spec.run, &self.memory)?;
            printed = ended.stdout;
        }
        Ok(printed)
    }

    /// Reads the summary, moves the declared files away and checks the columns. Files are kept also when the summary is
    /// wrong, because checks can be applied again.
    fn collect(&self, room: &Room, kept: &Path, printed: &[u8], tally: &mut Tally) -> Result<(), Trouble> {
        let columns = self.read_summary(room, printed);
        let mut trouble = None;
        let mut free = self.spec.outputs.limit;
        for name in &self.spec.outputs.files {
            match keep_file(&room.outputs, name, kept, &mut free) {
                Ok(size) => {
                    tally.files.insert(name.clone(), size);
                    if rows::is_table(name) {
                        let counted = rows::count(&kept.join(name), size).context("failed to count a file's rows")?;
                        tally.rows.extend(counted.map(|rows| (name.clone(), rows)));
                    }
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        tally.outputs = columns?;
        if let Some(error) = trouble {
            return Err(error.into());
        }
        let checked = check_outputs(&self.spec.outputs, Left { outputs: &tally.outputs, rows: &tally.rows });
        checked.map_err(|message| Failure::new(FailureClass::InvalidOutput, message).into())
    }

    fn read_summary(&self, room: &Room, printed: &[u8]) -> Result<Vec<(String, OutputValue)>, Trouble> {
        let columns = match &self.spec.outputs.summary {
            Summary::File(name) => summary::read(name, &summary_bytes(&room.outputs, name)?),
            Summary::Stdout if printed.len() as u64 > summary::LIMIT => Err(too_large("stdout", printed.len() as u64)),
            Summary::Stdout => summary::read("stdout", printed),
        };
        columns.map_err(|message| Failure::new(FailureClass::InvalidOutput, message).into())
    }

    /// Ends processes of this run that left its group, before another of its steps or the next run begins. Only looked
    /// for when something went wrong; [`Orphans`] are what a run that went well leaves.
    fn end_strays(&self, line: &SliceLine) -> anyhow::Result<()> {
        let place = self.spec.place.to_str().context("the job's place must be UTF-8")?;
        let run = line.run.as_str();
        let belongs = |process: &processes::Environment| {
            process.value(RUN_MARKER) == Some(run) && process.value(JOB_MARKER) == Some(place)
        };
        processes::end_where(belongs)?;
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, ended: &Ended) {
        self.cpu += ended.cpu;
        self.peak_memory = self.peak_memory.max(ended.peak_memory);
        (self.exit_code, self.signal) = match ended.how {
            How::Exit(status) => (Some(status), None),
            How::Signal(signal) => (None, Some(signal)),
            How::Timeout | How::OutOfMemory(_) | How::Stopped => (None, None),
        };
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time in milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
