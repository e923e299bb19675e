//! Records in, one table out: every run's inputs joined with its outputs, as CSV and as Parquet, and a page for people.
//!
//! Rows stream through; memory does not grow with their number. That needs the columns before the first row, so the
//! records are read twice: [`Discovery`] looks at each record for the outputs and their types, then [`AnalysisBuilder`]
//! takes each run with its record, the baseline first. Nothing here reads the store or asks the time: the caller
//! brings rows and writers.

mod builder;
mod cloud;
mod columns;
mod compare;
mod delimited;
mod effects;
mod page;
mod plot;
mod summary;
mod typed;
mod warnings;

pub use builder::{AnalysisBuilder, AnalysisFiles, Row};
pub use columns::{Discovery, MOST_OUTPUTS, OutputColumn, OutputKind, Outputs};
pub use compare::{Side, compare};

use std::collections::BTreeMap;

use crate::domain::ids::{Digest, ModelName, SweepId, VersionId};
use crate::domain::manifest::{Column, FileCheck};
use crate::domain::parameters::Parameter;

/// What an analysis is made of, before any row.
#[derive(Debug, Clone)]
pub struct AnalysisSpec {
    /// The model's parameters in the manifest's order; every row brings one value for each.
    pub parameters: Vec<Parameter>,
    /// The names of those that the sweep moves.
    pub moved: Vec<String>,
    /// The outputs that the sweep asks for, the most important first; empty means all.
    pub outputs: Vec<String>,
    /// Units of the outputs, as the manifest declares them.
    pub columns: BTreeMap<String, Column>,
    /// What kept files must be, as the manifest declares it.
    pub file_checks: BTreeMap<String, FileCheck>,
    /// Whether the sweep has a baseline, whose row comes first and from which differences are taken.
    pub has_baseline: bool,
    /// Where the files will lie in the artifact store: `sweeps/<id>`.
    pub place: String,
    /// What the Parquet file says of its origin.
    pub origin: Origin,
}

impl AnalysisSpec {
    /// Whether the sweep moves the parameter at that place.
    fn moves(&self, place: usize) -> bool {
        self.moved.contains(&self.parameters[place].name)
    }
}

/// Where an analysis comes from; written into the Parquet file's metadata.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The sweep.
    pub sweep: SweepId,
    /// The model.
    pub model: ModelName,
    /// The version that ran.
    pub version: VersionId,
    /// The plan.
    pub plan: Digest,
}
