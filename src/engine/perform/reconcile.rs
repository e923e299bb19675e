//! Comparing what we know with what is, so that a lost webhook costs a minute and never an answer.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::{Reports, blocking, deploy};
use crate::domain::command::Command;
use crate::domain::decide::State;
use crate::domain::event::{Event, Key, Keyed, PullChange};
use crate::domain::forge::{PullSnapshot, PullStatus};
use crate::domain::ids::{CommitSha, PullRef, Repository, SweepId};
use crate::domain::pull::{COMMENTS_KEPT, PullState};
use crate::domain::repository::{RepositoryState, is_followed};
use crate::edge::forge::{Comment, Forge, ForgeError, References};
use crate::edge::source::Source;
use crate::engine::{Engine, Failure};

/// Tells of every branch and pull request that is not as we knew it.
pub(super) async fn compare(engine: &Engine) -> Reports {
    forget(engine).await?;
    // What no sweep waits for costs money, whether the forge answers or not.
    jobs(engine).await?;
    let Some(forge) = engine.outside().forge() else { return Ok(Vec::new()) };
    match forge.ask_again().await {
        Ok(0) => {}
        Ok(asked) => tracing::info!(delivery.count = asked, "asked for deliveries again that did not arrive"),
        // What they would have told is compared below.
        Err(error) => tracing::warn!("cannot ask for deliveries again: {error:#}"),
    }
    let mut events = Vec::new();
    let repositories = forge.repositories().await?.found;
    names(engine, &repositories).await?;
    for repository in repositories {
        let state = repository_state(engine, &repository).await?;
        let mut keep = |found: Result<Vec<Keyed>, Failure>| match found {
            Ok(found) => events.extend(found),
            // What was found goes on, here and elsewhere; the next tick asks again.
            Err(failure) => {
                let error = failure.into_cause();
                tracing::warn!("cannot compare all of `{}` with what we know: {error:#}", repository.name);
            }
        };
        keep(references(forge, &repository, &state).await);
        match pulls(engine, forge, &repository).await {
            Ok(pulls) => {
                for snapshot in &pulls {
                    keep(news(engine, snapshot, &state).await);
                    keep(comments(engine, forge, snapshot).await);
                }
            }
            Err(failure) => keep(Err(failure)),
        }
        keep(deploy::unheard(engine, &repository, |id| state.has_heard(id)).await);
    }
    Ok(events)
}

/// Forgets what is remembered for people alone and has become old; now and then, as it is a look through whole tables.
async fn forget(engine: &Engine) -> anyhow::Result<()> {
    let now = engine.now();
    if engine.may_forget(now) {
        let forgotten = engine.store().forget(now.minus(engine.outside().keep_history)).await?;
        if forgotten > 0 {
            tracing::info!(row.count = forgotten, "forgot {forgotten} old deliveries, events and failed tasks");
        }
    }
    Ok(())
}

/// Keeps what repositories are called now: settings say by name whose models everybody may read.
async fn names(engine: &Engine, repositories: &[Repository]) -> anyhow::Result<()> {
    let known = engine.store().owners().await?;
    for now in repositories {
        if let Some((_, before)) = known.iter().find(|(_, known)| known.id == now.id && known.name != now.name) {
            tracing::info!("`{}` is called `{}` now", before.name, now.name);
            engine.store().rename_repository(now).await?;
        }
    }
    Ok(())
}

async fn repository_state(engine: &Engine, repository: &Repository) -> anyhow::Result<RepositoryState> {
    Ok(match state(engine, &Key::Repository(repository.clone())).await? {
        Some(State::Repository(state)) => state,
        _ => RepositoryState::default(),
    })
}

async fn references(forge: &Forge, repository: &Repository, known: &RepositoryState) -> Reports {
    let key = Key::Repository(repository.clone());
    let known = &known.references;
    let References { mut heads, default_branch } = forge.fetch(repository).await?;
    heads.retain(|reference, _| is_followed(reference));
    let gone = known.keys().filter(|reference| !heads.contains_key(*reference));
    let heard = |reference: &String| known.get(reference).and_then(|known| known.heard.as_ref());
    let moved = heads.iter().filter(|(reference, commit)| heard(reference) != Some(*commit));
    let changes =
        moved.map(|(reference, commit)| (reference, Some(commit))).chain(gone.map(|reference| (reference, None)));
    let event = |(reference, after): (&String, Option<&CommitSha>)| Event::PushReceived {
        reference: reference.clone(),
        before: heard(reference).cloned(),
        after: after.cloned(),
        default_branch: default_branch.clone(),
        pusher: "reconciliation".to_owned(),
    };
    Ok(changes.map(|change| Keyed { key: key.clone(), event: event(change) }).collect())
}

/// The pull requests to look at: those that the forge lists, and those that it does not list and we know as open.
async fn pulls(engine: &Engine, forge: &Forge, repository: &Repository) -> Result<Vec<PullSnapshot>, Failure> {
    let mut pulls = forge.pulls(repository).await?;
    let listed: BTreeSet<_> = pulls.iter().map(|snapshot| Key::Pull(snapshot.pull.clone()).to_string()).collect();
    for key in engine.store().keys_below(&format!("pull/{}/", repository.id)).await? {
        if listed.contains(&key) {
            continue;
        }
        let Some(State::Pull(known)) = state_of(engine, &key).await? else { continue };
        if known.snapshot.status == PullStatus::Open {
            let pull = PullRef { repository: repository.clone(), number: known.snapshot.pull.number };
            match forge.pull(&pull).await {
                Ok(snapshot) => pulls.push(snapshot),
                Err(ForgeError::Never(error) | ForgeError::Missing(error)) => {
                    tracing::info!("{pull} is open no longer, and gone: {error:#}")
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(pulls)
}

/// Tells of a pull request that is not as we knew it.
async fn news(engine: &Engine, snapshot: &PullSnapshot, references: &RepositoryState) -> Reports {
    let key = Key::Pull(snapshot.pull.clone());
    let is_news = match pull_state(engine, &key).await? {
        Some(known) => known.snapshot != *snapshot,
        None => snapshot.status == PullStatus::Open || merged_unseen(engine, snapshot, references).await?,
    };
    let change = PullChange::Edited;
    let event = Event::PullChanged { snapshot: Box::new(snapshot.clone()), change };
    Ok(is_news.then_some(Keyed { key, event }).into_iter().collect())
}

/// Whether a pull request that we never heard of was merged after we last looked at the branch that it went to. What was
/// merged before modelship came is history.
async fn merged_unseen(engine: &Engine, snapshot: &PullSnapshot, references: &RepositoryState) -> anyhow::Result<bool> {
    let base = references.references.get(&format!("refs/heads/{}", snapshot.base_branch));
    let (Some(merge), Some(inspected)) = (snapshot.merge_commit.clone(), base.and_then(|base| base.inspected.clone()))
    else {
        return Ok(false);
    };
    let git_dir = engine.outside().git_dir(&snapshot.pull.repository)?;
    blocking(move || Ok(!Source::open(&git_dir)?.contains(&inspected, &merge)?)).await
}

/// Ends jobs that no sweep waits for.
async fn jobs(engine: &Engine) -> anyhow::Result<()> {
    for job in engine.store().open_jobs().await? {
        if !is_wanted(engine, &job.sweep, job.round).await? {
            tracing::warn!(sweep.id = %job.sweep, "ending a job that no sweep waits for");
            engine.outside().executor.cancel(std::slice::from_ref(&job.handle)).await?;
            engine.store().mark_job_ended(&job.handle.place).await?;
        }
    }
    Ok(())
}

/// Whether a sweep waits for the jobs of this round.
pub(in crate::engine) async fn is_wanted(engine: &Engine, sweep: &SweepId, round: u32) -> anyhow::Result<bool> {
    Ok(match state(engine, &Key::Sweep(sweep.clone())).await? {
        Some(State::Sweep(sweep)) => sweep.round == round && !sweep.phase.is_terminal(),
        _ => false,
    })
}

/// Commands whose delivery never came.
async fn comments(engine: &Engine, forge: &Forge, snapshot: &PullSnapshot) -> Reports {
    let key = Key::Pull(snapshot.pull.clone());
    let known = match pull_state(engine, &key).await? {
        Some(known) if snapshot.status == PullStatus::Open => known,
        _ => return Ok(Vec::new()),
    };
    // Once as many were heard as are remembered, what is older than those was heard too.
    let forgets = known.heard.len() >= COMMENTS_KEPT;
    let oldest_heard = known.heard.first().copied().filter(|_| forgets).unwrap_or(i64::MIN);
    let mut events = Vec::new();
    for said in forge.comments(&known.snapshot.pull).await? {
        let Comment { comment, author, body, is_ours, is_edited, is_programs } = said;
        let unheard = comment.id >= oldest_heard && !known.heard.contains(&comment.id);
        // Who edited it may be somebody else than who wrote it, so its words are nobody's.
        let counts = !is_ours && !is_edited && !is_programs;
        if unheard && counts && !Command::parse_comment(&body).is_empty() {
            events.push(Keyed { key: key.clone(), event: Event::CommentCreated { comment, author, body } });
        }
    }
    Ok(events)
}

async fn pull_state(engine: &Engine, key: &Key) -> anyhow::Result<Option<PullState>> {
    Ok(match state(engine, key).await? {
        Some(State::Pull(state)) => Some(*state),
        _ => None,
    })
}

pub(super) async fn state(engine: &Engine, key: &Key) -> anyhow::Result<Option<State>> {
    state_of(engine, &key.to_string()).await
}

/// The state of a key, as the database spells it.
async fn state_of(engine: &Engine, key: &str) -> anyhow::Result<Option<State>> {
    let json = engine.store().state(key).await?;
    json.map(|json| serde_json::from_str(&json).with_context(|| format!("cannot read the state of `{key}`")))
        .transpose()
}
