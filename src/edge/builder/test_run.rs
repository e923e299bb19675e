//! The tests that a manifest declares, run on a built model before it is published.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use crate::domain::ids::{Digest, RunId};
use crate::domain::manifest::{Expectation, Manifest, Run, Surroundings, Test, TestKind};
use crate::domain::parameters::Value;
use crate::domain::sweep::record::Record;
use crate::domain::version::PassedTest;
use crate::runner::place::RECORDS;
use crate::runner::supervise::{How, Limits, Stdout, Step, Stop, SuperviseError, supervise};
use crate::runner::{
    BUILD_MARKER, CONTRACT, Fill, JobEnd, JobSpec, Log, SliceLine, base_environment, resolve_program, run_job, tail_of,
};

use super::process::TestError;
use super::text_of;
use super::trouble::{Trouble, judge};

/// Where a model is tested.
pub(super) struct TestPlace {
    /// The built model.
    pub(super) model: PathBuf,
    /// A directory for the tests' own files.
    pub(super) directory: PathBuf,
    /// What commands find around them.
    pub(super) around: Surroundings,
    /// The build's directory, by which its processes are found again.
    pub(super) build: PathBuf,
}

/// Runs the tests in order until one fails.
pub(super) fn run_tests(place: &TestPlace, manifest: &Manifest, stop: &Stop) -> Result<Vec<PassedTest>, TestError> {
    let mut passed = Vec::with_capacity(manifest.tests.len());
    for (index, test) in manifest.tests.iter().enumerate() {
        let directory = place.directory.join(index.to_string());
        fs_err::create_dir_all(&directory).context("failed to make a test's directory")?;
        let start = Instant::now();
        let ended = match &test.kind {
            TestKind::Run { parameters, expect } => {
                run_model(place, &directory, manifest, test, parameters).and_then(|spec| expected(&spec, expect, stop))
            }
            TestKind::Command { command } => run_command(place, &directory, test, command, stop),
        };
        ended.map_err(|trouble| trouble.of(test))?;
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        passed.push(PassedTest { name: test.name.clone(), duration_ms });
    }
    Ok(passed)
}

/// A job of the test's one run.
fn run_model(
    place: &TestPlace,
    directory: &Path,
    manifest: &Manifest,
    test: &Test,
    overrides: &[(String, Value)],
) -> Result<JobSpec, Trouble> {
    let parameters = resolved(manifest, overrides)?;
    let run = RunId::parse(Digest::of(&test.name).hex()).context("failed to name a test's run")?;
    let line = serde_json::to_string(&SliceLine { run, parameters, seed: None }).context("failed to write a run")?;
    let slice = directory.join("slice.jsonl");
    fs_err::write(&slice, line + "\n").context("failed to write a test's slice")?;
    let mut environment = place.around.variables.clone();
    environment.insert(BUILD_MARKER.to_owned(), text_of(&place.build)?.to_owned());
    Ok(JobSpec {
        contract: CONTRACT,
        place: directory.join("place"),
        scratch: directory.join("scratch"),
        model: place.model.clone(),
        slice,
        parallel: 1,
        slots: None,
        run: Run { timeout: test.timeout, ..manifest.run.clone() },
        outputs: manifest.outputs.clone(),
        search_path: place.around.search_path.clone(),
        environment,
        image: None,
        cursor: None,
    })
}

/// Every parameter's value: the test's own, or the default.
pub(super) fn resolved(manifest: &Manifest, overrides: &[(String, Value)]) -> Result<Vec<(String, Value)>, String> {
    let declared = |name: &str| manifest.parameters.iter().any(|parameter| parameter.name == name);
    if let Some((name, _)) = overrides.iter().find(|(name, _)| !declared(name)) {
        return Err(format!("the test sets `{name}`, which is no parameter of this model"));
    }
    let value_of = |parameter: &crate::domain::parameters::Parameter| {
        let own = overrides.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value);
        let value = own.or(parameter.default.as_ref());
        let value =
            value.ok_or_else(|| format!("parameter `{}` has no default, so the test must set it", parameter.name))?;
        Ok((parameter.name.clone(), value.clone()))
    };
    manifest.parameters.iter().map(value_of).collect()
}

/// Executes the job and compares its one record with what is expected.
fn expected(spec: &JobSpec, expect: &[(String, Expectation)], stop: &Stop) -> Result<(), Trouble> {
    match run_job(spec, stop)? {
        JobEnd::Ended(_) => {}
        JobEnd::Stopped => return Err(Trouble::Cancelled),
    }
    let text = fs_err::read(spec.place.join(RECORDS)).context("failed to read a test's record")?;
    let record: Record = serde_json::from_slice(&text).context("failed to understand a test's record")?;
    judge(record, expect)
}

/// Runs a command in the model's own directory. It must leave the model as it is.
fn run_command(
    place: &TestPlace,
    directory: &Path,
    test: &Test,
    command: &[String],
    stop: &Stop,
) -> Result<(), Trouble> {
    let fill = Fill { model: &place.model, params: None, outputs: None };
    let argv = command.iter().map(|argument| fill.apply(argument)).collect::<Result<Vec<_>, _>>()?;
    let (first, arguments) = argv.split_first().ok_or_else(|| "the command is empty".to_owned())?;
    let program = resolve_program(first, &place.model, &place.around.search_path)?;
    let mut environment = base_environment(&place.around.search_path, directory, 1000);
    environment.extend(place.around.variables.iter().map(|(name, value)| (name.into(), value.into())));
    // pytest would leave a directory of its own in the model.
    environment.push(("PYTEST_ADDOPTS".into(), "-p no:cacheprovider".into()));
    environment.push((BUILD_MARKER.into(), place.build.clone().into()));
    let step =
        Step { program: &program, arguments, directory: &place.model, environment: &environment, stdout: Stdout::Log };
    let limits = Limits { deadline: Instant::now() + test.timeout, memory: None };
    let mut log = Log::new(Log::RUN);
    let failed = |message: String, log: &Log| Trouble::Failed { message, log_tail: tail_of(&log.text()) };
    match supervise(&step, &limits, &mut log, stop) {
        Ok(ended) => match ended.how {
            How::Exit(0) => Ok(()),
            How::Stopped => Err(Trouble::Cancelled),
            How::Timeout => {
                let limit = humantime::format_duration(test.timeout);
                Err(failed(format!("the command ran longer than its limit of {limit}"), &log))
            }
            how @ (How::Exit(_) | How::Signal(_) | How::OutOfMemory(_)) => {
                Err(failed(format!("the command {how}"), &log))
            }
        },
        Err(SuperviseError::CannotStart(error)) => Err(failed(format!("the command did not start: {error}"), &log)),
        Err(SuperviseError::Internal(error)) => Err(Trouble::Internal(error)),
    }
}
