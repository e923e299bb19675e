//! Talking to the forge: comments, statuses, and who may say what.

use anyhow::anyhow;

use super::Reports;
use crate::domain::command::Command;
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::forge::{CommentRef, Permission, User};
use crate::domain::ids::{CommitSha, PullRef, Repository};
use crate::domain::policy::Act;
use crate::edge::forge::{Forge, Status};
use crate::engine::{Engine, Failure};

/// Shows beside a commit how it fares. On a laptop there is nobody to show it to.
pub(super) async fn set_status(
    engine: &Engine,
    repository: &Repository,
    commit: &CommitSha,
    status: Status,
) -> Reports {
    let Some(forge) = engine.outside().forge() else { return Ok(Vec::new()) };
    forge.set_status(repository, commit, status).await?;
    Ok(Vec::new())
}

/// Writes or rewrites the comment that carries `marker`.
pub(super) async fn upsert_comment(engine: &Engine, pull: &PullRef, marker: &str, body: &str) -> Reports {
    forge(engine)?.upsert_comment(pull, marker, body).await?;
    Ok(Vec::new())
}

/// Writes a comment unless one with `marker` is there.
pub(super) async fn post_comment(engine: &Engine, pull: &PullRef, marker: &str, body: &str) -> Reports {
    forge(engine)?.post_comment_once(pull, marker, body).await?;
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
    let act = if matches!(command, Command::Promote { .. }) { Act::Promote } else { Act::Sweep };
    let denied = denial(engine, &pull.repository, author, act).await?;
    let event = Event::CommandChecked { comment, nth, command: command.clone(), author: author.clone(), denied };
    Ok(vec![Keyed { key: Key::Pull(pull.clone()), event }])
}

/// Why `user` may not do that in `repository` at this moment; none when he may.
pub(super) async fn denial(
    engine: &Engine,
    repository: &Repository,
    user: &User,
    act: Act,
) -> Result<Option<String>, Failure> {
    let forge = forge(engine)?;
    let permission = forge.permission(repository, user).await?;
    // The policy that holds is the one of this moment.
    forge.fetch(repository).await?;
    Ok(match engine.policy(repository).await? {
        _ if permission < Permission::Write => Some(format!("this needs write permission in `{}`", repository.name)),
        Ok(policy) if policy.permits(act, permission) => None,
        Ok(_) => Some("`config/policy.yaml` allows it to administrators only".to_owned()),
        Err(faults) => Some(format!("the policy on the default branch cannot be read: {faults}")),
    })
}

/// The forge. Whoever acts on a pull request has one.
pub(super) fn forge(engine: &Engine) -> Result<&Forge, Failure> {
    let none = || Failure::Never(anyhow!("there is no forge here, so there are no pull requests"));
    engine.outside().forge().ok_or_else(none)
}
