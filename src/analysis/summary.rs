//! The analysis in short, gathered while the rows stream by: statistics, chart, head of the table.

use super::AnalysisSpec;
use super::cloud::Cloud;
use super::columns::OutputColumn;
use crate::domain::parameters::Value;
use crate::domain::report::numbers;
use crate::domain::sweep::analysis::{Chart, OutputStatistics};
use crate::domain::sweep::record::OutputValue;

/// How many points a chart has.
const MOST_CHART_POINTS: usize = 60;

/// How many points are kept before every second one is dropped.
const MOST_KEPT_POINTS: usize = 8_192;

/// One output over the design's runs that succeeded, by Welford's method: one pass, no loss for large means.
#[derive(Debug, Default)]
pub(super) struct Series {
    count: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
    baseline: Option<f64>,
    /// The first value of any type, and another one if it came.
    pub(super) first: Option<OutputValue>,
    pub(super) other: Option<OutputValue>,
    /// Values of any type, runs that succeeded without one, and texts that spell a number.
    pub(super) values: u64,
    pub(super) empty: u64,
    pub(super) numeric_texts: u64,
}

impl Series {
    pub(super) fn set_baseline(&mut self, value: Option<&OutputValue>) {
        self.baseline = value.and_then(OutputValue::number).filter(|number| number.is_finite());
    }

    pub(super) fn baseline(&self) -> Option<f64> {
        self.baseline
    }

    pub(super) fn push(&mut self, value: Option<&OutputValue>) {
        let Some(value) = value.filter(|value| **value != OutputValue::Missing) else {
            self.empty += 1;
            return;
        };
        self.values += 1;
        match &self.first {
            None => self.first = Some(value.clone()),
            Some(first) if self.other.is_none() && !equal(first, value) => self.other = Some(value.clone()),
            Some(_) => {}
        }
        if let OutputValue::Text(text) = value
            && text.trim().replace(',', "").parse::<f64>().is_ok()
        {
            self.numeric_texts += 1;
        }
        let Some(number) = value.number().filter(|number| number.is_finite()) else { return };
        if self.count == 0 {
            self.min = number;
            self.max = number;
        }
        self.count += 1;
        let before = number - self.mean;
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 rows")]
        let count = self.count as f64;
        self.mean += before / count;
        self.squares += before * (number - self.mean);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
    }

    fn statistics(&self, output: &str, unit: &str) -> Option<OutputStatistics> {
        if self.count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 rows")]
        let variance = (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).max(0.0));
        // Values near the largest double overflow on the way; what is told stays finite.
        let mean = if self.mean.is_finite() { self.mean } else { self.min / 2.0 + self.max / 2.0 };
        Some(OutputStatistics {
            output: output.to_owned(),
            unit: unit.to_owned(),
            count: self.count,
            min: self.min,
            // Rounding may carry a mean of equal values past them.
            mean: mean.clamp(self.min, self.max),
            deviation: variance.map(f64::sqrt).filter(|deviation| deviation.is_finite()),
            max: self.max,
            baseline: self.baseline,
        })
    }
}

fn equal(first: &OutputValue, second: &OutputValue) -> bool {
    match (first.number(), second.number()) {
        (Some(first), Some(second)) => first == second,
        _ => first == second,
    }
}

/// Statistics of the outputs that are numbers.
pub(super) fn statistics(spec: &AnalysisSpec, outputs: &[OutputColumn], series: &[Series]) -> Vec<OutputStatistics> {
    outputs
        .iter()
        .zip(series)
        .filter(|(column, _)| column.kind.is_numeric())
        .filter_map(|(column, series)| {
            let unit = spec.columns.get(&column.output).map_or("", |declared| declared.unit.as_str());
            series.statistics(&column.output, unit)
        })
        .collect()
}

/// The outputs that are not numbers.
pub(super) fn texts(outputs: &[OutputColumn]) -> Vec<String> {
    outputs.iter().filter(|column| !column.kind.is_numeric()).map(|column| column.output.clone()).collect()
}

/// Points of one output against the one parameter that moves.
#[derive(Debug)]
pub(super) struct Curve(Cloud);

impl Curve {
    /// A curve when exactly one parameter moves and an output is a number.
    pub(super) fn new(spec: &AnalysisSpec, outputs: &[OutputColumn]) -> Option<Self> {
        let [moved] = &spec.moved[..] else { return None };
        let parameter = spec.parameters.iter().position(|parameter| parameter.name == moved.name)?;
        let output = outputs.iter().position(|column| column.kind.is_numeric())?;
        Some(Self(Cloud::new(parameter, output, MOST_KEPT_POINTS)))
    }

    pub(super) fn push(&mut self, values: &[Value], outputs: &[Option<&OutputValue>]) {
        self.0.push(values, outputs);
    }

    /// The chart; none with fewer than two different places on the x axis.
    pub(super) fn finish(self, spec: &AnalysisSpec, outputs: &[OutputColumn]) -> Option<Chart> {
        let points = mean_by_place(self.0.points);
        if points.len() < 2 {
            return None;
        }
        let parameter = &spec.parameters[self.0.parameter];
        let output = &outputs[self.0.output].output;
        Some(Chart {
            parameter: parameter.name.clone(),
            parameter_unit: parameter.unit.clone(),
            output: output.clone(),
            output_unit: spec.columns.get(output).map_or_else(String::new, |declared| declared.unit.clone()),
            points: thinned(&points),
        })
    }
}

/// Where a parameter's value stands on an axis.
pub(super) fn place_of(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "a chart's axis may round beyond 2^53")]
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(_) | Value::Text(_) | Value::List(_) => None,
    }
}

/// Points in order of x, one for each x: the mean of its values.
fn mean_by_place(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand points")]
            let count = same.len() as f64;
            (same[0].0, same.iter().map(|(_, y)| y / count).sum::<f64>())
        })
        .filter(|(_, y)| y.is_finite())
        .collect()
}

/// Evenly taken points, the first and the last among them.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_CHART_POINTS {
        return points.to_vec();
    }
    let last = MOST_CHART_POINTS - 1;
    (0..=last).map(|index| points[index * (points.len() - 1) / last]).collect()
}

/// What is counted besides the outputs.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// Rows, the baseline's included.
    pub(super) rows: u64,
    /// Rows without a result.
    pub(super) missing: u64,
    /// Whether the baseline's row came and had no result.
    pub(super) baseline_failed: bool,
    /// Outputs that have no column.
    pub(super) left_out: usize,
}

/// What is worth knowing of the table, one sentence part each.
pub(super) fn notes(counts: Counts) -> Vec<String> {
    let mut notes = Vec::new();
    if counts.baseline_failed {
        notes.push("the baseline's run has no result, so there are no differences".to_owned());
    }
    if counts.left_out > 0 {
        notes.push(format!("the runs have too many different outputs: {} or more are left out", counts.left_out));
    }
    notes
}

/// An output as people read it.
pub(super) fn shown_output(value: &OutputValue) -> String {
    match value {
        OutputValue::Int(value) => numbers::integer(*value),
        OutputValue::Float(value) => numbers::number(*value),
        OutputValue::Bool(value) => value.to_string(),
        OutputValue::Text(value) => value.clone(),
        OutputValue::Missing => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_agree_with_the_textbook() {
        let mut series = Series::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            series.push(Some(&OutputValue::Float(1e9 + value)));
        }
        let found = series.statistics("x", "").unwrap();
        assert_eq!((found.count, found.min, found.mean, found.max), (8, 1e9 + 2.0, 1e9 + 5.0, 1e9 + 9.0));
        assert!((found.deviation.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-7, "{found:?}");
    }

    #[test]
    fn a_single_value_has_no_deviation_and_none_has_no_statistics() {
        let mut series = Series::default();
        assert_eq!(series.statistics("x", ""), None);
        series.push(Some(&OutputValue::Int(3)));
        series.push(Some(&OutputValue::Missing));
        series.push(None);
        let found = series.statistics("x", "").unwrap();
        assert_eq!((found.count, found.mean, found.deviation, series.empty), (1, 3.0, None, 2));
    }

    #[test]
    fn equal_values_have_no_spread_however_they_round() {
        let mut series = Series::default();
        for _ in 0..1_000 {
            series.push(Some(&OutputValue::Float(0.1)));
        }
        let found = series.statistics("x", "").unwrap();
        assert_eq!((found.min, found.mean, found.max), (0.1, 0.1, 0.1));
        assert!(found.deviation.unwrap() < 1e-15);
        assert_eq!(series.other, None);
    }

    #[test]
    fn whole_and_other_numbers_compare_by_value() {
        let mut series = Series::default();
        series.push(Some(&OutputValue::Int(3)));
        series.push(Some(&OutputValue::Float(3.0)));
        assert_eq!(series.other, None);
        series.push(Some(&OutputValue::Text("3".to_owned())));
        assert!(series.other.is_some());
    }

    #[test]
    fn a_long_curve_is_thinned_with_both_ends() {
        let points: Vec<(f64, f64)> = (0..1_000).map(|n| (f64::from(n), f64::from(n))).collect();
        let thin = thinned(&points);
        assert_eq!(thin.len(), MOST_CHART_POINTS);
        assert_eq!((thin[0], thin[59]), ((0.0, 0.0), (999.0, 999.0)));
    }

    #[test]
    fn equal_places_are_joined_by_their_mean() {
        assert_eq!(mean_by_place(vec![(2.0, 1.0), (1.0, 5.0), (2.0, 3.0)]), [(1.0, 5.0), (2.0, 2.0)]);
    }
}
