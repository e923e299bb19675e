//! What we read of GitHub's answers, and nothing else: a field that we do not use cannot be missing.

use std::collections::HashMap;

use chrono::DateTime;
use serde::Deserialize;

use crate::domain::forge::{HeadOrigin, PullSnapshot, PullStatus, User};
use crate::domain::ids::{CommitSha, InvalidId, PullNumber, PullRef, Repository, RepositoryName, Time};

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) login: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Account {
    pub(super) fn is_program(&self) -> bool {
        User::is_program(self.kind.as_deref(), &self.login)
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { id: account.id, login: account.login }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct App {
    pub(super) id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnApp {
    pub(super) name: String,
    #[serde(default)]
    pub(super) slug: Option<String>,
    #[serde(default)]
    pub(super) permissions: HashMap<String, String>,
    #[serde(default)]
    pub(super) events: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: i64,
    #[serde(default)]
    pub(super) suspended_at: Option<String>,
    #[serde(default)]
    pub(super) permissions: HashMap<String, String>,
    #[serde(default)]
    pub(super) account: Option<Account>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InstallationRepositories {
    pub(super) repositories: Vec<RepositoryAnswer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RepositoryAnswer {
    pub(super) id: i64,
    pub(super) full_name: String,
    #[serde(default)]
    pub(super) default_branch: Option<String>,
    #[serde(default)]
    pub(super) archived: bool,
    #[serde(default)]
    pub(super) disabled: bool,
}

impl RepositoryAnswer {
    pub(super) fn repository(&self) -> Result<Repository, InvalidId> {
        Ok(Repository { id: self.id, name: RepositoryName::parse(&self.full_name)? })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    number: u64,
    title: String,
    user: Option<Account>,
    state: String,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
    head: Side,
    base: Side,
}

#[derive(Debug, Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<SideRepository>,
}

#[derive(Debug, Deserialize)]
struct SideRepository {
    id: i64,
}

/// Whoever has deleted their account. No permission belongs to the number 0.
pub(super) fn nobody() -> User {
    User { id: 0, login: "ghost".to_owned() }
}

impl Pull {
    pub(super) fn snapshot(self, repository: &Repository) -> Result<PullSnapshot, InvalidId> {
        let status = match (self.state.as_str(), &self.merged_at) {
            (_, Some(_)) => PullStatus::Merged,
            ("open", None) => PullStatus::Open,
            _ => PullStatus::Closed,
        };
        // Of a pull request that is not merged, this is a commit that GitHub made to try it.
        let merge_commit = self.merge_commit_sha.filter(|_| status == PullStatus::Merged);
        let same = self.head.repo.is_some_and(|head| head.id == repository.id);
        Ok(PullSnapshot {
            pull: PullRef { repository: repository.clone(), number: PullNumber(self.number) },
            title: self.title,
            author: self.user.map_or_else(nobody, User::from),
            status,
            head_branch: self.head.branch,
            head: CommitSha::parse(self.head.sha)?,
            origin: if same { HeadOrigin::SameRepository } else { HeadOrigin::Fork },
            base_branch: self.base.branch,
            merge_commit: merge_commit.map(CommitSha::parse).transpose()?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct CommentAnswer {
    pub(super) id: i64,
    pub(super) user: Option<Account>,
    pub(super) body: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(default)]
    pub(super) performed_via_github_app: Option<App>,
}

impl CommentAnswer {
    /// Whether it was changed since it was written.
    pub(super) fn is_edited(&self) -> bool {
        self.updated_at != self.created_at
    }

    /// When it was written; none when GitHub does not say so as it always did.
    pub(super) fn created_at(&self) -> Option<Time> {
        time(&self.created_at)
    }
}

fn time(text: &str) -> Option<Time> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| Time(at.timestamp_millis()))
}

#[derive(Debug, Deserialize)]
pub(super) struct PermissionAnswer {
    pub(super) permission: String,
    pub(super) user: Option<Account>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NewComment {
    pub(super) id: i64,
}

/// One attempt to deliver a webhook.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    pub(super) id: u64,
    pub(super) guid: String,
    pub(super) event: String,
    delivered_at: String,
    status_code: i64,
}

impl Attempt {
    /// When it was made; none when GitHub does not say so as it always did.
    pub(super) fn made_at(&self) -> Option<Time> {
        time(&self.delivered_at)
    }

    pub(super) fn arrived(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRuns {
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    external_id: Option<String>,
    pub(super) output: CheckOutput,
    pub(super) app: Option<App>,
}

impl CheckRun {
    pub(super) fn is_about(&self, subject: &str) -> bool {
        self.external_id.as_deref() == Some(subject)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckOutput {
    pub(super) title: Option<String>,
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) annotations_count: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRunId {
    pub(super) id: u64,
}
