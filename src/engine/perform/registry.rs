//! The registry: versions in, channels moved.

use super::{Reports, deploy};
use crate::domain::deployment::Asker;
use crate::domain::event::{BuildFailure, BuildOutcome, Event, Key, Keyed, PromotionTarget};
use crate::domain::ids::{ChannelName, ModelName};
use crate::domain::version::Version;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::registry::{MoveRequest, Novelty};

/// Writes a version into the registry and moves its channels.
pub(super) async fn register(engine: &Engine, version: &Version, channels: &[(ChannelName, String)]) -> Reports {
    match engine.store().register_version(version, channels, engine.now()).await {
        Ok(registered) => {
            let event = Event::VersionRegistered {
                source: version.source.clone(),
                version: Box::new(version.clone()),
                moves: registered.stands,
                is_new: registered.novelty == Novelty::New,
            };
            Ok(vec![Keyed { key: Key::Model(version.model.clone()), event }])
        }
        Err(error @ StoreError::Conflict(_)) => {
            let outcome = BuildOutcome::Failed(BuildFailure::without_log("registry", error.to_string()));
            let event = Event::BuildFinished { source: version.source.clone(), outcome };
            Ok(vec![Keyed { key: Key::Model(version.model.clone()), event }])
        }
        Err(error) => Err(error.into()),
    }
}

/// A channel's move that somebody asked for.
pub(super) struct Move<'a> {
    pub(super) request: &'a str,
    pub(super) model: &'a ModelName,
    pub(super) channel: &'a ChannelName,
    pub(super) target: &'a PromotionTarget,
    pub(super) reason: &'a str,
    pub(super) asker: &'a Asker,
}

/// Moves a channel, or says why not.
pub(super) async fn move_channel(engine: &Engine, wanted: Move<'_>) -> Reports {
    let Move { request, model, channel, target, reason, asker } = wanted;
    let order = MoveRequest {
        model: model.clone(),
        channel: channel.clone(),
        target: target.clone(),
        reason: reason.to_owned(),
        token: request.to_owned(),
    };
    // What is done is done, whatever speaks against it by now.
    let refusal = match (asker, engine.store().move_of(request).await?) {
        (Asker::Terminal, _) | (_, Some(_)) => None,
        (asker, None) => deploy::refusal(engine, &deploy::Wanted { model, channel, target, asker }).await?,
    };
    let result = match refusal {
        Some(reason) => Err(reason),
        None => match engine.store().move_channel(&order, engine.now()).await {
            Ok(moved) => Ok(moved),
            Err(error @ StoreError::Conflict(_)) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        },
    };
    let event = Event::PromotionAnswered {
        request: request.to_owned(),
        channel: channel.clone(),
        moved: result.as_ref().ok().cloned(),
        result: result.map(|moved| moved.version),
    };
    Ok(vec![Keyed { key: Key::Model(model.clone()), event }])
}
