//! A job: workers that take the slice's lines one after another until there are none.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::JOB_MARKER;
use super::orphans::Orphans;
use super::place::{self, Claim, JobSummary};
use super::processes;
use super::records::Records;
use super::run::{Runs, now_ms};
use super::scratch;
use super::share::Share;
use super::slots::Slots;
use super::spec::{CONTRACT, JobSpec, SliceLine};
use super::supervise::Stop;

/// How a job came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Every run of the slice has a record.
    Ended(JobSummary),
    /// A stop was requested first. Runs under way were ended and left nothing.
    Stopped,
}

/// Executes every run of the job's slice that has no record yet. Blocks until that is done or `stop` is requested.
///
/// Memory does not grow with the number of runs, but for 16 bytes for each run that an earlier process of the same job
/// finished.
///
/// # Errors
/// Ours only: another process has the place, the slice is no slice, the disk is full. What a model does wrong is in the
/// records.
pub fn run_job(spec: &JobSpec, stop: &Stop) -> anyhow::Result<JobEnd> {
    run_claimed(spec, &Claim::take(&spec.place)?, &Orphans::left_alone(marker(&spec.place)?), stop)
}

/// What the runner binary does: reads `job.json`, takes the place, says so, and executes the job until a signal asks it
/// to stop.
///
/// # Errors
/// As [`run_job`], and when the file is no job.
pub fn run_job_file(path: &Path) -> anyhow::Result<JobEnd> {
    let stop = Stop::new().context("failed to get ready for signals")?;
    stop.on_signals().context("failed to get ready for signals")?;
    let text = fs_err::read(path).context("failed to read the job")?;
    let spec: JobSpec =
        serde_json::from_slice(&text).with_context(|| format!("failed to understand the job `{}`", path.display()))?;
    let claim = Claim::take(&spec.place)?;
    claim.announce()?;
    let orphans = Orphans::inherit(marker(&spec.place)?).context("failed to get ready for orphans")?;
    run_claimed(&spec, &claim, &orphans, &stop)
}

fn run_claimed(spec: &JobSpec, claim: &Claim, orphans: &Orphans, stop: &Stop) -> anyhow::Result<JobEnd> {
    anyhow::ensure!(
        spec.contract == CONTRACT,
        "the job was written for run contract {}, and this runner speaks {CONTRACT}; use the runner of the same version",
        spec.contract
    );
    if let Some(summary) = place::ended(claim.place())? {
        return Ok(JobEnd::Ended(summary));
    }
    let started_ms = now_ms();
    // The claim says that nobody else works here, so whatever carries the marker was left by a runner that was killed.
    end_strays(claim.place())?;
    let scratch = scratch::make(&spec.scratch, claim)?;
    let job = Job {
        spec,
        runs: Runs::new(spec, &scratch, orphans),
        orphans,
        slice: Mutex::new(Slice::open(spec)?),
        records: Records::open(&claim.place().join(place::RECORDS))?,
        halted: AtomicBool::new(false),
    };
    let all_taken = job.work(stop);
    end_strays(claim.place())?;
    scratch::remove(&spec.scratch, claim.place())?;
    if !all_taken? {
        return Ok(JobEnd::Stopped);
    }
    let counts = job.records.counts();
    let summary = JobSummary {
        contract: CONTRACT,
        runs: counts.total(),
        succeeded: counts.succeeded,
        failed: counts.failed,
        started_ms,
        ended_ms: now_ms(),
    };
    let text = serde_json::to_vec(&summary).context("failed to write down how the job ended")?;
    place::write_durably(&claim.place().join(place::ENDED), &text)?;
    Ok(JobEnd::Ended(summary))
}

/// Ends processes that carry this job's marker and that no worker waits for.
fn end_strays(place: &Path) -> anyhow::Result<()> {
    let place = marker(place)?;
    processes::end_where(|process| process.value(JOB_MARKER) == Some(place))?;
    Ok(())
}

/// The place as the job's processes carry it.
fn marker(place: &Path) -> anyhow::Result<&str> {
    place.to_str().context("the job's place must be UTF-8")
}

struct Job<'a> {
    spec: &'a JobSpec,
    runs: Runs<'a>,
    orphans: &'a Orphans,
    slice: Mutex<Slice>,
    records: Records,
    /// Set when a worker gave up, so that the others take no further line.
    halted: AtomicBool,
}

impl Job<'_> {
    /// Runs the workers and says whether every line was taken and has its record.
    fn work(&self, stop: &Stop) -> anyhow::Result<bool> {
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| self.records.keep_synced());
            scope.spawn(|| self.orphans.keep_collected());
            let workers: Vec<_> = (0..self.spec.parallel.max(1)).map(|_| scope.spawn(|| self.worker(stop))).collect();
            let ended: Vec<_> = workers.into_iter().map(|worker| worker.join().map_err(panicked)).collect();
            self.records.close();
            self.orphans.close();
            let synced = syncing.join().map_err(panicked);
            let mut all_taken = true;
            for taken in ended {
                all_taken &= taken??;
            }
            synced??;
            Ok(all_taken)
        })
    }

    /// Takes lines until there are none. Says false when it was stopped before that.
    fn worker(&self, stop: &Stop) -> anyhow::Result<bool> {
        let ended = self.take_lines(stop);
        if !matches!(ended, Ok(true)) {
            self.halted.store(true, Ordering::Relaxed);
        }
        ended
    }

    fn take_lines(&self, stop: &Stop) -> anyhow::Result<bool> {
        let mut slots = match &self.spec.slots {
            Some(slots) => Some(Slots::open(slots, self.spec.run.resources.milli_cpus)?),
            None => None,
        };
        let mut room = None;
        loop {
            if self.halted.load(Ordering::Relaxed) || stop.requested() {
                return Ok(false);
            }
            let Some(line) = self.next_line(stop)? else { return Ok(!stop.requested()) };
            if let Some(slots) = &mut slots
                && !slots.acquire(stop)?
            {
                return Ok(false);
            }
            match self.runs.execute(&line, &mut room, stop)? {
                Some(record) => self.records.append(&record)?,
                None => return Ok(false),
            }
        }
    }

    /// The next line whose run has no record yet.
    fn next_line(&self, stop: &Stop) -> anyhow::Result<Option<SliceLine>> {
        let mut slice = self.slice.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(line) = slice.next(stop)? {
            if !self.records.had(&line.run) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> anyhow::Error {
    anyhow::anyhow!("a worker of the job panicked")
}

/// The slice file, read line by line.
struct Slice {
    path: PathBuf,
    lines: Lines,
}

/// Who reads the slice.
enum Lines {
    /// This job alone.
    Own(BufReader<fs_err::File>),
    /// This job and others.
    Shared(Share),
}

impl Slice {
    fn open(spec: &JobSpec) -> anyhow::Result<Self> {
        let path = spec.slice.clone();
        let lines = match &spec.cursor {
            Some(cursor) => Lines::Shared(Share::open(&path, cursor)?),
            None => {
                let file = fs_err::File::open(&path).context("failed to open the job's slice")?;
                Lines::Own(BufReader::new(file))
            }
        };
        Ok(Self { path, lines })
    }

    fn next(&mut self, stop: &Stop) -> anyhow::Result<Option<SliceLine>> {
        loop {
            let text = match &mut self.lines {
                Lines::Own(reader) => {
                    let mut text = String::new();
                    let length = reader.read_line(&mut text).context("failed to read the job's slice")?;
                    (length > 0).then_some(text)
                }
                Lines::Shared(share) => share.next(stop)?,
            };
            let Some(text) = text else { return Ok(None) };
            if text.trim().is_empty() {
                continue;
            }
            let line = serde_json::from_str(&text);
            return line.map(Some).with_context(|| {
                let shown: String = text.trim().chars().take(80).collect();
                format!("`{}` holds a line that is no run: `{shown}`", self.path.display())
            });
        }
    }
}
