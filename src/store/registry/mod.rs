//! The model registry: models, their versions, which never change, and their channels, which move with a history.

mod channels;
mod lookup;
mod versions;

use crate::domain::event::PromotionTarget;
use crate::domain::ids::{ChannelName, ModelName, Repository, Time, VersionId};
use crate::domain::version::ChannelMove;

/// What registering a version did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Whether the version is new.
    pub novelty: Novelty,
    /// For each channel that was asked for, the move since which it points to the version.
    pub stands: Vec<ChannelMove>,
}

/// Whether something was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It is new, or was written by an earlier attempt at the same.
    New,
    /// It was there.
    Known,
}

/// A channel to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRequest {
    /// The model.
    pub model: ModelName,
    /// The channel.
    pub channel: ChannelName,
    /// Where to.
    pub target: PromotionTarget,
    /// Why, as a sentence part: `promoted by ada`.
    pub reason: String,
    /// What makes this move one and the same when it is asked for again: the id of the task that asks. Without it, a
    /// repeated move to the previous version would undo itself.
    pub token: String,
}

/// A model with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    /// The model.
    pub name: ModelName,
    /// The repository that it is published from.
    pub repository: Repository,
    /// When its first version was registered.
    pub created_at: Time,
    /// How many versions it has.
    pub versions: u64,
    /// Its newest version.
    pub newest: VersionId,
    /// Where `production` points.
    pub production: Option<VersionId>,
    /// Where `staging` points.
    pub staging: Option<VersionId>,
}

/// Where a channel points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// The channel.
    pub channel: ChannelName,
    /// The version.
    pub version: VersionId,
    /// Since when.
    pub moved_at: Time,
}

/// What a short name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// Just this.
    One(T),
    /// Nothing.
    None,
    /// Several things; the name has to be longer. Not necessarily all of them.
    Many(Vec<T>),
}

/// The least text that sorts after everything that begins with the hexadecimal `prefix`.
pub(super) fn past(prefix: &str) -> String {
    format!("{prefix}g")
}

impl<T> Found<T> {
    /// Sorts what a search returned into the three cases.
    pub(super) fn of(mut all: Vec<T>) -> Self {
        match (all.pop(), all.is_empty()) {
            (None, _) => Self::None,
            (Some(only), true) => Self::One(only),
            (Some(last), false) => {
                all.push(last);
                Self::Many(all)
            }
        }
    }
}
