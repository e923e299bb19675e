//! What is known of a sweep while it runs, and of its jobs and runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::analysis::AnalysisSummary;
use super::plan::PlanSummary;
use super::record::FailureClass;
use crate::domain::forge::User;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// Somebody at a terminal or a rule asked for it: the plan must still be that of the pull request's head.
    Asked,
    /// The same, by somebody in the pull request, who must still be allowed to ask for it.
    AskedBy(User),
    /// What an earlier round left is done.
    Continued,
}

/// Which runs a round has, and what they are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Failures of this round of the sweep and of later ones are settled; earlier ones are done again.
    pub settled_since: u32,
    /// The same for single classes, where it is later.
    #[serde(default)]
    pub again_since: BTreeMap<FailureClass, u32>,
    /// Most runs of the round, the plan's first ones; none for all.
    #[serde(default)]
    pub most_runs: Option<u64>,
    /// Memory of each run in bytes; none for what the manifest says.
    #[serde(default)]
    pub memory: Option<u64>,
    /// How long a run takes on the average, in milliseconds, as far as this sweep has measured it.
    #[serde(default)]
    pub mean_ms: Option<u64>,
}

impl Scope {
    /// Whether a failure of `class` in `round` is done again.
    #[must_use]
    pub fn does_again(&self, class: FailureClass, round: u32) -> bool {
        let since = self.again_since.get(&class).copied().unwrap_or(0).max(self.settled_since);
        // What was interrupted is done again without being asked for; the rounds that bring nothing are bounded.
        class == FailureClass::Interrupted || round < since
    }
}

/// Which part of a sweep its rounds are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A few runs that go ahead of all others.
    Canary,
    /// Everything that has no result.
    #[default]
    Whole,
    /// Runs that were out of memory, with more of it.
    Raised,
}

/// Runs that were given more memory than the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// How much each was given, in bytes.
    pub memory: u64,
    /// How many succeeded with it.
    pub runs: u64,
}

/// Why a sweep ends before all of its runs are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ending")]
pub enum Ending {
    /// Somebody said so.
    Cancelled {
        /// Who or what.
        by: String,
    },
    /// A rule said so.
    Stopped {
        /// Why, one sentence part.
        reason: String,
    },
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
    /// No run begins any more; those under way are being ended.
    Stopping {
        /// The jobs.
        jobs: Vec<JobHandle>,
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
        /// Why not all runs were done; none when all were and some failed.
        #[serde(default)]
        reason: Option<String>,
    },
    /// It was stopped.
    Cancelled {
        /// By whom or what.
        by: String,
        /// The analysis of what was done by then; none when nothing was.
        #[serde(default)]
        analysis: Option<Box<AnalysisSummary>>,
    },
    /// It ended before any run had a result, or went wrong by our fault.
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
    /// How long it took when it was started before, all times together, in milliseconds.
    #[serde(default)]
    pub before_ms: u64,
    /// The round, from 1. Interrupted runs and retries open a new one.
    pub round: u32,
    /// What its rounds are about.
    #[serde(default)]
    pub stage: Stage,
    /// From which round on a failure counts as settled. What failed before is done again.
    pub settled_since: u32,
    /// Classes of failure that were done again: since which round the last time, and how often.
    #[serde(default)]
    pub again: BTreeMap<FailureClass, Again>,
    /// Memory beyond what the manifest says, step by step; the last one is in force.
    #[serde(default)]
    pub raised: Vec<Raised>,
    /// What the runs of earlier rounds cost, in USD.
    #[serde(default)]
    pub spent_usd: f64,
    /// How long a run takes on the average, in milliseconds, as the runs that went ahead have shown.
    #[serde(default)]
    pub mean_ms: Option<u64>,
    /// Why it ends before all runs are done, once that is decided.
    #[serde(default)]
    pub ending: Option<Ending>,
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

/// A class of failure that was done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The round in which it was done again last.
    pub since: u32,
    /// How often.
    pub times: u32,
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
    /// How long it took when it was started before, all times together, in milliseconds.
    #[serde(default)]
    pub before_ms: u64,
    /// Runs of the plan with a good result: reused ones and new ones.
    pub succeeded: u64,
    /// Failed runs by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// The first failures; at most 50.
    pub failures: Vec<RunFailure>,
    /// The round, from 1.
    pub round: u32,
    /// What its rounds are about.
    #[serde(default)]
    pub stage: Stage,
    /// Runs that were given more memory, step by step.
    #[serde(default)]
    pub raised: Vec<Raised>,
    /// What the runs so far cost, in USD; none where the executor has no price.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// How long a run takes on the average, in milliseconds, as the runs that went ahead have shown.
    #[serde(default)]
    pub mean_ms: Option<u64>,
    /// Where it stands.
    pub phase: SweepPhase,
}

impl SweepReport {
    /// The report of a sweep that was told to start and has not yet.
    #[must_use]
    pub fn of_start(plan: PlanSummary, by: &str, now: Time) -> Self {
        Self {
            plan,
            by: by.to_owned(),
            started_at: now,
            ended_at: None,
            before_ms: 0,
            succeeded: 0,
            failed: BTreeMap::new(),
            failures: Vec::new(),
            round: 0,
            stage: Stage::default(),
            raised: Vec::new(),
            cost_usd: None,
            mean_ms: None,
            phase: SweepPhase::Submitting,
        }
    }

    /// How long it took until its end or `now`, all its starts together, in milliseconds.
    #[must_use]
    pub fn took_ms(&self, now: Time) -> u64 {
        let took = self.ended_at.unwrap_or(now).since(self.started_at);
        self.before_ms.saturating_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    }

    /// Runs that ended, well or not.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed.values().sum::<u64>()
    }
}
