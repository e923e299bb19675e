//! The page of a run: how it ended, what it was made of and what it left.

use std::fmt::Write as _;

use warp::reply::Response;

use crate::domain::ids::SweepId;
use crate::domain::report::numbers::{bytes, duration};
use crate::domain::report::{html as escape, percent_encoded};
use crate::domain::sweep::record::{Outcome, Record};
use crate::server::artifacts::readable_run;
use crate::server::frame::Frame;
use crate::server::html::table;
use crate::server::readers::Asked;
use crate::server::{App, Refusal, ask};

pub(super) async fn run(id: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let recorded = match readable_run(id, app, asked).await? {
        Ok(recorded) => recorded,
        Err(denied) => return Ok(denied),
    };
    let parameters = ask(app, app.context.registry.run_parameters(&recorded)).await?;
    let sweep = &recorded.known.sweep;
    let may_read_sweep = may_read_sweep(sweep, app, asked).await?;
    let (record, version) = (&recorded.record, &recorded.planned.version);
    let frame = Frame::of(app, asked);
    let run = &recorded.known.run;
    let ended = match &record.outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed { class, message, .. } => format!("{}: {}", class.words(), escape(message)),
    };
    // Who may read the model may read its runs, whoever asked for them; not every sweep is made of the model alone.
    let sweep = if may_read_sweep { format!("<dt>sweep<dd>{}", frame.sweep(sweep)) } else { String::new() };
    let mut body = format!(
        "<h1>Run {}</h1>\n<dl><dt>ended<dd class=\"state\">{ended}<dt>model<dd>{} <code>{}</code>{sweep}<dt>took<dd>{}\
         <dt>most memory<dd>{}<dt>log<dd><a href=\"{}/runs/{run}/log\">log</a></dl>\n",
        run.short(),
        frame.model(&version.model),
        version.id,
        duration(record.wall_ms),
        bytes(record.peak_memory),
        frame.prefix,
    );
    let mut rows = String::new();
    for (name, value) in &parameters {
        let _ = writeln!(rows, "<tr><td>{}<td class=\"n\">{}", escape(name), escape(value));
    }
    let none = "What it was given is no longer here.";
    let _ = write!(body, "<h2>Parameters</h2>\n{}", table("<th>parameter<th class=\"n\">value", &rows, none));
    body.push_str(&outputs(record));
    body.push_str(&kept(record, &format!("{}/runs/{run}/files", frame.prefix)));
    Ok(frame.respond(&format!("Run {}", run.short()), &body))
}

/// Whether whoever may read the run may also know of the sweep that executed it.
async fn may_read_sweep(sweep: &SweepId, app: &App, asked: &Asked) -> Result<bool, Refusal> {
    let Some(entry) = ask(app, app.context.registry.sweep(sweep.clone())).await? else { return Ok(false) };
    let access = &app.context.access;
    let readable = access.readable(&access.viewer(&asked.headers), entry.repositories.iter()).await?;
    Ok(access.includes(&readable, &entry.repositories))
}

fn outputs(record: &Record) -> String {
    let mut rows = String::new();
    for (name, value) in &record.outputs {
        let value = serde_json::to_value(value).unwrap_or_default();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(rows, "<tr><td>{}<td class=\"n\">{}", escape(name), escape(&value));
    }
    let none = match record.outcome {
        Outcome::Succeeded => "None.",
        Outcome::Failed { .. } => "None: the run failed.",
    };
    format!("<h2>Outputs</h2>\n{}", table("<th>output<th class=\"n\">value", &rows, none))
}

/// The files that the run kept, which lie below `address`.
fn kept(record: &Record, address: &str) -> String {
    let mut rows = String::new();
    for (name, size) in &record.files {
        let parts: Vec<String> = name.split('/').map(percent_encoded).collect();
        let (path, name, size) = (parts.join("/"), escape(name), bytes(*size));
        let _ = writeln!(rows, "<tr><td><a href=\"{address}/{path}\">{name}</a><td class=\"n\">{size}");
    }
    format!("<h2>Kept files</h2>\n{}", table("<th>file<th class=\"n\">size", &rows, "None."))
}
