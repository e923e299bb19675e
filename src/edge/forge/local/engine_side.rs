//! What the engine asks of a forge. GitHub will answer the same questions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::accounts::app_account;
use super::error::refused;
use super::files::{self, Lock};
use super::pulls::{PullFile, check_body};
use super::{Comment, LocalForge, Result, Status};
use crate::domain::forge::{CommitState, Permission, PullSnapshot, PullStatus, User};
use crate::domain::ids::{CommitSha, PullRef, Repository, Time};

/// Longest description of a status, in characters, as on GitHub.
const MAX_DESCRIPTION: usize = 140;

#[derive(Serialize, Deserialize)]
struct StatusRecord {
    state: CommitState,
    description: String,
    updated_at: Time,
}

impl LocalForge {
    /// The pull request as it is now; an open one's head is what its branch points to at this moment.
    ///
    /// # Errors
    /// [`super::LocalForgeError::Unknown`] when there is none.
    pub fn pull(&self, pull: &PullRef) -> Result<PullSnapshot> {
        let record = self.record()?;
        let repository = &record.by_id(&pull.repository)?.repository;
        self.snapshot(repository, &self.pull_file(repository, pull.number)?)
    }

    /// Every open pull request of the repository, oldest first.
    ///
    /// # Errors
    /// When the forge cannot be read.
    pub fn open_pulls(&self, repository: &Repository) -> Result<Vec<PullSnapshot>> {
        let name = self.record()?.by_id(repository)?.repository.name.clone();
        self.list_pulls(&name, Some(PullStatus::Open))
    }

    /// Every branch with the commit that it points to.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn branch_heads(&self, repository: &Repository) -> Result<Vec<(String, CommitSha)>> {
        let record = self.record()?;
        Ok(self.source(&record.by_id(repository)?.repository.name)?.branches()?)
    }

    /// Every tag with the commit that it leads to.
    ///
    /// # Errors
    /// As [`Self::branch_heads`].
    pub fn tags(&self, repository: &Repository) -> Result<Vec<(String, CommitSha)>> {
        let record = self.record()?;
        Ok(self.source(&record.by_id(repository)?.repository.name)?.tags()?)
    }

    /// The branch that merged work lives on.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn default_branch(&self, repository: &Repository) -> Result<String> {
        let record = self.record()?;
        let branch = self.source(&record.by_id(repository)?.repository.name)?.head_branch()?;
        branch.ok_or_else(|| refused(format!("`HEAD` of repository `{}` names no branch", repository.name)))
    }

    /// What the account with `user`'s number may do in the repository. The login does not matter: it can change hands.
    ///
    /// # Errors
    /// When the forge cannot be read.
    pub fn permission(&self, repository: &Repository, user: &User) -> Result<Permission> {
        self.record()?.by_id(repository)?;
        self.permission_of(user.id)
    }

    /// Makes our comment with this marker say `body`: edits it where it is, or writes it. Gives its number. Only
    /// comments of our own account are looked at, so nobody can pass off theirs as ours.
    ///
    /// # Errors
    /// [`super::LocalForgeError::Refused`] when the body is too long or the marker could end the HTML comment that it
    /// is written into.
    pub fn upsert_comment(&self, pull: &PullRef, marker: &str, body: &str) -> Result<i64> {
        self.own_comment(pull, marker, body, IfThere::Edit)
    }

    /// Writes a comment with this marker unless there is one of ours already. Gives its number.
    ///
    /// # Errors
    /// As [`LocalForge::upsert_comment`].
    pub fn post_comment_once(&self, pull: &PullRef, marker: &str, body: &str) -> Result<i64> {
        self.own_comment(pull, marker, body, IfThere::Keep)
    }

    fn own_comment(&self, pull: &PullRef, marker: &str, body: &str, if_there: IfThere) -> Result<i64> {
        check_marker(marker)?;
        let body = format!("{}\n\n<!-- modelship:{marker} -->", check_body(body)?);
        check_body(&body)?;
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let repository = record.by_id(&pull.repository)?.repository.clone();
        let mut file: PullFile = self.pull_file(&repository, pull.number)?;
        let now = self.now();
        let ours =
            |comment: &&mut Comment| comment.author.id == app_account().id && comment.marker.as_deref() == Some(marker);
        let id = match file.comments.iter_mut().find(ours) {
            Some(comment) if if_there == IfThere::Keep || comment.body == body => return Ok(comment.id),
            Some(comment) => {
                comment.body = body;
                comment.updated_at = now;
                comment.id
            }
            None => {
                let comment = Comment {
                    id: record.take_id(),
                    author: app_account(),
                    body,
                    marker: Some(marker.to_owned()),
                    created_at: now,
                    updated_at: now,
                };
                self.write_record(&lock, &record)?;
                let id = comment.id;
                file.comments.push(comment);
                id
            }
        };
        self.write_pull(&lock, &repository, &file)?;
        Ok(id)
    }

    /// Shows beside the commit how it fares in the respect `context`; replaces what was said before. `description` is
    /// cut after 140 characters.
    ///
    /// # Errors
    /// When the forge cannot be read or written.
    pub fn set_status(
        &self,
        repository: &Repository,
        commit: &CommitSha,
        context: &str,
        state: CommitState,
        description: &str,
    ) -> Result<()> {
        let lock = Lock::take(&self.root)?;
        let record = self.record()?;
        let path = self.path_of(&record.by_id(repository)?.repository.name, "statuses").join(format!("{commit}.json"));
        let mut statuses: BTreeMap<String, StatusRecord> = files::read_if_there(&path)?.unwrap_or_default();
        let description = cut(description);
        statuses.insert(context.to_owned(), StatusRecord { state, description, updated_at: self.now() });
        files::write(&lock, &path, &statuses)
    }

    /// What is shown beside the commit, by context.
    ///
    /// # Errors
    /// When the forge cannot be read.
    pub fn statuses(&self, repository: &Repository, commit: &CommitSha) -> Result<Vec<Status>> {
        let record = self.record()?;
        let path = self.path_of(&record.by_id(repository)?.repository.name, "statuses").join(format!("{commit}.json"));
        let statuses: BTreeMap<String, StatusRecord> = files::read_if_there(&path)?.unwrap_or_default();
        let status = |(context, StatusRecord { state, description, updated_at })| Status {
            context,
            state,
            description,
            updated_at,
        };
        Ok(statuses.into_iter().map(status).collect())
    }
}

/// What to do with a comment that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfThere {
    Edit,
    Keep,
}

fn check_marker(marker: &str) -> Result<()> {
    let bad = |c: char| c.is_control() || matches!(c, '<' | '>');
    if marker.is_empty() || marker.len() > 300 || marker.contains(bad) {
        return Err(refused(format!("`{}` cannot mark a comment", marker.escape_debug())));
    }
    Ok(())
}

fn cut(description: &str) -> String {
    if description.chars().count() <= MAX_DESCRIPTION {
        return description.to_owned();
    }
    let mut text: String = description.chars().take(MAX_DESCRIPTION - 1).collect();
    text.push('…');
    text
}
