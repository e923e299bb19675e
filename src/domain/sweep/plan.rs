//! What a sweep would do: the plan, its digest and its counts.

use serde::{Deserialize, Serialize};

use super::cost::{Needs, Price};
use super::retry::RetryRules;
use crate::domain::ids::{CommitSha, Digest, ModelName, SweepId, SweepName, VersionId};

/// How many runs a plan has, and of what kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCounts {
    /// Points that the design generates, before `where` and `exclude`.
    pub generated: u64,
    /// Points that `where` or `exclude` rejected.
    pub rejected: u64,
    /// Points that equal another point and are kept once.
    pub repeated: u64,
    /// Runs of the plan, the baseline's included.
    pub runs: u64,
    /// Runs whose result is known already.
    pub reused: u64,
}

impl PlanCounts {
    /// Runs that have to be executed.
    #[must_use]
    pub fn new_runs(&self) -> u64 {
        self.runs - self.reused
    }
}

/// One parameter that the sweep moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedParameter {
    /// Its name.
    pub name: String,
    /// How many different values it takes.
    pub levels: u64,
    /// What the file declares, in short: `range 1600 .. 3500 step 100`.
    pub declared: String,
    /// The unit that the manifest gives it; empty when there is none.
    pub unit: String,
    /// How its values are spread, as the file declares it.
    #[serde(default, skip_serializing_if = "Scale::is_linear")]
    pub scale: Scale,
}

/// How the values of a parameter are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal steps.
    #[default]
    Linear,
    /// Equal proportions.
    Log,
}

impl Scale {
    fn is_linear(&self) -> bool {
        *self == Self::Linear
    }
}

/// Limits that a sweep file sets for its own execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Most runs at once.
    pub max_parallel: Option<u32>,
    /// Stop starting runs once more than this share (0 to 1) or number has failed.
    pub max_failures: Option<MaxFailures>,
    /// Most that the sweep may cost, in USD.
    pub budget_usd: Option<f64>,
    /// How many runs go ahead of all others; 0 for none, nothing where the file leaves it to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<u32>,
    /// How long a job should last, in milliseconds, where short runs share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_ms: Option<u64>,
    /// Which failed runs are done again by themselves.
    #[serde(default, skip_serializing_if = "RetryRules::are_default")]
    pub retry: RetryRules,
}

/// When too many failures stop a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFailures {
    /// More than this many runs.
    Count(u64),
    /// More than this share of the plan's runs, 0 to 1.
    Share(f64),
}

/// What policy says of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Somebody with write permission may start it.
    NeedsCommand,
    /// It may not run as it is.
    Refused {
        /// Why, one sentence part each.
        reasons: Vec<String>,
    },
}

impl Verdict {
    /// This verdict and one more reason against the plan.
    #[must_use]
    pub fn and_refused(self, reason: &str) -> Self {
        let mut reasons = match self {
            Self::NeedsCommand => Vec::new(),
            Self::Refused { reasons } => reasons,
        };
        reasons.push(reason.to_owned());
        Self::Refused { reasons }
    }
}

/// From how many new runs on does one go ahead, where the file does not say?
const CANARY_FROM: u64 = 20;

/// A plan in short: everything a person needs to decide, bounded whatever the number of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// The sweep's id.
    pub id: SweepId,
    /// The sweep's name.
    pub name: SweepName,
    /// The sweep file's path.
    pub file: String,
    /// The digest over everything that the plan decides.
    pub digest: Digest,
    /// The model.
    pub model: ModelName,
    /// How the file names the version: `production`, `pr-3`, a commit.
    pub reference: String,
    /// The version that the reference meant when the plan was made.
    pub version: VersionId,
    /// The version's commit.
    pub model_commit: CommitSha,
    /// What runs.
    pub executable: Digest,
    /// The pull request's head commit that the plan was made for; none on a laptop.
    pub head: Option<CommitSha>,
    /// The design's name: `grid`, `points`.
    pub design: String,
    /// Parameters that move, in the manifest's order.
    pub moved: Vec<MovedParameter>,
    /// Parameters that the file holds at a value, and those held at another one than their default, with that value.
    pub fixed: Vec<(String, String)>,
    /// The baseline's moved parameters with their values; empty without a baseline.
    pub baseline: Vec<(String, String)>,
    /// Counts.
    pub counts: PlanCounts,
    /// First points, values in the order of `moved`; at most 5.
    pub sample: Vec<Vec<String>>,
    /// Outputs that the sweep asks for, first one first; empty means all.
    pub outputs: Vec<String>,
    /// Limits.
    pub limits: RunLimits,
    /// What one run holds while it runs.
    #[serde(default)]
    pub needs: Needs,
    /// What the executor costs.
    #[serde(default)]
    pub price: Price,
    /// Estimated wall time in milliseconds, from earlier runs of this model.
    pub estimate_ms: Option<u64>,
    /// Estimated cost in USD, likewise, where the executor has a price.
    #[serde(default)]
    pub estimate_usd: Option<f64>,
    /// What policy says.
    pub verdict: Verdict,
    /// Things worth knowing that stop nothing.
    pub notes: Vec<String>,
    /// What the sweep is for.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What a sweep is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Its own results.
    #[default]
    Results,
    /// It is one side of a comparison of two versions.
    Comparison,
}

impl PlanSummary {
    /// How many runs go ahead of all others, so that a fault of all of them costs only these. By itself one does where
    /// many runs are new and none of their kind has succeeded before, and where a budget has no estimate to be held
    /// against.
    #[must_use]
    pub fn canary(&self) -> u32 {
        let new = self.counts.new_runs();
        let asked = self.limits.canary.unwrap_or_else(|| {
            let untried = new >= CANARY_FROM && self.counts.reused == 0;
            let unpriced = self.limits.budget_usd.is_some() && self.price.is_known() && self.estimate_usd.is_none();
            u32::from(untried || unpriced)
        });
        if u64::from(asked) < new { asked } else { 0 }
    }

    /// What runs cost that took `run_ms` milliseconds together with `memory` bytes each, in USD.
    #[must_use]
    pub fn cost_usd(&self, memory: u64, run_ms: u64) -> f64 {
        self.price.of(self.needs.milli_cpus, memory, run_ms)
    }
}
