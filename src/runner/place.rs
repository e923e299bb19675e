//! A job's place: the names in it, who works there, and how the job's end is written down.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::domain::sweep::record::FailureClass;

use super::lock::{open_lock, try_lock};
use super::processes::ProcessId;

/// The job's description.
pub const JOB: &str = "job.json";

/// The finished runs, one record a line.
pub const RECORDS: &str = "records.jsonl";

/// Written last: the job ended by itself.
pub const ENDED: &str = "ended.json";

/// Which process works on the job.
pub const PROCESS: &str = "process.json";

/// What the runner itself had to say.
pub const RUNNER_LOG: &str = "runner.log";

/// A run's log within the run's own directory.
pub const RUN_LOG: &str = "log.txt";

/// What a run that takes a while has printed so far, within the run's own directory; gone when the run has ended.
pub const LIVE_LOG: &str = "live.log";

/// Held by the process that works on the job.
const LOCK: &str = "runner.lock";

/// How long to try to get the lock. A process that was killed while it started a child leaves it to that child for a
/// moment.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// The most that is read of `process.json` and `ended.json`, in bytes.
const SMALL: u64 = 1 << 20;

/// How often to try.
const LOCK_LOOK: Duration = Duration::from_millis(5);

/// How a job ended, as `ended.json` holds it. Counts include runs that an earlier process of the same job finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The run contract.
    pub contract: u32,
    /// Runs with a record.
    pub runs: u64,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// When the process that ended the job had begun, in milliseconds since the epoch.
    pub started_ms: i64,
    /// When the job ended, in milliseconds since the epoch.
    pub ended_ms: i64,
}

/// What `process.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Announcement {
    process: String,
}

/// The right to work in a place. One process has it; it falls when that process ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    place: PathBuf,
    lock: fs_err::File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing the file would do, but for a child that is just being started and has it open as well.
        let _ = self.lock.unlock();
    }
}

impl Claim {
    /// Takes the place for this process.
    ///
    /// # Errors
    /// When another process has it, or the place cannot be written.
    pub fn take(place: &Path) -> anyhow::Result<Self> {
        fs_err::create_dir_all(place).context("failed to make the job's place")?;
        let lock = open_lock(&place.join(LOCK)).context("failed to open the job's lock")?;
        let patience = Instant::now() + LOCK_WAIT;
        while !try_lock(&lock).context("failed to lock the job's place")? {
            anyhow::ensure!(Instant::now() < patience, "another process works on the job in `{}`", place.display());
            std::thread::sleep(LOCK_LOOK);
        }
        Ok(Self { place: place.to_owned(), lock })
    }

    /// Says in `process.json` that this process works here, so that others find it again. Only whoever holds the claim
    /// writes that file, so it can never name a process that lost a race.
    ///
    /// # Errors
    /// When the place cannot be written.
    pub fn announce(&self) -> anyhow::Result<()> {
        let announcement = Announcement { process: ProcessId::own().to_string() };
        let text = serde_json::to_vec(&announcement).context("failed to write down this process")?;
        write_durably(&self.place.join(PROCESS), &text)
    }

    /// The place.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }
}

/// The process that last announced itself in `place`, alive or not.
#[must_use]
pub fn announced(place: &Path) -> Option<ProcessId> {
    let bytes = read_plain(&place.join(PROCESS)).ok()?;
    ProcessId::parse(&serde_json::from_slice::<Announcement>(&bytes).ok()?.process)
}

/// How the job in `place` ended; none while it has not ended by itself.
///
/// # Errors
/// When `ended.json` is there and cannot be read.
pub fn ended(place: &Path) -> anyhow::Result<Option<JobSummary>> {
    let path = place.join(ENDED);
    match read_plain(&path) {
        Ok(bytes) => {
            let summary = serde_json::from_slice(&bytes);
            summary.map(Some).with_context(|| format!("failed to understand `{}`", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("failed to read how a job ended"),
    }
}

/// The small regular file at `path`. A job that has its place for itself may have put anything there: links are not
/// followed, and nothing is waited for.
fn read_plain(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).expect("open flags fit an int");
    let file = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(SMALL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes `bytes` to `path` so that after a crash the file is there whole or not at all.
///
/// # Errors
/// When the directory cannot be written.
pub fn write_durably(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().context("a file needs a directory")?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(|| format!("failed to write in `{}`", directory.display()))?;
    file.write_all(bytes).with_context(|| format!("failed to write `{}`", path.display()))?;
    file.as_file().sync_all().with_context(|| format!("failed to sync `{}`", path.display()))?;
    file.persist(path).with_context(|| format!("failed to put `{}` in its place", path.display()))?;
    fs_err::File::open(directory)?.sync_all().context("failed to sync a directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_worked_on_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("jobs/1");
        let claim = Claim::take(&place).unwrap();
        assert!(Claim::take(&place).unwrap_err().to_string().starts_with("another process works on"));
        assert!(announced(&place).is_none());
        claim.announce().unwrap();
        assert!(announced(&place).unwrap().is_alive());
        drop(claim);
        Claim::take(&place).unwrap();
    }
}
