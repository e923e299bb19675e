//! A machine-wide job server: several jobs on one machine together run at most so many runs at once.
//!
//! Slots are lock files, so they fall with the process that holds them. Whoever wants slots first takes the gate, and
//! only the one at the gate collects: nobody holds some of the slots that it needs while another holds the rest. A
//! worker keeps its slots for a short while from run to run, so that short runs cost no waiting.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::lock::{open_lock, try_lock};
use super::spec::SlotsSpec;
use super::supervise::Stop;

/// The lock of the one who collects slots.
const GATE: &str = "gate";

/// How long a worker keeps its slots from run to run.
const KEEP: Duration = Duration::from_millis(250);

/// How long to wait before looking again whether the gate or a slot is free.
const AGAIN: Duration = Duration::from_millis(5);

/// Makes the slots' files so that jobs that may only read them, and run as any user, can use them.
///
/// # Errors
/// When the directory cannot be written.
pub fn make_slots(spec: &SlotsSpec) -> std::io::Result<()> {
    fs_err::create_dir_all(&spec.directory)?;
    fs_err::set_permissions(&spec.directory, PermissionsExt::from_mode(0o755))?;
    for name in (0..spec.count.max(1)).map(|slot| slot.to_string()).chain([GATE.to_owned()]) {
        let file = open_lock(&spec.directory.join(name))?;
        if file.metadata()?.permissions().mode() & 0o444 != 0o444 {
            file.set_permissions(PermissionsExt::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// One worker's share of the slots.
#[derive(Debug)]
pub(super) struct Slots {
    gate: fs_err::File,
    files: Vec<fs_err::File>,
    needed: usize,
    held: Vec<usize>,
    since: Instant,
}

impl Slots {
    /// Opens the slots for one worker whose runs need `milli_cpus` thousandths of a processor each. A run that needs
    /// more than there is takes all.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(super) fn open(spec: &SlotsSpec, milli_cpus: u32) -> anyhow::Result<Self> {
        fs_err::create_dir_all(&spec.directory).context("failed to make the directory of slots")?;
        let open = |name: &str| open_lock(&spec.directory.join(name)).context("failed to open a slot");
        let count = spec.count.max(1);
        let files = (0..count).map(|slot| open(&slot.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        let needed = milli_cpus.div_ceil(1000).clamp(1, count);
        let needed = usize::try_from(needed).context("too many slots")?;
        Ok(Self { gate: open(GATE)?, files, needed, held: Vec::new(), since: Instant::now() })
    }

    /// Waits until this worker may run. Says false when `stop` was requested first.
    ///
    /// # Errors
    /// When the locks cannot be used.
    pub(super) fn acquire(&mut self, stop: &Stop) -> anyhow::Result<bool> {
        if !self.held.is_empty() && self.since.elapsed() < KEEP {
            return Ok(true);
        }
        self.release();
        while !try_lock(&self.gate).context("failed to lock the gate to the slots")? {
            if stop.wait(AGAIN) {
                return Ok(false);
            }
        }
        let collected = self.collect(stop);
        self.gate.unlock().context("failed to open the gate to the slots")?;
        if !matches!(collected, Ok(true)) {
            self.release();
        }
        self.since = Instant::now();
        collected
    }

    fn collect(&mut self, stop: &Stop) -> anyhow::Result<bool> {
        loop {
            for slot in 0..self.files.len() {
                let wanted = self.held.len() < self.needed && !self.held.contains(&slot);
                if wanted && try_lock(&self.files[slot]).context("failed to lock a slot")? {
                    self.held.push(slot);
                }
            }
            if self.held.len() == self.needed {
                return Ok(true);
            }
            if stop.wait(AGAIN) {
                return Ok(false);
            }
        }
    }

    fn release(&mut self) {
        for slot in self.held.drain(..) {
            // A lock that cannot be released falls with the file at the latest.
            let _ = self.files[slot].unlock();
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // Closing the files would do, but for a child that is just being started and has them open as well.
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[test]
    fn workers_together_never_hold_more_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let spec = SlotsSpec { directory: dir.path().join("slots"), count: 3 };
        let (used, peak, stop) = (AtomicI64::new(0), AtomicI64::new(0), Stop::new().unwrap());
        std::thread::scope(|scope| {
            for worker in 0..4_u32 {
                let (spec, used, peak, stop) = (&spec, &used, &peak, &stop);
                scope.spawn(move || {
                    let needed = 1 + i64::from(worker % 2);
                    for _ in 0..20 {
                        let mut slots = Slots::open(spec, 1000 + 1000 * (worker % 2)).unwrap();
                        assert!(slots.acquire(stop).unwrap());
                        let now = used.fetch_add(needed, Ordering::SeqCst) + needed;
                        peak.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        used.fetch_sub(needed, Ordering::SeqCst);
                    }
                });
            }
        });
        let peak = peak.load(Ordering::SeqCst);
        assert!((2..=3).contains(&peak), "{peak}");
    }

    #[test]
    fn a_worker_that_waits_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let spec = SlotsSpec { directory: dir.path().to_owned(), count: 2 };
        let stop = Stop::new().unwrap();
        let mut all = Slots::open(&spec, 9000).unwrap();
        assert!(all.acquire(&stop).unwrap());
        stop.stop();
        let mut one = Slots::open(&spec, 500).unwrap();
        assert!(!one.acquire(&stop).unwrap());
        drop(all);
        assert!(one.acquire(&stop).unwrap(), "what is free is taken without waiting");
    }
}
