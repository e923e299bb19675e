//! Pages for people and for whoever watches the process.

use std::fmt::Write as _;
use std::sync::Arc;

use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::api::{ModelEntry, SweepEntry, newest, readable_model, readable_sweep};
use super::artifacts::readable_run;
use super::frame::Frame;
use super::html::table;
use super::readers::{Asked, Readable};
use super::{App, Refusal, ask, asked};
use crate::domain::report::numbers::{bytes, count, duration, number};
use crate::domain::report::{html as escape, percent_encoded};
use crate::domain::sweep::analysis::OutputStatistics;
use crate::domain::sweep::record::Outcome;
use crate::domain::sweep::state::{RunFailure, SweepPhase, SweepReport};
use crate::domain::version::Version;
use crate::engine::SweepFile;

/// How many versions a model's page shows.
const MOST_VERSIONS: usize = 100;

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
            sweep(&id, &app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
        });
    let run = warp::path!("runs" / String).and(asked(app)).then(|id: String, app: Arc<App>, asked: Asked| async move {
        run(&id, &app, &asked).await.unwrap_or_else(|refusal| Frame::of(&app, &asked).refused(refusal))
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
    table("<th>model<th>repository<th>channels", &rows)
}

fn sweep_table(frame: &Frame<'_>, sweeps: &[SweepEntry]) -> String {
    let mut rows = String::new();
    for SweepEntry { id, report, .. } in sweeps {
        let id = escape(id.as_str());
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{}/sweeps/{id}\">{id}</a><td>{}<td>{}<td class=\"n\">{} of {}<td>{}",
            frame.prefix,
            frame.model(&report.plan.model),
            phase(&report.phase),
            count(report.succeeded),
            count(report.plan.counts.runs),
            escape(&report.by),
        );
    }
    table("<th>sweep<th>model<th>phase<th class=\"n\">runs done<th>started by", &rows)
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
    table("<th>channel<th>version<th>because of", &rows)
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
    table("<th>version<th>commit<th>built by<th class=\"n\">tests<th class=\"n\">build", &rows)
}

async fn sweep(id: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let entry = match readable_sweep(id, app, asked).await? {
        Ok(entry) => entry,
        Err(denied) => return Ok(denied),
    };
    let mut files = Vec::new();
    for file in SweepFile::ALL {
        if let Some(content) = ask(app, app.context.registry.sweep_file(entry.id.clone(), file)).await? {
            files.push((file.name(), content.bytes));
        }
    }
    let frame = Frame::of(app, asked);
    let plan = &entry.report.plan;
    let mut body = format!("<h1>Sweep {}</h1>\n{}", escape(plan.name.as_str()), facts(&frame, &entry.report));
    body.push_str("<h2>Files</h2>\n");
    let mut rows = String::new();
    for (name, size) in files {
        let size = bytes(size);
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{}/sweeps/{}/{name}\">{name}</a><td class=\"n\">{size}",
            frame.prefix,
            escape(entry.id.as_str())
        );
    }
    body.push_str(&table("<th>file<th class=\"n\">size", &rows));
    if let Some(analysis) = entry.report.phase.analysis() {
        let _ = write!(body, "<h2>Statistics</h2>\n{}", statistics(&analysis.statistics));
    }
    if !entry.report.failures.is_empty() {
        let _ = write!(body, "<h2>Failed runs</h2>\n{}", failures(&frame, &entry.report.failures));
    }
    Ok(frame.respond(&format!("Sweep {}", plan.name), &body))
}

fn facts(frame: &Frame<'_>, report: &SweepReport) -> String {
    let plan = &report.plan;
    let mut list = format!("<dl><dt>phase<dd class=\"state\">{}", phase(&report.phase));
    let mut fact = |name: &str, html: &str| {
        let _ = write!(list, "<dt>{name}<dd>{html}");
    };
    match &report.phase {
        SweepPhase::Incomplete { reason: Some(why), .. } | SweepPhase::Stopped { reason: why } => {
            fact("why", &escape(why));
        }
        SweepPhase::Cancelled { by, .. } => fact("ended by", &escape(by)),
        _ => {}
    }
    fact("model", &format!("{} <code>{}</code>", frame.model(&plan.model), plan.version));
    fact("runs done", &format!("{} of {}", count(report.succeeded), count(plan.counts.runs)));
    fact("started by", &escape(&report.by));
    let pairs = |pairs: &[(String, String)]| {
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{} = {}", escape(name), escape(value))).collect();
        pairs.join("<br>")
    };
    let moved: Vec<String> = plan
        .moved
        .iter()
        .map(|it| format!("{}: {} {}", escape(&it.name), escape(&it.declared), escape(&it.unit)))
        .collect();
    fact("moves", &moved.join("<br>"));
    if !plan.fixed.is_empty() {
        fact("fixed", &pairs(&plan.fixed));
    }
    if !plan.baseline.is_empty() {
        fact("baseline", &pairs(&plan.baseline));
    }
    fact("plan", &format!("<code>{}</code>", plan.digest.short()));
    list.push_str("</dl>\n");
    list
}

fn statistics(statistics: &[OutputStatistics]) -> String {
    let mut rows = String::new();
    for row in statistics {
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| escape(&number(value)));
        let _ = writeln!(
            rows,
            "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}",
            escape(&row.output),
            escape(&row.unit),
            escape(&number(row.min)),
            escape(&number(row.mean)),
            escape(&number(row.max)),
            optional(row.deviation),
            optional(row.baseline),
        );
    }
    let head = "<th>output<th>unit<th class=\"n\">min<th class=\"n\">mean<th class=\"n\">max<th class=\"n\">std. dev.\
                <th class=\"n\">baseline";
    table(head, &rows)
}

fn failures(frame: &Frame<'_>, failures: &[RunFailure]) -> String {
    let mut rows = String::new();
    for failure in failures {
        let parameters: Vec<String> =
            failure.parameters.iter().map(|(name, value)| format!("{} = {}", escape(name), escape(value))).collect();
        let _ = writeln!(
            rows,
            "<tr><td>{}<td>{}<td>{}<td>{}<td><a href=\"{}/runs/{}/log\">log</a>",
            frame.run(&failure.run),
            parameters.join("<br>"),
            failure.class.words(),
            escape(&failure.message),
            frame.prefix,
            failure.run,
        );
    }
    table("<th>run<th>parameters<th>class<th>what happened<th>", &rows)
}

async fn run(id: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let recorded = match readable_run(id, app, asked).await? {
        Ok(recorded) => recorded,
        Err(denied) => return Ok(denied),
    };
    let (record, version) = (&recorded.record, &recorded.planned.version);
    let frame = Frame::of(app, asked);
    let run = &recorded.known.run;
    let ended = match &record.outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed { class, message, .. } => format!("{}: {}", class.words(), escape(message)),
    };
    let mut body = format!(
        "<h1>Run {}</h1>\n<dl><dt>ended<dd class=\"state\">{ended}<dt>model<dd>{} <code>{}</code><dt>took<dd>{}\
         <dt>most memory<dd>{}<dt>log<dd><a href=\"{}/runs/{run}/log\">log</a></dl>\n",
        run.short(),
        frame.model(&version.model),
        version.id,
        duration(record.wall_ms),
        bytes(record.peak_memory),
        frame.prefix,
    );
    let mut rows = String::new();
    for (name, value) in &record.outputs {
        let value = serde_json::to_value(value).unwrap_or_default();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(rows, "<tr><td>{}<td class=\"n\">{}", escape(name), escape(&value));
    }
    let _ = write!(body, "<h2>Outputs</h2>\n{}", table("<th>output<th class=\"n\">value", &rows));
    let mut rows = String::new();
    for (name, size) in &record.files {
        let parts: Vec<String> = name.split('/').map(percent_encoded).collect();
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{}/runs/{run}/files/{}\">{}</a><td class=\"n\">{}",
            frame.prefix,
            parts.join("/"),
            escape(name),
            bytes(*size)
        );
    }
    let _ = write!(body, "<h2>Kept files</h2>\n{}", table("<th>file<th class=\"n\">size", &rows));
    Ok(frame.respond(&format!("Run {}", run.short()), &body))
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
