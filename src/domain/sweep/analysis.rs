//! What an analysis tells in short: the part of it that comments and tables show.

use serde::{Deserialize, Serialize};

use super::record::OutputValue;

/// Statistics of one output over all runs that succeeded, the baseline left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputStatistics {
    /// The output's name.
    pub output: String,
    /// Its unit; empty when there is none.
    pub unit: String,
    /// How many runs have a number for it.
    pub count: u64,
    /// Smallest value.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); none for a single value.
    pub deviation: Option<f64>,
    /// Largest value.
    pub max: f64,
    /// The baseline run's value.
    pub baseline: Option<f64>,
}

/// A line to draw: one output against the one parameter that moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// The parameter on the x axis.
    pub parameter: String,
    /// Its unit.
    pub parameter_unit: String,
    /// The output on the y axis.
    pub output: String,
    /// Its unit.
    pub output_unit: String,
    /// The points in order of x; at most 60, evenly thinned out beyond that.
    pub points: Vec<(f64, f64)>,
}

/// A file that an analysis or a sweep left in the artifact store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// Its name: `analysis.csv`.
    pub name: String,
    /// Its key in the artifact store: `sweeps/<id>/analysis.csv`.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// An analysis in short; bounded whatever the number of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalysisSummary {
    /// Rows of the table, the baseline's included.
    pub rows: u64,
    /// Runs of the plan without a result, failed ones included.
    pub missing: u64,
    /// Statistics of each numeric output, in the sweep's order.
    pub statistics: Vec<OutputStatistics>,
    /// The chart, when exactly one numeric parameter moves.
    pub chart: Option<Chart>,
    /// The head of the table: column names of moved parameters and outputs.
    pub head_columns: Vec<String>,
    /// The first rows, at most 10, values as shown to people.
    pub head_rows: Vec<Vec<String>>,
    /// The files.
    pub files: Vec<ArtifactFile>,
    /// Outputs that are not numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Suspicions that are worth a look, one sentence each.
    pub notes: Vec<String>,
}

/// How one output differs between two analyses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputDifference {
    /// The output's name.
    pub output: String,
    /// Its unit; empty when there is none.
    pub unit: String,
    /// Points at which both analyses have a value for it.
    pub compared: u64,
    /// Points at which the two values are not equal.
    pub differing: u64,
    /// Points at which only the first analysis has a value.
    pub vanished: u64,
    /// Points at which only the second analysis has a value.
    pub appeared: u64,
    /// The mean of the differences, second analysis minus first, over all compared points; zero for texts.
    pub mean: f64,
    /// The mean of the relative differences, over the compared points at which the first value is not zero.
    pub mean_relative: Option<f64>,
    /// The difference of largest size, second analysis minus first; zero for texts.
    pub largest: f64,
    /// Where that is: the joined parameters with their values. Empty when nothing differs.
    pub largest_at: Vec<(String, String)>,
    /// The relative difference of largest size, as a share of the first analysis's value; none when that is zero at
    /// every point that differs.
    pub largest_relative: Option<f64>,
    /// Where that is.
    pub largest_relative_at: Vec<(String, String)>,
    /// Both values at the largest relative difference; at the largest difference when there is no relative one, and at
    /// the first point that differs for texts.
    pub values: Option<(OutputValue, OutputValue)>,
}

impl OutputDifference {
    /// Whether anything about this output differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.differing + self.vanished + self.appeared > 0
    }
}

/// A point that has a result in one analysis and failed in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPoint {
    /// The joined parameters with their values.
    pub at: Vec<(String, String)>,
    /// The failure's class in words; empty when the run never ended.
    pub failure: String,
}

/// What the points that succeeded in both analyses took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Wall time of all of them together, in seconds.
    pub wall_seconds: f64,
    /// The largest peak of memory, in megabytes.
    pub peak_memory_mb: f64,
}

/// How two analyses differ at the points that both have. Bounded whatever the number of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the first analysis is called.
    pub first: String,
    /// What the second analysis is called.
    pub second: String,
    /// Parameters that decide which rows belong together.
    pub joined_on: Vec<String>,
    /// Points that succeeded in both.
    pub matched: u64,
    /// Points that only the first has.
    pub only_first: u64,
    /// Points that only the second has.
    pub only_second: u64,
    /// Points that succeeded in the first and have no result in the second.
    pub failing: u64,
    /// The first of them, at most 5.
    pub failing_at: Vec<FailedPoint>,
    /// Points that have no result in the first and succeeded in the second.
    pub mended: u64,
    /// Points that have no result in either.
    pub failing_in_both: u64,
    /// Each output that both have, the most important first.
    pub outputs: Vec<OutputDifference>,
    /// Outputs that only the first has; at most 20.
    pub outputs_only_first: Vec<String>,
    /// Outputs that only the second has; at most 20.
    pub outputs_only_second: Vec<String>,
    /// What the first took, and what the second took; none when nothing matched.
    pub effort: Option<(Effort, Effort)>,
    /// The columns of the short table: joined parameters, then the first output in both, their difference and its share.
    pub head_columns: Vec<String>,
    /// The first rows of the short table, at most 10, values as shown to people.
    pub head_rows: Vec<Vec<String>>,
}

impl Comparison {
    /// Whether anything that is compared differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.failing + self.mended + self.only_first + self.only_second > 0
            || !self.outputs_only_first.is_empty()
            || !self.outputs_only_second.is_empty()
            || self.outputs.iter().any(OutputDifference::differs)
    }

    /// The output that moved most: by its largest relative difference, or by the difference itself where none has a
    /// relative one.
    #[must_use]
    pub fn largest_mover(&self) -> Option<&OutputDifference> {
        let moved = self.outputs.iter().filter(|output| output.differing > 0);
        // Of equals the first, which is the more important one.
        moved.fold(None, |most: Option<&OutputDifference>, output| match most {
            Some(most) if size(output) <= size(most) => Some(most),
            Some(_) | None => Some(output),
        })
    }
}

/// How far an output moved: outputs with a relative difference go before those without.
fn size(output: &OutputDifference) -> (f64, f64) {
    (output.largest_relative.map_or(-1.0, f64::abs), output.largest.abs())
}
