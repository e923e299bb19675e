//! An artifact store, an executor, and images made on the spot.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bollard::Docker as Api;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{BuildImageOptions, ListContainersOptions, RemoveContainerOptions, RemoveImageOptions};
use futures_util::StreamExt;
use modelship::domain::ids::{Digest, RunId};
use modelship::domain::manifest::{Bases, Network, Outputs, ParamsFormat, Resources, Run, Summary};
use modelship::domain::parameters::Value;
use modelship::domain::sweep::record::{FailureClass, Outcome, Record};
use modelship::domain::sweep::state::JobHandle;
use modelship::domain::version::Image;
use modelship::edge::docker::{Docker, DockerSettings};
use modelship::edge::executor::JobStatus;
use modelship::edge::executor::docker::{ContainerSettings, DockerExecutor};
use modelship::runner::{CONTRACT, DEFAULT_SEARCH_PATH, JobSpec, SliceLine, SlotsSpec};
use tokio::sync::Mutex;

/// Where the runner lies in images.
const RUNNER: &str = "/.modelship/modelship-runner";

/// An artifact store and what runs for it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    images: std::sync::Mutex<Vec<String>>,
}

/// A file that goes into an image.
pub(crate) struct Part<'a> {
    pub(crate) path: &'a str,
    pub(crate) bytes: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("artifacts")).unwrap();
        Self { dir, images: std::sync::Mutex::default() }
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.dir.path().join("artifacts")
    }

    /// An executor as a server that just began has it.
    pub(crate) fn executor(&self) -> DockerExecutor {
        self.executor_of_images_up_to(u64::MAX)
    }

    pub(crate) fn executor_of_images_up_to(&self, max_image: u64) -> DockerExecutor {
        let docker = Docker::new(&DockerSettings {
            host: host(),
            registry: None,
            registry_login: None,
            runner: runner().to_owned(),
            network: "bridge".to_owned(),
            build_network: "none".to_owned(),
            bases: Bases { debian: String::new(), python: String::new() },
            build_args: BTreeMap::new(),
            instance: "exec-tests".to_owned(),
            max_image,
        });
        let slots = SlotsSpec { directory: self.dir.path().join("slots"), count: 2 };
        DockerExecutor::new(docker.unwrap(), ContainerSettings { artifacts: self.artifacts(), slots, processes: 64 })
    }

    /// The engine, with a version of the API that both speak.
    pub(crate) async fn engine(&self) -> Api {
        let api = Api::connect_with_unix(&host(), 60, bollard::API_DEFAULT_VERSION).unwrap();
        api.negotiate_version().await.expect("tests need a Docker engine; `scripts/with-docker` starts one")
    }

    /// Job `number` of `jobs` that share the runs of one slice.
    pub(crate) fn job(&self, number: u32, image: &Image, runs: &[&[(&str, Value)]]) -> JobSpec {
        let slice = self.dir.path().join("slice.jsonl");
        let lines = runs.iter().enumerate().map(|(index, parameters)| {
            let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let line = SliceLine { run: run_id(index), parameters, seed: None };
            serde_json::to_string(&line).unwrap() + "\n"
        });
        fs_err::write(&slice, lines.collect::<String>()).unwrap();
        let job = JobSpec {
            contract: CONTRACT,
            place: self.artifacts().join(format!("sweeps/s/jobs/{number}/1")),
            scratch: PathBuf::new(),
            model: PathBuf::new(),
            slice,
            parallel: 2,
            slots: None,
            run: Run {
                command: ["/model", "{outputs}"].map(String::from).to_vec(),
                params: ParamsFormat::Env,
                summarize: None,
                resources: Resources { milli_cpus: 1000, memory: 64 << 20, gpus: 0 },
                network: Network::Open,
                timeout: Duration::from_secs(60),
            },
            outputs: Outputs {
                summary: Summary::File("summary.csv".to_owned()),
                columns: BTreeMap::new(),
                files: Vec::new(),
                file_checks: BTreeMap::new(),
                limit: 1 << 30,
                may_be_empty: false,
            },
            search_path: DEFAULT_SEARCH_PATH.to_owned(),
            environment: BTreeMap::new(),
            image: None,
            cursor: Some(self.dir.path().join("cursor")),
        };
        job.within(image)
    }

    pub(crate) fn records(&self, job: &JobSpec) -> Vec<Record> {
        let text = fs_err::read_to_string(job.place.join("records.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The containers of this world, alive or not.
    pub(crate) async fn containers(&self) -> Vec<ContainerSummary> {
        let label = format!("org.modelship.artifacts={}", self.artifacts().display());
        let filters = Some([("label".to_owned(), vec![label])].into());
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        self.engine().await.list_containers(Some(options)).await.unwrap()
    }

    /// Waits until every job has ended, and gives their records.
    pub(crate) async fn ended(
        &self,
        executor: &DockerExecutor,
        jobs: &[JobSpec],
        handles: &[JobHandle],
    ) -> Vec<Record> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let statuses = executor.status(handles).await.unwrap();
            let running: Vec<_> = handles
                .iter()
                .zip(&statuses)
                .filter(|(_, status)| **status == JobStatus::Running)
                .map(|(job, _)| job.clone())
                .collect();
            if running.is_empty() {
                if let Some(at) = statuses.iter().position(|status| *status == JobStatus::Vanished) {
                    panic!("a job went away: {}", executor.last_words(&handles[at]).await);
                }
                return jobs.iter().flat_map(|job| self.records(job)).collect();
            }
            assert!(Instant::now() < deadline, "the jobs never ended");
            executor.wait_for_change(&running, Duration::from_secs(10)).await.unwrap();
        }
    }

    /// Builds an image of `parts` and the runner. `lines` are further lines of its Dockerfile.
    pub(crate) async fn image(&self, parts: &[Part<'_>], lines: &str) -> Image {
        // The engine's own builder is slow when it does several at once.
        static ONE: Mutex<()> = Mutex::const_new(());
        let _one = ONE.lock().await;
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, mode, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(mode);
            archive.append_data(&mut header, path, bytes).unwrap();
        };
        // Its own, so that it can be removed while other tests use theirs.
        let own = self.dir.path().display();
        let mut dockerfile = format!("FROM scratch\nLABEL org.modelship.test={own}\nCOPY runner {RUNNER}\n");
        add("runner", 0o755, &fs_err::read(runner()).unwrap());
        for (index, part) in parts.iter().enumerate() {
            add(&index.to_string(), 0o755, &part.bytes);
            writeln!(dockerfile, "COPY {index} {}", part.path).unwrap();
        }
        dockerfile += &format!("{lines}\nENTRYPOINT [\"{RUNNER}\"]\nCMD []\n");
        add("Dockerfile", 0o644, dockerfile.as_bytes());
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let options = BuildImageOptions { rm: true, forcerm: true, ..BuildImageOptions::default() };
        let engine = self.engine().await;
        let mut building = engine.build_image(options, None, Some(body));
        let mut id = None;
        while let Some(said) = building.next().await {
            id = said.unwrap().aux.and_then(|aux| aux.id).or(id);
        }
        let id = id.expect("the engine says which image it made");
        self.images.lock().unwrap().push(id.clone());
        Image { reference: id, entrypoint: Vec::new(), environment: BTreeMap::new(), workdir: String::new() }
    }
}

/// Has an image at the registry alone, and gives its name there.
pub(crate) fn only_at_the_registry(image: &Image) -> String {
    let docker = |arguments: &[&str]| {
        let done = Command::new("docker").args(["-H", &host()]).args(arguments).output().unwrap();
        assert!(done.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let registry = std::env::var("MODELSHIP_TEST_REGISTRY").expect("`scripts/with-docker` starts a registry");
    let name = format!("{registry}/runs/{}", std::process::id());
    docker(&["tag", &image.reference, &name]);
    docker(&["push", "--quiet", &name]);
    let named = docker(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &name]);
    docker(&["image", "rm", "--force", &image.reference]);
    named
}

impl Drop for World {
    /// Removes what this world has on the engine, also when its test failed.
    fn drop(&mut self) {
        let images = std::mem::take(&mut *self.images.lock().unwrap());
        let clear = async {
            let engine = self.engine().await;
            for container in self.containers().await {
                let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
                let _ = engine.remove_container(&container.id.unwrap(), Some(options)).await;
            }
            for image in images {
                let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
                let _ = engine.remove_image(&image, Some(options), None).await;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(clear);
            });
        });
    }
}

/// The static runner, built once.
fn runner() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = Command::new(root.join("scripts/build-runner")).status().unwrap();
        assert!(built.success(), "the runner cannot be built");
        root.join("target/static/modelship-runner")
    })
}

/// The model of `model.c`, which needs nothing of its image.
pub(crate) fn model() -> Part<'static> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, out) = (dir.path().join("model.c"), dir.path().join("model"));
        fs_err::write(&source, include_str!("model.c")).unwrap();
        let compiled = Command::new("cc").args(["-O1", "-static", "-w", "-o"]).args([&out, &source]).status().unwrap();
        assert!(compiled.success(), "the model cannot be compiled");
        fs_err::read(out).unwrap()
    });
    Part { path: "/model", bytes: bytes.clone() }
}

/// A shell and its tools in one file.
pub(crate) fn busybox() -> Part<'static> {
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let bytes = fs_err::read(found.expect("tests need busybox; `scripts/install-needs test` installs it")).unwrap();
    Part { path: "/bin/busybox", bytes }
}

/// A script for that shell.
pub(crate) fn script<'a>(path: &'a str, text: &str) -> Part<'a> {
    Part { path, bytes: format!("#!/bin/busybox sh\nset -eu\n{text}\n").into_bytes() }
}

fn host() -> String {
    std::env::var("MODELSHIP_TEST_DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

pub(crate) fn run_id(index: usize) -> RunId {
    RunId::parse(Digest::of(format!("run {index}")).hex()).unwrap()
}

/// What `MODE` each run has.
pub(crate) fn modes<'a>(modes: &[&'a str]) -> Vec<Vec<(&'a str, Value)>> {
    modes.iter().map(|mode| vec![("MODE", Value::Text((*mode).to_owned()))]).collect()
}

/// The record of run `index`.
#[track_caller]
pub(crate) fn record(records: &[Record], index: usize) -> &Record {
    let mut found = records.iter().filter(|record| record.run == run_id(index));
    let record = found.next().unwrap_or_else(|| panic!("run {index} has no record"));
    assert!(found.next().is_none(), "run {index} has two records");
    record
}

/// How the run failed.
#[track_caller]
pub(crate) fn failure(record: &Record) -> (FailureClass, &str) {
    match &record.outcome {
        Outcome::Failed { class, message, .. } => (*class, message),
        Outcome::Succeeded => panic!("it succeeded"),
    }
}
