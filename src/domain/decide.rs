//! The one place where it is chosen what happens next.
//!
//! [`decide`] is pure and total: the same state, event, rules and moment always give the same decision, and an event that
//! is late, repeated or meant for somebody else is ignored with a reason, never an error. The engine keeps the new state,
//! the new tasks and "done" in one transaction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::build::{self, ModelState};
use super::effect::Effect;
use super::event::{Event, Key, Keyed};
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
    /// The kind, as the database lists it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Model(_) => "model",
            Self::Pull(_) => "pull",
            Self::Sweep(_) => "sweep",
        }
    }
}

/// How this instance is set up, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long to wait between two edits of one comment?
    pub comment_interval: Duration,
    /// Does a push straight to the default branch move `production`? A model's first version always does.
    pub promote_direct_pushes: bool,
    /// Where people find files of the artifact store; none where no server shows them, and then comments name the files'
    /// keys.
    pub artifacts_url: Option<String>,
}

/// An effect to be done, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// What to do.
    pub effect: Effect,
    /// Not before this moment; none means at once.
    pub not_before: Option<Time>,
    /// Effects that share this text replace one another while they wait.
    pub coalesce: Option<String>,
}

impl From<Effect> for Due {
    fn from(effect: Effect) -> Self {
        Self { effect, not_before: None, coalesce: None }
    }
}

/// What follows from an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The key's new state; none leaves it as it is.
    pub next: Option<State>,
    /// Events for other keys.
    pub events: Vec<Keyed>,
    /// Things to do.
    pub effects: Vec<Due>,
    /// Why the event changes nothing, when it does not.
    pub ignored: Option<String>,
}

impl Decision {
    /// The event changes nothing.
    #[must_use]
    pub fn ignore(reason: impl Into<String>) -> Self {
        Self { ignored: Some(reason.into()), ..Self::default() }
    }

    /// Tells `key` of `event`.
    pub fn tell(&mut self, key: Key, event: Event) {
        self.events.push(Keyed { key, event });
    }

    /// Asks for `effect`.
    pub fn ask(&mut self, effect: impl Into<Due>) {
        self.effects.push(effect.into());
    }
}

/// Decides what follows from `event` for `key`, whose state is `state`.
#[must_use]
pub fn decide(key: &Key, state: Option<&State>, event: &Event, rules: &Rules, now: Time) -> Decision {
    match (key, state) {
        (Key::Repository(repository), None) => repository::decide(repository, None, event),
        (Key::Repository(repository), Some(State::Repository(state))) => {
            repository::decide(repository, Some(state), event)
        }
        (Key::Model(model), None) => build::decide(model, None, event, rules),
        (Key::Model(model), Some(State::Model(state))) => build::decide(model, Some(state), event, rules),
        (Key::Pull(pull), None) => pull::decide(pull, None, event, rules, now),
        (Key::Pull(pull), Some(State::Pull(state))) => pull::decide(pull, Some(state), event, rules, now),
        (Key::Sweep(sweep), None) => sweep::decide(sweep, None, event, now),
        (Key::Sweep(sweep), Some(State::Sweep(state))) => sweep::decide(sweep, Some(state), event, now),
        (Key::Instance, _) => decide_instance(event),
        (_, Some(state)) => Decision::ignore(format!("`{key}` is kept as a {}", state.kind())),
    }
}

/// The instance has no state of its own: time passing asks for a comparison with what is.
fn decide_instance(event: &Event) -> Decision {
    let mut decision = Decision::default();
    if matches!(event, Event::Ticked) {
        decision.ask(Due { effect: Effect::Reconcile, not_before: None, coalesce: Some("reconcile".to_owned()) });
    } else {
        decision.ignored = Some(format!("`{}` is not about the instance", event.name()));
    }
    decision
}
