//! Any event in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use modelship::domain::check::{Button, Press};
use modelship::domain::command::{Command, PromoteTo};
use modelship::domain::deployment::Promotion;
use modelship::domain::event::{BuildOrigin, BuildOutcome, Event, Key, Keyed, PromotionTarget, PullChange};
use modelship::domain::forge::{CommentRef, Given, PullStatus};
use modelship::domain::ids::{ChannelName, PullNumber, Time};
use modelship::domain::sweep::plan::{MaxFailures, RunLimits};
use modelship::domain::sweep::record::FailureClass;
use modelship::domain::sweep::state::Retry;
use modelship::domain::version::Tree;
use proptest::prelude::*;

use crate::driver::*;
use crate::things::*;

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    PushMain(u8),
    Status(PullStatus),
    Comment(usize),
    /// Somebody wants the build of a commit done again.
    Press(u8),
    /// A delivery comes once more.
    Again(usize),
    Answer(usize, Luck),
    Wait(i64),
}

const BODIES: [&str; 12] = [
    "/modelship promote urban/simple-tax production",
    "/modelship promote urban/simple-tax production back",
    "/modelship compare",
    "/modelship compare deduction\n/modelship cancel",
    "/modelship run",
    "/modelship cancel",
    "/modelship retry deduction",
    "/modelship plan",
    "/modelship status",
    "/modelship rnu",
    "/modelship run other\n/modelship cancel other",
    "looks good",
];

fn step() -> impl Strategy<Value = Step> {
    let luck = prop_oneof![
        5 => Just(Luck::Good),
        2 => Just(Luck::Slow),
        2 => Just(Luck::Bad),
        2 => Just(Luck::Faulty),
        1 => Just(Luck::Broken),
    ];
    let status = prop_oneof![Just(PullStatus::Open), Just(PullStatus::Closed), Just(PullStatus::Merged)];
    prop_oneof![
        3 => (2_u8..9).prop_map(Step::Push),
        1 => (2_u8..9).prop_map(Step::PushMain),
        1 => status.prop_map(Step::Status),
        4 => (0..BODIES.len()).prop_map(Step::Comment),
        2 => (2_u8..9).prop_map(Step::Press),
        2 => any::<usize>().prop_map(Step::Again),
        16 => (any::<usize>(), luck).prop_map(|(at, luck)| Step::Answer(at, luck)),
        1 => (0_i64..60_000).prop_map(Step::Wait),
    ]
}

impl World {
    fn walk(&mut self, step: &Step) {
        match step {
            Step::Push(head) if self.status == PullStatus::Open => drop(self.push_head(*head)),
            Step::Push(_) => {}
            Step::PushMain(head) => {
                let before = self.head;
                self.deliver(Key::Repository(hub()), push("refs/heads/main", Some(before), *head));
            }
            Step::Status(status) if self.status != PullStatus::Merged => drop(self.set_status(*status)),
            Step::Status(_) => {}
            Step::Press(number) => {
                let pressed = Event::BuildPressed { model: model(), commit: commit(*number), author: ada() };
                self.tell(Key::Repository(hub()), pressed);
            }
            Step::Comment(body) => drop(self.comment(BODIES[*body])),
            Step::Again(at) if !self.deliveries.is_empty() => {
                let Keyed { key, event } = self.deliveries[at % self.deliveries.len()].clone();
                self.tell(key, event);
            }
            Step::Again(_) => {}
            Step::Answer(at, luck) if !self.open.is_empty() => {
                let at = at % self.open.len();
                self.answer(at, *luck);
            }
            Step::Answer(..) => {}
            Step::Wait(milliseconds) => self.now = self.now.plus(Duration::from_millis(milliseconds.unsigned_abs())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order_nothing_is_done_twice_and_everything_ends(
        steps in prop::collection::vec(step(), 0..120), by_itself in any::<bool>()
    ) {
        let mut world = World { allowance: by_itself.then_some(2 * RUNS), ..World::new() };
        world.set_status(PullStatus::Open);
        for step in &steps {
            world.walk(step);
            world.check();
        }
        let (builds, sweeps) = (world.asked("BuildModel").len(), world.sweeps().len());
        // What a broken look at the forge has missed is found when it is compared next.
        world.pull_changed(PullChange::Edited).drain();
        world.check();
        world.check_rest();
        prop_assert!(builds <= 16 && sweeps <= 5 + 8, "{builds} builds and {sweeps} sweeps of eight commits");
    }

    #[test]
    fn every_event_is_decided_for_every_key_in_every_state(
        heard in prop::collection::vec((0_usize..5, 0..anything().len()), 0..80)
    ) {
        let mut world = World::new();
        let keys = [
            Key::Repository(hub()), Key::Model(model()), Key::Pull(pull()), Key::Sweep(plan(0, 2).id), Key::Instance,
        ];
        let events = anything();
        for (key, event) in heard {
            world.now = world.now.plus(Duration::from_millis(700));
            world.tell(keys[key].clone(), events[event].clone());
        }
    }
}

/// Events of every kind, some of which fit together.
fn anything() -> Vec<Event> {
    let world = World::new();
    let comment = CommentRef { id: 1, created_at: Time(1_000_000) };
    let checked = |command: Command, denied: Option<&str>| Event::CommandChecked {
        nth: 0,
        given: Given::Comment(comment),
        command,
        author: ada(),
        denied: denied.map(str::to_owned),
    };
    let pressed = |press: Press| Event::SweepPressed {
        marker: format!("sweep/{SWEEP_FILE}"),
        commit: commit(2),
        check: 4,
        press,
        author: ada(),
    };
    let at = |status: PullStatus, head: u8| World { status, head, ..World::new() }.inspected();
    let failed = |effect: &str, subject: &str| Event::EffectFailed {
        effect: effect.to_owned(),
        subject: subject.to_owned(),
        reason: "the disk is full".to_owned(),
    };
    let finished = |number: u8, outcome: BuildOutcome| Event::BuildFinished { source: source(number), outcome };
    let planned = |number: u8| Event::SweepPlanned {
        path: SWEEP_FILE.to_owned(),
        head: commit(number),
        result: Ok(Box::new(plan(0, number))),
    };
    let all = RunLimits { max_failures: Some(MaxFailures::Share(0.25)), ..RunLimits::default() };
    let mut events = vec![
        push("refs/heads/work", None, 2),
        push("refs/heads/work", Some(2), 3),
        push("refs/notes/x", None, 3),
        Event::PushReceived {
            reference: "refs/heads/work".to_owned(),
            before: Some(commit(2)),
            after: None,
            default_branch: "main".to_owned(),
            pusher: "ada".to_owned(),
        },
        Event::PushInspected {
            reference: "refs/heads/work".to_owned(),
            commit: commit(2),
            default_branch: "main".to_owned(),
            models: vec![touched(&commit(2))],
            faults: faults().0,
        },
        request(2, branch("work"), None),
        request(3, branch("work"), None),
        request(3, BuildOrigin::Tag { name: "v1..2".to_owned() }, None),
        request(2, of_pull(), Some(Key::Pull(pull()))),
        request(3, BuildOrigin::Merge { number: PullNumber(1) }, Some(Key::Model(model()))),
        finished(2, BuildOutcome::Cancelled),
        finished(3, BuildOutcome::Failed(failure())),
        passed(2),
        passed(3),
        Event::VersionRegistered {
            source: source(2),
            version: Box::new(version(&source(2), Tree::Committed)),
            moves: vec![moved("production", 2), moved("work", 2)],
            is_new: true,
        },
        Event::PromotionRequested {
            request: "r".to_owned(),
            channel: ChannelName::production(),
            target: PromotionTarget::Previous,
            by: "ada".to_owned(),
            asker: deployed(7).1,
        },
        Event::DeploymentCreated { deployment: Box::new(deployed(7).0) },
        Event::PromotionSettled {
            given: Given::Comment(comment),
            nth: 0,
            model: model(),
            channel: ChannelName::staging(),
            result: Ok(Promotion::Moved(moved("staging", 2))),
        },
        checked(Command::Promote { model: model(), channel: ChannelName::staging(), to: PromoteTo::Own }, None),
        Event::PromotionAnswered {
            request: "r".to_owned(),
            channel: ChannelName::production(),
            result: Ok(version(&source(2), Tree::Committed).id),
            moved: Some(moved("production", 2)),
        },
        Event::PullChanged { snapshot: Box::new(world.snapshot()), change: PullChange::Edited },
        at(PullStatus::Open, 2),
        at(PullStatus::Open, 3),
        at(PullStatus::Closed, 2),
        at(PullStatus::Merged, 3),
        Event::BuildSettled { model: model(), commit: commit(2), result: Err(failure()) },
        Event::BuildSettled {
            model: model(),
            commit: commit(2),
            result: Ok((&version(&source(2), Tree::Committed)).into()),
        },
        Event::CommentCreated { comment, author: ada(), body: BODIES.join("\n\n") },
        checked(Command::Run { sweep: None }, None),
        checked(Command::Retry { sweep: None }, None),
        checked(Command::Cancel { sweep: None }, None),
        checked(Command::Plan { sweep: None }, None),
        checked(Command::Compare { sweep: None }, None),
        checked(Command::Help, Some("no")),
        checked(Command::Approve { commit: commit(2) }, None),
        checked(Command::Logs { run: "abcd".to_owned() }, None),
        pressed(Press::Again),
        pressed(Press::Button { button: Button::Cancel }),
        pressed(Press::Button { button: Button::Retry }),
        pressed(Press::Button { button: Button::run(&plan(1, 2)) }),
        Event::AllPressed { commit: commit(2), suite: 5, author: ada() },
        Event::BuildPressed { model: model(), commit: commit(2), author: ada() },
        Event::RebuildAllowed { commit: commit(2) },
        Event::ComparisonPlanned {
            model: model(),
            head: commit(2),
            result: Ok(Box::new(comparison_plan(2, Some(RUNS)))),
        },
        Event::ComparisonPlanned { model: model(), head: commit(2), result: Err("nothing".to_owned()) },
        Event::VersionsCompared { head: compared("own", 2).id, result: Ok(Box::new(comparison())) },
        planned(2),
        planned(3),
        Event::SweepPlanned { path: SWEEP_FILE.to_owned(), head: commit(2), result: Err(faults()) },
        started(Retry::Failed, all),
        started(Retry::Missing, RunLimits::default()),
        Event::CancelRequested { by: "ada".to_owned() },
        Event::Ticked,
    ];
    for round in 1..4 {
        events.extend([
            submitted(round),
            Event::JobsSubmitted { round, jobs: Vec::new(), runs: 0, known: RUNS, failed: BTreeMap::new() },
            Event::StartRefused { round, reason: "the head has moved".to_owned() },
            observed(round, counts(1, &[(FailureClass::Interrupted, 3)]), true),
            observed(round, counts(2, &[(FailureClass::OutOfMemory, 1)]), false),
            observed(round, counts(RUNS, &[]), true),
            Event::AnalysisWritten { round, summary: analysis(0) },
            failed("WatchJobs", &round.to_string()),
        ]);
    }
    events.extend([
        failed("BuildModel", commit(2).as_str()),
        failed("PlanSweep", SWEEP_FILE),
        failed("MoveChannel", "x"),
        failed("MoveChannel", "r"),
        failed("CheckDeployment", "7"),
        failed("PlanComparison", &format!("{}@{}", model(), commit(2))),
        failed("CompareVersions", compared("own", 2).id.as_str()),
    ]);
    events
}
