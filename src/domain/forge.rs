//! What every forge tells us: pull requests, people, comments. GitHub and the local forge speak these types.

use serde::{Deserialize, Serialize};

use super::ids::{CommitSha, Digest, PullRef, Time};

/// Somebody on the forge. The number decides who it is; the login is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct User {
    /// The forge's own number for the account.
    pub id: i64,
    /// The name shown.
    pub login: String,
}

impl User {
    /// Whether an account of that kind, as GitHub calls it, and with that login is a program's. No program gives commands,
    /// or two of them could talk to each other for ever.
    #[must_use]
    pub fn is_program(kind: Option<&str>, login: &str) -> bool {
        kind == Some("Bot") || login.ends_with("[bot]")
    }
}

/// A comment, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommentRef {
    /// The forge's own number for it.
    pub id: i64,
    /// When it was written, by the forge's clock.
    pub created_at: Time,
}

/// Where a command was given, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "in")]
pub enum Given {
    /// In a comment.
    Comment(CommentRef),
    /// By a button beside a check.
    Button {
        /// The forge's own number for the check.
        check: i64,
        /// The number of whoever pressed it.
        by: i64,
        /// When what the button starts was shown: it starts nothing that was shown later.
        shown_at: Time,
        /// What marks the sweep beside whose check the button is; none for what is beside the whole commit.
        #[serde(default)]
        sweep: Option<String>,
        /// The digest of the plan that the button starts, where it starts one.
        #[serde(default)]
        plan: Option<Digest>,
    },
}

impl Given {
    /// When it was given; for a button, at the earliest.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Comment(comment) => comment.created_at,
            Self::Button { shown_at, .. } => *shown_at,
        }
    }

    /// Whether it means the sweep with this marker.
    #[must_use]
    pub fn means(&self, marker: &str) -> bool {
        !matches!(self, Self::Button { sweep: Some(meant), .. } if meant != marker)
    }

    /// Whether it may start the plan with this digest.
    #[must_use]
    pub fn starts(&self, digest: &Digest) -> bool {
        !matches!(self, Self::Button { plan: Some(meant), .. } if meant != digest)
    }

    /// What tells it from others.
    #[must_use]
    pub fn mark(&self) -> String {
        match self {
            Self::Comment(comment) => comment.id.to_string(),
            Self::Button { check, by, .. } => format!("check-{check}-{by}"),
        }
    }
}

/// An answer without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// It was seen and is looked into.
    Seen,
    /// It is done or under way.
    Done,
    /// It will not be done.
    Refused,
    /// Nobody here understands it.
    Confused,
}

/// What somebody may do in a repository. Ordered: each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nothing.
    None,
    /// Look and comment.
    Read,
    /// Push, and so start sweeps.
    Write,
    /// Everything.
    Admin,
}

/// Whether a pull request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullStatus {
    /// Open for review.
    Open,
    /// Closed without merging.
    Closed,
    /// Merged.
    Merged,
}

/// Where a pull request's branch lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadOrigin {
    /// In the repository itself: its author may push there.
    #[default]
    SameRepository,
    /// In a fork (or the fork is gone): planned, never built or run without approval.
    Fork,
}

/// A pull request as the forge describes it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSnapshot {
    /// Which pull request.
    pub pull: PullRef,
    /// Its title.
    pub title: String,
    /// Who opened it.
    pub author: User,
    /// Open, closed or merged.
    pub status: PullStatus,
    /// The branch that holds the change.
    pub head_branch: String,
    /// The newest commit of that branch.
    pub head: CommitSha,
    /// Where the branch lives.
    pub origin: HeadOrigin,
    /// The branch that the change is for.
    pub base_branch: String,
    /// The commit that merging made, once merged.
    pub merge_commit: Option<CommitSha>,
}

/// How a commit fares, as the forge shows it beside the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    /// Under way.
    Pending,
    /// Well.
    Success,
    /// The user's fault.
    Failure,
    /// Our fault.
    Error,
}
