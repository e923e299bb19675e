//! What every forge tells us: pull requests, people, comments. GitHub and the local forge speak these types.

use serde::{Deserialize, Serialize};

use super::ids::{CommitSha, PullRef, Time};

/// Somebody on the forge. The number decides who it is; the login is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct User {
    /// The forge's own number for the account.
    pub id: i64,
    /// The name shown.
    pub login: String,
}

/// A comment, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommentRef {
    /// The forge's own number for it.
    pub id: i64,
    /// When it was written, by the forge's clock.
    pub created_at: Time,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadOrigin {
    /// In the repository itself: its author may push there.
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
