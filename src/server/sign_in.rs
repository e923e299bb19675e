//! `/sign-in`, `/signed-in`, `/sign-out`: who somebody is, as GitHub says.
//!
//! The browser goes to GitHub with a word of ours and must bring it back together with the cookie that it was given with
//! the word, so nobody is signed in by a link of somebody else's. GitHub gives the code only for the verifier whose hash it
//! was told. Afterwards the browser goes on to a place on this server and nowhere else.
//!
//! Anybody can come back with a code that is none, and GitHub must be asked to know. So only so many are asked about; but a
//! browser in which somebody signed in before has a share of its own, and no stranger locks its owner out.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use warp::http::header::{HeaderName, HeaderValue, ORIGIN, SET_COOKIE};
use warp::http::{HeaderMap, StatusCode, Uri};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::credentials::cookies;
use super::frame::Frame;
use super::readers::{Arrival, Asked, Departure, SignIn};
use super::session::{Begun, Purpose, Session, challenge};
use super::webhook::read_body;
use super::{App, Refusal, html};
use crate::domain::report::percent_encoded;

/// How long does a session last?
const SESSION: Duration = Duration::from_secs(8 * 3600);

/// How long does a browser keep a session's cookie? When the session is over, it only says whose browser it is.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long may signing in take?
const SIGNING_IN: Duration = Duration::from_secs(600);

/// The longest address that somebody is sent on to, in bytes.
const MOST_TARGET: usize = 1000;

/// The largest form of ours that comes back, in bytes.
const MOST_FORM: usize = 4096;

#[derive(Deserialize)]
struct Wish {
    to: Option<String>,
}

#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
}

impl SignIn {
    /// Whether browsers reach us in secret.
    fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// The cookie of whoever signed in. A browser takes `__Host-` only from this very host, by TLS.
    pub(super) fn session_cookie(&self) -> String {
        if self.is_secure() { "__Host-modelship".to_owned() } else { "modelship".to_owned() }
    }

    fn begun_cookie(&self) -> String {
        format!("{}-sign-in", self.session_cookie())
    }

    fn cookie(&self, name: &str, value: &str, lasts: Duration) -> HeaderValue {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", lasts.as_secs());
        HeaderValue::try_from(text).expect("our words are plain letters")
    }

    fn back(&self) -> String {
        format!("{}/signed-in", self.url)
    }

    /// What stands before every path of ours: the path of the server's own address.
    pub(super) fn prefix(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// `scheme://host:port` of the server's own address.
    fn origin(&self) -> &str {
        self.url.strip_suffix(self.prefix()).unwrap_or(&self.url)
    }

    /// What the form to sign out must bring, so that no other site can send it.
    pub(super) fn form_token(&self, headers: &HeaderMap) -> Option<String> {
        let (word, _) = self.session(headers)?;
        Some(self.key.derive(Purpose::Form, word))
    }

    /// The session that goes on, with our word for it.
    pub(super) fn session<'h>(&self, headers: &'h HeaderMap) -> Option<(&'h str, Session)> {
        let now = self.people.now();
        self.sessions(headers).find(|(_, session)| session.until > now)
    }

    /// The account that signed in in this browser last, though the session may be over. That opens nothing.
    fn known(&self, headers: &HeaderMap) -> Option<i64> {
        let now = self.people.now();
        let (_, session) = self.sessions(headers).find(|(_, session)| session.until.plus(KNOWN) > now)?;
        Some(session.user.id)
    }

    /// All that are our own words, over or not.
    fn sessions<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = (&'h str, Session)> {
        let words = cookies(headers, &self.session_cookie()).into_iter();
        words.filter_map(|word| Some((word, self.key.open::<Session>(Purpose::Session, word)?)))
    }
}

/// Where somebody signs in who wants to go to `target`.
pub(super) fn address(sign_in: &SignIn, target: &str) -> String {
    format!("{}/sign-in?to={}", sign_in.prefix(), percent_encoded(target))
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let with = || {
        let app = Arc::clone(app);
        warp::any().map(move || Arc::clone(&app)).and(warp::header::headers_cloned())
    };
    let sign_in = warp::path!("sign-in")
        .and(warp::get())
        .and(warp::query())
        .and(with())
        .map(|wish: Wish, app: Arc<App>, headers: HeaderMap| framed(&app, headers, |_| begin(wish, &app)));
    let signed_in = warp::path!("signed-in").and(warp::get()).and(warp::query()).and(with()).then(
        async |back: Back, app: Arc<App>, headers: HeaderMap| {
            let arrived = arrive(back, &app, &headers).await;
            let mut response = framed(&app, headers, |_| arrived);
            if let Some(sign_in) = app.context.access.sign_in() {
                // What was begun is over, however it ended.
                let gone = sign_in.cookie(&sign_in.begun_cookie(), "", Duration::ZERO);
                response.headers_mut().append(SET_COOKIE, gone);
            }
            response
        },
    );
    let sign_out = warp::path!("sign-out").and(warp::post()).and(with()).and(warp::body::stream()).then(
        async |app: Arc<App>, headers: HeaderMap, body| {
            let form = read_body(&app, &headers, body, MOST_FORM).await;
            framed(&app, headers, |headers| leave(&app, headers, &form?.bytes))
        },
    );
    sign_in.or(signed_in).unify().or(sign_out).unify()
}

/// The answer, or a page that says why there is none. No such page names where the browser is: a code stands there.
fn framed(app: &App, headers: HeaderMap, answer: impl FnOnce(&HeaderMap) -> Result<Response, Refusal>) -> Response {
    let asked = Asked { headers, target: "/".to_owned() };
    answer(&asked.headers).unwrap_or_else(|refusal| Frame::of(app, &asked).refused(refusal))
}

/// Sends the browser to GitHub.
fn begin(wish: Wish, app: &App) -> Result<Response, Refusal> {
    let sign_in = app.context.access.sign_in().ok_or(NOBODY)?;
    let state = sign_in.people.unguessable();
    let verifier = sign_in.key.derive(Purpose::Verifier, &state);
    let departure = Departure { back: sign_in.back(), state: state.clone(), challenge: challenge(&verifier) };
    let address = sign_in.people.sign_in_address(&departure).ok_or(NOBODY)?;
    let to = wish.to.filter(|to| is_local(to)).unwrap_or_else(|| "/".to_owned());
    let begun = Begun { state, to, until: sign_in.people.now().plus(SIGNING_IN) };
    let word = sign_in.key.seal(Purpose::SignIn, &begun);
    let mut response = html::see_other(&address);
    response.headers_mut().append(SET_COOKIE, sign_in.cookie(&sign_in.begun_cookie(), &word, SIGNING_IN));
    Ok(response)
}

/// Takes the browser back from GitHub.
async fn arrive(back: Back, app: &App, headers: &HeaderMap) -> Result<Response, Refusal> {
    let sign_in = app.context.access.sign_in().ok_or(NOBODY)?;
    let strange =
        Refusal(StatusCode::BAD_REQUEST, "this did not begin in this browser, or too long ago; sign in again");
    let state = back.state.ok_or(strange)?;
    let now = sign_in.people.now();
    let begun = cookies(headers, &sign_in.begun_cookie())
        .into_iter()
        .filter_map(|word| sign_in.key.open::<Begun>(Purpose::SignIn, word))
        .find(|begun| begun.until > now && begun.state == state)
        .ok_or(strange)?;
    // Somebody who does not agree comes back without a code.
    let refused = Refusal(StatusCode::FORBIDDEN, "GitHub did not say who you are; sign in again");
    let code = back.code.filter(|code| !code.is_empty() && code.len() <= 200).ok_or(refused)?;
    let verifier = sign_in.key.derive(Purpose::Verifier, &state).into();
    let arrival = Arrival { code, back: sign_in.back(), verifier };
    let known = sign_in.known(headers);
    let user = app.context.access.arrived(sign_in, known, arrival).await?.ok_or(refused)?;
    tracing::info!(user.id, user.login, "signed in");
    let session = Session { user, until: now.plus(SESSION) };
    let word = sign_in.key.seal(Purpose::Session, &session);
    // It was checked when it was signed; a page that moved since is asked for all the same.
    let to = if is_local(&begun.to) { begun.to } else { "/".to_owned() };
    let mut response = html::see_other(&format!("{}{to}", sign_in.prefix()));
    response.headers_mut().append(SET_COOKIE, sign_in.cookie(&sign_in.session_cookie(), &word, KNOWN));
    Ok(response)
}

/// Ends the session of the browser that sends our own form.
fn leave(app: &App, headers: &HeaderMap, form: &[u8]) -> Result<Response, Refusal> {
    let sign_in = app.context.access.sign_in().ok_or(NOBODY)?;
    // Our words are plain letters, so there is nothing to decode.
    let token = std::str::from_utf8(form).ok().and_then(|form| form.strip_prefix("token=")).unwrap_or_default();
    let ours =
        sign_in.session(headers).is_none_or(|(session, _)| sign_in.key.is_derived(Purpose::Form, session, token));
    let from_here = |name: HeaderName, good: &[&str]| {
        headers.get(name).is_none_or(|value| value.to_str().is_ok_and(|value| good.contains(&value)))
    };
    let site = HeaderName::from_static("sec-fetch-site");
    if !ours || !from_here(ORIGIN, &[sign_in.origin()]) || !from_here(site, &["same-origin"]) {
        return Err(Refusal(StatusCode::FORBIDDEN, "this did not come from a page of this server"));
    }
    let mut response = html::see_other(&format!("{}/", sign_in.prefix()));
    response.headers_mut().append(SET_COOKIE, sign_in.cookie(&sign_in.session_cookie(), "", Duration::ZERO));
    Ok(response)
}

const NOBODY: Refusal = Refusal(
    StatusCode::NOT_FOUND,
    "nobody can sign in here: `server.url`, `forge.github.client_id` and its secret are not set",
);

/// Whether `to` is a place on this server whatever a browser makes of it: one slash first, no backslash, plain characters.
fn is_local(to: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    to.len() <= MOST_TARGET
        && to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(plain)
        && to.parse::<Uri>().is_ok_and(|uri| uri.authority().is_none())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use secrecy::SecretString;
    use warp::http::header::COOKIE;

    use super::super::readers::{People, Unreachable};
    use super::super::session::SessionKey;
    use super::*;
    use crate::domain::forge::User;
    use crate::domain::ids::{Repository, Time};

    /// Nobody is asked anything here.
    struct Nobody;

    impl People for Nobody {
        fn now(&self) -> Time {
            Time(0)
        }
        fn unguessable(&self) -> String {
            String::new()
        }
        fn sign_in_address(&self, _: &Departure) -> Option<String> {
            None
        }
        fn arrived(&self, _: Arrival) -> BoxFuture<'_, Result<Option<User>, Unreachable>> {
            async { Ok(None) }.boxed()
        }
        fn may_read(&self, _: Repository, _: User) -> BoxFuture<'_, Result<bool, Unreachable>> {
            async { Ok(false) }.boxed()
        }
        fn has_questions_to_spare(&self, _: &Repository) -> bool {
            true
        }
        fn is_short_of_questions(&self) -> bool {
            false
        }
        fn is_token(&self, _: SecretString) -> BoxFuture<'_, Result<bool, Unreachable>> {
            async { Ok(false) }.boxed()
        }
        fn answers(&self) -> BoxFuture<'_, Result<(), Unreachable>> {
            async { Ok(()) }.boxed()
        }
        fn token_reads(&self, _: Repository, _: SecretString) -> BoxFuture<'_, Result<bool, Unreachable>> {
            async { Ok(false) }.boxed()
        }
    }

    fn at(url: &str) -> SignIn {
        let key = SessionKey::new(SecretString::from("k"));
        SignIn { url: url.to_owned(), key, people: Arc::new(Nobody) }
    }

    #[test]
    fn cookies_are_for_this_host_alone_and_for_no_script() {
        let tls = at("https://models.example.org");
        assert_eq!(
            tls.cookie(&tls.session_cookie(), "word", KNOWN),
            "__Host-modelship=word; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure"
        );
        let plain = at("http://127.0.0.1:8080");
        assert_eq!(
            plain.cookie(&plain.begun_cookie(), "word", SIGNING_IN),
            "modelship-sign-in=word; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_browser_is_known_after_its_session_is_over_but_not_for_ever() {
        let tls = at("https://models.example.org");
        let known = |word: &str| {
            let cookie = HeaderValue::try_from(format!("__Host-modelship={word}")).unwrap();
            let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
            assert!(tls.session(&headers).is_none(), "it opens nothing");
            tls.known(&headers)
        };
        let ended = |ago: Duration| {
            let session = Session { user: User { id: 7, login: "ada".to_owned() }, until: Time(0).minus(ago) };
            tls.key.seal(Purpose::Session, &session)
        };
        let word = ended(KNOWN - SESSION);
        assert_eq!(known(&word), Some(7));
        assert_eq!(known(&ended(KNOWN)), None);
        assert_eq!(known(&format!("{word}A")), None);
        assert_eq!(known(&SessionKey::new(SecretString::from("another")).seal(Purpose::Session, &7)), None);
    }

    #[test]
    fn a_server_may_stand_below_a_path() {
        let below = at("https://example.org/models");
        assert_eq!((below.prefix(), below.origin()), ("/models", "https://example.org"));
        assert_eq!(address(&below, "/sweeps/a?b"), "/models/sign-in?to=%2Fsweeps%2Fa%3Fb");
        let above = at("https://example.org");
        assert_eq!((above.prefix(), above.origin()), ("", "https://example.org"));
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for to in ["/", "/sweeps/sizes-0123456789/report.html", "/runs/a/files/b%2Fc", "/?a=b//c"] {
            assert!(is_local(to), "{to}");
        }
        let long = format!("/{}", "a".repeat(2000));
        for to in [
            "",
            "sweeps",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "https://evil.example",
            "javascript:alert(1)",
            " /a",
            "/\t/evil.example",
            "/\n",
            "/a b",
            "/é",
            long.as_str(),
        ] {
            assert!(!is_local(to), "{to:?}");
        }
    }
}
