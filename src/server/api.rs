//! `GET /api/...`: what is there, as JSON for other programs. Read only.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::frame::denied;
use super::readers::{Access, Asked, Readable};
use super::{App, Refusal, ask, asked};
use crate::domain::ids::{ModelName, PullRef, Repository, SweepId};
use crate::domain::sweep::state::SweepReport;
use crate::domain::version::ChannelMove;
use crate::store::runs::KnownRun;

/// Most sweeps that a list holds.
const MOST_SWEEPS: usize = 100;

/// A model with where its channels point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelEntry {
    /// The model.
    pub model: ModelName,
    /// The repository that it is published from: who may read that may read of the model.
    pub repository: Repository,
    /// The newest move of each channel.
    pub channels: Vec<ChannelMove>,
}

/// A sweep with how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepEntry {
    /// The sweep.
    pub id: SweepId,
    /// The repositories that it is made of, the pull request's and the model's: who may read all of them may read of it.
    pub repositories: Vec<Repository>,
    /// The pull request that asked for it; none on a laptop.
    pub pull: Option<PullRef>,
    /// How it stands.
    pub report: SweepReport,
}

/// A run that has ended: whose it is, before anything is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEntry {
    /// Where it lies.
    pub known: KnownRun,
    /// The repositories that it is made of, as a sweep's: the model's, whoever asked for the run first.
    pub repositories: Vec<Repository>,
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let models = warp::path!("api" / "models").and(asked(app)).then(models);
    let versions = warp::path!("api" / "models" / String / String / "versions").and(asked(app)).then(versions);
    let sweeps = warp::path!("api" / "sweeps").and(asked(app)).then(sweeps);
    let sweep = warp::path!("api" / "sweeps" / String).and(asked(app)).then(sweep);
    models.or(versions).unify().or(sweeps).unify().or(sweep).unify()
}

async fn models(app: Arc<App>, asked: Asked) -> Response {
    let answer = async {
        let access = &app.context.access;
        let viewer = access.viewer(&asked.headers);
        if !access.has_something_for(&viewer) {
            return Ok(denied(&app, &viewer, &asked));
        }
        let mut models = ask(&app, app.context.registry.models()).await?;
        let readable = access.readable(&viewer, models.iter().map(|entry| &entry.repository)).await?;
        models.retain(|entry| access.includes(&readable, std::slice::from_ref(&entry.repository)));
        Ok(warp::reply::json(&json!({ "models": models, "complete": !readable.is_cut })).into_response())
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into())
}

async fn versions(owner: String, title: String, app: Arc<App>, asked: Asked) -> Response {
    let answer = async {
        let entry = match readable_model(&owner, &title, &app, &asked).await? {
            Ok(entry) => entry,
            Err(denied) => return Ok(denied),
        };
        let versions = ask(&app, app.context.registry.versions(entry.model.clone())).await?;
        Ok(warp::reply::json(&json!({ "model": entry.model, "versions": versions })).into_response())
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into())
}

/// The model of that name, if the viewer may know of it.
pub(super) async fn readable_model(
    owner: &str,
    title: &str,
    app: &App,
    asked: &Asked,
) -> Result<Result<ModelEntry, Response>, Refusal> {
    let found = match ModelName::new(owner, title) {
        Ok(name) => ask(app, app.context.registry.model(name)).await?,
        Err(_) => None,
    };
    readable(app, asked, found, |entry| std::slice::from_ref(&entry.repository)).await
}

/// What was found under some name, if the viewer may know of it. The answer is the same where nothing was found.
pub(super) async fn readable<T>(
    app: &App,
    asked: &Asked,
    found: Option<T>,
    made_of: impl Fn(&T) -> &[Repository],
) -> Result<Result<T, Response>, Refusal> {
    let access = &app.context.access;
    let viewer = access.viewer(&asked.headers);
    let may_read = access.may_read(&viewer, found.as_ref().map_or(&[], made_of)).await?;
    Ok(found.filter(|_| may_read).ok_or_else(|| denied(app, &viewer, asked)))
}

async fn sweeps(app: Arc<App>, asked: Asked) -> Response {
    let answer = async {
        let access = &app.context.access;
        let viewer = access.viewer(&asked.headers);
        if !access.has_something_for(&viewer) {
            return Ok(denied(&app, &viewer, &asked));
        }
        let sweeps = ask(&app, app.context.registry.sweeps()).await?;
        let readable = access.readable(&viewer, sweeps.iter().flat_map(|entry| &entry.repositories)).await?;
        let sweeps = newest(access, &readable, sweeps);
        let sweeps: Vec<Value> = sweeps.iter().map(|entry| public(&entry.id, &entry.report)).collect();
        Ok(warp::reply::json(&json!({ "sweeps": sweeps, "complete": !readable.is_cut })).into_response())
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into())
}

/// As many of the readable ones of `sweeps` as a list holds.
pub(super) fn newest(access: &Access, readable: &Readable, mut sweeps: Vec<SweepEntry>) -> Vec<SweepEntry> {
    sweeps.retain(|entry| access.includes(readable, &entry.repositories));
    sweeps.truncate(MOST_SWEEPS);
    sweeps
}

async fn sweep(id: String, app: Arc<App>, asked: Asked) -> Response {
    let answer = async {
        Ok(match readable_sweep(&id, &app, &asked).await? {
            Ok(entry) => warp::reply::json(&public(&entry.id, &entry.report)).into_response(),
            Err(denied) => denied,
        })
    };
    answer.await.unwrap_or_else(|refusal: Refusal| refusal.into())
}

/// The sweep of that id, if the viewer may know of it.
pub(super) async fn readable_sweep(
    id: &str,
    app: &App,
    asked: &Asked,
) -> Result<Result<SweepEntry, Response>, Refusal> {
    let found = match SweepId::parse(id) {
        Ok(id) => ask(app, app.context.registry.sweep(id)).await?,
        Err(_) => None,
    };
    readable(app, asked, found, |entry| &entry.repositories).await
}

/// The report as others may see it: how the executor finds its jobs again is our own affair.
fn public(id: &SweepId, report: &SweepReport) -> Value {
    let mut report = json!(report);
    if let Some(phase) = report.get_mut("phase").and_then(Value::as_object_mut) {
        phase.shift_remove("jobs");
    }
    json!({ "id": id, "report": report })
}
