//! Packing: how many jobs share the runs of a round.
//!
//! Starting a job costs time, a container's some tenth of a second. A job should last long against that, and no longer:
//! jobs are what runs at the same time.

use std::time::Duration;

/// A job's worth of work where nobody says otherwise: a container costs a fiftieth of it.
pub const PACK: Duration = Duration::from_secs(5);

/// What the number of jobs depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Runs of the round.
    pub runs: u64,
    /// How long one takes, in milliseconds; none when nobody has seen one yet.
    pub run_ms: Option<u64>,
    /// How much work one job should have.
    pub pack: Duration,
    /// Most jobs at once.
    pub parallel: u32,
}

impl Packing {
    /// How many jobs: as many as have `pack` of work each, at least one and at most `parallel`. As long as nobody knows
    /// how long a run takes, it may be long: then there are as many as there may be.
    #[must_use]
    pub fn jobs(&self) -> u32 {
        let most = u64::from(self.parallel).min(self.runs).max(1);
        let wanted = match self.run_ms {
            Some(run_ms) => u128::from(self.runs) * u128::from(run_ms) / self.pack.as_millis().max(1),
            None => u128::from(most),
        };
        let jobs = wanted.clamp(1, u128::from(most));
        u32::try_from(jobs).expect("there are at most `parallel` jobs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(runs: u64, run_ms: Option<u64>, expect: u32) {
        assert_eq!(Packing { runs, run_ms, pack: Duration::from_secs(5), parallel: 8 }.jobs(), expect);
    }

    #[test]
    fn short_runs_share_a_job() {
        check(100, Some(10), 1);
        check(999, Some(10), 1);
        check(1500, Some(10), 3);
        check(1_000_000, Some(10), 8);
    }

    #[test]
    fn long_runs_have_a_job_each_as_far_as_there_may_be() {
        check(3, Some(60_000), 3);
        check(20, Some(60_000), 8);
    }

    #[test]
    fn runs_that_nobody_has_seen_may_be_long() {
        check(100, None, 8);
        check(2, None, 2);
    }

    #[test]
    fn there_is_always_a_job() {
        check(0, None, 1);
        check(5, Some(0), 1);
        assert_eq!(Packing { runs: u64::MAX, run_ms: Some(u64::MAX), pack: Duration::ZERO, parallel: 0 }.jobs(), 1);
    }
}
