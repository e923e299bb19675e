//! The web server: takes webhooks in, shows models and sweeps.
//!
//! Handlers accept, workers work: a webhook is verified, read, kept and answered, and nothing more. Nothing is decided
//! here and no database is known here; [`Inbox`] and [`Registry`] are what the server needs of the rest, and whoever
//! starts it connects them. No answer holds a reason that only we should know, and no `Host` header is ever believed.

mod api;
mod app_form;
mod artifacts;
mod connections;
mod credentials;
mod frame;
mod host;
mod html;
mod inbox;
mod instance;
mod metrics;
mod offers;
mod pages;
pub mod payload;
mod readers;
mod registry;
mod session;
mod sign_in;
mod signature;
pub mod webhook;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use warp::http::StatusCode;
use warp::reject::{InvalidQuery, MethodNotAllowed, Reject};
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::domain::event::Keyed;
use crate::domain::ids::{ModelName, Repository, RunPrefix, SweepId};
use crate::domain::version::Version;
use crate::edge::artifacts::content::Content;
use crate::engine::{PlannedRun, Recorded, SweepFile};

pub use api::{ModelEntry, RunEntry, SweepEntry};
pub use app_form::AppForm;
pub use instance::Instance;
pub use metrics::Figures;
pub use offers::{NotIdentified, OfferDoors, Offers, Sender};
pub use readers::{Access, Arrival, Departure, Others, People, SignIn, Unreachable};
pub use session::SessionKey;
pub use signature::{NoSecret, WebhookSecrets};
pub use webhook::{Accepted, Delivery};

use metrics::Tally;
use readers::Asked;

/// The database cannot answer now. What went wrong is logged and never shown.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
pub struct Unavailable(#[source] pub anyhow::Error);

/// Keeps deliveries. The answer is given only once the delivery is kept for good.
pub trait Inbox: Send + Sync {
    /// Keeps the delivery and its events in one transaction, unless a delivery of that id is there already.
    fn accept(&self, delivery: Delivery, events: Vec<Keyed>) -> BoxFuture<'_, Result<Accepted, Unavailable>>;
}

/// What the server shows.
pub trait Registry: Send + Sync {
    /// Where people see repositories: each lies below under its name; none where nobody can.
    fn forge_address(&self) -> Option<String>;

    /// Whether the database answers and has the tables that this program works with.
    fn ready(&self) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// How much there is to do and how much was done, as numbers.
    fn figures(&self) -> BoxFuture<'_, Result<Figures, Unavailable>>;

    /// Every model, by name.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelEntry>, Unavailable>>;

    /// A model; none when nobody knows it.
    fn model(&self, model: ModelName) -> BoxFuture<'_, Result<Option<ModelEntry>, Unavailable>>;

    /// A model's versions, newest first.
    fn versions(&self, model: ModelName) -> BoxFuture<'_, Result<Vec<Version>, Unavailable>>;

    /// Every sweep, newest first.
    fn sweeps(&self) -> BoxFuture<'_, Result<Vec<SweepEntry>, Unavailable>>;

    /// A sweep; none when nobody knows it.
    fn sweep(&self, id: SweepId) -> BoxFuture<'_, Result<Option<SweepEntry>, Unavailable>>;

    /// What a sweep left under that name; none when it has not, or not yet.
    fn sweep_file(&self, id: SweepId, file: SweepFile) -> BoxFuture<'_, Result<Option<Content>, Unavailable>>;

    /// The first runs of a sweep's plan, at most `most`; none when the plan is gone.
    fn first_runs(&self, id: SweepId, most: usize) -> BoxFuture<'_, Result<Vec<PlannedRun>, Unavailable>>;

    /// Runs that have ended and whose id begins so: none, one, or several, not necessarily all. Nothing is read of what
    /// they left.
    fn runs(&self, prefix: RunPrefix) -> BoxFuture<'_, Result<Vec<RunEntry>, Unavailable>>;

    /// What is recorded of a run; none when it is gone.
    fn recorded(&self, run: RunEntry) -> BoxFuture<'_, Result<Option<Recorded>, Unavailable>>;

    /// A run's parameters; none when what tells them is gone.
    fn run_parameters<'a>(&'a self, run: &'a Recorded) -> BoxFuture<'a, Result<Vec<(String, String)>, Unavailable>>;

    /// What a run printed, redacted.
    fn run_log<'a>(&'a self, run: &'a Recorded) -> BoxFuture<'a, Result<String, Unavailable>>;

    /// A file that a run kept; none when it kept no such file.
    fn run_file<'a>(&'a self, run: &'a Recorded, name: &'a str) -> BoxFuture<'a, Result<Option<Content>, Unavailable>>;
}

/// Whose webhooks are listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedRepositories {
    /// Everybody who knows the secret.
    Any,
    /// Repositories with these numbers. Names do not matter: they can change hands.
    Only(BTreeSet<i64>),
}

impl AllowedRepositories {
    fn allows(&self, repository: &Repository) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ids) => ids.contains(&repository.id),
        }
    }
}

/// How much a client may take of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may take until a request's headers are there; also how long it may idle.
    pub headers: Duration,
    /// How long a request's body may take.
    pub body: Duration,
    /// How long the database may take. GitHub stops listening after 10 s and never asks again by itself, so our answer
    /// that something went wrong must come before that.
    pub database: Duration,
    /// How long one connection may last; as long again for as often as a MiB was sent on it meanwhile.
    pub connection: Duration,
    /// How long open requests may take to end once the server shuts down.
    pub drain: Duration,
    /// Most connections at once. One more takes the place of the one that was silent for the longest, or waits.
    pub connections: usize,
    /// Most bytes of one body. GitHub sends at most 25 MB.
    pub body_bytes: usize,
    /// Most bytes of all bodies that are in memory at once.
    pub all_bodies_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            body: Duration::from_secs(20),
            database: Duration::from_secs(8),
            connection: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            connections: 512,
            body_bytes: 25 * 1024 * 1024,
            all_bodies_bytes: 200 * 1024 * 1024,
        }
    }
}

/// Everything that the server needs.
#[derive(Clone)]
pub struct ServerContext {
    /// What webhooks are signed with.
    pub secrets: WebhookSecrets,
    /// Whose webhooks are listened to.
    pub repositories: AllowedRepositories,
    /// Where deliveries go.
    pub inbox: Arc<dyn Inbox>,
    /// Where answers come from.
    pub registry: Arc<dyn Registry>,
    /// Who may read them.
    pub access: Arc<Access>,
    /// Who may offer versions that were built elsewhere.
    pub offers: OfferDoors,
    /// How much a client may take.
    pub limits: Limits,
}

/// Serves until `shutdown` comes; then lets open requests end, for a while.
pub async fn serve(listener: TcpListener, context: ServerContext, shutdown: impl Future<Output = ()> + Send) {
    let memory = Arc::new(Semaphore::new(context.limits.all_bodies_bytes));
    connections::serve(listener, Arc::new(App { context, memory, tally: Tally::default() }), shutdown).await;
}

/// The context with what the server keeps for itself.
struct App {
    context: ServerContext,
    /// Bytes of request bodies that may still be held.
    memory: Arc<Semaphore>,
    /// What became of deliveries.
    tally: Tally,
}

fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
    let unserved = asked_by_any_method(app)
        .and_then(|_, asked: Asked| async move { Err::<Response, _>(warp::reject::custom(Unserved(asked))) });
    let serving = Arc::clone(app);
    host::route(app)
        .or(webhook::route(app))
        .unify()
        .or(offers::routes(app))
        .unify()
        .or(registry::routes(app))
        .unify()
        .or(api::routes(app))
        .unify()
        .or(pages::routes(app))
        .unify()
        .or(artifacts::routes(app))
        .unify()
        .or(sign_in::routes(app))
        .unify()
        .or(metrics::route(app))
        .unify()
        .or(unserved)
        .unify()
        .recover(move |rejection: Rejection| {
            let answer = answer_unserved(&serving, &rejection);
            async move { Ok::<_, Infallible>(answer) }
        })
        .unify()
        .map(|mut response: Response| {
            let headers = response.headers_mut();
            headers.insert("x-content-type-options", warp::http::HeaderValue::from_static("nosniff"));
            // What others wrote is nobody's referrer, and an answer to one reader nobody else's.
            headers.insert("referrer-policy", warp::http::HeaderValue::from_static("same-origin"));
            headers.entry("cache-control").or_insert(warp::http::HeaderValue::from_static("no-store"));
            response
        })
}

/// A request that no route took.
#[derive(Debug)]
struct Unserved(Asked);

impl Reject for Unserved {}

/// The answer to it: a page for a person, JSON for a program.
fn answer_unserved(app: &App, rejection: &Rejection) -> Response {
    let refusal = if rejection.find::<MethodNotAllowed>().is_some() {
        Refusal(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
    } else if rejection.find::<InvalidQuery>().is_some() {
        Refusal(StatusCode::BAD_REQUEST, "this request cannot be read")
    } else {
        Refusal(StatusCode::NOT_FOUND, "there is nothing here")
    };
    match rejection.find::<Unserved>() {
        Some(Unserved(asked)) if refusal.0 == StatusCode::NOT_FOUND && asked.is_browser() => frame::nowhere(app, asked),
        Some(Unserved(asked)) => frame::refused(app, asked, refusal),
        None => refusal.into(),
    }
}

/// Why a request is not served. A fixed sentence, so that nothing of ours can slip into it.
#[derive(Debug, Clone, Copy)]
struct Refusal(StatusCode, &'static str);

impl From<Refusal> for Response {
    fn from(Refusal(status, message): Refusal) -> Self {
        let body = serde_json::json!({ "error": message });
        warp::reply::with_status(warp::reply::json(&body), status).into_response()
    }
}

/// Takes GET and HEAD, with what access depends on.
fn asked(app: &Arc<App>) -> impl Filter<Extract = (Arc<App>, Asked), Error = Rejection> + Clone + use<> {
    warp::get().or(warp::head()).unify().and(asked_by_any_method(app))
}

fn asked_by_any_method(app: &Arc<App>) -> impl Filter<Extract = (Arc<App>, Asked), Error = Infallible> + Clone + use<> {
    let app = Arc::clone(app);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and(query)
        .and(warp::header::headers_cloned())
        .map(move |path: warp::path::FullPath, query: String, headers| {
            let mark = if query.is_empty() { "" } else { "?" };
            (Arc::clone(&app), Asked { headers, target: format!("{}{mark}{query}", path.as_str()) })
        })
        .untuple_one()
}

/// Waits for the database, not for ever. Logs why it does not answer, as nobody else gets to know.
async fn ask<T>(app: &App, answer: BoxFuture<'_, Result<T, Unavailable>>) -> Result<T, Refusal> {
    let reason = match tokio::time::timeout(app.context.limits.database, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(Unavailable(error))) => format!("{error:#}"),
        Err(_) => format!("no answer within {:?}", app.context.limits.database),
    };
    tracing::error!(reason, "the database does not answer");
    Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer; try again later"))
}
