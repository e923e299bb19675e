//! Commands that people give in a pull request, and the answers to them.

use super::sweeps::marker_of;
use super::{CLOCK_SLACK, COMMENTS_KEPT, PullBuild, PullSweep, PullSweepPhase, Thread};
use crate::domain::check::{Button, Press};
use crate::domain::command::Command;
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::forge::{CommentRef, Given, HeadOrigin, PullStatus, Reaction, User};
use crate::domain::ids::{CommitSha, SweepName};
use crate::domain::report::{self, ApprovalNote};
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport};

/// A command of a comment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) given: &'a Given,
    /// Which of the comment's commands it is, from 0.
    pub(super) nth: u32,
    pub(super) command: &'a Command,
    pub(super) author: &'a User,
}

/// What somebody pressed beside the check of a sweep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pressed<'a> {
    pub(super) marker: &'a str,
    pub(super) commit: &'a CommitSha,
    /// The forge's own number for the check.
    pub(super) check: i64,
    pub(super) press: &'a Press,
    pub(super) author: &'a User,
}

impl Thread<'_> {
    pub(super) fn comment(&mut self, comment: CommentRef, author: &User, body: &str) -> Option<String> {
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
        let given = Given::Comment(comment);
        let asks = |command: &Command| !matches!(command, Command::Help | Command::Status | Command::Unknown { .. });
        if commands.iter().any(asks) {
            self.react(&given, Reaction::Seen);
        }
        for (nth, command) in (0..).zip(&commands) {
            let order = Order { given: &given, nth, command, author };
            match command {
                Command::Help => self.reply(&order, &report::help()),
                Command::Status => self.reply(&order, &report::pull_status(&self.state, self.at.now)),
                Command::Unknown { text, suggestion } => {
                    self.react(&given, Reaction::Confused);
                    self.reply(&order, &report::unknown_command(text, suggestion.as_deref()));
                }
                Command::Run { .. }
                | Command::Plan { .. }
                | Command::Cancel { .. }
                | Command::Retry { .. }
                | Command::Compare { .. }
                | Command::Approve { .. }
                | Command::Logs { .. }
                | Command::Promote { .. } => {
                    self.decision.ask(Effect::CheckCommand {
                        given: given.clone(),
                        nth,
                        pull: self.at.pull.clone(),
                        command: command.clone(),
                        author: author.clone(),
                    });
                }
            }
        }
        None
    }

    /// Does what somebody who may say so said.
    pub(super) fn obey(&mut self, order: &Order<'_>) {
        let before = self.decision.events.len() + self.decision.effects.len();
        let closed = self.state.snapshot.status == PullStatus::Closed;
        // Whoever writes in a fork asked nobody here.
        let starts = matches!(order.command, Command::Run { .. } | Command::Retry { .. } | Command::Compare { .. });
        if starts && !closed && !self.is_trusted() {
            self.react(order.given, Reaction::Refused);
            self.reply(order, &report::needs_approval(&self.state.snapshot.head));
            return;
        }
        match order.command {
            Command::Run { sweep } if !closed => self.run(order, sweep.as_ref()),
            Command::Retry { sweep } if !closed => self.retry(order, sweep.as_ref()),
            Command::Plan { sweep } if !closed => {
                for path in self.meant(order, sweep.as_ref()) {
                    self.plan(&path);
                }
                if sweep.is_none() {
                    self.plan_comparisons();
                }
            }
            Command::Compare { sweep } if !closed => self.compare(order, sweep.as_ref()),
            Command::Promote { model, channel, to } if !closed => {
                self.promote(order, model, channel, *to);
                return;
            }
            Command::Cancel { sweep } => self.cancel(order, sweep.as_ref()),
            Command::Approve { commit } if !closed => self.approve(order, commit),
            Command::Logs { run } => {
                self.reply_with_log(order, run);
                return;
            }
            Command::Run { .. }
            | Command::Retry { .. }
            | Command::Plan { .. }
            | Command::Compare { .. }
            | Command::Approve { .. }
            | Command::Promote { .. }
            | Command::Status
            | Command::Help
            | Command::Unknown { .. } => {}
        }
        if self.decision.events.len() + self.decision.effects.len() == before {
            self.reply(order, &report::nothing_to_do(order.command, &self.state));
        } else {
            self.react(order.given, Reaction::Done);
        }
    }

    /// Lets the head of a fork be built and run, if it is the commit that was looked at.
    fn approve(&mut self, order: &Order<'_>, commit: &CommitSha) {
        let snapshot = &self.state.snapshot;
        let note = match snapshot.origin {
            HeadOrigin::SameRepository => Some(ApprovalNote::NotNeeded),
            HeadOrigin::Fork if snapshot.head != *commit => Some(ApprovalNote::OtherHead { head: &snapshot.head }),
            HeadOrigin::Fork if self.is_trusted() => Some(ApprovalNote::Known),
            HeadOrigin::Fork => None,
        };
        if let Some(note) = note {
            let answer = report::approval_note(commit, note);
            self.reply(order, &answer);
            return;
        }
        self.state.approved = Some(commit.clone());
        let models: Vec<_> = self.state.models.keys().cloned().collect();
        for model in &models {
            self.build(model);
        }
        self.show_builds();
        for path in self.matching(None) {
            match self.state.sweeps.get(&path).map(|sweep| &sweep.phase) {
                Some(PullSweepPhase::Planned { .. }) => self.show(&path),
                Some(PullSweepPhase::Blocked { .. }) => self.plan(&path),
                Some(_) | None => {}
            }
        }
    }

    /// Somebody pressed a button beside the check of a sweep.
    pub(super) fn pressed(&mut self, pressed: &Pressed<'_>) -> Option<String> {
        let Pressed { marker, commit, check, press, author } = *pressed;
        if *commit != self.state.snapshot.head {
            return Some(format!("the head has moved on from {}", commit.short()));
        }
        let found = self.state.sweeps.iter().find(|(path, _)| marker_of(path) == *marker);
        let Some((_, sweep)) = found else { return Some("the sweep is no longer part of the pull request".to_owned()) };
        let Ok(name) = SweepName::parse(&*sweep.name) else {
            return Some(format!("`{}` cannot be read", sweep.name));
        };
        let sweep_name = Some(name);
        let mut starts = None;
        let (command, shown_at) = match (press, &sweep.phase) {
            (Press::Button { button }, PullSweepPhase::Planned { plan, shown_at }) if button.starts(&plan.digest) => {
                starts = Some(plan.digest.clone());
                (Command::Run { sweep: sweep_name }, *shown_at)
            }
            (Press::Button { button: Button::Run { .. } }, _) => {
                return Some("the plan that the button starts is no longer the plan".to_owned());
            }
            (Press::Button { button: Button::Cancel }, _) => (Command::Cancel { sweep: sweep_name }, self.at.now),
            (Press::Button { button: Button::Retry }, _) => (Command::Retry { sweep: sweep_name }, self.at.now),
            (Press::Again, PullSweepPhase::Started { .. }) => (Command::Retry { sweep: sweep_name }, self.at.now),
            (Press::Again, _) => (Command::Plan { sweep: sweep_name }, self.at.now),
        };
        self.decision.ask(Effect::CheckCommand {
            given: Given::Button { check, by: author.id, shown_at, sweep: Some(marker.to_owned()), plan: starts },
            nth: 0,
            pull: self.at.pull.clone(),
            command,
            author: author.clone(),
        });
        None
    }

    /// Somebody wants everything beside the head done again: what failed to build, and every plan.
    pub(super) fn all_pressed(&mut self, commit: &CommitSha, suite: i64, author: &User) -> Option<String> {
        if *commit != self.state.snapshot.head {
            return Some(format!("the head has moved on from {}", commit.short()));
        }
        for (model, entry) in &self.state.models {
            if matches!(entry.build, PullBuild::Failed { .. }) {
                let event =
                    Event::BuildPressed { model: model.clone(), commit: commit.clone(), author: author.clone() };
                self.decision.tell(Key::Model(model.clone()), event);
            }
        }
        if !self.state.sweeps.is_empty() {
            self.decision.ask(Effect::CheckCommand {
                given: Given::Button { check: suite, by: author.id, shown_at: self.at.now, sweep: None, plan: None },
                nth: 0,
                pull: self.at.pull.clone(),
                command: Command::Plan { sweep: None },
                author: author.clone(),
            });
        }
        None
    }

    fn run(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        for path in self.meant(order, name) {
            match self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone()) {
                Some(PullSweepPhase::Planned { plan, shown_at }) => {
                    let seen = order.given.at().plus(CLOCK_SLACK) >= shown_at && order.given.starts(&plan.digest);
                    if plan.verdict == Verdict::NeedsCommand && seen {
                        self.start(&path, &plan, order.author, Retry::Missing);
                    } else if let Some(sweep) = self.state.sweeps.get_mut(&path)
                        && shown_at > self.at.now
                    {
                        // The clock was set back since, so that time tells nothing any more. The next command counts.
                        sweep.phase = PullSweepPhase::Planned { plan, shown_at: self.at.now };
                    }
                }
                Some(PullSweepPhase::Started { report })
                    if order.given.starts(&report.plan.digest)
                        && (report.phase.is_cut_short() || matches!(report.phase, SweepPhase::Stopping { .. })) =>
                {
                    self.start(&path, &report.plan, order.author, Retry::Missing);
                }
                Some(_) | None => {}
            }
        }
    }

    fn retry(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        for path in self.meant(order, name) {
            if let Some(PullSweepPhase::Started { report }) =
                self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone())
                && report.phase.is_terminal()
                && !matches!(report.phase, SweepPhase::Succeeded { .. })
            {
                self.start(&path, &report.plan, order.author, Retry::Failed);
            }
        }
    }

    /// Cancels sweeps and comparisons of that name; beside a sweep's check, that sweep only.
    fn cancel(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        let by = &order.author.login;
        if !matches!(order.given, Given::Button { sweep: Some(_), .. }) {
            self.cancel_comparisons(name, by);
        }
        self.cancel_sweeps(&self.meant(order, name), by);
    }

    fn start(&mut self, path: &str, plan: &PlanSummary, author: &User, retry: Retry) {
        let started = Event::SweepStarted {
            plan: Box::new(plan.clone()),
            pull: Some(self.at.pull.clone()),
            by: author.login.clone(),
            asker: Some(author.clone()),
            retry,
        };
        self.decision.tell(Key::Sweep(plan.id.clone()), started);
        let report = SweepReport::of_start(plan.clone(), &author.login, self.at.now);
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.phase = PullSweepPhase::Started { report: Box::new(report) };
        }
    }

    /// Paths of the sweeps that a command means: beside a sweep's check, that one only.
    fn meant(&self, order: &Order<'_>, name: Option<&SweepName>) -> Vec<String> {
        let mut paths = self.matching(name);
        paths.retain(|path| order.given.means(&marker_of(path)));
        paths
    }

    /// Paths of the sweeps that a command names; all of them when it names none.
    pub(super) fn matching(&self, name: Option<&SweepName>) -> Vec<String> {
        let wanted = |sweep: &PullSweep| name.is_none_or(|name| sweep.name == name.as_str());
        self.state.sweeps.iter().filter(|(_, sweep)| wanted(sweep)).map(|(path, _)| path.clone()).collect()
    }
}
