//! What is known of a sweep while it runs, and of its jobs and runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::analysis::AnalysisSummary;
use super::plan::PlanSummary;
use super::record::FailureClass;
use crate::domain::ids::{PullRef, RunId, Time};

/// A job at an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHandle {
    /// The job's place in the artifact store: `sweeps/<id>/jobs/<n>/<attempt>`. Also its name at the executor.
    pub place: String,
    /// How the executor finds it again: for a process, its pid and start time.
    pub token: String,
}

/// Which runs with a known result are done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Only what has no result.
    Missing,
    /// Also what failed.
    Failed,
}

/// Why a round begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// Somebody asked for it: the plan must still be that of the pull request's head.
    Asked,
    /// What an earlier round left is done.
    Continued,
}

/// How the runs of one round stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundCounts {
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Wall time of all finished runs together, in milliseconds.
    pub run_ms: u64,
}

impl RoundCounts {
    /// All failed runs.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// All runs with a record.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed_total()
    }

    /// Runs whose end is their own doing. An interrupted run has a record and still has to be done again.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.finished() - self.failed.get(&FailureClass::Interrupted).copied().unwrap_or(0)
    }
}

/// A failed run as comments and tables show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// The run.
    pub run: RunId,
    /// The moved parameters with their values.
    pub parameters: Vec<(String, String)>,
    /// The class.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// The last lines that the model printed.
    pub log_tail: String,
}

/// Where a sweep stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum SweepPhase {
    /// The round's runs are being handed to the executor.
    Submitting,
    /// The executor has them.
    Running {
        /// The jobs.
        jobs: Vec<JobHandle>,
        /// Runs of this round.
        runs: u64,
    },
    /// The analysis is being written.
    Analysing,
    /// Every run has succeeded.
    Succeeded {
        /// The analysis.
        analysis: Box<AnalysisSummary>,
    },
    /// Some runs have no result; the analysis holds the others.
    Incomplete {
        /// The analysis.
        analysis: Box<AnalysisSummary>,
    },
    /// It was stopped.
    Cancelled {
        /// By whom or what.
        by: String,
    },
    /// It could not be started or went wrong by our fault.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// What `decide` knows of a sweep. Bounded, however many runs it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepState {
    /// What it does.
    pub plan: PlanSummary,
    /// The pull request to tell; none on a laptop.
    pub pull: Option<PullRef>,
    /// Who started it.
    pub by: String,
    /// When it was started.
    pub started_at: Time,
    /// When it reached its end.
    pub ended_at: Option<Time>,
    /// The round, from 1. Interrupted runs and retries open a new one.
    pub round: u32,
    /// From which round on a failure counts as settled. What failed before is done again.
    pub settled_since: u32,
    /// Rounds in a row that brought no new result.
    pub fruitless: u32,
    /// Runs of the plan whose result was known when the round began.
    pub known: u64,
    /// The round's runs so far.
    pub counts: RoundCounts,
    /// Runs that failed in earlier rounds and are not done again.
    pub failed_before: BTreeMap<FailureClass, u64>,
    /// The first failures; at most 50.
    pub failures: Vec<RunFailure>,
    /// Where it stands.
    pub phase: SweepPhase,
}

/// A sweep in short, for its pull request and for `sweep status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// What it does.
    pub plan: PlanSummary,
    /// Who started it.
    pub by: String,
    /// When it was started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Runs of the plan with a good result: reused ones and new ones.
    pub succeeded: u64,
    /// Failed runs by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// The first failures; at most 50.
    pub failures: Vec<RunFailure>,
    /// The round, from 1.
    pub round: u32,
    /// Where it stands.
    pub phase: SweepPhase,
}
