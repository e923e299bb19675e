//! Comparing what we know with what is, so that a lost webhook costs a minute and never an answer.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::{Reports, blocking};
use crate::domain::command::Command;
use crate::domain::decide::State;
use crate::domain::event::{Event, Key, Keyed, PullChange};
use crate::domain::forge::{CommentRef, PullSnapshot, PullStatus};
use crate::domain::ids::{CommitSha, Repository};
use crate::domain::pull::PullState;
use crate::edge::forge::local::{Comment, LocalForge, app_account};
use crate::engine::Engine;

/// Tells of every branch and pull request that is not as we knew it.
pub(super) async fn compare(engine: &Engine) -> Reports {
    let Some(forge) = engine.outside().forge().cloned() else { return Ok(Vec::new()) };
    let listed = forge.clone();
    let repositories = blocking(move || Ok(listed.repositories()?)).await.context("cannot list the repositories")?;
    let mut events = Vec::new();
    for repository in repositories {
        references(engine, &forge, &repository, &mut events).await?;
        pulls(engine, &forge, &repository, &mut events).await?;
    }
    Ok(events)
}

async fn references(
    engine: &Engine,
    forge: &LocalForge,
    repository: &Repository,
    events: &mut Vec<Keyed>,
) -> anyhow::Result<()> {
    let key = Key::Repository(repository.clone());
    let known: BTreeMap<String, CommitSha> = match state(engine, &key).await? {
        Some(State::Repository(state)) => state.references,
        _ => BTreeMap::new(),
    };
    let (forge, there) = (forge.clone(), repository.clone());
    let (branches, tags, default_branch) =
        blocking(move || Ok((forge.branch_heads(&there)?, forge.tags(&there)?, forge.default_branch(&there)?))).await?;
    let branches = branches.into_iter().map(|(name, commit)| (format!("refs/heads/{name}"), commit));
    let tags = tags.into_iter().map(|(name, commit)| (format!("refs/tags/{name}"), commit));
    let heads: BTreeMap<String, CommitSha> = branches.chain(tags).collect();
    let gone = known.keys().filter(|reference| !heads.contains_key(*reference));
    let moved = heads.iter().filter(|(reference, commit)| known.get(*reference) != Some(*commit));
    let changes =
        moved.map(|(reference, commit)| (reference, Some(commit))).chain(gone.map(|reference| (reference, None)));
    for (reference, after) in changes {
        let event = Event::PushReceived {
            reference: reference.clone(),
            before: known.get(reference).cloned(),
            after: after.cloned(),
            default_branch: default_branch.clone(),
            pusher: "reconciliation".to_owned(),
        };
        events.push(Keyed { key: key.clone(), event });
    }
    Ok(())
}

async fn pulls(
    engine: &Engine,
    forge: &LocalForge,
    repository: &Repository,
    events: &mut Vec<Keyed>,
) -> anyhow::Result<()> {
    let (there, at) = (forge.clone(), repository.clone());
    let open = blocking(move || Ok(there.open_pulls(&at)?)).await?;
    for snapshot in &open {
        let key = Key::Pull(snapshot.pull.clone());
        let known = pull_state(engine, &key).await?;
        if known.as_ref().is_none_or(|known| known.snapshot != *snapshot) {
            events.push(changed(key.clone(), snapshot));
        }
        if let Some(known) = known {
            comments(forge, &key, &known, events).await?;
        }
    }
    for row in engine.store().states("pull").await? {
        let Ok(State::Pull(known)) = serde_json::from_str::<State>(&row.json) else { continue };
        let pull = &known.snapshot.pull;
        let listed = open.iter().any(|snapshot| snapshot.pull == *pull);
        if pull.repository.id == repository.id && known.snapshot.status == PullStatus::Open && !listed {
            events.push(changed(Key::Pull(pull.clone()), &known.snapshot));
        }
    }
    Ok(())
}

/// Commands whose delivery never came.
async fn comments(forge: &LocalForge, key: &Key, known: &PullState, events: &mut Vec<Keyed>) -> anyhow::Result<()> {
    let (there, pull) = (forge.clone(), known.snapshot.pull.clone());
    let thread = blocking(move || Ok(there.show(&pull)?)).await?.comments;
    let oldest_heard = known.heard.first().copied().unwrap_or(i64::MIN);
    for comment in thread {
        let unheard = comment.id >= oldest_heard && !known.heard.contains(&comment.id);
        if unheard && comment.author != app_account() && !Command::parse_comment(&comment.body).is_empty() {
            let Comment { id, created_at, author, body, .. } = comment;
            let event = Event::CommentCreated { comment: CommentRef { id, created_at }, author, body };
            events.push(Keyed { key: key.clone(), event });
        }
    }
    Ok(())
}

fn changed(key: Key, snapshot: &PullSnapshot) -> Keyed {
    Keyed { key, event: Event::PullChanged { snapshot: Box::new(snapshot.clone()), change: PullChange::Edited } }
}

async fn pull_state(engine: &Engine, key: &Key) -> anyhow::Result<Option<PullState>> {
    Ok(match state(engine, key).await? {
        Some(State::Pull(state)) => Some(*state),
        _ => None,
    })
}

async fn state(engine: &Engine, key: &Key) -> anyhow::Result<Option<State>> {
    let json = engine.store().state(&key.to_string()).await?;
    json.map(|json| serde_json::from_str(&json).with_context(|| format!("cannot read the state of `{key}`")))
        .transpose()
}
