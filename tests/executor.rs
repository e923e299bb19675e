//! The process executor, with real runners and real kills.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use modelship::domain::ids::{Digest, RunId};
use modelship::domain::manifest::{Network, Outputs, ParamsFormat, Resources, Run, Summary};
use modelship::domain::parameters::Value;
use modelship::domain::sweep::record::Record;
use modelship::domain::sweep::state::JobHandle;
use modelship::edge::executor::JobStatus;
use modelship::edge::executor::process::{ProcessExecutor, ProcessSettings};
use modelship::runner::{CONTRACT, DEFAULT_SEARCH_PATH, JobSpec, SliceLine};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// An instance with an artifact store, and a model made of one shell script.
struct World {
    dir: tempfile::TempDir,
    settings: ProcessSettings,
}

impl World {
    /// A model whose runs do `script`, which finds its run's number in `$NUMBER` and its outputs in `$1`.
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs_err::create_dir(root.join("model")).unwrap();
        let sim = root.join("model/sim");
        fs_err::write(&sim, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&sim, PermissionsExt::from_mode(0o755)).unwrap();
        let settings = ProcessSettings {
            runner: PathBuf::from(env!("CARGO_BIN_EXE_modelship-runner")),
            artifacts: root.join("artifacts"),
            scratch: root.join("scratch"),
            slots_dir: root.join("slots"),
            slots: 2,
        };
        Self { dir, settings }
    }

    fn executor(&self) -> ProcessExecutor {
        ProcessExecutor::new(self.settings.clone())
    }

    /// A job of `runs` runs at `sweeps/s/jobs/<number>/1`.
    fn job(&self, number: u32, runs: i64) -> JobSpec {
        let slice = self.dir.path().join(format!("slice-{number}.jsonl"));
        let lines = (0..runs).map(|run| {
            let parameters = vec![("NUMBER".to_owned(), Value::Int(run))];
            let run = RunId::parse(Digest::of(format!("{number}/{run}")).hex()).unwrap();
            serde_json::to_string(&SliceLine { run, parameters, seed: None }).unwrap() + "\n"
        });
        fs_err::write(&slice, lines.collect::<String>()).unwrap();
        JobSpec {
            contract: CONTRACT,
            place: self.settings.artifacts.join(format!("sweeps/s/jobs/{number}/1")),
            scratch: PathBuf::new(),
            model: self.dir.path().join("model"),
            slice,
            parallel: 2,
            slots: None,
            run: Run {
                command: ["{model}/sim", "{outputs}"].map(String::from).to_vec(),
                params: ParamsFormat::Env,
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
        }
    }

    fn records(&self, job: &JobSpec) -> Vec<Record> {
        let text = fs_err::read_to_string(job.place.join("records.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Pids of the living processes of a job's runs.
    fn processes(&self, job: &JobSpec) -> Vec<i32> {
        carrying(&format!("MODELSHIP_JOB={}", job.place.display()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A failed test must not leave runners behind: whatever works below the directory is ended.
        let root = self.dir.path().to_str().unwrap().to_owned();
        for pid in pids() {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let belongs = String::from_utf8_lossy(&command).contains(&root);
            if belongs && let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn pids() -> Vec<i32> {
    let entries = fs_err::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn carrying(marker: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    };
    pids().into_iter().filter(carries).collect()
}

fn pid_of(job: &JobHandle) -> Pid {
    Pid::from_raw(job.token.split('.').next().unwrap().parse().unwrap()).unwrap()
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const QUICK: &str = r#"echo "number,$NUMBER" > "$1/summary.csv""#;

/// The first run ends, the others last until they are ended.
const STUCK: &str = r#"case $NUMBER in 0) echo a,1 > "$1/summary.csv";; *) sleep 300 & wait;; esac"#;

#[tokio::test]
async fn a_job_is_submitted_awaited_and_ended() {
    let world = World::new(QUICK);
    let executor = world.executor();
    let job = world.job(1, 5);
    let handle = executor.submit(&job).unwrap();
    assert_eq!(handle.place, "sweeps/s/jobs/1/1");
    executor.wait_for_change(std::slice::from_ref(&handle), Duration::from_secs(20)).await.unwrap();
    assert_eq!(executor.status(std::slice::from_ref(&handle)), [JobStatus::Ended]);
    assert_eq!(world.records(&job).len(), 5);
    assert!(test_kill_process(pid_of(&handle)).is_err(), "the runner was collected and is no zombie");
    // Submitting it again starts nothing, here or in the next server.
    for executor in [&executor, &world.executor()] {
        let again = executor.submit(&job).unwrap();
        assert_eq!(executor.status(&[again]), [JobStatus::Ended]);
    }
    assert_eq!(world.records(&job).len(), 5);
}

#[tokio::test]
async fn waiting_ends_at_its_timeout_and_at_the_first_end() {
    let world = World::new(STUCK);
    let executor = world.executor();
    let (one, two) = (world.job(1, 1), world.job(2, 2));
    let stuck = executor.submit(&two).unwrap();
    let start = Instant::now();
    executor.wait_for_change(std::slice::from_ref(&stuck), Duration::from_millis(50)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    let quick = executor.submit(&one).unwrap();
    let both = [stuck.clone(), quick];
    executor.wait_for_change(&both, Duration::from_secs(60)).await.unwrap();
    assert_eq!(executor.status(&both), [JobStatus::Running, JobStatus::Ended]);
    // A wait that is given up does not keep its thread.
    let waiting = executor.wait_for_change(std::slice::from_ref(&stuck), Duration::from_secs(3600));
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
    executor.cancel(&stuck).unwrap();
}

#[test]
fn a_restarted_server_adopts_what_lives() {
    let world = World::new(STUCK);
    let job = world.job(1, 3);
    let before = world.executor().submit(&job).unwrap();
    let executor = world.executor();
    let adopted = executor.submit(&job).unwrap();
    assert_eq!(adopted, before);
    assert_eq!(executor.reap_orphans().unwrap(), 0);
    assert_eq!(executor.status(std::slice::from_ref(&adopted)), [JobStatus::Running]);
    executor.cancel(&adopted).unwrap();
    assert_eq!(executor.status(&[adopted]), [JobStatus::Vanished]);
}

#[test]
fn cancelling_ends_runner_runs_and_scratch_and_keeps_records() {
    let world = World::new(STUCK);
    let executor = world.executor();
    let job = world.job(1, 4);
    let handle = executor.submit(&job).unwrap();
    wait_until("the first run has its record and two are under way", || {
        world.records(&job).len() == 1 && world.processes(&job).len() >= 4
    });
    executor.cancel(&handle).unwrap();
    assert_eq!(world.processes(&job), Vec::<i32>::new());
    assert_eq!(executor.status(std::slice::from_ref(&handle)), [JobStatus::Vanished]);
    assert_eq!(world.records(&job).len(), 1);
    assert_eq!(fs_err::read_dir(&world.settings.scratch).unwrap().count(), 0);
    executor.cancel(&handle).unwrap();
}

#[test]
fn a_killed_runner_leaves_nothing_running_once_its_job_goes_on() {
    // Runs that find no `go` last until they are ended.
    let world =
        World::new(r#"[ $NUMBER = 0 ] || [ -e "${0%/*}/go" ] || { sleep 300 & wait; }; echo a,1 > "$1/summary.csv""#);
    let executor = world.executor();
    let job = world.job(1, 4);
    let handle = executor.submit(&job).unwrap();
    wait_until("runs are under way", || world.records(&job).len() == 1 && world.processes(&job).len() >= 4);
    let orphans = world.processes(&job);
    kill_process(pid_of(&handle), Signal::KILL).unwrap();
    wait_until("the runner is gone", || executor.status(std::slice::from_ref(&handle)) == [JobStatus::Vanished]);
    assert!(orphans.iter().all(|pid| world.processes(&job).contains(pid)), "the model's processes live on");

    fs_err::write(world.dir.path().join("model/go"), "").unwrap();
    let again = executor.submit(&job).unwrap();
    assert_ne!(again.token, handle.token);
    wait_until("the job has ended", || executor.status(std::slice::from_ref(&again)) == [JobStatus::Ended]);
    assert_eq!(world.processes(&job), Vec::<i32>::new());
    let ids: std::collections::BTreeSet<_> = world.records(&job).into_iter().map(|record| record.run).collect();
    assert_eq!((ids.len(), world.records(&job).len()), (4, 4), "each run once");
}

#[test]
fn orphans_of_a_dead_runner_are_reaped() {
    let world = World::new(STUCK);
    let executor = world.executor();
    let (dead, alive) = (world.job(1, 3), world.job(2, 1));
    let handle = executor.submit(&dead).unwrap();
    let other = World::new(STUCK);
    let others = other.job(1, 3);
    let theirs = other.executor().submit(&others).unwrap();
    wait_until("runs are under way", || world.processes(&dead).len() >= 2 && other.processes(&others).len() >= 2);
    kill_process(pid_of(&handle), Signal::KILL).unwrap();
    wait_until("the runner is gone", || executor.status(std::slice::from_ref(&handle)) == [JobStatus::Vanished]);
    assert!(world.executor().reap_orphans().unwrap() >= 2);
    assert_eq!(world.processes(&dead), Vec::<i32>::new());
    assert!(other.processes(&others).len() >= 2, "another instance's runs are left alone");
    other.executor().cancel(&theirs).unwrap();
    executor.submit(&alive).unwrap();
}

#[test]
fn a_runner_that_cannot_work_says_why() {
    let world = World::new(QUICK);
    let executor = world.executor();
    let mut job = world.job(1, 1);
    fs_err::write(&job.slice, "no run\n").unwrap();
    let handle = executor.submit(&job).unwrap();
    wait_until("the runner has given up", || executor.status(std::slice::from_ref(&handle)) == [JobStatus::Vanished]);
    assert!(executor.last_words(&handle).contains("is no run"), "{}", executor.last_words(&handle));

    job.place = PathBuf::from("/elsewhere/1");
    assert!(executor.submit(&job).unwrap_err().to_string().contains("does not lie within"));
    job.place = world.settings.artifacts.join("../out");
    assert!(executor.submit(&job).unwrap_err().to_string().contains("does not lie within"));
    let broken = ProcessSettings { runner: Path::new("/no/such/runner").to_owned(), ..world.settings.clone() };
    let error = ProcessExecutor::new(broken).submit(&world.job(3, 1)).unwrap_err();
    assert_eq!(error.to_string(), "failed to start the runner `/no/such/runner`");
}
