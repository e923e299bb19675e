//! Talking to the forge: comments, statuses, and who may say what.

use anyhow::anyhow;

use super::Reports;
use crate::domain::check::Check;
use crate::domain::command::Command;
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::forge::{Given, Permission, Reaction, User};
use crate::domain::ids::{CommitSha, PullRef, Repository};
use crate::domain::policy::Act;
use crate::domain::report;
use crate::edge::forge::{Forge, ForgeError};
use crate::engine::logs::Sought;
use crate::engine::{Engine, Failure};

/// Shows beside a commit how it fares. On a laptop there is nobody to show it to.
pub(super) async fn show_check(engine: &Engine, repository: &Repository, commit: &CommitSha, check: &Check) -> Reports {
    let Some(forge) = engine.outside().forge() else { return Ok(Vec::new()) };
    forge.show_check(repository, commit, check).await?;
    Ok(Vec::new())
}

/// Answers a comment without words. Nothing depends on it: where it cannot be done, it is left.
pub(super) async fn react(engine: &Engine, pull: &PullRef, comment: i64, reaction: Reaction) -> Reports {
    match forge(engine)?.react(pull, comment, reaction).await {
        Err(ForgeError::Never(error) | ForgeError::Missing(error)) => {
            tracing::info!("comment {comment} in {pull} gets no reaction: {error:#}");
        }
        done => done?,
    }
    Ok(Vec::new())
}

/// Shows what a run printed. Whoever may write in a repository may see what its own models print, and no others.
pub(super) async fn quote_log(engine: &Engine, pull: &PullRef, marker: &str, run: &str) -> Reports {
    let links = report::Links { base_url: engine.rules.artifacts_url.clone() };
    let body = match engine.seek_run_of(run, &pull.repository).await? {
        Sought::Several(runs) => report::several_runs(run, &runs),
        Sought::Recorded(found) => {
            let printed = engine.printed(&found).await?;
            report::log_of_run(&found.known.run, Some(&found.record), Some(&printed), &links)
        }
        Sought::UnderWay(found) => {
            report::log_of_run(&found.run, None, engine.log_so_far(&found).await?.as_deref(), &links)
        }
        Sought::Nothing => report::no_such_run(run),
    };
    forge(engine)?.post_comment_once(pull, marker, &body).await?;
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
pub(super) struct Order<'a> {
    pub(super) given: &'a Given,
    pub(super) nth: u32,
    pub(super) pull: &'a PullRef,
    pub(super) command: &'a Command,
    pub(super) author: &'a User,
}

/// Looks up, now and by number, what the author may do.
pub(super) async fn check_command(engine: &Engine, order: &Order<'_>) -> Reports {
    let Order { given, nth, pull, command, author } = *order;
    let act = if matches!(command, Command::Promote { .. }) { Act::Promote } else { Act::Sweep };
    let denied = denial(engine, &pull.repository, author, act).await?;
    let (given, command, author) = (given.clone(), command.clone(), author.clone());
    let event = Event::CommandChecked { given, nth, command, author, denied };
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
