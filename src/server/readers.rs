//! Who may read what.
//!
//! What belongs to a repository is for those who may read the repository, asked of the forge by the reader's number and
//! believed for a minute. To whoever may not read a thing, it is as if there were none: nobody learns what is here by
//! asking for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use secrecy::{ExposeSecret as _, SecretString};
use warp::http::header::{ACCEPT, AUTHORIZATION, COOKIE};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::session::{Purpose, Session, SessionKey};
use super::{Refusal, html, sign_in};
use crate::domain::forge::User;
use crate::domain::ids::{Digest, Repository, Time};
use crate::settings::Public;

/// How long is an answer of the forge believed?
const BELIEVED: Duration = Duration::from_secs(60);

/// How many answers are remembered?
const REMEMBERED: usize = 10_000;

/// How many repositories does one list ask the forge about, and how many of them at once?
const MOST_ASKED: usize = 100;
const AT_ONCE: usize = 8;

/// How many tokens that read nothing are tried in a minute? GitHub stops listening to who brings it too many.
const MOST_FRUITLESS: usize = 60;

/// How long may the forge take?
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest token, in bytes.
const MOST_TOKEN: usize = 2048;

/// The forge does not answer now. What went wrong is logged and never shown.
#[derive(Debug, thiserror::Error)]
#[error("the forge does not answer")]
pub struct Unreachable(#[source] pub anyhow::Error);

type Answer<'a, T> = BoxFuture<'a, Result<T, Unreachable>>;

/// Where the browser of somebody who signs in is sent.
#[derive(Debug, Clone)]
pub struct Departure {
    /// Where the forge sends it back to.
    pub back: String,
    /// The word that comes back with it.
    pub state: String,
    /// The hash of the verifier.
    pub challenge: String,
}

/// What the browser came back with.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The forge's code, good once.
    pub code: String,
    /// Where the forge sent it back to.
    pub back: String,
    /// The word whose hash was told before.
    pub verifier: SecretString,
}

/// Whom the server asks about people.
pub trait People: Send + Sync {
    /// What time it is.
    fn now(&self) -> Time;

    /// A word that nobody can guess.
    fn unguessable(&self) -> String;

    /// The forge's page on which somebody signs in.
    fn sign_in_address(&self, departure: &Departure) -> Option<String>;

    /// Who came back; none when the forge does not take the code.
    fn arrived(&self, arrival: Arrival) -> Answer<'_, Option<User>>;

    /// Whether the account with the user's number may read the repository, now.
    fn may_read(&self, repository: Repository, user: User) -> Answer<'_, bool>;

    /// Whether whoever has this token can read the repository with it, now.
    fn token_reads(&self, repository: Repository, token: SecretString) -> Answer<'_, bool>;
}

/// How people sign in.
#[derive(Clone)]
pub struct SignIn {
    /// The server's address, without a slash at the end.
    pub url: String,
    /// What our words are signed with.
    pub key: SessionKey,
    /// Whom we ask about people.
    pub people: Arc<dyn People>,
}

/// Who reads what is not public.
pub enum Others {
    /// Everybody who reaches the server: it can only be reached from its own machine.
    Everybody,
    /// Nobody, as nobody can say who they are.
    Nobody,
    /// Who signed in and may read the repository.
    SignedIn(SignIn),
}

/// Who may read what.
pub struct Access {
    public: Public,
    others: Others,
    known: Mutex<Known>,
}

/// What the forge answered in the last minute.
#[derive(Default)]
struct Known {
    answers: HashMap<(Who, i64), (bool, Time)>,
    fruitless: Vec<Time>,
}

/// Who asks, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    User(i64),
    Token(Digest),
}

/// Who looks.
#[derive(Debug, Clone)]
pub(super) enum Viewer {
    /// Nobody knows.
    Stranger,
    /// Somebody who signed in.
    Person(User),
    /// A program with somebody's token.
    Program(SecretString),
}

/// A request, as far as access depends on it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) headers: HeaderMap,
    /// The path as it was sent, with its query.
    pub(super) target: String,
}

impl Asked {
    /// Whether a person with a browser asks.
    pub(super) fn is_browser(&self) -> bool {
        let accepts = self.headers.get_all(ACCEPT).iter();
        accepts.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"))
    }
}

impl Access {
    /// Everybody may read what is public, `others` the rest.
    #[must_use]
    pub fn new(public: Public, others: Others) -> Self {
        Self { public, others, known: Mutex::default() }
    }

    /// How people sign in; none where nobody does.
    pub(super) fn sign_in(&self) -> Option<&SignIn> {
        match &self.others {
            Others::SignedIn(sign_in) => Some(sign_in),
            Others::Everybody | Others::Nobody => None,
        }
    }

    /// Whether a stranger is shown lists, which may be empty.
    pub(super) fn has_something_for(&self, viewer: &Viewer) -> bool {
        matches!(self.others, Others::Everybody) || !matches!(viewer, Viewer::Stranger) || !self.public.is_empty()
    }

    /// Who looks.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Viewer {
        let Some(sign_in) = self.sign_in() else { return Viewer::Stranger };
        if let Some(token) = bearer(headers) {
            return Viewer::Program(token);
        }
        let now = sign_in.people.now();
        let words = cookies(headers, &sign_in.session_cookie()).into_iter();
        let mut sessions = words.filter_map(|word| sign_in.key.open::<Session>(Purpose::Session, word));
        let session = sessions.find(|session| session.until > now);
        session.map_or(Viewer::Stranger, |session| Viewer::Person(session.user))
    }

    /// Whether the viewer may read every one of `repositories`.
    pub(super) async fn may_read(&self, viewer: &Viewer, repositories: &[Repository]) -> Result<bool, Refusal> {
        for repository in repositories {
            if !self.reads(viewer, repository).await? {
                return Ok(false);
            }
        }
        Ok(self.holds(repositories))
    }

    /// Whether something that is made of these repositories belongs to any; what does not is shown to nobody.
    fn holds(&self, repositories: &[Repository]) -> bool {
        !repositories.is_empty() || matches!(self.others, Others::Everybody)
    }

    /// Whether all of `repositories` are among the readable ones.
    pub(super) fn includes(&self, readable: &BTreeSet<i64>, repositories: &[Repository]) -> bool {
        self.holds(repositories) && repositories.iter().all(|repository| readable.contains(&repository.id))
    }

    /// Those of `repositories` that the viewer may read, by number.
    pub(super) async fn readable<'a>(
        &self,
        viewer: &Viewer,
        repositories: impl Iterator<Item = &'a Repository>,
    ) -> Result<BTreeSet<i64>, Refusal> {
        let all: BTreeSet<&Repository> = repositories.collect();
        if all.len() > MOST_ASKED {
            tracing::warn!(
                repositories = all.len(),
                "a list is of so many repositories that only a part of it is shown"
            );
        }
        let all: Vec<&Repository> = all.into_iter().take(MOST_ASKED).collect();
        let mut readable = BTreeSet::new();
        for some in all.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|repository| self.reads(viewer, repository))).await;
            for (repository, reads) in some.iter().zip(answers) {
                if reads? {
                    readable.insert(repository.id);
                }
            }
        }
        Ok(readable)
    }

    async fn reads(&self, viewer: &Viewer, repository: &Repository) -> Result<bool, Refusal> {
        if self.public.includes(repository) {
            return Ok(true);
        }
        let sign_in = match (&self.others, viewer) {
            (Others::Everybody, _) => return Ok(true),
            (Others::Nobody, _) | (_, Viewer::Stranger) => return Ok(false),
            (Others::SignedIn(sign_in), _) => sign_in,
        };
        let who = match viewer {
            Viewer::Stranger => return Ok(false),
            Viewer::Person(user) => Who::User(user.id),
            Viewer::Program(token) => Who::Token(Digest::of(token.expose_secret())),
        };
        let (now, name) = (sign_in.people.now(), (who, repository.id));
        if let Some(known) = self.remembered(&name, now)? {
            return Ok(known);
        }
        let reads = reach(match viewer {
            Viewer::Stranger => return Ok(false),
            Viewer::Person(user) => sign_in.people.may_read(repository.clone(), user.clone()),
            Viewer::Program(token) => sign_in.people.token_reads(repository.clone(), token.clone()),
        })
        .await?;
        self.remember(name, reads, now);
        Ok(reads)
    }

    /// What was answered in the last minute. A token that is new is refused while too many were tried in vain.
    fn remembered(&self, name: &(Who, i64), now: Time) -> Result<Option<bool>, Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((reads, at)) = known.answers.get(name)
            && *at <= now
            && now.since(*at) < BELIEVED
        {
            return Ok(Some(*reads));
        }
        known.fruitless.retain(|at| *at <= now && now.since(*at) < BELIEVED);
        if matches!(name.0, Who::Token(_)) && known.fruitless.len() >= MOST_FRUITLESS {
            return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "too many tokens were tried; try again in a minute"));
        }
        Ok(None)
    }

    fn remember(&self, name: (Who, i64), reads: bool, now: Time) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.answers.len() >= REMEMBERED {
            known.answers.clear();
        }
        if !reads && matches!(name.0, Who::Token(_)) {
            known.fruitless.push(now);
        }
        known.answers.insert(name, (reads, now));
    }

    /// The answer to somebody who may not read a thing, or asks for one that is not there: the two look the same.
    pub(super) fn denied(&self, viewer: &Viewer, asked: &Asked) -> Response {
        match (viewer, self.sign_in()) {
            (Viewer::Stranger, Some(sign_in)) if asked.is_browser() => {
                html::see_other(&sign_in::address(sign_in, &asked.target))
            }
            (Viewer::Stranger, Some(_)) => Refusal(
                StatusCode::UNAUTHORIZED,
                "sign in at /sign-in, or send a token of GitHub's as `Authorization: Bearer ...`",
            )
            .into(),
            (Viewer::Stranger, None) if matches!(self.others, Others::Nobody) => Refusal(
                StatusCode::UNAUTHORIZED,
                "nobody can sign in here: `server.url`, `forge.github.client_id` and its secret are not set",
            )
            .into(),
            _ if asked.is_browser() => html::nothing_here(viewer),
            _ => Refusal(StatusCode::NOT_FOUND, "there is nothing here").into(),
        }
    }
}

/// Waits for the forge, not for ever.
pub(super) async fn reach<T>(answer: Answer<'_, T>) -> Result<T, Refusal> {
    let reason = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(Unreachable(error))) => format!("{error:#}"),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(reason, "the forge does not say who may read what");
    Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "GitHub does not answer; try again later"))
}

/// The values of the cookies of that name.
pub(super) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let fine = token.len() <= MOST_TOKEN && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (fine && scheme.eq_ignore_ascii_case("bearer")).then(|| SecretString::from(token))
}

#[cfg(test)]
mod tests;
