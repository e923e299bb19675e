//! The one place where it is chosen what happens next.
//!
//! [`decide`] is pure and total: the same state, event, rules and moment always give the same decision, and an event that
//! is late, repeated or meant for somebody else is ignored with a reason, never an error. The engine keeps the new state,
//! the new tasks and "done" in one transaction.

use serde::{Deserialize, Serialize};

use super::build::{self, ModelState};
use super::decision::{Decision, Due, Rules};
use super::effect::Effect;
use super::event::{Event, Key};
use super::forge::PullStatus;
use super::ids::Time;
use super::pull::{self, PullState};
use super::repository::{self, RepositoryState};
use super::sweep::decide as sweep;
use super::sweep::state::SweepState;

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum State {
    /// A repository.
    Repository(RepositoryState),
    /// A model.
    Model(ModelState),
    /// A pull request.
    Pull(Box<PullState>),
    /// A sweep.
    Sweep(Box<SweepState>),
}

impl State {
    /// Every kind.
    pub const KINDS: [&str; 5] = ["repository", "model", Self::PULL, "ended_pull", "sweep"];

    /// The kind of what is known of an open pull request. Those are looked for again and again, and are few; ended ones
    /// become ever more.
    pub const PULL: &str = "pull";

    /// The kind, as the database lists it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Model(_) => "model",
            Self::Pull(state) if state.snapshot.status == PullStatus::Open => Self::PULL,
            Self::Pull(_) => "ended_pull",
            Self::Sweep(_) => "sweep",
        }
    }
}

/// Decides what follows from `event` for `key`, whose state is `state`.
#[must_use]
pub fn decide(key: &Key, state: Option<&State>, event: &Event, rules: &Rules, now: Time) -> Decision<State> {
    match (key, state) {
        (Key::Repository(repository), None) => repository::decide(repository, None, event).map(State::Repository),
        (Key::Repository(repository), Some(State::Repository(state))) => {
            repository::decide(repository, Some(state), event).map(State::Repository)
        }
        (Key::Model(model), None) => build::decide(model, None, event, rules).map(State::Model),
        (Key::Model(model), Some(State::Model(state))) => {
            build::decide(model, Some(state), event, rules).map(State::Model)
        }
        (Key::Pull(pull), None) => pull::decide(pull, None, event, rules, now).map(boxed_pull),
        (Key::Pull(pull), Some(State::Pull(state))) => {
            pull::decide(pull, Some(state), event, rules, now).map(boxed_pull)
        }
        (Key::Sweep(sweep), None) => sweep::decide(sweep, None, event, rules, now).map(boxed_sweep),
        (Key::Sweep(sweep), Some(State::Sweep(state))) => {
            sweep::decide(sweep, Some(state), event, rules, now).map(boxed_sweep)
        }
        (Key::Instance, _) => decide_instance(event),
        (_, Some(state)) => Decision::ignore(format!("`{key}` is kept as a {}", state.kind())),
    }
}

fn boxed_pull(state: PullState) -> State {
    State::Pull(Box::new(state))
}

fn boxed_sweep(state: SweepState) -> State {
    State::Sweep(Box::new(state))
}

/// The instance has no state of its own: time passing asks for a comparison with what is.
fn decide_instance(event: &Event) -> Decision<State> {
    let mut decision = Decision::default();
    match event {
        Event::Ticked => {
            decision.ask(Due { effect: Effect::Reconcile, not_before: None, coalesce: Some("reconcile".to_owned()) });
        }
        Event::ImagePushed { image, reference, id } => {
            let (image, reference, id) = (image.clone(), reference.clone(), id.clone());
            decision.ask(Effect::LookAtImage { image, reference, id });
        }
        other => decision.ignored = Some(format!("`{}` is not about the instance", other.name())),
    }
    decision
}
