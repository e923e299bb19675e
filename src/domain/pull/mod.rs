//! A pull request: the models that it changes, the sweeps that it declares, and the talk about both.

mod commands;
mod compared;
mod comparison;
mod models;
mod promotion;
mod sweeps;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use compared::{
    Base, ComparedStage, ComparedSweep, ComparisonPhase, ComparisonPlan, Ending, Pair, PlannedPair, PullComparison,
};

pub use talk::{ShownCheck, Spoken};

use commands::{Order, Pressed};
use talk::reply_marker;

use crate::domain::command::Command;
use crate::domain::decision::{Decision, Due, Rules};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::effect::Effect;
use crate::domain::event::{BuildFailure, ChangedSweep, Event, SweepRequest, TouchedModel};
use crate::domain::forge::{PullSnapshot, PullStatus, Reaction};
use crate::domain::ids::{CommitSha, Digest, ModelName, PullRef, Time};
use crate::domain::manifest::BuildBy;
use crate::domain::report;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::state::SweepReport;
use crate::domain::version::{BuiltVersion, SourceRef};

/// What is known of a pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullState {
    /// How the forge described it last.
    pub snapshot: PullSnapshot,
    /// Models that it changes.
    pub models: BTreeMap<ModelName, PullModel>,
    /// Sweep files that it adds or changes, by path.
    pub sweeps: BTreeMap<String, PullSweep>,
    /// For each model that it changes, what that does to results.
    #[serde(default)]
    pub comparisons: BTreeMap<ModelName, PullComparison>,
    /// Manifests of it that cannot be read.
    pub faults: Vec<Diagnostic>,
    /// When it was looked at last. What was seen earlier and is told later changes nothing.
    pub looked_at: Time,
    /// Comments whose commands were heard, the newest 200: a comment acts once, however often it is told of.
    pub heard: BTreeSet<i64>,
    /// The commit of a fork that somebody who may write here approved last.
    #[serde(default)]
    pub approved: Option<CommitSha>,
    /// What the checks of its sweeps said last, by what marks the sweep.
    #[serde(default)]
    pub checks: BTreeMap<String, ShownCheck>,
    /// What was said in it.
    #[serde(default)]
    pub spoken: Spoken,
}

/// A model that the pull request changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullModel {
    /// Where it is built from.
    pub source: SourceRef,
    /// Where its build stands.
    pub build: PullBuild,
}

/// Where a model's build for this pull request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "build")]
pub enum PullBuild {
    /// It builds and tests.
    Building,
    /// Somebody else builds it.
    Left {
        /// Who.
        by: BuildBy,
    },
    /// It is registered.
    Ready {
        /// The version.
        version: BuiltVersion,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: BuildFailure,
    },
    /// It comes from a fork: nothing of it is built.
    Untrusted,
}

/// A sweep file of the pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullSweep {
    /// What its comment is about, and what people call it: its name, or its path while it cannot be read.
    pub name: String,
    /// What it asks for, once it can be read.
    pub request: Option<SweepRequest>,
    /// When its comment was or will be edited last.
    pub last_edit: Option<Time>,
    /// The digest of the plan that was shown last, and since when it is shown.
    pub shown: Option<(Digest, Time)>,
    /// Where it stands.
    pub phase: PullSweepPhase,
}

/// Where a sweep of a pull request stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum PullSweepPhase {
    /// The file has faults, or what it asks for cannot be.
    Invalid {
        /// The faults.
        faults: Faults,
    },
    /// It sweeps a model that this pull request changes, and waits for that build.
    WaitingForBuild,
    /// The build that it waits for did not become a version.
    Blocked {
        /// Why, one sentence.
        reason: String,
    },
    /// It is being planned.
    Planning,
    /// The plan is there; somebody may start it.
    Planned {
        /// The plan.
        plan: Box<PlanSummary>,
        /// When it was shown. A command that is older cannot have meant it.
        shown_at: Time,
    },
    /// It was started.
    Started {
        /// How it stands.
        report: Box<SweepReport>,
    },
}

/// How many comments with commands does a pull request remember?
pub const COMMENTS_KEPT: usize = 200;

/// By how much may the forge's clock be behind ours before a command counts as older than the plan?
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// Decides what follows from an event about `pull`.
pub(in crate::domain) fn decide(
    pull: &PullRef,
    state: Option<&PullState>,
    event: &Event,
    rules: &Rules,
    now: Time,
) -> Decision<PullState> {
    if let Event::PullInspected { looked_at, snapshot, models, sweeps, faults } = event {
        let found = Inspection { looked_at: *looked_at, snapshot, models, sweeps, faults };
        return inspected(Context { pull, rules, now }, state, &found);
    }
    if let Event::PullChanged { .. } = event {
        // Deliveries come late and in any order: what counts is how the forge has it when it is looked at.
        let mut decision = Decision::default();
        decision.ask(Due {
            effect: Effect::InspectPull { pull: pull.clone(), then: None },
            not_before: None,
            coalesce: Some(format!("inspect/{}/{}", pull.repository.id, pull.number)),
        });
        return decision;
    }
    match (state, event) {
        (None, Event::CommentCreated { body, .. }) => {
            if Command::parse_comment(body).is_empty() {
                return Decision::ignore("the comment holds no command");
            }
            // The comment overtook the pull request: look at that first, then come back to the comment.
            let mut decision = Decision::default();
            decision.ask(Effect::InspectPull { pull: pull.clone(), then: Some(Box::new(event.clone())) });
            decision
        }
        (None, other) => {
            Decision::ignore(format!("pull request {pull} is not known, so `{}` changes nothing", other.name()))
        }
        (Some(state), event) => {
            let mut thread =
                Thread { at: Context { pull, rules, now }, state: state.clone(), decision: Decision::default() };
            match thread.apply(event) {
                Some(reason) => Decision { ignored: Some(reason), ..thread.decision },
                None => thread.done(),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Context<'a> {
    pull: &'a PullRef,
    rules: &'a Rules,
    now: Time,
}

struct Inspection<'a> {
    looked_at: Time,
    snapshot: &'a PullSnapshot,
    models: &'a [TouchedModel],
    sweeps: &'a [ChangedSweep],
    faults: &'a [Diagnostic],
}

fn inspected(at: Context<'_>, state: Option<&PullState>, found: &Inspection<'_>) -> Decision<PullState> {
    if state.is_some_and(|state| state.looked_at > found.looked_at) {
        return Decision::ignore("it was looked at again since");
    }
    let before = state.cloned();
    let mut thread = Thread {
        at,
        state: before.clone().unwrap_or_else(|| PullState {
            snapshot: found.snapshot.clone(),
            models: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            comparisons: BTreeMap::new(),
            faults: Vec::new(),
            looked_at: found.looked_at,
            heard: BTreeSet::new(),
            approved: None,
            checks: BTreeMap::new(),
            spoken: Spoken::default(),
        }),
        decision: Decision::default(),
    };
    thread.state.snapshot = found.snapshot.clone();
    thread.state.looked_at = found.looked_at;
    thread.end_older_checks();
    let was = before.as_ref().map(|before| before.snapshot.status);
    let was_open = was == Some(PullStatus::Open);
    match found.snapshot.status {
        PullStatus::Open => {
            let same = before.as_ref().is_some_and(|before| {
                before.snapshot.head == found.snapshot.head
                    && before.snapshot.base_branch == found.snapshot.base_branch
                    && was_open
            });
            if same {
                return Decision { ignored: Some("its head has not moved".to_owned()), ..thread.done() };
            }
            thread.build_models(found.models);
            thread.keep_comparisons();
            thread.state.faults = found.faults.to_vec();
            thread.read_sweeps(found.sweeps);
            thread.show_builds();
        }
        PullStatus::Closed if was_open => thread.cancel_all("the pull request was closed"),
        PullStatus::Merged if was != Some(PullStatus::Merged) => thread.merged(found.models),
        PullStatus::Closed | PullStatus::Merged => {}
    }
    thread.done()
}

struct Thread<'a> {
    at: Context<'a>,
    state: PullState,
    decision: Decision<PullState>,
}

impl Thread<'_> {
    fn done(self) -> Decision<PullState> {
        Decision { next: Some(self.state), ..self.decision }
    }

    fn apply(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::BuildSettled { model, commit, result } => self.build_settled(model, commit, result),
            Event::BuildLeft { model, source, by } => self.build_left(model, &source.commit, *by),
            Event::CommentCreated { comment, author, body } => self.comment(*comment, author, body),
            Event::SweepPressed { marker, commit, check, press, author } => {
                self.pressed(&Pressed { marker, commit, check: *check, press, author })
            }
            Event::AllPressed { commit, suite, author } => self.all_pressed(commit, *suite, author),
            Event::CommandChecked { given, nth, command, author, denied } => {
                let order = Order { given, nth: *nth, command, author };
                match denied {
                    Some(reason) => {
                        self.react(given, Reaction::Refused);
                        self.reply(&order, &report::command_denied(command, &author.login, reason));
                    }
                    None => self.obey(&order),
                }
                None
            }
            Event::PromotionSettled { given, nth, model, channel, result } => {
                self.react(given, if result.is_ok() { Reaction::Done } else { Reaction::Refused });
                self.post(reply_marker(given, *nth), report::promotion_settled(model, channel, result));
                None
            }
            Event::SweepPlanned { path, head, result } => self.planned(path, head, result),
            Event::SweepAdvanced { sweep, report } => self.advanced(sweep, report),
            Event::ComparisonPlanned { model, head, result } => self.comparison_planned(model, head, result),
            Event::VersionsCompared { head, result } => self.versions_compared(head, result),
            Event::EffectFailed { effect, subject, reason } => self.effect_failed(effect, subject, reason),
            other => Some(format!("`{}` is not about a pull request", other.name())),
        }
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if self.comparison_failed(effect, subject, reason) {
            return None;
        }
        let awaited = subject.rsplit_once('@').filter(|(path, head)| {
            let waits = self.state.sweeps.get(*path).is_some_and(|sweep| sweep.phase == PullSweepPhase::Planning);
            effect == "PlanSweep" && waits && *head == self.state.snapshot.head.as_str()
        });
        let Some((path, _)) = awaited else { return Some(format!("`{effect}` failed: {reason}")) };
        let reason = format!("the plan could not be made, which is not the file's fault: {reason}");
        self.set_phase(path, PullSweepPhase::Blocked { reason });
        None
    }
}
