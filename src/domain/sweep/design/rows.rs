//! Points that a user lists: in the sweep file itself, or as the rows of a CSV file.
//!
//! A CSV file is checked once from end to end and then read again whenever its points are walked over; its rows are
//! never kept as a list.

use std::collections::HashSet;

use crate::domain::parameters::{Given, Parameter, Value};
use crate::domain::yaml::{Entries, Place, Placed, Reader, Source, did_you_mean, shown};

/// Longest points file, in bytes.
const MAX_TEXT: usize = 64 << 20;

/// Most faults of one file.
const MAX_FAULTS: usize = 20;

/// A list of points, each given by the parameters that differ from the rest's values.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The parameters that the points give, by their place in the manifest.
    pub(crate) columns: Vec<usize>,
    text: Text,
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
enum Text {
    Inline(Vec<Vec<(usize, Value)>>),
    File { text: String, order: Vec<usize> },
}

/// Reads one entry of parameters with their values.
pub(crate) fn entry(
    given: &Entries<Given>,
    parameters: &[Parameter],
    reader: &mut Reader,
) -> Option<Vec<(usize, Value)>> {
    let mut values = Vec::with_capacity(given.0.len());
    let mut well = true;
    for (key, Given(node)) in &given.0 {
        match find(parameters, &key.name) {
            Ok(index) => match parameters[index].read(node, reader) {
                Some(value) => values.push((index, value)),
                None => well = false,
            },
            Err((message, hint)) => {
                reader.fault(key.place, message, hint);
                well = false;
            }
        }
    }
    well.then_some(values)
}

/// The place of the parameter called `name`, or what to say when there is none.
pub(crate) fn find(parameters: &[Parameter], name: &str) -> Result<usize, (String, Option<String>)> {
    parameters.iter().position(|parameter| parameter.name == name).ok_or_else(|| {
        let hint = did_you_mean(name, parameters.iter().map(|parameter| parameter.name.as_str()));
        (format!("there is no parameter `{}`", shown(name)), hint)
    })
}

impl Rows {
    /// The points of a list in the sweep file.
    pub(crate) fn inline(
        list: &Placed<Vec<Placed<Entries<Given>>>>,
        parameters: &[Parameter],
        reader: &mut Reader,
    ) -> Option<Self> {
        if list.value.is_empty() {
            reader.fault(list.place, "the list of points is empty", None);
            return None;
        }
        let points: Vec<Option<_>> = list.value.iter().map(|given| entry(&given.value, parameters, reader)).collect();
        let points: Vec<Vec<(usize, Value)>> = points.into_iter().collect::<Option<_>>()?;
        let mut columns: Vec<usize> = points.iter().flatten().map(|(index, _)| *index).collect();
        columns.sort_unstable();
        columns.dedup();
        Some(Self { columns, text: Text::Inline(points), parameters: parameters.to_vec() })
    }

    /// The rows of the file at `path`; faults of its cells are told with their place in it.
    pub(crate) fn file(path: &str, text: String, parameters: &[Parameter], reader: &mut Reader) -> Option<Self> {
        if text.len() > MAX_TEXT {
            reader.note(Source::new(path, "").fault(
                Place::START,
                format!("the file has more than {MAX_TEXT} bytes"),
                None,
            ));
            return None;
        }
        let source = Source::new(path, &text);
        let order = header(&source, parameters, reader)?;
        let mut columns = order.clone();
        columns.sort_unstable();
        let rows = Self { columns, text: Text::File { text, order }, parameters: parameters.to_vec() };
        rows.check(&source, reader).then_some(rows)
    }

    /// Reads every cell once; whether all is well.
    fn check(&self, source: &Source, reader: &mut Reader) -> bool {
        let Text::File { text, order } = &self.text else { return true };
        let mut faults = 0;
        let mut any = false;
        for record in records(text) {
            let fault = match record {
                Ok(record) => {
                    any = true;
                    let line = record.position().map_or(0, |at| u32::try_from(at.line()).unwrap_or(u32::MAX));
                    let misfit = if record.len() == order.len() {
                        order.iter().zip(&record).find_map(|(index, cell)| self.misfit(*index, cell))
                    } else {
                        Some((
                            format!("the row has {} values, the header has {} names", record.len(), order.len()),
                            None,
                        ))
                    };
                    misfit.map(|(message, hint)| source.fault(whole_line(source, line), message, hint))
                }
                Err(error) => {
                    Some(source.fault(Place::START, format!("not valid CSV: {}", shown(&error.to_string())), None))
                }
            };
            if let Some(fault) = fault {
                reader.note(fault);
                faults += 1;
                if faults == MAX_FAULTS {
                    break;
                }
            }
        }
        if !any && faults == 0 {
            reader.note(source.fault(Place::START, "the file has a header and no points", None));
            return false;
        }
        faults == 0
    }

    fn misfit(&self, index: usize, cell: &str) -> Option<(String, Option<String>)> {
        let parameter = &self.parameters[index];
        if cell.trim().is_empty() {
            return Some((format!("the value of `{}` is empty", parameter.name), None));
        }
        parameter.read_cell(cell).err().map(|misfit| (misfit.message, misfit.hint))
    }

    /// How many points there are.
    pub(crate) fn count(&self) -> u64 {
        match &self.text {
            Text::Inline(points) => points.len() as u64,
            Text::File { text, .. } => records(text).count() as u64,
        }
    }

    /// Walks over all points; what a point does not give is taken from `base`.
    pub(crate) fn walk<'d>(&'d self, base: &'d [Value]) -> RowsWalk<'d> {
        let rest: Box<dyn Iterator<Item = Vec<(usize, Value)>> + 'd> = match &self.text {
            Text::Inline(points) => Box::new(points.iter().cloned()),
            Text::File { text, order } => Box::new(records(text).map(move |record| {
                let record = record.expect("the file was read to its end when the design was made");
                let cells = order.iter().zip(&record);
                let value = |(index, cell): (&usize, &str)| {
                    let value = self.parameters[*index].read_cell(cell);
                    (*index, value.expect("every cell was read when the design was made"))
                };
                cells.map(value).collect()
            })),
        };
        RowsWalk { base, rest, values: Vec::new() }
    }
}

fn records(text: &str) -> impl Iterator<Item = csv::Result<csv::StringRecord>> {
    csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes()).into_records()
}

/// The parameters that the header names, in its order.
fn header(source: &Source, parameters: &[Parameter], reader: &mut Reader) -> Option<Vec<usize>> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(source.text().as_bytes());
    let header = match csv.headers() {
        Ok(header) if !header.is_empty() => header.clone(),
        Ok(_) => {
            reader.note(source.fault(
                Place::START,
                "the file has no header",
                Some("begin with the names of the parameters".to_owned()),
            ));
            return None;
        }
        Err(error) => {
            reader.note(source.fault(Place::START, format!("not valid CSV: {}", shown(&error.to_string())), None));
            return None;
        }
    };
    let mut seen = HashSet::new();
    let mut order = Vec::with_capacity(header.len());
    let mut well = true;
    for (column, name) in header.iter().enumerate() {
        let place = name_place(source.line(1), column, name);
        match find(parameters, name) {
            Ok(index) if seen.insert(index) => order.push(index),
            Ok(_) => {
                reader.note(source.fault(place, format!("the column `{}` is there twice", shown(name)), None));
                well = false;
            }
            Err((message, hint)) => {
                reader.note(source.fault(place, message, hint));
                well = false;
            }
        }
    }
    well.then_some(order)
}

fn whole_line(source: &Source, line: u32) -> Place {
    let width = source.line(line).chars().count().max(1);
    Place { line, column: 1, length: u32::try_from(width).unwrap_or(u32::MAX) }
}

/// Where the header's name in `column` stands; quotes are too much trouble.
fn name_place(line: &str, column: usize, name: &str) -> Place {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let before: usize = line.split(',').take(column).map(|cell| cell.chars().count() + 1).sum();
    let cell = line.split(',').nth(column).unwrap_or("");
    let blank = cell.chars().take_while(|character| character.is_whitespace()).count();
    Place { line: 1, column: number(before + blank + 1), length: number(name.chars().count().max(1)) }
}

/// A walk over listed points.
pub(crate) struct RowsWalk<'d> {
    base: &'d [Value],
    rest: Box<dyn Iterator<Item = Vec<(usize, Value)>> + 'd>,
    values: Vec<Value>,
}

impl RowsWalk<'_> {
    /// The values of the point that came last.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The next point's values.
    pub(crate) fn next(&mut self) -> Option<&[Value]> {
        let point = self.rest.next()?;
        self.values.clear();
        self.values.extend_from_slice(self.base);
        for (index, value) in point {
            self.values[index] = value;
        }
        Some(&self.values)
    }
}

impl std::fmt::Debug for RowsWalk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowsWalk").finish_non_exhaustive()
    }
}
