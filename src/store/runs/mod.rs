//! Jobs at an executor and the index of runs: which run has which result, and where its record lies.
//!
//! The records themselves stay in the artifact store; here is what has to be looked up by the thousand, and counted
//! exactly once.

mod index;
mod jobs;
mod lookup;

use crate::domain::ids::{ModelName, RunId, SweepId, Time};
use crate::domain::sweep::record::FailureClass;
use crate::domain::sweep::state::JobHandle;

/// How a run ended, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// Well.
    Succeeded,
    /// With a failure of this class.
    Failed(FailureClass),
}

/// A record to index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedRun {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Where its record begins in the job's record file, in bytes.
    pub byte_offset: u64,
    /// How long the record is, in bytes, its line end included.
    pub byte_length: u64,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
}

/// A run with a result, and where its record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRun {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub outcome: RunOutcome,
    /// The sweep that executed it.
    pub sweep: SweepId,
    /// The round of that sweep.
    pub round: u32,
    /// The job's place, which holds the record file.
    pub place: String,
    /// Where its record begins in that file, in bytes.
    pub byte_offset: u64,
    /// How long the record is, in bytes.
    pub byte_length: u64,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// When it was indexed.
    pub indexed_at: Time,
}

/// Which runs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFilter {
    /// All.
    All,
    /// Those that succeeded.
    Succeeded,
    /// Those that failed.
    Failed,
}

/// A job and how far its records have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its place, and how the executor finds it.
    pub handle: JobHandle,
    /// The sweep.
    pub sweep: SweepId,
    /// The round.
    pub round: u32,
    /// The model.
    pub model: ModelName,
    /// How much of its record file is indexed, in bytes.
    pub byte_offset: u64,
    /// Records of runs that succeeded.
    pub succeeded: u64,
    /// Records of runs that failed.
    pub failed: u64,
    /// Whether it has ended.
    pub progress: JobProgress,
    /// When it was handed to the executor.
    pub created_at: Time,
}

/// Whether a job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobProgress {
    /// More records may come.
    Running,
    /// It has ended and all its records are read.
    Ended,
}

/// The class of outcomes of `outcome`, as the database spells it in `round_counts`.
fn class_text(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Succeeded => SUCCEEDED,
        RunOutcome::Failed(class) => failure_text(class),
    }
}

/// What stands for success in the columns `outcome` and `class`.
const SUCCEEDED: &str = "succeeded";

/// What stands for failure in the column `outcome`.
const FAILED: &str = "failed";

/// A failure class, spelled as in JSON.
fn failure_text(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Interrupted => "interrupted",
        FailureClass::OutOfMemory => "out_of_memory",
        FailureClass::Timeout => "timeout",
        FailureClass::CannotStart => "cannot_start",
        FailureClass::InvalidOutput => "invalid_output",
        FailureClass::ModelError => "model_error",
    }
}
