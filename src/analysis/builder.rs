//! The second pass: takes rows and writes both files as they come.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use anyhow::ensure;

use super::AnalysisSpec;
use super::columns::{OutputColumn, Outputs, Source, TableColumn, table_columns};
use super::delimited::{Cell, DelimitedWriter};
use super::effects::Effects;
use super::page::Report;
use super::summary::{Counts, Curve, Series, notes, shown_output, statistics, texts};
use super::typed::TypedWriter;
use super::warnings::warnings;
use crate::domain::ids::RunId;
use crate::domain::parameters::Value;
use crate::domain::sweep::analysis::{AnalysisSummary, ArtifactFile, FileRows};
use crate::domain::sweep::points::Role;
use crate::domain::sweep::record::{Outcome, OutputValue, Record};

/// How many rows the head of the table has.
const HEAD_ROWS: usize = 10;

/// How many columns the head of the table has.
const HEAD_COLUMNS: usize = 8;

/// One run with what it left.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// What it is for.
    pub role: Role,
    /// The run.
    pub run: &'a RunId,
    /// One value for each of the specification's parameters, in their order.
    pub values: &'a [Value],
    /// Its record; none when it never ended.
    pub record: Option<&'a Record>,
}

/// The writers back, with both files complete but not flushed to disk by us.
#[derive(Debug)]
pub struct AnalysisFiles<C, P> {
    /// Where the CSV file went.
    pub csv: C,
    /// Where the Parquet file went.
    pub parquet: P,
    /// The page for people, as HTML that needs nothing else.
    pub report: String,
}

/// Writes the table as CSV and as Parquet and gathers its summary and its page.
pub struct AnalysisBuilder<C: Write, P: Write + Send> {
    spec: AnalysisSpec,
    outputs: Vec<OutputColumn>,
    places: HashMap<String, usize>,
    columns: Vec<TableColumn>,
    csv: DelimitedWriter<Counted<C>>,
    parquet: TypedWriter<Counted<P>>,
    series: Vec<Series>,
    curve: Option<Curve>,
    effects: Effects,
    report: Report,
    files: Vec<String>,
    /// Fewest and most rows of each file.
    rows: Vec<Option<(u64, u64)>>,
    counts: Counts,
    head: Vec<Source>,
    head_rows: Vec<Vec<String>>,
}

impl<C: Write, P: Write + Send> AnalysisBuilder<C, P> {
    /// Begins both files. `outputs` is what [`Discovery`](super::Discovery) found.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(spec: AnalysisSpec, outputs: Outputs, csv: C, parquet: P) -> anyhow::Result<Self> {
        let Outputs { columns: outputs, files, left_out } = outputs;
        let columns = table_columns(&spec, &outputs, &files);
        let places = outputs.iter().enumerate().map(|(place, column)| (column.output.clone(), place)).collect();
        Ok(Self {
            csv: DelimitedWriter::new(Counted { target: csv, bytes: 0 }, &columns)?,
            parquet: TypedWriter::new(Counted { target: parquet, bytes: 0 }, &columns, &spec.origin)?,
            series: outputs.iter().map(|_| Series::default()).collect(),
            curve: Curve::new(&spec, &outputs),
            effects: Effects::new(&spec),
            report: Report::new(&spec, &columns, &outputs),
            rows: vec![None; files.len()],
            files,
            counts: Counts { left_out, ..Counts::default() },
            head: head_sources(&columns, &spec),
            head_rows: Vec::new(),
            places,
            columns,
            outputs,
            spec,
        })
    }

    /// Adds a run. The baseline's comes first, when there is one.
    ///
    /// # Errors
    /// When a file cannot be written, when the values are not one for each parameter, or when the baseline comes late.
    pub fn push(&mut self, row: Row<'_>) -> anyhow::Result<()> {
        ensure!(
            row.values.len() == self.spec.parameters.len(),
            "run `{}` has {} values for {} parameters",
            row.run,
            row.values.len(),
            self.spec.parameters.len()
        );
        ensure!(
            !row.role.is_baseline() || self.counts.rows == 0,
            "the baseline's run `{}` must be the first row, not row {}",
            row.run,
            self.counts.rows + 1
        );
        let good = row.record.filter(|record| record.outcome == Outcome::Succeeded);
        let outputs = self.place_outputs(good);
        self.count(row, &outputs, good.is_some());
        if let Some(record) = good {
            self.effects.push(row.values, record);
            for (file, known) in self.files.iter().zip(&mut self.rows) {
                if let Some(rows) = record.rows.get(file) {
                    let (min, max) = known.unwrap_or((*rows, *rows));
                    *known = Some((min.min(*rows), max.max(*rows)));
                }
            }
        }
        let cells: Vec<Cell<'_>> = self.columns.iter().map(|column| self.cell(column.source, &row, &outputs)).collect();
        self.csv.write(&cells)?;
        self.parquet.write(&cells)?;
        self.report.see(row.record);
        if self.report.has_room() {
            let shown = self.report.sources().iter().map(|source| self.shown(*source, &row, &outputs)).collect();
            self.report.push_row(row.run, shown);
        }
        if row.role.is_design() {
            self.report.push_points(row.values, &outputs);
        }
        if self.head_rows.len() < HEAD_ROWS {
            let shown = self.head.iter().map(|source| self.shown(*source, &row, &outputs)).collect();
            self.head_rows.push(shown);
        }
        Ok(())
    }

    /// Completes the files and tells the analysis in short. The files' keys lie in the specification's place.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(self) -> anyhow::Result<(AnalysisSummary, AnalysisFiles<C, P>)> {
        let csv = self.csv.finish()?;
        let parquet = self.parquet.finish()?;
        let file = |name: &str, bytes: u64| ArtifactFile {
            name: name.to_owned(),
            key: format!("{}/{name}", self.spec.place),
            bytes,
        };
        let name_of = |source: &Source| {
            self.columns.iter().find(|column| column.source == *source).map_or_else(String::new, |c| c.name.clone())
        };
        let column_of = |place: usize| name_of(&Source::Rows(place));
        let counted = self.files.iter().zip(&self.rows).enumerate();
        let file_rows: Vec<FileRows> = counted
            .filter_map(|(place, (file, rows))| {
                let (min, max) = (*rows)?;
                Some(FileRows { file: file.clone(), column: column_of(place), min, max })
            })
            .collect();
        let warnings = warnings(&self.spec, &self.outputs, &self.series, (self.effects, &file_rows));
        let mut summary = AnalysisSummary {
            rows: self.counts.rows,
            file_rows,
            warnings,
            missing: self.counts.missing,
            statistics: statistics(&self.spec, &self.outputs, &self.series),
            texts: texts(&self.outputs),
            chart: self.curve.and_then(|curve| curve.finish(&self.spec, &self.outputs)),
            head_columns: self.head.iter().map(name_of).collect(),
            head_rows: self.head_rows,
            files: vec![file("analysis.csv", csv.bytes), file("analysis.parquet", parquet.bytes)],
            notes: notes(self.counts),
        };
        let names: Vec<String> = self.report.sources().iter().map(name_of).collect();
        let report = self.report.finish(&self.spec, &names, &summary);
        summary.files.insert(0, file("report.html", report.len() as u64));
        Ok((summary, AnalysisFiles { csv: csv.target, parquet: parquet.target, report }))
    }

    /// The record's outputs in the columns' order.
    fn place_outputs<'r>(&self, record: Option<&'r Record>) -> Vec<Option<&'r OutputValue>> {
        let mut placed = vec![None; self.outputs.len()];
        for (name, value) in record.map_or(&[][..], |record| &record.outputs) {
            if let Some(place) = self.places.get(name) {
                placed[*place] = Some(value);
            }
        }
        placed
    }

    fn count(&mut self, row: Row<'_>, outputs: &[Option<&OutputValue>], succeeded: bool) {
        self.counts.rows += 1;
        if !succeeded {
            self.counts.missing += 1;
        }
        if !succeeded {
            self.counts.baseline_failed |= row.role.is_baseline();
            return;
        }
        if row.role.is_baseline() {
            for (series, value) in self.series.iter_mut().zip(outputs) {
                series.set_baseline(*value);
            }
        }
        if row.role.is_design() {
            for (series, value) in self.series.iter_mut().zip(outputs) {
                series.push(*value);
            }
            if let Some(curve) = &mut self.curve {
                curve.push(row.values, outputs);
            }
        }
    }

    fn cell<'r>(&self, source: Source, row: &Row<'r>, outputs: &[Option<&'r OutputValue>]) -> Cell<'r> {
        let measured = |amount: fn(&Record) -> u64, per_unit: f64| match row.record {
            #[expect(clippy::cast_precision_loss, reason = "measured times and sizes are far below 2^53")]
            Some(record) => Cell::Float(amount(record) as f64 / per_unit),
            None => Cell::Missing,
        };
        match source {
            Source::RunId => Cell::Text(Cow::Borrowed(row.run.as_str())),
            Source::Role => Cell::Text(Cow::Borrowed(match row.role {
                Role::Baseline | Role::Both => "baseline",
                Role::Design => "design",
            })),
            Source::Status => Cell::Text(Cow::Borrowed(status(row.record))),
            Source::Failure => match row.record.map(|record| &record.outcome) {
                Some(Outcome::Failed { class, .. }) => Cell::Text(Cow::Borrowed(class.words())),
                Some(Outcome::Succeeded) | None => Cell::Missing,
            },
            Source::Parameter(place) => parameter_cell(&row.values[place]),
            Source::Output(place) => outputs[place].map_or(Cell::Missing, output_cell),
            Source::Rows(place) => {
                let rows = row.record.and_then(|record| record.rows.get(&self.files[place]));
                rows.and_then(|rows| i64::try_from(*rows).ok()).map_or(Cell::Missing, Cell::Int)
            }
            Source::Difference(place) => self.difference(place, outputs).map_or(Cell::Missing, Cell::Float),
            Source::WallSeconds => measured(|record| record.wall_ms, 1e3),
            Source::CpuSeconds => measured(|record| record.cpu_ms, 1e3),
            Source::PeakMemory => measured(|record| record.peak_memory, 1e6),
        }
    }

    fn difference(&self, place: usize, outputs: &[Option<&OutputValue>]) -> Option<f64> {
        let difference = outputs[place]?.number()? - self.series[place].baseline()?;
        difference.is_finite().then_some(difference)
    }

    /// A value in the head of the table.
    fn shown(&self, source: Source, row: &Row<'_>, outputs: &[Option<&OutputValue>]) -> String {
        match source {
            Source::Parameter(place) => row.values[place].to_string(),
            Source::Output(place) => match row.record.map(|record| &record.outcome) {
                Some(Outcome::Succeeded) => outputs[place].map_or_else(String::new, shown_output),
                Some(Outcome::Failed { class, .. }) => class.words().to_owned(),
                None => "no result".to_owned(),
            },
            Source::Difference(place) => self
                .difference(place, outputs)
                .map_or_else(String::new, |difference| shown_output(&OutputValue::Float(difference))),
            Source::RunId => row.run.short().to_owned(),
            Source::Role
            | Source::Status
            | Source::Failure
            | Source::Rows(_)
            | Source::WallSeconds
            | Source::CpuSeconds
            | Source::PeakMemory => String::new(),
        }
    }
}

/// The columns that the head shows: moved parameters, outputs, and the first output's difference.
fn head_sources(columns: &[TableColumn], spec: &AnalysisSpec) -> Vec<Source> {
    let is_moved = |source: &Source| matches!(source, Source::Parameter(place) if spec.moves(*place));
    let moved = columns.iter().map(|column| column.source).filter(is_moved);
    let mut head: Vec<Source> = moved.take(HEAD_COLUMNS - 2).collect();
    let difference = columns.iter().map(|column| column.source).find(|source| matches!(source, Source::Difference(_)));
    let room = HEAD_COLUMNS - head.len() - usize::from(difference.is_some());
    let outputs = columns.iter().map(|column| column.source).filter(|source| matches!(source, Source::Output(_)));
    head.extend(outputs.take(room));
    head.extend(difference);
    head
}

fn status(record: Option<&Record>) -> &'static str {
    match record.map(|record| &record.outcome) {
        Some(Outcome::Succeeded) => "succeeded",
        Some(Outcome::Failed { .. }) => "failed",
        None => "missing",
    }
}

fn parameter_cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Bool(value) => Cell::Bool(*value),
        Value::Int(value) => Cell::Int(*value),
        Value::Float(value) => Cell::Float(*value),
        Value::Text(value) => Cell::Text(Cow::Borrowed(value)),
        Value::List(_) => Cell::Text(Cow::Owned(value.to_string())),
    }
}

fn output_cell(value: &OutputValue) -> Cell<'_> {
    match value {
        OutputValue::Int(value) => Cell::Int(*value),
        OutputValue::Float(value) => Cell::Float(*value),
        OutputValue::Bool(value) => Cell::Bool(*value),
        OutputValue::Text(value) => Cell::Text(Cow::Borrowed(value)),
        OutputValue::Missing => Cell::Missing,
    }
}

/// Counts what goes through.
struct Counted<W> {
    target: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.target.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}
