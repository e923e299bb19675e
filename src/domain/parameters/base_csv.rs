//! The base parameter file: rows `NAME,v1[,v2...]`, as models of hundreds of parameters keep them.
//!
//! Values are read by what they look like: `.TRUE.` is a boolean, `-5` and `1e6` and ` 1500` are numbers, several values
//! are a list. An empty cell is a fault, because skipping it would move every value after it.

use super::given::{Misfit, fortran_bool, inferred};
use super::{Parameter, ParameterType, Value};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::yaml::{Place, Scalar, Source, Style, shown};

/// Most rows that are read.
const MAX_ROWS: usize = 10_000;

/// One row of a base parameter file.
#[derive(Debug, Clone)]
pub(crate) struct BaseParameter {
    /// The parameter's name.
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) place: Place,
    cells: Vec<(String, Place)>,
}

impl BaseParameter {
    /// The type that the row's values look like.
    pub(crate) fn kind(&self) -> Result<ParameterType, (Place, Misfit)> {
        let [(cell, place)] = self.cells.as_slice() else { return Ok(ParameterType::List) };
        match cell_value(cell).map_err(|misfit| (*place, misfit))? {
            Value::Bool(_) => Ok(ParameterType::Bool),
            Value::Int(_) => Ok(ParameterType::Int),
            Value::Float(_) => Ok(ParameterType::Float),
            Value::Text(_) => Ok(ParameterType::String),
            Value::List(_) => Ok(ParameterType::List),
        }
    }

    /// The row's value for `parameter`, whose type is known by now.
    pub(crate) fn value(&self, parameter: &Parameter) -> Result<Value, (Place, Misfit)> {
        if parameter.kind != ParameterType::List {
            let [(cell, place)] = self.cells.as_slice() else {
                let message = format!("`{}` is of type {}, found {} values", self.name, parameter.kind.as_str(), self.cells.len());
                return Err((self.place, Misfit { message, hint: None }));
            };
            return parameter.read_cell(cell).map_err(|misfit| (*place, misfit));
        }
        let mut values = Vec::with_capacity(self.cells.len());
        for (cell, place) in &self.cells {
            values.push(cell_value(cell).map_err(|misfit| (*place, misfit))?);
        }
        if values.iter().any(|value| matches!(value, Value::Float(_))) {
            for value in &mut values {
                if let Value::Int(_) = value {
                    *value = Value::Float(value.number().expect("a whole number is a number"));
                }
            }
        }
        let value = Value::List(values);
        parameter.check(&value).map_err(|misfit| (self.place, misfit))?;
        Ok(value)
    }
}

fn cell_value(cell: &str) -> Result<Value, Misfit> {
    match fortran_bool(cell) {
        Some(value) => Ok(Value::Bool(value)),
        None => inferred(&Scalar { text: cell.to_owned(), style: Style::Plain }),
    }
}

/// Reads the rows of the file at `path`.
pub(crate) fn read_base(path: &str, text: &str) -> Result<Vec<BaseParameter>, Vec<Diagnostic>> {
    let source = Source::new(path, text);
    let mut faults = Vec::new();
    let mut rows: Vec<BaseParameter> = Vec::new();
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    for record in reader.into_records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push(Diagnostic::of_file(path, format!("not valid CSV: {error}"), None));
                break;
            }
        };
        if rows.len() >= MAX_ROWS {
            faults.push(Diagnostic::of_file(path, format!("more than {MAX_ROWS} rows"), None));
            break;
        }
        let line = record.position().map_or(0, |position| u32::try_from(position.line()).unwrap_or(u32::MAX));
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        match row(&source, line, &record) {
            Ok(row) => match rows.iter().find(|other| other.name == row.name) {
                Some(first) => {
                    let hint = Some(format!("it is first given in line {}", first.place.line));
                    faults.push(source.fault(row.place, format!("`{}` is given twice", shown(&row.name)), hint));
                }
                None => rows.push(row),
            },
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

fn row(source: &Source, line: u32, record: &csv::StringRecord) -> Result<BaseParameter, Diagnostic> {
    let mut places = places(source.line(line), line, record.len());
    let name = record.get(0).unwrap_or("").trim().trim_end_matches(':').trim_end().to_owned();
    let place = places.next().unwrap_or(Place { line, ..Place::START });
    if name.is_empty() {
        return Err(source.fault(place, "the row has no name", Some("write `NAME,value`".to_owned())));
    }
    let mut cells = Vec::with_capacity(record.len());
    for (index, cell) in record.iter().enumerate().skip(1) {
        let place = places.next().unwrap_or(place);
        if cell.trim().is_empty() {
            let message = format!("value {index} of `{}` is empty", shown(&name));
            let hint = "write every value; remove commas at the end of the row".to_owned();
            return Err(source.fault(place, message, Some(hint)));
        }
        cells.push((cell.trim().to_owned(), place));
    }
    if cells.is_empty() {
        return Err(source.fault(place, format!("`{}` has no value", shown(&name)), Some("write `NAME,value`".to_owned())));
    }
    Ok(BaseParameter { name, place, cells })
}

/// Where the cells of a row stand: each by itself, or the whole line when quotes make them hard to tell apart.
fn places(text: &str, line: u32, cells: usize) -> impl Iterator<Item = Place> + use<> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let mut places = Vec::with_capacity(cells);
    if text.contains('"') {
        places.resize(cells, Place { line, column: 1, length: number(text.chars().count().max(1)) });
    } else {
        let mut start = 0;
        for cell in text.split(',') {
            let blank = cell.chars().take_while(|character| character.is_whitespace()).count();
            let (width, length) = (cell.chars().count(), cell.trim().chars().count());
            let offset = if length == 0 { 0 } else { blank };
            places.push(Place { line, column: number(start + offset + 1), length: number(length.max(1)) });
            start += width + 1;
        }
    }
    places.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnostic::Faults;

    fn kinds(text: &str) -> String {
        match read_base("base.csv", text) {
            Ok(rows) => {
                let rows = rows.iter().map(|row| format!("{} {:?}", row.name, row.kind().map_err(|(_, misfit)| misfit.message)));
                rows.collect::<Vec<_>>().join("\n")
            }
            Err(faults) => Faults(faults).to_string(),
        }
    }

    #[test]
    fn values_are_what_they_look_like() {
        insta::assert_snapshot!(kinds("RATE,0.1\r\nSTANDARD, 1500\r\nLOSS,-5\r\n\r\nBIG,1e6\nFLAG,.TRUE.\nRATES1:   ,1,2.5\nNAME,abc\nDOT,1.\n"), @r"
        RATE Ok(Float)
        STANDARD Ok(Int)
        LOSS Ok(Int)
        BIG Ok(Float)
        FLAG Ok(Bool)
        RATES1 Ok(List)
        NAME Ok(String)
        DOT Ok(Float)
        ");
    }

    #[test]
    fn an_empty_cell_is_a_fault_and_never_shifts_the_rest() {
        insta::assert_snapshot!(kinds("A,1\nGAP,1,,3\nPADDED,1,,\nEMPTY\n,5\nA,2\n"), @r"
        base.csv:2:7: value 2 of `GAP` is empty (hint: write every value; remove commas at the end of the row)
        base.csv:3:10: value 2 of `PADDED` is empty (hint: write every value; remove commas at the end of the row)
        base.csv:4:1: `EMPTY` has no value (hint: write `NAME,value`)
        base.csv:5:1: the row has no name (hint: write `NAME,value`)
        base.csv:6:1: `A` is given twice (hint: it is first given in line 1)
        ");
    }

    #[test]
    fn a_spelling_that_deceives_is_a_fault() {
        insta::assert_snapshot!(kinds("A,0777\nB,nan\n"), @r#"
        A Err("`0777` begins with a zero")
        B Err("`nan` is not a finite number")
        "#);
    }
}
