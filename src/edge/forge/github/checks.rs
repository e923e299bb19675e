//! Checks: check runs for an App, commit statuses for whoever has a token only.
//!
//! A check run is looked for before it is written, by its name at the commit and among our own, so that an answer that was
//! lost costs one more look. Annotations go in batches and are never taken back, so how many are there tells how many
//! are left; a check whose annotations or whose end no longer hold gets a new run, which takes the place of the old one.
//!
//! Source: <https://docs.github.com/en/rest/checks/runs>

use http::Method;
use serde_json::{Value, json};

use super::answers::{CheckRun, CheckRunId, CheckRuns};
use super::tokens::Login;
use super::{GitHub, Result};
use crate::domain::check::{Button, Check, CheckState};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::forge::{CommitState, Reaction};
use crate::domain::ids::{CommitSha, PullRef, Repository};
use crate::domain::report::escape::clip;
use crate::domain::report::percent_encoded;

/// Most annotations of one request.
const BATCH: usize = 50;

/// Longest description of a status, in characters.
pub(super) const MOST_DESCRIPTION: usize = 140;

/// Longest message of an annotation, in characters; GitHub takes 64 KiB.
const MOST_MESSAGE: usize = 8_000;

impl GitHub {
    /// Shows beside the commit how it fares.
    ///
    /// # Errors
    /// [`ForgeError::Never`](super::ForgeError::Never) when the commit is not there.
    pub async fn show_check(&self, repository: &Repository, commit: &CommitSha, check: &Check) -> Result<()> {
        match self.tokens.login() {
            // Only Apps may write check runs.
            Login::Token(_) => self.set_status(repository, commit, check).await,
            Login::App { id, .. } => self.write_check_run(*id, repository, commit, check).await,
        }
    }

    async fn write_check_run(
        &self,
        app: u64,
        repository: &Repository,
        commit: &CommitSha,
        check: &Check,
    ) -> Result<()> {
        let route = format!(
            "/commits/{commit}/check-runs?filter=latest&app_id={app}&check_name={}",
            percent_encoded(&check.name)
        );
        let listed: CheckRuns = self.get(repository, &route).await?;
        let is_ours = |run: &CheckRun| run.name == check.name && run.app.as_ref().is_some_and(|found| found.id == app);
        let known = listed.check_runs.into_iter().find(is_ours).filter(|run| run.can_become(check));
        let (id, written) = match known {
            Some(run) => {
                let written = if run.says(check) { run.annotations() } else { 0 };
                let said = run.says(check) && run.status_is(check);
                if said && written >= check.annotations.len() {
                    return Ok(());
                }
                let body = body(check, written);
                self.write(repository, Method::PATCH, &format!("/check-runs/{}", run.id), &body).await?;
                (run.id, written)
            }
            None => {
                let mut body = body(check, 0);
                body["head_sha"] = json!(commit);
                let answer = self.write(repository, Method::POST, "/check-runs", &body).await?;
                (answer.json::<CheckRunId>("/check-runs")?.id, 0)
            }
        };
        let mut from = written + BATCH;
        while from < check.annotations.len() {
            self.write(repository, Method::PATCH, &format!("/check-runs/{id}"), &body(check, from)).await?;
            from += BATCH;
        }
        Ok(())
    }

    async fn set_status(&self, repository: &Repository, commit: &CommitSha, check: &Check) -> Result<()> {
        let state = match CommitState::from(check.state) {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure => "failure",
            CommitState::Error => "error",
        };
        let description = cut(&check.title, MOST_DESCRIPTION);
        let mut body = json!({ "state": state, "context": check.name, "description": description });
        if let Some(details) = &check.details {
            body["target_url"] = json!(details);
        }
        self.write(repository, Method::POST, &format!("/statuses/{commit}"), &body).await.map(drop)
    }

    /// Answers a comment without words. To do so twice is to do it once.
    ///
    /// # Errors
    /// [`ForgeError::Never`](super::ForgeError::Never) when the comment is not there any more.
    pub async fn react(&self, pull: &PullRef, comment: i64, reaction: Reaction) -> Result<()> {
        let content = match reaction {
            Reaction::Seen => "eyes",
            Reaction::Done => "rocket",
            Reaction::Refused => "-1",
            Reaction::Confused => "confused",
        };
        let route = format!("/issues/comments/{comment}/reactions");
        self.write(&pull.repository, Method::POST, &route, &json!({ "content": content })).await.map(drop)
    }
}

impl CheckRun {
    /// Whether the run may be changed into `check`: what has ended does not begin again, and annotations stay.
    fn can_become(&self, check: &Check) -> bool {
        let begins_again = self.status == "completed" && check.state == CheckState::Pending;
        !begins_again && (self.annotations() == 0 || self.says(check))
    }

    fn says(&self, check: &Check) -> bool {
        let text = |found: &Option<String>| found.clone().unwrap_or_default();
        text(&self.output.title) == check.title && text(&self.output.summary) == check.summary
    }

    fn status_is(&self, check: &Check) -> bool {
        let (status, conclusion) = ending(check.state);
        self.status == status && self.conclusion.as_deref() == conclusion && self.is_about(&check.subject.to_string())
    }

    fn annotations(&self) -> usize {
        usize::try_from(self.output.annotations_count).unwrap_or(usize::MAX)
    }
}

fn ending(state: CheckState) -> (&'static str, Option<&'static str>) {
    match state {
        CheckState::Pending => ("in_progress", None),
        CheckState::Success => ("completed", Some("success")),
        CheckState::Neutral => ("completed", Some("neutral")),
        CheckState::Failure | CheckState::Error => ("completed", Some("failure")),
        CheckState::Cancelled => ("completed", Some("cancelled")),
    }
}

/// The request for `check` with the annotations that begin at `from`.
fn body(check: &Check, from: usize) -> Value {
    let batch: Vec<Value> = check.annotations.iter().skip(from).take(BATCH).map(annotation).collect();
    let (status, conclusion) = ending(check.state);
    let button = |button: &Button| json!({"label": button.label(), "description": button.description(), "identifier": button.identifier()});
    let buttons: Vec<Value> = check.buttons.iter().take(3).map(button).collect();
    let mut body = json!({
        "name": check.name,
        "external_id": check.subject.to_string(),
        "status": status,
        "actions": buttons,
        "output": {"title": check.title, "summary": check.summary, "annotations": batch},
    });
    if let Some(conclusion) = conclusion {
        body["conclusion"] = json!(conclusion);
    }
    if let Some(details) = &check.details {
        body["details_url"] = json!(details);
    }
    body
}

fn annotation(fault: &Diagnostic) -> Value {
    // A fault of the file as a whole is shown at its beginning.
    let line = fault.line.max(1);
    let mut message = fault.message.clone();
    if let Some(hint) = &fault.hint {
        message.push_str(&format!("\nhint: {hint}"));
    }
    let mut annotation = json!({
        "path": fault.file,
        "start_line": line,
        "end_line": line,
        "annotation_level": "failure",
        "message": cut(&message, MOST_MESSAGE),
    });
    if fault.line > 0 && fault.column > 0 {
        annotation["start_column"] = json!(fault.column);
        annotation["end_column"] = json!(fault.column.saturating_add(fault.length.saturating_sub(1)));
    }
    annotation
}

/// At most `most` characters of `text`, the ellipsis counted.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { clip(text, most - 1) }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_fits_stays_whole() {
        assert_eq!(cut("ünfzig", 6), "ünfzig");
        assert_eq!(cut("fünfzig", 6), "fünfz…");
        assert_eq!(cut("", 6), "");
    }
}
