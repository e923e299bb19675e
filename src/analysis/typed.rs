//! The table as Parquet, with a type for each column.
//!
//! Rows are gathered by column up to a bounded size and written as one row group, so a long table needs no more memory
//! than a short one. The format's own interface is used and not the one over Arrow, which takes as long to build as all
//! the rest of Parquet.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::Origin;
use super::columns::{OutputKind, Source, TableColumn};
use super::delimited::{Cell, exact};

/// How large a row group gets: what is held in memory before it is written.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 32 * 1_024 * 1_024;

/// Writes rows as Parquet.
pub(super) struct TypedWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Gathered>,
    rows: usize,
    bytes: usize,
}

/// The values of one column that wait to be written.
struct Gathered {
    values: Values,
    /// For each row 1 when it has a value and 0 when that is missing; none where no value may be missing.
    there: Option<Vec<i16>>,
}

enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
}

impl<W: Write + Send> TypedWriter<W> {
    /// Begins the file with the columns and its origin.
    pub(super) fn new(target: W, columns: &[TableColumn], origin: &Origin) -> anyhow::Result<Self> {
        let schema = schema(columns).context("failed to describe the Parquet file")?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("modelship ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata(origin, columns)))
            .build();
        let writer = SerializedFileWriter::new(target, schema, Arc::new(properties))
            .context("failed to begin the Parquet file")?;
        Ok(Self { writer, columns: columns.iter().map(Gathered::new).collect(), rows: 0, bytes: 0 })
    }

    pub(super) fn write(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += column.push(cell);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<W> {
        self.write_group()?;
        self.writer.into_inner().context("failed to end the Parquet file")
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = &mut self.columns;
        let write = || {
            let mut group = self.writer.next_row_group()?;
            for column in columns {
                if let Some(mut writer) = group.next_column()? {
                    column.write(&mut writer)?;
                    writer.close()?;
                }
            }
            group.close().map(drop)
        };
        write().context("failed to write Parquet")?;
        self.rows = 0;
        self.bytes = 0;
        Ok(())
    }
}

impl Gathered {
    fn new(column: &TableColumn) -> Self {
        let values = match column.kind {
            OutputKind::Int => Values::Int(Vec::new()),
            OutputKind::Float => Values::Float(Vec::new()),
            OutputKind::Bool => Values::Bool(Vec::new()),
            OutputKind::Text => Values::Text(Vec::new()),
        };
        Self { values, there: (!is_always_there(column)).then(Vec::new) }
    }

    /// Adds a value and says how many bytes that takes. A value that its column cannot hold is missing.
    fn push(&mut self, cell: &Cell<'_>) -> usize {
        let added = self.values.push(cell);
        if let Some(there) = &mut self.there {
            there.push(i16::from(added.is_some()));
        }
        size_of::<i16>() + added.unwrap_or(0)
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let there = self.there.as_deref();
        match &mut self.values {
            Values::Int(values) => write_values::<Int64Type>(values, there, writer),
            Values::Float(values) => write_values::<DoubleType>(values, there, writer),
            Values::Bool(values) => write_values::<BoolType>(values, there, writer),
            Values::Text(values) => write_values::<ByteArrayType>(values, there, writer),
        }?;
        if let Some(there) = &mut self.there {
            there.clear();
        }
        Ok(())
    }
}

fn write_values<T: DataType>(
    values: &mut Vec<T::T>,
    there: Option<&[i16]>,
    writer: &mut SerializedColumnWriter<'_>,
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(values, there, None)?;
    values.clear();
    Ok(())
}

impl Values {
    /// Adds what the column can hold and says how many bytes that takes; none when it cannot hold it.
    fn push(&mut self, cell: &Cell<'_>) -> Option<usize> {
        match (self, cell) {
            (Self::Int(values), Cell::Int(value)) => values.push(*value),
            (Self::Float(values), Cell::Float(value)) => values.push(*value),
            #[expect(clippy::cast_precision_loss, reason = "a column of mixed numbers holds doubles")]
            (Self::Float(values), Cell::Int(value)) => values.push(*value as f64),
            (Self::Bool(values), Cell::Bool(value)) => values.push(*value),
            (Self::Text(values), cell) => {
                let text = match cell {
                    Cell::Missing => return None,
                    Cell::Text(value) => value.to_string(),
                    Cell::Int(value) => value.to_string(),
                    Cell::Float(value) => exact(*value),
                    Cell::Bool(value) => value.to_string(),
                };
                let size = size_of::<ByteArray>() + text.len();
                values.push(ByteArray::from(text.into_bytes()));
                return Some(size);
            }
            (Self::Int(_) | Self::Float(_) | Self::Bool(_), _) => return None,
        }
        Some(size_of::<f64>())
    }
}

fn schema(columns: &[TableColumn]) -> Result<TypePtr, ParquetError> {
    let fields: Result<Vec<TypePtr>, _> = columns.iter().map(field).collect();
    Type::group_type_builder("analysis").with_fields(fields?).build().map(Arc::new)
}

fn field(column: &TableColumn) -> Result<TypePtr, ParquetError> {
    let (kind, logical) = match column.kind {
        OutputKind::Int => (PhysicalType::INT64, None),
        OutputKind::Float => (PhysicalType::DOUBLE, None),
        OutputKind::Bool => (PhysicalType::BOOLEAN, None),
        OutputKind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let repetition = if is_always_there(column) { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let field = Type::primitive_type_builder(&column.name, kind).with_repetition(repetition);
    field.with_logical_type(logical).build().map(Arc::new)
}

fn is_always_there(column: &TableColumn) -> bool {
    matches!(column.source, Source::RunId | Source::Role | Source::Status)
}

/// What a column is and its unit, as JSON.
fn about(column: &TableColumn) -> serde_json::Value {
    let role = match column.source {
        Source::Parameter(_) => "parameter",
        Source::Output(_) => "output",
        Source::Difference(_) => "difference",
        Source::RunId
        | Source::Role
        | Source::Status
        | Source::Failure
        | Source::WallSeconds
        | Source::CpuSeconds
        | Source::PeakMemory => "run",
    };
    let mut about = serde_json::json!({ "role": role });
    if !column.unit.is_empty() {
        about["unit"] = column.unit.as_str().into();
    }
    about
}

fn metadata(origin: &Origin, columns: &[TableColumn]) -> Vec<KeyValue> {
    let columns: serde_json::Map<_, _> = columns.iter().map(|column| (column.name.clone(), about(column))).collect();
    [
        ("modelship.sweep", origin.sweep.to_string()),
        ("modelship.model", origin.model.to_string()),
        ("modelship.version", origin.version.to_string()),
        ("modelship.plan", origin.plan.to_string()),
        ("modelship.columns", serde_json::Value::Object(columns).to_string()),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
    .collect()
}
