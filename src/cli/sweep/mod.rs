//! `modelship sweep plan|run|status|results|cancel|retry`.

mod dry;
mod sample;
mod show;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use show::{in_short, read_head, show_end, show_files, show_plan, show_rows, show_statistics};

use super::arguments::{SweepFile, SweepResults, SweepRun};
use super::build::{Wanted, explain, make};
use super::output::{CliError, Output};
use super::progress::RunsBar;
use super::session::Session;
use super::workspace::{Workspace, from_source};
use crate::analysis::{Side, compare};
use crate::domain::decide::State;
use crate::domain::event::{Event, Key};
use crate::domain::ids::{SweepId, VersionId};
use crate::domain::report::{Links, MayStart, comparison_text, final_comment, numbers, plan_comment};
use crate::domain::sweep::analysis::AnalysisSummary;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::spec::SweepSpec;
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport, SweepState};
use crate::edge::source::Source;
use crate::engine::{Engine, FilesAt, PlanOrder, Planned, keys};
use crate::settings::{self, Settings};

/// Shows what a sweep file would run.
pub(crate) async fn plan(settings: Settings, file: &SweepFile, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let planned = make_plan(&mut session, file, cwd, output).await?;
    session.close().await?;
    tell_step(&planned.summary, output);
    output.summarize(|| plan_comment(&planned.summary, &MayStart::Started));
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
    if run.dry_run {
        return dry::run(settings, run, cwd, output).await;
    }
    let mut session = Session::open(settings).await?;
    let planned = make_plan(&mut session, &run.file, cwd, output).await?;
    let plan = planned.summary;
    if let Verdict::Refused { reasons } = &plan.verdict {
        return Err(CliError::User(format!("policy refuses this plan: {}", reasons.join("; "))));
    }
    tell_step(&plan, output);
    if !output.is_json() {
        output.note(&in_short(&plan));
    }
    let key = Key::Sweep(plan.id.clone());
    // A sweep that is under way, left by a process that died or run in another terminal, is followed to its end.
    let before = sweep_state(&session, &plan.id)
        .await?
        .map_or(0, |state| if state.phase.is_terminal() { state.round } else { state.round - 1 });
    let retry = if run.retry_failed { Retry::Failed } else { Retry::Missing };
    let started =
        Event::SweepStarted { plan: Box::new(plan.clone()), pull: None, by: settings::user_name(), asker: None, retry };
    session.engine.tell(key.clone(), started).await?;
    let state = follow(&mut session, &key, &plan, before, output).await?;
    let root = session.engine.outside().artifacts.root().to_path_buf();
    session.close().await?;
    let report = state.report();
    output.set("succeeded", &report.succeeded);
    output.summarize(|| final_comment(&report, &Links { base_url: None }).unwrap_or_default());
    show_end(&report, &root, output)
}

/// What later steps of a workflow want to know of a plan.
fn tell_step(plan: &PlanSummary, output: &Output) {
    output.set("sweep-id", &plan.id);
    output.set("plan-digest", &plan.digest);
    output.set("version", &plan.version);
    output.set("runs", &plan.counts.runs);
    output.set("new-runs", &plan.counts.new_runs());
}

/// Stops a sweep.
pub(crate) async fn cancel(settings: Settings, wanted: &str, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let report = one(&session, wanted).await?;
    if report.phase.is_terminal() {
        return Err(CliError::User(format!("sweep `{}` has ended already: {}", report.plan.id, report.phase.words())));
    }
    let key = Key::Sweep(report.plan.id.clone());
    session.engine.tell(key.clone(), Event::CancelRequested { by: settings::user_name() }).await?;
    let state = session
        .until(async |engine: &Engine| {
            Ok(standing(engine, &key).await?.filter(|(_, standing)| *standing == Standing::Settled))
        })
        .await?
        .0;
    session.close().await?;
    if output.is_json() {
        return output.json(&state.report());
    }
    output.line(&format!("{}: {}", state.plan.id, state.phase.words()))?;
    output.next_step(&format!("modelship sweep retry {}", state.plan.name));
    Ok(())
}

/// Does the failed and missing runs of a sweep again.
pub(crate) async fn retry(settings: Settings, wanted: &str, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let Some(state) = sweep_state(&session, &one(&session, wanted).await?.plan.id).await? else {
        return Err(unknown(wanted));
    };
    if !state.phase.is_terminal() {
        return Err(CliError::User(format!("sweep `{}` is under way; wait for its end or cancel it", state.plan.id)));
    }
    let root = session.engine.outside().artifacts.root().to_path_buf();
    if matches!(state.phase, SweepPhase::Succeeded { .. }) {
        session.close().await?;
        let runs = numbers::plural(state.plan.counts.runs, "run");
        output.note(&format!("nothing of `{}` failed: all of its {runs} have a result", state.plan.id));
        return show_end(&state.report(), &root, output);
    }
    let key = Key::Sweep(state.plan.id.clone());
    let started = Event::SweepStarted {
        plan: Box::new(state.plan.clone()),
        pull: state.pull.clone(),
        by: settings::user_name(),
        asker: None,
        retry: Retry::Failed,
    };
    session.engine.tell(key.clone(), started).await?;
    let state = follow(&mut session, &key, &state.plan, state.round, output).await?;
    session.close().await?;
    show_end(&state.report(), &root, output)
}

/// How the sweep stands, and whether nothing of it is left to do: jobs that were told to end have to be gone before this
/// process may be.
async fn standing(engine: &Engine, key: &Key) -> anyhow::Result<Option<(SweepState, Standing)>> {
    let Some(json) = engine.store().state(&key.to_string()).await? else { return Ok(None) };
    let State::Sweep(state) = serde_json::from_str(&json)? else { return Ok(None) };
    let busy = !state.phase.is_terminal() || engine.store().has_tasks(&key.to_string()).await?;
    Ok(Some((*state, if busy { Standing::Busy } else { Standing::Settled })))
}

/// Whether anything is left to do for a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Busy,
    Settled,
}

/// How waiting for a sweep came to its end.
enum Followed {
    /// Nothing of it is left to do.
    Settled(Box<SweepState>),
    /// Whoever waited would not wait any longer.
    Left,
}

/// Waits for the sweep's end with a bar. The first Ctrl-C stops the sweep, the second one the waiting.
async fn follow(
    session: &mut Session,
    key: &Key,
    plan: &PlanSummary,
    before: u32,
    output: &Output,
) -> Result<SweepState, CliError> {
    let bar = RunsBar::begin(output, plan.name.as_str(), plan.counts.runs);
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut stopping = false;
    let followed = session
        .until(async |engine: &Engine| {
            if tokio::time::timeout(Duration::ZERO, interrupts.recv()).await.is_ok() {
                if stopping {
                    return Ok(Some(Followed::Left));
                }
                stopping = true;
                engine.tell(key.clone(), Event::CancelRequested { by: settings::user_name() }).await?;
                output.note("the sweep is being stopped; Ctrl-C again leaves at once");
            }
            let Some((state, standing)) = standing(engine, key).await?.filter(|(state, _)| state.round > before) else {
                return Ok(None);
            };
            let report = state.report();
            bar.set(report.succeeded, report.failed.values().sum());
            Ok((standing == Standing::Settled).then(|| Followed::Settled(Box::new(state))))
        })
        .await?;
    bar.end();
    match followed {
        Followed::Settled(state) => Ok(*state),
        Followed::Left => Err(CliError::User(format!(
            "left while the runs of `{}` are being ended; `modelship sweep cancel {}` waits until they are",
            plan.id, plan.id
        ))),
    }
}

/// A sweep file of the workspace.
struct Asked {
    workspace: Workspace,
    path: String,
    spec: SweepSpec,
}

fn read_asked(session: &Session, file: &SweepFile, cwd: &Path) -> Result<Asked, CliError> {
    // What is wrong in the file as it lies there is told before anything about commits.
    if let Ok(text) = fs_err::read_to_string(cwd.join(&file.file))
        && let Some(name) = file.file.to_str()
    {
        SweepSpec::parse(name, &text).map_err(CliError::Faults)?;
    }
    let workspace = Workspace::open(&session.engine.outside().hosting, file.dirty)?;
    let path = workspace.path_of(cwd, &file.file)?;
    let source = Source::open(&workspace.root).map_err(from_source)?;
    let spec = FilesAt::new(&source, &workspace.commit).sweep(&path).map_err(CliError::Faults)?;
    Ok(Asked { workspace, path, spec })
}

async fn make_plan(session: &mut Session, file: &SweepFile, cwd: &Path, output: &Output) -> Result<Planned, CliError> {
    let asked = read_asked(session, file, cwd)?;
    let own_version = match &asked.spec.reference {
        Some(_) => None,
        None => Some(own_version(session, &asked.workspace, &asked.spec.model, output).await?),
    };
    plan_with(session, &asked, own_version).await
}

async fn plan_with(session: &Session, asked: &Asked, own_version: Option<VersionId>) -> Result<Planned, CliError> {
    let order = PlanOrder {
        repository: asked.workspace.repository.clone(),
        commit: asked.workspace.commit.clone(),
        path: asked.path.clone(),
        owner: "terminal".to_owned(),
        own_version,
        compared_as: None,
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
    match make(session, Wanted::of(workspace, model), output).await? {
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
            vec![
                report.plan.id.to_string(),
                report.plan.model.to_string(),
                report.phase.words().to_owned(),
                format!("{} of {}", numbers::count(report.succeeded), numbers::count(report.plan.counts.runs)),
                numbers::count(failed),
                numbers::duration(report.took_ms(now)),
                report.by.clone(),
            ]
        })
        .collect();
    output.table(&["SWEEP", "MODEL", "STATUS", "RUNS", "FAILED", "TIME", "BY"], &cells)?;
    output.next_step(&format!("modelship sweep results {}", reports[0].plan.id));
    Ok(())
}

/// Shows a sweep's results, or how they differ from another's.
pub(crate) async fn results(
    settings: Settings,
    wanted: &SweepResults,
    cwd: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let report = one(&session, &wanted.sweep).await?;
    let analysis = analysis_of(&report)?;
    if let Some(size) = wanted.sample {
        return sample::bring(session, &report, wanted, size, cwd, output).await;
    }
    let csv = csv_path(&session, &report.plan.id)?;
    if let Some(other) = &wanted.against {
        let other = one(&session, other).await?;
        if other.plan.id == report.plan.id {
            return Err(CliError::User(format!(
                "`{}` is this sweep itself, and nothing differs from itself; `modelship sweep status` lists others",
                report.plan.id
            )));
        }
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

fn csv_path(session: &Session, sweep: &SweepId) -> Result<std::path::PathBuf, CliError> {
    let key = keys::analysis_csv(sweep)?;
    Ok(session.engine.outside().artifacts.path(&key))
}

fn analysis_of(report: &SweepReport) -> Result<&AnalysisSummary, CliError> {
    report.phase.analysis().ok_or_else(|| {
        let id = &report.plan.id;
        CliError::User(if report.phase.is_terminal() {
            format!("sweep `{id}` is {} and has no analysis", report.phase.words())
        } else {
            format!("sweep `{id}` has not ended yet; `modelship sweep status` shows how it stands")
        })
    })
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
        if let State::Sweep(state) = session.engine.read_state(&row.key, &row.json).map_err(anyhow::Error::from)? {
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
pub(super) async fn one(session: &Session, wanted: &str) -> Result<SweepReport, CliError> {
    all(session).await?.into_iter().find(|report| is_called(report, wanted)).ok_or_else(|| unknown(wanted))
}

fn unknown(wanted: &str) -> CliError {
    CliError::User(format!("there is no sweep `{wanted}`; `modelship sweep status` lists them"))
}
