//! What is said in a pull request, and how much of it: comments, reactions, and the checks of its head.
//!
//! A loop that fails, or somebody who floods a pull request with commands, must not fill its thread nor use up what the
//! forge lets this instance write. So each pull request has an allowance. Results and edits beyond it come later, the
//! newest text in place of older ones; answers beyond it are not given, which is said at once, and once. When results are
//! an hour behind, something is going round in circles: then there are no more comments for each of them until all that
//! wait are written, which is said too. What each sweep came to always stands in its own comment and its check.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::commands::Order;
use super::{PullSweep, Thread};
use crate::domain::check::{Check, CheckSubject};
use crate::domain::decision::Due;
use crate::domain::effect::Effect;
use crate::domain::forge::{Given, HeadOrigin, Reaction};
use crate::domain::ids::{CommitSha, Digest, Time};
use crate::domain::report::{self, MayStart};

/// How many new comments may come at once, after a while without any?
const POSTS_AT_ONCE: u32 = 20;

/// How many of them may be answers? The last place is for saying that answers are left out.
const ANSWERS_AT_ONCE: u32 = POSTS_AT_ONCE - 1;

/// How many edits may there be for each new comment, and at once?
const EDITS_FOR_A_POST: u32 = 5;
const EDITS_AT_ONCE: u32 = 60;

/// How far ahead is anything put off? A clock that was set back must not silence a pull request for days.
const HORIZON: Duration = Duration::from_secs(2 * 3600);

/// How far behind may results be before no more of them are written?
const BREAK: Duration = Duration::from_secs(3600);

/// How often is it said that answers are left out?
const NOTICE: Duration = Duration::from_secs(3600);

/// What was said in a pull request, as far as its allowance and its checks go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    posts: Pace,
    edits: Pace,
    /// When it was said last that answers are left out.
    notice: Option<Time>,
    /// Whether results are left out as well: the circuit breaker is open.
    #[serde(default)]
    broken: bool,
}

/// How fast something went on: the generic cell rate algorithm, as of ATM and of rate limiters since.
///
/// Source: <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pace {
    /// When the next one would come if they came evenly.
    next: Time,
}

impl Default for Pace {
    fn default() -> Self {
        Self { next: Time(0) }
    }
}

impl Pace {
    /// When one more may come, if one comes `every` so often and `at_once` of them without a pause.
    fn earliest(self, now: Time, every: Duration, at_once: u32) -> Time {
        self.bounded(now, every, at_once).minus(ahead(every, at_once)).max(now)
    }

    fn take(&mut self, now: Time, every: Duration, at_once: u32) -> Time {
        let due = self.earliest(now, every, at_once);
        self.next = self.bounded(now, every, at_once).max(now).plus(every);
        due
    }

    fn bounded(self, now: Time, every: Duration, at_once: u32) -> Time {
        self.next.min(now.plus(HORIZON + ahead(every, at_once)))
    }
}

/// How far ahead of an even pace `at_once` of them are.
fn ahead(every: Duration, at_once: u32) -> Duration {
    every.saturating_mul(at_once.saturating_sub(1))
}

/// Whether an edit may wait for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Something happened that people wait for.
    Now,
    /// It goes on as before: edits come at most once an interval.
    InTurn,
}

/// What a check said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCheck {
    /// Beside which commit.
    pub commit: CommitSha,
    /// Under which name.
    pub name: String,
    /// The digest of what it said.
    pub said: Digest,
    /// Whether it said that something is under way.
    pub pending: bool,
}

impl Thread<'_> {
    /// Makes the comment with this marker say `body`, and says when; `last` is when it was or will be edited last.
    pub(super) fn edit(&mut self, marker: &str, body: String, last: Option<Time>, urgency: Urgency) -> Time {
        let now = self.at.now;
        let wanted = match last {
            // Its turn has come up already: what is said then is what is said here.
            Some(last) if urgency == Urgency::InTurn && last > now => None,
            Some(last) if urgency == Urgency::InTurn => Some(last.plus(self.at.rules.comment_interval).max(now)),
            Some(_) | None => Some(now),
        };
        let due = match (wanted, last) {
            (None, Some(last)) => last,
            (wanted, _) => wanted.unwrap_or(now).max(self.next_edit()),
        };
        let pull = self.at.pull;
        self.decision.ask(Due {
            effect: Effect::UpsertComment { pull: pull.clone(), marker: marker.to_owned(), body },
            not_before: Some(due),
            coalesce: Some(format!("comment/{}/{}/{marker}", pull.repository.id, pull.number)),
        });
        due
    }

    /// Writes a sweep's result, once. It may come later; it is left out only while the circuit breaker is open.
    pub(super) fn post_result(&mut self, marker: String, body: String) {
        if !self.is_broken() {
            self.post(marker, body);
        }
    }

    /// Writes something that somebody waits for, once. It may come later, and it always comes.
    pub(super) fn post(&mut self, marker: String, body: String) {
        self.say(Effect::PostComment { pull: self.at.pull.clone(), marker, body });
    }

    /// Whether results are left out: from when they are too far behind until all that wait are written. Says so when it
    /// begins.
    ///
    /// Source: <https://martinfowler.com/bliki/CircuitBreaker.html>
    fn is_broken(&mut self) -> bool {
        let Some(every) = self.every_post() else { return false };
        let now = self.at.now;
        let spoken = &mut self.state.spoken;
        let behind = spoken.posts.earliest(now, every, POSTS_AT_ONCE).since(now);
        let was_broken = spoken.broken;
        spoken.broken = behind >= BREAK || (was_broken && !behind.is_zero());
        let breaks = spoken.broken && !was_broken;
        if breaks {
            self.tell_at_once("stopped", report::results_left_out(milliseconds(behind)));
        }
        self.state.spoken.broken
    }

    /// Says that something is left out, before everything that waits.
    fn tell_at_once(&mut self, what: &str, body: String) {
        let marker = format!("{what}/{}", self.at.now.0);
        self.decision.ask(Effect::PostComment { pull: self.at.pull.clone(), marker, body });
    }

    /// Asks for an effect that writes a new comment, when its turn comes.
    fn say(&mut self, effect: Effect) {
        let due = self.take_post();
        self.decision.ask(Due { effect, not_before: Some(due), coalesce: None });
    }

    /// Takes the next place for a new comment, and says when it comes.
    fn take_post(&mut self) -> Time {
        match self.every_post() {
            Some(every) => self.state.spoken.posts.take(self.at.now, every, POSTS_AT_ONCE),
            None => self.at.now,
        }
    }

    /// Answers a command, unless there were too many answers already.
    pub(super) fn reply(&mut self, order: &Order<'_>, body: &str) {
        let marker = reply_marker(order.given, order.nth);
        if self.may_answer() {
            self.post(marker, body.to_owned());
        }
    }

    /// The same with what a run printed, which has to be looked for first.
    pub(super) fn reply_with_log(&mut self, order: &Order<'_>, run: &str) {
        let marker = reply_marker(order.given, order.nth);
        if self.may_answer() {
            let effect = Effect::QuoteLog { pull: self.at.pull.clone(), marker, run: run.to_owned() };
            self.say(effect);
        }
    }

    /// Answers a command without words, unless there were too many answers already. A button shows by itself that it was
    /// pressed.
    pub(super) fn react(&mut self, given: &Given, reaction: Reaction) {
        let Given::Comment(comment) = given else { return };
        if self.may_answer() && self.take_reaction() {
            self.decision.ask(Effect::React { pull: self.at.pull.clone(), comment: comment.id, reaction });
        }
    }

    /// Whether the allowance leaves room for an answer. When it does not, that is said, once in a while.
    fn may_answer(&mut self) -> bool {
        let now = self.at.now;
        let Some(every) = self.every_post() else { return true };
        let next_answer = |spoken: &Spoken| spoken.posts.earliest(now, every, ANSWERS_AT_ONCE);
        if next_answer(&self.state.spoken) == now {
            return true;
        }
        let told = self.state.spoken.notice.is_some_and(|told| told <= now && now.since(told) < NOTICE);
        if !told {
            self.state.spoken.notice = Some(now);
            self.take_post();
            let wait = next_answer(&self.state.spoken).since(now);
            self.tell_at_once("quiet", report::answers_left_out(milliseconds(wait), self.state.spoken.broken));
        }
        false
    }

    fn every_post(&self) -> Option<Duration> {
        let most = self.at.rules.comments_per_hour?;
        Some(Duration::from_secs(3600) / most.max(1))
    }

    /// Whether there is room for one more reaction, which then counts like an edit. Nobody waits for one, so none comes
    /// later.
    fn take_reaction(&mut self) -> bool {
        let Some(every) = self.every_post() else { return true };
        let now = self.at.now;
        let is_room = self.state.spoken.edits.earliest(now, every / EDITS_FOR_A_POST, EDITS_AT_ONCE) == now;
        if is_room {
            self.next_edit();
        }
        is_room
    }

    fn next_edit(&mut self) -> Time {
        match self.every_post() {
            Some(every) => self.state.spoken.edits.take(self.at.now, every / EDITS_FOR_A_POST, EDITS_AT_ONCE),
            None => self.at.now,
        }
    }

    /// Where readers find what sweeps leave.
    pub(super) fn links(&self) -> report::Links {
        report::Links { base_url: self.at.rules.artifacts_url.clone() }
    }

    /// What it takes to start one of this pull request's sweeps.
    pub(super) fn may_start(&self) -> MayStart<'_> {
        if self.is_trusted() { MayStart::OnCommand } else { MayStart::OnceApproved { head: &self.state.snapshot.head } }
    }

    /// Whether somebody who may write here wrote the head, or approved it.
    pub(super) fn is_trusted(&self) -> bool {
        let snapshot = &self.state.snapshot;
        snapshot.origin == HeadOrigin::SameRepository || self.state.approved.as_ref() == Some(&snapshot.head)
    }

    /// Brings the check of a sweep up to date; says nothing that was said already.
    pub(super) fn show_check(&mut self, marker: &str, sweep: &PullSweep) {
        let check = report::sweep_check(self.about(marker), sweep, &self.links(), &self.may_start());
        let head = self.state.snapshot.head.clone();
        let shown = ShownCheck {
            name: check.name.clone(),
            said: digest(&check),
            pending: check.state == crate::domain::check::CheckState::Pending,
            commit: head.clone(),
        };
        if self.state.checks.get(marker) == Some(&shown) {
            return;
        }
        self.state.checks.insert(marker.to_owned(), shown);
        self.ask_for_check(&head, check);
    }

    /// Ends the checks of commits that are the head no longer, where they say that something goes on.
    pub(super) fn end_older_checks(&mut self) {
        let head = self.state.snapshot.head.clone();
        let older = self.state.checks.iter().filter(|(_, shown)| shown.commit != head);
        for marker in older.map(|(marker, _)| marker.clone()).collect::<Vec<_>>() {
            self.end_check(&marker, Some(&head));
        }
    }

    /// Ends the check of a sweep whose file is gone, or whose head is `newer` now, where it says that it goes on.
    pub(super) fn end_check(&mut self, marker: &str, newer: Option<&CommitSha>) {
        let Some(shown) = self.state.checks.remove(marker).filter(|shown| shown.pending) else { return };
        let check = report::ended_check(self.about(marker), &shown.name, newer);
        self.ask_for_check(&shown.commit, check);
    }

    fn about(&self, marker: &str) -> CheckSubject {
        CheckSubject::Sweep { pull: self.at.pull.number, marker: marker.to_owned() }
    }

    fn ask_for_check(&mut self, commit: &CommitSha, check: Check) {
        let not_before = Some(self.next_edit());
        self.decision.ask(Due { not_before, ..check.beside(&self.at.pull.repository, commit) });
    }
}

/// What marks the answer to a command.
pub(super) fn reply_marker(given: &Given, nth: u32) -> String {
    format!("reply/{}/{nth}", given.mark())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn digest(check: &Check) -> Digest {
    Digest::of(serde_json::to_string(check).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn a_burst_comes_at_once_and_the_rest_evenly() {
        let mut pace = Pace::default();
        let due: Vec<i64> = (0..5).map(|_| pace.take(Time(1_000_000), EVERY, 3).0).collect();
        assert_eq!(due, [1_000_000, 1_000_000, 1_000_000, 1_060_000, 1_120_000]);
        assert_eq!(pace.take(Time(5_000_000), EVERY, 3), Time(5_000_000), "a pause earns a burst again");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody_for_long() {
        let mut pace = Pace { next: Time(900_000_000_000) };
        assert!(pace.take(Time(1_000_000), EVERY, 3) <= Time(1_000_000).plus(HORIZON));
    }
}
