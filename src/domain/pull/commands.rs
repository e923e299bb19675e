//! Commands that people give in a pull request, and the answers to them.

use super::{CLOCK_SLACK, COMMENTS_KEPT, PullSweep, PullSweepPhase, Thread};
use crate::domain::command::Command;
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::forge::{CommentRef, HeadOrigin, PullStatus, User};
use crate::domain::ids::SweepName;
use crate::domain::report;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport};

/// A command of a comment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) comment: CommentRef,
    /// Which of the comment's commands it is, from 0.
    pub(super) nth: u32,
    pub(super) command: &'a Command,
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
        for (nth, command) in (0..).zip(&commands) {
            let order = Order { comment, nth, command, author };
            match command {
                Command::Help => self.reply(&order, &report::help()),
                Command::Status => self.reply(&order, &report::pull_status(&self.state, self.at.now)),
                Command::Unknown { text, suggestion } => {
                    self.reply(&order, &report::unknown_command(text, suggestion.as_deref()));
                }
                Command::Run { .. }
                | Command::Plan { .. }
                | Command::Cancel { .. }
                | Command::Retry { .. }
                | Command::Compare { .. }
                | Command::Promote { .. } => {
                    self.decision.ask(Effect::CheckCommand {
                        comment,
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
        if starts && !closed && self.state.snapshot.origin == HeadOrigin::Fork {
            self.reply(order, report::from_a_fork());
            return;
        }
        match order.command {
            Command::Run { sweep } if !closed => self.run(order, sweep.as_ref()),
            Command::Retry { sweep } if !closed => self.retry(order, sweep.as_ref()),
            Command::Plan { sweep } if !closed => {
                for path in self.matching(sweep.as_ref()) {
                    self.plan(&path);
                }
                if sweep.is_none() {
                    self.plan_comparisons();
                }
            }
            Command::Compare { sweep } if !closed => self.compare(order, sweep.as_ref()),
            Command::Promote { model, channel, to } if !closed => self.promote(order, model, channel, *to),
            Command::Cancel { sweep } => self.cancel_all(sweep.as_ref(), &order.author.login),
            Command::Run { .. }
            | Command::Retry { .. }
            | Command::Plan { .. }
            | Command::Compare { .. }
            | Command::Promote { .. }
            | Command::Status
            | Command::Help
            | Command::Unknown { .. } => {}
        }
        if self.decision.events.len() + self.decision.effects.len() == before {
            self.reply(order, &report::nothing_to_do(order.command, &self.state));
        }
    }

    fn run(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        for path in self.matching(name) {
            match self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone()) {
                Some(PullSweepPhase::Planned { plan, shown_at }) => {
                    let seen = order.comment.created_at.plus(CLOCK_SLACK) >= shown_at;
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
                    if report.phase.is_cut_short() || matches!(report.phase, SweepPhase::Stopping { .. }) =>
                {
                    self.start(&path, &report.plan, order.author, Retry::Missing);
                }
                Some(_) | None => {}
            }
        }
    }

    fn retry(&mut self, order: &Order<'_>, name: Option<&SweepName>) {
        for path in self.matching(name) {
            if let Some(PullSweepPhase::Started { report }) =
                self.state.sweeps.get(&path).map(|sweep| sweep.phase.clone())
                && report.phase.is_terminal()
                && !matches!(report.phase, SweepPhase::Succeeded { .. })
            {
                self.start(&path, &report.plan, order.author, Retry::Failed);
            }
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
        let report = SweepReport::of_start(plan.clone(), &author.login, self.at.now);
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.phase = PullSweepPhase::Started { report: Box::new(report) };
        }
    }

    /// Paths of the sweeps that a command names; all of them when it names none.
    pub(super) fn matching(&self, name: Option<&SweepName>) -> Vec<String> {
        let wanted = |sweep: &PullSweep| name.is_none_or(|name| sweep.name == name.as_str());
        self.state.sweeps.iter().filter(|(_, sweep)| wanted(sweep)).map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn reply(&mut self, order: &Order<'_>, body: &str) {
        self.answer(order.comment, order.nth, body);
    }

    /// Answers one command of a comment, once.
    pub(super) fn answer(&mut self, comment: CommentRef, nth: u32, body: &str) {
        let marker = format!("reply/{}/{nth}", comment.id);
        self.decision.ask(Effect::PostComment { pull: self.at.pull.clone(), marker, body: body.to_owned() });
    }
}
