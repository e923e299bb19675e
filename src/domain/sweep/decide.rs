//! What moves a sweep from its start to its analysis.
//!
//! A sweep runs in rounds: the runs without a result are handed to the executor, watched until every job has ended, and
//! whatever was interrupted goes into the next round. Then the analysis is written, also when runs are missing.

use std::collections::BTreeMap;

use super::plan::{MaxFailures, PlanSummary};
use super::record::FailureClass;
use super::state::{Beginning, JobHandle, Retry, RoundCounts, RunFailure, SweepPhase, SweepReport, SweepState};
use crate::domain::decision::Decision;
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::ids::{PullRef, SweepId, Time};

/// After how many rounds in a row without a single result does a sweep give up on interrupted runs?
const FRUITLESS_ROUNDS: u32 = 3;

/// How many failed runs does a sweep remember for its report?
pub const FAILURES_KEPT: usize = 50;

/// Decides what follows from an event about the sweep `id`.
pub(crate) fn decide(id: &SweepId, state: Option<&SweepState>, event: &Event, now: Time) -> Decision<SweepState> {
    match (state, event) {
        (state, Event::SweepStarted { plan, pull, by, retry }) => {
            start(state, &Start { plan, pull: pull.as_ref(), by, retry: *retry }, now)
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
    retry: Retry,
}

fn start(before: Option<&SweepState>, start: &Start<'_>, now: Time) -> Decision<SweepState> {
    if let Some(before) = before
        && !before.phase.is_terminal()
    {
        return Decision::ignore(format!("sweep `{}` is already under way", start.plan.id));
    }
    let round = before.map_or(1, |before| before.round + 1);
    let state = SweepState {
        plan: start.plan.clone(),
        pull: start.pull.cloned(),
        by: start.by.to_owned(),
        started_at: now,
        ended_at: None,
        round,
        settled_since: match start.retry {
            Retry::Missing => 1,
            Retry::Failed => round,
        },
        fruitless: 0,
        known: 0,
        counts: RoundCounts::default(),
        failed_before: BTreeMap::new(),
        failures: Vec::new(),
        phase: SweepPhase::Submitting,
    };
    let mut sweep = Sweep { state, decision: Decision::default(), now };
    sweep.submit(Beginning::Asked);
    sweep.report();
    sweep.done()
}

/// How the plan's runs stood when a round began.
struct Settled<'a> {
    missing: u64,
    succeeded: u64,
    failed: &'a BTreeMap<FailureClass, u64>,
}

struct Sweep {
    state: SweepState,
    decision: Decision<SweepState>,
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
                    let analysis = summary.clone();
                    let complete = analysis.missing == 0;
                    self.end(if complete {
                        SweepPhase::Succeeded { analysis }
                    } else {
                        SweepPhase::Incomplete { analysis }
                    });
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

    fn submit(&mut self, beginning: Beginning) {
        self.state.phase = SweepPhase::Submitting;
        self.state.counts = RoundCounts::default();
        self.decision.ask(Effect::SubmitJobs {
            plan: Box::new(self.state.plan.clone()),
            pull: self.state.pull.clone(),
            round: self.state.round,
            settled_since: self.state.settled_since,
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
        self.end(SweepPhase::Stopped { reason: reason.to_owned() });
        None
    }

    fn observed(&mut self, round: u32, counts: &RoundCounts, failures: &[RunFailure], ended: bool) -> Option<String> {
        let SweepPhase::Running { jobs, runs } = &self.state.phase else {
            return Some("the sweep is not running".to_owned());
        };
        if round != self.state.round {
            return Some("that round is over".to_owned());
        }
        let (jobs, runs) = (jobs.clone(), *runs);
        let advanced = *counts != self.state.counts;
        self.state.counts = counts.clone();
        for failure in failures.iter().filter(|failure| failure.class != FailureClass::Interrupted) {
            if self.state.failures.len() < FAILURES_KEPT && !self.state.failures.iter().any(|f| f.run == failure.run) {
                self.state.failures.push(failure.clone());
            }
        }
        if self.too_many_failures() {
            if !ended {
                self.cancel_jobs(round, &jobs);
            }
            self.analyse();
        } else if !ended {
            self.watch(&jobs);
        } else if counts.settled() >= runs {
            self.analyse();
        } else {
            self.next_round();
        }
        if advanced || self.state.phase == SweepPhase::Analysing {
            self.report();
        }
        None
    }

    /// Every job has ended, yet runs are without a result: the machine or somebody interrupted them.
    fn next_round(&mut self) {
        self.state.fruitless = if self.state.counts.settled() == 0 { self.state.fruitless + 1 } else { 0 };
        if self.state.fruitless >= FRUITLESS_ROUNDS {
            self.analyse();
            return;
        }
        self.state.known += self.state.counts.succeeded;
        self.state.failed_before = self.state.failed();
        self.state.failed_before.remove(&FailureClass::Interrupted);
        self.state.round += 1;
        self.submit(Beginning::Continued);
    }

    fn too_many_failures(&self) -> bool {
        // Nobody's model is to blame for what the machine interrupted.
        let failed: u64 =
            self.state.failed().iter().filter(|(class, _)| **class != FailureClass::Interrupted).map(|(_, n)| n).sum();
        match self.state.plan.limits.max_failures {
            Some(MaxFailures::Count(most)) => failed > most,
            #[expect(clippy::cast_precision_loss, reason = "run counts stay far below 2^53")]
            Some(MaxFailures::Share(share)) => failed as f64 > share * self.state.plan.counts.runs as f64,
            None => false,
        }
    }

    fn analyse(&mut self) {
        self.state.phase = SweepPhase::Analysing;
        self.decision.ask(Effect::WriteAnalysis { plan: Box::new(self.state.plan.clone()), round: self.state.round });
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

    fn cancel(&mut self, by: &str) -> Option<String> {
        if self.state.phase.is_terminal() {
            return Some("the sweep has ended already".to_owned());
        }
        if let SweepPhase::Running { jobs, .. } = &self.state.phase {
            let jobs = jobs.clone();
            self.cancel_jobs(self.state.round, &jobs);
        }
        self.end(SweepPhase::Cancelled { by: by.to_owned() });
        None
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if self.state.phase.is_terminal() || subject != self.state.round.to_string() {
            return Some(format!("`{effect}` failed, but nobody waits for it: {reason}"));
        }
        if effect == "CancelJobs" {
            return Some(format!("jobs could not be ended: {reason}"));
        }
        if let SweepPhase::Running { jobs, .. } = &self.state.phase {
            let jobs = jobs.clone();
            self.cancel_jobs(self.state.round, &jobs);
        }
        self.end(SweepPhase::Stopped { reason: reason.to_owned() });
        None
    }

    fn end(&mut self, phase: SweepPhase) {
        self.state.phase = phase;
        self.state.ended_at = Some(self.now);
        self.report();
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
            Self::Submitting | Self::Running { .. } | Self::Analysing => false,
            Self::Succeeded { .. } | Self::Incomplete { .. } | Self::Cancelled { .. } | Self::Stopped { .. } => true,
        }
    }
}

impl SweepState {
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
            succeeded: self.known + self.counts.succeeded,
            failed: self.failed(),
            failures: self.failures.clone(),
            round: self.round,
            phase: self.phase.clone(),
        }
    }
}
