//! What the container of one job is made of: its limits, what it may reach, and what it finds where.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
};

use crate::domain::manifest::Network;
use crate::runner::{JobSpec, SlotsSpec};

/// Where a container has its job's place.
const PLACE: &str = "/.modelship/place";

/// Where its runs have their fresh directories: within the place, so that files are moved out of them and not copied.
const SCRATCH: &str = "scratch";

/// Where it finds the runs to do.
const SLICE: &str = "/.modelship/slice.jsonl";

/// Where it sees how far they are taken.
const CURSOR: &str = "/.modelship/cursor";

/// Where the machine's slots are.
const SLOTS: &str = "/.modelship/slots";

/// The file in its place that tells a job what to do.
const JOB: &str = "/.modelship/place/job.json";

/// Memory for the runner beside the model, in bytes.
const ALLOWANCE: u64 = 32 << 20;

/// What images commonly need to change who they are and whose their files are. Everything else is taken away.
const CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];

/// What a container is made with besides its job.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// The labels by which it is found again.
    pub(super) labels: HashMap<String, String>,
    /// The engine's network for runs that may use one.
    pub(super) network: &'a str,
    /// Most processes and threads at once.
    pub(super) processes: u32,
    /// How many processors the engine has.
    pub(super) cpus: u32,
    /// The directory of slots, and how many there are.
    pub(super) slots: &'a SlotsSpec,
}

/// Where the runs of the job in `place` have their fresh directories, seen from outside.
pub(super) fn scratch_in(place: &Path) -> std::path::PathBuf {
    place.join(SCRATCH)
}

/// The job as its container sees it.
pub(super) fn seen_from_within(job: &JobSpec, slots: &SlotsSpec) -> JobSpec {
    JobSpec {
        place: PLACE.into(),
        scratch: scratch_in(Path::new(PLACE)),
        slice: SLICE.into(),
        cursor: job.cursor.as_ref().map(|_| CURSOR.into()),
        slots: Some(SlotsSpec { directory: SLOTS.into(), count: slots.count }),
        // The container's limits are those of one run.
        parallel: 1,
        ..job.clone()
    }
}

/// The container of `job`.
///
/// # Errors
/// When the job names no image, or its paths are no text.
pub(super) fn container(job: &JobSpec, around: Surroundings<'_>) -> anyhow::Result<ContainerCreateBody> {
    let image = job.image.as_ref().context("a job for containers must name its image")?;
    let resources = &job.run.resources;
    let memory = i64::try_from(resources.memory.saturating_add(ALLOWANCE)).unwrap_or(i64::MAX);
    let cpus = i64::from(resources.milli_cpus).min(i64::from(around.cpus) * 1000);
    let mut mounts = vec![
        mount(&job.place, PLACE, Access::Write)?,
        mount(&job.slice, SLICE, Access::Read)?,
        mount(&around.slots.directory, SLOTS, Access::Read)?,
    ];
    if let Some(cursor) = &job.cursor {
        mounts.push(mount(cursor, CURSOR, Access::Write)?);
    }
    let gpus = DeviceRequest {
        count: Some(i64::from(resources.gpus)),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    };
    let bounded = [("max-size", "1m"), ("max-file", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = HostConfig {
        mounts: Some(mounts),
        nano_cpus: Some(cpus * 1_000_000),
        memory: Some(memory),
        // Memory and swap together: no swap.
        memory_swap: Some(memory),
        pids_limit: Some(around.processes.into()),
        network_mode: Some(match job.run.network {
            Network::None => "none".to_owned(),
            Network::Open => around.network.to_owned(),
        }),
        device_requests: (resources.gpus > 0).then(|| vec![gpus]),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from(bounded)),
        }),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(image.reference.clone()),
        cmd: Some(vec![JOB.to_owned()]),
        labels: Some(around.labels),
        // Whatever the image would like to be stopped with: it is the runner that is stopped.
        stop_signal: Some("SIGTERM".to_owned()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

/// What a container may do with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn mount(source: &Path, target: &str, access: Access) -> anyhow::Result<Mount> {
    let source = source.to_str().with_context(|| format!("`{}` must be UTF-8", source.display()))?;
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(access == Access::Read),
        ..Mount::default()
    })
}
