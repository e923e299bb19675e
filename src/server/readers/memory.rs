//! What the forge said lately, and how much more it may be asked.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::domain::ids::{Digest, Time};

/// How long is it believed that somebody may read a repository, and that somebody may not?
const BELIEVED: Duration = Duration::from_secs(60);
const DENIED: Duration = Duration::from_secs(300);

/// How long is it believed that a token is one, and that it is none?
const TOKEN_BELIEVED: Duration = Duration::from_secs(600);

/// How long is a token remembered that was good once?
const TOKEN_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What is counted is counted for so long.
const MINUTE: Duration = Duration::from_secs(60);

/// How many repositories is the forge asked about for one person or token in a minute?
pub(super) const MOST_ASKED: u32 = 100;

/// How many tokens that are none are shown to the forge in a minute? GitHub stops listening to who brings it too many.
pub(super) const MOST_BAD: usize = 60;

/// How many codes may somebody who signed in in the same browser before bring in a minute that are none, or that were not
/// looked at yet?
pub(super) const MOST_CODES: u32 = 10;

/// How many such codes may all others bring together? The forge hears of each.
pub(super) const MOST_CODES_OF_STRANGERS: u32 = 300;

/// How many entries does each list have before old ones go?
const REMEMBERED: usize = 10_000;

/// Who asks, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The account of that number.
    User(i64),
    /// Whoever has the token of that digest.
    Token(Digest),
}

/// What the forge said lately.
#[derive(Default)]
pub(super) struct Memory {
    answers: HashMap<(Who, i64), (bool, Time)>,
    /// Questions that were put for somebody.
    asked: HashMap<Who, Count>,
    good: HashMap<Digest, Time>,
    bad: HashMap<Digest, Time>,
    /// Codes that let nobody in, or not yet, by the account that signed in in the same browser before.
    codes: HashMap<Option<i64>, Count>,
}

/// How many there were since when.
type Count = (Time, u32);

impl Memory {
    /// Whether `who` may read the repository, if the forge said so lately.
    pub(super) fn answer(&self, who: &Who, repository: i64, now: Time) -> Option<bool> {
        let (reads, at) = *self.answers.get(&(who.clone(), repository))?;
        is_fresh(at, now, if reads { BELIEVED } else { DENIED }).then_some(reads)
    }

    /// Keeps what the forge said.
    pub(super) fn learn(&mut self, who: Who, repository: i64, reads: bool, now: Time) {
        make_room(&mut self.answers, |(_, at)| is_fresh(*at, now, DENIED));
        self.answers.insert((who, repository), (reads, now));
    }

    /// Counts a question for `who`; not if there were too many.
    pub(super) fn takes_question(&mut self, who: &Who, now: Time) -> bool {
        count(&mut self.asked, who.clone(), MOST_ASKED, now)
    }

    /// Whether the token is one, if the forge said so lately.
    pub(super) fn is_token(&self, token: &Digest, now: Time) -> Option<bool> {
        let said =
            |known: &HashMap<Digest, Time>| known.get(token).is_some_and(|at| is_fresh(*at, now, TOKEN_BELIEVED));
        if said(&self.good) { Some(true) } else { said(&self.bad).then_some(false) }
    }

    /// Whether the forge may be shown the token: one that was good always, a new one while few were bad.
    pub(super) fn may_show(&self, token: &Digest, now: Time) -> bool {
        let bad = self.bad.values().filter(|at| is_fresh(**at, now, MINUTE)).count();
        self.good.contains_key(token) || bad < MOST_BAD
    }

    /// Keeps what the forge said of a token.
    pub(super) fn learn_token(&mut self, token: Digest, is_good: bool, now: Time) {
        let (known, other, kept) = if is_good {
            (&mut self.good, &mut self.bad, TOKEN_REMEMBERED)
        } else {
            (&mut self.bad, &mut self.good, TOKEN_BELIEVED)
        };
        other.remove(&token);
        make_room(known, |at| is_fresh(*at, now, kept));
        known.insert(token, now);
    }

    /// Counts a code that somebody brings in whose browser the account `known` signed in before; not if there were too
    /// many. Strangers count together, and take nothing from who is known.
    pub(super) fn takes_code(&mut self, known: Option<i64>, now: Time) -> bool {
        let most = if known.is_some() { MOST_CODES } else { MOST_CODES_OF_STRANGERS };
        count(&mut self.codes, known, most, now)
    }

    /// The code let somebody in, so it does not count.
    pub(super) fn let_in(&mut self, known: Option<i64>) {
        if let Some((_, codes)) = self.codes.get_mut(&known) {
            *codes = codes.saturating_sub(1);
        }
    }
}

/// Counts one more within a minute; not if there are `most` already.
fn count<K: Eq + Hash>(counts: &mut HashMap<K, Count>, key: K, most: u32, now: Time) -> bool {
    make_room(counts, |(since, _)| is_fresh(*since, now, MINUTE));
    let (since, counted) = counts.entry(key).or_insert((now, 0));
    if !is_fresh(*since, now, MINUTE) {
        (*since, *counted) = (now, 0);
    }
    let may = *counted < most;
    *counted += u32::from(may);
    may
}

/// Whether less than `limit` has passed since. What is to come counts for nothing: the clock was put back.
fn is_fresh(at: Time, now: Time, limit: Duration) -> bool {
    at <= now && now.since(at) < limit
}

/// Lets old entries go once there are many, and all once none of them is old.
fn make_room<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, is_kept: impl Fn(&V) -> bool) {
    if entries.len() >= REMEMBERED {
        entries.retain(|_, value| is_kept(value));
    }
    if entries.len() >= REMEMBERED {
        entries.clear();
    }
}
