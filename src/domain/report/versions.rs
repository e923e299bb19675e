//! What a pull request's own version of a model does to results: the one comment for each model that it changes.

use super::comparison::{difference_table, failing, percent};
use super::escape::{COMMENT_LIMIT, fit, text};
use super::numbers::{count, duration, number, plural};
use super::progress::failed_by_class;
use super::{assignments, command_block, value};
use crate::domain::command::Command;
use crate::domain::ids::{ModelName, SweepName};
use crate::domain::pull::{ComparedStage, ComparedSweep, ComparisonPhase, Ending, Pair, PullComparison};
use crate::domain::sweep::analysis::{Comparison, Effort, OutputDifference};
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::record::OutputValue;
use crate::domain::sweep::state::SweepReport;

/// The comment on what the pull request does to `model`.
#[must_use]
pub fn versions_comment(model: &ModelName, comparison: &PullComparison) -> String {
    let title = format!("### What this pull request does to {}", value(&model.to_string()));
    let body = match &comparison.phase {
        ComparisonPhase::Waiting => format!("{title}\n\n⏳ The comparison with its base is being planned.\n"),
        ComparisonPhase::Nothing { reason } => format!("{title}\n\nNothing is compared: {}.\n", text(reason)),
        ComparisonPhase::Planned { version, base, sweeps, .. } => {
            let versions = format!(
                "Its own version {} against {} of {}.",
                value(version.as_str()),
                value(base.version.as_str()),
                value(&base.called)
            );
            let parts: Vec<String> = sweeps.iter().map(|sweep| part(sweep, sweeps.len())).collect();
            format!("{title}{}\n\n{versions}\n\n{}{}", verdict(sweeps), parts.join(""), offer(sweeps))
        }
    };
    fit(&body, COMMENT_LIMIT)
}

/// What all comparisons together say, behind the title.
fn verdict(sweeps: &[ComparedSweep]) -> &'static str {
    let compared = |sweep: &ComparedSweep| match &sweep.stage {
        ComparedStage::Compared { comparison, .. } => Some((**comparison).clone()),
        _ => None,
    };
    let done: Vec<Comparison> = sweeps.iter().filter_map(compared).collect();
    if done.iter().any(|comparison| comparison.failing > 0) {
        return " ⚠️ runs fail now";
    }
    if done.iter().any(|comparison| comparison.matched > 0 && comparison.differs()) {
        return " ⚠️ results differ";
    }
    if done.len() == sweeps.len() && done.iter().all(|comparison| comparison.matched > 0) && !done.is_empty() {
        return " ✅ no difference";
    }
    ""
}

fn part(sweep: &ComparedSweep, of: usize) -> String {
    let name = match sweep.name.as_str() {
        "tests" => "The manifest's tests".to_owned(),
        name => format!("Sweep {}", value(name)),
    };
    let body = match &sweep.stage {
        ComparedStage::Unfit { reason } => format!("❌ {}\n\n", text(reason)),
        ComparedStage::Offered { plans } => planned(plans),
        ComparedStage::Running { reports } => running(reports),
        ComparedStage::Comparing { .. } => {
            "⏳ Both versions have run; their results are being compared.\n\n".to_owned()
        }
        ComparedStage::Compared { reports, comparison } => compared(reports, comparison),
        ComparedStage::Ended { ending: Ending::Cancelled { by }, .. } => {
            format!("**Cancelled by:** {}\n\n{}", text(by), again(&sweep.name, of))
        }
        ComparedStage::Ended { ending: Ending::Stopped { reason }, .. } => {
            format!("❌ Stopped: {}\n\n{}", text(reason), again(&sweep.name, of))
        }
    };
    format!("#### {name}\n\n{body}")
}

fn planned(plans: &Pair<PlanSummary>) -> String {
    let points = plans.head.counts.runs;
    let new = plans.new_runs();
    let mut line = format!("{} on each version", plural(points, "run"));
    if new == 0 {
        line.push_str(", and every result is known: comparing costs nothing.");
    } else {
        let known = points.saturating_add(plans.base.counts.runs) - new;
        line.push_str(&format!(": {} new, {} known already.", count(new), count(known)));
        if let (Some(base), Some(head)) = (plans.base.estimate_ms, plans.head.estimate_ms) {
            line.push_str(&format!(" About **{}**.", duration(base.saturating_add(head))));
        }
    }
    if let Some(reasons) = plans.refusal() {
        line.push_str("\n\n❌ **It may not run as it is:**\n\n");
        for reason in reasons {
            line.push_str(&format!("- {}\n", text(reason)));
        }
        line.push('\n');
        return line;
    }
    format!("{line}\n\n")
}

fn running(reports: &Pair<SweepReport>) -> String {
    let done = reports.base.finished().saturating_add(reports.head.finished());
    let runs = reports.base.plan.counts.runs.saturating_add(reports.head.plan.counts.runs);
    let failed: Vec<String> =
        [&reports.base, &reports.head].into_iter().map(failed_by_class).filter(|failed| !failed.is_empty()).collect();
    let failed = if failed.is_empty() { String::new() } else { format!(", failed: {}", failed.join(", ")) };
    format!(
        "⏳ Runs: **{} of {}**{failed}. Started by {}.\n\n",
        count(done.min(runs)),
        plural(runs, "run"),
        text(&reports.head.by)
    )
}

fn compared(reports: &Pair<SweepReport>, comparison: &Comparison) -> String {
    let mut body = String::new();
    if comparison.matched == 0 {
        body.push_str("No point succeeded on both versions, so there is nothing to compare.\n\n");
    } else if !comparison.differs() {
        let outputs = u64::try_from(comparison.outputs.len()).unwrap_or(u64::MAX);
        body.push_str(&format!(
            "✅ **No difference in any of {}**, compared by {}.\n\n",
            plural(comparison.matched, "point"),
            plural(outputs, "output")
        ));
    } else if let Some(mover) = comparison.largest_mover() {
        body.push_str(&format!("**Largest mover:** {}\n\n", moved(mover)));
    }
    body.push_str(&failing(comparison));
    if comparison.outputs.iter().any(OutputDifference::differs) {
        body.push_str(&difference_table(comparison));
        body.push('\n');
    }
    if let Some((base, head)) = &comparison.effort {
        body.push_str(&format!("{}\n\n", effort(base, head)));
    }
    if comparison.failing + comparison.failing_in_both > 0 {
        let (base, head) = (&reports.base, &reports.head);
        body.push_str(&first_failures(if comparison.failing > 0 { head } else { base }));
    }
    body
}

/// `revenue` at `STANDARD` = `3500`: 898,698 -> 907,685 USD (**+1 %**).
fn moved(mover: &OutputDifference) -> String {
    let at = if mover.largest_relative.is_some() { &mover.largest_relative_at } else { &mover.largest_at };
    let place = if at.is_empty() { String::new() } else { format!(" at {}", assignments(at)) };
    let mut line = format!("{}{place}", value(&mover.output));
    if let Some((from, to)) = &mover.values {
        line.push_str(&format!(": {} → {}", shown(from), shown(to)));
        if !mover.unit.is_empty() {
            line.push_str(&format!(" {}", text(&mover.unit)));
        }
    }
    if let Some(share) = mover.largest_relative {
        line.push_str(&format!(" (**{}**)", percent(share)));
    }
    line
}

fn shown(output: &OutputValue) -> String {
    match output {
        OutputValue::Text(text) => value(text),
        OutputValue::Bool(given) => given.to_string(),
        OutputValue::Missing => "no value".to_owned(),
        OutputValue::Int(_) | OutputValue::Float(_) => output.number().map_or_else(String::new, number),
    }
}

fn effort(base: &Effort, head: &Effort) -> String {
    let ratio = |head: f64, base: f64| (base > 0.0).then(|| format!("{} times", number(rounded(head / base))));
    let parts: Vec<String> = [
        ratio(head.wall_seconds, base.wall_seconds).map(|ratio| format!("run time {ratio}")),
        ratio(head.peak_memory_mb, base.peak_memory_mb).map(|ratio| format!("memory {ratio}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { String::new() } else { format!("Against the base: {}.", parts.join(", ")) }
}

/// To two decimals: what a machine measures is no more exact than that.
fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

fn first_failures(report: &SweepReport) -> String {
    let lines: Vec<String> = report
        .failures
        .iter()
        .take(3)
        .map(|failure| {
            format!(
                "- {} at {}: {}\n",
                failure.class.words(),
                assignments(&failure.parameters),
                text(&super::escape::clip(&failure.message, 200))
            )
        })
        .collect();
    if lines.is_empty() { String::new() } else { format!("{}\n", lines.join("")) }
}

/// How to start what waits for a command.
fn offer(sweeps: &[ComparedSweep]) -> String {
    let offered: Vec<&ComparedSweep> = sweeps
        .iter()
        .filter(|sweep| matches!(&sweep.stage, ComparedStage::Offered { plans } if plans.refusal().is_none()))
        .collect();
    let command = match &offered[..] {
        [] => return String::new(),
        [one] if sweeps.len() > 1 => Command::Compare { sweep: Some(one.name.clone()) },
        _ => Command::Compare { sweep: None },
    };
    format!("**To compare**, somebody who may push to this repository comments:\n\n{}\n", command_block(&command))
}

fn again(name: &SweepName, of: usize) -> String {
    let sweep = (of > 1).then(|| name.clone());
    format!("To compare again:\n\n{}\n", command_block(&Command::Compare { sweep }))
}
