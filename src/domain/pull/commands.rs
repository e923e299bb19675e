//! Commands that people give in a pull request, and the answers to them.

use std::collections::BTreeMap;

use super::{CLOCK_SLACK, COMMENTS_KEPT, PullSweep, PullSweepPhase, Thread};
use crate::domain::command::Command;
use crate::domain::effect::Effect;
use crate::domain::event::{Event, Key};
use crate::domain::forge::{CommentRef, User};
use crate::domain::ids::SweepName;
use crate::domain::report;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::state::{Retry, SweepPhase, SweepReport};

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

    pub(super) fn obey(&mut self, comment: CommentRef, command: &Command, author: &User) {
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

    pub(super) fn run(&mut self, comment: CommentRef, command: &Command, name: Option<&SweepName>, author: &User) {
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

    pub(super) fn retry(&mut self, comment: CommentRef, command: &Command, name: Option<&SweepName>, author: &User) {
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

    pub(super) fn start(&mut self, path: &str, plan: &PlanSummary, author: &User, retry: Retry) {
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
    pub(super) fn matching(&self, name: Option<&SweepName>) -> Vec<String> {
        let wanted = |sweep: &PullSweep| name.is_none_or(|name| sweep.name == name.as_str());
        self.state.sweeps.iter().filter(|(_, sweep)| wanted(sweep)).map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn reply(&mut self, comment: CommentRef, body: &str) {
        let marker = format!("reply/{}/{}", comment.id, self.decision.effects.len());
        self.decision.ask(Effect::PostComment { pull: self.at.pull.clone(), marker, body: body.to_owned() });
    }
}
