//! What a webhook's body says, as events.
//!
//! Only the fields that are needed are read, so that GitHub may add and drop others. Whatever cannot be read, is not
//! for us, or was not made by a person is ignored with a reason; it never becomes half an event.

mod deployment;
mod notices;
mod presses;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Key, Keyed, PullChange};
use crate::domain::forge::{CommentRef, HeadOrigin, PullSnapshot, PullStatus, User};
use crate::domain::ids::{CommitSha, Digest, PullNumber, PullRef, Repository, RepositoryName, Time};

/// Why a delivery means nothing to us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ignored(pub String);

type Result<T> = std::result::Result<T, Ignored>;

/// How git writes "no commit".
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What happened; never nothing.
    pub events: Vec<Keyed>,
    /// What tells this happening from all others, whoever tells of it: two hooks may, each under an id of its own. None
    /// when the body does not say when it happened: a branch can be moved to and fro.
    pub meaning: Option<Digest>,
}

/// What a body of the kind `event` tells.
///
/// # Errors
/// [`Ignored`] with the reason, when nothing follows from it.
pub fn read(event: &str, body: &[u8]) -> Result<Told> {
    if let Some(events) = presses::read(event, body)? {
        // The same button may be pressed again: only the delivery tells one press from another.
        return Ok(Told { events, meaning: None });
    }
    let (keyed, moment) = match event {
        "push" => push(parsed(event, body)?)?,
        "pull_request" => {
            let change = match action(event, body)?.as_str() {
                "opened" | "reopened" => PullChange::Opened,
                "synchronize" => PullChange::Pushed,
                "edited" | "ready_for_review" | "converted_to_draft" => PullChange::Edited,
                "closed" => PullChange::Closed,
                other => return ignore(format!("nothing follows from `{event}` `{}`", shown(other))),
            };
            pull_request(parsed(event, body)?, change)?
        }
        "issue_comment" => match action(event, body)?.as_str() {
            "created" => issue_comment(parsed(event, body)?)?,
            other => return ignore(format!("nothing follows from `{event}` `{}`", shown(other))),
        },
        "deployment" => deployment::created(parsed(event, body)?)?,
        other => return ignore(notices::reason(other, body)?),
    };
    let meaning = moment.map(|moment| meaning(&keyed, &moment)).transpose()?;
    Ok(Told { events: vec![keyed], meaning })
}

fn meaning(keyed: &Keyed, moment: &Moment) -> Result<Digest> {
    let text = serde_json::to_string(&(keyed, moment));
    text.map(Digest::of).or_else(|error| ignore(format!("the event has no JSON form: {error}")))
}

fn ignore<T>(reason: impl Into<String>) -> Result<T> {
    Err(Ignored(reason.into()))
}

fn parsed<T: DeserializeOwned>(event: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).or_else(|error| ignore(format!("the body is not that of a `{event}`: {error}")))
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

fn action(event: &str, body: &[u8]) -> Result<String> {
    Ok(parsed::<Action>(event, body)?.action)
}

#[derive(Deserialize)]
struct RepositoryBody {
    id: i64,
    full_name: String,
    default_branch: Option<String>,
    pushed_at: Option<Moment>,
}

/// When something happened, as the forge says it: seconds in a push, a date elsewhere.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Moment {
    Seconds(i64),
    Date(String),
}

impl RepositoryBody {
    fn check(&self) -> Result<Repository> {
        match RepositoryName::parse(&self.full_name) {
            Ok(name) => Ok(Repository { id: self.id, name }),
            Err(error) => ignore(error.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    login: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Account {
    fn is_program(&self) -> bool {
        User::is_program(self.kind.as_deref(), &self.login)
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { id: account.id, login: clean(account.login) }
    }
}

/// Whoever has deleted their account. No permission belongs to the number 0.
fn nobody() -> User {
    User { id: 0, login: "ghost".to_owned() }
}

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    head_commit: Option<CommitBody>,
    pusher: Option<PusherBody>,
    sender: Option<Account>,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct CommitBody {
    id: String,
}

#[derive(Deserialize)]
struct PusherBody {
    name: Option<String>,
}

fn push(body: PushBody) -> Result<(Keyed, Option<Moment>)> {
    let repository = body.repository.check()?;
    let is_tag = body.reference.starts_with("refs/tags/");
    if !is_tag && !body.reference.starts_with("refs/heads/") {
        return ignore(format!("`{}` is neither a branch nor a tag", shown(&body.reference)));
    }
    // An annotated tag points to an object of its own; the commit that it leads to is told beside it.
    let after = match body.head_commit {
        Some(commit) if is_tag && body.after != NOTHING => commit.id,
        _ => body.after,
    };
    let (before, after) = (pointed_to(&body.before)?, pointed_to(&after)?);
    if before.is_none() && after.is_none() {
        return ignore("the push moved nothing");
    }
    let Some(default_branch) = body.repository.default_branch else {
        return ignore("the repository has no default branch");
    };
    let pusher = body.sender.map(|sender| sender.login).or(body.pusher.and_then(|pusher| pusher.name));
    let event = Event::PushReceived {
        reference: clean(body.reference),
        before,
        after,
        default_branch: clean(default_branch),
        pusher: clean(pusher.unwrap_or(nobody().login)),
    };
    Ok((Keyed { key: Key::Repository(repository), event }, body.repository.pushed_at))
}

fn pointed_to(text: &str) -> Result<Option<CommitSha>> {
    if text == NOTHING { Ok(None) } else { commit(text).map(Some) }
}

fn commit(text: &str) -> Result<CommitSha> {
    CommitSha::parse(text).or_else(|error| ignore(error.to_string()))
}

#[derive(Deserialize)]
struct PullRequestBody {
    pull_request: PullBody,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct PullBody {
    number: u64,
    title: String,
    state: String,
    merged: Option<bool>,
    merge_commit_sha: Option<String>,
    updated_at: Option<Moment>,
    user: Option<Account>,
    head: BranchBody,
    base: BranchBody,
}

#[derive(Deserialize)]
struct BranchBody {
    #[serde(rename = "ref")]
    name: String,
    sha: Option<String>,
    repo: Option<BranchRepository>,
}

#[derive(Deserialize)]
struct BranchRepository {
    id: i64,
}

fn pull_request(body: PullRequestBody, change: PullChange) -> Result<(Keyed, Option<Moment>)> {
    let repository = body.repository.check()?;
    let PullBody { number, title, state, merged, merge_commit_sha, updated_at, user, head, base } = body.pull_request;
    if base.repo.is_none_or(|base| base.id != repository.id) {
        return ignore("the pull request belongs to another repository than the delivery");
    }
    let (status, merge_commit) = match (state.as_str(), merged, merge_commit_sha) {
        ("open", _, _) => (PullStatus::Open, None),
        ("closed", Some(true), Some(sha)) => (PullStatus::Merged, Some(commit(&sha)?)),
        ("closed", Some(true), None) => (PullStatus::Merged, None),
        ("closed", _, _) => (PullStatus::Closed, None),
        (other, _, _) => return ignore(format!("a pull request cannot be `{}`", shown(other))),
    };
    let origin = match head.repo {
        Some(home) if home.id == repository.id => HeadOrigin::SameRepository,
        Some(_) | None => HeadOrigin::Fork,
    };
    let Some(sha) = head.sha else { return ignore("the pull request has no head commit") };
    let pull = PullRef { repository, number: PullNumber(number) };
    let snapshot = PullSnapshot {
        pull: pull.clone(),
        title: clean(title),
        author: user.map_or_else(nobody, User::from),
        status,
        head_branch: clean(head.name),
        head: commit(&sha)?,
        origin,
        base_branch: clean(base.name),
        merge_commit,
    };
    let event = Event::PullChanged { snapshot: Box::new(snapshot), change };
    Ok((Keyed { key: Key::Pull(pull), event }, updated_at))
}

#[derive(Deserialize)]
struct IssueCommentBody {
    issue: IssueBody,
    comment: CommentBody,
    sender: Option<Account>,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct IssueBody {
    number: u64,
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct CommentBody {
    id: i64,
    created_at: Option<String>,
    body: Option<String>,
    user: Option<Account>,
}

fn issue_comment(body: IssueCommentBody) -> Result<(Keyed, Option<Moment>)> {
    let repository = body.repository.check()?;
    if body.issue.pull_request.is_none() {
        return ignore("the comment belongs to an issue, not to a pull request");
    }
    let (Some(author), Some(sender)) = (body.comment.user, body.sender) else {
        return ignore("nobody is named as the comment's author");
    };
    if author.is_program() || sender.is_program() {
        return ignore("the comment was written by a program");
    }
    if author.id != sender.id {
        return ignore("the comment was sent by somebody else than its author");
    }
    let pull = PullRef { repository, number: PullNumber(body.issue.number) };
    let event = Event::CommentCreated {
        comment: CommentRef { id: body.comment.id, created_at: moment(body.comment.created_at.as_deref()) },
        author: author.into(),
        body: clean(body.comment.body.unwrap_or_default()),
    };
    // Its number tells it from all others.
    Ok((Keyed { key: Key::Pull(pull), event }, body.comment.created_at.map(Moment::Date)))
}

/// When something was written, as the forge says it: `2026-11-20T22:04:05Z`. The distant past when it does not say, so
/// that a command without a time never counts as newer than a plan.
fn moment(text: Option<&str>) -> Time {
    let parsed = text.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    Time(parsed.map_or(0, |moment| moment.timestamp_millis()))
}

/// Text as a database can keep it: PostgreSQL refuses NUL.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests;
