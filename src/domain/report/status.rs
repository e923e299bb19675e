//! How everything of a pull request stands, in one answer.

use super::build::{BuildLine, build_comment};
use super::escape::{COMMENT_LIMIT, fit, text};
use super::numbers::{count, duration, plural};
use super::progress::failed_by_class;
use super::{Align, table, value};
use crate::domain::ids::{CommitSha, ModelName, SweepName, Time};
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::{SweepPhase, SweepReport};

/// One sweep of a pull request.
#[derive(Debug, Clone, Copy)]
pub struct SweepLine<'a> {
    /// Its name.
    pub name: &'a SweepName,
    /// How far it is.
    pub progress: SweepProgress<'a>,
}

/// How far a sweep of a pull request is.
#[derive(Debug, Clone, Copy)]
pub enum SweepProgress<'a> {
    /// Its file has this many faults.
    Faulty(usize),
    /// It waits for a build.
    Waiting {
        /// Of this model.
        model: &'a ModelName,
        /// At this commit.
        commit: &'a CommitSha,
    },
    /// It cannot be planned; the reason.
    Blocked(&'a str),
    /// It is being planned.
    Planning,
    /// It is planned and not started.
    Planned(&'a PlanSummary),
    /// It was started.
    Started(&'a SweepReport),
}

/// The answer to `status`.
#[must_use]
pub fn status_comment(builds: &[BuildLine<'_>], sweeps: &[SweepLine<'_>], now: Time) -> String {
    let mut body = String::new();
    if !sweeps.is_empty() {
        let rows: Vec<Vec<String>> =
            sweeps.iter().map(|line| vec![value(line.name.as_str()), standing(&line.progress, now)]).collect();
        body.push_str(&format!(
            "### Sweeps of this pull request\n\n{}\n",
            table(&[("Sweep", Align::Left), ("Status", Align::Left)], &rows)
        ));
    }
    if !builds.is_empty() {
        body.push_str(&build_comment(builds));
    }
    if body.is_empty() {
        body.push_str("This pull request changes no model and no sweep file, so there is nothing to do.\n");
    }
    fit(&body, COMMENT_LIMIT)
}

fn standing(progress: &SweepProgress<'_>, now: Time) -> String {
    match progress {
        SweepProgress::Faulty(number) => {
            format!("❌ {} to repair", plural(u64::try_from(*number).unwrap_or(u64::MAX), "fault"))
        }
        SweepProgress::Waiting { model, commit } => {
            format!("⏳ waits for {} at {}", value(&model.to_string()), value(commit.short()))
        }
        SweepProgress::Blocked(reason) => format!("❌ {}", text(reason)),
        SweepProgress::Planning => "⏳ is being planned".to_owned(),
        SweepProgress::Planned(plan) => match &plan.verdict {
            Verdict::NeedsCommand => format!("planned: {}, not started", plural(plan.counts.runs, "run")),
            Verdict::Refused { reasons } => {
                format!("❌ may not run: {}", text(reasons.first().map_or("policy refuses it", String::as_str)))
            }
        },
        SweepProgress::Started(report) => started(report, now),
    }
}

fn started(report: &SweepReport, now: Time) -> String {
    let runs = plural(report.plan.counts.runs, "run");
    let failed = failed_by_class(report);
    let failed = if failed.is_empty() { String::new() } else { format!(", failed: {failed}") };
    let age = duration(u64::try_from(now.since(report.started_at).as_millis()).unwrap_or(u64::MAX));
    match &report.phase {
        SweepPhase::Submitting => format!("⏳ starts, {runs}"),
        SweepPhase::Running { .. } => {
            format!("⏳ running for {age}: {} of {runs}{failed}", count(report.finished()))
        }
        SweepPhase::Stopping { .. } => "⏳ is being stopped".to_owned(),
        SweepPhase::Analysing => format!("⏳ {runs} ended{failed}; the analysis is being written"),
        SweepPhase::Succeeded { .. } => format!("✅ {runs} done in {}", duration(report.took_ms(now))),
        SweepPhase::Incomplete { .. } => format!("⚠️ {} of {runs} done{failed}", count(report.succeeded)),
        SweepPhase::Cancelled { by, .. } => format!("cancelled by {}", text(by)),
        SweepPhase::Stopped { reason } => format!("❌ stopped: {}", text(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::BuildProgress;
    use super::super::tests::{analysis, commit, model, plan, report, sweep_name};
    use super::*;
    use crate::domain::sweep::record::FailureClass;

    #[test]
    fn every_sweep_and_model_has_its_line() {
        let (name, model, at, plan) = (sweep_name("standard-deduction"), model(), commit('a'), plan());
        let running = report(SweepPhase::Running { jobs: Vec::new(), runs: 19 }, 9, &[(FailureClass::Timeout, 1)]);
        let done = report(SweepPhase::Succeeded { analysis: Box::new(analysis()) }, 21, &[]);
        let line = |progress| SweepLine { name: &name, progress };
        let sweeps = [
            line(SweepProgress::Faulty(2)),
            line(SweepProgress::Waiting { model: &model, commit: &at }),
            line(SweepProgress::Planned(&plan)),
            line(SweepProgress::Started(&running)),
            line(SweepProgress::Started(&done)),
        ];
        let builds = [BuildLine { model: &model, commit: &at, progress: BuildProgress::Building }];
        insta::assert_snapshot!(status_comment(&builds, &sweeps, Time(1_075_000)), @r"
        ### Sweeps of this pull request

        | Sweep | Status |
        |:--|:--|
        | `standard-deduction` | ❌ 2 faults to repair |
        | `standard-deduction` | ⏳ waits for `urban/simple-tax` at `aaaaaaaaaa` |
        | `standard-deduction` | planned: 21 runs, not started |
        | `standard-deduction` | ⏳ running for 1 min 15 s: 10 of 21 runs, failed: 1 timeout |
        | `standard-deduction` | ✅ 21 runs done in 12 s |

        ### Models that this pull request changes

        | Model | Commit | Build |
        |:--|:--|:--|
        | `urban/simple-tax` | `aaaaaaaaaa` | ⏳ building |
        ");
    }

    #[test]
    fn an_unrelated_pull_request_says_so() {
        insta::assert_snapshot!(status_comment(&[], &[], Time(0)), @"This pull request changes no model and no sweep file, so there is nothing to do.");
    }
}
