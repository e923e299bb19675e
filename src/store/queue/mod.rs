//! The durable queue: events that wait for a decision and effects that wait to be done.
//!
//! A task is a row until it is done. A worker takes it by a lease, which it must keep alive, and every later step proves
//! the lease again in the same transaction as its result: a worker that was too slow changes nothing. Events of one key
//! are handed out one at a time and strictly in the order in which they were kept; effects hold no key.

mod claim;
mod clock;
pub(super) mod enqueue;
mod finish;
mod lease;
mod look;

use std::fmt;
use std::time::Duration;

use crate::domain::effect::Effect;
use crate::domain::event::Keyed;
use crate::domain::ids::Time;

/// Who holds leases: one running engine. A new process is a new owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The owner that calls itself `name`. The name must be no other engine's, now or earlier.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to finish one task, as long as nobody else has taken it since. Only a claim makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    task: i64,
    owner: Owner,
    attempt: i64,
}

impl Lease {
    /// The task's id, never used twice.
    #[must_use]
    pub fn task(&self) -> i64 {
        self.task
    }
}

/// An event to decide on.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedEvent {
    /// The right to commit a decision.
    pub lease: Lease,
    /// The event with its key.
    pub keyed: Keyed,
    /// The key's state as JSON, when it has one.
    pub state: Option<String>,
}

/// An effect to do.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedEffect {
    /// The right to finish it.
    pub lease: Lease,
    /// What to do.
    pub effect: Effect,
    /// How often it was begun, this time included, without [`Self::waits`].
    pub attempts: u32,
    /// How often it was begun in vain because whoever was asked was away.
    pub waits: u32,
    /// Whether it was cancelled while an earlier worker had it: only its answer is still wanted.
    pub cancelled: bool,
}

/// What becomes of an effect that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It is done again at that time.
    Again(Time),
    /// It is done again at that time, and this attempt does not count: whoever was asked was away.
    Waits(Time),
    /// It is given up, and kept for a person to look at.
    ForGood,
    /// It was refused. It is given up, and kept for a person to look at unless one of its kind is kept already that was
    /// about the same key and refused in the same words.
    Refused,
    /// It is left, without a trace: the next of its kind comes by itself.
    Left,
}

/// What is kept of an effect that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It waits until it is done again.
    Waiting,
    /// It was given up.
    GivenUp,
    /// It was refused as one before it, which is kept.
    RefusedAgain,
    /// Nothing.
    Nothing,
}

/// An effect to put into the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEffect {
    /// What to do.
    pub effect: Effect,
    /// Not before this moment; none means at once.
    pub not_before: Option<Time>,
    /// Of effects with one coalescing key, at most one waits and one is under way.
    pub coalesce: Option<String>,
}

/// A key's new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// What kind of state it is, for lists.
    pub kind: String,
    /// The state as JSON.
    pub json: String,
}

/// What a decision changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitDecision {
    /// The key's new state; none leaves it as it is.
    pub state: Option<NewState>,
    /// Events for other keys, or for this one.
    pub events: Vec<Keyed>,
    /// Effects.
    pub effects: Vec<NewEffect>,
    /// What the decision says about itself, for the log: `ignored: <why>`, or nothing.
    pub outcome: String,
}

/// What a heartbeat finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The lease runs on.
    Ok,
    /// Somebody else has the task, or it is done. Stop, and report nothing.
    Lost,
    /// The lease runs on, but nobody wants the work any more. Stop, and finish with an answer that says so.
    Cancelled,
}

/// Whose leases to free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leases<'a> {
    /// Those that nobody can keep alive any more, as whoever starts sees it. A SQLite file has one instance, so when that
    /// one starts, it is everybody's. On PostgreSQL they may be those of other replicas, which are at work: there it is
    /// nobody's, and what a dead replica had is free once its time has run out.
    Abandoned,
    /// This owner's: when it stops.
    Of(&'a Owner),
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Events that nobody has taken. Those of a delivery that has just come in count as one.
    pub events: u64,
    /// Effects that nobody has taken, also those whose time has not come.
    pub effects: u64,
    /// Tasks that somebody works on.
    pub leased: u64,
    /// Tasks that were given up and are kept for a person to look at.
    pub failed: u64,
    /// How long the oldest task that is neither done nor given up has been there.
    pub oldest_age: Option<Duration>,
}

/// A task that somebody works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedTask {
    /// Its id.
    pub id: i64,
    /// The event's or effect's name.
    pub name: String,
    /// The key that it is about.
    pub key: String,
    /// Which part of the key's state; empty for events.
    pub subject: String,
    /// How often it was begun, this time included.
    pub attempts: u32,
    /// Who has it.
    pub owner: Owner,
    /// Until when, unless its owner prolongs it.
    pub until: Time,
    /// Whether its owner has been asked to stop.
    pub cancelled: bool,
    /// When it was put into the queue.
    pub created_at: Time,
}

/// A task that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTask {
    /// Its id.
    pub id: i64,
    /// The event's or effect's name.
    pub name: String,
    /// The key that it was about.
    pub key: String,
    /// Which part of the key's state; empty for events.
    pub subject: String,
    /// How often it was begun.
    pub attempts: u32,
    /// What went wrong the last time.
    pub error: String,
    /// When it was put into the queue.
    pub created_at: Time,
}
