//! Deployments: shown at the forge, asked for at the forge, and the rules for whoever wants a channel moved from afar.

use std::time::Duration;

use super::talk::{denial, forge};
use super::{Reports, reconcile};
use crate::domain::decide::State;
use crate::domain::deployment::{Asker, DeploymentNotice, DeploymentState, Environment};
use crate::domain::event::{Event, Key, Keyed, PromotionTarget};
use crate::domain::ids::{ChannelName, ModelName, Repository, Time};
use crate::domain::policy::Act;
use crate::domain::report::Links;
use crate::domain::version::{ChannelMove, Tree};
use crate::edge::forge::github::deployments::DeploymentStatus;
use crate::edge::forge::{ForgeError, Recorded};
use crate::engine::{CLOCK_SLACK, Engine, Failure};
use crate::store::registry::ChannelRow;

/// By how much may the forge's clock be behind ours before a wish counts as older than what has happened since?
const FORGE_SLACK: Duration = Duration::from_secs(5);

/// How old may a deployment be that nobody told us of, and still act?
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Shows at the forge where a channel points now; nothing when it has moved on since, which is told on its own. What a
/// forge refuses for good is not shown: the channel has moved all the same.
pub(super) async fn record(engine: &Engine, moved: &ChannelMove) -> Reports {
    let Some(forge) = engine.outside().forge() else { return Ok(Vec::new()) };
    let channels = engine.store().channels(&moved.model).await?;
    let stands =
        |row: &ChannelRow| (&row.channel, &row.version, row.moved_at) == (&moved.channel, &moved.version, moved.at);
    if !channels.iter().any(stands) {
        return Ok(Vec::new());
    }
    let Some(version) = engine.store().version(&moved.version).await? else { return Ok(Vec::new()) };
    let recorded = Recorded {
        environment: Environment { model: moved.model.clone(), channel: moved.channel.clone() },
        version: moved.version.clone(),
        digest: version.executable.clone(),
        commit: version.source.commit.clone(),
        moved_at: moved.at,
        description: format!("version {}: {}", moved.version, moved.reason),
        environment_url: page_of(engine, &moved.model),
    };
    told(forge.record_deployment(&version.source.repository, &recorded).await)
}

/// Where people see where a model's channels point; none where this server has no address.
fn page_of(engine: &Engine, model: &ModelName) -> Option<String> {
    Links { base_url: engine.outside().url.clone() }.model_address(model)
}

/// Says at the forge what became of somebody's deployment, and where a channel stands as it wanted, the model's page.
pub(super) async fn answer(
    engine: &Engine,
    repository: &Repository,
    id: i64,
    said: (DeploymentState, &str),
    deployed: Option<&ModelName>,
) -> Reports {
    let (state, description) = said;
    let environment_url = deployed.and_then(|model| page_of(engine, model));
    let status = DeploymentStatus { state, description: description.to_owned(), environment_url };
    told(forge(engine)?.answer_deployment(repository, id, &status).await)
}

/// What the forge refuses to show for good: a permission is missing, the commit is gone, the repository is archived.
fn told(result: Result<(), ForgeError>) -> Reports {
    match result {
        Ok(()) => {}
        Err(ForgeError::Never(error) | ForgeError::Missing(error)) => {
            tracing::warn!("a deployment is not shown: {error:#}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Vec::new())
}

/// Looks up what somebody's deployment asks for, and whether he may, now and by number.
pub(super) async fn check(engine: &Engine, repository: &Repository, deployment: &DeploymentNotice) -> Reports {
    let DeploymentNotice { id, environment, commit, created_at, .. } = deployment;
    let Environment { model, channel } = environment;
    // Others have environments with names of three parts, too. A model that is not of this repository is none of ours.
    if engine.store().repository_of(model).await?.is_none_or(|owner| owner.id != repository.id) {
        tracing::debug!(deployment.id = id, "`{environment}` is no channel of a model of `{}`", repository.name);
        return Ok(Vec::new());
    }
    let forge = forge(engine)?;
    if forge.is_settled(repository, deployment).await? {
        return Ok(Vec::new());
    }
    let say = async |state, text: &str| answer(engine, repository, *id, (state, text), None).await;
    let user = deployment.authority();
    if let Some(reason) = denial(engine, repository, user, Act::Promote).await? {
        return say(DeploymentState::Failure, &reason).await;
    }
    let Some(version) = engine.store().version_at(model, commit).await? else {
        let building = is_building(engine, model, commit.as_str()).await?;
        let reason = match building {
            true => format!("{model} at {} is still being built; deploy it again when it has passed", commit.short()),
            false => {
                format!("{model} has no version at {}; only what was built and passed can be deployed", commit.short())
            }
        };
        return say(DeploymentState::Failure, &reason).await;
    };
    let taken_up = format!("moving {channel} of {model} to version {}", version.id);
    say(DeploymentState::InProgress, &taken_up).await?;
    let event = Event::PromotionRequested {
        // One deployment moves a channel once, however often it is told of.
        request: format!("deployment/{}/{id}", repository.id),
        channel: channel.clone(),
        target: PromotionTarget::Version(version.id),
        by: format!("{} by deployment {id}", user.login),
        asker: Asker::Deployment { repository: repository.clone(), id: *id, created_at: *created_at },
    };
    Ok(vec![Keyed { key: Key::Model(model.clone()), event }])
}

async fn is_building(engine: &Engine, model: &ModelName, commit: &str) -> anyhow::Result<bool> {
    let state = reconcile::state(engine, &Key::Model(model.clone())).await?;
    Ok(match state {
        Some(State::Model(state)) => state.builds.keys().any(|building| building.as_str() == commit),
        _ => false,
    })
}

/// A move that was asked for from afar.
pub(super) struct Wanted<'a> {
    pub(super) model: &'a ModelName,
    pub(super) channel: &'a ChannelName,
    pub(super) target: &'a PromotionTarget,
    pub(super) asker: &'a Asker,
}

/// Why a channel is not moved by word of somebody in a pull request or by a deployment; none when it is. That he may
/// write was looked up before.
pub(super) async fn refusal(engine: &Engine, wanted: &Wanted<'_>) -> Result<Option<String>, Failure> {
    let Wanted { model, channel, target, asker } = *wanted;
    let Some((repository, asked_at)) = asker.place() else { return Ok(None) };
    let store = engine.store();
    match store.repository_of(model).await? {
        None => return Ok(Some(format!("no model is called `{model}` here"))),
        Some(owner) if owner.id != repository.id => {
            return Ok(Some(format!("`{model}` belongs to another repository than `{}`", repository.name)));
        }
        Some(_) => {}
    }
    if let Some(reason) = channel_refusal(engine, repository, model, channel).await? {
        return Ok(Some(reason));
    }
    let channels = store.channels(model).await?;
    // A move that lies ahead was made while our clock was: it tells nothing of what came first.
    let latest = engine.now().plus(CLOCK_SLACK);
    let later = |moved_at: Time| moved_at > asked_at.plus(FORGE_SLACK) && moved_at <= latest;
    let now = channels.iter().find(|row| row.channel == *channel);
    let leads_there = |version| *target == PromotionTarget::Version(version);
    if let Some(row) = now.filter(|row| later(row.moved_at) && !leads_there(row.version.clone())) {
        return Ok(Some(format!(
            "`{channel}` was moved to version {} since this was asked for; ask again if it shall move all the same",
            row.version
        )));
    }
    let PromotionTarget::Version(version) = target else { return Ok(None) };
    if let Asker::Pull { pull, .. } = asker {
        let own = ChannelName::pull_request(pull.number);
        let row = channels.iter().find(|row| row.channel == own);
        if row.is_none_or(|row| row.version != *version || later(row.moved_at)) {
            return Ok(Some(
                "its version is newer than the command; look at it, then give the command again".to_owned(),
            ));
        }
    }
    let stored = store.version(version).await?;
    let dirty = stored.is_some_and(|stored| stored.tree == Tree::Dirty);
    Ok(dirty.then(|| format!("version {version} was built from uncommitted changes, which nobody else can check out")))
}

/// Why this channel does not move by word of anybody: it follows something else, or nobody has made it.
async fn channel_refusal(
    engine: &Engine,
    repository: &Repository,
    model: &ModelName,
    channel: &ChannelName,
) -> Result<Option<String>, Failure> {
    if [ChannelName::staging(), ChannelName::production()].contains(channel) {
        return Ok(None);
    }
    if channel.follows_a_pull_request() {
        return Ok(Some(format!("`{channel}` follows its pull request")));
    }
    if let Some(State::Repository(state)) = reconcile::state(engine, &Key::Repository(repository.clone())).await? {
        for (kind, prefix) in [("branch", "refs/heads/"), ("tag", "refs/tags/")] {
            if state.references.contains_key(&format!("{prefix}{channel}")) {
                return Ok(Some(format!("`{channel}` follows the {kind} of that name")));
            }
        }
    }
    if engine.store().channel(model, channel).await?.is_some() {
        return Ok(None);
    }
    Ok(Some(format!(
        "`{model}` has no channel `{channel}`; there are `staging`, `production`, and those that \
         `modelship promote {model} VERSION --to {channel}` makes on the server"
    )))
}

/// Whether a deployment of which nobody told us acts when it is found.
fn still_acts(created_at: Time, now: Time) -> bool {
    created_at >= now.minus(OLDEST)
}

/// Deployments that nobody told us of.
pub(super) async fn unheard(
    engine: &Engine,
    repository: &Repository,
    has_heard: impl Fn(i64) -> bool,
) -> Result<Vec<Keyed>, Failure> {
    let now = engine.now();
    let found = forge(engine)?.deployments(repository).await?;
    let news = found.into_iter().filter(|found| !has_heard(found.id) && still_acts(found.created_at, now));
    let mut events: Vec<_> = news
        .map(|deployment| Keyed {
            key: Key::Repository(repository.clone()),
            event: Event::DeploymentCreated { deployment: Box::new(deployment) },
        })
        .collect();
    // The oldest acts first.
    events.reverse();
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_told_us_of_acts_for_seven_days() {
        let created_at = Time(1_700_000_000_000);
        let after = |days: u64, seconds: u64| created_at.plus(Duration::from_secs(days * 24 * 3600 + seconds));
        for now in [created_at.minus(Duration::from_secs(60)), after(0, 0), after(6, 0), after(7, 0)] {
            assert!(still_acts(created_at, now), "{now:?}");
        }
        for now in [after(7, 1), after(8, 0), after(400, 0)] {
            assert!(!still_acts(created_at, now), "{now:?}");
        }
    }
}
