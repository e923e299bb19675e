//! Pages for people and for whoever watches the process.

mod run;
mod sweep;

use std::fmt::Write as _;
use std::sync::Arc;

use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::api::{ModelEntry, SweepEntry, newest, readable_model};
use super::frame::Frame;
use super::html::table;
use super::readers::{Asked, Readable};
use super::{App, Refusal, ask, asked};
use crate::domain::report::html as escape;
use crate::domain::report::numbers::{count, duration};
use crate::domain::sweep::plan::{PlanSummary, Purpose};
use crate::domain::version::Version;

/// How many versions a model's page shows.
const MOST_VERSIONS: usize = 100;

/// What stands in the place of a list that may still grow.
const NONE_YET: &str = "None yet.";

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
    let index = warp::path::end().and(asked(app)).then(|app: Arc<App>, asked: Asked| async move {
        index(&app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
    });
    let model = warp::path!("models" / String / String).and(asked(app)).then(
        |owner: String, title: String, app: Arc<App>, asked: Asked| async move {
            model(&owner, &title, &app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
        },
    );
    let sweep =
        warp::path!("sweeps" / String).and(asked(app)).then(|id: String, app: Arc<App>, asked: Asked| async move {
            sweep::sweep(&id, &app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
        });
    let run = warp::path!("runs" / String).and(asked(app)).then(|id: String, app: Arc<App>, asked: Asked| async move {
        run::run(&id, &app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
    });
    alive.or(ready).unify().or(index).unify().or(model).unify().or(sweep).unify().or(run).unify()
}

fn answer(status: &str) -> Response {
    warp::reply::json(&serde_json::json!({ "status": status })).into_response()
}

async fn index(app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let access = &app.context.access;
    let viewer = access.viewer(&asked.headers);
    let frame = Frame::of(app, asked);
    if !access.has_something_for(&viewer) {
        let way = if access.sign_in().is_some() {
            "<p>Models and sweeps are shown to those who may read their repositories on GitHub. Sign in to see yours.\n"
        } else {
            "<p>Nobody can sign in here: <code>server.url</code>, <code>forge.github.client_id</code> and its secret are not \
             set, and no repository is public here.\n"
        };
        return Ok(frame.respond("Welcome", &format!("<h1>modelship {}</h1>\n{way}", env!("CARGO_PKG_VERSION"))));
    }
    let mut models = ask(app, app.context.registry.models()).await?;
    let sweeps = ask(app, app.context.registry.sweeps()).await?;
    let of_models = models.iter().map(|entry| &entry.repository);
    let of_sweeps = sweeps.iter().flat_map(|entry| &entry.repositories);
    let readable = access.readable(&viewer, of_models.chain(of_sweeps)).await?;
    models.retain(|entry| access.includes(&readable, std::slice::from_ref(&entry.repository)));
    let sweeps = newest(access, &readable, sweeps);
    let body = format!(
        "<h1>modelship {}</h1>\n{}<h2>Models</h2>\n{}<h2>Sweeps</h2>\n{}<p class=\"quiet\">For programs: \
         <a href=\"{prefix}/api/models\">/api/models</a>, <a href=\"{prefix}/api/sweeps\">/api/sweeps</a>.\n",
        env!("CARGO_PKG_VERSION"),
        cut(&readable),
        model_table(&frame, &models),
        sweep_table(&frame, &sweeps),
        prefix = frame.prefix,
    );
    Ok(frame.respond("Models and sweeps", &body))
}

/// What is said above a list that is not whole.
fn cut(readable: &Readable) -> &'static str {
    if readable.is_cut {
        "<p>This is not all: GitHub could not be asked about every repository at once. Come back in a minute.\n"
    } else {
        ""
    }
}

fn model_table(frame: &Frame<'_>, models: &[ModelEntry]) -> String {
    let mut rows = String::new();
    for ModelEntry { model, repository, channels } in models {
        let channels: Vec<String> =
            channels.iter().map(|it| escape(&format!("{} → {}", it.channel, it.version))).collect();
        let repository = escape(&repository.name.to_string());
        let _ = writeln!(rows, "<tr><td>{}<td>{repository}<td>{}", frame.model(model), channels.join("<br>"));
    }
    table("<th>model<th>repository<th>channels", &rows, NONE_YET)
}

fn sweep_table(frame: &Frame<'_>, sweeps: &[SweepEntry]) -> String {
    let mut rows = String::new();
    for SweepEntry { id, report, .. } in sweeps {
        let _ = writeln!(
            rows,
            "<tr><td>{}{}<td>{}<td>{}<td class=\"n\">{} of {}<td>{}",
            frame.sweep(id),
            compared(&report.plan),
            frame.model(&report.plan.model),
            report.phase.words(),
            count(report.succeeded),
            count(report.plan.counts.runs),
            escape(&report.by),
        );
    }
    table("<th>sweep<th>model<th>phase<th class=\"n\">runs done<th>started by", &rows, NONE_YET)
}

/// What stands behind a sweep that is one side of a comparison of versions.
fn compared(plan: &PlanSummary) -> String {
    match plan.purpose {
        Purpose::Results => String::new(),
        Purpose::Comparison => {
            format!(" <span class=\"quiet\">in a comparison, as {}</span>", escape(&plan.reference))
        }
    }
}

async fn model(owner: &str, title: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let entry = match readable_model(owner, title, app, asked).await? {
        Ok(entry) => entry,
        Err(denied) => return Ok(denied),
    };
    let name = &entry.model;
    let versions = ask(app, app.context.registry.versions(name.clone())).await?;
    let mut sweeps = ask(app, app.context.registry.sweeps()).await?;
    // Only what the page could show is asked about.
    sweeps.retain(|sweep| sweep.report.plan.model == *name);
    let access = &app.context.access;
    let viewer = access.viewer(&asked.headers);
    let readable = access.readable(&viewer, sweeps.iter().flat_map(|entry| &entry.repositories)).await?;
    let sweeps = newest(access, &readable, sweeps);
    let frame = Frame::of(app, asked);
    let body = format!(
        "<h1>{0}</h1>\n<p>Published from <b>{1}</b>.\n<h2>Channels</h2>\n{2}<h2>Versions</h2>\n{3}<h2>Sweeps</h2>\n{6}{4}\
         <p class=\"quiet\">For programs: <a href=\"{5}/api/models/{0}/versions\">/api/models/{0}/versions</a>.\n",
        escape(&name.to_string()),
        escape(&entry.repository.name.to_string()),
        channel_table(&entry),
        version_table(&versions),
        sweep_table(&frame, &sweeps),
        frame.prefix,
        cut(&readable),
    );
    Ok(frame.respond(&name.to_string(), &body))
}

fn channel_table(entry: &ModelEntry) -> String {
    let mut rows = String::new();
    for moved in &entry.channels {
        let _ = writeln!(
            rows,
            "<tr><td>{}<td><code>{}</code><td>{}",
            escape(&moved.channel.to_string()),
            moved.version,
            escape(&moved.reason)
        );
    }
    table("<th>channel<th>version<th>because of", &rows, NONE_YET)
}

fn version_table(versions: &[Version]) -> String {
    let mut rows = String::new();
    for version in versions.iter().take(MOST_VERSIONS) {
        let _ = writeln!(
            rows,
            "<tr><td><code>{}</code><td><code>{}</code><td>{}<td class=\"n\">{}<td class=\"n\">{}",
            version.id,
            version.source.commit.short(),
            escape(&version.builder),
            version.tests.len(),
            escape(&duration(version.build_ms)),
        );
    }
    table("<th>version<th>commit<th>built by<th class=\"n\">tests<th class=\"n\">build", &rows, NONE_YET)
}
