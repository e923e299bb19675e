//! Where everything lies in the artifact store.
//!
//! ```text
//! builds/<owner>/<title>/<commit>/build.log
//! sweeps/<id>/{plan.json, points.jsonl, analysis.csv, analysis.parquet, report.html}
//! sweeps/<id>/rounds/<round>/{slice.jsonl, cursor}
//! sweeps/<id>/jobs/<n>/<round>/{records.jsonl, <run id>/{log.txt, <files>}}
//! replays/<process>-<id>/                                          a replay under way; gone when it has ended
//! ```

use anyhow::{Context as _, Result};

use crate::domain::ids::{CommitSha, ModelName, RunId, SweepId};
use crate::edge::artifacts::directory::ArtifactKey;

/// Where the logs of a model's builds lie.
pub(super) fn builds(model: &ModelName) -> Result<ArtifactKey> {
    key(format!("builds/{model}"))
}

/// What a build printed.
pub(super) fn build_log(model: &ModelName, commit: &CommitSha) -> Result<ArtifactKey> {
    key(format!("builds/{model}/{commit}/build.log"))
}

/// A sweep's plan with all that is needed to carry it out.
pub(super) fn plan(sweep: &SweepId) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/plan.json"))
}

/// A plan's points, one a line.
pub(super) fn points(sweep: &SweepId) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/points.jsonl"))
}

/// A file of a sweep's own.
pub(super) fn of_sweep(sweep: &SweepId, name: &str) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/{name}"))
}

/// The table of a sweep as CSV.
///
/// # Errors
/// Never for a sweep's id as it is.
pub fn analysis_csv(sweep: &SweepId) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/analysis.csv"))
}

/// Where the places of a sweep's jobs lie.
pub(super) fn jobs(sweep: &SweepId) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/jobs"))
}

/// The place of a round's job `number`, from 1.
pub(super) fn job(sweep: &SweepId, number: u32, round: u32) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/jobs/{number}/{round}"))
}

/// The sweep and the round of the job in `place`; none when it is of no sweep.
pub(super) fn round_of(place: &str) -> Option<(SweepId, u32)> {
    match *place.split('/').collect::<Vec<_>>() {
        ["sweeps", sweep, "jobs", _, round] => Some((SweepId::parse(sweep).ok()?, round.parse().ok()?)),
        _ => None,
    }
}

/// The runs that the jobs of a round are told to do. Not in a job's place: no job may change what it is measured by.
pub(super) fn slice(sweep: &SweepId, round: u32) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/rounds/{round}/slice.jsonl"))
}

/// How far the jobs of a round have taken its runs, when they are several.
pub(super) fn cursor(sweep: &SweepId, round: u32) -> Result<ArtifactKey> {
    key(format!("sweeps/{sweep}/rounds/{round}/cursor"))
}

/// The records that the job at `place` leaves.
pub(super) fn records(place: &str) -> Result<ArtifactKey> {
    key(format!("{place}/records.jsonl"))
}

/// Where replays have their places while they are under way.
pub(super) const REPLAYS: &str = "replays";

/// The place of a replay that `process` waits for.
pub(super) fn replay(process: &str, id: &str) -> Result<ArtifactKey> {
    key(format!("{REPLAYS}/{process}-{id}"))
}

/// The runs that the replay in `place` does again.
pub(super) fn replayed(place: &ArtifactKey) -> Result<ArtifactKey> {
    key(format!("{place}/slice.jsonl"))
}

/// A file of the job at `place` itself.
pub(super) fn in_place(place: &str, name: &str) -> Result<ArtifactKey> {
    key(format!("{place}/{name}"))
}

/// Where the run `run` of the job at `place` leaves its files.
pub(super) fn run(place: &str, run: &RunId) -> Result<ArtifactKey> {
    key(format!("{place}/{run}"))
}

/// A file that the run `run` of the job at `place` left.
pub(super) fn kept_file(place: &str, run: &RunId, name: &str) -> Result<ArtifactKey> {
    key(format!("{place}/{run}/{name}"))
}

fn key(text: String) -> Result<ArtifactKey> {
    ArtifactKey::parse(text).context("a place in the artifact store has no valid name")
}
