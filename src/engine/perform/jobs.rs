//! Runs handed to the executor, watched, and ended.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::members::Round;
use super::talk::denial;
use super::{Reports, blocking};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::forge::{PullStatus, User};
use crate::domain::ids::{PullRef, SweepId};
use crate::domain::manifest::Run;
use crate::domain::policy::Act;
use crate::domain::sweep::decide::FAILURES_KEPT;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::record::{FailureClass, Outcome, Record};
use crate::domain::sweep::state::{Beginning, JobHandle, RoundCounts, RunFailure, Scope};
use crate::edge::artifacts::directory::{ArtifactKey, Artifacts};
use crate::edge::executor::{JobStatus, SubmitError};
use crate::engine::planning::{CHUNK, Planned, PointReader, read_plan};
use crate::engine::work::Work;
use crate::engine::{Engine, Failure, keys};
use crate::runner::SliceLine;
use crate::store::runs::{IndexedRun, KnownRun, RunFilter, RunOutcome};

/// How long is waited at first between two looks at what jobs have written?
const FIRST_LOOK: Duration = Duration::from_millis(400);

/// How long at most, for jobs that have run for long? Nobody needs a job of hours told every second.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// How much of a job's records is read at once?
const READ_AT_ONCE: u64 = 4 << 20;

/// A round to begin.
pub(super) struct Order<'a> {
    pub(super) plan: &'a PlanSummary,
    pub(super) pull: Option<&'a PullRef>,
    pub(super) round: u32,
    pub(super) scope: &'a Scope,
}

/// Hands the runs without a result to the executor, or says why the round does not begin.
pub(super) async fn submit(engine: &Engine, order: &Order<'_>, beginning: &Beginning) -> Reports {
    let Order { plan, round, .. } = *order;
    let begun = begin(engine, order, beginning).await?;
    let event = begun.unwrap_or_else(|reason| Event::StartRefused { round, reason });
    Ok(vec![Keyed { key: Key::Sweep(plan.id.clone()), event }])
}

/// What follows when the round begins; otherwise why it does not, in words for whoever asked for it.
async fn begin(engine: &Engine, order: &Order<'_>, beginning: &Beginning) -> Result<Result<Event, String>, Failure> {
    let Order { plan, pull, round, scope } = *order;
    let asker = match beginning {
        Beginning::Continued => None,
        Beginning::Asked => Some(None),
        Beginning::AskedBy(user) => Some(Some(user)),
    };
    if let Some(asker) = asker
        && let Some(reason) = refusal(engine, (plan, pull), asker).await?
    {
        return Ok(Err(reason));
    }
    let outside = engine.outside();
    let planned = read_plan(&outside.artifacts, &plan.id)?;
    let slice_key = keys::slice(&plan.id, round)?;
    let slice = write_slice(engine, &planned, scope, &slice_key).await?;
    let mut jobs = Vec::new();
    if slice.runs > 0 {
        let run = with_memory(&planned.manifest.run, scope.memory);
        let cursor = Some(keys::cursor(&plan.id, round)?);
        let work = Work { planned: &planned, run, slice: &slice_key, runs: slice.runs, run_ms: scope.mean_ms, cursor };
        let submitted = match engine.jobs_for(work, |number| keys::job(&plan.id, number, round)).await? {
            Ok(specs) => outside.executor.submit(specs).await,
            Err(reason) => return Ok(Err(reason)),
        };
        jobs = match submitted {
            Ok(jobs) => jobs,
            Err(SubmitError::Refused(reason)) => return Ok(Err(reason)),
            Err(SubmitError::Internal(error)) => return Err(error.into()),
        };
        engine.store().add_jobs(&plan.id, round, &plan.model, &jobs, engine.now()).await?;
    }
    tracing::info!(sweep.id = %plan.id, round, run.count = slice.runs, "sweep {} runs {}", plan.id, slice.runs);
    Ok(Ok(Event::JobsSubmitted { round, jobs, runs: slice.runs, known: slice.succeeded, failed: slice.failed }))
}

/// How a run runs, with another memory than the manifest says.
fn with_memory(run: &Run, memory: Option<u64>) -> Run {
    let mut run = run.clone();
    run.resources.memory = memory.unwrap_or(run.resources.memory);
    run
}

/// Why a sweep that was started may not begin after all: the pull request is closed, or has moved on since its plan, or
/// whoever asked may no longer do so. The forge may have been away for days since it was asked who may what.
async fn refusal(
    engine: &Engine,
    (plan, pull): (&PlanSummary, Option<&PullRef>),
    asker: Option<&User>,
) -> Result<Option<String>, Failure> {
    let (Some(pull), Some(head), Some(forge)) = (pull, &plan.head, engine.outside().forge()) else {
        return Ok(None);
    };
    let live = forge.pull(pull).await?;
    if live.status == PullStatus::Closed {
        return Ok(Some(format!("{pull} is closed")));
    }
    if live.head == *head {
        let Some(asker) = asker else { return Ok(None) };
        let denied = denial(engine, &pull.repository, asker, Act::Sweep).await?;
        return Ok(denied.map(|reason| format!("{} may not start it any more: {reason}", asker.login)));
    }
    Ok(Some(format!(
        "the plan was made for {}, but {pull} is at {} now; look at the new plan and start that",
        head.short(),
        live.head.short()
    )))
}

struct Slice {
    runs: u64,
    succeeded: u64,
    failed: BTreeMap<FailureClass, u64>,
}

/// Lists the runs of this round: those without a result, and those that failed and are done again.
async fn write_slice(engine: &Engine, planned: &Planned, scope: &Scope, key: &ArtifactKey) -> Result<Slice, Failure> {
    let artifacts = &engine.outside().artifacts;
    let names: Vec<_> = planned.manifest.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let mut reader = PointReader::open(&artifacts.path(&keys::points(&planned.summary.id)?))?;
    let mut writer = artifacts.create(key).map_err(anyhow::Error::from)?;
    let mut slice = Slice { runs: 0, succeeded: 0, failed: BTreeMap::new() };
    loop {
        let chunk = reader.next_chunk(CHUNK)?;
        if chunk.is_empty() {
            break;
        }
        let ids: Vec<_> = chunk.iter().map(|point| point.run.clone()).collect();
        let known = engine.store().known_runs(&ids).await?;
        for point in chunk {
            match known.get(&point.run) {
                Some(KnownRun { outcome: RunOutcome::Succeeded, .. }) => slice.succeeded += 1,
                Some(KnownRun { outcome: RunOutcome::Failed(class), sweep, round, .. })
                    if *sweep == planned.summary.id && !scope.does_again(*class, *round) =>
                {
                    *slice.failed.entry(*class).or_default() += 1;
                }
                Some(_) | None if scope.most_runs.is_some_and(|most| slice.runs >= most) => {}
                Some(_) | None => {
                    let parameters = names.iter().cloned().zip(point.values).collect();
                    let line = SliceLine { run: point.run, parameters, seed: None };
                    serde_json::to_writer(&mut writer, &line).map_err(anyhow::Error::from)?;
                    writer.write_all(b"\n").map_err(anyhow::Error::from)?;
                    slice.runs += 1;
                }
            }
        }
    }
    writer.commit().context("the list of runs cannot be written")?;
    Ok(slice)
}

/// Waits until the jobs have written something or ended, and tells how they stand.
pub(super) async fn watch(engine: &Engine, sweep: &SweepId, round: u32, jobs: &[JobHandle]) -> Reports {
    let executor = &engine.outside().executor;
    let ended = loop {
        let running: Vec<_> = jobs
            .iter()
            .zip(executor.status(jobs).await?)
            .filter(|(_, status)| matches!(status, JobStatus::Running))
            .map(|(job, _)| job.clone())
            .collect();
        if !running.is_empty() {
            executor.wait_for_change(&running, pace(engine, jobs).await?).await?;
        }
        // First how the jobs stand, then what they wrote: what an ended job wrote is complete.
        let statuses = executor.status(jobs).await?;
        let mut news = 0;
        for job in jobs {
            news += read_records(engine, sweep, round, job).await?;
        }
        let ended = statuses.iter().all(|status| !matches!(status, JobStatus::Running));
        if ended || news > 0 {
            break ended.then_some(statuses);
        }
    };
    for (job, status) in jobs.iter().zip(ended.iter().flatten()) {
        if *status == JobStatus::Vanished {
            let said = executor.last_words(job).await;
            tracing::warn!(sweep.id = %sweep, round, job = job.place, said, "a job went away before it had ended");
            // Whatever ended the runner left its runs alive: they end before the next round does the same again.
            executor.cancel(std::slice::from_ref(job)).await?;
        }
        engine.store().mark_job_ended(&job.place).await?;
        executor.forget(job).await?;
    }
    let ended = ended.is_some();
    let counts = engine.store().round_counts(sweep, round).await?;
    let failures = failures(engine, (sweep, round), &counts).await?;
    let event = Event::RunsObserved { round, counts, failures, ended };
    Ok(vec![Keyed { key: Key::Sweep(sweep.clone()), event }])
}

/// How long to wait before the next look: longer the longer the jobs run, within bounds.
async fn pace(engine: &Engine, jobs: &[JobHandle]) -> Result<Duration, Failure> {
    let mut age = Duration::ZERO;
    for job in jobs {
        if let Some(known) = engine.store().job(&job.place).await? {
            age = age.max(engine.now().since(known.created_at));
        }
    }
    Ok((age / 50).clamp(FIRST_LOOK, LAST_LOOK))
}

/// Indexes the records that a job has appended, and says how many. Only runs of the job's own slice count: no job can
/// plant a result.
async fn read_records(engine: &Engine, sweep: &SweepId, round: u32, job: &JobHandle) -> Result<usize, Failure> {
    let mut indexed = 0;
    let artifacts = engine.outside().artifacts.clone();
    let records_key = keys::records(&job.place)?;
    let slice = artifacts.path(&keys::slice(sweep, round)?);
    loop {
        let Some(known) = engine.store().job(&job.place).await? else {
            return Err(Failure::Never(anyhow!("job `{}` is not known", job.place)));
        };
        let offset = known.byte_offset;
        let (reader, key) = (artifacts.clone(), records_key.clone());
        let bytes = blocking(move || read_from(&reader, &key, offset)).await?;
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1) else { return Ok(indexed) };
        let (slice, members) = (slice.clone(), engine.members());
        let rows = blocking(move || Ok(index(&bytes[..end], offset, &*members.of(&slice)?))).await?;
        let to = offset + u64::try_from(end).context("more records than a file can hold")?;
        engine.store().index_records(&job.place, offset..to, &rows, engine.now()).await?;
        indexed += rows.len();
        tracing::debug!(sweep.id = %sweep, round, run.count = rows.len(), "indexed records");
    }
}

/// What a job has written since `offset`; nothing while it has not written at all.
fn read_from(artifacts: &Artifacts, key: &ArtifactKey, offset: u64) -> anyhow::Result<Vec<u8>> {
    match artifacts.read_range(key, offset, READ_AT_ONCE) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Where each record of `bytes` lies. Records of runs that are not the job's own, and lines that are no records, are left
/// out: their runs count as missing and are done again.
fn index(bytes: &[u8], offset: u64, own: &Round) -> Vec<IndexedRun> {
    let mut rows = Vec::new();
    let mut at = offset;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let length = u64::try_from(line.len()).unwrap_or(0);
        match serde_json::from_slice::<Record>(line) {
            Ok(record) if own.has(&record.run) => {
                let outcome = match &record.outcome {
                    Outcome::Succeeded => RunOutcome::Succeeded,
                    Outcome::Failed { class, .. } => RunOutcome::Failed(*class),
                };
                rows.push(IndexedRun {
                    run: record.run,
                    outcome,
                    byte_offset: at,
                    byte_length: length,
                    wall_ms: record.wall_ms,
                });
            }
            Ok(record) => tracing::error!(run.id = %record.run, "a job left a record of a run that is not its own"),
            Err(error) => tracing::error!(error = %error, "a job left a line that is no record"),
        }
        at += length;
    }
    rows
}

/// The first failures of the round, with the values that the sweep moves.
async fn failures(
    engine: &Engine,
    (sweep, round): (&SweepId, u32),
    counts: &RoundCounts,
) -> Result<Vec<RunFailure>, Failure> {
    if counts.failed_total() == 0 {
        return Ok(Vec::new());
    }
    let most = u32::try_from(FAILURES_KEPT).unwrap_or(u32::MAX);
    let mut failed = engine.store().runs_of_sweep(sweep, RunFilter::Failed, most).await?;
    failed.retain(|run| run.round == round);
    let planned = read_plan(&engine.outside().artifacts, sweep)?;
    let artifacts = engine.outside().artifacts.clone();
    let slice = artifacts.path(&keys::slice(sweep, round)?);
    let (members, wanted) = (engine.members(), failed.iter().map(|run| run.run.clone()).collect::<Vec<_>>());
    let mut parameters = blocking(move || {
        let round = members.of(&slice)?;
        let lines = wanted.iter().filter_map(|run| round.line(run).transpose());
        lines.map(|line| line.map(|line| (line.run, line.parameters))).collect::<anyhow::Result<HashMap<_, _>>>()
    })
    .await?;
    let mut failures = Vec::new();
    for run in failed {
        let key = keys::records(&run.place)?;
        let reader = artifacts.clone();
        let bytes = blocking(move || Ok(reader.read_range(&key, run.byte_offset, run.byte_length)?)).await?;
        let record: Record = serde_json::from_slice(&bytes).context("an indexed record cannot be read")?;
        let Outcome::Failed { class, message, log_tail } = record.outcome else { continue };
        let moved = &planned.summary.moved;
        let values = parameters.remove(&run.run).unwrap_or_default().into_iter();
        let values = values.filter(|(name, _)| moved.iter().any(|moved| moved.name == *name));
        let parameters = values.map(|(name, value)| (name, value.to_string())).collect();
        failures.push(RunFailure { run: run.run, parameters, class, message, log_tail });
    }
    Ok(failures)
}

/// Ends the jobs of a round and everything that they started: those that are known, and those that this server started and
/// died before it could write that down.
pub(super) async fn cancel(engine: &Engine, sweep: &SweepId, round: u32, known: &[JobHandle]) -> Reports {
    let mut jobs = known.to_vec();
    for place in places(engine, sweep, round)? {
        if jobs.iter().all(|job| job.place != place) {
            jobs.push(JobHandle { place, token: String::new() });
        }
    }
    engine.outside().executor.cancel(&jobs).await.context("cannot end jobs")?;
    for job in &jobs {
        engine.store().mark_job_ended(&job.place).await?;
    }
    Ok(Vec::new())
}

/// Where jobs of this round were to work, whether or not they ever began.
fn places(engine: &Engine, sweep: &SweepId, round: u32) -> anyhow::Result<Vec<String>> {
    let artifacts = &engine.outside().artifacts;
    let numbers = match fs_err::read_dir(artifacts.path(&keys::jobs(sweep)?)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut places = Vec::new();
    for number in numbers {
        let Some(number) = number?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let place = keys::job(sweep, number, round)?;
        if artifacts.path(&place).is_dir() {
            places.push(place.as_str().to_owned());
        }
    }
    Ok(places)
}
