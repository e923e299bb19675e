//! What follows a round: another one, the analysis, or the end.
//!
//! A few runs may go ahead of all others, so that a fault which they all have costs only these. What was interrupted is
//! done again as long as that brings results. Then whatever the file's rules allow is done again, first with what it had,
//! then what was out of memory with more of it.

use super::decide::Sweep;
use super::plan::MaxFailures;
use super::record::FailureClass;
use super::state::{Again, Beginning, Raised, Scope, Stage, SweepState};
use crate::domain::report::stop;

impl Sweep {
    /// Every job of the round has ended.
    pub(super) fn round_ended(&mut self, runs: u64) {
        let settled = self.state.counts.settled();
        if settled < runs {
            // The machine or somebody interrupted the others.
            self.state.fruitless = if settled == 0 { self.state.fruitless + 1 } else { 0 };
            if self.state.fruitless > self.state.plan.limits.retry.interruption {
                self.stop(stop::interrupted(self.state.fruitless));
            } else {
                self.next_round(self.state.stage);
            }
            return;
        }
        let canary = self.state.stage == Stage::Canary;
        if canary && self.state.counts.succeeded > 0 {
            self.release();
        } else if let Some(again) = self.state.worth_another_try() {
            self.again(&again);
        } else if canary {
            self.stop(stop::canary_failed(runs, self.state.left()));
        } else {
            self.analyse();
        }
    }

    /// The runs that went ahead are well: all others follow, unless they would cost too much.
    fn release(&mut self) {
        let state = &mut self.state;
        let mean_ms = state.counts.run_ms.checked_div(state.counts.finished()).unwrap_or(0);
        state.mean_ms = Some(mean_ms);
        let left = state.left();
        let cost = state.cost_usd() + state.plan.cost_usd(state.memory(), mean_ms.saturating_mul(left));
        match state.plan.limits.budget_usd {
            Some(budget) if cost > budget => self.stop(stop::too_dear(mean_ms, left, cost, budget)),
            Some(_) | None => self.next_round(Stage::Whole),
        }
    }

    fn again(&mut self, again: &AnotherTry) {
        let since = self.state.round + 1;
        for class in &again.classes {
            let again = self.state.again.entry(*class).or_default();
            *again = Again { since, times: again.times + 1 };
        }
        self.state.failures.retain(|failure| !again.classes.contains(&failure.class));
        let stage = match (self.state.stage, again.memory) {
            (Stage::Canary, _) => Stage::Canary,
            (Stage::Whole | Stage::Raised, Some(_)) => Stage::Raised,
            (Stage::Whole | Stage::Raised, None) => Stage::Whole,
        };
        self.fold();
        self.state.raised.extend(again.memory.map(|memory| Raised { memory, runs: 0 }));
        self.begin(stage);
    }

    fn next_round(&mut self, stage: Stage) {
        self.fold();
        self.begin(stage);
    }

    /// Adds the round to what was before it.
    fn fold(&mut self) {
        let state = &mut self.state;
        state.spent_usd = state.cost_usd();
        state.raised = state.raised_so_far();
        state.known = state.succeeded();
        state.failed_before = state.failed();
        state.failed_before.remove(&FailureClass::Interrupted);
        for again in state.again.keys() {
            // Those of a class that is done again are counted anew when the round begins.
            if state.again[again].since > state.round {
                state.failed_before.remove(again);
            }
        }
    }

    fn begin(&mut self, stage: Stage) {
        self.state.stage = stage;
        self.state.round += 1;
        self.submit(Beginning::Continued);
    }

    /// Why nothing more may be run, when a limit is reached.
    pub(super) fn limit_reached(&self) -> Option<String> {
        let state = &self.state;
        let failed: u64 =
            state.failed().iter().filter(|(class, _)| state.is_final(**class)).map(|(_, runs)| runs).sum();
        let limits = &state.plan.limits;
        let too_many = match limits.max_failures {
            Some(MaxFailures::Count(most)) => failed > most,
            #[expect(clippy::cast_precision_loss, reason = "run counts stay far below 2^53")]
            Some(MaxFailures::Share(share)) => failed as f64 > share * state.plan.counts.runs as f64,
            None => false,
        };
        if let (true, Some(allowed)) = (too_many, limits.max_failures) {
            return Some(stop::too_many_failures(failed, allowed));
        }
        let cost = state.cost_usd();
        limits.budget_usd.filter(|budget| cost > *budget).map(|budget| stop::budget_spent(cost, budget))
    }
}

/// Failed runs that are done again.
struct AnotherTry {
    classes: Vec<FailureClass>,
    /// The memory that they are given instead.
    memory: Option<u64>,
}

impl SweepState {
    /// Which runs the round has, and what they are given.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            settled_since: self.settled_since,
            again_since: self.again.iter().map(|(class, again)| (*class, again.since)).collect(),
            most_runs: (self.stage == Stage::Canary).then(|| u64::from(self.plan.canary())),
            memory: self.raised.last().map(|raised| raised.memory),
            mean_ms: self.mean_ms,
        }
    }

    /// What the runs of this sweep cost so far, in USD.
    #[must_use]
    pub fn cost_usd(&self) -> f64 {
        self.spent_usd + self.plan.cost_usd(self.memory(), self.counts.run_ms)
    }

    /// The memory of each run of the round, in bytes.
    fn memory(&self) -> u64 {
        self.raised.last().map_or(self.plan.needs.memory, |raised| raised.memory)
    }

    /// What was given more memory, the round's own runs included.
    pub(super) fn raised_so_far(&self) -> Vec<Raised> {
        let mut raised = self.raised.clone();
        if let Some(last) = raised.last_mut().filter(|_| self.stage != Stage::Whole) {
            last.runs += self.counts.succeeded;
        }
        raised
    }

    /// Runs of the plan without a result.
    fn left(&self) -> u64 {
        let failed: u64 = self.failed().values().sum();
        self.plan.counts.runs.saturating_sub(self.succeeded() + failed)
    }

    /// Whether a failure of this class stays one. Nobody's model is to blame for what the machine interrupted.
    fn is_final(&self, class: FailureClass) -> bool {
        class != FailureClass::Interrupted && self.tries_left(class) == 0
    }

    fn tries_left(&self, class: FailureClass) -> u32 {
        let rules = &self.plan.limits.retry;
        let times = self.again.get(&class).map_or(0, |again| again.times);
        match class {
            FailureClass::OutOfMemory if self.more_memory().is_none() => 0,
            class => rules.times(class).saturating_sub(times),
        }
    }

    fn more_memory(&self) -> Option<u64> {
        self.plan.limits.retry.more_memory(self.memory(), self.plan.needs.most_memory)
    }

    fn worth_another_try(&self) -> Option<AnotherTry> {
        let failed = self.failed();
        let may = |class: &FailureClass| failed.get(class).is_some_and(|runs| *runs > 0) && self.tries_left(*class) > 0;
        let (short, others): (Vec<_>, Vec<_>) =
            failed.keys().copied().filter(may).partition(|class| *class == FailureClass::OutOfMemory);
        if others.is_empty() {
            let memory = self.more_memory();
            (!short.is_empty() && memory.is_some()).then_some(AnotherTry { classes: short, memory })
        } else {
            Some(AnotherTry { classes: others, memory: None })
        }
    }
}
