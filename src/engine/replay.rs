//! Replaying: runs that have a record are done again, in a place of their own, and both records are compared.
//!
//! The same executor runs the same job with the same version, parameters and limits as the first time. Nothing of the
//! recorded runs is touched: the replay's place lies beside the sweeps' and is removed when it has been compared. Its name
//! tells which process waits for it, so that what a killed one left can be told from what is under way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::planning::{CHUNK, Planned, PointReader, read_plan};
use super::records::read_records;
use super::work::Work;
use super::{Engine, Outside, keys};
use crate::domain::ids::{Digest, RunId};
use crate::domain::manifest::Run;
use crate::domain::parameters::Value;
use crate::domain::sweep::record::Record;
use crate::domain::sweep::replay::{FileDigests, ReplayReport, RunComparison};
use crate::domain::sweep::sample::Sample;
use crate::domain::sweep::state::JobHandle;
use crate::edge::artifacts::directory::{ArtifactKey, Artifacts};
use crate::edge::executor::{JobStatus, SubmitError};
use crate::runner::place::{JOB, RUN_LOG};
use crate::runner::processes::ProcessId;
use crate::runner::{JobSpec, SliceLine};
use crate::store::runs::KnownRun;

/// How long is waited between two looks at what a replay has written?
const LOOK: Duration = Duration::from_millis(400);

/// Which runs of a sweep are replayed. Runs without a record never are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Run(RunId),
    /// Every run.
    All,
    /// A random sample.
    Sample {
        /// How many.
        size: usize,
        /// What decides which.
        seed: u64,
    },
}

/// What shall be replayed.
#[derive(Debug, Clone)]
pub struct ReplayOrder {
    /// The sweep with its version.
    pub planned: Planned,
    /// Which of its runs.
    pub choice: Choice,
    /// How far two numbers may be apart, relative to the larger one; 0 is exact.
    pub tolerance: f64,
    /// Where the replay's records and files go, one folder for each run; none lets them go.
    pub keep: Option<PathBuf>,
}

/// How a replay ended.
#[derive(Debug)]
pub enum ReplayEnd {
    /// Every run was done again.
    Compared(Box<ReplayReport>),
    /// None of the chosen runs has a record.
    Nothing,
    /// The built model is no longer on this machine.
    NotBuilt,
    /// It was asked to stop.
    Cancelled,
    /// What ran it was ended from outside; with its last words.
    Interrupted(String),
}

/// A run as it was recorded, with everything that it was made of.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Where it lies.
    pub known: KnownRun,
    /// The record.
    pub record: Record,
    /// The sweep that executed it.
    pub planned: Planned,
}

impl Engine {
    /// A run as it was recorded, with its plan.
    ///
    /// # Errors
    /// When the artifact store fails, or what the run left is gone.
    pub(super) async fn recorded(&self, known: KnownRun) -> Result<Recorded> {
        let artifacts = self.outside.artifacts.clone();
        let run = known.run.clone();
        let task = tokio::task::spawn_blocking(move || {
            let planned = read_plan(&artifacts, &known.sweep)?;
            let found = HashMap::from([(known.run.clone(), known.clone())]);
            let record = read_records(&artifacts, &found)?.remove(&known.run);
            Ok(Recorded { record: record.context("the record is not where the index says")?, known, planned })
        });
        task.await.context("reading a record panicked")?.map_err(|error: anyhow::Error| {
            error.context(format!("what run {} left can no longer be read", run.short()))
        })
    }

    /// The records of those of `runs` that have one, each with where it lies.
    ///
    /// # Errors
    /// When the database or the artifact store fail.
    pub async fn records(&self, runs: &[RunId]) -> Result<HashMap<RunId, (KnownRun, Record)>> {
        let mut known = self.store.known_runs(runs).await?;
        let artifacts = self.outside.artifacts.clone();
        let task = tokio::task::spawn_blocking(move || {
            let records = read_records(&artifacts, &known)?;
            let joined = records.into_iter().filter_map(|(run, record)| {
                let known = known.remove(&run)?;
                Some((run, (known, record)))
            });
            Ok(joined.collect())
        });
        task.await.context("reading records panicked")?
    }

    /// Copies what a recorded run left (its kept files and its log) into the folder `into`, which is made, and says what
    /// there was.
    ///
    /// # Errors
    /// When a file cannot be read or written. A file that is gone is left out.
    pub async fn bring_files(&self, known: &KnownRun, record: &Record, into: &Path) -> Result<BTreeMap<String, u64>> {
        let artifacts = self.outside.artifacts.clone();
        let (place, run, into) = (known.place.clone(), known.run.clone(), into.to_path_buf());
        let names: BTreeSet<String> = names_of(record).collect();
        let task = tokio::task::spawn_blocking(move || copy_files(&artifacts, &place, &run, &names, &into));
        task.await.context("copying files panicked")?
    }

    /// Does runs again and compares what they leave with their records. `progress` hears how many of how many are done.
    ///
    /// # Errors
    /// When the database, the artifact store or the executor fail.
    pub async fn replay(
        &self,
        order: &ReplayOrder,
        cancel: &CancellationToken,
        progress: impl FnMut(u64, u64),
    ) -> Result<ReplayEnd> {
        let id = &uuid::Uuid::new_v4().simple().to_string()[..12];
        let place = keys::replay(&ProcessId::own().to_string(), id)?;
        let ended = self.replay_in(&place, order, cancel, progress).await;
        let artifacts = self.outside.artifacts.clone();
        let removed = tokio::task::spawn_blocking(move || artifacts.remove_tree(&place)).await;
        let ended = ended?;
        removed.context("removing a replay panicked")?.context("a replay's place cannot be removed")?;
        Ok(ended)
    }

    async fn replay_in(
        &self,
        place: &ArtifactKey,
        order: &ReplayOrder,
        cancel: &CancellationToken,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<ReplayEnd> {
        let slice = keys::replayed(place)?;
        let (runs, places) = self.write_replayed(order, &slice).await?;
        if runs == 0 {
            return Ok(ReplayEnd::Nothing);
        }
        let run = self.run_as_recorded(&order.planned, &places);
        let work = Work { planned: &order.planned, run, slice: &slice, runs, run_ms: None, cursor: None };
        let Ok(jobs) = self.jobs_for(work, |_| Ok(place.clone())).await? else { return Ok(ReplayEnd::NotBuilt) };
        let job = match self.outside.executor.submit(jobs).await {
            Ok(mut jobs) => jobs.pop().context("a replay has a job")?,
            Err(SubmitError::Refused(_)) => return Ok(ReplayEnd::NotBuilt),
            Err(SubmitError::Internal(error)) => return Err(error),
        };
        progress(0, runs);
        let status = self.until_replayed(&job, cancel, |done| progress(done, runs)).await?;
        if status == JobStatus::Ended {
            self.outside.executor.forget(&job).await?;
            let mut report = self.compare(place, order).await?;
            self.name_parameters(&slice, &mut report).await?;
            return Ok(ReplayEnd::Compared(Box::new(report)));
        }
        let last_words = self.outside.executor.last_words(&job).await;
        self.outside.executor.cancel(&[job]).await?;
        Ok(if cancel.is_cancelled() { ReplayEnd::Cancelled } else { ReplayEnd::Interrupted(last_words) })
    }

    /// How runs ran in the jobs at `places`: a job that came after one without enough memory had more than the manifest
    /// says.
    fn run_as_recorded(&self, planned: &Planned, places: &BTreeSet<String>) -> Run {
        let spec_of = |place: &String| -> Option<JobSpec> {
            let bytes = self.outside.artifacts.read(&keys::in_place(place, JOB).ok()?).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        let mut run = planned.manifest.run.clone();
        let most = places.iter().filter_map(spec_of).map(|job| job.run.resources.memory).max();
        run.resources.memory = most.map_or(run.resources.memory, |most| most.max(run.resources.memory));
        run
    }

    /// Lists the chosen runs that have a record, and says how many there are and which jobs did them.
    async fn write_replayed(&self, order: &ReplayOrder, slice: &ArtifactKey) -> Result<(u64, BTreeSet<String>)> {
        let chosen = match &order.choice {
            Choice::Run(run) => Some(HashSet::from([run.clone()])),
            Choice::All => None,
            Choice::Sample { size, seed } => Some(self.sample(&order.planned, *size, *seed).await?),
        };
        let names: Vec<_> = order.planned.manifest.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let points = self.outside.artifacts.path(&keys::points(&order.planned.summary.id)?);
        let mut reader = PointReader::open(&points)?;
        let mut writer = self.outside.artifacts.create(slice)?;
        let (mut runs, mut places) = (0, BTreeSet::new());
        loop {
            let mut chunk = reader.next_chunk(CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            if let Some(chosen) = &chosen {
                chunk.retain(|point| chosen.contains(&point.run));
            }
            let ids: Vec<_> = chunk.iter().map(|point| point.run.clone()).collect();
            let known = self.store.known_runs(&ids).await?;
            for point in chunk {
                let Some(known) = known.get(&point.run) else { continue };
                if !places.contains(&known.place) {
                    places.insert(known.place.clone());
                }
                let parameters = names.iter().cloned().zip(point.values).collect();
                serde_json::to_writer(&mut writer, &SliceLine { run: point.run, parameters, seed: None })?;
                writer.write_all(b"\n")?;
                runs += 1;
            }
        }
        writer.commit().context("the list of runs cannot be written")?;
        Ok((runs, places))
    }

    /// Draws a sample of those runs of the plan that have a record.
    ///
    /// # Errors
    /// When the plan's points or the database cannot be read.
    pub async fn sample(&self, planned: &Planned, size: usize, seed: u64) -> Result<HashSet<RunId>> {
        let points = self.outside.artifacts.path(&keys::points(&planned.summary.id)?);
        let mut reader = PointReader::open(&points)?;
        let mut sample = Sample::new(size, seed);
        loop {
            let chunk = reader.next_chunk(CHUNK)?;
            if chunk.is_empty() {
                return Ok(sample.finish());
            }
            let ids: Vec<_> = chunk.into_iter().map(|point| point.run).collect();
            self.store.known_runs(&ids).await?.keys().for_each(|run| sample.offer(run));
        }
    }

    /// Waits until the job has ended, or somebody asks to stop.
    async fn until_replayed(
        &self,
        job: &JobHandle,
        cancel: &CancellationToken,
        mut progress: impl FnMut(u64),
    ) -> Result<JobStatus> {
        let executor = &self.outside.executor;
        let jobs = std::slice::from_ref(job);
        let mut records = Appended::new(self.outside.artifacts.path(&keys::records(&job.place)?));
        loop {
            let status = executor.status(jobs).await?[0];
            progress(records.lines()?);
            if status != JobStatus::Running || cancel.is_cancelled() {
                return Ok(status);
            }
            tokio::select! {
                changed = executor.wait_for_change(jobs, LOOK) => changed?,
                () = cancel.cancelled() => {}
            }
        }
    }

    /// Compares what the replay left with the records.
    async fn compare(&self, place: &ArtifactKey, order: &ReplayOrder) -> Result<ReplayReport> {
        let path = self.outside.artifacts.path(&keys::records(place.as_str())?);
        let mut lines = BufReader::new(fs_err::File::open(path)?).lines();
        let mut report = ReplayReport::default();
        loop {
            let chunk: Vec<Record> = lines
                .by_ref()
                .take(CHUNK)
                .map(|line| serde_json::from_str(&line?).context("the replay left a line that is no record"))
                .collect::<Result<_>>()?;
            if chunk.is_empty() {
                return Ok(report);
            }
            let ids: Vec<_> = chunk.iter().map(|record| record.run.clone()).collect();
            let recorded = self.records(&ids).await?;
            let work = Comparing {
                artifacts: self.outside.artifacts.clone(),
                place: place.as_str().to_owned(),
                tolerance: order.tolerance,
                keep: order.keep.clone(),
            };
            let task = tokio::task::spawn_blocking(move || {
                let compared = chunk.iter().filter_map(|replayed| {
                    let (known, recorded) = recorded.get(&replayed.run)?;
                    Some(work.compare(known, recorded, replayed))
                });
                compared.collect::<Result<Vec<_>>>()
            });
            task.await.context("comparing records panicked")??.into_iter().for_each(|run| report.add(run));
        }
    }

    /// Tells the parameters of the runs that are shown.
    async fn name_parameters(&self, slice: &ArtifactKey, report: &mut ReplayReport) -> Result<()> {
        let wanted: HashSet<RunId> = report.told().map(|run| run.run.clone()).collect();
        let path = self.outside.artifacts.path(slice);
        let task = tokio::task::spawn_blocking(move || slice_lines(&path, |line| wanted.contains(&line.run)));
        let lines = task.await.context("reading a slice panicked")??;
        let parameters: HashMap<_, _> = lines.into_iter().map(|line| (line.run, shown(line.parameters))).collect();
        for run in report.told() {
            run.parameters = parameters.get(&run.run).cloned().unwrap_or_default();
        }
        Ok(())
    }
}

/// What comparing two records needs.
struct Comparing {
    artifacts: Artifacts,
    place: String,
    tolerance: f64,
    keep: Option<PathBuf>,
}

impl Comparing {
    fn compare(&self, known: &KnownRun, recorded: &Record, replayed: &Record) -> Result<RunComparison> {
        let mut files = FileDigests::new();
        for name in recorded.files.keys().chain(replayed.files.keys()) {
            let digest = |place: &str| digest_of(&self.artifacts, &keys::kept_file(place, &known.run, name)?);
            let old = if recorded.files.contains_key(name) { digest(&known.place)? } else { None };
            let new = if replayed.files.contains_key(name) { digest(&self.place)? } else { None };
            files.insert(name.clone(), (old, new));
        }
        if let Some(keep) = &self.keep {
            let into = keep.join(known.run.short());
            let names = names_of(replayed).collect();
            copy_files(&self.artifacts, &self.place, &known.run, &names, &into)?;
            fs_err::write(into.join("record.json"), serde_json::to_vec_pretty(replayed)?)?;
        }
        Ok(RunComparison::of(recorded, replayed, &files, self.tolerance))
    }
}

/// The lines of a slice that are `wanted`.
pub(super) fn slice_lines(path: &Path, wanted: impl Fn(&SliceLine) -> bool) -> Result<Vec<SliceLine>> {
    text_lines(path)?.map(slice_of).filter(|line| line.as_ref().map_or(true, &wanted)).collect()
}

/// The line of a run in a slice, which is read no further than there.
pub(super) fn slice_line(path: &Path, run: &RunId) -> Result<Option<SliceLine>> {
    // A line is long to read and short to search.
    let names_it = |line: &std::io::Result<String>| line.as_ref().map_or(true, |line| line.contains(run.as_str()));
    let mut lines = text_lines(path)?.filter(names_it).map(slice_of);
    lines.find(|line| line.as_ref().map_or(true, |line| line.run == *run)).transpose()
}

fn text_lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    Ok(BufReader::with_capacity(1 << 20, fs_err::File::open(path)?).lines())
}

fn slice_of(line: std::io::Result<String>) -> Result<SliceLine> {
    serde_json::from_str(&line?).context("a line of a job's slice cannot be read")
}

/// Parameters as people read them.
pub(super) fn shown(parameters: Vec<(String, Value)>) -> Vec<(String, String)> {
    parameters.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

/// The files that a run may have left. A run that failed or printed something has a log.
fn names_of(record: &Record) -> impl Iterator<Item = String> {
    record.files.keys().cloned().chain(std::iter::once(RUN_LOG.to_owned()))
}

/// Copies files of a run into the folder `into` and says which were there, with their sizes.
fn copy_files(
    artifacts: &Artifacts,
    place: &str,
    run: &RunId,
    names: &BTreeSet<String>,
    into: &Path,
) -> Result<BTreeMap<String, u64>> {
    fs_err::create_dir_all(into)?;
    let mut copied = BTreeMap::new();
    for name in names {
        let mut from = match artifacts.reader(&keys::kept_file(place, run, name)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let to = into.join(name);
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let size = io::copy(&mut from, &mut fs_err::File::create_new(&to)?)?;
        copied.insert(name.clone(), size);
    }
    Ok(copied)
}

/// The digest of an artifact, read in pieces; none when it is gone.
fn digest_of(artifacts: &Artifacts, key: &ArtifactKey) -> Result<Option<Digest>> {
    let mut file = match artifacts.reader(key) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Some(Digest::from_hash(hash.finalize().as_slice()))),
            length => hash.update(&piece[..length]),
        }
    }
}

/// Counts the lines of a file that grows.
struct Appended {
    path: PathBuf,
    file: Option<fs_err::File>,
    lines: u64,
}

impl Appended {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, lines: 0 }
    }

    /// How many lines there are by now; none while there is no file.
    fn lines(&mut self) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = match fs_err::File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error),
            };
        }
        let mut piece = [0; 1 << 14];
        while let Some(file) = &mut self.file {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            self.lines += piece[..length].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        }
        Ok(self.lines)
    }
}

/// The replays that somebody waits for or whose runner works, so that nobody takes them for leftovers. The other ones are
/// removed.
pub(super) async fn clear_abandoned(outside: &Outside) -> Result<Vec<JobHandle>> {
    let directory = outside.artifacts.root().join(keys::REPLAYS);
    let entries = match fs_err::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut under_way = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some((process, id)) = name.to_str().and_then(|name| name.rsplit_once('-')) else { continue };
        let place = keys::replay(process, id)?;
        let job = JobHandle { place: place.as_str().to_owned(), token: String::new() };
        let waited_for = ProcessId::parse(process).is_some_and(|process| process.is_alive());
        if waited_for || outside.executor.status(std::slice::from_ref(&job)).await?[0] == JobStatus::Running {
            under_way.push(job);
        } else {
            outside.executor.cancel(std::slice::from_ref(&job)).await?;
            outside.artifacts.remove_tree(&place)?;
        }
    }
    Ok(under_way)
}
