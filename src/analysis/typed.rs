//! The table as Parquet, with a type for each column.
//!
//! Rows are gathered in small batches and row groups have a bounded size, so a long table needs no more memory than a
//! short one.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Origin;
use super::columns::{OutputKind, Source, TableColumn};
use super::delimited::{Cell, exact};

/// How many rows are gathered before they are encoded.
const BATCH_ROWS: usize = 1_024;

/// How many bytes of text are gathered before they are encoded.
const BATCH_TEXT: usize = 4 * 1_024 * 1_024;

/// How large a row group gets: what is held in memory before it is written.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 32 * 1_024 * 1_024;

/// Writes rows as Parquet.
pub(super) struct TypedWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    text: usize,
}

enum ColumnBuilder {
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
}

impl<W: Write + Send> TypedWriter<W> {
    /// Begins the file with the columns and its origin.
    pub(super) fn new(target: W, columns: &[TableColumn], origin: &Origin) -> anyhow::Result<Self> {
        let fields: Vec<Field> = columns.iter().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("modelship ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_key_value_metadata(Some(metadata(origin)))
            .build();
        let writer = ArrowWriter::try_new(target, Arc::clone(&schema), Some(properties))
            .context("failed to begin the Parquet file")?;
        let builders = columns.iter().map(|column| ColumnBuilder::new(column.kind)).collect();
        Ok(Self { writer, schema, builders, rows: 0, text: 0 })
    }

    pub(super) fn write(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            self.text += builder.push(cell);
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.text >= BATCH_TEXT {
            self.encode()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<W> {
        self.encode()?;
        self.writer.into_inner().context("failed to end the Parquet file")
    }

    fn encode(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays: Vec<ArrayRef> = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), arrays).context("failed to gather rows for Parquet")?;
        self.writer.write(&batch).context("failed to write Parquet")?;
        self.rows = 0;
        self.text = 0;
        Ok(())
    }
}

impl ColumnBuilder {
    fn new(kind: OutputKind) -> Self {
        match kind {
            OutputKind::Int => Self::Int(Int64Builder::new()),
            OutputKind::Float => Self::Float(Float64Builder::new()),
            OutputKind::Bool => Self::Bool(BooleanBuilder::new()),
            OutputKind::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value and returns how many bytes of text that was. A value that its column cannot hold is missing.
    fn push(&mut self, cell: &Cell<'_>) -> usize {
        match self {
            Self::Int(builder) => match cell {
                Cell::Int(value) => builder.append_value(*value),
                _ => builder.append_null(),
            },
            Self::Float(builder) => match cell {
                Cell::Float(value) => builder.append_value(*value),
                #[expect(clippy::cast_precision_loss, reason = "a column of mixed numbers holds doubles")]
                Cell::Int(value) => builder.append_value(*value as f64),
                _ => builder.append_null(),
            },
            Self::Bool(builder) => match cell {
                Cell::Bool(value) => builder.append_value(*value),
                _ => builder.append_null(),
            },
            Self::Text(builder) => {
                let text = match cell {
                    Cell::Missing => {
                        builder.append_null();
                        return 0;
                    }
                    Cell::Text(value) => value.to_string(),
                    Cell::Int(value) => value.to_string(),
                    Cell::Float(value) => exact(*value),
                    Cell::Bool(value) => value.to_string(),
                };
                builder.append_value(&text);
                return text.len();
            }
        }
        0
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

fn field(column: &TableColumn) -> Field {
    let kind = match column.kind {
        OutputKind::Int => DataType::Int64,
        OutputKind::Float => DataType::Float64,
        OutputKind::Bool => DataType::Boolean,
        OutputKind::Text => DataType::Utf8,
    };
    let role = match column.source {
        Source::Parameter(_) => "parameter",
        Source::Output(_) => "output",
        Source::Rows(_) => "rows",
        Source::Difference(_) => "difference",
        Source::RunId
        | Source::Role
        | Source::Status
        | Source::Failure
        | Source::WallSeconds
        | Source::CpuSeconds
        | Source::PeakMemory => "run",
    };
    let mut about = HashMap::from([("role".to_owned(), role.to_owned())]);
    if !column.unit.is_empty() {
        about.insert("unit".to_owned(), column.unit.clone());
    }
    let always_there = matches!(column.source, Source::RunId | Source::Role | Source::Status);
    Field::new(&column.name, kind, !always_there).with_metadata(about)
}

fn metadata(origin: &Origin) -> Vec<KeyValue> {
    [
        ("modelship.sweep", origin.sweep.to_string()),
        ("modelship.model", origin.model.to_string()),
        ("modelship.version", origin.version.to_string()),
        ("modelship.plan", origin.plan.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
    .collect()
}
