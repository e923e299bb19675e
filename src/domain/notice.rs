//! What other programs are told of: versions registered, channels moved, sweeps that ended.
//!
//! A notice holds ids and values that never change afterwards, so the same notice is always the same message with the
//! same id, however often it has to be sent.

mod body;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use body::{Body, Counts, EndedSweep, Place};

use super::decision::Rules;
use super::effect::Effect;
use super::ids::{Digest, ModelName, PullRef, SweepId, SweepName, Time, VersionId};
use super::sweep::record::FailureClass;
use super::sweep::state::{SweepPhase, SweepState};
use super::version::{ChannelMove, Version};

/// A kind of notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A version was registered.
    Registered,
    /// A channel was moved, by a merge or by somebody.
    Promoted,
    /// A sweep ended.
    Finished,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Registered, Self::Promoted, Self::Finished];

    /// The kind in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Promoted => "promoted",
            Self::Finished => "finished",
        }
    }
}

/// Who wants to hear of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The target's name in the settings.
    pub target: String,
    /// What it wants to hear of.
    pub kinds: Vec<NoticeKind>,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "notice")]
pub enum Notice {
    /// A version was registered.
    Registered {
        /// Its model.
        model: ModelName,
        /// The version.
        version: VersionId,
        /// When.
        at: Time,
    },
    /// A channel was moved.
    Promoted {
        /// The move.
        moved: ChannelMove,
    },
    /// A sweep ended.
    Finished {
        /// How.
        sweep: Box<FinishedSweep>,
    },
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedSweep {
    /// The sweep.
    pub id: SweepId,
    /// Its name.
    pub name: SweepName,
    /// The model.
    pub model: ModelName,
    /// The version that ran.
    pub version: VersionId,
    /// The round after which it ended; a retry ends it once more.
    pub round: u32,
    /// In one word: `succeeded`, `incomplete`, `cancelled` or `stopped`.
    pub outcome: String,
    /// Why, where it did not succeed and a reason is known.
    pub reason: Option<String>,
    /// Whether it left an analysis.
    pub has_analysis: bool,
    /// Runs of the plan.
    pub runs: u64,
    /// Runs with a good result.
    pub succeeded: u64,
    /// Failed runs by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Who started it.
    pub by: String,
    /// The pull request that asked for it.
    pub pull: Option<PullRef>,
    /// When it was started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
}

impl FinishedSweep {
    /// How the sweep ended; none while it has not.
    #[must_use]
    pub fn of(state: &SweepState) -> Option<Self> {
        let (outcome, reason) = match &state.phase {
            SweepPhase::Submitting
            | SweepPhase::Running { .. }
            | SweepPhase::Stopping { .. }
            | SweepPhase::Analysing => return None,
            SweepPhase::Succeeded { .. } => ("succeeded", None),
            SweepPhase::Incomplete { reason, .. } => ("incomplete", reason.clone()),
            SweepPhase::Cancelled { by, .. } => ("cancelled", Some(format!("cancelled by {by}"))),
            SweepPhase::Stopped { reason } => ("stopped", Some(reason.clone())),
        };
        Some(Self {
            id: state.plan.id.clone(),
            name: state.plan.name.clone(),
            model: state.plan.model.clone(),
            version: state.plan.version.clone(),
            round: state.round,
            outcome: outcome.to_owned(),
            reason,
            has_analysis: state.phase.analysis().is_some(),
            runs: state.plan.counts.runs,
            succeeded: state.succeeded(),
            failed: state.failed(),
            by: state.by.clone(),
            pull: state.pull.clone(),
            started_at: state.started_at,
            ended_at: state.ended_at?,
        })
    }
}

impl Notice {
    /// A version was registered.
    #[must_use]
    pub fn registered(version: &Version) -> Self {
        Self::Registered { model: version.model.clone(), version: version.id.clone(), at: version.registered_at }
    }

    /// Which kind it is of.
    #[must_use]
    pub fn kind(&self) -> NoticeKind {
        match self {
            Self::Registered { .. } => NoticeKind::Registered,
            Self::Promoted { .. } => NoticeKind::Promoted,
            Self::Finished { .. } => NoticeKind::Finished,
        }
    }

    /// The version that it is about.
    #[must_use]
    pub fn version(&self) -> &VersionId {
        match self {
            Self::Registered { version, .. } => version,
            Self::Promoted { moved } => &moved.version,
            Self::Finished { sweep } => &sweep.version,
        }
    }

    /// The model that it is about.
    #[must_use]
    pub fn model(&self) -> &ModelName {
        match self {
            Self::Registered { model, .. } => model,
            Self::Promoted { moved } => &moved.model,
            Self::Finished { sweep } => &sweep.model,
        }
    }

    /// When it happened.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Registered { at, .. } => *at,
            Self::Promoted { moved } => moved.at,
            Self::Finished { sweep } => sweep.ended_at,
        }
    }

    /// What tells it from all others, in the form of a UUID. It follows from what happened, so that it is the same each
    /// time.
    #[must_use]
    pub fn id(&self) -> String {
        let what = match self {
            Self::Registered { model, version, at } => format!("registered\n{model}\n{version}\n{}", at.0),
            Self::Promoted { moved } => {
                format!("promoted\n{}\n{}\n{}\n{}", moved.model, moved.channel, moved.version, moved.at.0)
            }
            Self::Finished { sweep } => format!("finished\n{}\n{}\n{}", sweep.id, sweep.round, sweep.ended_at.0),
        };
        let digest = Digest::of(what);
        let hex = digest.hex();
        // Version 8 and the usual variant: made by a rule of our own.
        format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }

    /// The effects that tell it to everybody who wants to hear it.
    pub(super) fn for_everybody(self, rules: &Rules) -> Vec<Effect> {
        let kind = self.kind();
        let wanted = rules.subscriptions.iter().filter(|subscription| subscription.kinds.contains(&kind));
        wanted
            .map(|subscription| Effect::Notify { target: subscription.target.clone(), notice: Box::new(self.clone()) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_happening_has_the_same_id_and_another_one_has_not() {
        let at = |at: i64| Notice::Registered {
            model: ModelName::parse("urban/simple-tax").unwrap(),
            version: VersionId::parse("0123456789abcdef").unwrap(),
            at: Time(at),
        };
        assert_eq!(at(1).id(), at(1).id());
        assert_ne!(at(1).id(), at(2).id());
        let shape: String = at(1).id().chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!((&at(1).id()[14..15], &at(1).id()[19..20]), ("8", "a"));
    }
}
