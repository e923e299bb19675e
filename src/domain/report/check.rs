//! What stands beside a commit: a line for each build and sweep, and more for whoever opens it.

use super::build::{failure_text, waits_for};
use super::escape::{clip, fit};
use super::links::Links;
use super::numbers::{count, plural};
use super::plan::{MayStart, plan_comment};
use super::progress::failed_by_class;
use super::results::final_comment;
use super::value;
use crate::domain::check::{Button, Check, CheckState, CheckSubject};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::event::BuildFailure;
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{CommitSha, ModelName};
use crate::domain::manifest::BuildBy;
use crate::domain::pull::{PullSweep, PullSweepPhase};
use crate::domain::sweep::plan::Verdict;
use crate::domain::sweep::state::{SweepPhase, SweepReport};
use crate::domain::version::Version;

/// Most bytes of a summary. GitHub takes 65,535 characters of it.
const MOST_SUMMARY: usize = 60_000;

/// Most faults that are shown in their files.
const MOST_ANNOTATIONS: usize = 500;

/// What a check says of a model's build.
#[derive(Debug, Clone, Copy)]
pub enum BuildStanding<'a> {
    /// It builds and tests.
    Building,
    /// Somebody else builds it.
    Left(BuildBy, HeadOrigin),
    /// It is a version.
    Passed(&'a Version),
    /// It is none, by the fault of the user's files or of the user's model.
    Failed(&'a BuildFailure),
    /// It is none, by our fault.
    Broken(&'a BuildFailure),
    /// A newer commit took its place.
    Superseded,
    /// It is none, and is not built again: something newer took its place.
    Outrun(&'a BuildFailure),
}

/// The check of a model's build.
#[must_use]
pub fn build_check(model: &ModelName, standing: BuildStanding<'_>) -> Check {
    let failed = |failure: &BuildFailure| format!("{}: {}", failure.stage, failure.message);
    let (state, title) = match standing {
        BuildStanding::Building => (CheckState::Pending, "building and testing".to_owned()),
        BuildStanding::Left(by, code) => (CheckState::Pending, waits_for(by, code).to_owned()),
        BuildStanding::Passed(version) => {
            let tests = u64::try_from(version.tests.len()).unwrap_or(u64::MAX);
            (CheckState::Success, format!("version {} passed {}", version.id, plural(tests, "test")))
        }
        BuildStanding::Failed(failure) => (CheckState::Failure, failed(failure)),
        BuildStanding::Broken(failure) => (CheckState::Error, failed(failure)),
        BuildStanding::Outrun(failure) => {
            let failed = failed(failure);
            (CheckState::Failure, format!("not built again, as something newer took its place; it failed in {failed}"))
        }
        BuildStanding::Superseded => (CheckState::Cancelled, "stopped: a newer commit took its place".to_owned()),
    };
    let (summary, annotations) = match standing {
        BuildStanding::Failed(failure) | BuildStanding::Broken(failure) | BuildStanding::Outrun(failure) => {
            (failure_text(model, failure), failure.faults.as_slice())
        }
        BuildStanding::Passed(version) => (provenance(version), [].as_slice()),
        BuildStanding::Building | BuildStanding::Left(..) | BuildStanding::Superseded => (String::new(), [].as_slice()),
    };
    Check {
        name: format!("modelship/build {model}"),
        subject: CheckSubject::Build { model: model.clone() },
        state,
        title: line(&title),
        summary: fit(&summary, MOST_SUMMARY),
        details: None,
        annotations: annotations.iter().take(MOST_ANNOTATIONS).cloned().collect(),
        buttons: Vec::new(),
    }
}

fn provenance(version: &Version) -> String {
    let tests: Vec<String> = version.tests.iter().map(|test| value(&test.name)).collect();
    let tests = if tests.is_empty() { "none".to_owned() } else { tests.join(", ") };
    format!(
        "- version {}\n- executable {}\n- built by {}\n- tests: {tests}\n",
        value(version.id.as_str()),
        value(version.executable.as_str()),
        value(&version.builder)
    )
}

/// The check of a manifest that cannot be read, with all its faults.
#[must_use]
pub fn manifest_check(file: &str, faults: &[Diagnostic]) -> Check {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    let title = if faults.len() == 1 { first } else { format!("{}; the first: {first}", to_repair(faults)) };
    Check {
        name: format!("modelship/manifest {file}"),
        subject: CheckSubject::Manifest,
        state: CheckState::Failure,
        title: line(&title),
        summary: fit(&super::faults::fault_list(faults), MOST_SUMMARY),
        details: None,
        annotations: faults.iter().take(MOST_ANNOTATIONS).cloned().collect(),
        buttons: Vec::new(),
    }
}

fn to_repair(faults: &[Diagnostic]) -> String {
    format!("{} to repair", plural(faults.len().try_into().unwrap_or(u64::MAX), "fault"))
}

/// The check of a pull request's sweep. It tells of what changes rarely: how many runs are done is told in the comment.
#[must_use]
pub fn sweep_check(subject: CheckSubject, sweep: &PullSweep, links: &Links, may_start: &MayStart<'_>) -> Check {
    let mut check = Check {
        name: format!("modelship/sweep {}", called(&subject, sweep)),
        subject,
        state: CheckState::Pending,
        title: String::new(),
        summary: String::new(),
        details: None,
        annotations: Vec::new(),
        buttons: Vec::new(),
    };
    match &sweep.phase {
        PullSweepPhase::Invalid { faults } => {
            check.state = CheckState::Failure;
            check.title = to_repair(&faults.0);
            check.summary = super::faults::faults_comment(&sweep.name, faults);
            check.annotations = faults.0.iter().take(MOST_ANNOTATIONS).cloned().collect();
        }
        PullSweepPhase::WaitingForBuild => check.title = "waits for its model's build".to_owned(),
        PullSweepPhase::Planning => check.title = "is being planned".to_owned(),
        PullSweepPhase::Blocked { reason } => {
            check.state = CheckState::Failure;
            check.title.clone_from(reason);
        }
        PullSweepPhase::Planned { plan, .. } => {
            check.summary = plan_comment(plan, may_start);
            let runs = plural(plan.counts.runs, "run");
            match (&plan.verdict, may_start) {
                (Verdict::Refused { reasons }, _) => {
                    let reason = reasons.first().map_or("policy refuses it", String::as_str);
                    check.state = CheckState::Failure;
                    check.title = format!("may not run: {reason}");
                }
                (Verdict::NeedsCommand, MayStart::OnceApproved { .. }) => {
                    check.state = CheckState::Neutral;
                    check.title = format!("{runs} planned; from a fork, so a maintainer has to approve the commit");
                }
                (Verdict::NeedsCommand, MayStart::OnCommand | MayStart::Started) => {
                    check.state = CheckState::Neutral;
                    check.title = format!("{runs} planned, not started");
                    check.buttons = vec![Button::run(plan)];
                }
            }
        }
        PullSweepPhase::Started { report } => started(&mut check, report, links),
    }
    check.title = line(&check.title);
    check.summary = fit(&check.summary, MOST_SUMMARY);
    check
}

/// What the check of a sweep is called by: its name, and the file where that is not the one of that name. There may be
/// several of one name.
fn called(subject: &CheckSubject, sweep: &PullSweep) -> String {
    let name = &sweep.name;
    let file = match subject {
        CheckSubject::Sweep { marker, .. } => marker.strip_prefix("sweep/").unwrap_or(marker),
        CheckSubject::Build { .. } | CheckSubject::Manifest => name,
    };
    if file == name || file == format!("sweeps/{name}.yaml") { name.clone() } else { format!("{name} ({file})") }
}

fn started(check: &mut Check, report: &SweepReport, links: &Links) {
    let runs = plural(report.plan.counts.runs, "run");
    let failed = failed_by_class(report);
    let failed = if failed.is_empty() { String::new() } else { format!(", failed: {failed}") };
    check.details = links.sweep_address(report);
    check.summary = final_comment(report, links).unwrap_or_else(|| plan_comment(&report.plan, &MayStart::Started));
    (check.state, check.title) = match &report.phase {
        SweepPhase::Submitting | SweepPhase::Running { .. } => (CheckState::Pending, format!("{runs} under way")),
        SweepPhase::Stopping { .. } => (CheckState::Pending, "is being stopped".to_owned()),
        SweepPhase::Analysing => (CheckState::Pending, format!("{runs} ended; the analysis is being written")),
        SweepPhase::Succeeded { .. } => (CheckState::Success, format!("{runs} done")),
        SweepPhase::Incomplete { .. } => {
            (CheckState::Failure, format!("{} of {runs} done{failed}", count(report.succeeded)))
        }
        SweepPhase::Cancelled { by, .. } => (CheckState::Cancelled, format!("cancelled by {by}")),
        SweepPhase::Stopped { reason } => (CheckState::Failure, format!("stopped: {reason}")),
    };
    check.buttons = match &report.phase {
        SweepPhase::Submitting | SweepPhase::Running { .. } => vec![Button::Cancel],
        SweepPhase::Incomplete { .. } | SweepPhase::Cancelled { .. } | SweepPhase::Stopped { .. } => {
            vec![Button::Retry]
        }
        SweepPhase::Stopping { .. } | SweepPhase::Analysing | SweepPhase::Succeeded { .. } => Vec::new(),
    };
}

/// What the check of an older commit says once a sweep is that of a `newer` one, or none any more.
#[must_use]
pub fn ended_check(subject: CheckSubject, name: &str, newer: Option<&CommitSha>) -> Check {
    Check {
        name: name.to_owned(),
        subject,
        state: CheckState::Cancelled,
        title: match newer {
            Some(newer) => format!("{} took its place", newer.short()),
            None => "its file is no longer part of the pull request".to_owned(),
        },
        summary: String::new(),
        details: None,
        annotations: Vec::new(),
        buttons: Vec::new(),
    }
}

/// One line of plain text, as a title is.
fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clip(plain.trim(), 240)
}
