//! How much memory process groups use, by sampling `/proc`, and whether the kernel has killed for lack of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::processes::{self, Stat};

/// How long one look at all processes serves everybody who asks.
const FRESH: Duration = Duration::from_millis(50);

/// Where the kernel counts what it killed for lack of memory on the whole machine.
const MACHINE: &str = "/proc/vmstat";

/// Where it counts that for the container that this program is in; which of them is there depends on the kernel's
/// control groups.
const CONTAINER: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// What makes the kernel take a model's process before any other of the container.
const FIRST: &str = "1000";
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
    counter: Counter,
}

/// Where the kernel's kills are counted.
#[derive(Debug, PartialEq, Eq)]
enum Counter {
    /// With those of everybody on this machine.
    Machine,
    /// In a file for this container alone.
    Container(PathBuf),
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
        Self::counting(Counter::Machine)
    }

    /// A watch over the container that this program has for itself, where runs come one after another.
    #[must_use]
    pub(super) fn of_container() -> Self {
        let own = CONTAINER.into_iter().map(Path::new).find(|path| kills_in(path).is_some());
        Self::counting(own.map_or(Counter::Machine, |path| Counter::Container(path.to_owned())))
    }

    fn counting(counter: Counter) -> Self {
        let sample = Sample { taken: None, groups: HashMap::new() };
        Self { sample: Mutex::new(sample), kills: Mutex::new(counter.kills()), counter }
    }

    /// Lets the kernel take the new process `pid` and all that it starts when the container runs out of memory, rather
    /// than the runner beside it.
    pub(super) fn offer(&self, pid: u32) {
        if self.is_own() {
            // Without it the kernel takes the largest, which is hardly ever the runner.
            let _ = fs_err::write(format!("/proc/{pid}/oom_score_adj"), FIRST);
        }
    }

    /// What was killed so far is no concern of the run that begins now.
    pub(super) fn forget_kills(&self) {
        if self.is_own() {
            self.kernel_killed();
        }
    }

    /// Whether all that the kernel kills belongs to the run under way.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.counter, Counter::Container(_))
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
        let now = self.counter.kills();
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

impl Counter {
    fn kills(&self) -> u64 {
        let path = match self {
            Self::Machine => Path::new(MACHINE),
            Self::Container(path) => path,
        };
        kills_in(path).unwrap_or(0)
    }
}

fn kills_in(path: &Path) -> Option<u64> {
    let text = fs_err::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    #[test]
    fn kills_are_counted_for_the_machine_and_for_either_kind_of_control_group() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        let check = |text: &str, expect| {
            fs_err::write(&path, text).unwrap();
            assert_eq!(kills_in(&path), expect);
        };
        check("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n", Some(2));
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", Some(4));
        check("nr_free_pages 7\n", None);
        assert!(kills_in(Path::new(MACHINE)).is_some());
        let watch = MemoryWatch::counting(Counter::Container(path.clone()));
        check("oom_kill 5\n", Some(5));
        assert!(watch.kernel_killed() && !watch.kernel_killed());
        check("oom_kill 6\n", Some(6));
        watch.forget_kills();
        assert!(!watch.kernel_killed());
    }

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
