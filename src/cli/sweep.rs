//! `modelship sweep plan|run|status|results`.

use std::path::Path;

use serde_json::json;

use super::arguments::{SweepFile, SweepResults, SweepRun};
use super::build::{explain, make};
use super::output::{CliError, Output};
use super::progress::RunsBar;
use super::session::Session;
use super::workspace::{Workspace, from_source};
use crate::analysis::{Side, compare};
use crate::domain::decide::State;
use crate::domain::event::{Event, Key};
use crate::domain::ids::{SweepId, VersionId};
use crate::domain::report::{comparison_text, numbers};
use crate::domain::sweep::analysis::AnalysisSummary;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport, SweepState};
use crate::edge::source::Source;
use crate::engine::{Engine, FilesAt, PlanOrder, Planned, keys};
use crate::settings::{self, Settings};

/// Shows what a sweep file would run.
pub(crate) async fn plan(settings: Settings, file: &SweepFile, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let planned = make_plan(&mut session, file, cwd, output).await?;
    session.close().await?;
    if output.is_json() {
        output.json(&planned.summary)?;
    } else {
        show_plan(&planned.summary, output)?;
    }
    match &planned.summary.verdict {
        Verdict::NeedsCommand => {
            let dirty = if file.dirty { " --dirty" } else { "" };
            output.next_step(&format!("modelship sweep run {}{dirty}", file.file.display()));
            Ok(())
        }
        Verdict::Refused { reasons } => {
            Err(CliError::User(format!("policy refuses this plan: {}", reasons.join("; "))))
        }
    }
}

/// Runs a sweep file and waits for its analysis.
pub(crate) async fn run(settings: Settings, run: &SweepRun, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let planned = make_plan(&mut session, &run.file, cwd, output).await?;
    let plan = planned.summary;
    if let Verdict::Refused { reasons } = &plan.verdict {
        return Err(CliError::User(format!("policy refuses this plan: {}", reasons.join("; "))));
    }
    if !output.is_json() {
        output.note(&in_short(&plan));
    }
    let key = Key::Sweep(plan.id.clone());
    // A sweep that is under way, left by a process that died or run in another terminal, is followed to its end.
    let before = sweep_state(&session, &plan.id)
        .await?
        .map_or(0, |state| if state.phase.is_terminal() { state.round } else { state.round - 1 });
    let retry = if run.retry_failed { Retry::Failed } else { Retry::Missing };
    let started = Event::SweepStarted { plan: Box::new(plan.clone()), pull: None, by: settings::user_name(), retry };
    session.engine.tell(key.clone(), started).await?;
    let state = follow(&mut session, &key, &plan, before, output).await?;
    let root = session.engine.outside().artifacts.root().to_path_buf();
    session.close().await?;
    show_end(&state.report(), &root, output)
}

/// Waits for the sweep's end with a bar. The first Ctrl-C stops the sweep.
async fn follow(
    session: &mut Session,
    key: &Key,
    plan: &PlanSummary,
    before: u32,
    output: &Output,
) -> Result<SweepState, CliError> {
    let bar = RunsBar::begin(output, plan.name.as_str(), plan.counts.runs);
    let mut interrupt = Box::pin(tokio::signal::ctrl_c());
    let mut stopping = false;
    let state = session
        .until(async |engine: &Engine| {
            if !stopping && let Ok(signal) = tokio::time::timeout(std::time::Duration::ZERO, &mut interrupt).await {
                signal?;
                stopping = true;
                engine.tell(key.clone(), Event::CancelRequested { by: settings::user_name() }).await?;
            }
            let Some(json) = engine.store().state(&key.to_string()).await? else { return Ok(None) };
            let State::Sweep(state) = serde_json::from_str(&json)? else { return Ok(None) };
            if state.round <= before {
                return Ok(None);
            }
            let report = state.report();
            bar.set(report.succeeded, report.failed.values().sum());
            // Jobs that were told to end have to be gone before this process may be.
            let settled = state.phase.is_terminal() && !engine.store().has_tasks(&key.to_string()).await?;
            Ok(settled.then_some(*state))
        })
        .await?;
    bar.end();
    Ok(state)
}

async fn make_plan(session: &mut Session, file: &SweepFile, cwd: &Path, output: &Output) -> Result<Planned, CliError> {
    let workspace = Workspace::open(&session.engine.outside().hosting, file.dirty)?;
    let path = workspace.path_of(cwd, &file.file)?;
    let source = Source::open(&workspace.root).map_err(from_source)?;
    let spec = FilesAt::new(&source, &workspace.commit).sweep(&path).map_err(CliError::Faults)?;
    let own_version = match &spec.reference {
        Some(_) => None,
        None => Some(own_version(session, &workspace, &spec.model, output).await?),
    };
    let order = PlanOrder {
        repository: workspace.repository.clone(),
        commit: workspace.commit.clone(),
        path,
        owner: "terminal".to_owned(),
        own_version,
        head: None,
    };
    session.engine.plan(&order).await?.map_err(CliError::Faults)
}

/// The version of the model at the workspace's commit, built if need be.
async fn own_version(
    session: &mut Session,
    workspace: &Workspace,
    model: &crate::domain::ids::ModelName,
    output: &Output,
) -> Result<VersionId, CliError> {
    let models = workspace.models(std::slice::from_ref(model))?;
    let Some(model) = models.first() else {
        return Err(CliError::User(format!("there is no model `{model}` here")));
    };
    match make(session, workspace, model, output).await? {
        Ok(version) => Ok(version.id),
        Err(failure) => {
            explain(&model.model.to_string(), &failure, output);
            Err(CliError::Told)
        }
    }
}

/// Shows how sweeps stand.
pub(crate) async fn status(settings: Settings, wanted: Option<&str>, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let mut reports = all(&session).await?;
    if let Some(wanted) = wanted {
        reports.retain(|report| is_called(report, wanted));
        if reports.is_empty() {
            return Err(unknown(wanted));
        }
    }
    let now = session.engine.now();
    session.close().await?;
    if output.is_json() {
        return output.json(&reports);
    }
    if reports.is_empty() {
        output.note("no sweep was started yet");
        output.next_step("modelship sweep run sweeps/<name>.yaml");
        return Ok(());
    }
    let cells: Vec<_> = reports
        .iter()
        .map(|report| {
            let failed: u64 = report.failed.values().sum();
            let until = report.ended_at.unwrap_or(now);
            vec![
                report.plan.id.to_string(),
                report.plan.model.to_string(),
                words(&report.phase).to_owned(),
                format!("{} of {}", numbers::count(report.succeeded), numbers::count(report.plan.counts.runs)),
                numbers::count(failed),
                numbers::duration(u64::try_from(until.since(report.started_at).as_millis()).unwrap_or(u64::MAX)),
                report.by.clone(),
            ]
        })
        .collect();
    output.table(&["SWEEP", "MODEL", "STATUS", "RUNS", "FAILED", "TIME", "BY"], &cells)?;
    output.next_step(&format!("modelship sweep results {}", reports[0].plan.id));
    Ok(())
}

/// Shows a sweep's results, or how they differ from another's.
pub(crate) async fn results(settings: Settings, wanted: &SweepResults, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let report = one(&session, &wanted.sweep).await?;
    let analysis = analysis_of(&report)?;
    let csv = csv_path(&session, &report.plan.id)?;
    if let Some(other) = &wanted.against {
        let other = one(&session, other).await?;
        let (name, other_name) = labels(&report, &other);
        let base =
            Side::new(other_name, open(&csv_path(&session, &other.plan.id)?)?, &other.plan, analysis_of(&other)?);
        let head = Side::new(name, open(&csv)?, &report.plan, analysis);
        let comparison = compare(base, head).map_err(|error| CliError::User(format!("{error:#}")))?;
        session.close().await?;
        if output.is_json() {
            return output.json(&comparison);
        }
        for side in [&report, &other] {
            let plan = &side.plan;
            output.line(&format!(
                "{}: {} version {} ({})",
                plan.id,
                plan.model,
                plan.version,
                plan.model_commit.short()
            ))?;
        }
        output.line("")?;
        return output.markdown(&comparison_text(&comparison));
    }
    let rows = read_head(&csv, &analysis.head_columns, wanted.head)?;
    let root = session.engine.outside().artifacts.root().to_path_buf();
    session.close().await?;
    if output.is_json() {
        return output.json(&json!({"report": report, "rows": rows}));
    }
    show_statistics(analysis, output)?;
    show_rows(&analysis.head_columns, &rows, output)?;
    show_files(&root, analysis, output)
}

fn show_plan(plan: &PlanSummary, output: &Output) -> Result<(), CliError> {
    output.line(&in_short(plan))?;
    let cells: Vec<_> = plan
        .moved
        .iter()
        .map(|moved| vec![moved.name.clone(), numbers::count(moved.levels), moved.declared.clone(), moved.unit.clone()])
        .collect();
    output.table(&["PARAMETER", "VALUES", "DECLARED", "UNIT"], &cells)?;
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    };
    if !plan.baseline.is_empty() {
        output.line(&format!("baseline: {}", pairs(&plan.baseline)))?;
    }
    if !plan.fixed.is_empty() {
        output.line(&format!("held at: {}", pairs(&plan.fixed)))?;
    }
    if plan.counts.rejected > 0 {
        output.line(&format!("left out by `where` and `exclude`: {}", numbers::count(plan.counts.rejected)))?;
    }
    if let Some(estimate) = plan.estimate_ms {
        output.line(&format!("estimated time: {}", numbers::duration(estimate)))?;
    }
    output.line(&format!("plan: {}", plan.digest))?;
    for note in &plan.notes {
        output.note(note);
    }
    Ok(())
}

fn in_short(plan: &PlanSummary) -> String {
    format!(
        "{}: {} of {} (version {}, {}), {} new and {} known",
        plan.name,
        numbers::plural(plan.counts.runs, "run"),
        plan.model,
        plan.version,
        plan.reference,
        numbers::count(plan.counts.new_runs()),
        numbers::count(plan.counts.reused)
    )
}

fn show_end(report: &SweepReport, root: &Path, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        output.json(report)?;
    } else if let SweepPhase::Succeeded { analysis } | SweepPhase::Incomplete { analysis } = &report.phase {
        show_statistics(analysis, output)?;
        show_rows(&analysis.head_columns, &analysis.head_rows, output)?;
        show_files(root, analysis, output)?;
    }
    for failure in report.failures.iter().take(5) {
        let values: Vec<_> = failure.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        output.problem(&format!(
            "run {} ({}): {}: {}",
            failure.run.short(),
            values.join(", "),
            failure.class.words(),
            failure.message
        ));
        output.quote(&failure.log_tail);
    }
    match &report.phase {
        SweepPhase::Succeeded { .. } => {
            output.next_step(&format!("modelship sweep results {} --head 20", report.plan.id));
            Ok(())
        }
        SweepPhase::Incomplete { analysis } => {
            output.problem(&format!(
                "{} of {} have no result",
                numbers::count(analysis.missing),
                numbers::plural(report.plan.counts.runs, "run")
            ));
            output.next_step(&format!("modelship sweep run {} --retry-failed", report.plan.file));
            Err(CliError::Told)
        }
        SweepPhase::Cancelled { by } => Err(CliError::User(format!(
            "sweep `{}` was cancelled by {by}; run it again and it goes on where it stopped",
            report.plan.id
        ))),
        SweepPhase::Stopped { reason } => Err(CliError::User(format!("sweep `{}` stopped: {reason}", report.plan.id))),
        SweepPhase::Submitting | SweepPhase::Running { .. } | SweepPhase::Analysing => Ok(()),
    }
}

fn show_statistics(analysis: &AnalysisSummary, output: &Output) -> Result<(), CliError> {
    let cells: Vec<_> = analysis
        .statistics
        .iter()
        .map(|output| {
            let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), numbers::number);
            vec![
                output.output.clone(),
                numbers::number(output.min),
                numbers::number(output.mean),
                numbers::number(output.max),
                optional(output.deviation),
                optional(output.baseline),
                output.unit.clone(),
            ]
        })
        .collect();
    output.table(&["OUTPUT", "MIN", "MEAN", "MAX", "DEVIATION", "BASELINE", "UNIT"], &cells)?;
    for note in &analysis.notes {
        output.note(note);
    }
    Ok(())
}

fn show_rows(columns: &[String], rows: &[Vec<String>], output: &Output) -> Result<(), CliError> {
    output.line("")?;
    let header: Vec<_> = columns.iter().map(String::as_str).collect();
    output.table(&header, rows)
}

fn show_files(root: &Path, analysis: &AnalysisSummary, output: &Output) -> Result<(), CliError> {
    output.line("")?;
    for file in &analysis.files {
        let rows = numbers::plural(analysis.rows, "row");
        output.line(&format!("{} ({rows}, {})", root.join(&file.key).display(), numbers::bytes(file.bytes)))?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<fs_err::File, CliError> {
    fs_err::File::open(path).map_err(|error| CliError::Ours(error.into()))
}

/// What the two sides of a comparison are called: by name where that tells them apart.
fn labels(report: &SweepReport, other: &SweepReport) -> (String, String) {
    if report.plan.name == other.plan.name {
        return (report.plan.id.to_string(), other.plan.id.to_string());
    }
    (report.plan.name.to_string(), other.plan.name.to_string())
}

/// The first rows of an analysis, these columns only.
fn read_head(csv: &Path, columns: &[String], most: usize) -> Result<Vec<Vec<String>>, CliError> {
    let read = || -> Result<Vec<Vec<String>>, csv::Error> {
        let mut reader = csv::Reader::from_path(csv)?;
        let header = reader.headers()?.clone();
        let places: Vec<_> = columns.iter().map(|name| header.iter().position(|cell| cell == name)).collect();
        let pick = |row: csv::StringRecord| {
            places.iter().map(|at| for_people(at.and_then(|at| row.get(at)).unwrap_or_default())).collect()
        };
        reader.records().take(most).map(|row| Ok(pick(row?))).collect()
    };
    read().map_err(|error| CliError::Ours(error.into()))
}

/// A cell of the table as people read it: numbers rounded as everywhere else.
fn for_people(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(value) if cell.parse::<i64>().is_err() => numbers::number(value),
        _ => cell.to_owned(),
    }
}

fn words(phase: &SweepPhase) -> &'static str {
    match phase {
        SweepPhase::Submitting => "starting",
        SweepPhase::Running { .. } => "running",
        SweepPhase::Analysing => "analysing",
        SweepPhase::Succeeded { .. } => "done",
        SweepPhase::Incomplete { .. } => "incomplete",
        SweepPhase::Cancelled { .. } => "cancelled",
        SweepPhase::Stopped { .. } => "stopped",
    }
}

fn csv_path(session: &Session, sweep: &SweepId) -> Result<std::path::PathBuf, CliError> {
    let key = keys::analysis_csv(sweep)?;
    Ok(session.engine.outside().artifacts.path(&key))
}

fn analysis_of(report: &SweepReport) -> Result<&AnalysisSummary, CliError> {
    match &report.phase {
        SweepPhase::Succeeded { analysis } | SweepPhase::Incomplete { analysis } => Ok(analysis),
        SweepPhase::Submitting | SweepPhase::Running { .. } | SweepPhase::Analysing => Err(CliError::User(format!(
            "sweep `{}` has not ended yet; `modelship sweep status` shows how it stands",
            report.plan.id
        ))),
        SweepPhase::Cancelled { .. } | SweepPhase::Stopped { .. } => {
            Err(CliError::User(format!("sweep `{}` is {} and has no analysis", report.plan.id, words(&report.phase))))
        }
    }
}

async fn sweep_state(session: &Session, sweep: &SweepId) -> Result<Option<SweepState>, CliError> {
    match session.state(&Key::Sweep(sweep.clone())).await? {
        Some(State::Sweep(state)) => Ok(Some(*state)),
        _ => Ok(None),
    }
}

/// Every sweep, the newest first.
async fn all(session: &Session) -> Result<Vec<SweepReport>, CliError> {
    let mut reports = Vec::new();
    for row in session.store().states("sweep").await? {
        if let State::Sweep(state) = serde_json::from_str(&row.json).map_err(anyhow::Error::from)? {
            reports.push(state.report());
        }
    }
    reports.sort_by_key(|report| std::cmp::Reverse(report.started_at));
    Ok(reports)
}

fn is_called(report: &SweepReport, wanted: &str) -> bool {
    report.plan.id.as_str() == wanted || report.plan.name.as_str() == wanted
}

/// The sweep of that id, or the newest of that name.
async fn one(session: &Session, wanted: &str) -> Result<SweepReport, CliError> {
    all(session).await?.into_iter().find(|report| is_called(report, wanted)).ok_or_else(|| unknown(wanted))
}

fn unknown(wanted: &str) -> CliError {
    CliError::User(format!("there is no sweep `{wanted}`; `modelship sweep status` lists them"))
}
