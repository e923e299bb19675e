//! Talking to the forge: comments, statuses, and who may say what.

use anyhow::{Context as _, anyhow};

use super::{Reports, blocking};
use crate::domain::command::Command;
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::forge::{CommentRef, CommitState, Permission, User};
use crate::domain::ids::{CommitSha, PullRef, Repository};
use crate::edge::forge::local::LocalForge;
use crate::engine::{Engine, Failure};

/// How a commit fares.
pub(super) struct Status<'a> {
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a CommitSha,
    pub(super) context: &'a str,
    pub(super) state: CommitState,
    pub(super) description: &'a str,
}

/// Shows beside a commit how it fares. On a laptop there is nobody to show it to.
pub(super) async fn set_status(engine: &Engine, status: Status<'_>) -> Reports {
    let Some(forge) = engine.outside().forge().cloned() else { return Ok(Vec::new()) };
    let (repository, commit) = (status.repository.clone(), status.commit.clone());
    let (context, description, state) = (status.context.to_owned(), status.description.to_owned(), status.state);
    blocking(move || Ok(forge.set_status(&repository, &commit, &context, state, &description)?)).await?;
    Ok(Vec::new())
}

/// Writes or rewrites the comment that carries `marker`.
pub(super) async fn upsert_comment(engine: &Engine, pull: &PullRef, marker: &str, body: &str) -> Reports {
    let forge = forge(engine)?;
    let (pull, marker, body) = (pull.clone(), marker.to_owned(), body.to_owned());
    blocking(move || Ok(forge.upsert_comment(&pull, &marker, &body)?)).await?;
    Ok(Vec::new())
}

/// Writes a comment unless one with `marker` is there.
pub(super) async fn post_comment(engine: &Engine, pull: &PullRef, marker: &str, body: &str) -> Reports {
    let forge = forge(engine)?;
    let (pull, marker, body) = (pull.clone(), marker.to_owned(), body.to_owned());
    blocking(move || Ok(forge.post_comment_once(&pull, &marker, &body)?)).await?;
    Ok(Vec::new())
}

/// A command that somebody gave.
pub(super) struct Given<'a> {
    pub(super) comment: CommentRef,
    pub(super) nth: u32,
    pub(super) pull: &'a PullRef,
    pub(super) command: &'a Command,
    pub(super) author: &'a User,
}

/// Looks up, now and by number, what the author may do.
pub(super) async fn check_command(engine: &Engine, given: &Given<'_>) -> Reports {
    let Given { comment, nth, pull, command, author } = *given;
    let forge = forge(engine)?;
    let (repository, user) = (pull.repository.clone(), author.clone());
    let permission = blocking(move || Ok(forge.permission(&repository, &user)?))
        .await
        .with_context(|| format!("cannot look up what `{}` may do in `{}`", author.login, pull.repository.name))?;
    let denied = match engine.policy(&pull.repository).await? {
        _ if permission < Permission::Write => {
            Some(format!("this needs write permission in `{}`", pull.repository.name))
        }
        Ok(policy) if policy.permits(permission) => None,
        Ok(_) => Some("`config/policy.yaml` allows it to administrators only".to_owned()),
        Err(faults) => Some(format!("the policy on the default branch cannot be read: {faults}")),
    };
    let event = Event::CommandChecked { comment, nth, command: command.clone(), author: author.clone(), denied };
    Ok(vec![Keyed { key: Key::Pull(pull.clone()), event }])
}

fn forge(engine: &Engine) -> Result<LocalForge, Failure> {
    engine
        .outside()
        .forge()
        .cloned()
        .ok_or_else(|| Failure::Never(anyhow!("there is no forge here, so there are no pull requests")))
}
