//! Comparing what we know with what is, so that a lost webhook costs a minute and never an answer.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reports, blocking, deploy};
use crate::domain::command::Command;
use crate::domain::decide::State;
use crate::domain::event::{Event, Key, Keyed, PullChange};
use crate::domain::forge::{PullSnapshot, PullStatus};
use crate::domain::ids::{CommitSha, PullRef, Repository, SweepId, Time};
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
    let known = open_pulls(engine).await?;
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
        match forge.pulls(&repository).await {
            Ok(mut pulls) => {
                let listed: BTreeSet<_> = pulls.iter().map(|snapshot| snapshot.pull.number).collect();
                let ours = known.values().filter(|known| known.snapshot.pull.repository.id == repository.id);
                for known in ours.filter(|known| !listed.contains(&known.snapshot.pull.number)) {
                    let pull = PullRef { repository: repository.clone(), number: known.snapshot.pull.number };
                    let looked_at = engine.now();
                    match forge.pull(&pull).await {
                        Ok(snapshot) => pulls.push(snapshot),
                        Err(ForgeError::Missing(error)) => {
                            tracing::info!("{pull} counts as closed, as it is gone: {error:#}");
                            keep(Ok(vec![gone(known, looked_at)]));
                        }
                        Err(error) => keep(Err(error.into())),
                    }
                }
                for snapshot in &pulls {
                    let known = known.get(&Key::Pull(snapshot.pull.clone()).to_string());
                    keep(news(engine, snapshot, known, &state).await);
                    if let Some(known) = known.filter(|_| snapshot.status == PullStatus::Open) {
                        keep(comments(forge, known).await);
                    }
                }
            }
            Err(error) => keep(Err(error.into())),
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

/// What is known of the pull requests that we know as open, by key.
async fn open_pulls(engine: &Engine) -> anyhow::Result<BTreeMap<String, PullState>> {
    let mut open = BTreeMap::new();
    for row in engine.store().states(State::PULL).await? {
        match engine.read_state(&row.key, &row.json) {
            // Earlier programs kept ended ones under the same kind.
            Ok(State::Pull(state)) if state.snapshot.status == PullStatus::Open => {
                open.insert(row.key, *state);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot compare a pull request with what is: {error}"),
        }
    }
    Ok(open)
}

/// Tells that a pull request that we knew as open is there no longer.
fn gone(known: &PullState, looked_at: Time) -> Keyed {
    let snapshot = PullSnapshot { status: PullStatus::Closed, ..known.snapshot.clone() };
    let key = Key::Pull(snapshot.pull.clone());
    let event = Event::PullInspected {
        looked_at,
        snapshot: Box::new(snapshot),
        models: Vec::new(),
        sweeps: Vec::new(),
        faults: Vec::new(),
    };
    Keyed { key, event }
}

/// Tells of a pull request that is not as we knew it.
async fn news(
    engine: &Engine,
    snapshot: &PullSnapshot,
    known: Option<&PullState>,
    references: &RepositoryState,
) -> Reports {
    if known.is_some_and(|known| known.snapshot == *snapshot) {
        return Ok(Vec::new());
    }
    let key = Key::Pull(snapshot.pull.clone());
    // It may have ended, or something may have become known since we looked.
    let is_news = match state(engine, &key).await? {
        Some(State::Pull(known)) => known.snapshot != *snapshot,
        _ => snapshot.status == PullStatus::Open || merged_unseen(engine, snapshot, references).await?,
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

/// Commands whose delivery never came, in a pull request that is open.
async fn comments(forge: &Forge, known: &PullState) -> Reports {
    let key = Key::Pull(known.snapshot.pull.clone());
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

/// What is known of a key.
pub(super) async fn state(engine: &Engine, key: &Key) -> anyhow::Result<Option<State>> {
    let key = key.to_string();
    let json = engine.store().state(&key).await?;
    Ok(json.map(|json| engine.read_state(&key, &json)).transpose()?)
}
