//! Sweeps.

use std::collections::BTreeSet;

use modelship::domain::effect::Effect;
use modelship::domain::event::Event;
use modelship::domain::sweep::cost::Price;
use modelship::domain::sweep::plan::{MaxFailures, PlanCounts, PlanSummary, RunLimits};
use modelship::domain::sweep::record::FailureClass;
use modelship::domain::sweep::retry::RetryRules;
use modelship::domain::sweep::state::{Raised, Retry, RoundCounts, Scope, SweepPhase};

use crate::driver::*;
use crate::things::*;

#[test]
fn a_sweep_that_is_under_way_is_not_started_a_second_time() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default()));
    world.tell_sweep(started(Retry::Missing, RunLimits::default()));
    assert_eq!((world.names(), world.sweep().round), (vec!["SubmitJobs"], 1));
}

#[test]
fn jobs_that_come_after_the_sweep_was_cancelled_are_ended() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default()));
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() }).answer(0, Luck::Good);
    assert_eq!(world.names(), ["CancelJobs"]);
    assert!(matches!(world.sweep().phase, SweepPhase::Cancelled { .. }));
}

#[test]
fn what_was_interrupted_is_done_again_until_three_rounds_bring_nothing() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default()));
    for round in 1..=3 {
        assert_eq!((world.names(), world.sweep().round), (vec!["SubmitJobs"], round));
        world.answer(0, Luck::Good).answer(0, Luck::Bad);
    }
    assert!(matches!(&world.sweep().phase, SweepPhase::Stopped { reason } if reason.contains("3 rounds in a row")));
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn news_of_an_earlier_round_changes_nothing() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good).answer(0, Luck::Bad);
    world.answer(0, Luck::Good);
    let before = world.sweep().clone();
    assert_eq!(before.round, 2);
    world.tell_sweep(observed(1, counts(RUNS, &[]), true)).tell_sweep(submitted(1));
    world.tell_sweep(Event::StartRefused { round: 1, reason: "late".to_owned() });
    assert_eq!(*world.sweep(), before);
}

#[test]
fn too_many_failures_end_the_jobs_and_still_deliver_what_there_is() {
    let limits = RunLimits { max_failures: Some(MaxFailures::Count(1)), ..RunLimits::default() };
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, limits)).answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(1, counts(1, &[(FailureClass::ModelError, 1)]), false));
    world.take("WatchJobs");
    world.tell_sweep(observed(1, counts(1, &[(FailureClass::ModelError, 2)]), false));
    assert_eq!(world.names(), ["CancelJobs", "WatchJobs"]);
    world.drain();
    let SweepPhase::Incomplete { analysis, reason: Some(reason) } = &world.sweep().phase else { panic!() };
    assert_eq!(analysis.missing, RUNS - 1);
    assert_eq!(reason, "2 runs failed, more than the 1 that `max_failures` allows");
}

#[test]
fn at_most_fifty_failures_are_remembered_each_run_once() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good);
    let failures: Vec<_> = (0..80).chain(0..80).map(|number| run_failure(number, FailureClass::Timeout)).collect();
    let counts = counts(0, &[(FailureClass::Timeout, 2)]);
    world.tell_sweep(Event::RunsObserved { round: 1, counts, failures, ended: false });
    let runs: BTreeSet<_> = world.sweep().failures.iter().map(|failure| failure.run.clone()).collect();
    assert_eq!((world.sweep().failures.len(), runs.len()), (50, 50));
}

#[test]
fn whichever_effect_of_a_sweep_fails_for_good_the_sweep_ends_and_leaves_no_job() {
    for steps in 0..3 {
        let mut world = World::new();
        world.tell_sweep(started(Retry::Missing, RunLimits::default()));
        for _ in 0..steps {
            world.answer(0, Luck::Good);
        }
        world.answer(0, Luck::Broken);
        assert!(matches!(world.sweep().phase, SweepPhase::Stopped { .. }));
        // Before it is known which jobs there are, some may be there.
        assert_eq!(world.names(), if steps < 2 { vec!["CancelJobs"] } else { Vec::new() });
    }
}

#[test]
fn a_failure_to_end_the_jobs_of_an_earlier_round_does_not_stop_the_sweep() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good);
    let effect = Effect::CancelJobs { sweep: plan(0, 2).id, round: 1, jobs: vec![job(1)] };
    world.tell_sweep(failed_effect(&effect).event);
    assert!(matches!(world.sweep().phase, SweepPhase::Running { .. }));
}

// --- runs that go ahead ----------------------------------------------------------------------------------------------

fn ahead() -> World {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits { canary: Some(1), ..RunLimits::default() }));
    world
}

/// The scope of the round that is about to be submitted.
fn scope(world: &World) -> Scope {
    match world.asked("SubmitJobs").as_slice() {
        [Effect::SubmitJobs { scope, .. }] => scope.clone(),
        other => panic!("{other:?}"),
    }
}

fn reason(world: &World) -> &str {
    match &world.sweep().phase {
        SweepPhase::Stopped { reason } | SweepPhase::Incomplete { reason: Some(reason), .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_run_goes_ahead_and_the_others_follow_with_what_it_took() {
    let mut world = ahead();
    assert_eq!(scope(&world).most_runs, Some(1));
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(scope(&world), Scope { settled_since: 1, mean_ms: Some(5), ..Scope::default() });
    world.drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
    assert_eq!(world.sweep().round, 2);
}

#[test]
fn when_the_run_that_went_ahead_fails_nothing_else_is_run_until_somebody_asks_again() {
    let mut world = ahead();
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(1, counts(0, &[(FailureClass::ModelError, 1)]), true));
    assert_eq!(reason(&world), "the run that went ahead of the others failed, so the 3 others were not started");
    assert_eq!((world.names(), world.sweep().failures.len()), (vec![], 1));
    let again = RunLimits { canary: Some(1), ..RunLimits::default() };
    world.tell_sweep(started(Retry::Failed, again));
    assert_eq!((scope(&world).most_runs, scope(&world).settled_since), (Some(1), 2), "it goes ahead again");
}

#[test]
fn a_run_that_goes_ahead_and_is_interrupted_goes_ahead_again() {
    let mut world = ahead();
    world.answer(0, Luck::Good).answer(0, Luck::Bad);
    assert_eq!((scope(&world).most_runs, world.sweep().round), (Some(1), 2));
    world.drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
}

#[test]
fn no_run_goes_ahead_of_few_or_of_those_whose_kind_has_succeeded() {
    let canary = |asked: Option<u32>, runs: u64, reused: u64| {
        let counts = PlanCounts { runs, reused, ..PlanCounts::default() };
        PlanSummary { counts, limits: RunLimits { canary: asked, ..RunLimits::default() }, ..plan(0, 2) }.canary()
    };
    assert_eq!([canary(None, 19, 0), canary(None, 20, 0), canary(None, 40, 1)], [0, 1, 0]);
    assert_eq!([canary(Some(0), 1_000, 0), canary(Some(3), 10, 5), canary(Some(3), 3, 0)], [0, 3, 0]);
    let price = Price { vcpu_hour: 1.0, gib_hour: 0.0 };
    let unpriced =
        PlanSummary { price, limits: RunLimits { budget_usd: Some(1.0), ..RunLimits::default() }, ..plan(0, 2) };
    assert_eq!(unpriced.canary(), 1, "nothing else tells what the others would cost");
}

// --- retries by class ------------------------------------------------------------------------------------------------

#[test]
fn runs_that_were_out_of_memory_get_twice_as_much_in_a_round_of_their_own() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good);
    world.take("WatchJobs");
    let failed = [(FailureClass::OutOfMemory, 2), (FailureClass::ModelError, 1)];
    world.tell_sweep(observed(1, counts(1, &failed), true));
    let second = scope(&world);
    assert_eq!((second.memory, &second.again_since), (Some(2 * MIB_512), &[(FailureClass::OutOfMemory, 2)].into()));
    assert!(second.does_again(FailureClass::OutOfMemory, 1) && !second.does_again(FailureClass::ModelError, 1));
    assert!(!second.does_again(FailureClass::OutOfMemory, 2), "what is out of memory again is settled");
    assert_eq!(world.sweep().failures.len(), 1, "what is done again is no failure yet");
    assert_eq!(world.sweep().failed_before, [(FailureClass::ModelError, 1)].into());
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(2, counts(1, &[(FailureClass::OutOfMemory, 1)]), true)).drain();
    let report = world.sweep().report();
    assert_eq!(report.raised, [Raised { memory: 2 * MIB_512, runs: 1 }]);
    assert_eq!((report.succeeded, report.failed.len()), (2, 2));
    assert!(matches!(report.phase, SweepPhase::Incomplete { reason: None, .. }));
}

#[test]
fn memory_is_raised_as_often_as_the_file_says_and_not_beyond_the_ceiling() {
    let memories = |oom: u32| {
        let retry = RetryRules { oom, oom_factor: 4.0, ..RetryRules::default() };
        let mut world = World::new();
        world.tell_sweep(started(Retry::Missing, RunLimits { retry, ..RunLimits::default() }));
        let mut given = Vec::new();
        while !world.asked("SubmitJobs").is_empty() {
            given.push(scope(&world).memory.map(|memory| memory / MIB_512));
            let round = world.answer(0, Luck::Good).sweep().round;
            world.take("WatchJobs");
            world.tell_sweep(observed(round, counts(0, &[(FailureClass::OutOfMemory, RUNS)]), true));
        }
        given
    };
    assert_eq!(memories(0), [None]);
    assert_eq!(memories(1), [None, Some(4)]);
    assert_eq!(memories(9), [None, Some(4), Some(8)], "8 times 512 MiB is all there is");
}

#[test]
fn the_memory_that_the_first_run_needed_is_what_the_others_get() {
    let mut world = ahead();
    world.answer(0, Luck::Good).answer(0, Luck::Faulty);
    assert_eq!((scope(&world).most_runs, scope(&world).memory), (Some(1), Some(2 * MIB_512)));
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!((scope(&world).most_runs, scope(&world).memory), (None, Some(2 * MIB_512)));
    world.drain();
    assert_eq!(world.sweep().report().raised, [Raised { memory: 2 * MIB_512, runs: 1 }]);
}

#[test]
fn what_may_fail_once_is_no_failure_yet() {
    let retry = RetryRules { error: 1, ..RetryRules::default() };
    let limits = RunLimits { retry, max_failures: Some(MaxFailures::Count(0)), ..RunLimits::default() };
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, limits)).answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(1, counts(RUNS - 1, &[(FailureClass::InvalidOutput, 1)]), true));
    assert_eq!(scope(&world).again_since, [(FailureClass::InvalidOutput, 2)].into());
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(2, counts(0, &[(FailureClass::InvalidOutput, 1)]), true)).drain();
    assert_eq!(reason(&world), "1 run failed, more than the 0 that `max_failures` allows");
}

#[test]
fn interrupted_runs_are_done_again_as_often_as_the_file_says() {
    let retry = RetryRules { interruption: 0, ..RetryRules::default() };
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits { retry, ..RunLimits::default() }));
    world.answer(0, Luck::Good).answer(0, Luck::Bad);
    assert!(matches!(world.sweep().phase, SweepPhase::Stopped { .. }));
}

// --- budgets ---------------------------------------------------------------------------------------------------------

/// A sweep whose runs cost 1 USD for each second, with this budget.
fn priced(budget: f64, canary: u32) -> World {
    let limits = RunLimits { budget_usd: Some(budget), canary: Some(canary), ..RunLimits::default() };
    let price = Price { vcpu_hour: 3_600.0, gib_hour: 0.0 };
    let plan = Box::new(PlanSummary { limits, price, ..plan(0, 2) });
    let mut world = World::new();
    world.tell_sweep(Event::SweepStarted {
        plan,
        pull: None,
        by: "ada".to_owned(),
        asker: None,
        retry: Retry::Missing,
    });
    world
}

fn took(round: u32, succeeded: u64, run_ms: u64, ended: bool) -> Event {
    let counts = RoundCounts { succeeded, run_ms, ..RoundCounts::default() };
    Event::RunsObserved { round, counts, failures: Vec::new(), ended }
}

#[test]
fn a_sweep_that_has_used_up_its_budget_ends_its_jobs_and_delivers_what_is_done() {
    let mut world = priced(2.0, 0);
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(took(1, 1, 1_900, false));
    world.take("WatchJobs");
    world.tell_sweep(took(1, 2, 2_100, false));
    assert_eq!(world.names(), ["CancelJobs", "WatchJobs"]);
    world.take("WatchJobs");
    world.tell_sweep(took(1, 2, 2_100, true)).drain();
    assert_eq!(reason(&world), "the budget of 2 USD is used up: finished runs cost 2.10 USD");
    assert_eq!(world.sweep().report().cost_usd, Some(2.1));
    assert_eq!(world.sweep().succeeded(), 2);
}

#[test]
fn a_budget_holds_over_all_rounds_and_starts_of_a_sweep() {
    let mut world = priced(2.0, 0);
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(took(1, 1, 1_500, true)).answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(took(2, 1, 1_500, false)).take("WatchJobs");
    world.tell_sweep(took(2, 1, 1_500, true)).drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Incomplete { .. }), "1.5 and 1.5 are more than 2");
    let plan = Box::new(world.sweep().plan.clone());
    world.tell_sweep(Event::SweepStarted { plan, pull: None, by: "ada".to_owned(), asker: None, retry: Retry::Failed });
    assert_eq!(world.asked("SubmitJobs").len(), 0, "nothing more may be spent");
    world.drain();
    assert!(reason(&world).contains("used up"));
}

#[test]
fn what_the_first_run_took_tells_that_the_others_would_cost_too_much() {
    let mut world = priced(3.0, 1);
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(took(1, 1, 1_000, true)).drain();
    assert_eq!(
        reason(&world),
        "a run takes 1 s, so with 3 more the sweep would cost about 4 USD, above its budget of 3 USD"
    );
    assert_eq!(world.sweep().succeeded(), 1);
}

// --- cut short -------------------------------------------------------------------------------------------------------

#[test]
fn a_cancelled_sweep_analyses_what_its_jobs_have_done_once_they_are_gone() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good);
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() });
    assert_eq!(world.names(), ["WatchJobs", "CancelJobs"]);
    world.take("WatchJobs");
    world.tell_sweep(observed(1, counts(2, &[(FailureClass::Interrupted, 1)]), true));
    assert_eq!(world.names(), ["CancelJobs", "WriteAnalysis"]);
    world.drain();
    let SweepPhase::Cancelled { by, analysis: Some(analysis) } = &world.sweep().phase else { panic!() };
    assert_eq!((by.as_str(), analysis.missing), ("ada", 2));
}

#[test]
fn who_cancels_a_sweep_that_is_done_gets_the_whole_of_it() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good).answer(0, Luck::Good);
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() });
    assert_eq!(world.names(), ["WriteAnalysis"]);
    world.drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
}

#[test]
fn a_sweep_that_is_being_cancelled_can_be_started_again_at_once() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good);
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() });
    world.tell_sweep(started(Retry::Missing, RunLimits::default()));
    assert_eq!((world.names(), world.sweep().round), (vec!["WatchJobs", "CancelJobs", "SubmitJobs"], 2));
    world.drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
}
