//! Joins two analyses point by point and finds where their outputs differ.

use std::collections::HashMap;
use std::io::Read;

use anyhow::{Context as _, bail};

use crate::domain::report::{numbers, percent};
use crate::domain::sweep::analysis::{AnalysisSummary, Comparison, Effort, FailedPoint, OutputDifference};
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::record::OutputValue;

/// How many rows the short table has.
const HEAD_ROWS: usize = 10;

/// How many rows of the first analysis are held in memory.
const MOST_ROWS: usize = 2_000_000;

/// How many failed points are named.
const MOST_FAILED: usize = 5;

/// How many outputs of one side only are named.
const MOST_NAMES: usize = 20;

/// One of the two analyses.
#[derive(Debug)]
pub struct Side<R> {
    /// What it is called: a channel, a sweep's name.
    pub label: String,
    /// Its `analysis.csv`.
    pub table: R,
    /// The parameters that its sweep moves.
    pub moved: Vec<String>,
    /// Its outputs with their units, the most important first.
    pub outputs: Vec<(String, String)>,
}

impl<R> Side<R> {
    /// The analysis of a sweep that has ended.
    pub fn new(label: impl Into<String>, table: R, plan: &PlanSummary, analysis: &AnalysisSummary) -> Self {
        let numbers = analysis.statistics.iter().map(|row| (row.output.clone(), row.unit.clone()));
        let texts = analysis.texts.iter().map(|output| (output.clone(), String::new()));
        Self {
            label: label.into(),
            table,
            moved: plan.moved.iter().map(|moved| moved.name.clone()).collect(),
            outputs: numbers.chain(texts).collect(),
        }
    }
}

/// Compares `second` with `first`: the differences are second minus first.
///
/// Rows belong together when they agree in every parameter that either sweep moves and both tables have. The first
/// table is held in memory, the second streams by.
///
/// # Errors
/// When a table cannot be read, is no analysis, or the first one has more than two million rows.
pub fn compare<A: Read, B: Read>(first: Side<A>, second: Side<B>) -> anyhow::Result<Comparison> {
    let mut first_table = Table::open(&first.label, first.table)?;
    let mut second_table = Table::open(&second.label, second.table)?;
    let joined_on = joined_parameters(&first.moved, &second.moved, |name| {
        first_table.place(name).is_some() && second_table.place(name).is_some()
    });
    let outputs_only_first = only(&first.outputs, &second.outputs);
    let outputs_only_second = only(&second.outputs, &first.outputs);
    let outputs: Vec<(String, String)> = first
        .outputs
        .into_iter()
        .filter(|(name, _)| second.outputs.iter().any(|(other, _)| other == name))
        .filter(|(name, _)| first_table.output_place(name).is_some() && second_table.output_place(name).is_some())
        .collect();
    let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();

    let mut known: HashMap<Vec<String>, Known> = HashMap::new();
    first_table.select(&joined_on, &names)?;
    while let Some((key, result)) = first_table.next()? {
        if known.len() >= MOST_ROWS {
            bail!("analysis `{}` has more than {MOST_ROWS} rows to compare", first.label);
        }
        known.entry(key).or_insert(Known { result, matched: false });
    }

    let mut gathered = Gathered::new(&joined_on, &outputs);
    let mut only_second = 0;
    second_table.select(&joined_on, &names)?;
    while let Some((key, result)) = second_table.next()? {
        match known.get_mut(&key) {
            Some(known) if known.matched => {}
            Some(known) => {
                known.matched = true;
                gathered.push(&key, &known.result, &result);
            }
            None => only_second += 1,
        }
    }
    let only_first = known.values().filter(|known| !known.matched).count() as u64;
    let mut head_columns = joined_on.clone();
    if let Some((output, _)) = outputs.first() {
        head_columns.push(format!("{output}, {}", first.label));
        head_columns.push(format!("{output}, {}", second.label));
        head_columns.push("difference".to_owned());
        head_columns.push("share".to_owned());
    }
    Ok(Comparison {
        first: first.label,
        second: second.label,
        matched: gathered.matched,
        only_first,
        only_second,
        failing: gathered.failing,
        failing_at: gathered.failing_at,
        mended: gathered.mended,
        failing_in_both: gathered.failing_in_both,
        outputs: gathered.outputs.into_iter().map(Difference::finish).collect(),
        outputs_only_first,
        outputs_only_second,
        effort: (gathered.matched > 0).then_some(gathered.effort),
        head_columns,
        head_rows: gathered.head_rows,
        joined_on,
    })
}

/// The names of outputs that `of` has and `other` has not.
fn only(of: &[(String, String)], other: &[(String, String)]) -> Vec<String> {
    let missing = |name: &&String| !other.iter().any(|(known, _)| known == *name);
    of.iter().map(|(name, _)| name).filter(missing).take(MOST_NAMES).cloned().collect()
}

/// A row of the first analysis.
struct Known {
    result: RowResult,
    matched: bool,
}

/// What a run left: its outputs and what it took, or the class of its failure.
type RowResult = Result<(Vec<OutputValue>, Effort), String>;

fn joined_parameters(first: &[String], second: &[String], in_both: impl Fn(&str) -> bool) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for name in first.iter().chain(second) {
        if !joined.contains(name) && in_both(name) {
            joined.push(name.clone());
        }
    }
    joined
}

/// Reads an `analysis.csv`.
struct Table<R: Read> {
    label: String,
    header: HashMap<String, usize>,
    reader: csv::Reader<R>,
    status: usize,
    keys: Vec<usize>,
    values: Vec<usize>,
}

impl<R: Read> Table<R> {
    fn open(label: &str, source: R) -> anyhow::Result<Self> {
        let mut reader = csv::ReaderBuilder::new().from_reader(source);
        let names = reader.headers().with_context(|| format!("failed to read the analysis of `{label}`"))?;
        let mut header = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            // The writer disarms names that a spreadsheet would take for formulas.
            let name = name.strip_prefix('\'').unwrap_or(name);
            header.entry(name.to_owned()).or_insert(place);
        }
        let Some(status) = header.get("status").copied() else {
            bail!("the table of `{label}` has no column `status`: it is no analysis");
        };
        Ok(Self { label: label.to_owned(), header, reader, status, keys: Vec::new(), values: Vec::new() })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.header.get(name).or_else(|| self.header.get(&format!("{name}_parameter"))).copied()
    }

    fn output_place(&self, name: &str) -> Option<usize> {
        // An output that shares its name with another column has been given a longer one.
        self.header.get(&format!("{name}_output")).or_else(|| self.header.get(name)).copied()
    }

    fn select(&mut self, keys: &[String], outputs: &[&str]) -> anyhow::Result<()> {
        let missing = |name: &str| format!("the analysis of `{}` has no column `{name}`", self.label);
        self.keys =
            keys.iter().map(|name| self.place(name).with_context(|| missing(name))).collect::<anyhow::Result<_>>()?;
        self.values = outputs
            .iter()
            .map(|name| self.output_place(name).with_context(|| missing(name)))
            .collect::<anyhow::Result<_>>()?;
        Ok(())
    }

    /// The next row: its joined parameters and what its run left.
    fn next(&mut self) -> anyhow::Result<Option<(Vec<String>, RowResult)>> {
        let mut row = csv::StringRecord::new();
        if !self
            .reader
            .read_record(&mut row)
            .with_context(|| format!("failed to read the analysis of `{}`", self.label))?
        {
            return Ok(None);
        }
        let key = self.keys.iter().map(|place| row.get(*place).unwrap_or_default().to_owned()).collect();
        if row.get(self.status) != Some("succeeded") {
            let class = self.header.get("failure").and_then(|place| row.get(*place)).unwrap_or_default();
            return Ok(Some((key, Err(class.to_owned()))));
        }
        let values = self.values.iter().map(|place| value(row.get(*place).unwrap_or_default())).collect();
        let measured = |name: &str| {
            let cell = self.header.get(name).and_then(|place| row.get(*place));
            cell.and_then(|cell| cell.parse().ok()).unwrap_or(0.0)
        };
        let effort = Effort { wall_seconds: measured("wall_seconds"), peak_memory_mb: measured("peak_memory_mb") };
        Ok(Some((key, Ok((values, effort)))))
    }
}

/// A cell of the table.
fn value(cell: &str) -> OutputValue {
    match cell.parse::<f64>() {
        _ if cell.is_empty() => OutputValue::Missing,
        Ok(number) if number.is_finite() => OutputValue::Float(number),
        Ok(_) | Err(_) => OutputValue::Text(cell.to_owned()),
    }
}

/// What is known after some rows.
struct Gathered<'a> {
    joined_on: &'a [String],
    matched: u64,
    failing: u64,
    failing_at: Vec<FailedPoint>,
    mended: u64,
    failing_in_both: u64,
    outputs: Vec<Difference>,
    effort: (Effort, Effort),
    head_rows: Vec<Vec<String>>,
}

/// One output's difference so far.
struct Difference {
    found: OutputDifference,
    relative: u64,
    relative_sum: f64,
    sum: f64,
}

impl<'a> Gathered<'a> {
    fn new(joined_on: &'a [String], outputs: &[(String, String)]) -> Self {
        let none = Effort { wall_seconds: 0.0, peak_memory_mb: 0.0 };
        Self {
            joined_on,
            matched: 0,
            failing: 0,
            failing_at: Vec::new(),
            mended: 0,
            failing_in_both: 0,
            outputs: outputs.iter().map(|(output, unit)| Difference::new(output, unit)).collect(),
            effort: (none, none),
            head_rows: Vec::new(),
        }
    }

    fn push(&mut self, key: &[String], first: &RowResult, second: &RowResult) {
        let place = || self.joined_on.iter().cloned().zip(key.iter().cloned()).collect::<Vec<_>>();
        match (first, second) {
            (Ok((first, first_effort)), Ok((second, second_effort))) => {
                self.matched += 1;
                self.effort.0.add(*first_effort);
                self.effort.1.add(*second_effort);
                if self.head_rows.len() < HEAD_ROWS && !self.outputs.is_empty() {
                    self.head_rows.push(head_row(key, first[0].number(), second[0].number()));
                }
                for ((output, first), second) in self.outputs.iter_mut().zip(first).zip(second) {
                    output.push(first, second, &place);
                }
            }
            (Ok(_), Err(class)) => {
                self.failing += 1;
                if self.failing_at.len() < MOST_FAILED {
                    self.failing_at.push(FailedPoint { at: place(), failure: class.clone() });
                }
            }
            (Err(_), Ok(_)) => self.mended += 1,
            (Err(_), Err(_)) => self.failing_in_both += 1,
        }
    }
}

impl Effort {
    fn add(&mut self, other: Self) {
        self.wall_seconds += other.wall_seconds;
        self.peak_memory_mb = self.peak_memory_mb.max(other.peak_memory_mb);
    }
}

impl Difference {
    fn new(output: &str, unit: &str) -> Self {
        let found = OutputDifference {
            output: output.to_owned(),
            unit: unit.to_owned(),
            compared: 0,
            differing: 0,
            vanished: 0,
            appeared: 0,
            mean: 0.0,
            mean_relative: None,
            largest: 0.0,
            largest_at: Vec::new(),
            largest_relative: None,
            largest_relative_at: Vec::new(),
            values: None,
        };
        Self { found, relative: 0, relative_sum: 0.0, sum: 0.0 }
    }

    fn push(&mut self, first: &OutputValue, second: &OutputValue, place: &dyn Fn() -> Vec<(String, String)>) {
        let found = &mut self.found;
        match (first, second) {
            (OutputValue::Missing, OutputValue::Missing) => return,
            (_, OutputValue::Missing) => found.vanished += 1,
            (OutputValue::Missing, _) => found.appeared += 1,
            _ => found.compared += 1,
        }
        if matches!(first, OutputValue::Missing) || matches!(second, OutputValue::Missing) {
            return;
        }
        let numbers = first.number().zip(second.number());
        let Some((from, to)) = numbers else {
            if first != second {
                found.differing += 1;
                if found.values.is_none() {
                    found.largest_at = place();
                    found.values = Some((first.clone(), second.clone()));
                }
            }
            return;
        };
        let difference = to - from;
        let share = (from != 0.0).then(|| difference / from.abs()).filter(|share| share.is_finite());
        if let Some(share) = share {
            self.relative += 1;
            self.relative_sum += share;
        }
        if difference == 0.0 || !difference.is_finite() {
            return;
        }
        self.sum += difference;
        found.differing += 1;
        if difference.abs() > found.largest.abs() {
            found.largest = difference;
            found.largest_at = place();
            if found.largest_relative.is_none() {
                found.values = Some((first.clone(), second.clone()));
            }
        }
        if let Some(share) = share
            && found.largest_relative.is_none_or(|largest| share.abs() > largest.abs())
        {
            found.largest_relative = Some(share);
            found.largest_relative_at = place();
            found.values = Some((first.clone(), second.clone()));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 points")]
    fn finish(mut self) -> OutputDifference {
        if self.found.compared > 0 {
            self.found.mean = self.sum / self.found.compared as f64;
        }
        self.found.mean_relative = (self.relative > 0).then(|| self.relative_sum / self.relative as f64);
        self.found
    }
}

fn head_row(key: &[String], first: Option<f64>, second: Option<f64>) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or_else(String::new, numbers::number);
    let difference = first.zip(second).map(|(first, second)| second - first);
    let share = first.filter(|first| *first != 0.0).zip(difference).map(|(first, difference)| difference / first.abs());
    let mut row = key.to_vec();
    row.extend([shown(first), shown(second), shown(difference), share.map_or_else(String::new, percent)]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side<'a>(label: &str, table: &'a str, moved: &[&str]) -> Side<&'a [u8]> {
        Side {
            label: label.to_owned(),
            table: table.as_bytes(),
            moved: moved.iter().map(|name| (*name).to_owned()).collect(),
            outputs: vec![("revenue".to_owned(), "USD".to_owned()), ("units".to_owned(), String::new())],
        }
    }

    const FIRST: &str = "run_id,role,status,failure,STANDARD,RATE,revenue,units\n\
        a,baseline,succeeded,,1500,0.1,100,20\n\
        b,design,succeeded,,1600,0.1,90,20\n\
        c,design,succeeded,,1700,0.1,80,20\n\
        d,design,failed,timeout,1800,0.1,,\n";

    #[test]
    fn equal_analyses_do_not_differ() {
        let found = compare(side("a", FIRST, &["STANDARD"]), side("b", FIRST, &["STANDARD"])).unwrap();
        assert_eq!((found.matched, found.only_first, found.only_second), (3, 0, 0));
        assert!(found.outputs.iter().all(|output| output.differing == 0 && output.compared == 3));
    }

    #[test]
    fn the_largest_differences_are_found_with_their_place() {
        let second = FIRST.replace("1600,0.1,90", "1600,0.1,93").replace("1700,0.1,80", "1700,0.1,76.5");
        let found = compare(side("a", FIRST, &["STANDARD"]), side("b", &second, &["STANDARD"])).unwrap();
        let revenue = &found.outputs[0];
        assert_eq!((revenue.differing, revenue.largest, revenue.largest_relative), (2, -3.5, Some(-0.04375)));
        assert_eq!(revenue.largest_at, [("STANDARD".to_owned(), "1700".to_owned())]);
        assert_eq!(found.outputs[1].differing, 0);
        assert_eq!(found.head_columns, ["STANDARD", "revenue, a", "revenue, b", "difference", "share"]);
        assert_eq!(found.head_rows[1], ["1600", "90", "93", "3", "+3.33333 %"]);
    }

    #[test]
    fn points_of_one_side_only_are_counted() {
        let second = FIRST.replace("c,design,succeeded,,1700", "c,design,succeeded,,1750");
        let found = compare(side("a", FIRST, &["STANDARD"]), side("b", &second, &["STANDARD"])).unwrap();
        assert_eq!((found.matched, found.only_first, found.only_second), (2, 1, 1));
    }

    #[test]
    fn a_parameter_that_only_one_sweep_moves_is_joined_on_too() {
        let second = "run_id,role,status,failure,RATE,STANDARD,revenue,units\n\
            x,design,succeeded,,0.1,1600,91,20\n\
            y,design,succeeded,,0.2,1600,180,20\n";
        let found = compare(side("a", FIRST, &["STANDARD"]), side("b", second, &["RATE", "STANDARD"])).unwrap();
        assert_eq!(found.joined_on, ["STANDARD", "RATE"]);
        assert_eq!((found.matched, found.only_first, found.only_second), (1, 3, 1));
        assert_eq!(found.outputs[0].largest, 1.0);
    }

    #[test]
    fn a_parameter_that_only_one_model_has_is_left_out() {
        let second = FIRST.replace(",RATE,", ",TAX,");
        let found = compare(side("a", FIRST, &["STANDARD", "RATE"]), side("b", &second, &["STANDARD"])).unwrap();
        assert_eq!(found.joined_on, ["STANDARD"]);
        assert_eq!(found.matched, 3);
    }

    #[test]
    fn a_change_from_zero_has_no_share() {
        let first = FIRST.replace(",90,", ",0,");
        let found = compare(side("a", &first, &["STANDARD"]), side("b", FIRST, &["STANDARD"])).unwrap();
        assert_eq!((found.outputs[0].largest, found.outputs[0].largest_relative), (90.0, None));
        assert_eq!(found.head_rows[1], ["1600", "0", "90", "90", ""]);
    }

    #[test]
    fn what_is_no_analysis_is_said_so() {
        let error = compare(side("a", "x,y\n1,2\n", &[]), side("b", FIRST, &[])).unwrap_err();
        assert_eq!(error.to_string(), "the table of `a` has no column `status`: it is no analysis");
    }
}
