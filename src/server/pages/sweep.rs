//! The page of a sweep: how it stands, what it does, and what it left.

use std::fmt::Write as _;

use warp::reply::Response;

use super::NONE_YET;
use crate::domain::report::numbers::{bytes, count, number};
use crate::domain::report::{html as escape, told_move};
use crate::domain::sweep::analysis::OutputStatistics;
use crate::domain::sweep::plan::Purpose;
use crate::domain::sweep::state::{RunFailure, SweepPhase, SweepReport};
use crate::engine::{PlannedRun, SweepFile};
use crate::server::api::{SweepEntry, readable_sweep};
use crate::server::frame::Frame;
use crate::server::html::table;
use crate::server::readers::Asked;
use crate::server::{App, Refusal, ask};
use crate::store::runs::RunOutcome;

/// How many runs does the page show, and how many of the parameters that move?
const MOST_RUNS: usize = 100;
const MOST_MOVED: usize = 8;

pub(super) async fn sweep(id: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
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
    let runs = ask(app, app.context.registry.first_runs(entry.id.clone(), MOST_RUNS)).await?;
    let frame = Frame::of(app, asked);
    let plan = &entry.report.plan;
    let mut body = format!("<h1>Sweep {}</h1>\n{}", escape(plan.name.as_str()), facts(&frame, &entry, app));
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
    body.push_str(&table("<th>file<th class=\"n\">size", &rows, none(&entry.report)));
    if let Some(analysis) = entry.report.phase.analysis() {
        let _ = write!(body, "<h2>Statistics</h2>\n{}", statistics(&analysis.statistics));
    }
    if !entry.report.failures.is_empty() {
        let _ = write!(body, "<h2>Failed runs</h2>\n{}", failures(&frame, &entry.report.failures));
    }
    if !runs.is_empty() {
        let _ = write!(body, "<h2>Runs</h2>\n{}", run_table(&frame, &entry.report, &runs));
    }
    Ok(frame.respond(&format!("Sweep {}", plan.name), &body))
}

/// What stands in the place of what is not there, or not yet.
fn none(report: &SweepReport) -> &'static str {
    if report.phase.is_terminal() { "None." } else { NONE_YET }
}

/// The first runs, each with what it was given and how it ended.
fn run_table(frame: &Frame<'_>, report: &SweepReport, runs: &[PlannedRun]) -> String {
    let mut head = "<th>run".to_owned();
    for moved in report.plan.moved.iter().take(MOST_MOVED) {
        let _ = write!(head, "<th class=\"n\">{}", escape(&moved.name));
    }
    head.push_str("<th>ended");
    let mut rows = String::new();
    for PlannedRun { run, role, moved, outcome } in runs {
        let (run, ended) = match outcome {
            Some(RunOutcome::Succeeded) => (frame.run(run), "succeeded"),
            Some(RunOutcome::Failed(class)) => (frame.run(run), class.words()),
            None if report.phase.is_terminal() => (format!("<code>{}</code>", run.short()), "no result"),
            None => (format!("<code>{}</code>", run.short()), "not yet"),
        };
        let _ = write!(rows, "<tr><td>{run}");
        for value in moved.iter().take(MOST_MOVED) {
            let _ = write!(rows, "<td class=\"n\">{}", escape(value));
        }
        let baseline = if role.is_baseline() { ", the baseline" } else { "" };
        let _ = writeln!(rows, "<td>{ended}{baseline}");
    }
    let shown = u64::try_from(runs.len()).unwrap_or(u64::MAX);
    let more = if shown < report.plan.counts.runs {
        format!("<p class=\"quiet\">The first {} of {} runs.\n", count(shown), count(report.plan.counts.runs))
    } else {
        String::new()
    };
    format!("{}{more}", table(&head, &rows, NONE_YET))
}

fn facts(frame: &Frame<'_>, entry: &SweepEntry, app: &App) -> String {
    let report = &entry.report;
    let plan = &report.plan;
    let mut list = format!("<dl><dt>phase<dd class=\"state\">{}", report.phase.words());
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
    if plan.purpose == Purpose::Comparison {
        fact(
            "part of",
            &format!("a comparison of versions: this is the side of <code>{}</code>", escape(&plan.reference)),
        );
    }
    if let Some(pull) = &entry.pull {
        let forge = app.context.registry.forge_address();
        let repository = pull.repository.name.to_string();
        let link = |path: &str, called: &str| match &forge {
            Some(forge) => format!("<a href=\"{}\">{called}</a>", escape(&format!("{forge}/{repository}/{path}"))),
            None => called.to_owned(),
        };
        let called = escape(&format!("{repository}#{}", pull.number));
        fact("pull request", &link(&format!("pull/{}", pull.number), &called));
        if let Some(head) = &plan.head {
            fact("commit", &link(&format!("commit/{head}"), &format!("<code>{}</code>", head.short())));
        }
    }
    fact("model", &format!("{} <code>{}</code>", frame.model(&plan.model), plan.version));
    fact("runs done", &format!("{} of {}", count(report.succeeded), count(plan.counts.runs)));
    fact("started by", &escape(&report.by));
    let pairs = |pairs: &[(String, String)]| {
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{} = {}", escape(name), escape(value))).collect();
        pairs.join("<br>")
    };
    let moved: Vec<String> = plan.moved.iter().map(|it| escape(&told_move(it))).collect();
    fact("moves", &moved.join("<br>"));
    if !plan.fixed.is_empty() {
        fact("held at", &pairs(&plan.fixed));
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
    table(head, &rows, "None.")
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
    table("<th>run<th>parameters<th>class<th>what happened<th>", &rows, "None.")
}
