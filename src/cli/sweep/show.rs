//! Sweeps as a terminal shows them.

use std::path::Path;

use crate::cli::output::{CliError, Output};
use crate::domain::report::{numbers, warning_text};
use crate::domain::sweep::analysis::AnalysisSummary;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::state::{SweepPhase, SweepReport};

/// How many failed runs a terminal shows with their logs.
const FAILURES_SHOWN: usize = 5;

pub(super) fn show_plan(plan: &PlanSummary, output: &Output) -> Result<(), CliError> {
    output.line(&in_short(plan))?;
    let cells: Vec<_> = plan
        .moved
        .iter()
        .map(|moved| vec![moved.name.clone(), numbers::count(moved.levels), moved.declared.clone(), moved.unit.clone()])
        .collect();
    output.table(&["PARAMETER", "VALUES", "DECLARED", "UNIT"], &cells)?;
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    };
    if !plan.baseline.is_empty() {
        output.line(&format!("baseline: {}", pairs(&plan.baseline)))?;
    }
    if !plan.fixed.is_empty() {
        output.line(&format!("held at: {}", pairs(&plan.fixed)))?;
    }
    if plan.counts.rejected > 0 {
        output.line(&format!("left out by `where` and `exclude`: {}", numbers::count(plan.counts.rejected)))?;
    }
    if let Some(estimate) = plan.estimate_ms {
        output.line(&format!("estimated time: {}", numbers::duration(estimate)))?;
    }
    if let Some(estimate) = plan.estimate_usd {
        output.line(&format!("estimated cost: {}", numbers::usd(estimate)))?;
    }
    output.line(&format!("plan: {}", plan.digest))?;
    for note in &plan.notes {
        output.note(note);
    }
    Ok(())
}

pub(super) fn in_short(plan: &PlanSummary) -> String {
    format!(
        "{}: {} of {} (version {}, {}), {} new and {} known",
        plan.name,
        numbers::plural(plan.counts.runs, "run"),
        plan.model,
        plan.version,
        plan.reference,
        numbers::count(plan.counts.new_runs()),
        numbers::count(plan.counts.reused)
    )
}

pub(super) fn show_end(report: &SweepReport, root: &Path, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        output.json(report)?;
    } else if let Some(analysis) = report.phase.analysis() {
        show_statistics(analysis, output)?;
        show_rows(&analysis.head_columns, &analysis.head_rows, output)?;
        if has_more_rows(analysis) {
            let shown = u64::try_from(analysis.head_rows.len()).unwrap_or(u64::MAX);
            output.line(&format!("({} of {})", numbers::count(shown), numbers::plural(analysis.rows, "row")))?;
        }
        show_files(root, analysis, output)?;
    }
    if !output.is_json() {
        show_means(report, output);
    }
    for failure in report.failures.iter().take(FAILURES_SHOWN) {
        let values: Vec<_> = failure.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        output.problem(&format!(
            "run {} ({}): {}: {}",
            failure.run.short(),
            values.join(", "),
            failure.class.words(),
            failure.message
        ));
        output.quote(&failure.log_tail);
    }
    let failed: u64 = report.failed.values().sum();
    let shown = u64::try_from(report.failures.len().min(FAILURES_SHOWN)).unwrap_or(u64::MAX);
    if failed > shown && shown > 0 {
        output.problem(&format!("and {} more", numbers::plural(failed - shown, "failed run")));
    }
    match &report.phase {
        SweepPhase::Succeeded { analysis } => {
            if has_more_rows(analysis) {
                output.next_step(&format!("modelship sweep results {} --head 20", report.plan.id));
            }
            Ok(())
        }
        SweepPhase::Incomplete { analysis, reason } => {
            if let Some(reason) = reason {
                output.problem(reason);
            }
            output.problem(&format!(
                "{} of {} have no result",
                numbers::count(analysis.missing),
                numbers::plural(report.plan.counts.runs, "run")
            ));
            output.next_step(&format!("modelship sweep run {} --retry-failed", report.plan.file));
            Err(CliError::Told)
        }
        SweepPhase::Cancelled { by, .. } => Err(CliError::User(format!(
            "sweep `{}` was cancelled by {by}; run it again and it goes on where it stopped",
            report.plan.id
        ))),
        SweepPhase::Stopped { reason } => {
            output.problem(&format!("sweep `{}` stopped: {reason}", report.plan.id));
            output.next_step(&format!("modelship sweep run {} --retry-failed", report.plan.file));
            Err(CliError::Told)
        }
        SweepPhase::Submitting | SweepPhase::Running { .. } | SweepPhase::Stopping { .. } | SweepPhase::Analysing => {
            Ok(())
        }
    }
}

/// Whether the table has more rows than its head.
fn has_more_rows(analysis: &AnalysisSummary) -> bool {
    u64::try_from(analysis.head_rows.len()).is_ok_and(|shown| shown < analysis.rows)
}

/// What the runs needed and cost.
fn show_means(report: &SweepReport, output: &Output) {
    for raised in report.raised.iter().filter(|raised| raised.runs > 0) {
        let (runs, memory) = (numbers::plural(raised.runs, "run"), numbers::bytes(raised.memory));
        output.note(&format!("{runs} needed {memory} of memory"));
    }
    if let Some(cost) = report.cost_usd {
        output.note(&format!("cost: {}", numbers::usd(cost)));
    }
}

pub(super) fn show_statistics(analysis: &AnalysisSummary, output: &Output) -> Result<(), CliError> {
    let cells: Vec<_> = analysis
        .statistics
        .iter()
        .map(|output| {
            let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), numbers::number);
            vec![
                output.output.clone(),
                numbers::number(output.min),
                numbers::number(output.mean),
                numbers::number(output.max),
                optional(output.deviation),
                optional(output.baseline),
                output.unit.clone(),
            ]
        })
        .collect();
    output.table(&["OUTPUT", "MIN", "MEAN", "MAX", "DEVIATION", "BASELINE", "UNIT"], &cells)?;
    for warning in &analysis.warnings {
        output.warning(&warning_text(warning));
    }
    for note in &analysis.notes {
        output.note(note);
    }
    Ok(())
}

pub(super) fn show_rows(columns: &[String], rows: &[Vec<String>], output: &Output) -> Result<(), CliError> {
    output.line("")?;
    let header: Vec<_> = columns.iter().map(String::as_str).collect();
    output.table(&header, rows)
}

pub(super) fn show_files(root: &Path, analysis: &AnalysisSummary, output: &Output) -> Result<(), CliError> {
    output.line("")?;
    for file in &analysis.files {
        let rows = numbers::plural(analysis.rows, "row");
        output.line(&format!("{} ({rows}, {})", root.join(&file.key).display(), numbers::bytes(file.bytes)))?;
    }
    Ok(())
}

/// The first rows of an analysis, these columns only.
pub(super) fn read_head(csv: &Path, columns: &[String], most: usize) -> Result<Vec<Vec<String>>, CliError> {
    let read = || -> Result<Vec<Vec<String>>, csv::Error> {
        let mut reader = csv::Reader::from_path(csv)?;
        let header = reader.headers()?.clone();
        let places: Vec<_> = columns.iter().map(|name| header.iter().position(|cell| cell == name)).collect();
        let pick = |row: csv::StringRecord| {
            places.iter().map(|at| for_people(at.and_then(|at| row.get(at)).unwrap_or_default())).collect()
        };
        reader.records().take(most).map(|row| Ok(pick(row?))).collect()
    };
    read().map_err(|error| CliError::Ours(error.into()))
}

/// A cell of the table as people read it: numbers rounded as everywhere else.
pub(super) fn for_people(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(value) if cell.parse::<i64>().is_err() => numbers::number(value),
        _ => cell.to_owned(),
    }
}
