//! What is wrong in a user's files, with the line where it is.

use super::escape::{COMMENT_LIMIT, block, fit, text, visible};
use super::numbers::plural;
use super::value;
use crate::domain::diagnostic::{Diagnostic, Faults};

/// How many faults one comment shows.
const MOST_FAULTS: usize = 20;

/// How many characters of a line stand before and after a fault in its excerpt.
const AROUND: usize = 60;

/// The comment for a sweep (or another file) that cannot be read.
///
/// `name` is the sweep's name, or the file's path where the name cannot be read.
#[must_use]
pub fn faults_comment(name: &str, faults: &Faults) -> String {
    let number = u64::try_from(faults.0.len()).unwrap_or(u64::MAX);
    let mut body = format!(
        "### Sweep {}\n\n❌ **{}** to repair; a push plans it again.\n\n",
        value(name),
        plural(number, "fault")
    );
    body.push_str(&fault_list(&faults.0));
    fit(&body, COMMENT_LIMIT)
}

/// Each fault with its place, excerpt and hint.
pub(super) fn fault_list(faults: &[Diagnostic]) -> String {
    let mut body = String::new();
    for fault in faults.iter().take(MOST_FAULTS) {
        let place = match fault.line {
            0 => fault.file.clone(),
            line => format!("{}:{line}:{}", fault.file, fault.column),
        };
        body.push_str(&format!("{}: {}\n\n", value(&place), text(&fault.message)));
        if let Some(excerpt) = excerpt(fault) {
            body.push_str(&block("text", &excerpt));
            body.push('\n');
        }
        if let Some(hint) = &fault.hint {
            body.push_str(&format!("**Hint:** {}\n\n", text(hint)));
        }
    }
    if faults.len() > MOST_FAULTS {
        body.push_str(&format!("... and {} more.\n", faults.len() - MOST_FAULTS));
    }
    body
}

/// The fault's line with its number and carets below the fault; none when the fault has no place. Plain text, not
/// escaped. A long line is shown around the fault.
#[must_use]
pub fn excerpt(fault: &Diagnostic) -> Option<String> {
    if fault.line == 0 || fault.excerpt.trim().is_empty() {
        return None;
    }
    let line: Vec<char> = visible(&fault.excerpt).replace(['\t', '\n'], " ").chars().collect();
    let fault_start = (fault.column.max(1) as usize - 1).min(line.len());
    let fault_length = (fault.length.max(1) as usize).min(line.len().saturating_sub(fault_start).max(1));
    let from = if line.len() > 2 * AROUND { fault_start.saturating_sub(AROUND) } else { 0 };
    let to = if line.len() > 2 * AROUND { (fault_start + AROUND).min(line.len()) } else { line.len() };
    let shown: String = line[from..to].iter().collect();
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
    let number = fault.line.to_string();
    let margin = " ".repeat(number.len());
    let blanks = " ".repeat(fault_start - from + before.chars().count());
    let carets = "^".repeat(fault_length.min(to.saturating_sub(fault_start).max(1)));
    Some(format!("{number} | {before}{}{after}\n{margin} | {blanks}{carets}", shown.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_breaks;
    use super::*;

    fn fault(column: u32, length: u32, excerpt: &str) -> Diagnostic {
        Diagnostic {
            file: "sweeps/standard-deduction.yaml".to_owned(),
            line: 12,
            column,
            length,
            excerpt: excerpt.to_owned(),
            message: "unknown key `parametrs`".to_owned(),
            hint: Some("write `parameters`".to_owned()),
        }
    }

    #[test]
    fn each_fault_shows_its_place_and_what_to_write() {
        let faults = Faults(vec![
            fault(3, 9, "  parametrs:"),
            Diagnostic::of_file("config/urban/simple-tax.yaml", "no such file", None),
        ]);
        insta::assert_snapshot!(faults_comment("standard-deduction", &faults), @r"
        ### Sweep `standard-deduction`

        ❌ **2 faults** to repair; a push plans it again.

        `sweeps/standard-deduction.yaml:12:3`: unknown key `parametrs`

        ```text
        12 |   parametrs:
           |   ^^^^^^^^^
        ```

        **Hint:** write `parameters`

        `config/urban/simple-tax.yaml`: no such file
        ");
    }

    #[test]
    fn carets_stand_below_the_fault() {
        insta::assert_snapshot!(excerpt(&fault(1, 1, "x")).unwrap(), @r"
        12 | x
           | ^
        ");
        insta::assert_snapshot!(excerpt(&fault(5, 400, "é€\u{1F600} fault")).unwrap(), @r"
        12 | é€😀 fault
           |     ^^^^^
        ");
        let long = format!("{}fault{}", "a".repeat(500), "b".repeat(500));
        insta::assert_snapshot!(excerpt(&fault(501, 5, &long)).unwrap(), @r"
        12 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaafaultbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
           |                                                              ^^^^^
        ");
    }

    #[test]
    fn a_place_beyond_the_line_is_harmless() {
        assert_eq!(excerpt(&fault(900, 900, "short")).unwrap(), "12 | short\n   |      ^");
        assert_eq!(excerpt(&fault(0, 0, "short")).unwrap(), "12 | short\n   | ^");
        assert_eq!(excerpt(&fault(1, 1, "  ")), None);
    }

    #[test]
    fn many_faults_are_cut_short() {
        let faults = Faults(vec![fault(3, 9, "  parametrs:"); 25]);
        let body = faults_comment("a", &faults);
        assert!(body.ends_with("... and 5 more.\n"), "{body}");
    }

    #[test]
    fn a_hostile_excerpt_stays_in_its_block() {
        let body = faults_comment("a", &Faults(vec![fault(1, 3, "``` </details> <!-- marker --> @org")]));
        insta::assert_snapshot!(with_breaks(&body), @r"
        ### Sweep `a`

        ❌ **1 fault** to repair; a push plans it again.

        `sweeps/standard-deduction.yaml:12:1`: unknown key `parametrs`

        ````text
        12 | ``` </details> <{break}!-- marker --> @org
           | ^^^
        ````

        **Hint:** write `parameters`
        ");
    }
}
