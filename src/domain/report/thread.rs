//! What a pull request's state says in its thread.

use std::collections::BTreeMap;

use super::build::{BuildLine, BuildProgress, build_comment};
use super::command::{NothingToRun, nothing_to_run};
use super::faults::{fault_list, faults_comment};
use super::links::Links;
use super::plan::{MayStart, plan_comment, waiting_comment};
use super::progress::progress_comment;
use super::status::{SweepLine, SweepProgress, status_comment};
use super::{escape, value};
use crate::domain::command::Command;
use crate::domain::forge::PullStatus;
use crate::domain::ids::{ChannelName, CommitSha, ModelName, SweepName, Time};
use crate::domain::pull::{ComparedStage, ComparisonPhase, PullBuild, PullModel, PullState, PullSweep, PullSweepPhase};
use crate::domain::sweep::plan::Verdict;
use crate::domain::sweep::state::SweepPhase;

/// The one comment on a sweep file, as it stands now.
#[must_use]
pub fn sweep_comment(
    sweep: &PullSweep,
    models: &BTreeMap<ModelName, PullModel>,
    may_start: &MayStart<'_>,
    links: &Links,
    now: Time,
) -> String {
    match &sweep.phase {
        PullSweepPhase::Invalid { faults } => faults_comment(&sweep.name, faults),
        PullSweepPhase::WaitingForBuild => match waiting(sweep, models) {
            Some((name, model)) => waiting_comment(name, model, &models[model].source.commit),
            None => planning(&sweep.name),
        },
        PullSweepPhase::Blocked { reason } => {
            format!("### Sweep {}\n\n❌ {}\n", value(&sweep.name), escape::text(reason))
        }
        PullSweepPhase::Planning => planning(&sweep.name),
        PullSweepPhase::Planned { plan, .. } => plan_comment(plan, may_start),
        // How it ended is told in a comment of its own, which notifies people.
        PullSweepPhase::Started { report } => progress_comment(report, links, now),
    }
}

/// The comment on a sweep file that is no longer there.
#[must_use]
pub fn withdrawn_comment(name: &str) -> String {
    format!("### Sweep {}\n\nIts file is no longer part of this pull request.\n", value(name))
}

/// The one comment on the models that a pull request changes.
#[must_use]
pub fn models_comment(pull: &PullState) -> String {
    let channel = ChannelName::pull_request(pull.snapshot.pull.number);
    let mut body = String::new();
    if !pull.models.is_empty() {
        body.push_str(&build_comment(&build_lines(pull, &channel)));
    }
    if !pull.faults.is_empty() {
        body.push_str(&format!("### Manifests that cannot be read\n\n{}", fault_list(&pull.faults)));
    }
    escape::fit(&body, escape::COMMENT_LIMIT)
}

/// How everything of the pull request stands.
#[must_use]
pub fn pull_status(pull: &PullState, now: Time) -> String {
    let channel = ChannelName::pull_request(pull.snapshot.pull.number);
    let named: Vec<_> =
        pull.sweeps.values().filter_map(|sweep| Some((SweepName::parse(&*sweep.name).ok()?, sweep))).collect();
    let lines: Vec<_> =
        named.iter().map(|(name, sweep)| SweepLine { name, progress: sweep_progress(sweep, &pull.models) }).collect();
    status_comment(&build_lines(pull, &channel), &lines, now)
}

/// Why nothing of a fork is started yet.
#[must_use]
pub fn needs_approval(head: &CommitSha) -> String {
    format!(
        "This pull request comes from a fork, so nothing of it is built or run before somebody who may push to this repository \
         has looked at the change and approved this commit of it:\n\n{}",
        super::command_block(&Command::Approve { commit: head.clone() })
    )
}

/// Why `command` found nothing to do.
#[must_use]
pub fn nothing_to_do(command: &Command, pull: &PullState) -> String {
    let asked = match command {
        Command::Compare { sweep } => return nothing_to_compare(command, sweep.as_ref(), pull),
        Command::Run { sweep } | Command::Plan { sweep } | Command::Cancel { sweep } | Command::Retry { sweep } => {
            sweep.as_ref()
        }
        Command::Approve { .. }
        | Command::Logs { .. }
        | Command::Promote { .. }
        | Command::Status
        | Command::Help
        | Command::Unknown { .. } => None,
    };
    if pull.snapshot.status == PullStatus::Closed {
        return "This pull request is closed, and nothing is run for it. Reopen it first.\n".to_owned();
    }
    let named: Vec<_> =
        pull.sweeps.values().filter_map(|sweep| Some((SweepName::parse(&*sweep.name).ok()?, sweep))).collect();
    let known: Vec<_> = named.iter().map(|(name, _)| name.clone()).collect();
    match asked {
        None if known.is_empty() => nothing_to_run(command, NothingToRun::NoSweep),
        Some(asked) if !known.contains(asked) => {
            nothing_to_run(command, NothingToRun::NoSuchSweep { asked, known: &known })
        }
        asked => {
            let reasons: Vec<_> = named
                .iter()
                .filter(|(name, _)| asked.is_none_or(|asked| asked == name))
                .map(|(name, sweep)| (name.clone(), why_not(command, sweep)))
                .collect();
            nothing_to_run(command, NothingToRun::NoneReady(&reasons))
        }
    }
}

fn nothing_to_compare(command: &Command, asked: Option<&SweepName>, pull: &PullState) -> String {
    if pull.snapshot.status == PullStatus::Closed {
        return "This pull request is closed, and nothing is run for it. Reopen it first.\n".to_owned();
    }
    let mut lines = Vec::new();
    for (model, entry) in &pull.models {
        let name = value(&model.to_string());
        match pull.comparisons.get(model).map(|comparison| &comparison.phase) {
            None if entry.build == PullBuild::Untrusted => {
                lines.push(format!("{name}: comes from a fork, and nothing from a fork is built"));
            }
            None => lines.push(format!("{name}: has no version for this pull request")),
            Some(ComparisonPhase::Waiting) => lines.push(format!("{name}: the comparison is being planned")),
            Some(ComparisonPhase::Nothing { reason }) => lines.push(format!("{name}: {}", escape::text(reason))),
            Some(ComparisonPhase::Planned { sweeps, .. }) => lines.extend(
                sweeps
                    .iter()
                    .filter(|sweep| asked.is_none_or(|asked| sweep.name == *asked))
                    .map(|sweep| format!("{name}, {}: {}", value(sweep.name.as_str()), why_not_compared(&sweep.stage))),
            ),
        }
    }
    let typed = value(&format!("{} {command}", crate::domain::command::PREFIX));
    if pull.models.is_empty() {
        return format!("{typed} found nothing: this pull request changes no model.\n");
    }
    if lines.is_empty() {
        return format!("{typed} found nothing: no sweep of that name is compared.\n");
    }
    format!("{typed} found nothing to do:\n\n- {}\n", lines.join("\n- "))
}

fn why_not_compared(stage: &ComparedStage) -> &'static str {
    match stage {
        ComparedStage::Unfit { .. } => "one of the versions cannot run it; the comment on the model says why",
        ComparedStage::Offered { plans } if plans.refusal().is_some() => "policy refuses it",
        ComparedStage::Offered { .. } | ComparedStage::Ended { .. } => {
            "its plan is newer than your command; look at it, then give the command again"
        }
        ComparedStage::Running { .. } | ComparedStage::Comparing { .. } => "it is running",
        ComparedStage::Compared { .. } => "it is done",
    }
}

fn build_lines<'a>(pull: &'a PullState, channel: &'a ChannelName) -> Vec<BuildLine<'a>> {
    let line = |(model, entry): (&'a ModelName, &'a PullModel)| BuildLine {
        model,
        commit: &entry.source.commit,
        progress: match &entry.build {
            PullBuild::Building => BuildProgress::Building,
            PullBuild::Left { by } => BuildProgress::Left(*by, pull.snapshot.origin),
            PullBuild::Ready { version } => BuildProgress::Passed { version, channel },
            PullBuild::Failed { failure } => BuildProgress::Failed(failure),
            PullBuild::Untrusted => BuildProgress::Untrusted,
        },
    };
    pull.models.iter().map(line).collect()
}

fn sweep_progress<'a>(sweep: &'a PullSweep, models: &'a BTreeMap<ModelName, PullModel>) -> SweepProgress<'a> {
    match &sweep.phase {
        PullSweepPhase::Invalid { faults } => SweepProgress::Faulty(faults.0.len()),
        PullSweepPhase::WaitingForBuild => {
            match sweep.request.as_ref().and_then(|wanted| models.get_key_value(&wanted.model)) {
                Some((model, entry)) => SweepProgress::Waiting { model, commit: &entry.source.commit },
                None => SweepProgress::Planning,
            }
        }
        PullSweepPhase::Blocked { reason } => SweepProgress::Blocked(reason),
        PullSweepPhase::Planning => SweepProgress::Planning,
        PullSweepPhase::Planned { plan, .. } => SweepProgress::Planned(plan),
        PullSweepPhase::Started { report } => SweepProgress::Started(report),
    }
}

fn waiting<'a>(
    sweep: &'a PullSweep,
    models: &'a BTreeMap<ModelName, PullModel>,
) -> Option<(&'a SweepName, &'a ModelName)> {
    let request = sweep.request.as_ref()?;
    models.contains_key(&request.model).then_some((&request.name, &request.model))
}

fn planning(name: &str) -> String {
    format!("### Sweep {}\n\n⏳ Is being planned.\n", value(name))
}

fn why_not(command: &Command, sweep: &PullSweep) -> String {
    let reason = match &sweep.phase {
        PullSweepPhase::Invalid { .. } => "its file has faults",
        PullSweepPhase::WaitingForBuild => "its model is still being built",
        PullSweepPhase::Blocked { .. } => "it cannot be planned; its comment says why",
        PullSweepPhase::Planning => "it is being planned",
        PullSweepPhase::Planned { plan, .. } => match (&plan.verdict, command) {
            (Verdict::Refused { .. }, _) => "policy refuses its plan",
            (Verdict::NeedsCommand, Command::Run { .. }) => {
                "its plan is newer than your command; look at it, then give the command again"
            }
            (Verdict::NeedsCommand, _) => "it has not been started",
        },
        PullSweepPhase::Started { report } => match &report.phase {
            SweepPhase::Submitting | SweepPhase::Running { .. } | SweepPhase::Analysing => "it is running",
            SweepPhase::Stopping { .. } => "it is being stopped",
            SweepPhase::Succeeded { .. } => "it is done",
            SweepPhase::Incomplete { .. } | SweepPhase::Cancelled { .. } | SweepPhase::Stopped { .. } => {
                "it has ended; `/modelship retry` runs what is missing"
            }
        },
    };
    reason.to_owned()
}
