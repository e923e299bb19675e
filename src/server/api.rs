//! `GET /api/...`: what is there, as JSON for other programs. Read only.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use warp::http::StatusCode;
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::{App, Refusal, ask};
use crate::domain::ids::{ModelName, SweepId};
use crate::domain::sweep::state::SweepReport;
use crate::domain::version::ChannelMove;

/// A model with where its channels point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelEntry {
    /// The model.
    pub model: ModelName,
    /// The newest move of each channel.
    pub channels: Vec<ChannelMove>,
}

/// A sweep with how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepEntry {
    /// The sweep.
    pub id: SweepId,
    /// How it stands.
    pub report: SweepReport,
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let with = {
        let app = Arc::clone(app);
        move || {
            let app = Arc::clone(&app);
            warp::get().map(move || Arc::clone(&app))
        }
    };
    let models = warp::path!("api" / "models").and(with()).then(models);
    let versions = warp::path!("api" / "models" / String / String / "versions").and(with()).then(versions);
    let sweeps = warp::path!("api" / "sweeps").and(with()).then(sweeps);
    let sweep = warp::path!("api" / "sweeps" / String).and(with()).then(sweep);
    models.or(versions).unify().or(sweeps).unify().or(sweep).unify()
}

async fn models(app: Arc<App>) -> Response {
    match ask(&app, app.context.registry.models()).await {
        Ok(models) => warp::reply::json(&json!({ "models": models })).into_response(),
        Err(refusal) => refusal.into(),
    }
}

async fn versions(owner: String, title: String, app: Arc<App>) -> Response {
    let unknown = || Refusal(StatusCode::NOT_FOUND, "there is no such model").into();
    let Ok(model) = ModelName::new(&owner, &title) else { return unknown() };
    match ask(&app, app.context.registry.versions(model.clone())).await {
        Ok(Some(versions)) => warp::reply::json(&json!({ "model": model, "versions": versions })).into_response(),
        Ok(None) => unknown(),
        Err(refusal) => refusal.into(),
    }
}

async fn sweeps(app: Arc<App>) -> Response {
    match ask(&app, app.context.registry.sweeps()).await {
        Ok(sweeps) => {
            let sweeps: Vec<Value> = sweeps.iter().map(|entry| public(&entry.id, &entry.report)).collect();
            warp::reply::json(&json!({ "sweeps": sweeps })).into_response()
        }
        Err(refusal) => refusal.into(),
    }
}

async fn sweep(id: String, app: Arc<App>) -> Response {
    let unknown = || Refusal(StatusCode::NOT_FOUND, "there is no such sweep").into();
    let Ok(id) = SweepId::parse(id) else { return unknown() };
    match ask(&app, app.context.registry.sweep(id.clone())).await {
        Ok(Some(report)) => warp::reply::json(&public(&id, &report)).into_response(),
        Ok(None) => unknown(),
        Err(refusal) => refusal.into(),
    }
}

/// The report as others may see it: how the executor finds its jobs again is our own affair.
fn public(id: &SweepId, report: &SweepReport) -> Value {
    let mut report = json!(report);
    if let Some(phase) = report.get_mut("phase").and_then(Value::as_object_mut) {
        phase.shift_remove("jobs");
    }
    json!({ "id": id, "report": report })
}
