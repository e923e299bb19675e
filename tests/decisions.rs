//! What is decided, told as stories and under any order of events: nothing panics, nothing is done twice, nothing is
//! left waiting for an answer that nobody will give.
//!
//! A [`World`] keeps the state of each key as the database would, hears events in the order in which they were kept,
//! and collects what is asked for. Nothing happens outside until a test answers an effect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use modelship::domain::build::{BuildPhase, ModelState};
use modelship::domain::command::Command;
use modelship::domain::decide::{State, decide};
use modelship::domain::decision::{Due, Rules};
use modelship::domain::diagnostic::{Diagnostic, Faults};
use modelship::domain::effect::Effect;
use modelship::domain::event::{
    BuildFailure, BuildOrigin, BuildOutcome, ChangedSweep, Event, Key, Keyed, PromotionTarget, PullChange,
    SweepRequest, TouchedModel,
};
use modelship::domain::forge::{CommentRef, HeadOrigin, PullSnapshot, PullStatus, User};
use modelship::domain::ids::{
    ChannelName, CommitSha, Digest, ModelName, ObjectId, PullNumber, PullRef, Repository, RepositoryName, RunId,
    SweepId, SweepName, Time, VersionId,
};
use modelship::domain::pull::{
    Base, ComparedStage, ComparisonPhase, ComparisonPlan, Ending, Pair, PlannedPair, PullState, PullSweepPhase,
};
use modelship::domain::sweep::analysis::{AnalysisSummary, Comparison};
use modelship::domain::sweep::plan::{MaxFailures, PlanCounts, PlanSummary, RunLimits, Verdict};
use modelship::domain::sweep::record::FailureClass;
use modelship::domain::sweep::state::{JobHandle, Retry, RoundCounts, RunFailure, SweepPhase, SweepState};
use modelship::domain::version::{PassedTest, SourceRef, Tree, Version};
use proptest::prelude::*;

const SWEEP_FILE: &str = "sweeps/deduction.yaml";
const RUNS: u64 = 4;

// --- the things that events are about --------------------------------------------------------------------------------

fn hub() -> Repository {
    Repository { id: 7, name: RepositoryName::new("urban", "hub").unwrap() }
}

fn model() -> ModelName {
    ModelName::new("urban", "simple-tax").unwrap()
}

fn pull() -> PullRef {
    PullRef { repository: hub(), number: PullNumber(1) }
}

fn ada() -> User {
    User { id: 5, login: "ada".to_owned() }
}

fn commit(number: u8) -> CommitSha {
    CommitSha::parse(format!("{number:040x}")).unwrap()
}

fn source(number: u8) -> SourceRef {
    SourceRef { repository: hub(), commit: commit(number), manifest: "config/urban/simple-tax.yaml".to_owned() }
}

fn version(source: &SourceRef, tree: Tree) -> Version {
    let (executable, manifest) = (Digest::of(source.commit.as_str()), Digest::of("manifest"));
    Version {
        id: VersionId::of(&model(), &source.commit, &executable, &manifest),
        model: model(),
        source: source.clone(),
        tree,
        source_tree: ObjectId::parse(source.commit.as_str()).unwrap(),
        executable,
        builder: "process".to_owned(),
        image: None,
        manifest,
        manifest_text: String::new(),
        inputs: BTreeMap::new(),
        toolchain: Vec::new(),
        tests: vec![PassedTest { name: "base case".to_owned(), duration_ms: 3 }],
        build_ms: 9,
        registered_at: Time(0),
    }
}

fn failure() -> BuildFailure {
    BuildFailure {
        stage: "build".to_owned(),
        message: "`make` ended with status 2".to_owned(),
        faults: Vec::new(),
        log_tail: "make: no rule".to_owned(),
        log: None,
    }
}

fn faults() -> Faults {
    Faults::from(Diagnostic::of_file(SWEEP_FILE, "no such parameter", None))
}

/// The plan that `design` stands for, made for the head `head`.
fn plan(design: u8, head: u8) -> PlanSummary {
    let (name, digest) = (SweepName::parse("deduction").unwrap(), Digest::of([design]));
    let version = version(&source(head), Tree::Committed);
    PlanSummary {
        id: SweepId::of(&name, "pull/7/1", &digest),
        name,
        file: SWEEP_FILE.to_owned(),
        digest,
        model: model(),
        reference: "this pull request".to_owned(),
        version: version.id,
        model_commit: commit(head),
        executable: version.executable,
        head: Some(commit(head)),
        design: "grid".to_owned(),
        moved: Vec::new(),
        fixed: Vec::new(),
        baseline: Vec::new(),
        counts: PlanCounts { generated: RUNS, rejected: 0, repeated: 0, runs: RUNS, reused: 0 },
        sample: Vec::new(),
        outputs: Vec::new(),
        limits: RunLimits::default(),
        estimate_ms: None,
        verdict: Verdict::NeedsCommand,
        notes: Vec::new(),
    }
}

/// One side of the comparison that is made for the head `head`; heads 4 and 5 have the same model.
fn compared(side: &str, head: u8) -> PlanSummary {
    let (name, digest) = (SweepName::parse("deduction").unwrap(), Digest::of([head / 2, side.len() as u8]));
    let id = SweepId::of(&name, &format!("pull/7/1/compare/{side}"), &digest);
    PlanSummary { id, digest, reference: side.to_owned(), ..plan(0, head) }
}

fn comparison_plan(head: u8, allowance: Option<u64>) -> ComparisonPlan {
    let plans = Pair { base: compared("base", head), head: compared("own", head) };
    ComparisonPlan {
        head: commit(head),
        version: compared("own", head).version,
        base: Base { version: compared("base", 1).version, commit: commit(1), called: "main".to_owned() },
        sweeps: vec![
            PlannedPair { name: SweepName::parse("deduction").unwrap(), plans: Ok(Box::new(plans)) },
            PlannedPair { name: SweepName::parse("rates").unwrap(), plans: Err("it has no `RATE`".to_owned()) },
        ],
        allowance,
    }
}

fn comparison() -> Comparison {
    Comparison {
        first: "main".to_owned(),
        second: "pr-1".to_owned(),
        joined_on: Vec::new(),
        matched: RUNS,
        only_first: 0,
        only_second: 0,
        failing: 0,
        failing_at: Vec::new(),
        mended: 0,
        failing_in_both: 0,
        outputs: Vec::new(),
        outputs_only_first: Vec::new(),
        outputs_only_second: Vec::new(),
        warnings: Vec::new(),
        effort: None,
        head_columns: Vec::new(),
        head_rows: Vec::new(),
    }
}

fn analysis(missing: u64) -> Box<AnalysisSummary> {
    Box::new(AnalysisSummary {
        rows: RUNS,
        missing,
        statistics: Vec::new(),
        chart: None,
        head_columns: Vec::new(),
        head_rows: Vec::new(),
        files: Vec::new(),
        texts: Vec::new(),
        file_rows: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    })
}

fn job(round: u32) -> JobHandle {
    JobHandle { place: format!("sweeps/s/jobs/1/{round}"), token: "17:42".to_owned() }
}

fn counts(succeeded: u64, failed: &[(FailureClass, u64)]) -> RoundCounts {
    RoundCounts { succeeded, failed: failed.iter().copied().collect(), run_ms: 5 }
}

fn run_failure(number: u64, class: FailureClass) -> RunFailure {
    let run = RunId::from_hash(&[u8::try_from(number % 251).unwrap(); 32]);
    RunFailure { run, parameters: Vec::new(), class, message: "it ended".to_owned(), log_tail: String::new() }
}

fn observed(round: u32, counts: RoundCounts, ended: bool) -> Event {
    let failures = counts.failed.keys().zip(0..).map(|(class, number)| run_failure(number, *class)).collect();
    Event::RunsObserved { round, counts, failures, ended }
}

fn request(number: u8, origin: BuildOrigin, waiter: Option<Key>) -> Event {
    Event::BuildRequested { source: source(number), tree: Tree::Committed, origin, waiter }
}

fn branch(name: &str) -> BuildOrigin {
    BuildOrigin::Branch { name: name.to_owned() }
}

fn main_branch() -> BuildOrigin {
    BuildOrigin::DefaultBranch { name: "main".to_owned() }
}

fn of_pull() -> BuildOrigin {
    BuildOrigin::Pull { number: PullNumber(1) }
}

fn push(reference: &str, before: Option<u8>, after: u8) -> Event {
    Event::PushReceived {
        reference: reference.to_owned(),
        before: before.map(commit),
        after: Some(commit(after)),
        default_branch: "main".to_owned(),
        pusher: "ada".to_owned(),
    }
}

fn passed(number: u8) -> Event {
    let version = Box::new(version(&source(number), Tree::Committed));
    Event::BuildFinished { source: source(number), outcome: BuildOutcome::Passed(version) }
}

fn failed_effect(effect: &Effect) -> Keyed {
    let (key, subject) = effect.subject();
    let reason = "the disk is full".to_owned();
    Keyed { key, event: Event::EffectFailed { effect: effect.name().to_owned(), subject, reason } }
}

// --- the world -------------------------------------------------------------------------------------------------------

/// How an effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    /// There is news, and more to come.
    Slow,
    /// The user's doing, or the machine's.
    Bad,
    /// It failed for good, by our fault.
    Broken,
}

struct World {
    rules: Rules,
    now: Time,
    states: BTreeMap<Key, State>,
    events: VecDeque<Keyed>,
    /// What was asked for and nobody has answered, with its coalescing key.
    open: Vec<(Effect, Option<String>)>,
    /// Builds that were told to stop while somebody worked on them.
    cancelled: BTreeSet<CommitSha>,
    /// Markers of the comments that were asked for, those written once and those edited in place.
    posted: Vec<String>,
    edited: Vec<String>,
    /// The newest commit that each origin asked for.
    newest: BTreeMap<String, CommitSha>,
    head: u8,
    status: PullStatus,
    deliveries: Vec<Keyed>,
    comments: i64,
    /// How many new runs the policy lets a comparison start by itself.
    allowance: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            rules: Rules {
                comment_interval: Duration::from_secs(20),
                promote_direct_pushes: false,
                artifacts_url: None,
            },
            now: Time(1_000_000),
            states: BTreeMap::new(),
            events: VecDeque::new(),
            open: Vec::new(),
            cancelled: BTreeSet::new(),
            posted: Vec::new(),
            edited: Vec::new(),
            newest: BTreeMap::new(),
            head: 2,
            status: PullStatus::Open,
            deliveries: Vec::new(),
            comments: 0,
            allowance: None,
        }
    }

    /// Keeps an event and decides until no event waits.
    fn tell(&mut self, key: Key, event: Event) -> &mut Self {
        self.events.push_back(Keyed { key, event });
        while let Some(keyed) = self.events.pop_front() {
            self.decide(&keyed);
        }
        self
    }

    fn tell_model(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Model(model()), event)
    }

    fn tell_sweep(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Sweep(plan(0, 2).id), event)
    }

    fn tell_pull(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Pull(pull()), event)
    }

    fn decide(&mut self, keyed: &Keyed) {
        let state = self.states.get(&keyed.key);
        let decision = decide(&keyed.key, state, &keyed.event, &self.rules, self.now);
        assert_eq!(decision, decide(&keyed.key, state, &keyed.event, &self.rules, self.now), "decided differently");
        if let (Key::Model(_), Event::BuildRequested { source, origin, .. }) = (&keyed.key, &keyed.event) {
            self.newest.insert(format!("{origin:?}"), source.commit.clone());
        }
        for due in decision.effects {
            self.ask(due);
        }
        if let Some(next) = decision.next {
            let text = serde_json::to_string(&next).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), next, "the state is not what was written");
            check_bounds(&next);
            self.states.insert(keyed.key.clone(), next);
        }
        for event in decision.events {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Keyed>(&text).unwrap(), event);
            self.events.push_back(event);
        }
    }

    fn ask(&mut self, due: Due) {
        let Due { effect, coalesce, .. } = due;
        let text = serde_json::to_string(&effect).unwrap();
        assert_eq!(serde_json::from_str::<Effect>(&text).unwrap(), effect);
        match &effect {
            Effect::PostComment { marker, .. } => self.posted.push(marker.clone()),
            Effect::UpsertComment { marker, .. } => self.edited.push(marker.clone()),
            Effect::SetCommitStatus { .. } => {}
            _ => {
                self.check_channels(&effect);
                self.open.retain(|(_, waiting)| waiting.is_none() || *waiting != coalesce);
                self.open.push((effect, coalesce));
            }
        }
    }

    /// The effects of that name that nobody has answered.
    fn asked(&self, name: &str) -> Vec<&Effect> {
        self.open.iter().map(|(effect, _)| effect).filter(|effect| effect.name() == name).collect()
    }

    fn names(&self) -> Vec<&'static str> {
        self.open.iter().map(|(effect, _)| effect.name()).collect()
    }

    /// Takes the only effect of that name; its answer is the test's.
    fn take(&mut self, name: &str) -> Effect {
        assert_eq!(self.asked(name).len(), 1, "`{name}` in {:?}", self.names());
        let at = self.open.iter().position(|(effect, _)| effect.name() == name).unwrap();
        self.open.remove(at).0
    }

    /// The channels that the open registration of that commit moves.
    fn channels(&self, number: u8) -> Vec<&str> {
        let of_commit = self.asked("RegisterVersion").into_iter().filter_map(|effect| match effect {
            Effect::RegisterVersion { version, channels } if version.source.commit == commit(number) => Some(channels),
            _ => None,
        });
        of_commit.flatten().map(|(channel, _)| channel.as_str()).collect()
    }

    /// Answers the effect at `at` as the outside would.
    fn answer(&mut self, at: usize, luck: Luck) -> &mut Self {
        let (effect, _) = self.open.remove(at);
        let (key, _) = effect.subject();
        let event = match &effect {
            Effect::CancelBuild { source, .. } => {
                self.cancelled.insert(source.commit.clone());
                return self;
            }
            Effect::BuildModel { source, .. } if self.cancelled.remove(&source.commit) && luck != Luck::Good => {
                Event::BuildFinished { source: source.clone(), outcome: BuildOutcome::Cancelled }
            }
            effect if luck == Luck::Broken => failed_effect(effect).event,
            Effect::BuildModel { source, tree, .. } => {
                let outcome = match luck {
                    Luck::Bad => BuildOutcome::Failed(failure()),
                    _ => BuildOutcome::Passed(Box::new(version(source, *tree))),
                };
                Event::BuildFinished { source: source.clone(), outcome }
            }
            Effect::InspectPush { reference, after, default_branch, .. } => Event::PushInspected {
                reference: reference.clone(),
                commit: after.clone(),
                default_branch: default_branch.clone(),
                models: vec![touched(after)],
                faults: Vec::new(),
            },
            Effect::InspectPull { then, .. } => {
                let then = then.clone();
                self.tell(key.clone(), self.inspected());
                match then {
                    Some(event) => *event,
                    None => return self,
                }
            }
            Effect::RegisterVersion { version, .. } => {
                Event::VersionRegistered { source: version.source.clone(), version: version.clone() }
            }
            Effect::MoveChannel { request, channel, .. } => Event::PromotionAnswered {
                request: request.clone(),
                channel: channel.clone(),
                result: Err("there is no such version".to_owned()),
            },
            Effect::CheckCommand { comment, nth, command, author, .. } => Event::CommandChecked {
                comment: *comment,
                nth: *nth,
                command: command.clone(),
                author: author.clone(),
                denied: (luck == Luck::Bad).then(|| "this needs write permission".to_owned()),
            },
            Effect::PlanSweep { head, path, .. } => {
                let number = u8::from_str_radix(&head.as_str()[38..], 16).unwrap();
                let result = match luck {
                    Luck::Bad => Err(faults()),
                    _ => Ok(Box::new(plan(number / 2, number))),
                };
                Event::SweepPlanned { path: path.clone(), head: head.clone(), result }
            }
            Effect::PlanComparison { head, model, .. } => {
                let number = u8::from_str_radix(&head.as_str()[38..], 16).unwrap();
                let result = match luck {
                    Luck::Bad => Err("it has no other version yet".to_owned()),
                    _ => Ok(Box::new(comparison_plan(number, self.allowance))),
                };
                Event::ComparisonPlanned { model: model.clone(), head: head.clone(), result }
            }
            Effect::CompareVersions { head, .. } => {
                let result = match luck {
                    Luck::Bad => Err("the table is too long".to_owned()),
                    _ => Ok(Box::new(comparison())),
                };
                Event::VersionsCompared { head: head.plan.id.clone(), result }
            }
            Effect::SubmitJobs { round, .. } if luck == Luck::Bad => {
                Event::StartRefused { round: *round, reason: "the head has moved".to_owned() }
            }
            Effect::SubmitJobs { round, .. } => submitted(*round),
            Effect::WatchJobs { round, .. } => match luck {
                Luck::Slow => observed(*round, counts(1, &[]), false),
                Luck::Bad => observed(*round, counts(0, &[(FailureClass::Interrupted, 2)]), true),
                _ => observed(*round, counts(RUNS - 1, &[(FailureClass::ModelError, 1)]), true),
            },
            Effect::WriteAnalysis { round, .. } => {
                Event::AnalysisWritten { round: *round, summary: analysis(u64::from(luck == Luck::Bad)) }
            }
            _ => return self,
        };
        self.tell(key, event)
    }

    /// Answers everything well until nothing is asked for any more.
    fn drain(&mut self) -> &mut Self {
        for _ in 0..1_000 {
            if self.open.is_empty() {
                return self;
            }
            self.answer(0, Luck::Good);
        }
        panic!("there is no end: {:?}", self.names());
    }

    fn snapshot(&self) -> PullSnapshot {
        PullSnapshot {
            pull: pull(),
            title: "a higher deduction".to_owned(),
            author: ada(),
            status: self.status,
            head_branch: "work".to_owned(),
            head: commit(self.head),
            origin: HeadOrigin::SameRepository,
            base_branch: "main".to_owned(),
            merge_commit: (self.status == PullStatus::Merged).then(|| commit(200)),
        }
    }

    fn inspected(&self) -> Event {
        let request = SweepRequest { name: SweepName::parse("deduction").unwrap(), model: model(), reference: None };
        // Some heads change the model too.
        let models = match self.status {
            PullStatus::Merged => vec![touched(&commit(200))],
            PullStatus::Open | PullStatus::Closed if self.head.is_multiple_of(2) => vec![touched(&commit(self.head))],
            PullStatus::Open | PullStatus::Closed => Vec::new(),
        };
        let sweeps = vec![ChangedSweep { path: SWEEP_FILE.to_owned(), request: Ok(request) }];
        Event::PullInspected {
            looked_at: self.now,
            snapshot: Box::new(self.snapshot()),
            models,
            sweeps,
            faults: Vec::new(),
        }
    }

    /// Something that the forge sends; it can be sent again later.
    fn deliver(&mut self, key: Key, event: Event) -> &mut Self {
        self.deliveries.push(Keyed { key: key.clone(), event: event.clone() });
        self.tell(key, event)
    }

    fn pull_changed(&mut self, change: PullChange) -> &mut Self {
        let snapshot = Box::new(self.snapshot());
        self.deliver(Key::Pull(pull()), Event::PullChanged { snapshot, change })
    }

    fn push_head(&mut self, head: u8) -> &mut Self {
        let before = std::mem::replace(&mut self.head, head);
        self.deliver(Key::Repository(hub()), push("refs/heads/work", Some(before), head));
        self.pull_changed(PullChange::Pushed)
    }

    fn set_status(&mut self, status: PullStatus) -> &mut Self {
        self.status = status;
        self.pull_changed(if status == PullStatus::Open { PullChange::Opened } else { PullChange::Closed })
    }

    fn comment(&mut self, body: &str) -> &mut Self {
        self.comments += 1;
        let comment = CommentRef { id: self.comments, created_at: self.now };
        self.deliver(Key::Pull(pull()), Event::CommentCreated { comment, author: ada(), body: body.to_owned() })
    }

    fn model_state(&self) -> ModelState {
        match self.states.get(&Key::Model(model())) {
            Some(State::Model(state)) => state.clone(),
            _ => ModelState::default(),
        }
    }

    fn pull_state(&self) -> PullState {
        match self.states.get(&Key::Pull(pull())) {
            Some(State::Pull(state)) => (**state).clone(),
            other => panic!("there is no pull request: {other:?}"),
        }
    }

    /// Where the sweep file of the pull request stands.
    fn file(&self) -> PullSweepPhase {
        self.pull_state().sweeps[SWEEP_FILE].phase.clone()
    }

    fn sweeps(&self) -> Vec<&SweepState> {
        let each = self.states.values();
        each.filter_map(|state| match state {
            State::Sweep(sweep) => Some(&**sweep),
            _ => None,
        })
        .collect()
    }

    fn sweep(&self) -> &SweepState {
        let sweeps = self.sweeps();
        assert_eq!(sweeps.len(), 1);
        sweeps[0]
    }

    /// A pull request whose sweep is planned.
    fn planned() -> Self {
        let mut world = Self::new();
        world.set_status(PullStatus::Open).drain();
        assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
        world
    }

    /// A pull request whose sweep runs.
    fn running() -> Self {
        let mut world = Self::planned();
        world.comment("/modelship run");
        world.answer(0, Luck::Good).answer(0, Luck::Good);
        assert_eq!(world.names(), ["WatchJobs"]);
        world
    }

    /// What must hold whenever no event waits.
    fn check(&self) {
        let building: Vec<_> = self.asked("BuildModel").iter().map(|effect| effect.subject().1).collect();
        assert_eq!(building.len(), building.iter().collect::<BTreeSet<_>>().len(), "one commit is built twice");
        for (commit, build) in &self.model_state().builds {
            let awaited = match build.phase {
                BuildPhase::Building | BuildPhase::Stopping => "BuildModel",
                BuildPhase::Registering { .. } => "RegisterVersion",
                BuildPhase::Passed { .. } => {
                    assert!(!self.asked("RegisterVersion").is_empty(), "{commit} waits for nobody's turn to end");
                    continue;
                }
            };
            let answer = self.asked(awaited).iter().any(|effect| effect.subject().1 == commit.as_str());
            assert!(answer, "nobody will end the build of {commit} in {:?}", build.phase);
            assert!(!build.requests.is_empty() || build.phase != BuildPhase::Building, "nobody wants {commit}");
        }
        for sweep in self.sweeps() {
            let of_it =
                |effect: &&&Effect| effect.subject() == (Key::Sweep(sweep.plan.id.clone()), sweep.round.to_string());
            let open = |name: &str| self.asked(name).iter().filter(of_it).count();
            let awaited = match sweep.phase {
                SweepPhase::Submitting => open("SubmitJobs"),
                SweepPhase::Running { .. } => open("WatchJobs"),
                SweepPhase::Analysing => open("WriteAnalysis"),
                _ => continue,
            };
            assert_eq!(awaited, 1, "one answer moves {} on from {:?}", sweep.plan.id, sweep.phase);
            let pull = self.pull_state();
            assert_ne!(pull.snapshot.status, PullStatus::Closed, "a closed pull request's sweep goes on");
            let followed = matches!(self.file(), PullSweepPhase::Started { report } if report.plan.id == sweep.plan.id)
                || self.compares(|stage| match stage {
                    ComparedStage::Running { reports } => {
                        [&reports.base, &reports.head].iter().any(|report| report.plan.id == sweep.plan.id)
                    }
                    _ => false,
                });
            assert!(followed, "the pull request has forgotten its running sweep: {:?}", self.file());
        }
        let comparing = self.compares(|stage| matches!(stage, ComparedStage::Comparing { .. }));
        assert!(!comparing || !self.asked("CompareVersions").is_empty(), "nobody compares what has run");
        let results: Vec<_> = self.posted.iter().filter(|marker| marker.starts_with("result/")).collect();
        assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len(), "a result is told twice");
    }

    /// Whether a sweep of the pull request's comparisons stands so.
    fn compares(&self, so: impl Fn(&ComparedStage) -> bool) -> bool {
        let Some(State::Pull(pull)) = self.states.get(&Key::Pull(pull())) else { return false };
        pull.comparisons.values().any(|comparison| match &comparison.phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps.iter().any(|sweep| so(&sweep.stage)),
            ComparisonPhase::Waiting | ComparisonPhase::Nothing { .. } => false,
        })
    }

    /// A channel that follows a branch or a pull request moves to the commit that was asked for last, or not at all.
    fn check_channels(&self, effect: &Effect) {
        let Effect::RegisterVersion { version, channels } = effect else { return };
        for (channel, origin) in [("work", branch("work")), ("main", main_branch()), ("pr-1", of_pull())] {
            let newest = self.newest.get(&format!("{origin:?}")) == Some(&version.source.commit);
            let moves = channels.iter().any(|(name, _)| name.as_str() == channel);
            assert!(newest || !moves, "`{channel}` goes back to {}", version.source.commit);
        }
    }

    fn check_rest_of_builds(&self) {
        assert_eq!(self.model_state().builds, BTreeMap::new());
    }

    /// What must hold once everything that was asked for is answered.
    fn check_rest(&self) {
        self.check_rest_of_builds();
        for sweep in self.sweeps() {
            assert!(sweep.phase.is_terminal() && sweep.ended_at.is_some(), "{:?}", sweep.phase);
        }
        for sweep in self.pull_state().sweeps.values() {
            match &sweep.phase {
                PullSweepPhase::Planning | PullSweepPhase::WaitingForBuild => {
                    assert_ne!(self.pull_state().snapshot.status, PullStatus::Open, "nobody plans {}", sweep.name);
                }
                PullSweepPhase::Started { report } => assert!(report.phase.is_terminal()),
                _ => {}
            }
        }
        let goes_on =
            |stage: &ComparedStage| matches!(stage, ComparedStage::Running { .. } | ComparedStage::Comparing { .. });
        assert!(!self.compares(goes_on), "a comparison waits for ever: {:?}", self.pull_state().comparisons);
    }
}

fn touched(commit: &CommitSha) -> TouchedModel {
    let source = SourceRef { commit: commit.clone(), ..source(0) };
    TouchedModel { model: model(), source, source_tree: ObjectId::parse(commit.as_str()).unwrap() }
}

fn submitted(round: u32) -> Event {
    Event::JobsSubmitted { round, jobs: vec![job(round)], runs: RUNS, known: 0, failed: BTreeMap::new() }
}

fn started(retry: Retry, limits: RunLimits) -> Event {
    let plan = Box::new(PlanSummary { limits, ..plan(0, 2) });
    Event::SweepStarted { plan, pull: None, by: "ada".to_owned(), retry }
}

fn check_bounds(state: &State) {
    match state {
        State::Model(model) => assert!(model.failures.len() <= 20),
        State::Sweep(sweep) => assert!(sweep.failures.len() <= 50),
        State::Pull(pull) => assert!(pull.heard.len() <= 200),
        State::Repository(_) => {}
    }
}

// --- models ----------------------------------------------------------------------------------------------------------

#[test]
fn a_push_is_looked_at_once_however_often_it_is_told() {
    let mut world = World::new();
    let key = Key::Repository(hub());
    world.tell(key.clone(), push("refs/heads/work", None, 2)).tell(key.clone(), push("refs/heads/work", None, 2));
    assert_eq!(world.names(), ["InspectPush"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), ["BuildModel"]);
    world.tell(key, push("refs/heads/work", None, 2)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["work"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_newer_push_stops_the_build_of_the_older_one() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).tell_model(request(3, branch("work"), None));
    assert_eq!(world.names(), ["BuildModel", "CancelBuild", "BuildModel"]);
    world.answer(1, Luck::Good).answer(0, Luck::Slow);
    assert_eq!(world.names(), ["BuildModel"], "the older one has told that it was cancelled");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["work"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_superseded_build_that_passes_before_it_is_stopped_moves_no_channel() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).tell_model(request(3, branch("work"), None));
    world.take("CancelBuild");
    world.answer(0, Luck::Good);
    assert_eq!(world.asked("RegisterVersion").len(), 1);
    assert_eq!(world.channels(2), [""; 0]);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_build_that_is_wanted_again_while_it_is_stopped_starts_again() {
    let mut world = World::new();
    for number in [2, 3, 2] {
        world.tell_model(request(number, branch("work"), None));
    }
    // Both were told to stop: the first by the second, the second by the first's return.
    assert_eq!(world.names(), ["BuildModel", "CancelBuild", "BuildModel", "CancelBuild"]);
    world.answer(1, Luck::Slow).answer(0, Luck::Bad);
    world.check();
    assert_eq!(world.asked("BuildModel").len(), 2);
    world.drain().check_rest_of_builds();
}

#[test]
fn a_build_that_a_push_and_a_pull_request_share_is_made_once_and_goes_on_while_one_wants_it() {
    let mut world = World::planned();
    world.tell_model(request(4, branch("work"), None));
    world.tell_model(request(4, of_pull(), Some(Key::Pull(pull()))));
    assert_eq!(world.names(), ["BuildModel"]);
    world.tell_model(request(6, branch("work"), None));
    assert_eq!(world.names(), ["BuildModel", "BuildModel"], "the pull request still waits for the first one");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(4), ["pr-1", "staging"]);
    world.drain().check_rest_of_builds();
}

#[test]
fn the_first_version_of_the_default_branch_becomes_production_and_later_ones_only_by_rule() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["main", "production"]);
    world.drain().tell_model(request(3, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["main"]);
    world.drain().rules.promote_direct_pushes = true;
    world.tell_model(request(4, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(4), ["main", "production"]);
}

#[test]
fn uncommitted_work_moves_no_channel() {
    let mut world = World::new();
    let (source, tree) = (source(2), Tree::Dirty);
    world.tell_model(Event::BuildRequested { source, tree, origin: main_branch(), waiter: None }).answer(0, Luck::Good);
    assert_eq!(world.channels(2), [""; 0]);
    assert_eq!(world.model_state().production, None);
}

#[test]
fn whoever_waits_hears_of_a_version_that_could_not_be_registered() {
    let mut world = World::new();
    world.set_status(PullStatus::Open);
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.names(), ["RegisterVersion"]);
    assert_eq!(world.file(), PullSweepPhase::WaitingForBuild);
    world.answer(0, Luck::Broken);
    assert!(matches!(world.file(), PullSweepPhase::Blocked { reason } if reason.contains("the disk is full")));
    world.check();
    world.check_rest();
    assert_eq!(world.model_state().failures.len(), 1);
}

#[test]
fn failed_builds_are_remembered_up_to_twenty_and_forgotten_when_asked_for_again() {
    let mut world = World::new();
    for number in 0..30 {
        world.tell_model(request(number, BuildOrigin::Terminal, None)).answer(0, Luck::Bad);
    }
    let failures = world.model_state().failures;
    assert_eq!((failures.len(), &failures[19].commit), (20, &commit(29)));
    world.tell_model(request(29, BuildOrigin::Terminal, None));
    assert!(world.model_state().failures.iter().all(|failed| failed.commit != commit(29)));
}

// --- pull requests ---------------------------------------------------------------------------------------------------

#[test]
fn a_command_acts_once_however_often_its_comment_is_told() {
    let mut world = World::planned();
    world.comment("/modelship run");
    let again = world.deliveries.last().unwrap().clone();
    world.tell(again.key.clone(), again.event.clone());
    assert_eq!(world.names(), ["CheckCommand"]);
    world.answer(0, Luck::Good).tell(again.key, again.event);
    assert_eq!(world.names(), ["SubmitJobs"]);
}

#[test]
fn only_the_newest_comments_are_remembered() {
    let mut world = World::planned();
    for _ in 0..230 {
        world.comment("/modelship help");
    }
    let heard = world.pull_state().heard;
    assert_eq!((heard.len(), heard.first()), (200, Some(&31)));
    assert_eq!(world.posted.len(), 230);
}

#[test]
fn a_comment_that_overtook_its_pull_request_comes_back_to_it() {
    let mut world = World::new();
    world.comment("/modelship status");
    assert_eq!(world.names(), ["InspectPull"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.posted, ["reply/1/0"]);
}

#[test]
fn a_command_without_permission_starts_nothing() {
    let mut world = World::planned();
    world.comment("/modelship run").answer(0, Luck::Bad);
    assert_eq!(world.names(), [""; 0]);
    assert_eq!(world.posted.len(), 1);
}

#[test]
fn a_command_that_is_older_than_the_plan_does_not_mean_it() {
    let mut world = World::planned();
    let comment = CommentRef { id: 1, created_at: Time(world.now.0 - 6_000) };
    let command = Command::Run { sweep: None };
    world.tell_pull(Event::CommandChecked { comment, nth: 0, command, author: ada(), denied: None });
    assert_eq!(world.names(), [""; 0]);
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
}

#[test]
fn a_plan_for_a_head_that_has_moved_on_counts_for_nothing() {
    let mut world = World::planned();
    world.push_head(5);
    let late = Event::SweepPlanned { path: SWEEP_FILE.to_owned(), head: commit(2), result: Err(faults()) };
    world.drain().tell_pull(late);
    assert!(matches!(world.file(), PullSweepPhase::Planned { plan, .. } if plan.head == Some(commit(5))));
}

#[test]
fn a_push_that_leaves_the_plan_as_it_is_leaves_the_sweep_alone_and_another_one_stops_it() {
    let mut world = World::running();
    world.push_head(3);
    while let Some(at) = world.open.iter().position(|(effect, _)| effect.name() != "WatchJobs") {
        world.answer(at, Luck::Good);
    }
    assert!(matches!(world.sweep().phase, SweepPhase::Running { .. }));
    world.push_head(5);
    while let Some(at) = world.names().iter().position(|name| !["WatchJobs", "CancelJobs"].contains(name)) {
        world.answer(at, Luck::Good);
    }
    assert!(matches!(world.sweep().phase, SweepPhase::Cancelled { .. }));
    assert_eq!(world.asked("CancelJobs").len(), 1);
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
}

#[test]
fn closing_stops_the_sweep_and_merging_lets_it_go_on() {
    let mut world = World::running();
    world.set_status(PullStatus::Closed).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs", "CancelJobs"]);
    assert!(matches!(&world.sweep().phase, SweepPhase::Cancelled { .. }));

    let mut world = World::running();
    world.set_status(PullStatus::Merged).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs", "BuildModel"]);
    world.answer(1, Luck::Good);
    assert_eq!(world.channels(200), ["production"]);
    world.drain();
    assert!(matches!(&world.sweep().phase, SweepPhase::Succeeded { .. }));
}

#[test]
fn the_result_is_told_in_a_comment_of_its_own_once() {
    let mut world = World::running();
    world.drain();
    let results = |world: &World| world.posted.iter().filter(|marker| marker.starts_with("result/")).count();
    assert_eq!(results(&world), 1);
    let round = world.sweep().round;
    world.tell_sweep(Event::AnalysisWritten { round, summary: analysis(0) });
    world.tell_sweep(Event::CancelRequested { by: "ada".to_owned() });
    assert_eq!(results(&world), 1);
}

// --- sweeps ----------------------------------------------------------------------------------------------------------

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
    assert_eq!(world.names(), ["WriteAnalysis"]);
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
    assert_eq!(world.names(), ["CancelJobs", "WriteAnalysis"]);
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
        assert_eq!(world.names(), if steps == 1 { vec!["CancelJobs"] } else { Vec::new() });
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

// --- versions compared -----------------------------------------------------------------------------------------------

impl World {
    /// A pull request whose changed model is compared: both versions run.
    fn comparing() -> Self {
        let mut world = Self::planned();
        world.comment("/modelship compare").answer(0, Luck::Good);
        assert_eq!(world.names(), ["SubmitJobs", "SubmitJobs"]);
        world.answer(0, Luck::Good).answer(0, Luck::Good);
        world
    }

    fn stage(&self) -> ComparedStage {
        match &self.pull_state().comparisons[&model()].phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps[0].stage.clone(),
            other => panic!("nothing is compared: {other:?}"),
        }
    }
}

#[test]
fn both_versions_run_and_are_compared_once_both_have_ended() {
    let mut world = World::comparing();
    world.answer(0, Luck::Good).answer(1, Luck::Good);
    assert_eq!(world.names(), ["WatchJobs"], "one side alone is not compared");
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.names(), ["CompareVersions"]);
    world.answer(0, Luck::Good);
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
    assert_eq!(world.posted.iter().filter(|marker| marker.starts_with("result/")).count(), 0);
    assert!(world.edited.iter().filter(|marker| marker.starts_with("compare/")).count() > 1);
}

#[test]
fn a_comparison_starts_by_itself_only_within_its_allowance() {
    for (allowance, starts) in [(None, false), (Some(2 * RUNS - 1), false), (Some(2 * RUNS), true)] {
        let mut world = World { allowance, ..World::new() };
        world.set_status(PullStatus::Open).drain();
        assert_eq!(matches!(world.stage(), ComparedStage::Compared { .. }), starts, "{allowance:?}");
    }
}

#[test]
fn nothing_of_a_fork_is_compared() {
    let mut world = World { allowance: Some(1_000), ..World::new() };
    let Event::PullInspected { looked_at, mut snapshot, models, sweeps, faults } = world.inspected() else { panic!() };
    snapshot.origin = HeadOrigin::Fork;
    world.tell_pull(Event::PullInspected { looked_at, snapshot, models, sweeps, faults }).drain();
    world.comment("/modelship compare").drain();
    assert_eq!((world.sweeps().len(), world.pull_state().comparisons.len()), (0, 0));
}

#[test]
fn closing_cancels_both_versions_and_a_comparison_goes_on_when_it_is_asked_for_again() {
    let mut world = World::comparing();
    world.set_status(PullStatus::Closed).answer(2, Luck::Good);
    assert_eq!(world.asked("CancelJobs").len(), 2);
    assert!(matches!(world.stage(), ComparedStage::Ended { ending: Ending::Cancelled { .. }, .. }));
    world.drain().set_status(PullStatus::Open).drain();
    world.comment("/modelship compare").drain();
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
}

#[test]
fn a_push_that_changes_the_model_takes_the_place_of_its_comparison_and_another_does_not() {
    let mut world = World::comparing();
    let ids = |world: &World| world.sweeps().iter().map(|sweep| sweep.plan.id.clone()).collect::<BTreeSet<_>>();
    let before = ids(&world);
    // The fixture's heads with odd numbers change no model.
    world.push_head(4);
    while let Some(at) = world.names().iter().position(|name| *name != "WatchJobs" && *name != "CancelJobs") {
        world.answer(at, Luck::Good);
    }
    assert_eq!(world.asked("CancelJobs").len(), 2, "the old comparison is over");
    assert!(matches!(world.stage(), ComparedStage::Offered { .. }));
    world.comment("/modelship compare").drain();
    assert_eq!(ids(&world).difference(&before).count(), 2);
    assert!(matches!(world.stage(), ComparedStage::Compared { .. }));
    world.check();
}

#[test]
fn when_one_version_cannot_run_the_other_need_not() {
    let mut world = World::planned();
    world.comment("/modelship compare").answer(0, Luck::Good);
    world.answer(1, Luck::Good).answer(0, Luck::Bad);
    assert_eq!(world.asked("CancelJobs").len(), 1);
    assert!(
        matches!(world.stage(), ComparedStage::Ended { ending: Ending::Stopped { reason }, .. } if reason.contains("head has moved"))
    );
}

#[test]
fn a_command_older_than_its_plan_compares_nothing() {
    let mut world = World::new();
    world.set_status(PullStatus::Open);
    let before = world.now;
    world.now = world.now.plus(Duration::from_secs(60));
    world.drain();
    let comment = CommentRef { id: 1, created_at: before };
    let body = "/modelship compare".to_owned();
    world.tell_pull(Event::CommentCreated { comment, author: ada(), body }).drain();
    assert!(matches!(world.stage(), ComparedStage::Offered { .. }));
}

// --- any order -------------------------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    PushMain(u8),
    Status(PullStatus),
    Comment(usize),
    /// A delivery comes once more.
    Again(usize),
    Answer(usize, Luck),
    Wait(i64),
}

const BODIES: [&str; 10] = [
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
    let luck = prop_oneof![5 => Just(Luck::Good), 2 => Just(Luck::Slow), 2 => Just(Luck::Bad), 1 => Just(Luck::Broken)];
    let status = prop_oneof![Just(PullStatus::Open), Just(PullStatus::Closed), Just(PullStatus::Merged)];
    prop_oneof![
        3 => (2_u8..9).prop_map(Step::Push),
        1 => (2_u8..9).prop_map(Step::PushMain),
        1 => status.prop_map(Step::Status),
        4 => (0..BODIES.len()).prop_map(Step::Comment),
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
        comment,
        command,
        author: ada(),
        denied: denied.map(str::to_owned),
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
        Event::VersionRegistered { source: source(2), version: Box::new(version(&source(2), Tree::Committed)) },
        Event::PromotionRequested {
            request: "r".to_owned(),
            channel: ChannelName::production(),
            target: PromotionTarget::Previous,
            by: "ada".to_owned(),
        },
        Event::PromotionAnswered {
            request: "r".to_owned(),
            channel: ChannelName::production(),
            result: Ok(version(&source(2), Tree::Committed).id),
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
        failed("PlanComparison", &format!("{}@{}", model(), commit(2))),
        failed("CompareVersions", compared("own", 2).id.as_str()),
    ]);
    events
}

// --- stories that once did not end well -------------------------------------------------------------------------------

#[test]
fn what_an_overtaken_push_changed_is_compared_by_the_next_one() {
    let mut world = World::new();
    let key = Key::Repository(hub());
    world.tell(key.clone(), push("refs/heads/work", None, 2)).drain();
    world.tell(key.clone(), push("refs/heads/work", Some(2), 3)).tell(key, push("refs/heads/work", Some(3), 4));
    let Effect::InspectPush { before, after, .. } = world.take("InspectPush") else { panic!() };
    assert_eq!((before, after), (Some(commit(2)), commit(4)), "what 3 touched is looked at together with what 4 did");
}

#[test]
fn a_closed_pull_request_starts_no_sweep() {
    let mut world = World::planned();
    world.comment("/modelship run").set_status(PullStatus::Closed).answer(1, Luck::Good);
    assert_eq!(world.names(), ["CheckCommand"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn a_running_sweep_is_followed_although_a_new_plan_could_not_be_made() {
    let mut world = World::running();
    world.push_head(3);
    while let Some(at) = world.names().iter().position(|name| !["WatchJobs", "PlanSweep"].contains(name)) {
        world.answer(at, Luck::Good);
    }
    let plan = world.take("PlanSweep");
    world.tell_pull(failed_effect(&plan).event);
    world.check();
}

#[test]
fn a_push_to_another_repository_stops_no_build_of_this_one() {
    let mut world = World::new();
    let other = Repository { id: 8, name: RepositoryName::new("eve", "hub").unwrap() };
    world.tell_model(request(2, main_branch(), None));
    let source = SourceRef { repository: other, ..source(3) };
    let (tree, origin) = (Tree::Committed, main_branch());
    world.tell_model(Event::BuildRequested { source, tree, origin, waiter: None });
    assert_eq!(world.asked("CancelBuild").len(), 0);
}

#[test]
fn each_command_of_a_comment_is_answered() {
    let mut world = World::planned();
    world.comment("/modelship run\n/modelship cancel").answer(0, Luck::Bad).answer(0, Luck::Bad);
    assert_eq!(world.posted.iter().collect::<BTreeSet<_>>().len(), 2, "{:?}", world.posted);
}

#[test]
fn a_cancelled_sweep_goes_on_with_run() {
    let mut world = World::running();
    world.comment("/modelship cancel").answer(1, Luck::Good).drain();
    world.comment("/modelship run").answer(0, Luck::Good);
    assert_eq!(world.names(), ["SubmitJobs"]);
}

#[test]
fn a_pull_request_that_was_merged_at_once_is_promoted() {
    let mut world = World::new();
    world.set_status(PullStatus::Open).set_status(PullStatus::Merged);
    assert_eq!(world.names(), ["InspectPull"]);
    world.answer(0, Luck::Good);
    assert_eq!(world.names(), ["BuildModel"]);
}

#[test]
fn production_stays_at_the_newest_merge() {
    let mut world = World::new();
    for number in [1, 2] {
        let origin = BuildOrigin::Merge { number: PullNumber(u64::from(number)) };
        world.tell_model(request(number, origin, None));
    }
    world.answer(1, Luck::Good).answer(1, Luck::Good);
    world.tell_model(passed(1));
    assert_eq!(world.channels(1), [""; 0]);
}

#[test]
fn a_version_that_could_not_be_registered_is_not_the_first_of_production() {
    let mut world = World::new();
    world.tell_model(request(2, main_branch(), None)).answer(0, Luck::Good).answer(0, Luck::Broken);
    world.tell_model(request(3, main_branch(), None)).answer(0, Luck::Good);
    assert_eq!(world.channels(3), ["main", "production"]);
}

#[test]
fn who_asks_during_a_registration_gets_channels_of_their_own_after_it() {
    let mut world = World::new();
    world.tell_model(request(2, branch("work"), None)).answer(0, Luck::Good);
    world.tell_model(request(2, of_pull(), None));
    assert_eq!(world.channels(2), ["work"], "one registration at a time");
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["pr-1", "staging"]);
    world.tell_model(request(2, BuildOrigin::Tag { name: "v1".to_owned() }, None)).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["v1"]);
    world.answer(0, Luck::Good);
    world.check_rest_of_builds();
}

#[test]
fn interrupted_runs_are_not_counted_as_failures() {
    let limits = RunLimits { max_failures: Some(MaxFailures::Count(0)), ..RunLimits::default() };
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, limits)).answer(0, Luck::Good).answer(0, Luck::Bad);
    assert_eq!((world.names(), world.sweep().round), (vec!["SubmitJobs"], 2));
}

#[test]
fn a_run_that_succeeded_after_an_interruption_is_no_failure() {
    let mut world = World::new();
    world.tell_sweep(started(Retry::Missing, RunLimits::default())).answer(0, Luck::Good).answer(0, Luck::Bad);
    world.answer(0, Luck::Good);
    world.take("WatchJobs");
    world.tell_sweep(observed(2, counts(RUNS, &[]), true)).drain();
    assert!(matches!(world.sweep().phase, SweepPhase::Succeeded { .. }));
    assert_eq!(world.sweep().failures, []);
}
