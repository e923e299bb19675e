//! How the results of two sweeps differ, in words.

use super::escape::{COMMENT_LIMIT, clip, fit, text};
use super::numbers::{count, number, plural};
use super::{Align, assignments, table, value};
use crate::domain::sweep::analysis::{Comparison, FailedPoint, OutputDifference};

/// How many outputs the table shows.
const MOST_OUTPUTS: usize = 30;

/// A comparison as Markdown that also reads well in a terminal.
#[must_use]
pub fn comparison_text(comparison: &Comparison) -> String {
    let mut body = format!("### {} against {}\n\n", value(&comparison.second), value(&comparison.first));
    if comparison.matched == 0 {
        body.push_str("No point succeeded in both, so there is nothing to compare.\n\n");
        body.push_str(&failing(comparison));
        return fit(&body, COMMENT_LIMIT);
    }
    body.push_str(&format!("{}\n\n{}", matched(comparison), failing(comparison)));
    if !comparison.outputs.iter().any(OutputDifference::differs) {
        body.push_str("**No output differs.**\n");
        return fit(&body, COMMENT_LIMIT);
    }
    body.push_str(&difference_table(comparison));
    body.push('\n');
    if !comparison.head_rows.is_empty() {
        let names: Vec<String> = comparison.head_columns.iter().map(|name| value(name)).collect();
        let header: Vec<(&str, Align)> = names.iter().map(|name| (name.as_str(), Align::Right)).collect();
        let rows: Vec<Vec<String>> = comparison
            .head_rows
            .iter()
            .map(|row| row.iter().map(|shown| text(&clip(shown, super::VALUE_LENGTH))).collect())
            .collect();
        body.push_str(&table(&header, &rows));
    }
    fit(&body, COMMENT_LIMIT)
}

/// One line for each output.
pub(super) fn difference_table(comparison: &Comparison) -> String {
    let header = [
        ("Output", Align::Left),
        ("Unit", Align::Left),
        ("Points that differ", Align::Right),
        ("Mean", Align::Right),
        ("Mean, relative", Align::Right),
        ("Largest difference", Align::Right),
        ("at", Align::Left),
        ("Largest relative", Align::Right),
    ];
    let rows: Vec<Vec<String>> = comparison.outputs.iter().take(MOST_OUTPUTS).map(row).collect();
    table(&header, &rows)
}

/// What succeeds on one side only, and what only one side has.
pub(super) fn failing(comparison: &Comparison) -> String {
    let (first, second) = (value(&comparison.first), value(&comparison.second));
    let mut lines = Vec::new();
    if comparison.failing > 0 {
        let mut line = format!("❌ **{} fail** in {second} and did not in {first}", plural(comparison.failing, "run"));
        let places: Vec<String> = comparison.failing_at.iter().map(failed_point).collect();
        line.push_str(&format!(": {}", places.join("; ")));
        lines.push(line);
    }
    if comparison.mended > 0 {
        lines.push(format!("{} that failed in {first} succeed in {second}", plural(comparison.mended, "run")));
    }
    if comparison.failing_in_both > 0 {
        lines.push(format!("{} fail in both", plural(comparison.failing_in_both, "run")));
    }
    for (only, name) in [(&comparison.outputs_only_first, first), (&comparison.outputs_only_second, second)] {
        if !only.is_empty() {
            let names: Vec<String> = only.iter().map(|output| value(output)).collect();
            lines.push(format!("only {name} has the outputs {}", names.join(", ")));
        }
    }
    if lines.is_empty() { String::new() } else { format!("- {}\n\n", lines.join("\n- ")) }
}

fn failed_point(point: &FailedPoint) -> String {
    let class = if point.failure.is_empty() { "no result" } else { &point.failure };
    match &point.at[..] {
        [] => text(class),
        at => format!("{} ({})", assignments(at), text(class)),
    }
}

/// A share as a percentage with its sign: `+1.25 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let sign = if share > 0.0 { "+" } else { "" };
    format!("{sign}{} %", number(share * 100.0))
}

fn matched(comparison: &Comparison) -> String {
    let names: Vec<String> = comparison.joined_on.iter().map(|name| value(name)).collect();
    let on = if names.is_empty() { String::new() } else { format!(" by {}", names.join(", ")) };
    let mut line = format!("{} matched{on}", plural(comparison.matched, "point"));
    for (only, name) in [(comparison.only_first, &comparison.first), (comparison.only_second, &comparison.second)] {
        if only > 0 {
            line.push_str(&format!("; {} only in {}", count(only), value(name)));
        }
    }
    line.push('.');
    line
}

fn row(output: &OutputDifference) -> Vec<String> {
    let numeric = output.differing > 0 && output.largest != 0.0;
    let when = |shown: String| if numeric { shown } else { String::new() };
    let mut differing = format!("{} of {}", count(output.differing), count(output.compared));
    for (points, what) in [(output.vanished, "lost"), (output.appeared, "gained")] {
        if points > 0 {
            differing.push_str(&format!(", {} {what}", count(points)));
        }
    }
    vec![
        value(&output.output),
        text(&output.unit),
        differing,
        when(number(output.mean)),
        when(output.mean_relative.map_or_else(String::new, percent)),
        when(number(output.largest)),
        assignments(&output.largest_at),
        output.largest_relative.map_or_else(String::new, percent),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::pairs;
    use super::*;

    fn comparison() -> Comparison {
        Comparison {
            first: "production".to_owned(),
            second: "pr-2".to_owned(),
            joined_on: vec!["STANDARD".to_owned()],
            matched: 20,
            only_first: 0,
            only_second: 1,
            failing: 0,
            failing_at: Vec::new(),
            mended: 0,
            failing_in_both: 0,
            outputs_only_first: Vec::new(),
            outputs_only_second: Vec::new(),
            effort: None,
            outputs: vec![
                OutputDifference {
                    output: "revenue".to_owned(),
                    unit: "USD".to_owned(),
                    compared: 20,
                    differing: 20,
                    vanished: 0,
                    appeared: 0,
                    mean: -1_000_000_000.0,
                    mean_relative: Some(-0.002_5),
                    values: None,
                    largest: -1_234_567_890.5,
                    largest_at: pairs(&[("STANDARD", "1600")]),
                    largest_relative: Some(-0.003_141_5),
                    largest_relative_at: pairs(&[("STANDARD", "3500")]),
                },
                OutputDifference {
                    output: "units".to_owned(),
                    unit: String::new(),
                    compared: 20,
                    differing: 0,
                    vanished: 0,
                    appeared: 0,
                    mean: 0.0,
                    mean_relative: Some(0.0),
                    values: None,
                    largest: 0.0,
                    largest_at: Vec::new(),
                    largest_relative: None,
                    largest_relative_at: Vec::new(),
                },
            ],
            head_columns: ["STANDARD", "revenue, production", "revenue, pr-2", "difference", "share"]
                .map(str::to_owned)
                .to_vec(),
            head_rows: vec![
                ["1600", "393,020,000,000", "391,786,000,000", "-1,234,570,000", "-0.314 %"]
                    .map(str::to_owned)
                    .to_vec(),
            ],
        }
    }

    #[test]
    fn differences_are_shown_for_each_output() {
        insta::assert_snapshot!(comparison_text(&comparison()), @r"
        ### `pr-2` against `production`

        20 points matched by `STANDARD`; 1 only in `pr-2`.

        | Output | Unit | Points that differ | Mean | Mean, relative | Largest difference | at | Largest relative |
        |:--|:--|--:|--:|--:|--:|:--|--:|
        | `revenue` | USD | 20 of 20 | -1,000,000,000 | -0.25 % | -1,234,570,000 | `STANDARD` = `1600` | -0.31415 % |
        | `units` |  | 0 of 20 |  |  |  |  |  |

        | `STANDARD` | `revenue, production` | `revenue, pr-2` | `difference` | `share` |
        |--:|--:|--:|--:|--:|
        | 1600 | 393,020,000,000 | 391,786,000,000 | -1,234,570,000 | -0.314 % |
        ");
    }

    #[test]
    fn equal_and_disjoint_results_are_said_so() {
        let mut equal = comparison();
        equal.outputs.remove(0);
        insta::assert_snapshot!(comparison_text(&equal), @r"
        ### `pr-2` against `production`

        20 points matched by `STANDARD`; 1 only in `pr-2`.

        **No output differs.**
        ");
        let mut disjoint = comparison();
        disjoint.matched = 0;
        insta::assert_snapshot!(comparison_text(&disjoint), @r"
        ### `pr-2` against `production`

        No point succeeded in both, so there is nothing to compare.
        ");
    }
}
