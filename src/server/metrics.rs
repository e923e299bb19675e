//! `GET /metrics`: numbers for Prometheus, in the `OpenMetrics` text format.
//!
//! What became of deliveries is counted here, since refused ones leave no trace; those numbers begin anew with each
//! process, as Prometheus expects of counters. Everything else comes from the database at the moment of asking, so that it
//! survives a restart and is the same whichever server of several is asked. No label holds what a user wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use warp::http::StatusCode;
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::{App, Refusal, ask};
use crate::edge::forge::github::CountedFor;
use crate::store::queue::QueueDepth;
use crate::store::totals::Totals;

/// How the text is written.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What an instance can say about itself in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// How much there is to do.
    pub queue: QueueDepth,
    /// How often things ended.
    pub totals: Totals,
    /// Requests that the forge takes from us until its limit is reached, by what it counts them for; none where nobody
    /// counts.
    pub budgets: BTreeMap<CountedFor, u64>,
}

/// What became of a delivery, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Kept.
    Accepted,
    /// Kept before.
    Repeated,
    /// Signed, and nothing follows from it.
    Ignored,
    /// Signed, with the id of another one.
    Conflicting,
    /// Not signed, or not a delivery at all.
    Refused,
    /// Not kept, by our fault.
    Failed,
}

impl Counted {
    const ALL: [Self; 6] =
        [Self::Accepted, Self::Repeated, Self::Ignored, Self::Conflicting, Self::Refused, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Ignored => "ignored",
            Self::Conflicting => "conflicting",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One label with its value.
type Labels<const N: usize> = [(&'static str, String); N];

/// What became of deliveries since the server was started.
#[derive(Debug)]
pub(super) struct Tally([Counter; Counted::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self(Counted::ALL.map(|_| Counter::default()))
    }
}

impl Tally {
    /// Counts one more.
    pub(super) fn count(&self, counted: Counted) {
        self.0[counted as usize].inc();
    }
}

pub(super) fn route(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let app = Arc::clone(app);
    warp::path!("metrics").and(warp::get()).then(move || {
        let app = Arc::clone(&app);
        async move { answer(&app).await.unwrap_or_else(Response::from) }
    })
}

async fn answer(app: &App) -> Result<Response, Refusal> {
    let figures = ask(app, app.context.registry.figures()).await?;
    let Ok(text) = write(&app.tally, &figures) else {
        return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the numbers cannot be written"));
    };
    Ok(warp::reply::with_header(text, "content-type", FORMAT).into_response())
}

fn write(tally: &Tally, figures: &Figures) -> Result<String, std::fmt::Error> {
    let Figures { queue, totals, budgets } = figures;
    let mut registry = Registry::with_prefix("modelship");
    let deliveries: Family<Labels<1>, Counter> = Family::default();
    for (counted, counter) in Counted::ALL.into_iter().zip(&tally.0) {
        deliveries.get_or_create(&result(counted.as_str())).inc_by(counter.get());
    }
    registry.register(
        "deliveries",
        "Webhook requests by what became of them, since this server was started",
        deliveries,
    );

    let tasks: Family<Labels<1>, Gauge> = Family::default();
    for (state, count) in [
        ("event_waiting", queue.events),
        ("effect_waiting", queue.effects),
        ("under_way", queue.leased),
        ("given_up", queue.failed),
    ] {
        tasks.get_or_create(&[("state", state.to_owned())]).set(whole(count));
    }
    registry.register("tasks", "Rows of the queue by how they stand", tasks);
    let age: Gauge<f64, AtomicU64> = Gauge::default();
    age.set(queue.oldest_age.unwrap_or_default().as_secs_f64());
    registry.register_with_unit(
        "oldest_task_age",
        "Age of the oldest task that is neither done nor given up",
        Unit::Seconds,
        age,
    );

    registry.register("builds", "Builds that ended, by how", counters(&totals.builds));
    registry.register(
        "runs",
        "Runs that ended, by how; one that was done again counts each time",
        counters(&totals.runs),
    );
    let effects: Family<Labels<2>, Counter> = Family::default();
    for (name, ended, times) in &totals.effects {
        effects.get_or_create(&[("effect", name.clone()), ("result", ended.clone())]).inc_by(*times);
    }
    registry.register("effects", "Effects by how an attempt ended", effects);

    let left: Family<Labels<1>, Gauge> = Family::default();
    for (counted, requests) in budgets {
        left.get_or_create(&[("resource", counted.as_str().to_owned())]).set(whole(*requests));
    }
    registry.register(
        "forge_requests_left",
        "Requests that the forge takes until its limit is reached, by whose they are; of installations, the least",
        left,
    );

    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn result(word: &str) -> Labels<1> {
    [("result", word.to_owned())]
}

fn counters(totals: &[(String, u64)]) -> Family<Labels<1>, Counter> {
    let family: Family<Labels<1>, Counter> = Family::default();
    for (word, times) in totals {
        family.get_or_create(&result(word)).inc_by(*times);
    }
    family
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
