//! One client for all that is asked of GitHub.
//!
//! What may be repeated is repeated by the queue, never here: after an answer that was lost nobody knows whether a POST
//! was done, so whoever posts looks first. The client keeps to GitHub's limits instead of running into them: so many
//! requests at once, a second between two that write, none for a holder of tokens whose hour is spent, and none at all
//! while GitHub asks us to wait. An answer that did not change costs nothing of the limit, as it is asked for by its
//! `ETag`.
//!
//! Source: <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use http::header::{ACCEPT, AUTHORIZATION, ETAG, HeaderName, IF_NONE_MATCH, LINK, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode};
use octocrab::{OctoBody, Octocrab};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::tokens::{Holder, Token};
use crate::edge::forge::ForgeError;

/// How many requests may be under way? GitHub allows a hundred, of which an instance should not take all.
const AT_ONCE: usize = 16;

/// How long between two requests that write?
const BETWEEN_WRITES: Duration = Duration::from_secs(1);

/// How long to wait when GitHub asks us to and does not say how long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that we wait on its word before we ask again.
const MOST_PATIENCE: Duration = Duration::from_secs(3600);

/// How many answers are kept for the next time, and how large may one be?
const KEPT_ANSWERS: usize = 256;
const KEPT_BYTES: usize = 256 * 1024;

/// The largest answer that is read, in bytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The version of the API that is spoken.
const API_VERSION: &str = "2022-11-28";

/// The client.
pub(super) struct Client {
    http: Octocrab,
    between_writes: Duration,
    at_once: Semaphore,
    last_write: tokio::sync::Mutex<Option<Instant>>,
    limits: Mutex<Limits>,
    answers: Mutex<HashMap<String, Arc<Kept>>>,
}

/// What GitHub said of its limits last.
#[derive(Debug, Default)]
struct Limits {
    /// No request of anybody's before: whoever goes on asking while GitHub asks to wait is shut out as a whole.
    until: Option<Instant>,
    budgets: HashMap<Holder, Budget>,
}

/// What is left to a token's holder.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// How many requests.
    remaining: u64,
    /// When the limit begins anew.
    until: Instant,
}

struct Kept {
    etag: String,
    answer: Answer,
}

/// An answer that is no error.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// By what the next page of a list is asked for that is read from its newest entry on.
    pub(super) cursor: Option<String>,
}

impl Answer {
    /// The body as what it should be.
    pub(super) fn json<T: DeserializeOwned>(&self, asked: &str) -> Result<T, ForgeError> {
        // A body that was cut off or is a page for people comes from a proxy that fails, and not from GitHub.
        serde_json::from_slice(&self.body)
            .with_context(|| format!("GitHub's answer to `{asked}` is not what it should be"))
            .map_err(ForgeError::Later)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the API at `api`, such as `https://api.github.com`.
    pub(super) fn new(api: &str, between_writes: Option<Duration>) -> anyhow::Result<Self> {
        let patience = Some(Duration::from_secs(30));
        let http = Octocrab::builder()
            .base_uri(api)
            .with_context(|| format!("`{api}` is no address of an API such as `https://api.github.com`"))?
            .add_header(ACCEPT, "application/vnd.github+json".to_owned())
            .add_header(HeaderName::from_static("x-github-api-version"), API_VERSION.to_owned())
            .set_connect_timeout(Some(Duration::from_secs(10)))
            .set_read_timeout(patience)
            .set_write_timeout(patience)
            .build()
            .context("cannot make a client for GitHub")?;
        Ok(Self {
            http,
            between_writes: between_writes.unwrap_or(BETWEEN_WRITES),
            at_once: Semaphore::new(AT_ONCE),
            last_write: tokio::sync::Mutex::new(None),
            limits: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    /// How many requests are left to each holder of tokens, as GitHub said last; none to those of whom it said nothing
    /// since their limit began anew.
    pub(super) fn remaining(&self) -> HashMap<Holder, u64> {
        let now = Instant::now();
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let known = limits.budgets.iter().filter(|(_, budget)| budget.until > now);
        known.map(|(holder, budget)| (*holder, budget.remaining)).collect()
    }

    /// Asks for `route`.
    pub(super) async fn get(&self, token: &Token, route: &str) -> Result<Answer, ForgeError> {
        let _turn = self.turn(Some(token)).await?;
        // Another token may see something else.
        let name = format!("{} {route}", crate::domain::ids::Digest::of(token.secret.expose_secret()).short());
        let kept = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let mut request = Request::builder();
        if let Some(kept) = &kept {
            request = request.header(IF_NONE_MATCH, &kept.etag);
        }
        let told = self.exchange(request.method(Method::GET), Some(token), route, None).await?;
        if let (StatusCode::NOT_MODIFIED, Some(kept)) = (told.status, kept) {
            return Ok(kept.answer.clone());
        }
        let etag = told.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let answer = judge(told, Some(token), &Method::GET, route)?;
        if let Some(etag) = etag.filter(|_| answer.body.len() <= KEPT_BYTES) {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= KEPT_ANSWERS {
                answers.clear();
            }
            answers.insert(name, Arc::new(Kept { etag, answer: answer.clone() }));
        }
        Ok(answer)
    }

    /// Asks for something to be done, after a pause since the last time.
    pub(super) async fn write<'a>(
        &self,
        token: impl Into<Option<&'a Token>>,
        method: Method,
        route: &str,
        body: impl Into<Option<&'a serde_json::Value>>,
    ) -> Result<Answer, ForgeError> {
        let mut last = self.last_write.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + self.between_writes).await;
        }
        let told = self.change(token.into(), method, route, body.into()).await;
        *last = Some(Instant::now());
        told
    }

    /// Posts what leaves nothing behind that anybody sees, such as the wish for a token: without a pause.
    pub(super) async fn post_at_once(
        &self,
        token: &Token,
        route: &str,
        body: &serde_json::Value,
    ) -> Result<Answer, ForgeError> {
        self.change(Some(token), Method::POST, route, Some(body)).await
    }

    async fn change(
        &self,
        token: Option<&Token>,
        method: Method,
        route: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, ForgeError> {
        let _turn = self.turn(token).await?;
        let told = self.exchange(Request::builder().method(method.clone()), token, route, body).await?;
        judge(told, token, &method, route)
    }

    /// Waits for one of the places, unless GitHub asked us to wait longer than anybody here wants to.
    async fn turn(&self, token: Option<&Token>) -> Result<tokio::sync::SemaphorePermit<'_>, ForgeError> {
        let turn = self.at_once.acquire().await.context("the client is closed").map_err(ForgeError::Here)?;
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = token.and_then(|token| limits.budgets.get(&token.holder));
        let spent = budget.filter(|budget| budget.remaining == 0).map(|budget| budget.until);
        let left = |until: Instant| until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        match limits.until.max(spent).and_then(left) {
            None => Ok(turn),
            Some(left) => Err(ForgeError::Later(anyhow!(
                "GitHub asked us to wait for another {}",
                humantime::format_duration(Duration::from_secs(left.as_secs() + 1))
            ))),
        }
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
        token: Option<&Token>,
        route: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Told, ForgeError> {
        let asking = || format!("cannot ask GitHub for `{route}`");
        let request = self.request(request, token, route, body).with_context(asking).map_err(ForgeError::Here)?;
        let told = self.send(request).await.with_context(asking).map_err(ForgeError::Later)?;
        self.note(&told, token);
        Ok(told)
    }

    fn request(
        &self,
        request: http::request::Builder,
        token: Option<&Token>,
        route: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<Request<OctoBody>> {
        let mut request = request.uri(route);
        if let Some(token) = token {
            // Whatever form a token has: it is a header's value and nothing else.
            let mut bearer = http::HeaderValue::try_from(format!("Bearer {}", token.secret.expose_secret()))
                .context("the token cannot be sent")?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        self.http.build_request(request, body).context("cannot make the request")
    }

    async fn send(&self, request: Request<OctoBody>) -> anyhow::Result<Told> {
        let answer = self.http.execute(request).await.context("GitHub does not answer")?;
        let (parts, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, MOST_BYTES);
        let body = http_body_util::BodyExt::collect(body)
            .await
            .map_err(|error| anyhow!("GitHub's answer broke off: {error}"))?
            .to_bytes();
        Ok(Told { status: parts.status, headers: parts.headers, body: body.to_vec() })
    }

    /// Keeps what the answer says of limits and of the token.
    fn note(&self, told: &Told, token: Option<&Token>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(token) = token.filter(|_| told.status == StatusCode::UNAUTHORIZED) {
            token.refuse();
        }
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(token), Some(remaining)) = (token, told.number("x-ratelimit-remaining")) {
            let left = told.begins_anew_in(now).unwrap_or(MOST_PATIENCE);
            limits.budgets.insert(token.holder, Budget { remaining, until: Instant::now() + left });
        }
        let Some(wait) = told.asks_to_wait(now) else { return };
        let holder = token.map(|token| token.holder);
        tracing::warn!(seconds = wait.as_secs(), ?holder, "GitHub asks us to wait");
        // The hour that is spent is its holder's; the other limit is told whoever asks too fast, and that is all of us.
        if holder.is_none() || !told.is_spent() {
            limits.until = limits.until.max(Some(Instant::now() + wait));
        }
    }
}

/// The answer, or what its refusal means.
fn judge(told: Told, token: Option<&Token>, method: &Method, route: &str) -> Result<Answer, ForgeError> {
    if told.status.is_success() {
        return Ok(Answer { cursor: told.cursor(), body: told.body });
    }
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(&told.body).map(|said| said.message);
    let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&told.body).into_owned());
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    let text = format!("GitHub answers {} to `{method} {route}`: {said}", told.status.as_u16());
    let error = anyhow::Error::new(Refused(told.status)).context(text);
    // 401 ends with a new token, 409 is somebody else at work, a moved repository is found again by its number.
    let may_change = matches!(
        told.status,
        StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    ) || told.status.is_redirection();
    if told.status.is_server_error() || may_change || told.is_limited() {
        return Err(ForgeError::Later(error));
    }
    if told.says("suspended") {
        return Err(ForgeError::OutOfReach(error));
    }
    // An App is told the one of a private repository that it may not see any more, and the other of a public one; the
    // other also where it simply may not do that.
    let may_all = token.is_some_and(|token| token.is_whole);
    if told.status == StatusCode::NOT_FOUND || may_all && told.says("not accessible by integration") {
        return Err(ForgeError::Missing(error));
    }
    Err(ForgeError::Never(error))
}

/// With which status GitHub refused something. Found in the chain of a [`ForgeError`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("status {0}")]
struct Refused(StatusCode);

/// The status with which GitHub refused, if it answered.
pub(super) fn status_of(error: &ForgeError) -> Option<StatusCode> {
    error.cause().downcast_ref::<Refused>().map(|refused| refused.0)
}

/// Whether GitHub said that there is no such thing (any more).
pub(super) fn is_gone(error: &ForgeError) -> bool {
    matches!(status_of(error), Some(StatusCode::NOT_FOUND | StatusCode::GONE))
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Told {
    /// Whether it means that we ask too much: by its status, its headers or, for the secondary limit, its words alone.
    fn is_limited(&self) -> bool {
        let has = |name: &str, value: &str| self.headers.get(name).is_some_and(|found| found == value);
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                self.headers.contains_key(RETRY_AFTER) || has("x-ratelimit-remaining", "0") || self.says("rate limit")
            }
            _ => false,
        }
    }

    /// How long GitHub wants us to wait, `now` seconds after 1970: as it says, or until its limit begins anew.
    fn asks_to_wait(&self, now: u64) -> Option<Duration> {
        if !self.is_limited() {
            return None;
        }
        let said = self.number(RETRY_AFTER.as_str()).map(|seconds| Duration::from_secs(seconds).min(MOST_PATIENCE));
        Some(said.or_else(|| self.begins_anew_in(now).filter(|_| self.is_spent())).unwrap_or(PATIENCE))
    }

    /// Whether nothing is left to the token's holder, and GitHub speaks of that and not of its other limit.
    fn is_spent(&self) -> bool {
        self.number("x-ratelimit-remaining") == Some(0) && !self.headers.contains_key(RETRY_AFTER)
    }

    /// How long until the limit of the token's holder begins anew, `now` seconds after 1970, with a second for clocks
    /// that differ.
    fn begins_anew_in(&self, now: u64) -> Option<Duration> {
        let reset = self.number("x-ratelimit-reset")?;
        Some(Duration::from_secs(reset.saturating_sub(now) + 1).min(MOST_PATIENCE))
    }

    /// Whether it is a refusal in these words.
    fn says(&self, words: &str) -> bool {
        self.status == StatusCode::FORBIDDEN && String::from_utf8_lossy(&self.body).to_ascii_lowercase().contains(words)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.to_str().ok()?.parse().ok()
    }

    /// Only the cursor is taken from the link to the next page: an answer does not say whom we ask.
    fn cursor(&self) -> Option<String> {
        let links = self.headers.get(LINK)?.to_str().ok()?;
        let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        let address = next.split_once('<')?.1.split_once('>')?.0;
        let mut pairs = address.split_once('?')?.1.split('&');
        let cursor = pairs.find_map(|pair| pair.strip_prefix("cursor="))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        cursor.bytes().all(plain).then(|| cursor.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)], body: &str) -> Told {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        Told { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    #[tokio::test]
    async fn what_cannot_even_be_sent_is_no_absence_of_githubs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        drop(listener);
        let ask = async |token: &str| {
            let token = Token::new(SecretString::from(token), Holder::Account);
            client.get(&token, "/user").await.unwrap_err()
        };
        let away = ask("good").await;
        assert!(matches!(away, ForgeError::Later(_)), "{away:?}");
        let strange = ask("two\nlines").await;
        assert!(matches!(strange, ForgeError::Here(_)), "{strange:?}");
        assert!(!format!("{strange:#}").contains("lines"), "a token is told to nobody");
    }

    #[test]
    fn github_is_given_the_time_that_it_asks_for() {
        let secondary = r#"{"message": "You have exceeded a secondary rate limit."}"#;
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1070")];
        let left = [("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1070")];
        let waits = |status, headers: &[_], body| {
            told(status, headers, body).asks_to_wait(1_000).map(|wait: Duration| wait.as_secs())
        };
        assert_eq!(waits(403, &[], secondary), Some(60), "it does not say how long");
        assert_eq!(waits(429, &[], ""), Some(60));
        assert_eq!(waits(403, &left, secondary), Some(60), "the other limit has nothing to do with it");
        assert_eq!(waits(403, &[("retry-after", "7")], secondary), Some(7));
        assert_eq!(waits(429, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(waits(403, &spent, "API rate limit exceeded"), Some(71), "a second for clocks that differ");
        assert_eq!(waits(403, &[("retry-after", "86400")], ""), Some(3_600), "then it is asked again");
        assert_eq!(waits(403, &[], "Resource not accessible by integration"), None);
        assert_eq!(waits(200, &spent, "rate limit"), None);
        assert_eq!(waits(500, &[], "rate limit"), None);
    }

    #[test]
    fn a_list_goes_on_where_github_says_and_nowhere_else() {
        let next = |link: &str| told(200, &[("link", link)], "[]").cursor();
        let link = "<https://evil.example/x?per_page=100&cursor=v1_12>; rel=\"next\", <https://a.b/?cursor=v1_9>; rel=\"first\"";
        assert_eq!(next(link).as_deref(), Some("v1_12"));
        assert_eq!(next("<https://a.b/?cursor=v1_9>; rel=\"prev\""), None);
        assert_eq!(next("<https://a.b/?cursor=a b\\c>; rel=\"next\""), None);
    }

    #[tokio::test]
    async fn each_holder_of_tokens_has_a_limit_of_its_own() {
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        let token = |holder| Token::new(SecretString::from("a token"), holder);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let left = |remaining: &str, reset: u64| {
            told(200, &[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", &reset.to_string())], "")
        };
        client.note(&left("7", now + 600), Some(&token(Holder::Installation(1))));
        client.note(&left("4000", now + 600), Some(&token(Holder::Installation(2))));
        client.note(&left("4999", now + 600), Some(&token(Holder::App)));
        client.note(&left("0", now + 600), None);
        let known = [(Holder::Installation(1), 7), (Holder::Installation(2), 4000), (Holder::App, 4999)];
        assert_eq!(client.remaining(), HashMap::from(known));
        client.limits.lock().unwrap().budgets.get_mut(&Holder::Installation(1)).unwrap().until = Instant::now();
        assert_eq!(client.remaining(), HashMap::from_iter(known[1..].iter().copied()), "that hour is over");
    }

    #[tokio::test]
    async fn a_spent_hour_holds_up_its_holder_and_a_secondary_limit_everybody() {
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        let token = |number| Token::new(SecretString::from("a token"), Holder::Installation(number));
        let may_ask = async |number| client.turn(Some(&token(number))).await.is_ok();
        let reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600;
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &*reset.to_string())];
        client.note(&told(403, &spent, "API rate limit exceeded"), Some(&token(1)));
        assert_eq!((may_ask(1).await, may_ask(2).await), (false, true), "the hour is the first one's alone");
        client.limits.lock().unwrap().budgets.get_mut(&Holder::Installation(1)).unwrap().until = Instant::now();
        assert!(may_ask(1).await, "its hour began anew");
        client.note(&told(403, &[("x-ratelimit-remaining", "7")], "secondary rate limit"), Some(&token(1)));
        assert_eq!((may_ask(1).await, may_ask(2).await), (false, false));
        let refused = client.turn(None).await.unwrap_err();
        assert!(format!("{refused:#}").contains("wait for another 1m"), "{refused:#}");
    }

    #[test]
    fn what_is_not_allowed_is_not_missing() {
        let here = "Resource not accessible by integration";
        let judged = |is_whole, status| {
            let mut token = Token::new(SecretString::from("a token"), Holder::Installation(1));
            token.is_whole = is_whole;
            judge(told(status, &[], &format!("{{\"message\": \"{here}\"}}")), Some(&token), &Method::POST, "/x")
        };
        assert!(matches!(judged(true, 403), Err(ForgeError::Missing(_))), "it may all, so it is not let in there");
        assert!(matches!(judged(false, 403), Err(ForgeError::Never(_))), "it lacks the permission");
        assert!(matches!(judged(false, 404), Err(ForgeError::Missing(_))));
    }

    /// Answers every request after a moment and keeps how many there were at once.
    async fn answer(mut connection: TcpStream, open: &AtomicUsize, most: &AtomicUsize) {
        let mut buffer = [0; 8 * 1024];
        while connection.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            open.fetch_sub(1, Ordering::SeqCst);
            let said = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]";
            connection.write_all(said).await.unwrap();
        }
    }

    #[tokio::test]
    async fn never_more_requests_are_open_at_once_than_github_is_asked_to_bear() {
        static OPEN: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, &OPEN, &MOST));
            }
        });
        let client = Client::new(&api, None).unwrap();
        let token = Token::new(SecretString::from("a token"), Holder::Account);
        let routes: Vec<String> = (0..5 * AT_ONCE).map(|number| format!("/things/{number}")).collect();
        let asked = join_all(routes.iter().map(|route| client.get(&token, route))).await;
        assert!(asked.iter().all(Result::is_ok));
        assert_eq!(MOST.load(Ordering::SeqCst), AT_ONCE);
    }
}
