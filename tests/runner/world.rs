//! One model, one job of it, and what that leaves.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelship::domain::ids::{Digest, RunId};
use modelship::domain::manifest::{Network, Outputs, ParamsFormat, Resources, Run, Summary};
use modelship::domain::parameters::Value;
use modelship::domain::sweep::record::{Outcome, Record};
use modelship::runner::supervise::Stop;
use modelship::runner::{CONTRACT, DEFAULT_SEARCH_PATH, JobEnd, JobSpec, SliceLine, run_job};

/// A model made of one shell script, and a job of it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) spec: JobSpec,
}

impl World {
    /// A model whose command runs `script` with the parameter file as `$1` and the outputs directory as `$2`.
    pub(crate) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        fs_err::create_dir(&model).unwrap();
        executable(&model.join("sim"), &format!("#!/bin/sh\n{script}\n"));
        let spec = JobSpec {
            contract: CONTRACT,
            place: dir.path().join("place"),
            scratch: dir.path().join("scratch"),
            model,
            slice: dir.path().join("slice.jsonl"),
            parallel: 2,
            slots: None,
            run: Run {
                command: ["{model}/sim", "{params}", "{outputs}"].map(String::from).to_vec(),
                params: ParamsFormat::Csv,
                summarize: None,
                resources: Resources { milli_cpus: 1000, memory: 1 << 30, gpus: 0 },
                network: Network::Open,
                timeout: Duration::from_secs(60),
            },
            outputs: Outputs {
                summary: Summary::File("summary.csv".to_owned()),
                columns: BTreeMap::new(),
                files: Vec::new(),
                limit: 1 << 30,
                file_checks: BTreeMap::new(),
                may_be_empty: false,
            },
            search_path: DEFAULT_SEARCH_PATH.to_owned(),
            environment: BTreeMap::new(),
            image: None,
            cursor: None,
        };
        let mut world = Self { dir, spec };
        world.slice(1);
        world
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut JobSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Writes a slice of `runs` runs with the parameters `RATE` = 0.1 and `NUMBER` = 0, 1, 2...
    pub(crate) fn slice(&mut self, runs: i64) {
        self.slice_of(
            (0..runs)
                .map(|number| vec![("RATE".to_owned(), Value::Float(0.1)), ("NUMBER".to_owned(), Value::Int(number))]),
        );
    }

    pub(crate) fn slice_of(&mut self, runs: impl IntoIterator<Item = Vec<(String, Value)>>) {
        let lines = runs.into_iter().enumerate().map(|(index, parameters)| {
            let line = SliceLine { run: run_id(index), parameters, seed: Some(7) };
            serde_json::to_string(&line).unwrap() + "\n"
        });
        fs_err::write(&self.spec.slice, lines.collect::<String>()).unwrap();
    }

    pub(crate) fn run(&self) -> Vec<Record> {
        match run_job(&self.spec, &Stop::new().unwrap()).unwrap() {
            JobEnd::Ended(summary) => assert_eq!(summary.runs, self.records().len() as u64),
            JobEnd::Stopped => panic!("nobody stopped the job"),
        }
        assert_eq!(fs_err::read_dir(&self.spec.scratch).unwrap().count(), 0, "scratch is left behind");
        self.records()
    }

    pub(crate) fn run_one(&self) -> Record {
        let mut records = self.run();
        assert_eq!(records.len(), 1);
        records.remove(0)
    }

    /// The one run's failure as `class: message`.
    pub(crate) fn failure(&self) -> String {
        match self.run_one().outcome {
            Outcome::Succeeded => "succeeded".to_owned(),
            Outcome::Failed { class, message, .. } => format!("{}: {message}", class.words()),
        }
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let text = fs_err::read_to_string(self.spec.place.join("records.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn kept(&self, run: usize, name: &str) -> PathBuf {
        self.spec.place.join(run_id(run).as_str()).join(name)
    }

    /// Starts the runner binary on this job.
    pub(crate) fn start_runner(&self) -> Child {
        let job = self.dir.path().join("job.json");
        fs_err::write(&job, serde_json::to_vec(&self.spec).unwrap()).unwrap();
        Command::new(env!("CARGO_BIN_EXE_modelship-runner")).arg(job).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Pids of living processes that belong to this job.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let marker = format!("MODELSHIP_JOB={}", self.spec.place.display()).into_bytes();
        let pids =
            fs_err::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let carries = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == marker)
        };
        pids.filter(carries).collect()
    }
}

pub(crate) fn run_id(index: usize) -> RunId {
    RunId::parse(Digest::of(index.to_string()).hex()).unwrap()
}

pub(crate) fn executable(path: &Path, text: &str) {
    fs_err::write(path, text).unwrap();
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
