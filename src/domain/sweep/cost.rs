//! What runs cost: an executor's prices times what a run holds while it runs.
//!
//! Prices are estimates of the instance's owner, not a bill. Only finished runs are counted, so a sum is always a little
//! behind what is spent.

use serde::{Deserialize, Serialize};

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// Bytes of a GiB.
const GIB: f64 = (1_u64 << 30) as f64;

/// What an executor costs, in USD. Zero means that it costs nothing, or that nobody has said what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// One processor for an hour.
    pub vcpu_hour: f64,
    /// One GiB of memory for an hour.
    pub gib_hour: f64,
}

impl Price {
    /// Whether anything has a price.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.vcpu_hour > 0.0 || self.gib_hour > 0.0
    }

    /// What runs cost that took `run_ms` milliseconds together, each with `milli_cpus` thousandths of a processor and
    /// `memory` bytes, in USD.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "money is shown with a few digits")]
    pub fn of(&self, milli_cpus: u32, memory: u64, run_ms: u64) -> f64 {
        let an_hour = self.vcpu_hour * f64::from(milli_cpus) / 1_000.0 + self.gib_hour * memory as f64 / GIB;
        an_hour * run_ms as f64 / HOUR_MS
    }
}

/// What one run of a plan holds while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Processors, in thousandths of one.
    pub milli_cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// How much memory a run may be given that needs more, in bytes.
    pub most_memory: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_costs_its_processors_and_its_memory_for_as_long_as_it_runs() {
        let price = Price { vcpu_hour: 0.04, gib_hour: 0.01 };
        let half_an_hour = price.of(2_000, 4 << 30, 1_800_000);
        assert!((half_an_hour - 0.06).abs() < 1e-12, "{half_an_hour}");
        assert!(price.is_known() && !Price::default().is_known());
    }
}
