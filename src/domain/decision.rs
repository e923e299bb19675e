//! What a decision is made of: a new state, events for others, things to do.

use std::time::Duration;

use super::effect::Effect;
use super::event::{Event, Key, Keyed};
use super::ids::Time;

/// How this instance is set up, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long to wait between two edits of one comment?
    pub comment_interval: Duration,
    /// Does a push straight to the default branch move `production`? A model's first version always does.
    pub promote_direct_pushes: bool,
    /// How many new comments a pull request may get within an hour, on the average; none for as many as there are.
    pub comments_per_hour: Option<u32>,
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

/// What follows from an event, for a key with states of type `S`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<S> {
    /// The key's new state; none leaves it as it is.
    pub next: Option<S>,
    /// Events for other keys.
    pub events: Vec<Keyed>,
    /// Things to do.
    pub effects: Vec<Due>,
    /// Why the event changes nothing, when it does not.
    pub ignored: Option<String>,
}

impl<S> Default for Decision<S> {
    fn default() -> Self {
        Self { next: None, events: Vec::new(), effects: Vec::new(), ignored: None }
    }
}

impl<S> Decision<S> {
    /// The event changes nothing.
    #[must_use]
    pub fn ignore(reason: impl Into<String>) -> Self {
        Self { ignored: Some(reason.into()), ..Self::default() }
    }

    /// The same decision with its state as part of something larger.
    #[must_use]
    pub fn map<T>(self, larger: impl FnOnce(S) -> T) -> Decision<T> {
        Decision { next: self.next.map(larger), events: self.events, effects: self.effects, ignored: self.ignored }
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
