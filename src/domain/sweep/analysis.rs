//! What an analysis tells in short: the part of it that comments and tables show.

use serde::{Deserialize, Serialize};

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
    /// Points at which both analyses have a number for it.
    pub compared: u64,
    /// Points at which the two numbers are not equal.
    pub differing: u64,
    /// The difference of largest size, second analysis minus first.
    pub largest: f64,
    /// Where that is: the joined parameters with their values. Empty when nothing differs.
    pub largest_at: Vec<(String, String)>,
    /// The relative difference of largest size, as a share of the first analysis's value; none when that is zero at
    /// every point that differs.
    pub largest_relative: Option<f64>,
    /// Where that is.
    pub largest_relative_at: Vec<(String, String)>,
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
    /// Rows that belong together and succeeded in both.
    pub matched: u64,
    /// Rows that succeeded in the first only.
    pub only_first: u64,
    /// Rows that succeeded in the second only.
    pub only_second: u64,
    /// Each output that both have as numbers.
    pub outputs: Vec<OutputDifference>,
    /// The columns of the short table: joined parameters, then the first output in both, their difference and its share.
    pub head_columns: Vec<String>,
    /// The first rows of the short table, at most 10, values as shown to people.
    pub head_rows: Vec<Vec<String>>,
}
