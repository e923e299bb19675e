//! Who may read what.
//!
//! What belongs to a repository is for those who may read the repository, asked of the forge by the reader's number; a yes
//! is believed for a minute, a no for five. To whoever may not read a thing, it is as if there were none: nobody learns
//! what is here by asking for it.
//!
//! The forge takes only so many questions from this server, and most of them are for its work. So readers have so many a
//! minute each, none once few are left, and a token is asked about itself before it is asked about any repository.

mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::stream::{self, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use warp::http::header::ACCEPT;
use warp::http::{HeaderMap, StatusCode};

use self::memory::{Memory, Who};
use super::Refusal;
use super::credentials::bearer;
use super::session::SessionKey;
use crate::domain::forge::User;
use crate::domain::ids::{Digest, Repository, RepositoryName, Time};
use crate::settings::Public;

/// How many repositories does one list ask the forge about at once?
const AT_ONCE: usize = 8;

/// How long may the forge take?
const PATIENCE: Duration = Duration::from_secs(20);

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

    /// Whether the forge takes so many more questions about the repository from this server that readers may put some.
    fn has_questions_to_spare(&self, repository: &Repository) -> bool;

    /// Whether there are repositories about which readers may put none.
    fn is_short_of_questions(&self) -> bool;

    /// Whether it is a token of the forge's, whatever it may read.
    fn is_token(&self, token: SecretString) -> Answer<'_, bool>;

    /// Waits for the forge to answer this server anything at all.
    fn answers(&self) -> Answer<'_, ()>;

    /// Whether whoever has this token can read the repository with it, now. It is asked with the token alone.
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
    memory: Mutex<Memory>,
    /// One token after the other is shown to the forge, so that each is shown once.
    showing: tokio::sync::Mutex<()>,
}

/// What of a list may be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Readable {
    ids: BTreeSet<i64>,
    /// Whether it is not known of some repositories, as there were too many to ask about or the forge did not answer.
    pub(super) is_cut: bool,
}

/// Somebody about whom the forge is asked.
struct Asker<'a> {
    sign_in: &'a SignIn,
    who: Who,
    now: Time,
}

impl Asker<'_> {
    fn is_person(&self) -> bool {
        matches!(self.who, Who::User(_))
    }

    /// Whether the forge may be asked about the repository. A program's questions are put with its own token, so they take
    /// nothing from the server's work.
    fn may_ask_about(&self, repository: &Repository) -> bool {
        !self.is_person() || self.sign_in.people.has_questions_to_spare(repository)
    }
}

/// What is known of a thing before anybody is asked.
struct Weighed<'a> {
    /// Whether nothing speaks against its being read.
    may_be: bool,
    /// The repositories that the forge would have to be asked about.
    open: Vec<&'a Repository>,
}

impl Weighed<'_> {
    /// Whether the forge's answer decides.
    fn is_open(&self) -> bool {
        self.may_be && !self.open.is_empty()
    }
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
        Self { public, others, memory: Mutex::default(), showing: tokio::sync::Mutex::default() }
    }

    /// How people sign in; none where nobody does.
    pub(super) fn sign_in(&self) -> Option<&SignIn> {
        match &self.others {
            Others::SignedIn(sign_in) => Some(sign_in),
            Others::Everybody | Others::Nobody => None,
        }
    }

    /// Whether everybody who reaches the server reads everything.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.others, Others::Everybody)
    }

    /// Whether a stranger is shown lists, which may be empty.
    pub(super) fn has_something_for(&self, viewer: &Viewer) -> bool {
        self.is_open() || !matches!(viewer, Viewer::Stranger) || !self.public.is_empty()
    }

    /// Who looks.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Viewer {
        let Some(sign_in) = self.sign_in() else { return Viewer::Stranger };
        if let Some(token) = bearer(headers) {
            return Viewer::Program(token);
        }
        sign_in.session(headers).map_or(Viewer::Stranger, |(_, session)| Viewer::Person(session.user))
    }

    /// Whether the viewer may read what is made of `repositories`; what is not there is made of none. Until it is known that
    /// the viewer may read a thing, it makes no difference: what is counted and what is refused is the same for things that
    /// are there and for things that are not.
    pub(super) async fn may_read(&self, viewer: &Viewer, repositories: &[Repository]) -> Result<bool, Refusal> {
        Ok(self.which(viewer, &[repositories]).await?.contains(&true))
    }

    /// Which of `things` may the viewer read, each made of its repositories? They all go by what the viewer asked for, so
    /// they count as one thing, and those that may not be read make no difference to the others.
    pub(super) async fn which(&self, viewer: &Viewer, things: &[&[Repository]]) -> Result<Vec<bool>, Refusal> {
        let asker = self.asker(viewer);
        let weighed: Vec<Weighed<'_>> = things.iter().map(|made_of| self.weigh(asker.as_ref(), made_of)).collect();
        let mut reads: Vec<bool> = weighed.iter().map(|it| it.may_be && it.open.is_empty()).collect();
        let (known, is_open) = (reads.contains(&true), weighed.iter().any(Weighed::is_open));
        let Some(asker) = asker.filter(|_| !known || is_open) else { return Ok(reads) };
        if !self.is_heard(viewer, &asker).await? {
            return Ok(reads);
        }
        if !known {
            self.take_turn(&asker)?;
        }
        let is_short = asker.is_person() && asker.sign_in.people.is_short_of_questions();
        let (mut asked, mut refused) = (false, None);
        for (thing, reads) in weighed.iter().zip(&mut reads).filter(|(thing, _)| thing.is_open()) {
            if thing.open.iter().all(|repository| asker.may_ask_about(repository)) {
                asked = true;
                match self.ask_all(viewer, &asker, &thing.open).await {
                    Ok(answer) => *reads = answer,
                    // Only where nothing else can be read is it told that there may be something.
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
        }
        if let Some(refusal) = refused.filter(|_| !reads.contains(&true)) {
            return Err(refusal);
        }
        if !known && !asked {
            self.ask_in_vain(viewer, &asker).await?;
        }
        // Whoever may read nothing of it is not told either which repositories are asked too much about.
        if is_short && !reads.contains(&true) { Err(FEW) } else { Ok(reads) }
    }

    /// What is known without asking.
    fn weigh<'a>(&self, asker: Option<&Asker<'_>>, made_of: &'a [Repository]) -> Weighed<'a> {
        let mut weighed = Weighed { may_be: self.holds(made_of), open: Vec::new() };
        for repository in made_of {
            match self.standing(asker, repository) {
                Some(known) => weighed.may_be &= known,
                None => weighed.open.push(repository),
            }
        }
        weighed
    }

    /// Whether all may be read.
    async fn ask_all(&self, viewer: &Viewer, asker: &Asker<'_>, open: &[&Repository]) -> Result<bool, Refusal> {
        for repository in open {
            // Perhaps another thing is made of it, too, and it was asked about.
            let reads = match self.standing(Some(asker), repository) {
                Some(known) => known,
                None => self.ask(viewer, asker, repository).await?,
            };
            if !reads {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether something that is made of these repositories belongs to any; what does not is shown to nobody.
    fn holds(&self, repositories: &[Repository]) -> bool {
        !repositories.is_empty() || self.is_open()
    }

    /// Whether all of `repositories` are among the readable ones.
    pub(super) fn includes(&self, readable: &Readable, repositories: &[Repository]) -> bool {
        self.holds(repositories) && repositories.iter().all(|repository| readable.ids.contains(&repository.id))
    }

    /// Those of `repositories` that the viewer may read. Of those that nothing is known of, the newest are asked about
    /// first; those that the forge says nothing of are left out.
    pub(super) async fn readable<'a>(
        &self,
        viewer: &Viewer,
        repositories: impl Iterator<Item = &'a Repository>,
    ) -> Result<Readable, Refusal> {
        let by_id: BTreeMap<i64, &Repository> = repositories.map(|repository| (repository.id, repository)).collect();
        let (mut readable, asker, mut open) = (Readable::default(), self.asker(viewer), Vec::new());
        for (id, repository) in by_id.into_iter().rev() {
            match self.standing(asker.as_ref(), repository) {
                Some(true) => {
                    readable.ids.insert(id);
                }
                Some(false) => {}
                None => open.push(repository),
            }
        }
        let Some(asker) = asker.filter(|_| !open.is_empty()) else { return Ok(readable) };
        if !self.is_heard(viewer, &asker).await? {
            return Ok(readable);
        }
        let questions: Vec<_> = open
            .iter()
            .filter(|repository| asker.may_ask_about(repository))
            .take_while(|_| self.take_turn(&asker).is_ok())
            .map(|repository| self.ask(viewer, &asker, repository).map(|reads| (repository.id, reads)))
            .collect();
        let mut answered = 0;
        let asking = stream::iter(questions).buffer_unordered(AT_ONCE).for_each(|(id, reads)| {
            // Why one was not found out was logged; the others are shown without it.
            answered += usize::from(reads.is_ok());
            readable.ids.extend(reads.is_ok_and(|reads| reads).then_some(id));
            ready(())
        });
        // What is found out by then is shown.
        let _ = tokio::time::timeout(PATIENCE, asking).await;
        readable.is_cut = answered < open.len();
        Ok(readable)
    }

    /// Who the forge is asked about; none where nobody is, for a stranger or where all read everything or nothing.
    fn asker(&self, viewer: &Viewer) -> Option<Asker<'_>> {
        let sign_in = self.sign_in()?;
        let who = match viewer {
            Viewer::Stranger => return None,
            Viewer::Person(user) => Who::User(user.id),
            Viewer::Program(token) => Who::Token(Digest::of(token.expose_secret())),
        };
        Some(Asker { sign_in, who, now: sign_in.people.now() })
    }

    /// Whether the repository may be read, as far as that is known without asking.
    fn standing(&self, asker: Option<&Asker<'_>>, repository: &Repository) -> Option<bool> {
        if self.is_open() || self.public.includes(repository) {
            return Some(true);
        }
        asker.map_or(Some(false), |asker| self.memory().answer(&asker.who, repository.id, asker.now))
    }

    /// Whether the forge knows who asks: a token may be none.
    async fn is_heard(&self, viewer: &Viewer, asker: &Asker<'_>) -> Result<bool, Refusal> {
        let (Viewer::Program(token), Who::Token(digest)) = (viewer, &asker.who) else { return Ok(true) };
        let known = || self.memory().is_token(digest, asker.now);
        if let Some(is_token) = known() {
            return Ok(is_token);
        }
        let turn = tokio::time::timeout(PATIENCE, self.showing.lock()).await;
        let _turn = turn.map_err(|_| Refusal(StatusCode::SERVICE_UNAVAILABLE, SILENT))?;
        // Perhaps it was shown meanwhile.
        if let Some(is_token) = known() {
            return Ok(is_token);
        }
        if !self.memory().may_show(digest, asker.now) {
            return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "too many tokens were tried; try again in a minute"));
        }
        let is_token = reach(asker.sign_in.people.is_token(token.clone())).await?;
        self.memory().learn_token(digest.clone(), is_token, asker.now);
        Ok(is_token)
    }

    /// Takes one of the questions that may be put for who asks.
    fn take_turn(&self, asker: &Asker<'_>) -> Result<(), Refusal> {
        if self.memory().takes_question(&asker.who, asker.now) { Ok(()) } else { Err(MANY) }
    }

    async fn ask(&self, viewer: &Viewer, asker: &Asker<'_>, repository: &Repository) -> Result<bool, Refusal> {
        let Asker { sign_in, who, now } = asker;
        let reads = reach(match viewer {
            Viewer::Stranger => return Ok(false),
            Viewer::Person(user) => sign_in.people.may_read(repository.clone(), user.clone()),
            Viewer::Program(token) => sign_in.people.token_reads(repository.clone(), token.clone()),
        })
        .await?;
        self.memory().learn(who.clone(), repository.id, reads, *now);
        Ok(reads)
    }

    /// Asks the forge for the sake of something that the viewer does not get in any case, so that it costs the same and
    /// fails where [`Self::ask`] would.
    async fn ask_in_vain(&self, viewer: &Viewer, Asker { sign_in, .. }: &Asker<'_>) -> Result<(), Refusal> {
        match viewer {
            Viewer::Stranger => Ok(()),
            Viewer::Person(_) => reach(sign_in.people.answers()).await,
            Viewer::Program(token) => {
                let name = RepositoryName::parse("no/repository").expect("a name");
                reach(sign_in.people.token_reads(Repository { id: 0, name }, token.clone())).await.map(drop)
            }
        }
    }

    /// Who came back; none when the forge does not take the code. `known` signed in in the same browser before.
    pub(super) async fn arrived(
        &self,
        sign_in: &SignIn,
        known: Option<i64>,
        arrival: Arrival,
    ) -> Result<Option<User>, Refusal> {
        if !self.memory().takes_code(known, sign_in.people.now()) {
            return Err(Refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "too many people who sign in bring codes that are none; try again in a minute",
            ));
        }
        let user = reach(sign_in.people.arrived(arrival)).await?;
        if user.is_some() {
            self.memory().let_in(known);
        }
        Ok(user)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said while the forge says nothing.
const SILENT: &str = "GitHub does not answer; try again later";

/// What is said to who has asked too much, and to all while this server has.
const MANY: Refusal =
    Refusal(StatusCode::TOO_MANY_REQUESTS, "GitHub was asked too much for you; try again in a minute");
const FEW: Refusal = Refusal(
    StatusCode::SERVICE_UNAVAILABLE,
    "there is nothing here that you may read, or GitHub could not be asked: it takes few questions from this server until \
     the hour is over; try again later",
);

/// Waits for the forge, not for ever.
pub(super) async fn reach<T>(answer: Answer<'_, T>) -> Result<T, Refusal> {
    let reason = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(Unreachable(error))) => format!("{error:#}"),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(reason, "the forge does not say who may read what");
    Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, SILENT))
}

#[cfg(test)]
mod tests;
