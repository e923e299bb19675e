//! `modelship build` and `modelship test`.

use std::path::Path;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::actions::summary;
use super::arguments::{Build, Test};
use super::output::{CliError, Output};
use super::progress::Stage;
use super::session::Session;
use super::workspace::{Workspace, WorkspaceModel};
use crate::domain::decide::State;
use crate::domain::diagnostic::Faults;
use crate::domain::event::{BuildFailure, BuildOrigin, Event, Key};
use crate::domain::ids::{CommitSha, ModelName, Time, VersionId};
use crate::domain::report::numbers;
use crate::domain::version::{PassedTest, SourceRef, Tree, Version};
use crate::edge::builder::process::TestError;
use crate::engine::{Engine, Outlook};
use crate::settings::Settings;

/// What a build of a model would do, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct Foretold {
    model: ModelName,
    commit: CommitSha,
    would: &'static str,
    version: Option<VersionId>,
    why: String,
}

/// A model that was built, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct BuildResult {
    model: String,
    commit: String,
    version: Option<Version>,
    failure: Option<BuildFailure>,
}

/// Builds and registers models.
pub(crate) async fn build(settings: Settings, build: &Build, _cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let workspace = Workspace::open(&session.engine.outside().hosting, build.dirty)?;
    let models = workspace.models(&build.models)?;
    if build.dry_run {
        return foretell(session, &models, output).await;
    }
    let mut results = Vec::new();
    for model in &models {
        results.push((model, make(&mut session, Wanted::of(&workspace, model), output).await?));
    }
    session.close().await?;
    show(&results, &workspace, output)
}

/// Says what a build would do, and does nothing.
async fn foretell(session: Session, models: &[WorkspaceModel], output: &Output) -> Result<(), CliError> {
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for model in models {
        let (would, version, why) = match session.engine.build_outlook(&model.model, &model.source).await? {
            Outlook::Known(version) => ("nothing", Some(version.id), "the version is registered and built".to_owned()),
            Outlook::Same(version) => {
                let why = format!("it runs the same as version {}, which is built", version.id);
                ("register", Some(version.id), why)
            }
            Outlook::Build { reasons } => ("build", None, reasons.join("; ")),
            Outlook::Refused(found) => {
                let why = found.to_string();
                faults.extend(found.0);
                ("fail", None, why)
            }
        };
        rows.push(Foretold { model: model.model.clone(), commit: model.source.commit.clone(), would, version, why });
    }
    session.close().await?;
    if output.is_json() {
        output.json(&rows)?;
    } else {
        let cells: Vec<_> = rows
            .iter()
            .map(|row| {
                vec![row.model.to_string(), row.commit.short().to_owned(), row.would.to_owned(), row.why.clone()]
            })
            .collect();
        output.table(&["MODEL", "COMMIT", "WOULD", "WHY"], &cells)?;
    }
    if !faults.is_empty() {
        output.faults(&Faults(faults));
        return Err(CliError::Told);
    }
    output.next_step("modelship build");
    Ok(())
}

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The model.
    pub(super) model: &'a ModelName,
    /// Where its source lies.
    pub(super) source: &'a SourceRef,
    /// Whether that is a commit that somebody can check out.
    pub(super) tree: Tree,
}

impl<'a> Wanted<'a> {
    /// `model` as it is in `workspace`.
    pub(super) fn of(workspace: &Workspace, model: &'a WorkspaceModel) -> Self {
        Self { model: &model.model, source: &model.source, tree: workspace.tree }
    }
}

/// Builds one model unless it is registered already, and waits for the outcome.
pub(super) async fn make(
    session: &mut Session,
    wanted: Wanted<'_>,
    output: &Output,
) -> Result<Result<Version, BuildFailure>, CliError> {
    let Wanted { model: name, source, tree } = wanted;
    let stage = Stage::begin(output, &format!("Building {name}"));
    let key = Key::Model(name.clone());
    let began = session.engine.now();
    let origin = BuildOrigin::Terminal;
    let event = Event::BuildRequested { source: source.clone(), tree, origin, waiter: None };
    session.engine.tell(key.clone(), event).await?;
    let commit = source.commit.clone();
    let outcome = session
        .until(async |engine: &Engine| {
            let Some(State::Model(state)) = read(engine, &key).await? else { return Ok(None) };
            if state.builds.contains_key(&commit) || engine.store().has_tasks(&key.to_string()).await? {
                return Ok(None);
            }
            if let Some(failed) = state.failures.iter().rev().find(|failed| failed.source.commit == commit) {
                return Ok(Some(Err(failed.failure.clone())));
            }
            let versions = engine.store().versions(name).await?;
            let Some(version) = versions.iter().find(|version| version.source.commit == commit) else {
                return Ok(None);
            };
            Ok(Some(Ok((version.clone(), how_made(version, &versions, began)))))
        })
        .await?;
    match &outcome {
        Ok((version, how)) => stage.done(&format!("version {} ({how})", version.id)),
        Err(failure) => stage.failed(&failure.stage),
    }
    Ok(outcome.map(|(version, _)| version))
}

/// What was done since `began` for `version`, which is one of all `versions` of its model.
fn how_made(version: &Version, versions: &[Version], began: Time) -> String {
    let same = |other: &&Version| other.executable == version.executable && other.manifest == version.manifest;
    if version.registered_at < began {
        return "known already".to_owned();
    }
    if let Some(other) = versions.iter().filter(same).find(|other| other.registered_at < began) {
        return format!("nothing to build, it runs the same as {}", other.id);
    }
    let count = u64::try_from(version.tests.len()).unwrap_or(u64::MAX);
    let tests = format!("{} passed", numbers::plural(count, "test"));
    match version.build_ms {
        0 => tests,
        build_ms => format!("built in {}, {tests}", numbers::duration(build_ms)),
    }
}

async fn read(engine: &Engine, key: &Key) -> anyhow::Result<Option<State>> {
    Ok(engine.store().state(&key.to_string()).await?.map(|json| serde_json::from_str(&json)).transpose()?)
}

type Made = Result<Version, BuildFailure>;

fn show(results: &[(&WorkspaceModel, Made)], workspace: &Workspace, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        let rows: Vec<_> = results
            .iter()
            .map(|(model, outcome)| BuildResult {
                model: model.model.to_string(),
                commit: workspace.commit.to_string(),
                version: outcome.as_ref().ok().cloned(),
                failure: outcome.as_ref().err().cloned(),
            })
            .collect();
        output.json(&rows)?;
    } else {
        let rows: Vec<_> = results
            .iter()
            .filter_map(|(model, outcome)| {
                let version = outcome.as_ref().ok()?;
                Some(vec![
                    model.model.to_string(),
                    version.id.to_string(),
                    workspace.commit.short().to_owned(),
                    version.tests.len().to_string(),
                    numbers::duration(version.build_ms),
                ])
            })
            .collect();
        output.table(&["MODEL", "VERSION", "COMMIT", "TESTS", "BUILT IN"], &rows)?;
    }
    if let [(_, Ok(version))] = results {
        output.set("version", &version.id);
        output.set("digest", &version.executable);
        output.set("image", version.image.as_ref().map_or("", |image| image.reference.as_str()));
    }
    let rows = results.iter().map(|(model, outcome)| (&model.model, outcome.as_ref()));
    output.summarize(|| summary::builds(rows));
    let failed: Vec<_> = results.iter().filter_map(|(model, outcome)| Some((model, outcome.as_ref().err()?))).collect();
    for (model, failure) in &failed {
        explain(&model.model.to_string(), failure, output);
    }
    match failed.len() {
        0 => {
            if let [(model, _)] = results {
                output.next_step(&format!("modelship versions {}", model.model));
            } else {
                output.next_step("modelship models");
            }
            Ok(())
        }
        _ => Err(CliError::Told),
    }
}

/// Shows a failed build on standard error.
pub(super) fn explain(model: &str, failure: &BuildFailure, output: &Output) {
    if failure.faults.is_empty() {
        output.problem(&format!("{model} failed in `{}`: {}", failure.stage, failure.message));
        output.quote(&failure.log_tail);
    } else {
        output.faults(&Faults(failure.faults.clone()));
    }
}

/// A test that was run, as `--output json` shows it.
#[derive(Debug, Serialize)]
struct TestResult {
    model: String,
    test: String,
    passed: bool,
    duration_ms: Option<u64>,
    message: Option<String>,
    log_tail: Option<String>,
}

impl TestResult {
    fn failed(model: &WorkspaceModel, test: &str, message: &str, log_tail: &str) -> Self {
        Self {
            model: model.model.to_string(),
            test: test.to_owned(),
            passed: false,
            duration_ms: None,
            message: Some(message.to_owned()),
            log_tail: Some(log_tail.to_owned()),
        }
    }
}

/// Runs the declared tests, each with its time. A model that is not built yet is built first, which tests it too.
pub(crate) async fn test(settings: Settings, build: &Test, _cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let workspace = Workspace::open(&session.engine.outside().hosting, build.dirty)?;
    let models = workspace.models(&build.models)?;
    let mut results = Vec::new();
    for model in &models {
        match make(&mut session, Wanted::of(&workspace, model), output).await? {
            Ok(version) => results.extend(test_model(&session, model, &version, output).await?),
            Err(failure) => {
                explain(&model.model.to_string(), &failure, output);
                results.push(TestResult::failed(model, &failure.stage, &failure.message, &failure.log_tail));
            }
        }
    }
    session.close().await?;
    let rows = results.iter().map(|result| summary::Test {
        model: &result.model,
        name: &result.test,
        duration_ms: result.duration_ms,
        failure: result.message.as_deref(),
    });
    output.summarize(|| summary::tests(rows));
    if output.is_json() {
        output.json(&results)?;
    } else {
        let rows: Vec<_> = results
            .iter()
            .map(|result| {
                let words = if result.passed { "passed" } else { "failed" };
                let time = result.duration_ms.map_or_else(String::new, numbers::duration);
                vec![result.model.clone(), result.test.clone(), words.to_owned(), time]
            })
            .collect();
        output.table(&["MODEL", "TEST", "RESULT", "TIME"], &rows)?;
    }
    if results.iter().all(|result| result.passed) { Ok(()) } else { Err(CliError::Told) }
}

async fn test_model(
    session: &Session,
    model: &WorkspaceModel,
    version: &Version,
    output: &Output,
) -> Result<Vec<TestResult>, CliError> {
    let stage = Stage::begin(output, &format!("Testing {}", model.model));
    let builder = &session.engine.outside().builder;
    match builder.test_version(version, &model.manifest, &CancellationToken::new()).await {
        Ok(None) => {
            let message = format!("what was built for version `{}` is no longer there; build it again", version.id);
            Err(CliError::User(message))
        }
        Ok(Some(tests)) => {
            stage.done(&numbers::plural(u64::try_from(tests.len()).unwrap_or(u64::MAX), "test"));
            let passed = |test: PassedTest| TestResult {
                model: model.model.to_string(),
                test: test.name,
                passed: true,
                duration_ms: Some(test.duration_ms),
                message: None,
                log_tail: None,
            };
            Ok(tests.into_iter().map(passed).collect())
        }
        Err(TestError::Failed { name, message, log_tail }) => {
            stage.failed(&name);
            output.problem(&format!("{} failed in `{name}`: {message}", model.model));
            output.quote(&log_tail);
            Ok(vec![TestResult::failed(model, &name, &message, &log_tail)])
        }
        Err(TestError::Cancelled) => Err(CliError::User("the tests were stopped".to_owned())),
        Err(TestError::Internal(error)) => Err(CliError::Ours(error)),
    }
}
