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
use crate::domain::report::escape::COMMENT_LIMIT;
use crate::edge::forge::{Comment, ForgeError};

/// Most bytes of a comment. GitHub's limit is 65,536 characters, or that many times four bytes: nobody says which. So many
/// bytes are within it whatever is counted: bytes, UTF-16 units or characters.
/// Source: <https://github.com/NejcZdovc/comment-pr/issues/11>
const MOST_BYTES: usize = 65_536;

/// Longest marker, in bytes.
const MOST_MARKER: usize = 300;

// What is said in a comment is cut elsewhere; the marker has to fit behind it.
const _: () = assert!(COMMENT_LIMIT + BEFORE.len() + MOST_MARKER + AFTER.len() <= MOST_BYTES);

/// What stands between a comment's text and its marker, and after that.
const BEFORE: &str = "\n\n<!-- modelship:";
const AFTER: &str = " -->";

/// A comment of ours, as it is found.
struct Found {
    id: i64,
    /// What it says, where that was read just now. Another server may have changed it since we wrote it.
    body: Option<String>,
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
        let Some(token) = self.tokens.given() else { return Ok(None) };
        let asked = async { self.client.get(token, "/user").await?.json::<Account>("/user").map(|account| account.id) };
        self.own_account.get_or_try_init(|| asked).await.map(|id| Some(*id))
    }

    /// Makes our comment with this marker say `body`.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when it cannot be written there.
    pub async fn upsert_comment(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        let body = marked(marker, body)?;
        let Some(found) = self.find(pull, marker).await? else { return self.post(pull, marker, body).await };
        if found.body.as_ref() == Some(&body) {
            return Ok(());
        }
        let route = format!("/issues/comments/{}", found.id);
        match self.write(&pull.repository, Method::PATCH, &route, &json!({ "body": body })).await {
            Ok(_) => Ok(()),
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

    /// Our comment with this marker: where we remember it to be, or else as the pull request has it.
    async fn find(&self, pull: &PullRef, marker: &str) -> Result<Option<Found>> {
        let name = (pull.clone(), marker.to_owned());
        let known = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        if let Some(id) = known {
            return Ok(Some(Found { id, body: None }));
        }
        let sign = sign(marker);
        let found =
            self.comments(pull).await?.into_iter().find(|comment| comment.is_ours && comment.body.ends_with(&sign));
        Ok(found.map(|found| {
            self.remember(pull, marker, found.comment.id);
            Found { id: found.comment.id, body: Some(found.body) }
        }))
    }

    async fn post(&self, pull: &PullRef, marker: &str, body: String) -> Result<()> {
        let route = comments_of(pull);
        let answer = self.write(&pull.repository, Method::POST, &route, &json!({ "body": body })).await?;
        self.remember(pull, marker, answer.json::<NewComment>(&route)?.id);
        Ok(())
    }

    fn remember(&self, pull: &PullRef, marker: &str, id: i64) {
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= 10_000 {
            all.clear();
        }
        all.insert((pull.clone(), marker.to_owned()), id);
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
    format!("{}{marker}{AFTER}", BEFORE.trim_start())
}

/// The text of our comment with this marker, within GitHub's limit.
fn marked(marker: &str, body: &str) -> Result<String> {
    let bad = |c: char| c.is_control() || matches!(c, '<' | '>');
    if marker.is_empty() || marker.len() > MOST_MARKER || marker.contains(bad) {
        return Err(ForgeError::Never(anyhow!("`{}` cannot mark a comment", marker.escape_debug())));
    }
    let text = format!("{}{BEFORE}{marker}{AFTER}", body.replace('\0', "\u{fffd}"));
    if text.len() > MOST_BYTES {
        return Err(ForgeError::Never(anyhow!(
            "a comment of {} bytes is more than the {MOST_BYTES} that GitHub surely takes",
            text.len()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::escape::fit;

    #[test]
    fn what_was_cut_to_the_limit_is_taken_with_its_marker() {
        for unit in ["a", "\u{e9}", "\u{20ac}", "\u{1F600}"] {
            let whole = unit.repeat(COMMENT_LIMIT / unit.len());
            let cut = fit(&unit.repeat(COMMENT_LIMIT), COMMENT_LIMIT);
            for body in [whole, cut] {
                let text = marked(&"m".repeat(MOST_MARKER), &body).unwrap();
                assert!(text.len() <= 65_536 && text.starts_with(&body), "{} bytes of {unit}", text.len());
            }
            assert!(marked("m", &unit.repeat(MOST_BYTES / unit.len())).is_err());
        }
        assert!(marked(&"m".repeat(MOST_MARKER + 1), "a").is_err());
    }
}
