//! The world that events happen in: it keeps states, and what is asked for waits for the test to answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use modelship::domain::build::ModelState;
use modelship::domain::check::Check;
use modelship::domain::decide::{State, decide};
use modelship::domain::decision::{Due, Rules};
use modelship::domain::effect::Effect;
use modelship::domain::event::{
    BuildOutcome, ChangedSweep, Event, Key, Keyed, PromotionTarget, PullChange, SweepRequest,
};
use modelship::domain::forge::{CommentRef, HeadOrigin, PullSnapshot, PullStatus, Reaction};
use modelship::domain::ids::{ChannelName, CommitSha, SweepName, Time, VersionId};
use modelship::domain::pull::{PullState, PullSweepPhase};
use modelship::domain::sweep::record::FailureClass;
use modelship::domain::sweep::state::{SweepPhase, SweepState};
use modelship::domain::version::ChannelMove;

use crate::invariants::check_bounds;
use crate::things::*;

/// How an effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// There is news, and more to come.
    Slow,
    /// The user's doing, or the machine's.
    Bad,
    /// Some runs fail, each in a way of its own.
    Faulty,
    /// It failed for good, by our fault.
    Broken,
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) now: Time,
    pub(crate) states: BTreeMap<Key, State>,
    pub(crate) events: VecDeque<Keyed>,
    /// What was asked for and nobody has answered, with its coalescing key.
    pub(crate) open: Vec<(Effect, Option<String>)>,
    /// Builds that were told to stop while somebody worked on them.
    pub(crate) cancelled: BTreeSet<CommitSha>,
    /// Markers of the comments that were asked for, those written once, with what they say, and those edited in place.
    pub(crate) posted: Vec<String>,
    pub(crate) said: Vec<String>,
    pub(crate) edited: Vec<String>,
    /// What each check said last, by commit and name.
    pub(crate) checks: BTreeMap<(CommitSha, String), Check>,
    /// How often anything was to be shown in a check.
    pub(crate) shows: usize,
    /// The reactions to comments.
    pub(crate) reactions: Vec<Reaction>,
    /// When each comment and edit was to come.
    pub(crate) due: Vec<Time>,
    /// What others were told: deployments, their answers, notices.
    pub(crate) told: Vec<Effect>,
    /// Moves that the forge has not been told of, by what is one to it.
    pub(crate) waiting: BTreeMap<String, ChannelMove>,
    /// Where channels point, and which request moved them.
    pub(crate) channels: BTreeMap<ChannelName, ChannelMove>,
    pub(crate) moves: BTreeMap<String, ChannelMove>,
    /// The newest commit that each origin asked for.
    pub(crate) newest: BTreeMap<String, CommitSha>,
    pub(crate) head: u8,
    pub(crate) status: PullStatus,
    pub(crate) origin: HeadOrigin,
    pub(crate) deliveries: Vec<Keyed>,
    pub(crate) comments: i64,
    /// How many new runs the policy lets a comparison start by itself.
    pub(crate) allowance: Option<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            rules: Rules {
                comment_interval: Duration::from_secs(20),
                promote_direct_pushes: false,
                comments_per_hour: None,
                artifacts_url: None,
                subscriptions: Vec::new(),
            },
            now: Time(1_000_000),
            states: BTreeMap::new(),
            events: VecDeque::new(),
            open: Vec::new(),
            cancelled: BTreeSet::new(),
            posted: Vec::new(),
            said: Vec::new(),
            edited: Vec::new(),
            checks: BTreeMap::new(),
            reactions: Vec::new(),
            shows: 0,
            due: Vec::new(),
            origin: HeadOrigin::SameRepository,
            told: Vec::new(),
            waiting: BTreeMap::new(),
            channels: BTreeMap::new(),
            moves: BTreeMap::new(),
            newest: BTreeMap::new(),
            head: 2,
            status: PullStatus::Open,
            deliveries: Vec::new(),
            comments: 0,
            allowance: None,
        }
    }

    /// Keeps an event and decides until no event waits.
    pub(crate) fn tell(&mut self, key: Key, event: Event) -> &mut Self {
        self.events.push_back(Keyed { key, event });
        while let Some(keyed) = self.events.pop_front() {
            self.decide(&keyed);
        }
        self
    }

    pub(crate) fn tell_model(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Model(model()), event)
    }

    pub(crate) fn tell_sweep(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Sweep(plan(0, 2).id), event)
    }

    pub(crate) fn tell_pull(&mut self, event: Event) -> &mut Self {
        self.tell(Key::Pull(pull()), event)
    }

    pub(crate) fn decide(&mut self, keyed: &Keyed) {
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

    pub(crate) fn ask(&mut self, due: Due) {
        let Due { effect, coalesce, not_before } = due;
        let text = serde_json::to_string(&effect).unwrap();
        assert_eq!(serde_json::from_str::<Effect>(&text).unwrap(), effect);
        match &effect {
            Effect::PostComment { marker, body, .. } => {
                self.posted.push(marker.clone());
                self.said.push(body.clone());
                self.due.extend(not_before);
            }
            Effect::UpsertComment { marker, .. } => self.edited.push(marker.clone()),
            Effect::ShowCheck { commit, check, .. } => {
                assert!(check.title.chars().count() <= 241 && check.buttons.len() <= 3, "{check:?}");
                self.shows += 1;
                self.checks.insert((commit.clone(), check.name.clone()), (**check).clone());
            }
            Effect::React { reaction, .. } => self.reactions.push(*reaction),
            Effect::RecordDeployment { moved } => {
                self.waiting.insert(coalesce.expect("each channel has one that waits"), moved.clone());
                self.told.push(effect);
            }
            Effect::AnswerDeployment { .. } | Effect::Notify { .. } => {
                self.told.push(effect);
            }
            _ => {
                self.check_channels(&effect);
                self.open.retain(|(_, waiting)| waiting.is_none() || *waiting != coalesce);
                self.open.push((effect, coalesce));
            }
        }
    }

    /// The effects of that name that nobody has answered.
    pub(crate) fn asked(&self, name: &str) -> Vec<&Effect> {
        self.open.iter().map(|(effect, _)| effect).filter(|effect| effect.name() == name).collect()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.open.iter().map(|(effect, _)| effect.name()).collect()
    }

    /// Takes the only effect of that name; its answer is the test's.
    pub(crate) fn take(&mut self, name: &str) -> Effect {
        assert_eq!(self.asked(name).len(), 1, "`{name}` in {:?}", self.names());
        let at = self.open.iter().position(|(effect, _)| effect.name() == name).unwrap();
        self.open.remove(at).0
    }

    /// The channels that the open registration of that commit moves.
    pub(crate) fn channels(&self, number: u8) -> Vec<&str> {
        let of_commit = self.asked("RegisterVersion").into_iter().filter_map(|effect| match effect {
            Effect::RegisterVersion { version, channels } if version.source.commit == commit(number) => Some(channels),
            _ => None,
        });
        of_commit.flatten().map(|(channel, _)| channel.as_str()).collect()
    }

    /// Answers the effect at `at` as the outside would.
    pub(crate) fn answer(&mut self, at: usize, luck: Luck) -> &mut Self {
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
            Effect::BuildAgain { source, .. } if luck != Luck::Bad => {
                Event::RebuildAllowed { commit: source.commit.clone() }
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
            Effect::RegisterVersion { version, channels } => Event::VersionRegistered {
                source: version.source.clone(),
                version: version.clone(),
                moves: channels.iter().map(|(channel, reason)| self.point(channel, &version.id, reason)).collect(),
                is_new: true,
            },
            Effect::MoveChannel { request, channel, target, reason, .. } => {
                let version = match target {
                    PromotionTarget::Version(version) => Some(version.clone()),
                    PromotionTarget::Previous => self.channels.get(channel).and_then(|last| last.previous.clone()),
                };
                let moved = match (self.moves.get(request), version.filter(|_| luck != Luck::Bad)) {
                    (Some(moved), _) => Some(moved.clone()),
                    (None, version) => version.map(|version| self.point(channel, &version, reason)),
                };
                self.moves.extend(moved.clone().map(|moved| (request.clone(), moved)));
                Event::PromotionAnswered {
                    request: request.clone(),
                    channel: channel.clone(),
                    result: moved.clone().map(|moved| moved.version).ok_or_else(|| "it may not".to_owned()),
                    moved,
                }
            }
            Effect::CheckCommand { given, nth, command, author, .. } => Event::CommandChecked {
                given: given.clone(),
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
            Effect::SubmitJobs { plan, round, scope, .. } => {
                let sweep = self.sweep_of(&plan.id);
                let failed = sweep.failed_before.clone();
                let left = RUNS.saturating_sub(sweep.known + failed.values().sum::<u64>());
                let runs = scope.most_runs.unwrap_or(left).min(left);
                Event::JobsSubmitted { round: *round, jobs: vec![job(*round)], runs, known: sweep.known, failed }
            }
            Effect::WatchJobs { sweep, round, .. } => {
                let state = self.sweep_of(sweep);
                let runs = match state.phase {
                    SweepPhase::Running { runs, .. } => runs,
                    _ => 1,
                };
                match luck {
                    // Jobs that were ended have left nothing more.
                    Luck::Bad if state.ending.is_some() => observed(*round, state.counts.clone(), true),
                    Luck::Slow => observed(*round, counts(runs.min(1), &[]), false),
                    Luck::Bad => observed(*round, counts(0, &[(FailureClass::Interrupted, runs.min(2))]), true),
                    Luck::Faulty if runs > 2 => {
                        let failed = [(FailureClass::ModelError, 1), (FailureClass::OutOfMemory, 1)];
                        observed(*round, counts(runs - 2, &failed), true)
                    }
                    Luck::Faulty => observed(*round, counts(0, &[(FailureClass::OutOfMemory, runs)]), true),
                    _ => observed(*round, counts(runs, &[]), true),
                }
            }
            Effect::WriteAnalysis { round, plan } => {
                let missing =
                    RUNS.saturating_sub(self.sweep_of(&plan.id).succeeded()).max(u64::from(luck == Luck::Bad));
                Event::AnalysisWritten { round: *round, summary: analysis(missing) }
            }
            _ => return self,
        };
        self.tell(key, event)
    }

    /// Points a channel there, as the registry does, and gives its last move.
    fn point(&mut self, channel: &ChannelName, version: &VersionId, reason: &str) -> ChannelMove {
        let last = self.channels.get(channel);
        if let Some(last) = last.filter(|last| last.version == *version) {
            return last.clone();
        }
        self.now = Time(self.now.0 + 1);
        let moved = ChannelMove {
            model: model(),
            channel: channel.clone(),
            version: version.clone(),
            previous: last.map(|last| last.version.clone()),
            reason: reason.to_owned(),
            at: self.now,
        };
        self.channels.insert(channel.clone(), moved.clone());
        moved
    }

    /// Answers everything well until nothing is asked for any more.
    pub(crate) fn drain(&mut self) -> &mut Self {
        for _ in 0..1_000 {
            if self.open.is_empty() {
                return self;
            }
            self.answer(0, Luck::Good);
        }
        panic!("there is no end: {:?}", self.names());
    }

    pub(crate) fn snapshot(&self) -> PullSnapshot {
        PullSnapshot {
            pull: pull(),
            title: "a higher deduction".to_owned(),
            author: ada(),
            status: self.status,
            head_branch: "work".to_owned(),
            head: commit(self.head),
            origin: self.origin,
            base_branch: "main".to_owned(),
            merge_commit: (self.status == PullStatus::Merged).then(|| commit(200)),
        }
    }

    pub(crate) fn inspected(&self) -> Event {
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
    pub(crate) fn deliver(&mut self, key: Key, event: Event) -> &mut Self {
        self.deliveries.push(Keyed { key: key.clone(), event: event.clone() });
        self.tell(key, event)
    }

    pub(crate) fn pull_changed(&mut self, change: PullChange) -> &mut Self {
        let snapshot = Box::new(self.snapshot());
        self.deliver(Key::Pull(pull()), Event::PullChanged { snapshot, change })
    }

    pub(crate) fn push_head(&mut self, head: u8) -> &mut Self {
        let before = std::mem::replace(&mut self.head, head);
        self.deliver(Key::Repository(hub()), push("refs/heads/work", Some(before), head));
        self.pull_changed(PullChange::Pushed)
    }

    pub(crate) fn set_status(&mut self, status: PullStatus) -> &mut Self {
        self.status = status;
        self.pull_changed(if status == PullStatus::Open { PullChange::Opened } else { PullChange::Closed })
    }

    pub(crate) fn comment(&mut self, body: &str) -> &mut Self {
        self.comments += 1;
        let comment = CommentRef { id: self.comments, created_at: self.now };
        self.deliver(Key::Pull(pull()), Event::CommentCreated { comment, author: ada(), body: body.to_owned() })
    }

    /// What the check of that name says beside the head.
    pub(crate) fn shown(&self, name: &str) -> &Check {
        self.checks.get(&(commit(self.head), name.to_owned())).unwrap_or_else(|| panic!("{:#?}", self.checks.keys()))
    }

    pub(crate) fn model_state(&self) -> ModelState {
        match self.states.get(&Key::Model(model())) {
            Some(State::Model(state)) => state.clone(),
            _ => ModelState::default(),
        }
    }

    pub(crate) fn pull_state(&self) -> PullState {
        match self.states.get(&Key::Pull(pull())) {
            Some(State::Pull(state)) => (**state).clone(),
            other => panic!("there is no pull request: {other:?}"),
        }
    }

    /// Where the sweep file of the pull request stands.
    pub(crate) fn file(&self) -> PullSweepPhase {
        self.pull_state().sweeps[SWEEP_FILE].phase.clone()
    }

    pub(crate) fn sweeps(&self) -> Vec<&SweepState> {
        let each = self.states.values();
        each.filter_map(|state| match state {
            State::Sweep(sweep) => Some(&**sweep),
            _ => None,
        })
        .collect()
    }

    fn sweep_of(&self, id: &modelship::domain::ids::SweepId) -> &SweepState {
        self.sweeps().into_iter().find(|sweep| sweep.plan.id == *id).expect("an effect of a sweep that was started")
    }

    pub(crate) fn sweep(&self) -> &SweepState {
        let sweeps = self.sweeps();
        assert_eq!(sweeps.len(), 1);
        sweeps[0]
    }

    /// A pull request whose sweep is planned.
    pub(crate) fn planned() -> Self {
        let mut world = Self::new();
        world.set_status(PullStatus::Open).drain();
        assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
        world
    }

    /// A pull request whose sweep runs.
    pub(crate) fn running() -> Self {
        let mut world = Self::planned();
        world.comment("/modelship run");
        world.answer(0, Luck::Good).answer(0, Luck::Good);
        assert_eq!(world.names(), ["WatchJobs"]);
        world
    }
}
