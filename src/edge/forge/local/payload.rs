//! Deliveries in the form that GitHub gives them.
//!
//! Field names and meanings are GitHub's; only what some receiver reads is there.

use serde_json::{Value, json};

use super::accounts::app_account;
use super::error::Context as _;
use super::pulls::PullFile;
use super::push::Moved;
use super::{Comment, Delivery, Record, Result};
use crate::domain::forge::{PullStatus, User};
use crate::domain::ids::{CommitSha, Repository, Time};
use crate::edge::source::{Change, ChangedFile, Source};

/// How git writes "no object".
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Most commits that a push lists; GitHub lists up to 2048.
const MAX_COMMITS: usize = 20;

/// Most files listed for each commit of a push.
const MAX_FILES: usize = 100;

/// Where something happened, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) record: &'a Record,
    pub(super) repository: &'a Repository,
    pub(super) source: &'a Source,
    pub(super) sender: &'a User,
}

/// A branch or tag was moved, made or deleted.
pub(super) fn push(scene: &Scene<'_>, moved: &Moved) -> Result<Delivery> {
    let Moved { reference, before, after } = moved;
    let commit = |object: &Option<String>| object.as_ref().and_then(|text| scene.source.resolve(text).ok());
    let old = commit(before);
    // An annotated tag is an object of its own, which leads to its commit.
    let new = match after {
        Some(_) if reference.starts_with("refs/tags/") => scene.source.resolve(reference).ok(),
        after => commit(after),
    };
    let forced = match (&old, &new) {
        (Some(old), Some(new)) => !scene.source.contains(new, old)?,
        _ => false,
    };
    let commits = match &new {
        Some(new) if reference.starts_with("refs/heads/") => new_commits(scene, reference, old.as_ref(), new)?,
        _ => Vec::new(),
    };
    let head_commit = new.as_ref().map(|new| commit_value(scene.source, new)).transpose()?;
    let body = json!({
        "ref": reference,
        "before": before.as_deref().unwrap_or(NOTHING),
        "after": after.as_deref().unwrap_or(NOTHING),
        "created": before.is_none(),
        "deleted": after.is_none(),
        "forced": forced,
        "base_ref": null,
        "commits": commits,
        "head_commit": head_commit,
        "pusher": { "name": scene.sender.login, "email": null },
        "repository": repository(scene)?,
        "sender": user(scene.sender),
    });
    Ok(delivery("push", &body))
}

/// A pull request was opened, closed (merged or not) or reopened.
pub(super) fn pull_request(scene: &Scene<'_>, file: &PullFile, action: &str) -> Result<Delivery> {
    let body = json!({
        "action": action,
        "number": file.number,
        "pull_request": pull_value(scene, file)?,
        "repository": repository(scene)?,
        "sender": user(scene.sender),
    });
    Ok(delivery("pull_request", &body))
}

/// The head of a pull request moved from `before` to where it is now.
pub(super) fn synchronize(scene: &Scene<'_>, file: &PullFile, before: &CommitSha) -> Result<Delivery> {
    let body = json!({
        "action": "synchronize",
        "number": file.number,
        "before": before,
        "after": file.head,
        "pull_request": pull_value(scene, file)?,
        "repository": repository(scene)?,
        "sender": user(scene.sender),
    });
    Ok(delivery("pull_request", &body))
}

/// Somebody commented on a pull request.
pub(super) fn issue_comment(scene: &Scene<'_>, file: &PullFile, comment: &Comment) -> Result<Delivery> {
    let body = json!({
        "action": "created",
        "issue": {
            "id": file.id,
            "number": file.number,
            "title": file.title,
            "state": state(file.status),
            "user": user(&file.author),
            "pull_request": { "merged_at": null },
        },
        "comment": {
            "id": comment.id,
            "body": comment.body,
            "user": user(&comment.author),
            "created_at": date(comment.created_at),
            "updated_at": date(comment.updated_at),
        },
        "repository": repository(scene)?,
        "sender": user(scene.sender),
    });
    Ok(delivery("issue_comment", &body))
}

fn delivery(event: &'static str, body: &Value) -> Delivery {
    Delivery { id: uuid::Uuid::new_v4().to_string(), event, body: body.to_string() }
}

/// The commits that a push brought, oldest first: those that the branch did not hold before, or that no other branch
/// holds when it is new.
fn new_commits(scene: &Scene<'_>, reference: &str, old: Option<&CommitSha>, new: &CommitSha) -> Result<Vec<Value>> {
    let known: Vec<CommitSha> = match old {
        Some(old) => vec![old.clone()],
        None => {
            let others = scene.source.branches()?.into_iter();
            others.filter(|(name, _)| format!("refs/heads/{name}") != reference).map(|(_, commit)| commit).collect()
        }
    };
    let newest = scene.source.commits(new, &known, MAX_COMMITS)?;
    newest.iter().rev().map(|commit| commit_value(scene.source, commit)).collect()
}

fn commit_value(source: &Source, commit: &CommitSha) -> Result<Value> {
    let note = source.describe(commit)?;
    let files = source.files_of(commit, MAX_FILES)?;
    let of = |change: Change| -> Vec<&str> {
        files.iter().filter(|file| file.change == change).map(|ChangedFile { path, .. }| path.as_str()).collect()
    };
    Ok(json!({
        "id": commit,
        "distinct": true,
        "message": note.summary,
        "timestamp": date(note.at),
        "author": { "name": note.author, "email": note.email },
        "added": of(Change::Added),
        "removed": of(Change::Deleted),
        "modified": of(Change::Modified),
    }))
}

fn pull_value(scene: &Scene<'_>, file: &PullFile) -> Result<Value> {
    let repository = repository(scene)?;
    let base = scene.source.branch(&file.base_branch)?;
    let merged = file.status == PullStatus::Merged;
    Ok(json!({
        "id": file.id,
        "number": file.number,
        "title": file.title,
        "state": state(file.status),
        "draft": false,
        "locked": false,
        "merged": merged,
        "merge_commit_sha": file.merge_commit,
        "user": user(&file.author),
        "created_at": date(file.opened_at),
        "updated_at": date(file.updated_at),
        "head": { "ref": file.head_branch, "sha": file.head, "repo": repository },
        "base": { "ref": file.base_branch, "sha": base, "repo": repository },
    }))
}

fn repository(scene: &Scene<'_>) -> Result<Value> {
    let Repository { id, name } = scene.repository;
    Ok(json!({
        "id": id,
        "name": name.name(),
        "full_name": name,
        "owner": { "login": name.owner(), "id": scene.record.owners.get(name.owner()), "type": "Organization" },
        "private": true,
        "fork": false,
        "default_branch": scene.source.head_branch().context(|| format!("failed to read `{name}`"))?,
    }))
}

fn user(user: &User) -> Value {
    let kind = if user.id == app_account().id { "Bot" } else { "User" };
    json!({ "login": user.login, "id": user.id, "type": kind })
}

fn state(status: PullStatus) -> &'static str {
    match status {
        PullStatus::Open => "open",
        PullStatus::Closed | PullStatus::Merged => "closed",
    }
}

/// As GitHub writes it: `2026-01-31T12:00:00Z`.
fn date(time: Time) -> Option<String> {
    let date = chrono::DateTime::from_timestamp_millis(time.0)?;
    Some(date.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
