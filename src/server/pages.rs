//! Pages for people and for whoever watches the process.

use std::fmt::Write as _;
use std::sync::Arc;

use warp::http::{HeaderValue, StatusCode};
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::api::{ModelEntry, SweepEntry};
use super::{App, Refusal, ask};
use crate::domain::sweep::state::SweepPhase;

/// What a page may load: nothing, but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let alive = warp::path!("healthz").and(warp::get()).map(|| answer("alive"));
    let ready = {
        let app = Arc::clone(app);
        warp::path!("readyz").and(warp::get()).then(move || {
            let app = Arc::clone(&app);
            async move {
                match ask(&app, app.context.registry.ready()).await {
                    Ok(()) => answer("ready"),
                    Err(refusal) => refusal.into(),
                }
            }
        })
    };
    let app = Arc::clone(app);
    let index = warp::path::end().and(warp::get()).then(move || {
        let app = Arc::clone(&app);
        async move { index(&app).await.unwrap_or_else(Response::from) }
    });
    alive.or(ready).unify().or(index).unify()
}

fn answer(status: &str) -> Response {
    warp::reply::json(&serde_json::json!({ "status": status })).into_response()
}

async fn index(app: &App) -> Result<Response, Refusal> {
    let models = ask(app, app.context.registry.models()).await?;
    let sweeps = ask(app, app.context.registry.sweeps()).await?;
    let page = warp::reply::html(render(&models, &sweeps));
    let mut response = warp::reply::with_status(page, StatusCode::OK).into_response();
    response.headers_mut().insert("content-security-policy", HeaderValue::from_static(POLICY));
    Ok(response)
}

fn render(models: &[ModelEntry], sweeps: &[SweepEntry]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>modelship</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem}}td,th{{padding:.2rem 1rem .2rem 0;\
         text-align:left}}</style>\n<h1>modelship {}</h1>\n<h2>Models</h2>\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut rows = String::new();
    for ModelEntry { model, channels } in models {
        let model = escape(&model.to_string());
        let channels: Vec<String> =
            channels.iter().map(|it| escape(&format!("{} → {}", it.channel, it.version))).collect();
        let _ =
            writeln!(rows, "<tr><td><a href=\"/api/models/{model}/versions\">{model}</a><td>{}", channels.join("<br>"));
    }
    table(&mut page, "<th>model<th>channels", &rows);
    page.push_str("<h2>Sweeps</h2>\n");
    let mut rows = String::new();
    for SweepEntry { id, report } in sweeps {
        let id = escape(id.as_str());
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"/api/sweeps/{id}\">{id}</a><td>{}<td>{} of {}<td>{}",
            phase(&report.phase),
            report.succeeded,
            report.plan.counts.runs,
            escape(&report.by),
        );
    }
    table(&mut page, "<th>sweep<th>phase<th>runs done<th>started by", &rows);
    page.push_str(
        "<p>For programs: <a href=\"/api/models\">/api/models</a>, <a href=\"/api/sweeps\">/api/sweeps</a>.\n",
    );
    page
}

fn table(page: &mut String, head: &str, rows: &str) {
    if rows.is_empty() {
        page.push_str("<p>None yet.\n");
    } else {
        let _ = writeln!(page, "<table>\n<tr>{head}\n{rows}</table>");
    }
}

fn phase(phase: &SweepPhase) -> &'static str {
    match phase {
        SweepPhase::Submitting => "submitting",
        SweepPhase::Running { .. } => "running",
        SweepPhase::Stopping { .. } => "stopping",
        SweepPhase::Analysing => "analysing",
        SweepPhase::Succeeded { .. } => "succeeded",
        SweepPhase::Incomplete { .. } => "incomplete",
        SweepPhase::Cancelled { .. } => "cancelled",
        SweepPhase::Stopped { .. } => "stopped",
    }
}

/// Text as it stands in HTML, also within a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
