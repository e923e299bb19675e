//! How much memory process groups use, by sampling `/proc`, and whether the kernel has killed for lack of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::processes::{self, Stat};

/// How long one look at all processes serves everybody who asks.
const FRESH: Duration = Duration::from_millis(50);

/// How much memory this machine has, in bytes.
///
/// # Errors
/// When the kernel does not say.
pub fn machine_memory() -> anyhow::Result<u64> {
    let text = fs_err::read_to_string("/proc/meminfo")?;
    let total =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    total.map(|kib: u64| kib * 1024).ok_or_else(|| anyhow::anyhow!("`/proc/meminfo` names no `MemTotal`"))
}

/// Watches the memory of process groups. One serves all workers of a job, so that they share each look at `/proc`.
#[derive(Debug)]
pub struct MemoryWatch {
    sample: Mutex<Sample>,
    kills: Mutex<u64>,
}

#[derive(Debug)]
struct Sample {
    taken: Option<Instant>,
    groups: HashMap<i32, u64>,
}

impl MemoryWatch {
    /// A watch that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let sample = Sample { taken: None, groups: HashMap::new() };
        Self { sample: Mutex::new(sample), kills: Mutex::new(kernel_kills()) }
    }

    /// Resident memory in bytes of the process group `group`. Memory that its processes share counts for each of them.
    pub(super) fn resident(&self, group: i32) -> u64 {
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        if sample.taken.is_none_or(|taken| taken.elapsed() > FRESH) {
            sample.groups.clear();
            let page = rustix::param::page_size() as u64;
            for stat in processes::all().into_iter().flatten().filter_map(Stat::read) {
                *sample.groups.entry(stat.group).or_default() += stat.resident_pages * page;
            }
            sample.taken = Some(Instant::now());
        }
        sample.groups.get(&group).copied().unwrap_or(0)
    }

    /// Memory in bytes of the process group `group`, shared memory divided among those that share it. Slower than
    /// [`Self::resident`]; asked only when that is over the limit.
    pub(super) fn proportional(&self, group: i32) -> u64 {
        let pids = processes::all().into_iter().flatten();
        let members = pids.filter_map(|pid| Stat::read(pid).filter(|stat| stat.group == group).map(|stat| (pid, stat)));
        let page = rustix::param::page_size() as u64;
        members.map(|(pid, stat)| proportional_of(pid).unwrap_or(stat.resident_pages * page)).sum()
    }

    /// Whether the kernel has killed a process for lack of memory since this was last asked.
    pub(super) fn kernel_killed(&self) -> bool {
        let now = kernel_kills();
        let mut before = self.kills.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *before, now) < now
    }
}

impl Default for MemoryWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn proportional_of(pid: i32) -> Option<u64> {
    let text = fs_err::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn kernel_kills() -> u64 {
    let text = fs_err::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    #[test]
    fn a_groups_memory_is_the_sum_of_its_processes() {
        let mut child =
            std::process::Command::new("/bin/sh").args(["-c", "sleep 60 & wait"]).process_group(0).spawn().unwrap();
        let group = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while MemoryWatch::new().resident(group) == 0 {
            assert!(Instant::now() < deadline, "the group never showed any memory");
        }
        let watch = MemoryWatch::new();
        let (resident, proportional) = (watch.resident(group), watch.proportional(group));
        assert!(proportional > 0 && resident < 1 << 30, "{resident} {proportional}");
        assert_eq!(watch.resident(-1), 0);
        let group = rustix::process::Pid::from_raw(group).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}
