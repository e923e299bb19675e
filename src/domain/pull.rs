//! A pull request: the models that it changes, the sweeps that it declares, and the talk about both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::decide::{Decision, Due, Rules, State};
use super::diagnostic::{Diagnostic, Faults};
use super::effect::Effect;
use super::event::{BuildFailure, BuildOrigin, ChangedSweep, Event, Key, SweepRequest, TouchedModel};
use super::forge::{CommentRef, HeadOrigin, PullSnapshot, PullStatus, User};
use super::ids::{CommitSha, ModelName, PullRef, SweepId, SweepName, Time};
use super::report;
use super::sweep::plan::{PlanSummary, Verdict};
use super::sweep::state::{Retry, SweepPhase, SweepReport};
use super::version::{BuiltVersion, SourceRef, Tree};

/// What is known of a pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullState {
    /// How the forge described it last.
    pub snapshot: PullSnapshot,
    /// Models that it changes.
    pub models: BTreeMap<ModelName, PullModel>,
    /// Sweep files that it adds or changes, by path.
    pub sweeps: BTreeMap<String, PullSweep>,
    /// Manifests of it that cannot be read.
    pub faults: Vec<Diagnostic>,
    /// Comments whose commands were heard, the newest 200: a comment acts once, however often it is told of.
    pub heard: BTreeSet<i64>,
}

/// A model that the pull request changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullModel {
    /// Where it is built from.
    pub source: SourceRef,
    /// Where its build stands.
    pub build: PullBuild,
}

/// Where a model's build for this pull request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "build")]
pub enum PullBuild {
    /// It builds and tests.
    Building,
    /// It is registered.
    Ready {
        /// The version.
        version: BuiltVersion,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: BuildFailure,
    },
    /// It comes from a fork: nothing of it is built.
    Untrusted,
}

/// A sweep file of the pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PullSweep {
    /// What its comment is about, and what people call it: its name, or its path while it cannot be read.
    pub name: String,
    /// What it asks for, once it can be read.
    pub request: Option<SweepRequest>,
    /// When its comment was or will be edited last.
    pub last_edit: Option<Time>,
    /// Where it stands.
    pub phase: PullSweepPhase,
}

/// Where a sweep of a pull request stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum PullSweepPhase {
    /// The file has faults, or what it asks for cannot be.
    Invalid {
        /// The faults.
        faults: Faults,
    },
    /// It sweeps a model that this pull request changes, and waits for that build.
    WaitingForBuild,
    /// The build that it waits for did not become a version.
    Blocked {
        /// Why, one sentence.
        reason: String,
    },
    /// It is being planned.
    Planning,
    /// The plan is there; somebody may start it.
    Planned {
        /// The plan.
        plan: Box<PlanSummary>,
        /// When it was shown. A command that is older cannot have meant it.
        shown_at: Time,
    },
    /// It was started.
    Started {
        /// How it stands.
        report: Box<SweepReport>,
    },
}

/// How many comments with commands does a pull request remember?
const COMMENTS_KEPT: usize = 200;

/// By how much may the forge's clock be behind ours before a command counts as older than the plan?
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// Decides what follows from an event about `pull`.
pub(super) fn decide(pull: &PullRef, state: Option<&PullState>, event: &Event, rules: &Rules, now: Time) -> Decision {
    if let Event::PullInspected { snapshot, models, sweeps, faults } = event {
        return inspected(Context { pull, rules, now }, state, &Inspection { snapshot, models, sweeps, faults });
    }
    if let Event::PullChanged { .. } = event {
        // Deliveries come late and in any order: what counts is how the forge has it when it is looked at.
        let mut decision = Decision::default();
        decision.ask(Due {
            effect: Effect::InspectPull { pull: pull.clone(), then: None },
            not_before: None,
            coalesce: Some(format!("inspect/{}/{}", pull.repository.id, pull.number)),
        });
        return decision;
    }
    match (state, event) {
        (None, Event::CommentCreated { body, .. }) => {
            if Command::parse_comment(body).is_empty() {
                return Decision::ignore("the comment holds no command");
            }
            // The comment overtook the pull request: look at that first, then come back to the comment.
            let mut decision = Decision::default();
            decision.ask(Effect::InspectPull { pull: pull.clone(), then: Some(Box::new(event.clone())) });
            decision
        }
        (None, other) => {
            Decision::ignore(format!("pull request {pull} is not known, so `{}` changes nothing", other.name()))
        }
        (Some(state), event) => {
            let mut thread =
                Thread { at: Context { pull, rules, now }, state: state.clone(), decision: Decision::default() };
            match thread.apply(event) {
                Some(reason) => Decision { ignored: Some(reason), ..thread.decision },
                None => thread.done(),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Context<'a> {
    pull: &'a PullRef,
    rules: &'a Rules,
    now: Time,
}

struct Inspection<'a> {
    snapshot: &'a PullSnapshot,
    models: &'a [TouchedModel],
    sweeps: &'a [ChangedSweep],
    faults: &'a [Diagnostic],
}

fn inspected(at: Context<'_>, state: Option<&PullState>, found: &Inspection<'_>) -> Decision {
    let before = state.cloned();
    let mut thread = Thread {
        at,
        state: before.clone().unwrap_or_else(|| PullState {
            snapshot: found.snapshot.clone(),
            models: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            faults: Vec::new(),
            heard: BTreeSet::new(),
        }),
        decision: Decision::default(),
    };
    thread.state.snapshot = found.snapshot.clone();
    let was_open = before.as_ref().is_some_and(|before| before.snapshot.status == PullStatus::Open);
    match found.snapshot.status {
        PullStatus::Open => {
            let same = before.as_ref().is_some_and(|before| {
                before.snapshot.head == found.snapshot.head
                    && before.snapshot.base_branch == found.snapshot.base_branch
                    && was_open
            });
            if same {
                return Decision { ignored: Some("its head has not moved".to_owned()), ..thread.done() };
            }
            thread.build_models(found.models);
            thread.state.faults = found.faults.to_vec();
            thread.read_sweeps(found.sweeps);
            thread.show_builds();
        }
        PullStatus::Closed if was_open => thread.cancel_sweeps(None, "the pull request was closed"),
        PullStatus::Merged if was_open => thread.merged(),
        PullStatus::Closed | PullStatus::Merged => {}
    }
    thread.done()
}

struct Thread<'a> {
    at: Context<'a>,
    state: PullState,
    decision: Decision,
}

impl Thread<'_> {
    fn done(self) -> Decision {
        Decision { next: Some(State::Pull(Box::new(self.state))), ..self.decision }
    }

    fn apply(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::BuildSettled { model, commit, result } => self.build_settled(model, commit, result),
            Event::CommentCreated { comment, author, body } => self.comment(*comment, author, body),
            Event::CommandChecked { comment, command, author, denied } => {
                match denied {
                    Some(reason) => self.reply(*comment, &report::command_denied(command, &author.login, reason)),
                    None => self.obey(*comment, command, author),
                }
                None
            }
            Event::SweepPlanned { path, head, result } => self.planned(path, head, result),
            Event::SweepAdvanced { sweep, report } => self.advanced(sweep, report),
            Event::EffectFailed { effect, subject, reason } => self.effect_failed(effect, subject, reason),
            other => Some(format!("`{}` is not about a pull request", other.name())),
        }
    }

    // --- models -------------------------------------------------------------------------------------------------

    fn build_models(&mut self, touched: &[TouchedModel]) {
        let untrusted = self.state.snapshot.origin == HeadOrigin::Fork;
        self.state.models.clear();
        for model in touched {
            let build = if untrusted { PullBuild::Untrusted } else { PullBuild::Building };
            self.state.models.insert(model.model.clone(), PullModel { source: model.source.clone(), build });
            if !untrusted {
                self.decision.tell(
                    Key::Model(model.model.clone()),
                    Event::BuildRequested {
                        source: model.source.clone(),
                        tree: Tree::Committed,
                        origin: BuildOrigin::Pull { number: self.at.pull.number },
                        waiter: Some(Key::Pull(self.at.pull.clone())),
                    },
                );
            }
        }
    }

    fn build_settled(
        &mut self,
        model: &ModelName,
        commit: &CommitSha,
        result: &Result<BuiltVersion, BuildFailure>,
    ) -> Option<String> {
        let Some(entry) = self.state.models.get_mut(model).filter(|entry| entry.source.commit == *commit) else {
            return Some(format!("the pull request does not wait for {model} at {}", commit.short()));
        };
        entry.build = match result {
            Ok(version) => PullBuild::Ready { version: version.clone() },
            Err(failure) => PullBuild::Failed { failure: failure.clone() },
        };
        self.show_builds();
        let waiting: Vec<_> = self
            .state
            .sweeps
            .iter()
            .filter(|(_, sweep)| {
                sweep.request.as_ref().is_some_and(|wanted| wanted.model == *model && wanted.reference.is_none())
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in waiting {
            self.plan(&path);
        }
        None
    }

    /// One comment tells of every model that the pull request builds.
    fn show_builds(&mut self) {
        if self.state.models.is_empty() && self.state.faults.is_empty() {
            return;
        }
        let body = report::models_comment(&self.state);
        self.decision.ask(Due {
            effect: Effect::UpsertComment { pull: self.at.pull.clone(), marker: "models".to_owned(), body },
            not_before: None,
            coalesce: Some(format!("comment/{}/{}/models", self.at.pull.repository.id, self.at.pull.number)),
        });
    }

    fn merged(&mut self) {
        let Some(commit) = self.state.snapshot.merge_commit.clone() else { return };
        for (model, entry) in &self.state.models {
            self.decision.events.push(super::event::Keyed {
                key: Key::Model(model.clone()),
                event: Event::BuildRequested {
                    source: SourceRef { commit: commit.clone(), ..entry.source.clone() },
                    tree: Tree::Committed,
                    origin: BuildOrigin::Merge { number: self.at.pull.number },
                    waiter: None,
                },
            });
        }
    }

    // --- sweeps -------------------------------------------------------------------------------------------------

    fn read_sweeps(&mut self, changed: &[ChangedSweep]) {
        let gone: Vec<_> =
            self.state.sweeps.keys().filter(|path| !changed.iter().any(|c| c.path == **path)).cloned().collect();
        for path in gone {
            if let Some(sweep) = self.state.sweeps.remove(&path) {
                self.cancel_if_started(&sweep, "its file is no longer part of the pull request");
            }
        }
        for file in changed {
            match &file.request {
                Err(faults) => {
                    let before = self.state.sweeps.remove(&file.path);
                    if let Some(sweep) = &before {
                        self.cancel_if_started(sweep, "its file has faults now");
                    }
                    let name = before.map_or_else(|| file.path.clone(), |sweep| sweep.name);
                    let phase = PullSweepPhase::Invalid { faults: faults.clone() };
                    self.state
                        .sweeps
                        .insert(file.path.clone(), PullSweep { name, request: None, last_edit: None, phase });
                    self.show(&file.path);
                }
                Ok(request) => {
                    let entry = self.state.sweeps.entry(file.path.clone()).or_insert_with(|| PullSweep {
                        name: String::new(),
                        request: None,
                        last_edit: None,
                        phase: PullSweepPhase::Planning,
                    });
                    entry.name = request.name.to_string();
                    entry.request = Some(request.clone());
                    self.plan(&file.path);
                }
            }
        }
    }

    /// Plans the sweep file, once the version that it needs is there.
    fn plan(&mut self, path: &str) {
        let Some(sweep) = self.state.sweeps.get_mut(path) else { return };
        let Some(request) = sweep.request.clone() else { return };
        let own = if request.reference.is_none() { self.state.models.get(&request.model) } else { None };
        // A started sweep goes on until the new plan is known: if its digest is the same, nothing has changed.
        let started = matches!(sweep.phase, PullSweepPhase::Started { .. });
        let own_version = match own.map(|model| &model.build) {
            None => None,
            Some(PullBuild::Ready { version }) => Some(version.id.clone()),
            Some(PullBuild::Building) => {
                if !started {
                    self.set_phase(path, PullSweepPhase::WaitingForBuild);
                }
                return;
            }
            Some(PullBuild::Failed { failure }) => {
                let reason = format!("`{}` did not build: {}: {}", request.model, failure.stage, failure.message);
                self.block(path, reason);
                return;
            }
            Some(PullBuild::Untrusted) => {
                let reason = format!("`{}` is changed by a fork, and nothing from a fork is built", request.model);
                self.block(path, reason);
                return;
            }
        };
        if !started {
            sweep.phase = PullSweepPhase::Planning;
        }
        self.decision.ask(Effect::PlanSweep {
            pull: self.at.pull.clone(),
            head: self.state.snapshot.head.clone(),
            path: path.to_owned(),
            request,
            own_version,
        });
    }

    fn block(&mut self, path: &str, reason: String) {
        if let Some(sweep) = self.state.sweeps.get(path).cloned() {
            self.cancel_if_started(&sweep, "its model no longer builds");
        }
        self.set_phase(path, PullSweepPhase::Blocked { reason });
    }

    fn planned(&mut self, path: &str, head: &CommitSha, result: &Result<Box<PlanSummary>, Faults>) -> Option<String> {
        if *head != self.state.snapshot.head {
            return Some(format!("the head has moved on from {}", head.short()));
        }
        let Some(sweep) = self.state.sweeps.get(path).cloned() else {
            return Some(format!("`{path}` is no longer part of the pull request"));
        };
        match result {
            Err(faults) => {
                self.cancel_if_started(&sweep, "its file has faults now");
                self.set_phase(path, PullSweepPhase::Invalid { faults: faults.clone() });
            }
            Ok(plan) => {
                if let PullSweepPhase::Started { report } = &sweep.phase {
                    let stopped = matches!(report.phase, SweepPhase::Cancelled { .. } | SweepPhase::Stopped { .. });
                    if report.plan.digest == plan.digest && !stopped {
                        // The push changed nothing that the plan depends on: the sweep goes on, its approval stands.
                        self.show(path);
                        return None;
                    }
                    self.cancel_if_started(&sweep, "a new plan took its place");
                }
                self.set_phase(path, PullSweepPhase::Planned { plan: plan.clone(), shown_at: self.at.now });
            }
        }
        None
    }

    fn advanced(&mut self, id: &SweepId, report: &SweepReport) -> Option<String> {
        let found = self.state.sweeps.iter().find_map(|(path, sweep)| match &sweep.phase {
            PullSweepPhase::Started { report } if report.plan.id == *id => Some(path.clone()),
            _ => None,
        });
        let Some(path) = found else {
            return Some(format!("sweep `{id}` is no longer part of the pull request"));
        };
        if let Some(sweep) = self.state.sweeps.get_mut(&path) {
            sweep.phase = PullSweepPhase::Started { report: Box::new(report.clone()) };
        }
        self.show(&path);
        let links = report::Links { base_url: self.at.rules.artifacts_url.clone() };
        if let Some(body) = report::final_comment(report, &links) {
            let marker = format!("result/{}/{}", report.plan.id, report.round);
            self.decision.ask(Effect::PostComment { pull: self.at.pull.clone(), marker, body });
        }
        None
    }

    fn cancel_sweeps(&mut self, name: Option<&SweepName>, by: &str) {
        for sweep in self.matching(name) {
            if let Some(sweep) = self.state.sweeps.get(&sweep).cloned() {
                self.cancel_if_started(&sweep, by);
            }
        }
    }

    fn cancel_if_started(&mut self, sweep: &PullSweep, by: &str) {
        if let PullSweepPhase::Started { report } = &sweep.phase
            && !report.phase.is_terminal()
        {
            self.decision.tell(Key::Sweep(report.plan.id.clone()), Event::CancelRequested { by: by.to_owned() });
        }
    }

    // --- commands -----------------------------------------------------------------------------------------------

    fn comment(&mut self, comment: CommentRef, author: &User, body: &str) -> Option<String> {
        let commands = Command::parse_comment(body);
        if commands.is_empty() {
            return Some("the comment holds no command".to_owned());
        }
        if !self.state.heard.insert(comment.id) {
            return Some(format!("comment {} was heard already", comment.id));
        }
        while self.state.heard.len() > COMMENTS_KEPT {
            self.state.heard.pop_first();
        }
        for command in commands {
            match &command {
                Command::Help => self.reply(comment, &report::help()),
                Command::Status => self.reply(comment, &report::pull_status(&self.state, self.at.now)),
                Command::Unknown { text, suggestion } => {
                    self.reply(comment, &report::unknown_command(text, suggestion.as_deref()));
                }
                Command::Run { .. } | Command::Plan { .. } | Command::Cancel { .. } | Command::Retry { .. } => {
                    self.decision.ask(Effect::CheckCommand {
                        comment,
                        pull: self.at.pull.clone(),
                        command: command.clone(),
                        author: author.clone(),
                    });
                }
            }
        }
        None
    }

    fn obey(&mut self, comment: CommentRef, command: &Command, author: &User) {
        match command {
            Command::Run { sweep } => self.run(comment, command, sweep.as_ref(), author),
            Command::Retry { sweep } => self.retry(comment, command, sweep.as_ref(), author),
            Command::Plan { sweep } => {
                let paths = self.matching(sweep.as_ref());
                if paths.is_empty() {
                    self.reply(comment, &report::nothing_to_do(command, &self.state));
                }
                for path in paths {
                    self.plan(&path);
                }
            }
            Command::Cancel { sweep } => {
                let by = author.login.clone();
                let before = self.decision.events.len();
                self.cancel_sweeps(sweep.as_ref(), &by);
                if self.decision.events.len() == before {
                    self.reply(comment, &report::nothing_to_do(command, &self.state));
                }
            }
            Command::Status | Command::Help | Command::Unknown { .. } => {}
        }
    }

    fn run(&mut self, comment: CommentRef, command: &Command, name: Option<&SweepName>, author: &User) {
        let mut started = false;
        for path in self.matching(name) {
            let Some(PullSweepPhase::Planned { plan, shown_at }) =
                self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone())
            else {
                continue;
            };
            let seen = comment.created_at.plus(CLOCK_SLACK) >= shown_at;
            if plan.verdict == Verdict::NeedsCommand && seen {
                self.start(&path, &plan, author, Retry::Missing);
                started = true;
            }
        }
        if !started {
            self.reply(comment, &report::nothing_to_do(command, &self.state));
        }
    }

    fn retry(&mut self, comment: CommentRef, command: &Command, name: Option<&SweepName>, author: &User) {
        let mut started = false;
        for path in self.matching(name) {
            let Some(PullSweepPhase::Started { report }) =
                self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone())
            else {
                continue;
            };
            if report.phase.is_terminal() && !matches!(report.phase, SweepPhase::Succeeded { .. }) {
                self.start(&path, &report.plan, author, Retry::Failed);
                started = true;
            }
        }
        if !started {
            self.reply(comment, &report::nothing_to_do(command, &self.state));
        }
    }

    fn start(&mut self, path: &str, plan: &PlanSummary, author: &User, retry: Retry) {
        let started = Event::SweepStarted {
            plan: Box::new(plan.clone()),
            pull: Some(self.at.pull.clone()),
            by: author.login.clone(),
            retry,
        };
        self.decision.tell(Key::Sweep(plan.id.clone()), started);
        let report = SweepReport {
            plan: plan.clone(),
            by: author.login.clone(),
            started_at: self.at.now,
            ended_at: None,
            succeeded: 0,
            failed: BTreeMap::new(),
            failures: Vec::new(),
            round: 0,
            phase: SweepPhase::Submitting,
        };
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.phase = PullSweepPhase::Started { report: Box::new(report) };
        }
    }

    /// Paths of the sweeps that a command names; all of them when it names none.
    fn matching(&self, name: Option<&SweepName>) -> Vec<String> {
        let wanted = |sweep: &PullSweep| name.is_none_or(|name| sweep.name == name.as_str());
        self.state.sweeps.iter().filter(|(_, sweep)| wanted(sweep)).map(|(path, _)| path.clone()).collect()
    }

    // --- comments -----------------------------------------------------------------------------------------------

    fn set_phase(&mut self, path: &str, phase: PullSweepPhase) {
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.phase = phase;
        }
        self.show(path);
    }

    /// Brings the sweep's own comment up to date. Edits come at most once an interval; the newest text wins.
    fn show(&mut self, path: &str) {
        let PullState { sweeps, models, .. } = &mut self.state;
        let Some(sweep) = sweeps.get_mut(path) else { return };
        let body = report::sweep_comment(sweep, models, self.at.now);
        let urgent = match &sweep.phase {
            PullSweepPhase::Started { report } => report.phase.is_terminal(),
            PullSweepPhase::Invalid { .. }
            | PullSweepPhase::WaitingForBuild
            | PullSweepPhase::Blocked { .. }
            | PullSweepPhase::Planning
            | PullSweepPhase::Planned { .. } => true,
        };
        let due = match sweep.last_edit {
            Some(last) if !urgent && last > self.at.now => last,
            Some(last) if !urgent => last.plus(self.at.rules.comment_interval).max(self.at.now),
            Some(_) | None => self.at.now,
        };
        sweep.last_edit = Some(due);
        let marker = format!("sweep/{path}");
        let pull = self.at.pull;
        self.decision.ask(Due {
            effect: Effect::UpsertComment { pull: pull.clone(), marker: marker.clone(), body },
            not_before: Some(due),
            coalesce: Some(format!("comment/{}/{}/{marker}", pull.repository.id, pull.number)),
        });
    }

    fn reply(&mut self, comment: CommentRef, body: &str) {
        let marker = format!("reply/{}/{}", comment.id, self.decision.effects.len());
        self.decision.ask(Effect::PostComment { pull: self.at.pull.clone(), marker, body: body.to_owned() });
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if effect != "PlanSweep" || !self.state.sweeps.contains_key(subject) {
            return Some(format!("`{effect}` failed: {reason}"));
        }
        let reason = format!("the plan could not be made, which is not the file's fault: {reason}");
        self.set_phase(subject, PullSweepPhase::Blocked { reason });
        None
    }
}
