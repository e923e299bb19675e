//! What moves a sweep from its start to its analysis.
//!
//! A sweep runs in rounds: runs without a result are handed to the executor and watched until every job has ended; then
//! the module `rounds` says what the next round is about. At the end the analysis is written, also when runs are missing.

use std::collections::BTreeMap;

use super::analysis::AnalysisSummary;
use super::plan::PlanSummary;
use super::record::FailureClass;
use super::state::{
    Beginning, Ending, JobHandle, Retry, RoundCounts, RunFailure, Stage, SweepPhase, SweepReport, SweepState,
};
use crate::domain::decision::{Decision, Rules};
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::forge::User;
use crate::domain::ids::{PullRef, SweepId, Time};
use crate::domain::notice::{FinishedSweep, Notice};

/// How many failed runs does a sweep remember for its report?
pub const FAILURES_KEPT: usize = 50;

/// Decides what follows from an event about the sweep `id`.
pub(crate) fn decide(
    id: &SweepId,
    state: Option<&SweepState>,
    event: &Event,
    rules: &Rules,
    now: Time,
) -> Decision<SweepState> {
    let mut decision = advance(id, state, event, now);
    let before = state.and_then(FinishedSweep::of);
    if let Some(sweep) = decision.next.as_ref().and_then(FinishedSweep::of).filter(|now| before.as_ref() != Some(now)) {
        let notices = Notice::Finished { sweep: Box::new(sweep) }.for_everybody(rules);
        notices.into_iter().for_each(|notice| decision.ask(notice));
    }
    decision
}

fn advance(id: &SweepId, state: Option<&SweepState>, event: &Event, now: Time) -> Decision<SweepState> {
    match (state, event) {
        (state, Event::SweepStarted { plan, pull, by, asker, retry }) => {
            start(state, &Start { plan, pull: pull.as_ref(), by, asker: asker.as_ref(), retry: *retry }, now)
        }
        (None, other) => {
            Decision::ignore(format!("sweep `{id}` was never started, so `{}` changes nothing", other.name()))
        }
        (Some(state), event) => Sweep { state: state.clone(), decision: Decision::default(), now }.apply(event),
    }
}

struct Start<'a> {
    plan: &'a PlanSummary,
    pull: Option<&'a PullRef>,
    by: &'a str,
    asker: Option<&'a User>,
    retry: Retry,
}

fn start(before: Option<&SweepState>, start: &Start<'_>, now: Time) -> Decision<SweepState> {
    if before.is_some_and(|before| !before.phase.is_terminal() && before.ending.is_none()) {
        return Decision::ignore(format!("sweep `{}` is already under way", start.plan.id));
    }
    let round = before.map_or(1, |before| before.round + 1);
    let has_results = before.is_some_and(|before| before.succeeded() > 0);
    let state = SweepState {
        plan: start.plan.clone(),
        pull: start.pull.cloned(),
        by: start.by.to_owned(),
        started_at: now,
        ended_at: None,
        before_ms: before.map_or(0, |before| before.report().took_ms(now)),
        round,
        stage: if start.plan.canary() > 0 && !has_results { Stage::Canary } else { Stage::Whole },
        settled_since: match start.retry {
            Retry::Missing => 1,
            Retry::Failed => round,
        },
        again: BTreeMap::new(),
        raised: Vec::new(),
        spent_usd: before.map_or(0.0, SweepState::cost_usd),
        mean_ms: None,
        ending: None,
        fruitless: 0,
        known: before.map_or(0, SweepState::succeeded),
        counts: RoundCounts::default(),
        failed_before: BTreeMap::new(),
        failures: Vec::new(),
        phase: SweepPhase::Submitting,
    };
    let mut sweep = Sweep { state, decision: Decision::default(), now };
    match sweep.limit_reached() {
        // What an earlier start has spent is spent.
        Some(reason) => sweep.stop(reason),
        None => sweep.submit(start.asker.cloned().map_or(Beginning::Asked, Beginning::AskedBy)),
    }
    sweep.report();
    sweep.done()
}

/// How the plan's runs stood when a round began.
struct Settled<'a> {
    missing: u64,
    succeeded: u64,
    failed: &'a BTreeMap<FailureClass, u64>,
}

/// A sweep while one event is decided on.
pub(super) struct Sweep {
    pub(super) state: SweepState,
    pub(super) decision: Decision<SweepState>,
    now: Time,
}

impl Sweep {
    fn apply(mut self, event: &Event) -> Decision<SweepState> {
        let ignored = match event {
            Event::JobsSubmitted { round, jobs, runs, known, failed } => {
                self.submitted(*round, jobs, &Settled { missing: *runs, succeeded: *known, failed })
            }
            Event::StartRefused { round, reason } => self.refused(*round, reason),
            Event::RunsObserved { round, counts, failures, ended } => self.observed(*round, counts, failures, *ended),
            Event::AnalysisWritten { round, summary } => {
                if *round != self.state.round || self.state.phase != SweepPhase::Analysing {
                    Some("that analysis is not awaited".to_owned())
                } else {
                    self.finish(Some(summary.clone()));
                    self.report();
                    None
                }
            }
            Event::CancelRequested { by } => self.cancel(by),
            Event::EffectFailed { effect, subject, reason } => self.effect_failed(effect, subject, reason),
            other => Some(format!("`{}` is not about a sweep", other.name())),
        };
        match ignored {
            Some(reason) => {
                // A late answer can still ask for something: jobs that nobody wants any more are ended.
                Decision { ignored: Some(reason), next: None, ..self.decision }
            }
            None => self.done(),
        }
    }

    fn done(self) -> Decision<SweepState> {
        Decision { next: Some(self.state), ..self.decision }
    }

    /// Begins the round.
    pub(super) fn submit(&mut self, beginning: Beginning) {
        self.state.phase = SweepPhase::Submitting;
        self.state.counts = RoundCounts::default();
        self.decision.ask(Effect::SubmitJobs {
            plan: Box::new(self.state.plan.clone()),
            pull: self.state.pull.clone(),
            round: self.state.round,
            scope: self.state.scope(),
            beginning,
        });
    }

    fn submitted(&mut self, round: u32, jobs: &[JobHandle], settled: &Settled<'_>) -> Option<String> {
        if round != self.state.round || self.state.phase != SweepPhase::Submitting {
            self.cancel_jobs(round, jobs);
            return Some("nobody waits for these jobs any more".to_owned());
        }
        self.state.known = settled.succeeded;
        self.state.failed_before.clone_from(settled.failed);
        if settled.missing == 0 {
            self.analyse();
        } else {
            self.state.phase = SweepPhase::Running { jobs: jobs.to_vec(), runs: settled.missing };
            self.watch(jobs);
        }
        self.report();
        None
    }

    fn refused(&mut self, round: u32, reason: &str) -> Option<String> {
        if round != self.state.round || self.state.phase != SweepPhase::Submitting {
            return Some("that round is over".to_owned());
        }
        self.end_unknown_jobs();
        self.end(SweepPhase::Stopped { reason: reason.to_owned() });
        self.report();
        None
    }

    fn observed(&mut self, round: u32, counts: &RoundCounts, failures: &[RunFailure], ended: bool) -> Option<String> {
        let (jobs, runs) = match &self.state.phase {
            SweepPhase::Running { jobs, runs } => (jobs.clone(), Some(*runs)),
            SweepPhase::Stopping { jobs } => (jobs.clone(), None),
            _ => return Some("the sweep is not running".to_owned()),
        };
        if round != self.state.round {
            return Some("that round is over".to_owned());
        }
        let before = std::mem::replace(&mut self.state.counts, counts.clone());
        self.remember(failures);
        let phase = std::mem::discriminant(&self.state.phase);
        match runs {
            None if ended => self.wind_up(),
            None => self.watch(&jobs),
            Some(runs) => match self.limit_reached() {
                Some(reason) if ended => self.stop(reason),
                Some(reason) => {
                    self.end_jobs(&jobs, Ending::Stopped { reason });
                    self.watch(&jobs);
                }
                None if ended => self.round_ended(runs),
                None => self.watch(&jobs),
            },
        }
        if before != self.state.counts || phase != std::mem::discriminant(&self.state.phase) {
            self.report();
        }
        None
    }

    fn remember(&mut self, failures: &[RunFailure]) {
        for failure in failures.iter().filter(|failure| failure.class != FailureClass::Interrupted) {
            if self.state.failures.len() < FAILURES_KEPT && !self.state.failures.iter().any(|f| f.run == failure.run) {
                self.state.failures.push(failure.clone());
            }
        }
    }

    /// Ends the jobs; once they are gone, what they left is analysed.
    fn end_jobs(&mut self, jobs: &[JobHandle], ending: Ending) {
        self.state.ending = Some(ending);
        self.state.phase = SweepPhase::Stopping { jobs: jobs.to_vec() };
        self.cancel_jobs(self.state.round, jobs);
    }

    /// Nothing more is run, for this reason.
    pub(super) fn stop(&mut self, reason: String) {
        self.state.ending = Some(Ending::Stopped { reason });
        self.wind_up();
    }

    /// What there is gets its analysis. Where there is nothing the sweep ends at once.
    fn wind_up(&mut self) {
        if self.state.succeeded() > 0 { self.analyse() } else { self.finish(None) }
    }

    pub(super) fn analyse(&mut self) {
        self.state.phase = SweepPhase::Analysing;
        self.decision.ask(Effect::WriteAnalysis { plan: Box::new(self.state.plan.clone()), round: self.state.round });
    }

    /// The end, with the analysis of what there is.
    fn finish(&mut self, analysis: Option<Box<AnalysisSummary>>) {
        let phase = match (self.state.ending.clone(), analysis) {
            // Whoever stopped it came too late.
            (_, Some(analysis)) if analysis.missing == 0 => SweepPhase::Succeeded { analysis },
            (Some(Ending::Cancelled { by }), analysis) => SweepPhase::Cancelled { by, analysis },
            (Some(Ending::Stopped { reason }), Some(analysis)) => {
                SweepPhase::Incomplete { analysis, reason: Some(reason) }
            }
            (None, Some(analysis)) => SweepPhase::Incomplete { analysis, reason: None },
            (Some(Ending::Stopped { reason }), None) => SweepPhase::Stopped { reason },
            (None, None) => SweepPhase::Stopped { reason: "no run has a result".to_owned() },
        };
        self.end(phase);
    }

    fn watch(&mut self, jobs: &[JobHandle]) {
        self.decision.ask(Effect::WatchJobs {
            sweep: self.state.plan.id.clone(),
            round: self.state.round,
            jobs: jobs.to_vec(),
        });
    }

    fn cancel_jobs(&mut self, round: u32, jobs: &[JobHandle]) {
        if !jobs.is_empty() {
            self.decision.ask(Effect::CancelJobs { sweep: self.state.plan.id.clone(), round, jobs: jobs.to_vec() });
        }
    }

    /// Ends what an attempt to begin this round may have started before the server died, of which nothing is known.
    fn end_unknown_jobs(&mut self) {
        let (sweep, round) = (self.state.plan.id.clone(), self.state.round);
        self.decision.ask(Effect::CancelJobs { sweep, round, jobs: Vec::new() });
    }

    fn cancel(&mut self, by: &str) -> Option<String> {
        if self.state.phase.is_terminal() {
            return Some("the sweep has ended already".to_owned());
        }
        if self.state.ending.is_some() {
            return Some("the sweep is being ended already".to_owned());
        }
        let ending = Ending::Cancelled { by: by.to_owned() };
        if let SweepPhase::Running { jobs, .. } = &self.state.phase {
            let jobs = jobs.clone();
            self.end_jobs(&jobs, ending);
        } else {
            self.state.ending = Some(ending);
            // An analysis that is being written is waited for.
            if self.state.phase == SweepPhase::Submitting {
                self.wind_up();
            }
        }
        self.report();
        None
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if self.state.phase.is_terminal() || subject != self.state.round.to_string() {
            return Some(format!("`{effect}` failed, but nobody waits for it: {reason}"));
        }
        if effect == "CancelJobs" {
            return Some(format!("jobs could not be ended: {reason}"));
        }
        match &self.state.phase {
            SweepPhase::Running { jobs, .. } => {
                let jobs = jobs.clone();
                self.cancel_jobs(self.state.round, &jobs);
            }
            SweepPhase::Submitting => self.end_unknown_jobs(),
            _ => {}
        }
        match &self.state.ending {
            Some(Ending::Cancelled { .. }) => self.finish(None),
            Some(Ending::Stopped { .. }) | None => self.end(SweepPhase::Stopped { reason: reason.to_owned() }),
        }
        self.report();
        None
    }

    fn end(&mut self, phase: SweepPhase) {
        self.state.phase = phase;
        self.state.ended_at = Some(self.now);
    }

    fn report(&mut self) {
        if let Some(pull) = &self.state.pull {
            self.decision.tell(
                Key::Pull(pull.clone()),
                Event::SweepAdvanced { sweep: self.state.plan.id.clone(), report: Box::new(self.state.report()) },
            );
        }
    }
}

impl SweepPhase {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Submitting | Self::Running { .. } | Self::Stopping { .. } | Self::Analysing => false,
            Self::Succeeded { .. } | Self::Incomplete { .. } | Self::Cancelled { .. } | Self::Stopped { .. } => true,
        }
    }

    /// What people call it, the same everywhere.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Submitting => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Analysing => "analysing",
            Self::Succeeded { .. } => "done",
            Self::Incomplete { .. } => "incomplete",
            Self::Cancelled { .. } => "cancelled",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether it ended by somebody's word, or for a reason that no run of it is to blame for.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        matches!(self, Self::Cancelled { .. } | Self::Stopped { .. })
    }

    /// The analysis, where there is one.
    #[must_use]
    pub fn analysis(&self) -> Option<&AnalysisSummary> {
        match self {
            Self::Succeeded { analysis } | Self::Incomplete { analysis, .. } => Some(analysis),
            Self::Cancelled { analysis, .. } => analysis.as_deref(),
            Self::Submitting
            | Self::Running { .. }
            | Self::Stopping { .. }
            | Self::Analysing
            | Self::Stopped { .. } => None,
        }
    }
}

impl SweepState {
    /// Runs of the plan with a good result, over all rounds.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.known + self.counts.succeeded
    }

    /// Failed runs by class, over all rounds.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<FailureClass, u64> {
        let mut failed = self.failed_before.clone();
        for (class, count) in &self.counts.failed {
            *failed.entry(*class).or_default() += count;
        }
        failed
    }

    /// The state in short.
    #[must_use]
    pub fn report(&self) -> SweepReport {
        SweepReport {
            plan: self.plan.clone(),
            by: self.by.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            before_ms: self.before_ms,
            succeeded: self.succeeded(),
            failed: self.failed(),
            failures: self.failures.clone(),
            round: self.round,
            stage: self.stage,
            raised: self.raised_so_far(),
            cost_usd: self.plan.price.is_known().then(|| self.cost_usd()),
            mean_ms: self.mean_ms,
            phase: self.phase.clone(),
        }
    }
}
