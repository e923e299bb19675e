//! From a sweep file and a manifest to the points that are run, and the ids of those runs.
//!
//! A [`Design`] is counted before anything is expanded and checked once from end to end; afterwards its points can be
//! walked over any number of times, always the same ones in the same order, and nothing can go wrong any more.

mod assemble;
mod axes;
mod identity;
mod summary;
mod walk;

use crate::domain::diagnostic::Faults;
use crate::domain::manifest::Manifest;
use crate::domain::parameters::Value;
use crate::domain::yaml::Files;

use super::design::condition::Condition;
use super::design::grid::Grid;
use super::design::rows::Rows;
use super::plan::{MovedParameter, PlanCounts};
use super::spec::SweepSpec;

pub use identity::{PlanHasher, RunIdentity, RunIds};
pub use walk::Points;

/// How large a design may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most points that a design may generate, and most runs.
    pub max_runs: u64,
    /// Who says so: `the policy`.
    pub whose: &'static str,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_runs: 1_000_000, whose: "this instance" }
    }
}

/// What a point is in its sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Only what the others are compared with.
    Baseline,
    /// A point of the design.
    Design,
    /// Both: the baseline is also a point of the design, and runs once.
    Both,
}

impl Role {
    /// Whether the point is what the others are compared with.
    #[must_use]
    pub fn is_baseline(self) -> bool {
        matches!(self, Self::Baseline | Self::Both)
    }

    /// Whether the point belongs to the design, and so to its statistics.
    #[must_use]
    pub fn is_design(self) -> bool {
        matches!(self, Self::Design | Self::Both)
    }
}

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its number within the sweep, from 0.
    pub index: u64,
    /// What it is.
    pub role: Role,
    /// A value for each parameter, in the manifest's order.
    pub values: Vec<Value>,
}

/// A sweep's points, counted and checked.
#[derive(Debug)]
pub struct Design {
    name: &'static str,
    generator: Generator,
    filter: Filter,
    included: Vec<Vec<Value>>,
    baseline: Option<(Vec<Value>, Role)>,
    names: Vec<String>,
    moved: Vec<(usize, MovedParameter)>,
    fixed: Vec<(String, String)>,
    baseline_shown: Vec<(String, String)>,
    counts: PlanCounts,
    notes: Vec<String>,
}

/// What generates the points, before anything is rejected.
#[derive(Debug)]
enum Generator {
    Grid(Grid),
    Rows { rows: Rows, base: Vec<Value> },
}

/// What rejects points.
#[derive(Debug, Default)]
struct Filter {
    condition: Option<Condition>,
    exclude: Vec<Vec<(usize, Value)>>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.condition.is_none() && self.exclude.is_empty()
    }
}

impl Design {
    /// Makes the design of `spec` for the model of `manifest`. `files` are the files of the sweep's own commit.
    ///
    /// # Errors
    /// Every fault that was found, in the sweep file or in a points file.
    pub fn new(spec: &SweepSpec, manifest: &Manifest, files: &dyn Files, limits: Limits) -> Result<Self, Faults> {
        assemble::design(spec, manifest, files, limits)
    }

    /// The design's name: `grid` or `points`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The points: the baseline first, then the design's in the manifest's order of parameters (the first one moves
    /// slowest), then those of `include`.
    #[must_use]
    pub fn points(&self) -> Points<'_> {
        Points::new(self)
    }

    /// How many points the design and `include` generate, before any is rejected.
    #[must_use]
    pub fn generated(&self) -> u64 {
        self.counts.generated
    }

    /// How many points `where` and `exclude` reject.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.counts.rejected
    }

    /// How many points equal an earlier one and are kept once.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.counts.repeated
    }

    /// How many runs there are, the baseline's included.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.counts.runs
    }

    /// All counts; none of the runs is counted as reused.
    #[must_use]
    pub fn counts(&self) -> PlanCounts {
        self.counts
    }

    /// The parameters that take more than one value in the design, in the manifest's order.
    #[must_use]
    pub fn moved(&self) -> Vec<MovedParameter> {
        self.moved.iter().map(|(_, moved)| moved.clone()).collect()
    }

    /// The values of the moved parameters at a point, as tables show them.
    #[must_use]
    pub fn moved_values(&self, values: &[Value]) -> Vec<(String, String)> {
        self.moved.iter().map(|(index, _)| (self.names[*index].clone(), values[*index].to_string())).collect()
    }

    /// Parameters that stand still at another value than their default.
    #[must_use]
    pub fn fixed(&self) -> Vec<(String, String)> {
        self.fixed.clone()
    }

    /// The baseline's values of the parameters that move or that differ between baseline and design; empty without a
    /// baseline.
    #[must_use]
    pub fn baseline(&self) -> Vec<(String, String)> {
        self.baseline_shown.clone()
    }

    /// Things worth knowing that stop nothing.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

#[cfg(test)]
mod tests;
