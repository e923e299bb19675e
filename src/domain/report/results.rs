//! How a sweep ended: the comment that people are notified of.

use super::escape::{COMMENT_LIMIT, block, fit, fit_before, tail, text};
use super::links::Links;
use super::numbers::{bytes, count, duration, number, plural, usd};
use super::progress::failed_by_class;
use super::warning::warning_list;
use super::{Align, assignments, chart, command_block, table, value};
use crate::domain::command::Command;
use crate::domain::sweep::analysis::{AnalysisSummary, OutputStatistics};
use crate::domain::sweep::state::{RunFailure, SweepPhase, SweepReport};

/// How many failed runs the comment shows.
const MOST_FAILURES: usize = 10;

/// How much of each failed run's log the comment shows.
const LOG_LINES: usize = 20;
const LOG_BYTES: usize = 2_000;

/// How many outputs the statistics table shows.
const MOST_OUTPUTS: usize = 30;

/// The comment for a sweep that has ended; none for one that has not.
#[must_use]
pub fn final_comment(report: &SweepReport, links: &Links) -> Option<String> {
    match &report.phase {
        SweepPhase::Submitting | SweepPhase::Running { .. } | SweepPhase::Stopping { .. } | SweepPhase::Analysing => {
            None
        }
        SweepPhase::Succeeded { analysis } => {
            let headline = format!(
                "### Sweep {} {} done{}\n\n{}\n",
                value(report.plan.name.as_str()),
                format_args!("{} {}", mark(analysis), plural(report.plan.counts.runs, "run")),
                warned(analysis),
                circumstances(report)
            );
            Some(fit_before(&format!("{headline}{}", results(analysis)), &files(analysis, links), COMMENT_LIMIT))
        }
        SweepPhase::Incomplete { analysis, reason } => {
            let headline = format!(
                "### Sweep {} ⚠️ {} of {} done{}\n\n{}\n",
                value(report.plan.name.as_str()),
                count(report.succeeded),
                plural(report.plan.counts.runs, "run"),
                warned(analysis),
                circumstances(report)
            );
            let why = reason.as_ref().map_or_else(String::new, |reason| format!("**Why:** {}\n\n", text(reason)));
            let body = format!("{headline}{why}{}{}{}", retry(report), results(analysis), failed_runs(report, links));
            Some(fit_before(&body, &files(analysis, links), COMMENT_LIMIT))
        }
        SweepPhase::Cancelled { by, analysis } => Some(cancelled_comment(report, by, analysis.as_deref(), links)),
        SweepPhase::Stopped { reason } => Some(stopped_comment(report, reason, links)),
    }
}

/// The sign of a sweep all of whose runs succeeded.
pub(super) fn mark(analysis: &AnalysisSummary) -> &'static str {
    if analysis.warnings.is_empty() { "✅" } else { "⚠️" }
}

/// What the headline says of warnings.
pub(super) fn warned(analysis: &AnalysisSummary) -> String {
    match u64::try_from(analysis.warnings.len()).unwrap_or(u64::MAX) {
        0 => String::new(),
        warnings => format!(", **{}**", plural(warnings, "warning")),
    }
}

/// The comment for a sweep that `by` (a person or a cause) stopped, with what was done by then.
fn cancelled_comment(report: &SweepReport, by: &str, analysis: Option<&AnalysisSummary>, links: &Links) -> String {
    let mut body = format!(
        "### Sweep {} was cancelled\n\n**Ended by:** {}\n\n{} of {} are done and kept. This runs the rest:\n\n{}",
        value(report.plan.name.as_str()),
        text(by),
        count(report.succeeded),
        plural(report.plan.counts.runs, "run"),
        command_block(&Command::Run { sweep: Some(report.plan.name.clone()) })
    );
    if let Some(analysis) = analysis {
        body.push_str(&format!("\n{}", results(analysis)));
    }
    body.push_str(&failed_runs(report, links));
    let files = analysis.map(|analysis| files(analysis, links)).unwrap_or_default();
    fit_before(&body, &files, COMMENT_LIMIT)
}

/// The comment for a sweep that could not go on.
fn stopped_comment(report: &SweepReport, reason: &str, links: &Links) -> String {
    let body = format!(
        "### Sweep {} ❌ stopped\n\n**Why:** {}\n\n{} of {} are done and kept. To try the rest again:\n\n{}\n{}",
        value(report.plan.name.as_str()),
        text(reason),
        count(report.succeeded),
        plural(report.plan.counts.runs, "run"),
        command_block(&Command::Retry { sweep: Some(report.plan.name.clone()) }),
        failed_runs(report, links)
    );
    fit(&body, COMMENT_LIMIT)
}

/// Model, time and share of known results in one line.
fn circumstances(report: &SweepReport) -> String {
    let plan = &report.plan;
    let mut parts = vec![format!("{} version {}", value(&plan.model.to_string()), value(plan.version.as_str()))];
    if let Some(ended) = report.ended_at {
        parts.push(format!("in **{}**", duration(report.took_ms(ended))));
    }
    if plan.counts.reused > 0 {
        parts.push(format!("{} known before", plural(plan.counts.reused, "result")));
    }
    if let Some(cost) = report.cost_usd {
        parts.push(format!("cost **{}**", usd(cost)));
    }
    parts.push(format!("started by {}", text(&report.by)));
    format!("{}.\n{}", parts.join(", "), needed_memory(report))
}

/// How many runs needed more memory than the manifest gives them.
fn needed_memory(report: &SweepReport) -> String {
    let given = report.raised.iter().filter(|raised| raised.runs > 0);
    given
        .map(|raised| format!("\n{} needed {} of memory.\n", plural(raised.runs, "run"), bytes(raised.memory)))
        .collect()
}

fn retry(report: &SweepReport) -> String {
    let failed = failed_by_class(report);
    let missing = report.plan.counts.runs.saturating_sub(report.finished());
    let mut parts = Vec::new();
    if !failed.is_empty() {
        parts.push(format!("Failed: **{failed}**."));
    }
    if missing > 0 {
        let have = if missing == 1 { "has" } else { "have" };
        parts.push(format!("{} {have} no result (`missing` in the column `status`).", plural(missing, "run")));
    }
    let command = Command::Retry { sweep: Some(report.plan.name.clone()) };
    format!("{} To run these again:\n\n{}\n", parts.join(" "), command_block(&command))
}

fn results(analysis: &AnalysisSummary) -> String {
    let mut body = warning_list(&analysis.warnings);
    if !analysis.statistics.is_empty() {
        body.push_str(&statistics(&analysis.statistics));
    }
    if let Some(drawn) = analysis.chart.as_ref().and_then(chart::mermaid) {
        body.push_str(&drawn);
        body.push('\n');
    }
    if !analysis.notes.is_empty() {
        body.push_str("**Worth a look:**\n\n");
        for note in &analysis.notes {
            body.push_str(&format!("- {}\n", text(note)));
        }
        body.push('\n');
    }
    body.push_str(&head(analysis));
    body
}

/// Where all of it is, whatever of it had no room.
fn files(analysis: &AnalysisSummary, links: &Links) -> String {
    if analysis.files.is_empty() {
        return String::new();
    }
    let files: Vec<String> =
        analysis.files.iter().map(|file| format!("{} ({})", links.to(file), bytes(file.bytes))).collect();
    format!("\n**Files:** {}\n\n", files.join(", "))
}

fn statistics(statistics: &[OutputStatistics]) -> String {
    let shown = &statistics[..statistics.len().min(MOST_OUTPUTS)];
    let with_baseline = shown.iter().any(|row| row.baseline.is_some());
    let mut header = vec![
        ("Output", Align::Left),
        ("Unit", Align::Left),
        ("Min", Align::Right),
        ("Mean", Align::Right),
        ("Max", Align::Right),
        ("Std. dev.", Align::Right),
    ];
    if with_baseline {
        header.push(("Baseline", Align::Right));
    }
    let optional = |value: Option<f64>| value.map_or_else(String::new, number);
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|row| {
            let mut cells = vec![
                value(&row.output),
                text(&row.unit),
                number(row.min),
                number(row.mean),
                number(row.max),
                optional(row.deviation),
            ];
            if with_baseline {
                cells.push(optional(row.baseline));
            }
            cells
        })
        .collect();
    let more = match statistics.len() - shown.len() {
        0 => String::new(),
        more => format!("\n... and {more} more outputs in the files.\n"),
    };
    format!("{}{more}\n", table(&header, &rows))
}

/// The first rows of the analysis, folded.
fn head(analysis: &AnalysisSummary) -> String {
    if analysis.head_rows.is_empty() {
        return String::new();
    }
    let names: Vec<String> = analysis.head_columns.iter().map(|name| value(name)).collect();
    let header: Vec<(&str, Align)> = names.iter().map(|name| (name.as_str(), Align::Right)).collect();
    let rows: Vec<Vec<String>> = analysis
        .head_rows
        .iter()
        .map(|row| row.iter().map(|shown| text(&super::escape::clip(shown, super::VALUE_LENGTH))).collect())
        .collect();
    format!(
        "<details><summary>First {} of {}</summary>\n\n{}\n</details>\n\n",
        count(u64::try_from(analysis.head_rows.len()).unwrap_or(u64::MAX)),
        plural(analysis.rows, "row"),
        table(&header, &rows)
    )
}

fn failed_runs(report: &SweepReport, links: &Links) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let shown = &report.failures[..report.failures.len().min(MOST_FAILURES)];
    let total: u64 = report.failed.values().sum();
    let total = total.max(u64::try_from(report.failures.len()).unwrap_or(u64::MAX));
    let more = total - u64::try_from(shown.len()).unwrap_or(0);
    let title = if more > 0 {
        format!("First {} of {}", shown.len(), plural(total, "failed run"))
    } else {
        plural(total, "failed run")
    };
    let runs: Vec<String> = shown.iter().map(|failure| failed_run(failure, links)).collect();
    format!("<details><summary>{title}</summary>\n\n{}</details>\n", runs.join(""))
}

fn failed_run(failure: &RunFailure, links: &Links) -> String {
    let parameters = assignments(&failure.parameters);
    let place = if parameters.is_empty() { String::new() } else { format!(" at {parameters}") };
    let mut body = format!(
        "**{}**{place}, run {}: {}\n\n",
        failure.class.words(),
        links.to_log(&failure.run),
        text(&super::escape::clip(&failure.message, 400))
    );
    let log = tail(&failure.log_tail, LOG_LINES, LOG_BYTES);
    if !log.trim().is_empty() {
        body.push_str(&block("text", &log));
        body.push('\n');
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::directory_url;
    use super::super::tests::{analysis, failure, report};
    use super::*;
    use crate::domain::sweep::analysis::ArtifactFile;
    use crate::domain::sweep::record::FailureClass;
    use crate::domain::sweep::state::Raised;

    fn links() -> Links {
        Links { base_url: Some("http://127.0.0.1:8080/artifacts/".to_owned()) }
    }

    #[test]
    fn a_comment_that_is_cut_still_says_where_all_of_it_is() {
        let mut analysis = analysis();
        analysis.notes.extend(std::iter::repeat_n("much ".repeat(1_000), 20));
        let report = report(SweepPhase::Succeeded { analysis: Box::new(analysis) }, 21, &[]);
        let comment = final_comment(&report, &links()).unwrap();
        assert!(comment.len() <= COMMENT_LIMIT && comment.contains("Cut here"), "{} bytes", comment.len());
        let last = comment.trim_end().lines().last().unwrap();
        assert!(last.starts_with("**Files:** ") && last.contains("](http://127.0.0.1:8080/artifacts/"), "{last}");
    }

    #[test]
    fn a_finished_sweep_shows_numbers_a_chart_and_where_the_files_are() {
        let report = report(SweepPhase::Succeeded { analysis: Box::new(analysis()) }, 21, &[]);
        insta::assert_snapshot!(final_comment(&report, &links()).unwrap(), @r#"
        ### Sweep `standard-deduction` ✅ 21 runs done

        `urban/simple-tax` version `9c31fe20a4b7d815`, in **12 s**, 2 results known before, started by ada.

        | Output | Unit | Min | Mean | Max | Std. dev. | Baseline |
        |:--|:--|--:|--:|--:|--:|--:|
        | `revenue` | USD | 355,280,000,000 | 374,113,000,000 | 393,020,000,000 | 12,201,600,000 | 394,520,000,000 |
        | `units` |  | 20,000 | 20,000 | 20,000 | 0 | 20,000 |

        ```mermaid
        xychart-beta
            title "revenue by STANDARD"
            x-axis "STANDARD (USD)" 1600 --> 1800
            y-axis "revenue (billion USD)" 388.80936 --> 393.22063
            line [393.02012, 391.01122, 389.00987]
        ```

        **Worth a look:**

        - `units` is 20,000 at every point

        <details><summary>First 3 of 21 rows</summary>

        | `STANDARD` | `revenue` | `revenue_difference` |
        |--:|--:|--:|
        | 1,500 | 394,520,000,000 | 0 |
        | 1,600 | 393,020,000,000 | -1,499,690,000 |
        | 1,700 | 391,011,000,000 | -3,508,580,000 |

        </details>


        **Files:** [`analysis.csv`](http://127.0.0.1:8080/artifacts/sweeps/sd-01/analysis.csv) (3.1 KiB), [`analysis.parquet`](http://127.0.0.1:8080/artifacts/sweeps/sd-01/analysis.parquet) (5.3 KiB)
        "#);
    }

    #[test]
    fn an_incomplete_sweep_shows_what_failed_and_how_to_retry() {
        let mut summary = analysis();
        summary.chart = None;
        summary.statistics.truncate(1);
        summary.statistics[0].baseline = None;
        summary.statistics[0].deviation = None;
        summary.notes.clear();
        let failed = [(FailureClass::ModelError, 1), (FailureClass::OutOfMemory, 1)];
        let mut report = report(SweepPhase::Incomplete { analysis: Box::new(summary), reason: None }, 18, &failed);
        report.failures = vec![
            failure(FailureClass::ModelError, "ended with status 3", "reading data\n\u{1B}[31mSTOP\u{1B}[0m bad row\n"),
            failure(FailureClass::OutOfMemory, "needed more than its 512 MiB", ""),
        ];
        insta::assert_snapshot!(final_comment(&report, &Links::default()).unwrap(), @r"
        ### Sweep `standard-deduction` ⚠️ 18 of 21 runs done

        `urban/simple-tax` version `9c31fe20a4b7d815`, in **12 s**, 2 results known before, started by ada.

        Failed: **1 out of memory, 1 model error**. 1 run has no result (`missing` in the column `status`). To run these again:

        ```
        /modelship retry standard-deduction
        ```

        | Output | Unit | Min | Mean | Max | Std. dev. |
        |:--|:--|--:|--:|--:|--:|
        | `revenue` | USD | 355,280,000,000 | 374,113,000,000 | 393,020,000,000 |  |

        <details><summary>First 3 of 21 rows</summary>

        | `STANDARD` | `revenue` | `revenue_difference` |
        |--:|--:|--:|
        | 1,500 | 394,520,000,000 | 0 |
        | 1,600 | 393,020,000,000 | -1,499,690,000 |
        | 1,700 | 391,011,000,000 | -3,508,580,000 |

        </details>

        <details><summary>2 failed runs</summary>

        **model error** at `STANDARD` = `1700`, run `b5b5b5b5b5b5`: ended with status 3

        ```text
        reading data
        STOP bad row
        ```

        **out of memory** at `STANDARD` = `1700`, run `b5b5b5b5b5b5`: needed more than its 512 MiB

        </details>

        **Files:** `analysis.csv` at `sweeps/sd-01/analysis.csv` (3.1 KiB), `analysis.parquet` at `sweeps/sd-01/analysis.parquet` (5.3 KiB)
        ");
    }

    #[test]
    fn a_cancelled_or_stopped_sweep_says_by_what_and_what_is_kept() {
        let cancelled = report(SweepPhase::Cancelled { by: "ada".to_owned(), analysis: None }, 7, &[]);
        insta::assert_snapshot!(final_comment(&cancelled, &links()).unwrap(), @r"
        ### Sweep `standard-deduction` was cancelled

        **Ended by:** ada

        7 of 21 runs are done and kept. This runs the rest:

        ```
        /modelship run standard-deduction
        ```
        ");
        let reason = "too many failures: `6` of `21` runs failed, more than the allowed 5 %".to_owned();
        let stopped = report(SweepPhase::Stopped { reason }, 7, &[]);
        insta::assert_snapshot!(final_comment(&stopped, &links()).unwrap(), @r"
        ### Sweep `standard-deduction` ❌ stopped

        **Why:** too many failures: `6` of `21` runs failed, more than the allowed 5 %

        7 of 21 runs are done and kept. To try the rest again:

        ```
        /modelship retry standard-deduction
        ```
        ");
    }

    #[test]
    fn what_was_done_before_a_sweep_was_cut_short_is_shown_with_the_reason_and_the_cost() {
        let mut summary = analysis();
        summary.chart = None;
        summary.notes.clear();
        summary.head_rows.clear();
        summary.statistics.truncate(1);
        let analysis = Box::new(summary);
        let reason = Some("the budget of 2 USD is used up: finished runs cost 2.03 USD".to_owned());
        let mut spent = report(SweepPhase::Incomplete { analysis: analysis.clone(), reason }, 7, &[]);
        spent.cost_usd = Some(2.034);
        spent.raised = vec![Raised { memory: 1 << 30, runs: 3 }, Raised { memory: 2 << 30, runs: 0 }];
        insta::assert_snapshot!(final_comment(&spent, &links()).unwrap(), @r"
        ### Sweep `standard-deduction` ⚠️ 7 of 21 runs done

        `urban/simple-tax` version `9c31fe20a4b7d815`, in **12 s**, 2 results known before, cost **2.03 USD**, started by ada.

        3 runs needed 1 GiB of memory.

        **Why:** the budget of 2 USD is used up: finished runs cost 2.03 USD

        14 runs have no result (`missing` in the column `status`). To run these again:

        ```
        /modelship retry standard-deduction
        ```

        | Output | Unit | Min | Mean | Max | Std. dev. | Baseline |
        |:--|:--|--:|--:|--:|--:|--:|
        | `revenue` | USD | 355,280,000,000 | 374,113,000,000 | 393,020,000,000 | 12,201,600,000 | 394,520,000,000 |


        **Files:** [`analysis.csv`](http://127.0.0.1:8080/artifacts/sweeps/sd-01/analysis.csv) (3.1 KiB), [`analysis.parquet`](http://127.0.0.1:8080/artifacts/sweeps/sd-01/analysis.parquet) (5.3 KiB)
        ");
        let phase = SweepPhase::Cancelled { by: "ada".to_owned(), analysis: Some(analysis) };
        let body = final_comment(&report(phase, 7, &[]), &links()).unwrap();
        for words in ["/modelship run standard-deduction", "| `revenue` | USD |", "analysis.csv"] {
            assert!(body.contains(words), "{body}");
        }
    }

    #[test]
    fn nothing_is_final_before_the_end() {
        for phase in [SweepPhase::Submitting, SweepPhase::Running { jobs: Vec::new(), runs: 3 }, SweepPhase::Analysing]
        {
            assert_eq!(final_comment(&report(phase, 1, &[]), &links()), None);
        }
    }

    #[test]
    fn fifty_failures_with_hostile_logs_fit_and_stay_closed() {
        let hostile = "``` </details> <!-- marker --> @org/team fixes #1 \u{1F600}\n".repeat(80);
        let phase = SweepPhase::Incomplete { analysis: Box::new(analysis()), reason: None };
        let mut report = report(phase, 0, &[(FailureClass::ModelError, 1_200)]);
        report.failures = vec![failure(FailureClass::ModelError, &hostile, &hostile); 50];
        let body = final_comment(&report, &links()).unwrap();
        assert!(body.len() <= COMMENT_LIMIT, "{} bytes", body.len());
        assert!(body.contains("First 10 of 1,200 failed runs"));
        assert!(!body.contains("<!--"));
        assert!(!body.contains("Cut here"));
        assert_eq!(body.matches("\n<details>").count(), 2, "{body}");
    }

    #[test]
    fn a_failed_run_leads_to_its_log_where_a_server_answers() {
        let failed = failure(FailureClass::ModelError, "the command ended with status 3", "");
        let server = Links { base_url: Some("https://models.example.org".to_owned()) };
        let log = format!("[`b5b5b5b5b5b5`](https://models.example.org/runs/{}/log)", failed.run);
        assert!(failed_run(&failed, &server).contains(&log), "{}", failed_run(&failed, &server));
        for links in [Links::default(), Links { base_url: Some(directory_url("/srv/artifacts")) }] {
            assert!(failed_run(&failed, &links).contains("run `b5b5b5b5b5b5`:"));
        }
    }

    #[test]
    fn links_are_encoded() {
        let file = ArtifactFile { name: "a) [b](x)".to_owned(), key: "sweeps/a) b/é".to_owned(), bytes: 1 };
        assert_eq!(links().to(&file), "[`a) [b](x)`](http://127.0.0.1:8080/artifacts/sweeps/a%29%20b/%C3%A9)");
    }
}
