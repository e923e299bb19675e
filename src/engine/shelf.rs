//! What sweeps and runs left, for readers: by what it is, never by where it lies.

use std::io;

use anyhow::{Context as _, Result};

use super::planning::{Planned, PointReader, read_plan};
use super::{Engine, Recorded, keys};
use crate::domain::ids::{RunId, SweepId};
use crate::domain::sweep::points::Role;
use crate::domain::sweep::record::Outcome;
use crate::edge::artifacts::content::Content;
use crate::edge::artifacts::directory::{ArtifactKey, Artifacts};
use crate::runner::redact::redact;
use crate::store::runs::{KnownRun, RunOutcome};

/// A file that a sweep leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepFile {
    /// The plan with all that is needed to carry it out.
    Plan,
    /// The plan's points, one a line.
    Points,
    /// The table as CSV.
    Table,
    /// The table as Parquet.
    TypedTable,
    /// The page with table, statistics and plots.
    Report,
}

impl SweepFile {
    /// Every one, in the order of a list for people.
    pub const ALL: [Self; 5] = [Self::Report, Self::Table, Self::TypedTable, Self::Plan, Self::Points];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan.json",
            Self::Points => "points.jsonl",
            Self::Table => "analysis.csv",
            Self::TypedTable => "analysis.parquet",
            Self::Report => "report.html",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }
}

/// A run of a sweep's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// The run.
    pub run: RunId,
    /// What it is for.
    pub role: Role,
    /// The values of the parameters that the sweep moves, in the plan's order.
    pub moved: Vec<String>,
    /// How it ended, whichever sweep executed it; none when it has not.
    pub outcome: Option<RunOutcome>,
}

impl Engine {
    /// What a sweep left; none when it has not, or not yet.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn open_of_sweep(&self, sweep: &SweepId, file: SweepFile) -> Result<Option<Content>> {
        self.open(keys::of_sweep(sweep, file.name())?).await
    }

    /// A run with its record and its plan; none when what it left is gone.
    ///
    /// # Errors
    /// When the artifact store fails, or what it has cannot be read.
    pub async fn kept_run(&self, known: KnownRun) -> Result<Option<Recorded>> {
        match self.recorded(known).await {
            Ok(recorded) => Ok(Some(recorded)),
            Err(error) if was_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parameters of a run; none when what tells them is gone.
    ///
    /// # Errors
    /// When the artifact store fails, or what it has cannot be read.
    pub async fn kept_parameters(&self, recorded: &Recorded) -> Result<Vec<(String, String)>> {
        match self.parameters_of(recorded).await {
            Err(error) if was_gone(&error) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The first runs of a sweep's plan, at most `most`; none when its plan is gone.
    ///
    /// # Errors
    /// When the database or the artifact store fail, or what they have cannot be read.
    pub async fn first_runs(&self, sweep: &SweepId, most: usize) -> Result<Vec<PlannedRun>> {
        let (artifacts, sweep) = (self.outside.artifacts.clone(), sweep.clone());
        let task = tokio::task::spawn_blocking(move || first_points(&artifacts, &sweep, most));
        let mut runs = match task.await.context("reading a plan panicked")? {
            Err(error) if was_gone(&error) => return Ok(Vec::new()),
            result => result?,
        };
        let ids: Vec<_> = runs.iter().map(|run| run.run.clone()).collect();
        let known = self.store.known_runs(&ids).await?;
        for run in &mut runs {
            run.outcome = known.get(&run.run).map(|known| known.outcome);
        }
        Ok(runs)
    }

    /// A file that a run left; none when its record names no such file, or when it is gone.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn open_of_run(&self, recorded: &Recorded, name: &str) -> Result<Option<Content>> {
        // What a run may leave was checked when it was taken; nothing else is anybody's to name.
        if !recorded.record.files.contains_key(name) {
            return Ok(None);
        }
        let Ok(key) = keys::kept_file(&recorded.known.place, &recorded.known.run, name) else { return Ok(None) };
        self.open(key).await
    }

    /// What a run printed, without secrets; the end of it as its record has it when the log is gone.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn printed(&self, recorded: &Recorded) -> Result<String> {
        Ok(match (self.log_of(recorded).await?, &recorded.record.outcome) {
            (Some(log), _) => log,
            (None, Outcome::Failed { log_tail, .. }) => redact(log_tail).into_owned(),
            (None, Outcome::Succeeded) => String::new(),
        })
    }

    async fn open(&self, key: ArtifactKey) -> Result<Option<Content>> {
        let artifacts = self.outside.artifacts.clone();
        let opened = tokio::task::spawn_blocking(move || artifacts.content(&key));
        match opened.await.context("opening an artifact panicked")? {
            Ok(content) => Ok(Some(content)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The first points of a plan, each as a run of which nothing is known.
fn first_points(artifacts: &Artifacts, sweep: &SweepId, most: usize) -> Result<Vec<PlannedRun>> {
    let Planned { summary, manifest, .. } = read_plan(artifacts, sweep)?;
    let place = |name: &str| manifest.parameters.iter().position(|parameter| parameter.name == name);
    let moved: Vec<usize> = summary.moved.iter().filter_map(|moved| place(&moved.name)).collect();
    let points = PointReader::open(&artifacts.path(&keys::points(sweep)?))?.next_chunk(most)?;
    let planned = points.into_iter().map(|point| PlannedRun {
        moved: moved.iter().filter_map(|at| point.values.get(*at)).map(ToString::to_string).collect(),
        run: point.run,
        role: point.role,
        outcome: None,
    });
    Ok(planned.collect())
}

fn was_gone(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_gone)
}

/// Whether there is no artifact, or only a link that somebody put there.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
}
