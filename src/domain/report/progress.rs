//! How a sweep under way is coming along.

use super::escape::{COMMENT_LIMIT, clip, fit, text};
use super::links::Links;
use super::numbers::{bytes, count, duration, plural, rate, usd};
use super::results::{mark, warned};
use super::{assignments, command_block, value};
use crate::domain::command::Command;
use crate::domain::ids::Time;
use crate::domain::sweep::state::{Stage, SweepPhase, SweepReport};

/// How many characters the progress bar has.
const BAR_LENGTH: u64 = 24;

/// How many failures are shown while the sweep runs.
const MOST_FAILURES: usize = 3;

/// The sweep's comment from its start on. Once the sweep has ended it says so in a line; the results come in a comment
/// of their own.
#[must_use]
pub fn progress_comment(report: &SweepReport, links: &Links, now: Time) -> String {
    let name = value(report.plan.name.as_str());
    let body = match &report.phase {
        SweepPhase::Submitting => format!("### Sweep {name} starts\n\n{}\n{}", bar(report), footer(report, links)),
        SweepPhase::Running { runs, .. } => {
            let stage = stage(report, *runs);
            format!(
                "### Sweep {name} runs\n\n{}{stage}{}\n{}",
                pace(report, *runs, now),
                failures(report, links),
                footer(report, links)
            )
        }
        SweepPhase::Stopping { .. } => {
            format!("### Sweep {name} is being stopped\n\n{}\nRuns under way are being ended.\n", bar(report))
        }
        SweepPhase::Analysing => {
            format!("### Sweep {name} is done running\n\n{}\nThe analysis is being written.\n", bar(report))
        }
        SweepPhase::Succeeded { analysis } => format!(
            "### Sweep {name} {}{}\n\n{}\nThe results are below.\n",
            mark(analysis),
            warned(analysis).trim_start_matches(','),
            bar(report)
        ),
        SweepPhase::Incomplete { .. } => {
            format!("### Sweep {name} ⚠️ incomplete\n\n{}\nThe results are below.\n", bar(report))
        }
        SweepPhase::Cancelled { by, .. } => {
            format!("### Sweep {name} was cancelled\n\n{}\nBy {}.\n", bar(report), text(by))
        }
        SweepPhase::Stopped { reason } => {
            format!("### Sweep {name} ❌ stopped\n\n{}\n**Why:** {}\n", bar(report), text(reason))
        }
    };
    fit(&body, COMMENT_LIMIT)
}

/// The failed runs by class: `2 model error, 1 timeout`.
pub(super) fn failed_by_class(report: &SweepReport) -> String {
    let parts: Vec<String> = report
        .failed
        .iter()
        .filter(|(_, runs)| **runs > 0)
        .map(|(class, runs)| format!("{} {}", count(*runs), class.words()))
        .collect();
    parts.join(", ")
}

/// A bar with the counts behind it.
fn bar(report: &SweepReport) -> String {
    let runs = report.plan.counts.runs;
    let done = report.finished().min(runs);
    let filled = (done * BAR_LENGTH).checked_div(runs).unwrap_or(BAR_LENGTH);
    let bar: String = (0..BAR_LENGTH).map(|place| if place < filled { '█' } else { '░' }).collect();
    let failed = failed_by_class(report);
    let failed = if failed.is_empty() { String::new() } else { format!(", failed: **{failed}**") };
    let cost = report.cost_usd.map_or_else(String::new, |cost| format!(", cost so far: **{}**", usd(cost)));
    format!("`{bar}` **{} of {}**{failed}{cost}\n", count(done), plural(runs, "run"))
}

/// What the round is about, when it is not about everything.
fn stage(report: &SweepReport, runs: u64) -> String {
    match (report.stage, report.raised.last()) {
        (Stage::Canary, _) => {
            format!(
                "\n{} ahead of the others.\n",
                if runs == 1 { "1 run goes".to_owned() } else { format!("{runs} runs go") }
            )
        }
        (Stage::Raised, Some(raised)) => {
            format!("\n{} again with {} of memory each.\n", plural(runs, "run"), bytes(raised.memory))
        }
        (Stage::Whole | Stage::Raised, _) => String::new(),
    }
}

/// The bar, and how fast it moves. `round_runs` are the runs of this round: the others' results were known before.
fn pace(report: &SweepReport, round_runs: u64, now: Time) -> String {
    let bar = bar(report);
    let elapsed = u64::try_from(now.since(report.started_at).as_millis()).unwrap_or(u64::MAX);
    let known = report.plan.counts.runs.saturating_sub(round_runs);
    let done = report.finished().saturating_sub(known);
    let left = report.plan.counts.runs.saturating_sub(report.finished());
    if done == 0 || elapsed == 0 {
        return match report.mean_ms {
            Some(mean) if left > 0 => format!("{bar}\nA run took {}.\n", duration(mean)),
            Some(_) | None => bar,
        };
    }
    let remaining = u128::from(elapsed) * u128::from(left) / u128::from(done);
    let remaining = duration(u64::try_from(remaining).unwrap_or(u64::MAX));
    format!("{bar}\n{}, about {remaining} left.\n", rate(done, elapsed))
}

fn failures(report: &SweepReport, links: &Links) -> String {
    let mut lines = String::new();
    if !report.failures.is_empty() {
        lines.push('\n');
    }
    for failure in report.failures.iter().take(MOST_FAILURES) {
        let message = text(&clip(&failure.message, 200));
        let log = links.log_address(&failure.run).map_or_else(String::new, |address| format!(" ([log]({address}))"));
        let class = failure.class.words();
        lines.push_str(&format!("- {class} at {}{log}: {message}\n", assignments(&failure.parameters)));
    }
    lines
}

fn footer(report: &SweepReport, links: &Links) -> String {
    let cancel = Command::Cancel { sweep: Some(report.plan.name.clone()) };
    let page =
        links.sweep_address(report).map_or_else(String::new, |address| format!(" It is [shown here]({address})."));
    format!("Started by {}.{page} To stop it:\n\n{}", text(&report.by), command_block(&cancel))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{analysis, failure, report};
    use super::*;
    use crate::domain::sweep::record::FailureClass;
    use crate::domain::sweep::state::Raised;

    fn running() -> SweepPhase {
        SweepPhase::Running { jobs: Vec::new(), runs: 19 }
    }

    #[test]
    fn a_running_sweep_shows_counts_rate_and_time_left() {
        insta::assert_snapshot!(progress_comment(&report(running(), 10, &[]), &Links::default(), Time(1_004_000)), @r"
        ### Sweep `standard-deduction` runs

        `███████████░░░░░░░░░░░░░` **10 of 21 runs**

        2 a second, about 5.5 s left.

        Started by ada. To stop it:

        ```
        /modelship cancel standard-deduction
        ```
        ");
    }

    #[test]
    fn a_server_shows_the_sweep_and_the_logs_of_what_failed() {
        let mut report = report(running(), 6, &[(FailureClass::ModelError, 1)]);
        report.failures = vec![failure(FailureClass::ModelError, "ended with status 3", "")];
        let links = Links { base_url: Some("https://models.example.org/".to_owned()) };
        let body = progress_comment(&report, &links, Time(1_004_000));
        let (run, id) = (&report.failures[0].run, &report.plan.id);
        assert!(body.contains(&format!(" ([log](https://models.example.org/runs/{run}/log)): ended")), "{body}");
        assert!(body.contains(&format!("[shown here](https://models.example.org/sweeps/{id}).")), "{body}");
        let files = Links { base_url: Some("file:///srv/artifacts".to_owned()) };
        assert_eq!(
            progress_comment(&report, &files, Time(1_004_000)),
            progress_comment(&report, &Links::default(), Time(1_004_000))
        );
    }

    #[test]
    fn failures_are_shown_while_it_runs() {
        let mut report = report(running(), 6, &[(FailureClass::ModelError, 3), (FailureClass::Timeout, 1)]);
        report.round = 2;
        report.failures =
            vec![failure(FailureClass::ModelError, "ended with status 3: no file `data/units.csv`", ""); 4];
        insta::assert_snapshot!(progress_comment(&report, &Links::default(), Time(1_004_000)), @r"
        ### Sweep `standard-deduction` runs

        `███████████░░░░░░░░░░░░░` **10 of 21 runs**, failed: **1 timeout, 3 model error**

        2 a second, about 5.5 s left.

        - model error at `STANDARD` = `1700`: ended with status 3: no file `data/units.csv`
        - model error at `STANDARD` = `1700`: ended with status 3: no file `data/units.csv`
        - model error at `STANDARD` = `1700`: ended with status 3: no file `data/units.csv`

        Started by ada. To stop it:

        ```
        /modelship cancel standard-deduction
        ```
        ");
    }

    #[test]
    fn nothing_is_promised_before_the_first_run_ended() {
        let body = progress_comment(&report(running(), 2, &[]), &Links::default(), Time(1_004_000));
        assert!(!body.contains("left"), "{body}");
    }

    #[test]
    fn a_retry_counts_only_what_it_runs_itself() {
        let mut report = report(SweepPhase::Running { jobs: Vec::new(), runs: 4 }, 19, &[]);
        report.round = 2;
        let body = progress_comment(&report, &Links::default(), Time(1_004_000));
        assert!(body.contains("30 a minute, about 4 s left"), "{body}");
    }

    #[test]
    fn what_a_round_is_about_and_what_it_costs_is_told_while_it_runs() {
        let mut ahead = report(SweepPhase::Running { jobs: Vec::new(), runs: 1 }, 0, &[]);
        ahead.stage = Stage::Canary;
        let mut raised = report(SweepPhase::Running { jobs: Vec::new(), runs: 3 }, 18, &[]);
        raised.stage = Stage::Raised;
        raised.raised = vec![Raised { memory: 1 << 30, runs: 0 }];
        raised.cost_usd = Some(0.0312);
        let mut first = report(SweepPhase::Running { jobs: Vec::new(), runs: 20 }, 1, &[]);
        first.mean_ms = Some(40_000);
        let told = [ahead, raised, first].map(|report| {
            let body = progress_comment(&report, &Links::default(), Time(1_004_000));
            body.split("\nStarted by").next().unwrap_or_default().to_owned()
        });
        insta::assert_snapshot!(told.join("-----\n"), @r"
        ### Sweep `standard-deduction` runs

        `░░░░░░░░░░░░░░░░░░░░░░░░` **0 of 21 runs**

        1 run goes ahead of the others.
        -----
        ### Sweep `standard-deduction` runs

        `████████████████████░░░░` **18 of 21 runs**, cost so far: **0.0312 USD**

        3 runs again with 1 GiB of memory each.
        -----
        ### Sweep `standard-deduction` runs

        `█░░░░░░░░░░░░░░░░░░░░░░░` **1 of 21 runs**

        A run took 40 s.
        ");
    }

    #[test]
    fn every_phase_has_its_words() {
        let summary = Box::new(analysis());
        let phases = [
            SweepPhase::Submitting,
            SweepPhase::Stopping { jobs: Vec::new() },
            SweepPhase::Analysing,
            SweepPhase::Succeeded { analysis: summary.clone() },
            SweepPhase::Incomplete { analysis: summary, reason: None },
            SweepPhase::Cancelled { by: "`ada` in a comment".to_owned(), analysis: None },
            SweepPhase::Stopped { reason: "the executor is gone".to_owned() },
        ];
        let bodies: Vec<String> = phases
            .into_iter()
            .map(|phase| progress_comment(&report(phase, 21, &[]), &Links::default(), Time(1_004_000)))
            .collect();
        insta::assert_snapshot!(bodies.join("\n-----\n"), @r"
        ### Sweep `standard-deduction` starts

        `████████████████████████` **21 of 21 runs**

        Started by ada. To stop it:

        ```
        /modelship cancel standard-deduction
        ```

        -----
        ### Sweep `standard-deduction` is being stopped

        `████████████████████████` **21 of 21 runs**

        Runs under way are being ended.

        -----
        ### Sweep `standard-deduction` is done running

        `████████████████████████` **21 of 21 runs**

        The analysis is being written.

        -----
        ### Sweep `standard-deduction` ✅

        `████████████████████████` **21 of 21 runs**

        The results are below.

        -----
        ### Sweep `standard-deduction` ⚠️ incomplete

        `████████████████████████` **21 of 21 runs**

        The results are below.

        -----
        ### Sweep `standard-deduction` was cancelled

        `████████████████████████` **21 of 21 runs**

        By `ada` in a comment.

        -----
        ### Sweep `standard-deduction` ❌ stopped

        `████████████████████████` **21 of 21 runs**

        **Why:** the executor is gone
        ");
    }
}
