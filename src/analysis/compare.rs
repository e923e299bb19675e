//! Joins two analyses point by point and finds where their outputs differ.

use std::collections::HashMap;
use std::io::Read;

use anyhow::{Context as _, bail};

use crate::domain::report::{numbers, percent};
use crate::domain::sweep::analysis::{AnalysisSummary, Comparison, OutputDifference};
use crate::domain::sweep::plan::PlanSummary;

/// How many rows the short table has.
const HEAD_ROWS: usize = 10;

/// How many rows of the first analysis are held in memory.
const MOST_ROWS: usize = 2_000_000;

/// One of the two analyses.
#[derive(Debug)]
pub struct Side<R> {
    /// What it is called: a channel, a sweep's name.
    pub label: String,
    /// Its `analysis.csv`.
    pub table: R,
    /// The parameters that its sweep moves.
    pub moved: Vec<String>,
    /// Its numeric outputs with their units, the most important first.
    pub outputs: Vec<(String, String)>,
}

impl<R> Side<R> {
    /// The analysis of a sweep that has ended.
    pub fn new(label: impl Into<String>, table: R, plan: &PlanSummary, analysis: &AnalysisSummary) -> Self {
        Self {
            label: label.into(),
            table,
            moved: plan.moved.iter().map(|moved| moved.name.clone()).collect(),
            outputs: analysis.statistics.iter().map(|row| (row.output.clone(), row.unit.clone())).collect(),
        }
    }
}

/// Compares `second` with `first`: the differences are second minus first.
///
/// Rows belong together when they agree in every parameter that either sweep moves and both tables have; runs without a
/// result are left out. The first table is held in memory, the second streams by.
///
/// # Errors
/// When a table cannot be read, is no analysis, or the first one has more than two million rows.
pub fn compare<A: Read, B: Read>(first: Side<A>, second: Side<B>) -> anyhow::Result<Comparison> {
    let mut first_table = Table::open(&first.label, first.table)?;
    let mut second_table = Table::open(&second.label, second.table)?;
    let joined_on = joined_parameters(&first.moved, &second.moved, |name| {
        first_table.place(name).is_some() && second_table.place(name).is_some()
    });
    let outputs: Vec<(String, String)> = first
        .outputs
        .into_iter()
        .filter(|(name, _)| second.outputs.iter().any(|(other, _)| other == name))
        .filter(|(name, _)| first_table.output_place(name).is_some() && second_table.output_place(name).is_some())
        .collect();
    let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();

    let mut known: HashMap<Vec<String>, Known> = HashMap::new();
    first_table.select(&joined_on, &names)?;
    while let Some((key, values)) = first_table.next()? {
        if known.len() >= MOST_ROWS {
            bail!("analysis `{}` has more than {MOST_ROWS} rows to compare", first.label);
        }
        known.entry(key).or_insert(Known { values, matched: false });
    }

    let mut gathered = Gathered::new(&joined_on, &outputs);
    let mut only_second = 0;
    second_table.select(&joined_on, &names)?;
    while let Some((key, values)) = second_table.next()? {
        match known.get_mut(&key) {
            Some(known) if known.matched => {}
            Some(known) => {
                known.matched = true;
                gathered.push(&key, &known.values, &values);
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
        outputs: gathered.outputs,
        head_columns,
        head_rows: gathered.head_rows,
        joined_on,
    })
}

/// A row of the first analysis.
struct Known {
    values: Vec<Option<f64>>,
    matched: bool,
}

fn joined_parameters(first: &[String], second: &[String], in_both: impl Fn(&str) -> bool) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for name in first.iter().chain(second) {
        if !joined.contains(name) && in_both(name) {
            joined.push(name.clone());
        }
    }
    joined
}

/// A row's joined parameters, and its outputs as far as they are numbers.
type Keyed = (Vec<String>, Vec<Option<f64>>);

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

    /// The next row that succeeded: its key and its outputs.
    fn next(&mut self) -> anyhow::Result<Option<Keyed>> {
        let mut row = csv::StringRecord::new();
        while self
            .reader
            .read_record(&mut row)
            .with_context(|| format!("failed to read the analysis of `{}`", self.label))?
        {
            if row.get(self.status) != Some("succeeded") {
                continue;
            }
            let key = self.keys.iter().map(|place| row.get(*place).unwrap_or_default().to_owned()).collect();
            let values = self.values.iter().map(|place| row.get(*place)?.parse().ok()).collect();
            return Ok(Some((key, values)));
        }
        Ok(None)
    }
}

/// What is known after some rows.
struct Gathered<'a> {
    joined_on: &'a [String],
    matched: u64,
    outputs: Vec<OutputDifference>,
    head_rows: Vec<Vec<String>>,
}

impl<'a> Gathered<'a> {
    fn new(joined_on: &'a [String], outputs: &[(String, String)]) -> Self {
        let outputs = outputs
            .iter()
            .map(|(output, unit)| OutputDifference {
                output: output.clone(),
                unit: unit.clone(),
                compared: 0,
                differing: 0,
                largest: 0.0,
                largest_at: Vec::new(),
                largest_relative: None,
                largest_relative_at: Vec::new(),
            })
            .collect();
        Self { joined_on, matched: 0, outputs, head_rows: Vec::new() }
    }

    fn push(&mut self, key: &[String], first: &[Option<f64>], second: &[Option<f64>]) {
        self.matched += 1;
        if self.head_rows.len() < HEAD_ROWS && !self.outputs.is_empty() {
            self.head_rows.push(head_row(key, first[0], second[0]));
        }
        for ((output, first), second) in self.outputs.iter_mut().zip(first).zip(second) {
            let (Some(first), Some(second)) = (*first, *second) else { continue };
            output.compared += 1;
            let difference = second - first;
            if difference == 0.0 || !difference.is_finite() {
                continue;
            }
            output.differing += 1;
            let place = || self.joined_on.iter().cloned().zip(key.iter().cloned()).collect();
            if difference.abs() > output.largest.abs() {
                output.largest = difference;
                output.largest_at = place();
            }
            let share = difference / first.abs();
            if first != 0.0
                && share.is_finite()
                && output.largest_relative.is_none_or(|largest| share.abs() > largest.abs())
            {
                output.largest_relative = Some(share);
                output.largest_relative_at = place();
            }
        }
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
        assert_eq!((found.matched, found.only_first, found.only_second), (1, 2, 1));
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
