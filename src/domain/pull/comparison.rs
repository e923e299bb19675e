//! Versions compared: what a pull request's own version of a model does to results.
//!
//! Each model that the pull request changes has one comparison: the sweeps that name the model, each run on the version
//! of the pull request's head and on the one of its base. The runs are those of ordinary sweeps, planned, started, watched
//! and analysed as such; what is decided here is only which of them belong together and when.

use super::commands::Order;
use super::compared::{ComparedStage, ComparedSweep, ComparisonPhase, ComparisonPlan, Ending, Pair, PullComparison};
use super::talk::Urgency;
use super::{CLOCK_SLACK, PullBuild, Thread};
use crate::domain::decision::Due;
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::forge::{PullStatus, User};
use crate::domain::ids::{CommitSha, Digest, ModelName, SweepId, SweepName, Time};
use crate::domain::report;
use crate::domain::sweep::analysis::Comparison;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport};

/// Who starts a comparison that nobody asks for.
const BY_POLICY: &str = "policy";

impl Thread<'_> {
    /// Forgets comparisons of models that the pull request no longer changes. Those of the others go on until their new
    /// plan is known: if it is the same, nothing has changed.
    pub(super) fn keep_comparisons(&mut self) {
        let known: Vec<ModelName> = self.state.comparisons.keys().cloned().collect();
        for model in known {
            if self.state.models.get(&model).is_none_or(|entry| entry.build == PullBuild::Untrusted) {
                self.end_comparison(&model, "this pull request no longer changes the model");
                self.state.comparisons.remove(&model);
            }
        }
    }

    /// Plans the comparison of `model`, whose build for this pull request has settled.
    pub(super) fn plan_comparison(&mut self, model: &ModelName) {
        let Some(entry) = self.state.models.get(model) else { return };
        match &entry.build {
            PullBuild::Ready { version } => {
                let pull = self.at.pull;
                self.decision.ask(Due {
                    effect: Effect::PlanComparison {
                        pull: pull.clone(),
                        head: self.state.snapshot.head.clone(),
                        model: model.clone(),
                        source: entry.source.clone(),
                        version: version.id.clone(),
                    },
                    not_before: None,
                    coalesce: Some(format!("compare/{}/{}/{model}", pull.repository.id, pull.number)),
                });
                self.state
                    .comparisons
                    .entry(model.clone())
                    .or_insert(PullComparison { last_edit: None, phase: ComparisonPhase::Waiting });
            }
            PullBuild::Failed { .. } => self.end_comparison(model, "the model no longer builds"),
            PullBuild::Building | PullBuild::Left { .. } | PullBuild::Untrusted => {}
        }
    }

    pub(super) fn comparison_planned(
        &mut self,
        model: &ModelName,
        head: &CommitSha,
        result: &Result<Box<ComparisonPlan>, String>,
    ) -> Option<String> {
        if *head != self.state.snapshot.head {
            return Some(format!("the head has moved on from {}", head.short()));
        }
        if !self.state.comparisons.contains_key(model) {
            return Some(format!("{model} is not compared"));
        }
        match result {
            Err(reason) => self.end_comparison(model, reason),
            Ok(plan) => {
                self.renew(model, plan);
                self.show_comparison(model);
            }
        }
        None
    }

    /// Puts a new plan in the place of the old one. What it leaves as it was goes on, or stays done.
    fn renew(&mut self, model: &ModelName, plan: &ComparisonPlan) {
        let Some(known) = self.state.comparisons.get(model).cloned() else { return };
        let mut sweeps = Vec::new();
        let by_itself = plan.allowance.filter(|_| self.state.snapshot.status == PullStatus::Open);
        let mut allowance = by_itself.unwrap_or(0);
        let mut started = Vec::new();
        for pair in &plan.sweeps {
            let before = known.sweeps().iter().find(|sweep| sweep.name == pair.name);
            let stage = match &pair.plans {
                Err(reason) => ComparedStage::Unfit { reason: reason.clone() },
                Ok(plans) => match before.and_then(|before| kept(&before.stage, plans)) {
                    Some(stage) => stage,
                    None if by_itself.is_some() && plans.refusal().is_none() && plans.new_runs() <= allowance => {
                        allowance -= plans.new_runs();
                        started.push((**plans).clone());
                        running(plans, BY_POLICY, self.at.now)
                    }
                    None => ComparedStage::Offered { plans: plans.clone() },
                },
            };
            sweeps.push(ComparedSweep { name: pair.name.clone(), stage });
        }
        for before in known.sweeps() {
            let goes_on = sweeps.iter().any(|sweep| {
                sweep.stage.is_under_way() && ids(&sweep.stage).is_some() && ids(&sweep.stage) == ids(&before.stage)
            });
            if !goes_on {
                self.cancel_pair(&before.stage, "a new plan took its place");
            }
        }
        for plans in started {
            self.start_pair(&plans, None, Retry::Missing);
        }
        let digest = digest(&sweeps);
        let shown_at = match &known.phase {
            ComparisonPhase::Planned { shown_at, sweeps, .. } if self::digest(sweeps) == digest => *shown_at,
            ComparisonPhase::Planned { .. } | ComparisonPhase::Waiting | ComparisonPhase::Nothing { .. } => self.at.now,
        };
        if let Some(comparison) = self.state.comparisons.get_mut(model) {
            comparison.phase = ComparisonPhase::Planned {
                version: plan.version.clone(),
                base: plan.base.clone(),
                head: plan.head.clone(),
                shown_at,
                sweeps,
            };
        }
    }

    /// Starts what the command means; what ended without a full result is done again.
    pub(super) fn compare(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        let head = &self.state.snapshot.head;
        let mut wanted = Vec::new();
        for (model, comparison) in &self.state.comparisons {
            let ComparisonPhase::Planned { shown_at, head: of, sweeps, .. } = &comparison.phase else { continue };
            if of != head || order.given.at().plus(CLOCK_SLACK) < *shown_at {
                continue;
            }
            for (at, sweep) in sweeps.iter().enumerate().filter(|(_, s)| name.is_none_or(|name| s.name == *name)) {
                let plans = match &sweep.stage {
                    ComparedStage::Offered { plans } | ComparedStage::Ended { plans, .. } => (**plans).clone(),
                    ComparedStage::Compared { reports, comparison } if is_incomplete(comparison) => {
                        Pair { base: reports.base.plan.clone(), head: reports.head.plan.clone() }
                    }
                    ComparedStage::Unfit { .. }
                    | ComparedStage::Running { .. }
                    | ComparedStage::Comparing { .. }
                    | ComparedStage::Compared { .. } => continue,
                };
                if plans.refusal().is_none() {
                    let retry = match sweep.stage {
                        ComparedStage::Offered { .. } => Retry::Missing,
                        _ => Retry::Failed,
                    };
                    wanted.push((model.clone(), at, plans, retry));
                }
            }
        }
        for (model, at, plans, retry) in wanted {
            self.start_pair(&plans, Some(order.author), retry);
            let stage = running(&plans, &order.author.login, self.at.now);
            if let Some(comparison) = self.state.comparisons.get_mut(&model)
                && let Some(sweep) = comparison.sweeps_mut().get_mut(at)
            {
                sweep.stage = stage;
            }
            self.show_comparison(&model);
        }
    }

    /// Plans every comparison again: production may have moved, or what was in the way may be gone.
    pub(super) fn plan_comparisons(&mut self) {
        let models: Vec<ModelName> = self.state.comparisons.keys().cloned().collect();
        for model in models {
            self.plan_comparison(&model);
        }
    }

    /// Follows a sweep that belongs to a comparison; none when it does, else why it changes nothing.
    pub(super) fn comparison_advanced(&mut self, id: &SweepId, report: &SweepReport) -> Option<String> {
        let unknown = || Some(format!("sweep `{id}` is no longer part of the pull request"));
        let Some((model, at)) = self.find_compared(|stage| match stage {
            ComparedStage::Running { reports } => reports.base.plan.id == *id || reports.head.plan.id == *id,
            _ => false,
        }) else {
            return unknown();
        };
        let Some(sweep) = self.compared_mut(&model, at) else { return unknown() };
        let ComparedStage::Running { reports } = &mut sweep.stage else { return unknown() };
        let side = if reports.base.plan.id == *id { &mut reports.base } else { &mut reports.head };
        // A push can have left the plan as it was and moved the head.
        let head = side.plan.head.clone();
        side.clone_from(report);
        side.plan.head = head;
        let reports = reports.clone();
        let (base, head) = (&reports.base, &reports.head);
        match (ending(&reports), base.phase.is_terminal() && head.phase.is_terminal()) {
            (Some(ending), true) => {
                let plans = Box::new(Pair { base: base.plan.clone(), head: head.plan.clone() });
                sweep.stage = ComparedStage::Ended { plans, ending };
            }
            (None, true) => {
                sweep.stage = ComparedStage::Comparing { reports: reports.clone() };
                self.decision.ask(Effect::CompareVersions {
                    pull: self.at.pull.clone(),
                    model: model.clone(),
                    base: Box::new(base.clone()),
                    head: Box::new(head.clone()),
                });
            }
            // One side alone says nothing, so the other need not go on.
            (Some(Ending::Cancelled { by: reason } | Ending::Stopped { reason }), false) => {
                self.cancel_pair(&ComparedStage::Running { reports }, &reason);
            }
            (None, false) => {}
        }
        self.show_comparison(&model);
        None
    }

    pub(super) fn versions_compared(
        &mut self,
        id: &SweepId,
        result: &Result<Box<Comparison>, String>,
    ) -> Option<String> {
        let Some((model, at)) = self.find_compared(|stage| match stage {
            ComparedStage::Comparing { reports } => reports.head.plan.id == *id,
            _ => false,
        }) else {
            return Some(format!("nobody waits for the comparison of `{id}`"));
        };
        if let Some(sweep) = self.compared_mut(&model, at)
            && let ComparedStage::Comparing { reports } = &sweep.stage
        {
            let reports = reports.clone();
            sweep.stage = match result {
                Ok(comparison) => ComparedStage::Compared { reports, comparison: comparison.clone() },
                Err(reason) => ComparedStage::Ended {
                    plans: Box::new(Pair { base: reports.base.plan, head: reports.head.plan }),
                    ending: Ending::Stopped { reason: reason.clone() },
                },
            };
        }
        self.show_comparison(&model);
        None
    }

    /// Goes on after an effect of ours failed for good.
    pub(super) fn comparison_failed(&mut self, effect: &str, subject: &str, reason: &str) -> bool {
        match effect {
            "PlanComparison" => {
                let Some((model, head)) = subject.rsplit_once('@') else { return false };
                let Ok(model) = ModelName::parse(model) else { return false };
                if head != self.state.snapshot.head.as_str() || !self.state.comparisons.contains_key(&model) {
                    return false;
                }
                self.end_comparison(&model, &format!("it could not be planned, which is not your fault: {reason}"));
                true
            }
            "CompareVersions" => match SweepId::parse(subject) {
                Ok(id) => self.versions_compared(&id, &Err(reason.to_owned())).is_none(),
                Err(_) => false,
            },
            _ => false,
        }
    }

    /// Cancels what runs of that name; everything when there is none.
    pub(super) fn cancel_comparisons(&mut self, name: Option<&SweepName>, by: &str) {
        let stages: Vec<_> = self
            .state
            .comparisons
            .values()
            .flat_map(PullComparison::sweeps)
            .filter(|sweep| name.is_none_or(|name| sweep.name == *name))
            .map(|sweep| sweep.stage.clone())
            .collect();
        for stage in stages {
            self.cancel_pair(&stage, by);
        }
    }

    /// There is nothing to compare any more: what runs is cancelled, and whoever saw the comment is told.
    fn end_comparison(&mut self, model: &ModelName, reason: &str) {
        let Some(comparison) = self.state.comparisons.get_mut(model) else { return };
        let before = std::mem::replace(&mut comparison.phase, ComparisonPhase::Nothing { reason: reason.to_owned() });
        let seen = comparison.last_edit.is_some();
        if let ComparisonPhase::Planned { sweeps, .. } = before {
            for sweep in sweeps {
                self.cancel_pair(&sweep.stage, reason);
            }
        }
        if seen {
            self.show_comparison(model);
        }
    }

    /// Starts both; `asker` is none where the policy does.
    fn start_pair(&mut self, plans: &Pair<PlanSummary>, asker: Option<&User>, retry: Retry) {
        for plan in [&plans.base, &plans.head] {
            let event = Event::SweepStarted {
                plan: Box::new(plan.clone()),
                pull: Some(self.at.pull.clone()),
                by: asker.map_or(BY_POLICY, |user| &user.login).to_owned(),
                asker: asker.cloned(),
                retry,
            };
            self.decision.tell(Key::Sweep(plan.id.clone()), event);
        }
    }

    fn cancel_pair(&mut self, stage: &ComparedStage, by: &str) {
        if let ComparedStage::Running { reports } = stage {
            for report in [&reports.base, &reports.head] {
                if !report.phase.is_terminal() {
                    let event = Event::CancelRequested { by: by.to_owned() };
                    self.decision.tell(Key::Sweep(report.plan.id.clone()), event);
                }
            }
        }
    }

    fn find_compared(&self, wanted: impl Fn(&ComparedStage) -> bool) -> Option<(ModelName, usize)> {
        self.state.comparisons.iter().find_map(|(model, comparison)| {
            let at = comparison.sweeps().iter().position(|sweep| wanted(&sweep.stage))?;
            Some((model.clone(), at))
        })
    }

    fn compared_mut(&mut self, model: &ModelName, at: usize) -> Option<&mut ComparedSweep> {
        self.state.comparisons.get_mut(model)?.sweeps_mut().get_mut(at)
    }

    /// Brings the model's comment up to date. While runs go on, edits come at most once an interval.
    fn show_comparison(&mut self, model: &ModelName) {
        let Some(comparison) = self.state.comparisons.get(model) else { return };
        let runs = comparison.sweeps().iter().any(|sweep| matches!(sweep.stage, ComparedStage::Running { .. }));
        let urgency = if runs { Urgency::InTurn } else { Urgency::Now };
        let (last, body) = (comparison.last_edit, report::versions_comment(model, comparison));
        let due = self.edit(&format!("compare/{model}"), body, last, urgency);
        if let Some(comparison) = self.state.comparisons.get_mut(model) {
            comparison.last_edit = Some(due);
        }
    }
}

/// The stage that goes on under the new plans, when they are the ones that it has; with their head.
fn kept(stage: &ComparedStage, plans: &Pair<PlanSummary>) -> Option<ComparedStage> {
    let known = stage.plans()?;
    if !plans.is_like(&Pair { base: known.base.clone(), head: known.head.clone() }) {
        return None;
    }
    let mut stage = stage.clone();
    match &mut stage {
        ComparedStage::Unfit { .. }
        | ComparedStage::Offered { .. }
        | ComparedStage::Ended { ending: Ending::Stopped { .. }, .. } => return None,
        ComparedStage::Running { reports }
        | ComparedStage::Comparing { reports }
        | ComparedStage::Compared { reports, .. } => {
            reports.base.plan.head.clone_from(&plans.base.head);
            reports.head.plan.head.clone_from(&plans.head.head);
        }
        ComparedStage::Ended { plans: ended, .. } => **ended = plans.clone(),
    }
    Some(stage)
}

fn running(plans: &Pair<PlanSummary>, by: &str, now: Time) -> ComparedStage {
    let report = |plan: &PlanSummary| SweepReport::of_start(plan.clone(), by, now);
    ComparedStage::Running { reports: Box::new(Pair { base: report(&plans.base), head: report(&plans.head) }) }
}

/// Why one of both left no table; none while they run and when both left one. What went wrong goes before what was
/// cancelled because of it.
fn ending(reports: &Pair<SweepReport>) -> Option<Ending> {
    let mut cancelled = None;
    for report in [&reports.base, &reports.head] {
        match &report.phase {
            SweepPhase::Stopped { reason } => return Some(Ending::Stopped { reason: reason.clone() }),
            SweepPhase::Cancelled { by, .. } => cancelled = cancelled.or(Some(Ending::Cancelled { by: by.clone() })),
            SweepPhase::Submitting
            | SweepPhase::Running { .. }
            | SweepPhase::Stopping { .. }
            | SweepPhase::Analysing
            | SweepPhase::Succeeded { .. }
            | SweepPhase::Incomplete { .. } => {}
        }
    }
    cancelled
}

fn is_incomplete(comparison: &Comparison) -> bool {
    comparison.failing + comparison.mended + comparison.failing_in_both > 0
}

fn ids(stage: &ComparedStage) -> Option<(SweepId, SweepId)> {
    stage.plans().map(|plans| (plans.base.id.clone(), plans.head.id.clone()))
}

/// The digest of what the sweeps of a comparison would do.
fn digest(sweeps: &[ComparedSweep]) -> Digest {
    let mut text = String::new();
    for sweep in sweeps {
        text.push_str(sweep.name.as_str());
        if let Some(plans) = sweep.stage.plans() {
            text.push_str(&format!(" {} {}", plans.base.digest, plans.head.digest));
        }
        text.push('\n');
    }
    Digest::of(text)
}
