//! What may mean that results are wrong although every run succeeded, in words.

use super::escape::text;
use super::numbers::{count, integer, number, plural};
use super::value;
use crate::domain::sweep::analysis::Warning;
use crate::domain::sweep::record::OutputValue;

/// A warning as one sentence of Markdown, without its full stop.
#[must_use]
pub fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::NothingMoves { parameters, points } => {
            let names: Vec<String> = parameters.iter().map(|name| value(name)).collect();
            let verb = if names.len() == 1 { "moves" } else { "move" };
            format!(
                "{} {verb}, but every output stays the same at all {}: does the model read its parameters?",
                names.join(", "),
                plural(*points, "point")
            )
        }
        Warning::WithoutEffect { parameter, pairs } => format!(
            "{} has no effect: {} in nothing else, and every output is the same. Does the model read it?",
            value(parameter),
            if *pairs == 1 {
                "2 points differ".to_owned()
            } else {
                format!("{} of points differ", plural(*pairs, "pair"))
            }
        ),
        Warning::Constant { output, value: given, points } => format!(
            "{} is {} at all {}; if it has to be, declare it as `constant: true`",
            value(output),
            shown(given),
            plural(*points, "point")
        ),
        Warning::NotConstant { output, one, other } => format!(
            "{} is declared as `constant: true`, but is {} in one run and {} in another",
            value(output),
            shown(one),
            shown(other)
        ),
        Warning::WithoutValue { output, runs } => {
            format!(
                "{} succeeded without a value for {}: missing, or not a finite number",
                plural(*runs, "run"),
                value(output)
            )
        }
        Warning::NumberAsText { output, runs } => {
            format!(
                "{} give {} as a text that spells a number; write numbers without quotes",
                plural(*runs, "run"),
                value(output)
            )
        }
        Warning::RowsDiffer { file, min, max } => format!(
            "{} has {} in one run and {} in another, though it is declared as `rows: same`",
            value(file),
            plural(*min, "row"),
            count(*max)
        ),
        Warning::RowsDifferBetween { file, points, first, second } => format!(
            "{} has another number of rows at {}: {} before, {} now",
            value(file),
            plural(*points, "point"),
            count(*first),
            count(*second)
        ),
    }
}

/// The warnings as a list under a line that nobody passes over; nothing when there is none.
pub(super) fn warning_list(warnings: &[Warning]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let mut list = "⚠️ **Look at this before you trust the results:**\n\n".to_owned();
    for warning in warnings {
        list.push_str(&format!("- {}\n", warning_text(warning)));
    }
    list.push('\n');
    list
}

fn shown(output: &OutputValue) -> String {
    match output {
        OutputValue::Int(value) => integer(*value),
        OutputValue::Float(value) => number(*value),
        OutputValue::Bool(value) => value.to_string(),
        OutputValue::Text(given) => value(given),
        OutputValue::Missing => text("missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_says_what_was_seen_and_what_to_do() {
        let warnings = [
            Warning::NothingMoves { parameters: vec!["EXEMPT".to_owned()], points: 20 },
            Warning::WithoutEffect { parameter: "EXEMPT".to_owned(), pairs: 1 },
            Warning::WithoutEffect { parameter: "EXEMPT".to_owned(), pairs: 30 },
            Warning::Constant { output: "units".to_owned(), value: OutputValue::Int(20_000), points: 20 },
            Warning::NotConstant { output: "units".to_owned(), one: OutputValue::Int(2), other: OutputValue::Int(3) },
            Warning::WithoutValue { output: "<b>".to_owned(), runs: 1 },
            Warning::NumberAsText { output: "tax".to_owned(), runs: 4 },
            Warning::RowsDiffer { file: "output.csv".to_owned(), min: 20_017, max: 20_018 },
            Warning::RowsDifferBetween { file: "output.csv".to_owned(), points: 3, first: 20_017, second: 20_018 },
        ];
        insta::assert_snapshot!(warning_list(&warnings), @r"
        ⚠️ **Look at this before you trust the results:**

        - `EXEMPT` moves, but every output stays the same at all 20 points: does the model read its parameters?
        - `EXEMPT` has no effect: 2 points differ in nothing else, and every output is the same. Does the model read it?
        - `EXEMPT` has no effect: 30 pairs of points differ in nothing else, and every output is the same. Does the model read it?
        - `units` is 20,000 at all 20 points; if it has to be, declare it as `constant: true`
        - `units` is declared as `constant: true`, but is 2 in one run and 3 in another
        - 1 run succeeded without a value for `<b>`: missing, or not a finite number
        - 4 runs give `tax` as a text that spells a number; write numbers without quotes
        - `output.csv` has 20,017 rows in one run and 20,018 in another, though it is declared as `rows: same`
        - `output.csv` has another number of rows at 3 points: 20,017 before, 20,018 now
        ");
        assert_eq!(warning_list(&[]), "");
    }
}
