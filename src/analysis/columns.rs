//! Which columns the table has, and of which type.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::AnalysisSpec;
use crate::domain::parameters::ParameterType;
use crate::domain::sweep::record::{Outcome, OutputValue, Record};

/// How many different outputs a table has at most; a model that names each run's outputs differently cannot make it
/// grow without end. Further ones are left out and a note says so.
pub const MOST_OUTPUTS: usize = 500;

/// For how many kept files the table has a column with their rows.
const MOST_FILES: usize = 50;

/// The columns that are not the model's, with their types.
const BEFORE: [&str; 4] = ["run_id", "role", "status", "failure"];
const AFTER: [&str; 3] = ["wall_seconds", "cpu_seconds", "peak_memory_mb"];

/// An output column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Whole numbers only.
    Int,
    /// Numbers.
    Float,
    /// True or false only.
    Bool,
    /// Text, or a mixture.
    Text,
}

impl OutputKind {
    /// The type that holds values of both; none stands for "no value seen".
    fn join(seen: Option<Self>, value: &OutputValue) -> Option<Self> {
        let kind = match value {
            OutputValue::Int(_) => Self::Int,
            OutputValue::Float(_) => Self::Float,
            OutputValue::Bool(_) => Self::Bool,
            OutputValue::Text(_) => Self::Text,
            OutputValue::Missing => return seen,
        };
        Some(match seen {
            None => kind,
            Some(seen) if seen == kind => kind,
            Some(Self::Int | Self::Float) if matches!(kind, Self::Int | Self::Float) => Self::Float,
            Some(_) => Self::Text,
        })
    }

    /// Whether statistics make sense.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }
}

/// One output's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// The output's name as the model writes it.
    pub output: String,
    /// Its type.
    pub kind: OutputKind,
}

/// The outputs that become columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Their columns in order.
    pub columns: Vec<OutputColumn>,
    /// Kept files whose rows were counted.
    pub files: Vec<String>,
    /// How many outputs did not fit, counted up to [`MOST_OUTPUTS`].
    pub left_out: usize,
}

/// The first pass: finds the outputs and their types.
///
/// Asked-for outputs become columns whether or not a run has them. When the sweep asks for none in particular, every
/// output does: those that the manifest declares and others as they are first seen. Only runs that succeeded count.
#[derive(Debug)]
pub struct Discovery {
    columns: Vec<(String, Option<OutputKind>)>,
    places: HashMap<String, usize>,
    only_wanted: bool,
    left_out: HashSet<String>,
    files: BTreeSet<String>,
}

impl Discovery {
    /// Begins with what `spec` asks for.
    #[must_use]
    pub fn new(spec: &AnalysisSpec) -> Self {
        let mut discovery = Self {
            columns: Vec::new(),
            places: HashMap::new(),
            only_wanted: !spec.outputs.is_empty(),
            left_out: HashSet::new(),
            files: BTreeSet::new(),
        };
        for name in &spec.outputs {
            discovery.place(name);
        }
        discovery
    }

    /// Looks at one record.
    pub fn see(&mut self, record: &Record) {
        if record.outcome != Outcome::Succeeded {
            return;
        }
        for name in record.rows.keys() {
            if !self.files.contains(name) && self.files.len() < MOST_FILES {
                self.files.insert(name.clone());
            }
        }
        for (name, value) in &record.outputs {
            let place = match self.places.get(name) {
                Some(place) => *place,
                None if self.only_wanted => continue,
                None if self.columns.len() >= MOST_OUTPUTS => {
                    if self.left_out.len() < MOST_OUTPUTS {
                        self.left_out.insert(name.clone());
                    }
                    continue;
                }
                None => self.place(name),
            };
            let kind = &mut self.columns[place].1;
            *kind = OutputKind::join(*kind, value);
        }
    }

    /// What was found. An output without any value counts as a number that is always missing.
    #[must_use]
    pub fn finish(self) -> Outputs {
        let columns = self
            .columns
            .into_iter()
            .map(|(output, kind)| OutputColumn { output, kind: kind.unwrap_or(OutputKind::Float) })
            .collect();
        Outputs { columns, files: self.files.into_iter().collect(), left_out: self.left_out.len() }
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.columns.len();
        self.columns.push((name.to_owned(), None));
        self.places.insert(name.to_owned(), place);
        place
    }
}

/// One column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) kind: OutputKind,
    pub(super) unit: String,
    pub(super) source: Source,
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    RunId,
    Role,
    Status,
    Failure,
    /// The parameter at this place in the manifest.
    Parameter(usize),
    /// The output at this place.
    Output(usize),
    /// The rows of the kept file at this place.
    Rows(usize),
    /// The difference of the output at this place from the baseline's.
    Difference(usize),
    WallSeconds,
    CpuSeconds,
    PeakMemory,
}

/// All columns in the table's order: the run, the moved parameters, the others, outputs, rows of kept files, differences,
/// what it took.
///
/// Names are unique: an output or a parameter whose name is taken already gets `_output` or `_parameter` behind it.
pub(super) fn table_columns(spec: &AnalysisSpec, outputs: &[OutputColumn], files: &[String]) -> Vec<TableColumn> {
    let mut taken: HashSet<String> = BEFORE.iter().chain(&AFTER).map(|name| (*name).to_owned()).collect();
    let mut columns = Vec::new();
    let sources = [Source::RunId, Source::Role, Source::Status, Source::Failure];
    for (name, source) in BEFORE.into_iter().zip(sources) {
        columns.push(TableColumn { name: name.to_owned(), kind: OutputKind::Text, unit: String::new(), source });
    }
    let (moved, others): (Vec<usize>, Vec<usize>) = (0..spec.parameters.len()).partition(|place| spec.moves(*place));
    for place in moved.into_iter().chain(others) {
        let parameter = &spec.parameters[place];
        columns.push(TableColumn {
            name: unique(&mut taken, &parameter.name, "parameter"),
            kind: parameter_kind(parameter.kind),
            unit: parameter.unit.clone(),
            source: Source::Parameter(place),
        });
    }
    let unit_of = |output: &str| spec.columns.get(output).map_or_else(String::new, |column| column.unit.clone());
    let mut names = Vec::new();
    for (place, output) in outputs.iter().enumerate() {
        let name = unique(&mut taken, &output.output, "output");
        names.push(name.clone());
        let unit = unit_of(&output.output);
        columns.push(TableColumn { name, kind: output.kind, unit, source: Source::Output(place) });
    }
    for (place, file) in files.iter().enumerate() {
        let name = unique(&mut taken, &format!("{file}_rows"), "counted");
        columns.push(TableColumn { name, kind: OutputKind::Int, unit: "rows".to_owned(), source: Source::Rows(place) });
    }
    if spec.has_baseline() {
        for (place, output) in outputs.iter().enumerate().filter(|(_, output)| output.kind.is_numeric()) {
            columns.push(TableColumn {
                name: unique(&mut taken, &format!("{}_difference", names[place]), "from_baseline"),
                kind: OutputKind::Float,
                unit: unit_of(&output.output),
                source: Source::Difference(place),
            });
        }
    }
    for (name, source, unit) in [
        (AFTER[0], Source::WallSeconds, "s"),
        (AFTER[1], Source::CpuSeconds, "s"),
        (AFTER[2], Source::PeakMemory, "MB"),
    ] {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        columns.push(TableColumn { name, kind: OutputKind::Float, unit, source });
    }
    columns
}

fn parameter_kind(kind: ParameterType) -> OutputKind {
    match kind {
        ParameterType::Float => OutputKind::Float,
        ParameterType::Int => OutputKind::Int,
        ParameterType::Bool => OutputKind::Bool,
        ParameterType::String | ParameterType::List => OutputKind::Text,
    }
}

fn unique(taken: &mut HashSet<String>, name: &str, suffix: &str) -> String {
    let mut unique = name.to_owned();
    while !taken.insert(unique.clone()) {
        unique = format!("{unique}_{suffix}");
    }
    unique
}
