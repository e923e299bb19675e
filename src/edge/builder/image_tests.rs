//! The tests that a manifest declares, run in containers of a model's image before it is pushed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::docker::workdir;
use super::process::TestError;
use super::test_run::resolved;
use super::trouble::{Trouble, judge};
use crate::domain::ids::{Digest, RunId};
use crate::domain::manifest::{Expectation, Manifest, Run, Test, TestKind};
use crate::domain::parameters::Value;
use crate::domain::sweep::record::Record;
use crate::domain::version::{Image, PassedTest};
use crate::edge::docker::{ContainerEnd, ContainerError, ContainerOrder, Docker, RUNNER};
use crate::runner::place::RECORDS;
use crate::runner::{CONTRACT, DEFAULT_SEARCH_PATH, Fill, JobSpec, Log, SliceLine, tail_of};

/// Where a test's job lies in its container.
const JOB: &str = "/.modelship/job";

/// How much longer than its run a runner may take, to begin and to end.
const RUNNER_EXTRA: std::time::Duration = std::time::Duration::from_secs(30);

/// Runs the tests in order until one fails.
pub(super) async fn run_tests(
    docker: &Docker,
    image: &Image,
    manifest: &Manifest,
    cancel: &CancellationToken,
) -> Result<Vec<PassedTest>, TestError> {
    let place = ImagePlace { docker, image, manifest, cancel };
    let mut passed = Vec::with_capacity(manifest.tests.len());
    for test in &manifest.tests {
        let start = Instant::now();
        let ended = match &test.kind {
            TestKind::Run { parameters, expect } => place.run_model(test, parameters, expect).await,
            TestKind::Command { command } => place.run_command(test, command).await,
        };
        ended.map_err(|trouble| trouble.of(test))?;
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        passed.push(PassedTest { name: test.name.clone(), duration_ms });
    }
    Ok(passed)
}

/// What all tests of an image share.
struct ImagePlace<'a> {
    docker: &'a Docker,
    image: &'a Image,
    manifest: &'a Manifest,
    cancel: &'a CancellationToken,
}

impl ImagePlace<'_> {
    /// One run, by the runner in the image, and what came out of it compared with what is expected.
    async fn run_model(
        &self,
        test: &Test,
        overrides: &[(String, Value)],
        expect: &[(String, Expectation)],
    ) -> Result<(), Trouble> {
        let parameters = resolved(self.manifest, overrides)?;
        let run = RunId::parse(Digest::of(&test.name).hex()).context("failed to name a test's run")?;
        let mut line =
            serde_json::to_string(&SliceLine { run, parameters, seed: None }).context("failed to write a run")?;
        line.push('\n');
        let spec = serde_json::to_vec(&self.job(test)).context("failed to write a test's job")?;
        let path = |name: &str| format!("{JOB}/{name}");
        let (folder, job, slice, records) =
            (path(""), path("job.json"), path("slice.jsonl"), path(&format!("place/{RECORDS}")));
        // Whoever the image's user is must be able to write there.
        let files = [
            (folder.as_str(), 0o777, &b""[..]),
            (job.as_str(), 0o644, &spec),
            (slice.as_str(), 0o644, line.as_bytes()),
        ];
        let command = [RUNNER.to_owned(), job.clone()];
        let order = ContainerOrder {
            image: &self.image.reference,
            command: &command,
            environment: &BTreeMap::new(),
            files: &files,
            resources: self.manifest.run.resources,
            network: self.manifest.run.network,
            timeout: test.timeout + RUNNER_EXTRA,
            wanted: Some(&records),
        };
        let ended = self.ended(test, &order).await?;
        let Some(text) = ended.file else {
            let log_tail = tail_of(&ended.log.text());
            let message = if ended.out_of_memory {
                "out of memory: the run used more than its manifest allows".to_owned()
            } else {
                format!("the runner ended with status {} and left no record", ended.status)
            };
            return Err(Trouble::Failed { message, log_tail });
        };
        let record: Record = serde_json::from_slice(&text).context("failed to understand a test's record")?;
        judge(record, expect)
    }

    fn job(&self, test: &Test) -> JobSpec {
        let job = JobSpec {
            contract: CONTRACT,
            place: PathBuf::from(format!("{JOB}/place")),
            scratch: PathBuf::from(format!("{JOB}/scratch")),
            model: PathBuf::new(),
            slice: PathBuf::from(format!("{JOB}/slice.jsonl")),
            parallel: 1,
            slots: None,
            run: Run { timeout: test.timeout, ..self.manifest.run.clone() },
            outputs: self.manifest.outputs.clone(),
            search_path: DEFAULT_SEARCH_PATH.to_owned(),
            environment: BTreeMap::new(),
            image: None,
            cursor: None,
        };
        job.within(self.image)
    }

    /// A command in the model's own directory.
    async fn run_command(&self, test: &Test, command: &[String]) -> Result<(), Trouble> {
        let model = PathBuf::from(workdir(&self.image.workdir));
        let fill = Fill { model: &model, params: None, outputs: None };
        let mut argv = self.image.entrypoint.clone();
        for argument in command {
            let filled = fill.apply(argument)?;
            argv.push(filled.into_string().map_err(|_| "the command is not UTF-8".to_owned())?);
        }
        let environment = BTreeMap::from([
            ("PYTEST_ADDOPTS".to_owned(), "-p no:cacheprovider".to_owned()),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("HOME".to_owned(), "/tmp".to_owned()),
        ]);
        let order = ContainerOrder {
            image: &self.image.reference,
            command: &argv,
            environment: &environment,
            files: &[("/tmp/", 0o1777, &[])],
            resources: self.manifest.run.resources,
            network: self.manifest.run.network,
            timeout: test.timeout,
            wanted: None,
        };
        let ended = self.ended(test, &order).await?;
        let failed = |message: String| Err(Trouble::Failed { message, log_tail: tail_of(&ended.log.text()) });
        match ended.status {
            0 => Ok(()),
            _ if ended.out_of_memory => failed("the command used more memory than its manifest allows".to_owned()),
            status => failed(format!("the command ended with status {status}")),
        }
    }

    async fn ended(&self, test: &Test, order: &ContainerOrder<'_>) -> Result<ContainerEnd, Trouble> {
        let failed = |message: String, log: &Log| Trouble::Failed { message, log_tail: tail_of(&log.text()) };
        self.docker.run(order, self.cancel).await.map_err(|error| match error {
            ContainerError::CannotStart(message) => Trouble::from(format!("the command did not start: {message}")),
            ContainerError::Timeout(log) => {
                let limit = humantime::format_duration(test.timeout);
                failed(format!("the command ran longer than its limit of {limit}"), &log)
            }
            ContainerError::Cancelled => Trouble::Cancelled,
            ContainerError::Internal(error) => Trouble::Internal(error),
        })
    }
}
