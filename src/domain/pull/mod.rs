//! A pull request: the models that it changes, the sweeps that it declares, and the talk about both.

mod commands;
mod models;
mod sweeps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::command::Command;
use crate::domain::decision::{Decision, Due, Rules};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::effect::Effect;
use crate::domain::event::{BuildFailure, ChangedSweep, Event, SweepRequest, TouchedModel};
use crate::domain::forge::{PullSnapshot, PullStatus};
use crate::domain::ids::{ModelName, PullRef, Time};
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
    /// Manifests of it that cannot be read.
    pub faults: Vec<Diagnostic>,
    /// Comments whose commands were heard, the newest 200: a comment acts once, however often it is told of.
    pub heard: BTreeSet<i64>,
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
const COMMENTS_KEPT: usize = 200;

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
    if let Event::PullInspected { snapshot, models, sweeps, faults } = event {
        return inspected(Context { pull, rules, now }, state, &Inspection { snapshot, models, sweeps, faults });
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
    snapshot: &'a PullSnapshot,
    models: &'a [TouchedModel],
    sweeps: &'a [ChangedSweep],
    faults: &'a [Diagnostic],
}

fn inspected(at: Context<'_>, state: Option<&PullState>, found: &Inspection<'_>) -> Decision<PullState> {
    let before = state.cloned();
    let mut thread = Thread {
        at,
        state: before.clone().unwrap_or_else(|| PullState {
            snapshot: found.snapshot.clone(),
            models: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            faults: Vec::new(),
            heard: BTreeSet::new(),
        }),
        decision: Decision::default(),
    };
    thread.state.snapshot = found.snapshot.clone();
    let was_open = before.as_ref().is_some_and(|before| before.snapshot.status == PullStatus::Open);
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
            thread.state.faults = found.faults.to_vec();
            thread.read_sweeps(found.sweeps);
            thread.show_builds();
        }
        PullStatus::Closed if was_open => thread.cancel_sweeps(None, "the pull request was closed"),
        PullStatus::Merged if was_open => thread.merged(),
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
            Event::CommentCreated { comment, author, body } => self.comment(*comment, author, body),
            Event::CommandChecked { comment, command, author, denied } => {
                match denied {
                    Some(reason) => self.reply(*comment, &report::command_denied(command, &author.login, reason)),
                    None => self.obey(*comment, command, author),
                }
                None
            }
            Event::SweepPlanned { path, head, result } => self.planned(path, head, result),
            Event::SweepAdvanced { sweep, report } => self.advanced(sweep, report),
            Event::EffectFailed { effect, subject, reason } => self.effect_failed(effect, subject, reason),
            other => Some(format!("`{}` is not about a pull request", other.name())),
        }
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if effect != "PlanSweep" || !self.state.sweeps.contains_key(subject) {
            return Some(format!("`{effect}` failed: {reason}"));
        }
        let reason = format!("the plan could not be made, which is not the file's fault: {reason}");
        self.set_phase(subject, PullSweepPhase::Blocked { reason });
        None
    }
}
