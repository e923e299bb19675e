//! What runs and builds printed: found by the beginning of a run's id, also while the run is under way, and followed to
//! its end.
//!
//! A run that takes longer than a second writes what it prints into its directory in the job's place as it comes. That
//! is read here and never waited for by the run.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use super::planning::{Planned, read_plan};
use super::replay::{Recorded, shown, slice_line, slice_lines};
use super::shelf::is_gone;
use super::{Engine, keys};
use crate::domain::ids::{CommitSha, ModelName, Repository, RunId, SweepId};
use crate::domain::sweep::record::Record;
use crate::domain::sweep::state::JobHandle;
use crate::edge::artifacts::directory::{ArtifactKey, Artifacts};
use crate::edge::executor::JobStatus;
use crate::runner::place::{LIVE_LOG, RUN_LOG};
use crate::runner::redact::redact;
use crate::store::registry::Found;
use crate::store::runs::{JobRow, KnownRun};

/// How often is a run that is followed looked at?
const LOOK: Duration = Duration::from_millis(100);

/// The most that is read of a log, in bytes: more than the runner keeps.
const MOST_LOG: u64 = 4 * 1024 * 1024;

/// How many runs are named when the beginning of an id is not enough?
const NAMED: usize = 20;

/// What the beginning of a run's id means.
#[derive(Debug)]
pub enum Sought {
    /// A run that has ended.
    Recorded(Box<Recorded>),
    /// A run that a job has and that has no record yet.
    UnderWay(Box<UnderWay>),
    /// No run that is known.
    Nothing,
    /// Several; not necessarily all of them.
    Several(Vec<RunId>),
}

/// A run that waits in a job or is executed.
#[derive(Debug)]
pub struct UnderWay {
    /// The run.
    pub run: RunId,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// The sweep that executes it.
    pub planned: Planned,
    job: JobHandle,
}

/// What a build printed.
#[derive(Debug)]
pub struct BuildLog {
    /// The commit that was built.
    pub commit: CommitSha,
    /// Where the log lies.
    pub path: PathBuf,
    ended: SystemTime,
}

impl Engine {
    /// The run whose id begins with `prefix`.
    ///
    /// # Errors
    /// When the database or the artifact store fail.
    pub async fn seek_run(&self, prefix: &str) -> Result<Sought> {
        match self.store.run(prefix).await? {
            Found::One(known) => Ok(Sought::Recorded(Box::new(self.recorded(known).await?))),
            Found::Many(many) => Ok(several(many)),
            Found::None => self.seek_in(self.store.open_jobs().await?, prefix).await,
        }
    }

    /// The same among the runs of the models of one repository; others are as if they were not there, and nothing of
    /// theirs is read. A run whose record is gone is as if it were not there, too.
    ///
    /// # Errors
    /// As [`Self::seek_run`].
    pub async fn seek_run_of(&self, prefix: &str, repository: &Repository) -> Result<Sought> {
        match self.store.run_of(prefix, repository.id).await? {
            Found::One(known) => {
                if let Some(recorded) = self.kept_run(known).await? {
                    return Ok(Sought::Recorded(Box::new(recorded)));
                }
            }
            Found::Many(many) => return Ok(several(many)),
            Found::None => {}
        }
        let owners: BTreeMap<_, _> = self.store.owners().await?.into_iter().collect();
        let mut jobs = self.store.open_jobs().await?;
        jobs.retain(|job| owners.get(&job.model).is_some_and(|owner| owner.id == repository.id));
        self.seek_in(jobs, prefix).await
    }

    /// The run whose id begins with `prefix` among those that `jobs` have.
    async fn seek_in(&self, jobs: Vec<JobRow>, prefix: &str) -> Result<Sought> {
        let mut found = Vec::new();
        for job in jobs {
            let planned = self.plan_of(&job.sweep).await?;
            let slice = self.outside.artifacts.path(&keys::slice(&job.sweep, job.round)?);
            let prefix = prefix.to_owned();
            let task = tokio::task::spawn_blocking(move || {
                slice_lines(&slice, |line| line.run.as_str().starts_with(prefix.as_str()))
            });
            let lines = task.await.context("reading a slice panicked")??;
            found.extend(lines.into_iter().map(|line| (line, planned.clone(), job.handle.clone())));
        }
        if found.len() > 1 {
            found.truncate(NAMED);
            return Ok(Sought::Several(found.into_iter().map(|(line, ..)| line.run).collect()));
        }
        let Some((line, planned, job)) = found.pop() else { return Ok(Sought::Nothing) };
        Ok(Sought::UnderWay(Box::new(UnderWay { run: line.run, parameters: shown(line.parameters), planned, job })))
    }

    /// The plan of `sweep` with all that is needed to carry it out.
    ///
    /// # Errors
    /// When there is none here.
    pub async fn plan_of(&self, sweep: &SweepId) -> Result<Planned> {
        let (artifacts, sweep) = (self.outside.artifacts.clone(), sweep.clone());
        tokio::task::spawn_blocking(move || read_plan(&artifacts, &sweep)).await.context("reading a plan panicked")?
    }

    /// The parameters of a recorded run.
    ///
    /// # Errors
    /// When its job's slice cannot be read.
    pub async fn parameters_of(&self, recorded: &Recorded) -> Result<Vec<(String, String)>> {
        let slice = self.outside.artifacts.path(&keys::slice(&recorded.known.sweep, recorded.known.round)?);
        let run = recorded.known.run.clone();
        let task = tokio::task::spawn_blocking(move || slice_line(&slice, &run));
        let line = task.await.context("reading a slice panicked")??;
        Ok(line.map(|line| shown(line.parameters)).unwrap_or_default())
    }

    /// What a recorded run printed, without secrets; none when it printed nothing, or when its log is gone.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub async fn log_of(&self, recorded: &Recorded) -> Result<Option<String>> {
        let key = keys::kept_file(&recorded.known.place, &recorded.known.run, RUN_LOG)?;
        self.text(key).await
    }

    /// Tells what a run that is under way prints, from its beginning, until it has ended. None when its job ended without
    /// it: it was interrupted or cancelled.
    ///
    /// # Errors
    /// When the artifact store cannot be read.
    pub async fn follow(&self, under_way: &UnderWay, mut told: impl FnMut(&str)) -> Result<Option<Record>> {
        let UnderWay { run, job, .. } = under_way;
        let artifacts = &self.outside.artifacts;
        let mut log = Followed::new(artifacts.clone(), keys::kept_file(&job.place, run, LIVE_LOG)?);
        let mut records = Awaited::new(artifacts.clone(), keys::records(&job.place)?, run.clone());
        loop {
            // First whether the job has ended, then what it wrote: what an ended job wrote is complete.
            let status = self.outside.executor.status(std::slice::from_ref(job)).await?[0];
            let record = records.look()?;
            told(&log.more()?);
            if record.is_some() {
                if !log.was_seen() {
                    told(&self.text(keys::kept_file(&job.place, run, RUN_LOG)?).await?.unwrap_or_default());
                }
                return Ok(record);
            }
            if status != JobStatus::Running {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What a run that is under way has printed so far, without secrets; none when nothing can be seen of it yet.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn log_so_far(&self, under_way: &UnderWay) -> Result<Option<String>> {
        self.text(keys::kept_file(&under_way.job.place, &under_way.run, LIVE_LOG)?).await
    }

    /// Where the run leaves its files.
    ///
    /// # Errors
    /// Never for a place as it is.
    pub fn directory_of(&self, place: &str, run: &RunId) -> Result<PathBuf> {
        Ok(self.outside.artifacts.path(&keys::run(place, run)?))
    }

    /// The logs of the builds of `model` that are still there, the newest first.
    ///
    /// # Errors
    /// When the artifact store cannot be read.
    pub fn build_logs(&self, model: &ModelName) -> Result<Vec<BuildLog>> {
        let directory = self.outside.artifacts.path(&keys::builds(model)?);
        let entries = match fs_err::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let Ok(commit) = CommitSha::parse(entry?.file_name().to_string_lossy()) else { continue };
            let path = self.outside.artifacts.path(&keys::build_log(model, &commit)?);
            if let Ok(ended) = fs_err::metadata(&path).and_then(|found| found.modified()) {
                logs.push(BuildLog { commit, path, ended });
            }
        }
        logs.sort_by_key(|log| std::cmp::Reverse(log.ended));
        Ok(logs)
    }

    async fn text(&self, key: ArtifactKey) -> Result<Option<String>> {
        let artifacts = self.outside.artifacts.clone();
        let task = tokio::task::spawn_blocking(move || printed(&artifacts, &key));
        Ok(task.await.context("reading a log panicked")??)
    }
}

fn several(found: Vec<KnownRun>) -> Sought {
    Sought::Several(found.into_iter().map(|known| known.run).collect())
}

/// The end of a log, from a line's beginning on, which half a secret may stand before; none when it is gone, or when a link is in its place. It was redacted and
/// bounded when it was written, but the model can write to that place, too.
fn printed(artifacts: &Artifacts, key: &ArtifactKey) -> io::Result<Option<String>> {
    let read = || {
        let from = artifacts.size(key)?.saturating_sub(MOST_LOG);
        let bytes = artifacts.read_range(key, from, MOST_LOG)?;
        let line = || bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let begin = if from == 0 { 0 } else { line() };
        Ok(redact(&String::from_utf8_lossy(&bytes[begin..])).into_owned())
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl UnderWay {
    /// The place of the job that has the run.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.job.place
    }
}

/// A log that is being written. It may not be there yet, begin anew, or be gone already while we have it open.
struct Followed {
    artifacts: Artifacts,
    key: ArtifactKey,
    file: Option<fs_err::File>,
    offset: u64,
}

impl Followed {
    fn new(artifacts: Artifacts, key: ArtifactKey) -> Self {
        Self { artifacts, key, file: None, offset: 0 }
    }

    fn was_seen(&self) -> bool {
        self.file.is_some()
    }

    /// What was written since the last look.
    fn more(&mut self) -> io::Result<String> {
        if self.file.is_none() {
            self.file = open(&self.artifacts, &self.key)?;
        }
        let Some(file) = &mut self.file else { return Ok(String::new()) };
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The record of one run, which will come or has come.
struct Awaited {
    artifacts: Artifacts,
    key: ArtifactKey,
    run: RunId,
    file: Option<BufReader<fs_err::File>>,
    line: Vec<u8>,
}

impl Awaited {
    fn new(artifacts: Artifacts, key: ArtifactKey, run: RunId) -> Self {
        Self { artifacts, key, run, file: None, line: Vec::new() }
    }

    /// The record, if it is among those that were written since the last look.
    fn look(&mut self) -> Result<Option<Record>> {
        if self.file.is_none() {
            self.file = open(&self.artifacts, &self.key)?.map(BufReader::new);
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        while file.read_until(b'\n', &mut self.line)? > 0 {
            if self.line.last() != Some(&b'\n') {
                return Ok(None);
            }
            let record: Record = serde_json::from_slice(&self.line).context("a job left a line that is no record")?;
            self.line.clear();
            if record.run == self.run {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// The artifact, open; none while it is not there.
fn open(artifacts: &Artifacts, key: &ArtifactKey) -> io::Result<Option<fs_err::File>> {
    match artifacts.reader(key) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

    #[test]
    fn a_log_is_read_from_its_end_and_without_secrets_whoever_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path()).unwrap();
        let key = |name: &str| ArtifactKey::parse(name).unwrap();
        let write = |name: &str, text: &str| fs_err::write(artifacts.path(&key(name)), text).unwrap();
        assert_eq!(printed(&artifacts, &key("none.log")).unwrap(), None);
        write("short.log", &format!("one\ntoken {SECRET}\n"));
        assert_eq!(printed(&artifacts, &key("short.log")).unwrap().unwrap(), "one\ntoken [redacted]\n");

        let line = format!("{SECRET} {}\n", "x".repeat(1_000));
        write("long.log", &format!("{}the end\n", line.repeat(5_000)));
        let long = printed(&artifacts, &key("long.log")).unwrap().unwrap();
        assert!(long.len() as u64 <= MOST_LOG && long.ends_with("\nthe end\n"), "{} bytes", long.len());
        assert!(long.lines().take(3).all(|line| line.starts_with("[redacted] x")), "no half of a secret is left");

        write("one-line.log", &SECRET.repeat(200_000));
        assert_eq!(printed(&artifacts, &key("one-line.log")).unwrap().unwrap(), "", "it may begin with half a secret");

        std::os::unix::fs::symlink("/etc/passwd", artifacts.path(&key("link.log"))).unwrap();
        assert_eq!(printed(&artifacts, &key("link.log")).unwrap(), None);
    }
}
