//! How the results of two sweeps differ, in words.

use super::escape::{COMMENT_LIMIT, clip, fit, text};
use super::numbers::{count, number, plural};
use super::{Align, assignments, table, value};
use crate::domain::sweep::analysis::{Comparison, OutputDifference};

/// How many outputs the table shows.
const MOST_OUTPUTS: usize = 30;

/// A comparison as Markdown that also reads well in a terminal.
#[must_use]
pub fn comparison_text(comparison: &Comparison) -> String {
    let mut body = format!("### {} against {}\n\n", value(&comparison.second), value(&comparison.first));
    if comparison.matched == 0 {
        body.push_str("No point succeeded in both, so there is nothing to compare.\n");
        return fit(&body, COMMENT_LIMIT);
    }
    body.push_str(&format!("{}\n\n", matched(comparison)));
    let differing = comparison.outputs.iter().any(|output| output.differing > 0);
    if !differing {
        body.push_str("**Nothing differs.**\n");
        return fit(&body, COMMENT_LIMIT);
    }
    let header = [
        ("Output", Align::Left),
        ("Unit", Align::Left),
        ("Points that differ", Align::Right),
        ("Largest difference", Align::Right),
        ("at", Align::Left),
        ("Largest relative", Align::Right),
    ];
    let rows: Vec<Vec<String>> = comparison.outputs.iter().take(MOST_OUTPUTS).map(row).collect();
    body.push_str(&table(&header, &rows));
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
    let equal = output.differing == 0;
    vec![
        value(&output.output),
        text(&output.unit),
        format!("{} of {}", count(output.differing), count(output.compared)),
        if equal { String::new() } else { number(output.largest) },
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
            outputs: vec![
                OutputDifference {
                    output: "revenue".to_owned(),
                    unit: "USD".to_owned(),
                    compared: 20,
                    differing: 20,
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

        | Output | Unit | Points that differ | Largest difference | at | Largest relative |
        |:--|:--|--:|--:|:--|--:|
        | `revenue` | USD | 20 of 20 | -1,234,570,000 | `STANDARD` = `1600` | -0.31415 % |
        | `units` |  | 0 of 20 |  |  |  |

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

        **Nothing differs.**
        ");
        let mut disjoint = comparison();
        disjoint.matched = 0;
        insta::assert_snapshot!(comparison_text(&disjoint), @r"
        ### `pr-2` against `production`

        No point succeeded in both, so there is nothing to compare.
        ");
    }
}
