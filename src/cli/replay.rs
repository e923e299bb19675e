//! `modelship replay` and `modelship sweep replay`.
//!
//! Status 0 says that everything is the same, 1 that something differs, and 2 that there is no answer.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments::{Replay, ReplayHow, SweepReplay};
use super::build::{Wanted, explain, make};
use super::output::{CliError, Output};
use super::progress::RunsBar;
use super::session::Session;
use crate::domain::ids::RunPrefix;
use crate::domain::report::numbers;
use crate::domain::sweep::replay::{Compared, ReplayReport, RunComparison, Verdict};
use crate::domain::version::Version;
use crate::engine::{Choice, Planned, ReplayEnd, ReplayOrder, Sought};
use crate::settings::Settings;

/// How many differences a terminal shows.
const SHOWN: usize = 20;

/// Does one run again.
pub(crate) async fn run(settings: Settings, replay: &Replay, cwd: &Path, output: &Output) -> Result<(), CliError> {
    replay_run(settings, replay, cwd, output).await.map_err(CliError::without_answer)
}

async fn replay_run(settings: Settings, replay: &Replay, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let recorded = match seek(&session, &replay.run).await? {
        Sought::Recorded(recorded) => *recorded,
        Sought::UnderWay(under_way) => {
            return Err(CliError::User(format!(
                "run {} is still under way and has no record yet",
                under_way.run.short()
            )));
        }
        Sought::Nothing | Sought::Several(_) => return Err(unknown(&replay.run)),
    };
    let choice = Choice::Run(recorded.known.run.clone());
    let planned = recorded.planned;
    let keep = keep(cwd, &replay.how)?;
    let report = perform(&mut session, planned.clone(), choice, &replay.how, keep.as_deref(), output).await?;
    session.close().await?;
    let Some(run) = &report.first else { return Err(unknown(&replay.run)) };
    if output.is_json() {
        output.json(&json!({
            "same": report.differing == 0,
            "sweep": planned.summary.id,
            "model": planned.summary.model,
            "version": planned.version.id,
            "run": run,
        }))?;
    } else {
        show_run(&planned, run, output)?;
    }
    verdict(&report, &format!("run {}", run.run.short()), output)?;
    output.next_step(&format!("modelship logs {}", run.run.short()));
    Ok(())
}

/// Does the runs of a sweep again, or a sample of them.
pub(crate) async fn sweep(
    settings: Settings,
    replay: &SweepReplay,
    cwd: &Path,
    output: &Output,
) -> Result<(), CliError> {
    replay_sweep(settings, replay, cwd, output).await.map_err(CliError::without_answer)
}

async fn replay_sweep(settings: Settings, replay: &SweepReplay, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let id = super::sweep::one(&session, &replay.sweep).await?.plan.id;
    let planned = session.engine.plan_of(&id).await?;
    let choice = match replay.sample {
        Some(size) => Choice::Sample { size, seed: replay.seed },
        None => Choice::All,
    };
    let keep = keep(cwd, &replay.how)?;
    let report = perform(&mut session, planned.clone(), choice, &replay.how, keep.as_deref(), output).await?;
    session.close().await?;
    if output.is_json() {
        output.json(&json!({
            "same": report.differing == 0,
            "sweep": planned.summary.id,
            "model": planned.summary.model,
            "version": planned.version.id,
            "report": report,
        }))?;
    } else {
        show_sweep(&planned, &report, output)?;
    }
    verdict(&report, &planned.summary.id.to_string(), output)?;
    output.next_step(&format!("modelship sweep results {id}"));
    Ok(())
}

/// The run whose id begins with `prefix`, which is long enough to be one.
pub(super) async fn seek(session: &Session, prefix: &str) -> Result<Sought, CliError> {
    let Ok(prefix) = RunPrefix::of_person(prefix) else {
        return Err(CliError::User(format!(
            "`{prefix}` is no run: write at least {} characters of its id, which is hexadecimal and stands in the column \
             `run_id` of an analysis",
            RunPrefix::SHORTEST
        )));
    };
    match session.engine.seek_run(prefix.as_str()).await? {
        Sought::Several(runs) => {
            let names: Vec<_> = runs.iter().take(5).map(|run| format!("`{}`", run.short())).collect();
            Err(CliError::User(format!("`{prefix}` means several runs, {}; write more of the id", names.join(", "))))
        }
        found => Ok(found),
    }
}

pub(super) fn unknown(prefix: &str) -> CliError {
    CliError::User(format!(
        "no run's id begins with `{prefix}`; the column `run_id` of a sweep's `analysis.csv` has them, and `modelship sweep \
         status` lists sweeps"
    ))
}

/// The folder for what the replay leaves. It must be new: nothing is overwritten.
fn keep(cwd: &Path, how: &ReplayHow) -> Result<Option<PathBuf>, CliError> {
    if !(0.0..1.0).contains(&how.rel) {
        return Err(CliError::User(format!("`--rel {}` is no share from 0 to 1, such as 1e-9", how.rel)));
    }
    how.keep.as_ref().map(|keep| new_folder(&cwd.join(keep))).transpose()
}

/// `directory`, which is not there or empty.
pub(super) fn new_folder(directory: &Path) -> Result<PathBuf, CliError> {
    let user = |error: std::io::Error| CliError::User(error.to_string());
    fs_err::create_dir_all(directory).map_err(user)?;
    if fs_err::read_dir(directory).map_err(user)?.next().is_some() {
        return Err(CliError::User(format!(
            "`{}` is not empty, and nothing is overwritten; name a new folder",
            directory.display()
        )));
    }
    Ok(directory.to_path_buf())
}

/// Does the runs again, with the version built if it is no longer there.
async fn perform(
    session: &mut Session,
    planned: Planned,
    choice: Choice,
    how: &ReplayHow,
    keep: Option<&Path>,
    output: &Output,
) -> Result<ReplayReport, CliError> {
    ensure_built(session, &planned.version, output).await?;
    let name = match &choice {
        Choice::Run(run) => format!("replay of {}", run.short()),
        Choice::All | Choice::Sample { .. } => format!("replay of {}", planned.summary.name),
    };
    let order = ReplayOrder { planned, choice, tolerance: how.rel, keep: keep.map(Path::to_path_buf) };
    let cancel = CancellationToken::new();
    let mut bar = None;
    let progress = |done, runs| {
        bar.get_or_insert_with(|| RunsBar::begin(output, &name, runs)).set(done, 0);
    };
    let end = {
        let work = session.engine.replay(&order, &cancel, progress);
        tokio::pin!(work);
        tokio::select! {
            end = &mut work => end?,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                cancel.cancel();
                work.await?
            }
        }
    };
    if let Some(bar) = bar {
        bar.end();
    }
    match end {
        ReplayEnd::Compared(report) => Ok(*report),
        ReplayEnd::Nothing => Err(CliError::User("none of these runs has a record to compare with".to_owned())),
        ReplayEnd::NotBuilt => Err(not_built(&order.planned.version)),
        ReplayEnd::Cancelled => Err(CliError::User("the replay was stopped before its end".to_owned())),
        ReplayEnd::Interrupted(last_words) => {
            output.quote(&last_words);
            Err(CliError::Cannot("the process that did the runs again was ended from outside; try again".to_owned()))
        }
    }
}

/// Builds the version from its commit when what was built is no longer here.
async fn ensure_built(session: &mut Session, version: &Version, output: &Output) -> Result<(), CliError> {
    let is_built = |session: &Session| session.engine.outside().builder.built(&version.executable).is_some();
    if is_built(session) {
        return Ok(());
    }
    output.note(&format!(
        "version {} is no longer built on this machine; building it from {}",
        version.id,
        version.source.commit.short()
    ));
    let wanted = Wanted { model: &version.model, source: &version.source, tree: version.tree };
    if let Err(failure) = make(session, wanted, output).await? {
        explain(&version.model.to_string(), &failure, output);
        return Err(CliError::User(format!(
            "version {} of {} cannot be built here any more, so its runs cannot be done again",
            version.id, version.model
        )));
    }
    if is_built(session) { Ok(()) } else { Err(not_built(version)) }
}

fn not_built(version: &Version) -> CliError {
    let toolchain = version.toolchain.join(", ");
    CliError::User(format!(
        "commit {} builds another executable here than version {} has, which was made with: {toolchain}; its runs cannot be \
         done again on this machine",
        version.source.commit.short(),
        version.id
    ))
}

fn show_run(planned: &Planned, run: &RunComparison, output: &Output) -> Result<(), CliError> {
    let plan = &planned.summary;
    output.line(&format!("run {} of {} version {}, first done in {}", run.run, plan.model, plan.version, plan.id))?;
    output.line(&format!("with {}", pairs(&run.parameters)))?;
    output.line("")?;
    let mut rows: Vec<_> = std::iter::once(&run.outcome).chain(&run.outputs).chain(&run.files).map(row).collect();
    let ((wall, again), (memory, memory_again)) = (run.wall_ms, run.peak_memory);
    let measured = |name: &str, old: String, new: String| vec![name.to_owned(), old, new, String::new()];
    rows.push(measured("wall time", numbers::duration(wall), numbers::duration(again)));
    rows.push(measured("peak memory", numbers::bytes(memory), numbers::bytes(memory_again)));
    output.table(&["WHAT", "RECORDED", "REPLAYED", "IS"], &rows)
}

fn row(compared: &Compared) -> Vec<String> {
    let value = |value: &Option<String>| match value {
        Some(text) => short(text).to_owned(),
        None => "-".to_owned(),
    };
    vec![compared.name.clone(), value(&compared.recorded), value(&compared.replayed), words(compared)]
}

/// A digest is recognised by its beginning; numbers are shown with every digit.
fn short(text: &str) -> &str {
    if text.starts_with("sha256:") && text.len() == 71 { &text[..19] } else { text }
}

fn words(compared: &Compared) -> String {
    match (compared.verdict, compared.relative) {
        (Verdict::Same, None) => "same".to_owned(),
        (Verdict::Same, Some(relative)) => format!("same within {}", numbers::number(relative)),
        (Verdict::Differs, Some(relative)) => format!("DIFFERS by {}", numbers::number(relative)),
        (Verdict::Differs, None) => "DIFFERS".to_owned(),
        (Verdict::Gone, _) => "gone".to_owned(),
    }
}

fn show_sweep(planned: &Planned, report: &ReplayReport, output: &Output) -> Result<(), CliError> {
    let ((wall, again), (memory, memory_again)) = (report.wall_ms, report.peak_memory);
    output.line(&format!(
        "{} of {} version {}: {} the same, {} different",
        numbers::plural(report.runs, "run"),
        planned.summary.model,
        planned.version.id,
        numbers::count(report.same),
        numbers::count(report.differing)
    ))?;
    output.line("")?;
    let rows = [
        vec!["wall time of all runs".to_owned(), numbers::duration(wall), numbers::duration(again)],
        vec!["peak memory of a run".to_owned(), numbers::bytes(memory), numbers::bytes(memory_again)],
    ];
    output.table(&["WHAT", "RECORDED", "REPLAYED"], &rows)?;
    if report.differing == 0 {
        return Ok(());
    }
    output.line("")?;
    let rows: Vec<_> = report
        .differences
        .iter()
        .map(|(name, spread)| {
            vec![
                name.clone(),
                numbers::count(spread.runs),
                spread.relative.map_or_else(|| "-".to_owned(), numbers::number),
            ]
        })
        .collect();
    output.table(&["WHAT DIFFERS", "IN RUNS", "AT MOST, RELATIVE"], &rows)?;
    output.line("")?;
    let moved = |run: &RunComparison| {
        let is_moved = |name: &str| planned.summary.moved.iter().any(|moved| moved.name == name);
        pairs(&run.parameters.iter().filter(|(name, _)| is_moved(name)).cloned().collect::<Vec<_>>())
    };
    let all: Vec<_> =
        report.shown.iter().flat_map(|run| run.differences().map(move |difference| (run, difference))).collect();
    let rows: Vec<_> = all
        .iter()
        .take(SHOWN)
        .map(|(run, difference)| [vec![run.run.short().to_owned(), moved(run)], row(difference)].concat())
        .collect();
    output.table(&["RUN", "POINT", "WHAT", "RECORDED", "REPLAYED", "IS"], &rows)?;
    if all.len() > SHOWN || report.differing > u64::try_from(report.shown.len()).unwrap_or(u64::MAX) {
        output.note("there are more differences; `--output json` shows those of the first 50 runs");
    }
    Ok(())
}

/// Says whether all is the same, and ends with 1 when it is not.
fn verdict(report: &ReplayReport, what: &str, output: &Output) -> Result<(), CliError> {
    if report.files_gone > 0 {
        let gone = numbers::plural(report.files_gone, "kept file");
        output.note(&format!("{gone} of what was recorded is gone, and nothing can be said about that"));
    }
    if report.differing == 0 {
        output.note(&format!("{what}: the replay left the same"));
        return Ok(());
    }
    output.problem(&format!(
        "{what}: {} of {} left something else",
        report.differing,
        numbers::plural(report.runs, "run")
    ));
    Err(CliError::Told)
}

pub(super) fn pairs(pairs: &[(String, String)]) -> String {
    match pairs {
        [] => "no parameters".to_owned(),
        pairs => pairs.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", "),
    }
}
