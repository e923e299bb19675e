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
use crate::domain::report::Links;
use crate::domain::sweep::plan::{MovedParameter, Scale};

/// What an analysis is made of, before any row.
#[derive(Debug, Clone)]
pub struct AnalysisSpec {
    /// The model's parameters in the manifest's order; every row brings one value for each.
    pub parameters: Vec<Parameter>,
    /// Those that the sweep moves.
    pub moved: Vec<MovedParameter>,
    /// Those that the sweep holds at a value, with that value.
    pub fixed: Vec<(String, String)>,
    /// What the baseline is made of; empty without one. Its row comes first, and differences are taken from it.
    pub baseline: Vec<(String, String)>,
    /// The outputs that the sweep asks for, the most important first; empty means all.
    pub outputs: Vec<String>,
    /// Units of the outputs, as the manifest declares them.
    pub columns: BTreeMap<String, Column>,
    /// What kept files must be, as the manifest declares it.
    pub file_checks: BTreeMap<String, FileCheck>,
    /// Where the files will lie in the artifact store: `sweeps/<id>`.
    pub place: String,
    /// What the Parquet file says of its origin.
    pub origin: Origin,
    /// Where readers find what the runs left.
    pub links: Links,
}

impl AnalysisSpec {
    /// Whether the sweep moves the parameter at that place.
    fn moves(&self, place: usize) -> bool {
        self.scale(place).is_some()
    }

    /// How the sweep spreads the parameter at that place; none when it does not move it.
    fn scale(&self, place: usize) -> Option<Scale> {
        let name = &self.parameters[place].name;
        self.moved.iter().find(|moved| moved.name == *name).map(|moved| moved.scale)
    }

    /// Whether differences are taken from a baseline.
    fn has_baseline(&self) -> bool {
        !self.baseline.is_empty()
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
