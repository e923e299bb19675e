//! `modelship logs`: what a run or a build printed, what it was made of, how it ended, and where its files lie.

use serde::Serialize;
use serde_json::json;

use super::arguments::Logs;
use super::output::{CliError, Output};
use super::replay::{pairs, seek, unknown};
use super::session::Session;
use crate::domain::decide::State;
use crate::domain::event::Key;
use crate::domain::ids::{ModelName, RunId, SweepId, VersionId};
use crate::domain::report::numbers;
use crate::domain::sweep::record::{Outcome, Record};
use crate::engine::{BuildLog, Planned, Recorded, Sought, UnderWay};
use crate::runner::redact::redact;
use crate::settings::Settings;

/// A run with what it printed.
#[derive(Debug, Serialize)]
struct RunLog<'a> {
    run: &'a RunId,
    model: &'a ModelName,
    version: &'a VersionId,
    sweep: &'a SweepId,
    parameters: &'a [(String, String)],
    directory: std::path::PathBuf,
    record: Option<&'a Record>,
    log: Option<String>,
}

/// Shows the log of a run or of a build.
pub(crate) async fn logs(settings: Settings, logs: &Logs, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    match (&logs.build, &logs.what) {
        (Some(model), _) => build(&session, model, output).await?,
        (None, Some(what)) if what.contains('/') => build(&session, what, output).await?,
        (None, Some(what)) => match seek(&session, what).await? {
            Sought::Recorded(recorded) => finished(&session, &recorded, output).await?,
            Sought::UnderWay(under_way) if logs.follow => follow(&session, &under_way, output).await?,
            Sought::UnderWay(under_way) => so_far(&session, &under_way, output).await?,
            Sought::Nothing | Sought::Several(_) => return Err(unknown(what)),
        },
        (None, None) => return Err(CliError::User("name a run or a model".to_owned())),
    }
    session.close().await?;
    Ok(())
}

async fn finished(session: &Session, recorded: &Recorded, output: &Output) -> Result<(), CliError> {
    let parameters = session.engine.parameters_of(recorded).await?;
    let directory = session.engine.directory_of(&recorded.known.place, &recorded.known.run)?;
    let log = session.engine.log_of(recorded).await?;
    let run = RunLog {
        sweep: &recorded.known.sweep,
        record: Some(&recorded.record),
        directory,
        log,
        ..described(&recorded.known.run, &recorded.planned, &parameters)
    };
    if output.is_json() {
        return output.json(&run);
    }
    show_facts(&run, output)?;
    match (&run.log, &recorded.record.outcome) {
        (Some(log), _) => output.text(log)?,
        (None, Outcome::Failed { log_tail, .. }) if !log_tail.is_empty() => {
            output.note("the log is gone; this is its end as the record has it");
            output.text(&redact(log_tail))?;
        }
        (None, _) => output.note("the run printed nothing"),
    }
    output.next_step(&format!("modelship replay {}", recorded.known.run.short()));
    Ok(())
}

async fn so_far(session: &Session, under_way: &UnderWay, output: &Output) -> Result<(), CliError> {
    let directory = session.engine.directory_of(under_way.place(), &under_way.run)?;
    let log = session.engine.log_so_far(under_way).await?;
    let run = RunLog { directory, log, ..described(&under_way.run, &under_way.planned, &under_way.parameters) };
    if output.is_json() {
        return output.json(&run);
    }
    show_facts(&run, output)?;
    match &run.log {
        Some(log) => output.text(log)?,
        None => output.note("nothing can be seen of the run yet; it waits for its turn, or has just begun"),
    }
    output.next_step(&format!("modelship logs {} --follow", under_way.run.short()));
    Ok(())
}

async fn follow(session: &Session, under_way: &UnderWay, output: &Output) -> Result<(), CliError> {
    let directory = session.engine.directory_of(under_way.place(), &under_way.run)?;
    let mut run = RunLog { directory, ..described(&under_way.run, &under_way.planned, &under_way.parameters) };
    if !output.is_json() {
        show_facts(&run, output)?;
    }
    let mut text = String::new();
    let mut failed = None;
    let record = session
        .engine
        .follow(under_way, |more| {
            if output.is_json() {
                text.push_str(more);
            } else if !more.is_empty() {
                failed = output.text(more).err().or_else(|| failed.take());
            }
        })
        .await?;
    if let Some(error) = failed {
        return Err(error);
    }
    let Some(record) = record else {
        return Err(CliError::User(format!(
            "run {} ended without a record: it was interrupted or cancelled; `modelship sweep status` shows its sweep",
            under_way.run.short()
        )));
    };
    if output.is_json() {
        run.record = Some(&record);
        run.log = Some(text);
        return output.json(&run);
    }
    output.note(&format!("run {} {}", under_way.run.short(), ending(&record)));
    output.next_step(&format!("modelship logs {}", under_way.run.short()));
    Ok(())
}

fn described<'a>(run: &'a RunId, planned: &'a Planned, parameters: &'a [(String, String)]) -> RunLog<'a> {
    RunLog {
        run,
        model: &planned.summary.model,
        version: &planned.version.id,
        sweep: &planned.summary.id,
        parameters,
        directory: std::path::PathBuf::new(),
        record: None,
        log: None,
    }
}

fn show_facts(run: &RunLog<'_>, output: &Output) -> Result<(), CliError> {
    let fact = |name: &str, value: String| vec![name.to_owned(), value];
    let mut facts = vec![
        fact("run", run.run.to_string()),
        fact("model", format!("{} version {}", run.model, run.version)),
        fact("sweep", run.sweep.to_string()),
        fact("parameters", pairs(run.parameters)),
    ];
    match run.record {
        None => facts.push(fact("outcome", "under way".to_owned())),
        Some(record) => {
            facts.push(fact("outcome", ending(record)));
            let used = format!("{}, {} at most", numbers::duration(record.wall_ms), numbers::bytes(record.peak_memory));
            facts.push(fact("used", used));
            let files = record.files.iter().map(|(name, size)| format!("{name} ({})", numbers::bytes(*size)));
            facts.extend((!record.files.is_empty()).then(|| fact("files", files.collect::<Vec<_>>().join(", "))));
        }
    }
    facts.push(fact("lies in", run.directory.display().to_string()));
    output.table(&["WHAT", "VALUE"], &facts)?;
    output.line("")
}

fn ending(record: &Record) -> String {
    match &record.outcome {
        Outcome::Succeeded => "succeeded".to_owned(),
        Outcome::Failed { class, message, .. } => format!("failed ({}): {message}", class.words()),
    }
}

async fn build(session: &Session, wanted: &str, output: &Output) -> Result<(), CliError> {
    let (model, commit) = match wanted.split_once('@') {
        Some((model, commit)) => (model, Some(commit)),
        None => (wanted, None),
    };
    let model = ModelName::parse(model).map_err(|error| CliError::User(error.to_string()))?;
    let logs = session.engine.build_logs(&model)?;
    let log = match commit {
        None => logs.first(),
        Some(commit) => one_of(&logs, commit, &model)?,
    };
    let Some(log) = log else {
        return Err(CliError::User(format!(
            "no build of `{model}` has left a log here; `modelship models` lists the models that were built"
        )));
    };
    let failure = match session.state(&Key::Model(model.clone())).await? {
        Some(State::Model(state)) => state.failures.into_iter().rev().find(|failed| failed.source.commit == log.commit),
        _ => None,
    };
    let text = String::from_utf8_lossy(&fs_err::read(&log.path)?).into_owned();
    if output.is_json() {
        let failure = failure.map(|failed| failed.failure);
        return output
            .json(&json!({"model": model, "commit": log.commit, "file": log.path, "failure": failure, "log": text}));
    }
    output.note(&format!("build of {model} at {}, in {}", log.commit.short(), log.path.display()));
    if text.is_empty() {
        output.note("the build had no commands, or they printed nothing");
    }
    output.text(&text)?;
    match failure {
        Some(failed) => {
            output.problem(&format!("it failed in `{}`: {}", failed.failure.stage, failed.failure.message));
            output.next_step(&format!("modelship build {model}"));
        }
        None => output.next_step(&format!("modelship versions {model}")),
    }
    Ok(())
}

/// The log of the build at the commit that begins with `commit`.
fn one_of<'a>(logs: &'a [BuildLog], commit: &str, model: &ModelName) -> Result<Option<&'a BuildLog>, CliError> {
    let found: Vec<_> = logs.iter().filter(|log| log.commit.as_str().starts_with(commit)).collect();
    match (found.as_slice(), logs) {
        ([only], _) => Ok(Some(only)),
        ([], []) => Ok(None),
        _ => {
            let commits: Vec<_> = logs.iter().take(5).map(|log| format!("`{}`", log.commit.short())).collect();
            Err(CliError::User(format!(
                "`{commit}` is not one commit at which `{model}` was built here; newest first there are {}",
                commits.join(", ")
            )))
        }
    }
}
