//! Comments: ours are found by a marker at their end, and only among those that we wrote.

use std::sync::PoisonError;

use anyhow::anyhow;
use http::Method;
use serde_json::json;

use super::answers::{Account, CommentAnswer, NewComment, nobody};
use super::client::is_gone;
use super::tokens::Login;
use super::{GitHub, Result};
use crate::domain::forge::{CommentRef, User};
use crate::domain::ids::PullRef;
use crate::edge::forge::{Comment, ForgeError};

/// Most bytes of a comment. GitHub's limit is 65,536 characters, or that many times four bytes: nobody says which.
/// Source: <https://github.com/NejcZdovc/comment-pr/issues/11>
const MOST_BYTES: usize = 65_000;

#[derive(Debug, Clone)]
pub(super) struct Written {
    id: i64,
    body: String,
}

impl GitHub {
    /// What is said in a pull request, oldest first.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn comments(&self, pull: &PullRef) -> Result<Vec<Comment>> {
        let own_account = self.own_account().await?;
        let found: Vec<CommentAnswer> = self.all(&pull.repository, &comments_of(pull)).await?;
        let comment = |found: CommentAnswer| {
            let is_ours = match (self.tokens.login(), &found.performed_via_github_app, &found.user) {
                (Login::App { id, .. }, Some(app), _) => app.id == *id,
                (Login::Token(_), _, Some(user)) => Some(user.id) == own_account,
                _ => false,
            };
            let created_at = found.created_at()?;
            let is_edited = found.is_edited();
            let is_programs = found.user.as_ref().is_some_and(Account::is_program);
            Some(Comment {
                comment: CommentRef { id: found.id, created_at },
                author: found.user.map_or_else(nobody, User::from),
                body: found.body.unwrap_or_default(),
                is_ours,
                is_edited,
                is_programs,
            })
        };
        Ok(found.into_iter().filter_map(comment).collect())
    }

    /// The number of the account whose token we have.
    pub(super) async fn own_account(&self) -> Result<Option<i64>> {
        let Login::Token(token) = self.tokens.login() else { return Ok(None) };
        let asked = async { self.client.get(token, "/user").await?.json::<Account>("/user").map(|account| account.id) };
        self.own_account.get_or_try_init(|| asked).await.map(|id| Some(*id))
    }

    /// Makes our comment with this marker say `body`.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when it cannot be written there.
    pub async fn upsert_comment(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        let body = marked(marker, body)?;
        let Some(written) = self.find(pull, marker).await? else { return self.post(pull, marker, body).await };
        if written.body == body {
            return Ok(());
        }
        let route = format!("/issues/comments/{}", written.id);
        match self.write(&pull.repository, Method::PATCH, &route, &json!({ "body": body })).await {
            Ok(_) => {
                self.remember(pull, marker, Written { id: written.id, body });
                Ok(())
            }
            // Somebody deleted it, perhaps after we last looked.
            Err(error) if is_gone(&error) => {
                self.forget_comment(pull, marker);
                match self.find(pull, marker).await? {
                    Some(_) => Err(error),
                    None => self.post(pull, marker, body).await,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a comment with this marker unless there is one of ours already.
    ///
    /// # Errors
    /// As [`Self::upsert_comment`].
    pub async fn post_comment_once(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        let body = marked(marker, body)?;
        match self.find(pull, marker).await? {
            Some(_) => Ok(()),
            None => self.post(pull, marker, body).await,
        }
    }

    /// Our comment with this marker: as we remember it, or else as the pull request has it.
    async fn find(&self, pull: &PullRef, marker: &str) -> Result<Option<Written>> {
        let name = (pull.clone(), marker.to_owned());
        let known = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let sign = sign(marker);
        let found =
            self.comments(pull).await?.into_iter().find(|comment| comment.is_ours && comment.body.ends_with(&sign));
        Ok(found.map(|found| {
            let written = Written { id: found.comment.id, body: found.body };
            self.remember(pull, marker, written.clone());
            written
        }))
    }

    async fn post(&self, pull: &PullRef, marker: &str, body: String) -> Result<()> {
        let route = comments_of(pull);
        let answer = self.write(&pull.repository, Method::POST, &route, &json!({ "body": body })).await?;
        let id = answer.json::<NewComment>(&route)?.id;
        self.remember(pull, marker, Written { id, body });
        Ok(())
    }

    fn remember(&self, pull: &PullRef, marker: &str, written: Written) {
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= 10_000 {
            all.clear();
        }
        all.insert((pull.clone(), marker.to_owned()), written);
    }

    fn forget_comment(&self, pull: &PullRef, marker: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&(pull.clone(), marker.to_owned()));
    }
}

fn comments_of(pull: &PullRef) -> String {
    format!("/issues/{}/comments", pull.number)
}

/// What stands at the end of our comment with this marker.
fn sign(marker: &str) -> String {
    format!("<!-- modelship:{marker} -->")
}

/// The text of our comment with this marker, within GitHub's limit.
fn marked(marker: &str, body: &str) -> Result<String> {
    let bad = |c: char| c.is_control() || matches!(c, '<' | '>');
    if marker.is_empty() || marker.len() > 300 || marker.contains(bad) {
        return Err(ForgeError::Never(anyhow!("`{}` cannot mark a comment", marker.escape_debug())));
    }
    let text = format!("{}\n\n{}", body.replace('\0', "\u{fffd}"), sign(marker));
    if text.len() > MOST_BYTES {
        return Err(ForgeError::Never(anyhow!(
            "a comment of {} bytes is more than the {MOST_BYTES} that GitHub surely takes",
            text.len()
        )));
    }
    Ok(text)
}
