//! A random sample of a sweep's runs, chosen by hash.
//!
//! Each run has a rank that depends on the seed and on the run alone, and those of the lowest rank are chosen. So the same
//! seed chooses the same runs, in whatever order they come, and a sweep that grows by some runs keeps most of its sample.

use std::collections::{BinaryHeap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::domain::ids::RunId;

/// A sample that is being drawn. Its memory grows with its size, not with the number of runs that are offered.
#[derive(Debug, Clone)]
pub struct Sample {
    size: usize,
    seed: u64,
    lowest: BinaryHeap<([u8; 32], RunId)>,
}

impl Sample {
    /// An empty sample of at most `size` runs.
    #[must_use]
    pub fn new(size: usize, seed: u64) -> Self {
        Self { size, seed, lowest: BinaryHeap::new() }
    }

    /// Takes `run` into account.
    pub fn offer(&mut self, run: &RunId) {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(run.as_str());
        let rank: [u8; 32] = hash.finalize().into();
        if self.lowest.len() == self.size && self.lowest.peek().is_none_or(|(highest, _)| *highest <= rank) {
            return;
        }
        self.lowest.push((rank, run.clone()));
        if self.lowest.len() > self.size {
            self.lowest.pop();
        }
    }

    /// The runs that were chosen.
    #[must_use]
    pub fn finish(self) -> HashSet<RunId> {
        self.lowest.into_iter().map(|(_, run)| run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(size: usize, seed: u64, runs: impl Iterator<Item = u32>) -> HashSet<RunId> {
        let mut sample = Sample::new(size, seed);
        runs.for_each(|run| sample.offer(&RunId::from_hash(&Sha256::digest(run.to_le_bytes()))));
        sample.finish()
    }

    #[test]
    fn the_same_seed_chooses_the_same_runs_in_any_order() {
        let chosen = draw(20, 7, 0..500);
        assert_eq!(chosen.len(), 20);
        assert_eq!(chosen, draw(20, 7, (0..500).rev()));
        assert_ne!(chosen, draw(20, 8, 0..500));
    }

    #[test]
    fn a_sweep_that_grows_keeps_most_of_its_sample() {
        let (before, after) = (draw(50, 1, 0..1_000), draw(50, 1, 0..1_100));
        assert!(before.intersection(&after).count() >= 38, "{}", before.intersection(&after).count());
        assert_ne!(before, after);
    }

    #[test]
    fn a_small_sweep_is_its_own_sample_and_none_is_none() {
        assert_eq!(draw(50, 1, 0..8).len(), 8);
        assert!(draw(0, 1, 0..8).is_empty());
    }
}
