//! What is known of the versions that a pull request compares.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CommitSha, SweepName, Time, VersionId};
use crate::domain::sweep::analysis::Comparison;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::SweepReport;

/// A version that results are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The version.
    pub version: VersionId,
    /// The commit that it was built from.
    pub commit: CommitSha,
    /// How people call it: `production`, or the branch that the pull request goes to.
    pub called: String,
}

/// What a comparison of one model would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonPlan {
    /// The head that it was made for.
    pub head: CommitSha,
    /// The pull request's own version.
    pub version: VersionId,
    /// What it is compared with.
    pub base: Base,
    /// The sweeps, by name.
    pub sweeps: Vec<PlannedPair>,
    /// How many new runs it may start by itself, of both versions together; none waits for a command.
    pub allowance: Option<u64>,
}

/// One sweep of a comparison, planned for both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedPair {
    /// The sweep's name; `tests` for the runs that the manifest's tests declare.
    pub name: SweepName,
    /// Both plans, or why one of the versions cannot run it.
    pub plans: Result<Box<Pair<PlanSummary>>, String>,
}

/// The same of both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// The base's.
    pub base: T,
    /// The pull request's own.
    pub head: T,
}

impl Pair<PlanSummary> {
    /// Runs that have to be executed.
    #[must_use]
    pub fn new_runs(&self) -> u64 {
        self.base.counts.new_runs().saturating_add(self.head.counts.new_runs())
    }

    /// Why policy refuses it; none when it does not.
    #[must_use]
    pub fn refusal(&self) -> Option<&[String]> {
        [&self.base, &self.head].into_iter().find_map(|plan| match &plan.verdict {
            Verdict::NeedsCommand => None,
            Verdict::Refused { reasons } => Some(&reasons[..]),
        })
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.base.digest == other.base.digest && self.head.digest == other.head.digest
    }
}

/// The comparison of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullComparison {
    /// When its comment was or will be edited last; none while it has no comment.
    pub last_edit: Option<Time>,
    /// Where it stands.
    pub phase: ComparisonPhase,
}

/// Where a comparison stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum ComparisonPhase {
    /// The model builds, or the comparison is being planned.
    Waiting,
    /// There is nothing to compare.
    Nothing {
        /// Why, one sentence part.
        reason: String,
    },
    /// It is planned; each sweep of it goes its own way.
    Planned {
        /// The pull request's own version.
        version: VersionId,
        /// What it is compared with.
        base: Base,
        /// The head that it was planned for.
        head: CommitSha,
        /// When this plan was shown first. A command that is older cannot have meant it.
        shown_at: Time,
        /// The sweeps.
        sweeps: Vec<ComparedSweep>,
    },
}

/// One sweep of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedSweep {
    /// Its name.
    pub name: SweepName,
    /// Where it stands.
    pub stage: ComparedStage,
}

/// Where one sweep of a comparison stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ComparedStage {
    /// One of the versions cannot run it.
    Unfit {
        /// Why.
        reason: String,
    },
    /// Somebody may start it.
    Offered {
        /// Both plans.
        plans: Box<Pair<PlanSummary>>,
    },
    /// Both versions run.
    Running {
        /// How both stand.
        reports: Box<Pair<SweepReport>>,
    },
    /// Both have run; their tables are being compared.
    Comparing {
        /// How both ended.
        reports: Box<Pair<SweepReport>>,
    },
    /// They are compared.
    Compared {
        /// How both ended.
        reports: Box<Pair<SweepReport>>,
        /// How they differ: the base's first.
        comparison: Box<Comparison>,
    },
    /// It ended without a comparison.
    Ended {
        /// Both plans.
        plans: Box<Pair<PlanSummary>>,
        /// By what.
        ending: Ending,
    },
}

/// Why a sweep of a comparison ended without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ending")]
pub enum Ending {
    /// Somebody or something cancelled it.
    Cancelled {
        /// By whom or what.
        by: String,
    },
    /// It could not go on.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl ComparedStage {
    /// Both plans, when both versions can run it.
    #[must_use]
    pub fn plans(&self) -> Option<Pair<&PlanSummary>> {
        match self {
            Self::Unfit { .. } => None,
            Self::Offered { plans } | Self::Ended { plans, .. } => Some(Pair { base: &plans.base, head: &plans.head }),
            Self::Running { reports } | Self::Comparing { reports } | Self::Compared { reports, .. } => {
                Some(Pair { base: &reports.base.plan, head: &reports.head.plan })
            }
        }
    }

    /// Whether runs of it may be under way.
    pub(super) fn is_under_way(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Comparing { .. } => true,
            Self::Unfit { .. } | Self::Offered { .. } | Self::Compared { .. } | Self::Ended { .. } => false,
        }
    }
}

impl PullComparison {
    pub(super) fn sweeps(&self) -> &[ComparedSweep] {
        match &self.phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps,
            ComparisonPhase::Waiting | ComparisonPhase::Nothing { .. } => &[],
        }
    }

    pub(super) fn sweeps_mut(&mut self) -> &mut [ComparedSweep] {
        match &mut self.phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps,
            ComparisonPhase::Waiting | ComparisonPhase::Nothing { .. } => &mut [],
        }
    }
}
