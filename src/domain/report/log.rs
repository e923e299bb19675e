//! What a run printed, for whoever asks for it in a pull request.

use super::command_block;
use super::escape::{COMMENT_LIMIT, block, clip, fit, tail, text};
use super::links::Links;
use super::numbers::{bytes, duration};
use super::value;
use crate::domain::command::Command;
use crate::domain::ids::RunId;
use crate::domain::sweep::record::{Outcome, Record};

/// How much of a log is shown.
const LINES: usize = 200;
const BYTES: usize = 20_000;

/// How many runs are named when the beginning of an id is not enough.
const NAMED: usize = 20;

/// The end of what `run` printed; none of `log` when it printed nothing. Without a record it is under way.
#[must_use]
pub fn log_of_run(run: &RunId, record: Option<&Record>, log: Option<&str>, links: &Links) -> String {
    let stands = match record {
        None => "⏳ is under way".to_owned(),
        Some(record) => {
            let used = format!("{}, {} at most", duration(record.wall_ms), bytes(record.peak_memory));
            match &record.outcome {
                Outcome::Succeeded => format!("✅ succeeded ({used})"),
                Outcome::Failed { class, message, .. } => {
                    format!("❌ {}: {} ({used})", class.words(), text(&clip(message, 1_000)))
                }
            }
        }
    };
    let shown = tail(log.unwrap_or_default(), LINES, BYTES);
    // The server shows what has ended.
    let whole = record.and_then(|_| links.log_address(run));
    let whole = whole.map_or_else(String::new, |address| format!(", of which [all is here]({address})"));
    let printed = if shown.trim().is_empty() {
        "It printed nothing.\n".to_owned()
    } else {
        format!("The end of what it printed{whole}:\n\n{}", block("text", &shown))
    };
    fit(&format!("### Run {}\n\n{stands}\n\n{printed}", value(run.short())), COMMENT_LIMIT)
}

/// The answer when no run's id begins like that, or none that the pull request's repository may see.
#[must_use]
pub fn no_such_run(wanted: &str) -> String {
    format!("No run of this repository's models has an id that begins with {}.\n", value(wanted))
}

/// The answer when several ids begin like that.
#[must_use]
pub fn several_runs(wanted: &str, runs: &[RunId]) -> String {
    let mut body = format!("Several runs have an id that begins with {}:\n\n", value(wanted));
    for run in runs.iter().take(NAMED) {
        body.push_str(&command_block(&Command::Logs { run: run.short().to_owned() }));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shown_from_its_end_and_cannot_break_out() {
        let run = RunId::parse("ab".repeat(32)).unwrap();
        let log = format!("{}```\n@org/team <!-- x -->\n", "line\n".repeat(300));
        insta::assert_snapshot!(log_of_run(&run, None, Some("one\ntwo\n"), &Links::default()), @r"
        ### Run `abababababab`

        ⏳ is under way

        The end of what it printed:

        ```text
        one
        two
        ```
        ");
        let shown = log_of_run(&run, None, Some(&log), &Links::default());
        assert_eq!(shown.matches("line\n").count(), LINES - 2);
        assert!(shown.contains("````text"), "{shown}");
        assert!(log_of_run(&run, None, None, &Links::default()).contains("printed nothing"));
    }
}
