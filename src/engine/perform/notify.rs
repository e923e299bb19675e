//! Telling other programs what happened.

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, Utc};

use super::Reports;
use crate::domain::ids::Time;
use crate::domain::notice::{Body, Notice};
use crate::edge::notify::{Message, NotifyError};
use crate::engine::{Engine, Failure};

/// Sends a notice. Each time it is the same message with the same id.
pub(super) async fn send(engine: &Engine, target: &str, notice: &Notice) -> Reports {
    let notifier = &engine.outside().notifier;
    if !notifier.knows(target) {
        tracing::warn!(webhook.name = target, "the settings have no such webhook any more; it is not told");
        return Ok(Vec::new());
    }
    let id = notice.id();
    let Some(version) = engine.store().version(notice.version()).await? else {
        return Err(Failure::Never(anyhow!("version {} is not in the registry", notice.version())));
    };
    let body = Body::of(notice, &version, engine.outside().url.as_deref(), moment);
    let body = serde_json::to_string(&body).map_err(|error| Failure::Never(error.into()))?;
    let message = Message { event: notice.kind().as_str(), id: id.clone(), body };
    match notifier.send(target, &message).await {
        Ok(()) => {
            tracing::info!(webhook.name = target, delivery.id = id, "told of `{}`", message.event);
            Ok(Vec::new())
        }
        Err(NotifyError::Later(error)) => Err(Failure::Later(error)),
        Err(NotifyError::Never(error)) => Err(Failure::Never(error)),
    }
}

/// A moment as programs read it: `2026-11-20T22:04:05.123Z`.
fn moment(time: Time) -> String {
    let moment: DateTime<Utc> = DateTime::from_timestamp_millis(time.0).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}
