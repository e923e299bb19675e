//! Every sentence that a user reads in a pull request.
//!
//! Pure functions from values to Markdown. They decide how a thing is said, never whether: that is for
//! [`decide`](super::decide). Whatever users or models wrote passes through [`escape`] first, and every comment is made
//! to fit by [`escape::fit`].

pub mod escape;
pub mod numbers;
pub mod stop;

mod build;
mod chart;
mod check;
mod command;
mod comparison;
mod faults;
mod html;
mod links;
mod log;
mod plan;
mod progress;
mod promotion;
mod results;
mod status;
mod thread;
mod versions;
mod warning;

pub use build::{BuildLine, BuildProgress, build_comment, other_version, waits_for};
pub use check::{BuildStanding, build_check, ended_check, manifest_check, sweep_check};
pub use command::{
    ApprovalNote, NothingToRun, answers_left_out, approval_note, command_denied, help, nothing_to_run,
    results_left_out, unknown_command,
};
pub use comparison::{comparison_text, percent};
pub use faults::{excerpt, faults_comment};
pub use html::{html, plain, told_move, with_unit};
pub use links::{Links, directory_url, percent_encoded};
pub use log::{log_of_run, no_such_run, several_runs};
pub use plan::{MayStart, budget_note, plan_comment, waiting_comment};
pub use progress::progress_comment;
pub use promotion::{NotPromoted, not_promoted, promotion_settled};
pub use results::final_comment;
pub use status::{SweepLine, SweepProgress, status_comment};
pub use thread::{models_comment, needs_approval, nothing_to_do, pull_status, sweep_comment, withdrawn_comment};
pub use versions::versions_comment;
pub use warning::warning_text;

use escape::{clip, code};

/// How many characters of a name or value one place shows.
const VALUE_LENGTH: usize = 80;

/// A name or value, in a sentence or a table.
fn value(raw: &str) -> String {
    code(&clip(raw, VALUE_LENGTH))
}

/// Names with their values: `RATE` = `0.1`, `YEAR` = `2026`.
fn assignments(pairs: &[(String, String)]) -> String {
    let parts: Vec<String> = pairs.iter().map(|(name, given)| format!("{} = {}", value(name), value(given))).collect();
    parts.join(", ")
}

/// A command in a code block of its own, which the forge gives a copy button.
fn command_block(command: &super::command::Command) -> String {
    escape::block("", &format!("{} {command}", super::command::PREFIX))
}

/// A table with its header; `numeric` columns are aligned to the right. Cells are Markdown already.
fn table(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let mut lines = String::new();
    let names: Vec<&str> = header.iter().map(|(name, _)| *name).collect();
    let rules: Vec<&str> = header.iter().map(|(_, align)| if *align == Align::Right { "--:" } else { ":--" }).collect();
    lines.push_str(&format!("| {} |\n|{}|\n", names.join(" | "), rules.join("|")));
    for row in rows {
        lines.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    lines
}

/// On which side a column's texts stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::domain::ids::*;
    use crate::domain::sweep::analysis::*;
    use crate::domain::sweep::cost::{Needs, Price};
    use crate::domain::sweep::plan::*;
    use crate::domain::sweep::record::FailureClass;
    use crate::domain::sweep::state::*;

    pub(super) fn commit(digit: char) -> CommitSha {
        CommitSha::parse(digit.to_string().repeat(40)).unwrap()
    }

    pub(super) fn sweep_name(name: &str) -> SweepName {
        SweepName::parse(name).unwrap()
    }

    pub(super) fn model() -> ModelName {
        ModelName::parse("urban/simple-tax").unwrap()
    }

    pub(super) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, given)| ((*name).to_owned(), (*given).to_owned())).collect()
    }

    /// `body` with the breaks that nobody sees made visible.
    pub(super) fn with_breaks(body: &str) -> String {
        body.replace('\u{200B}', "{break}")
    }

    fn texts(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|text| (*text).to_owned()).collect()).collect()
    }

    /// The plan of the example sweep: STANDARD from 1600 to 3500, with a baseline.
    pub(super) fn plan() -> PlanSummary {
        PlanSummary {
            id: SweepId::parse("standard-deduction-0123456789").unwrap(),
            name: sweep_name("standard-deduction"),
            file: "sweeps/standard-deduction.yaml".to_owned(),
            digest: Digest::of("plan"),
            model: model(),
            reference: "production".to_owned(),
            version: VersionId::parse("9c31fe20a4b7d815").unwrap(),
            model_commit: commit('4'),
            executable: Digest::of("executable"),
            head: Some(commit('a')),
            design: "grid".to_owned(),
            moved: vec![MovedParameter {
                name: "STANDARD".to_owned(),
                levels: 20,
                declared: "range 1600 .. 3500 step 100".to_owned(),
                unit: "USD".to_owned(),
                scale: Scale::Linear,
            }],
            fixed: pairs(&[("RATE", "0.12")]),
            baseline: pairs(&[("STANDARD", "1500")]),
            counts: PlanCounts { generated: 20, rejected: 0, repeated: 0, runs: 21, reused: 2 },
            sample: texts(&[&["1600"], &["1700"], &["1800"]]),
            outputs: vec!["revenue".to_owned()],
            limits: RunLimits {
                max_parallel: Some(20),
                max_failures: Some(MaxFailures::Share(0.05)),
                ..RunLimits::default()
            },
            needs: Needs { milli_cpus: 1_000, memory: 512 << 20, most_memory: 4 << 30 },
            price: Price::default(),
            estimate_ms: Some(12_400),
            estimate_usd: None,
            verdict: Verdict::NeedsCommand,
            notes: Vec::new(),
            purpose: Purpose::Results,
        }
    }

    /// The analysis of the example sweep.
    pub(super) fn analysis() -> AnalysisSummary {
        AnalysisSummary {
            rows: 21,
            missing: 0,
            statistics: vec![
                OutputStatistics {
                    output: "revenue".to_owned(),
                    unit: "USD".to_owned(),
                    count: 20,
                    min: 355_280_416_221.5,
                    mean: 374_112_907_113.2,
                    deviation: Some(12_201_554_810.4),
                    max: 393_020_118_905.7,
                    baseline: Some(394_519_805_728.93),
                },
                OutputStatistics {
                    output: "units".to_owned(),
                    unit: String::new(),
                    count: 20,
                    min: 20_000.0,
                    mean: 20_000.0,
                    deviation: Some(0.0),
                    max: 20_000.0,
                    baseline: Some(20_000.0),
                },
            ],
            chart: Some(Chart {
                parameter: "STANDARD".to_owned(),
                parameter_unit: "USD".to_owned(),
                output: "revenue".to_owned(),
                output_unit: "USD".to_owned(),
                points: vec![(1600.0, 393_020_118_905.7), (1700.0, 391_011_221_004.25), (1800.0, 389_009_871_442.0)],
            }),
            head_columns: vec!["STANDARD".to_owned(), "revenue".to_owned(), "revenue_difference".to_owned()],
            head_rows: texts(&[
                &["1,500", "394,520,000,000", "0"],
                &["1,600", "393,020,000,000", "-1,499,690,000"],
                &["1,700", "391,011,000,000", "-3,508,580,000"],
            ]),
            files: vec![
                ArtifactFile {
                    name: "analysis.csv".to_owned(),
                    key: "sweeps/sd-01/analysis.csv".to_owned(),
                    bytes: 3_204,
                },
                ArtifactFile {
                    name: "analysis.parquet".to_owned(),
                    key: "sweeps/sd-01/analysis.parquet".to_owned(),
                    bytes: 5_412,
                },
            ],
            texts: Vec::new(),
            file_rows: Vec::new(),
            warnings: Vec::new(),
            notes: vec!["`units` is 20,000 at every point".to_owned()],
        }
    }

    /// The example sweep's report in `phase`, 21 runs of which 2 are reused.
    pub(super) fn report(phase: SweepPhase, succeeded: u64, failed: &[(FailureClass, u64)]) -> SweepReport {
        SweepReport {
            plan: plan(),
            by: "ada".to_owned(),
            started_at: Time(1_000_000),
            ended_at: Some(Time(1_012_300)),
            before_ms: 0,
            succeeded,
            failed: failed.iter().copied().collect::<BTreeMap<_, _>>(),
            failures: Vec::new(),
            round: 1,
            stage: Stage::Whole,
            raised: Vec::new(),
            cost_usd: None,
            mean_ms: None,
            phase,
        }
    }

    /// A failed run of the example sweep.
    pub(super) fn failure(class: FailureClass, message: &str, log_tail: &str) -> RunFailure {
        RunFailure {
            run: RunId::parse("b5".repeat(32)).unwrap(),
            parameters: pairs(&[("STANDARD", "1700")]),
            class,
            message: message.to_owned(),
            log_tail: log_tail.to_owned(),
        }
    }
}
