//! Which failed runs are done again by themselves, and how often.

use serde::{Deserialize, Serialize};

use super::record::FailureClass;

/// How often failed runs are done again, by class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetryRules {
    /// Rounds in a row that may bring no result before a sweep gives up on interrupted runs, the first one left out.
    pub interruption: u32,
    /// How often a run that was out of memory is given more.
    pub oom: u32,
    /// What its memory is multiplied with each time; above 1.
    pub oom_factor: f64,
    /// How often a run is done again that ran longer than its limit.
    pub timeout: u32,
    /// How often a run is done again that failed by its own doing: an error, no or wrong outputs, no start.
    pub error: u32,
}

impl Default for RetryRules {
    /// Interruptions as long as rounds bring results, lack of memory once with twice as much, nothing else.
    fn default() -> Self {
        Self { interruption: 2, oom: 1, oom_factor: 2.0, timeout: 0, error: 0 }
    }
}

impl RetryRules {
    /// Whether these are the rules of a sweep that says nothing about it.
    #[must_use]
    pub fn are_default(&self) -> bool {
        *self == Self::default()
    }

    /// How often a run of this class is done again. Interruptions are not counted by run.
    #[must_use]
    pub fn times(&self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Interrupted => 0,
            FailureClass::OutOfMemory => self.oom,
            FailureClass::Timeout => self.timeout,
            FailureClass::CannotStart | FailureClass::InvalidOutput | FailureClass::ModelError => self.error,
        }
    }

    /// The memory after `memory`, at most `most`; none when there is no more to give.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "memory is far below 2^53 bytes and the factor above 1"
    )]
    pub fn more_memory(&self, memory: u64, most: u64) -> Option<u64> {
        let more = ((memory as f64 * self.oom_factor) as u64).min(most);
        (more > memory).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_by_its_factor_up_to_the_ceiling() {
        let rules = RetryRules::default();
        assert_eq!(rules.more_memory(512, 2_000), Some(1_024));
        assert_eq!(rules.more_memory(1_024, 2_000), Some(2_000));
        assert_eq!(rules.more_memory(2_000, 2_000), None);
        assert_eq!(rules.more_memory(2_000, 1_000), None, "a manifest may ask for more than the ceiling");
    }
}
