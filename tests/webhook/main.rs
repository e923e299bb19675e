//! The receiver through its real door: HTTP against the running server, with a stateful inbox behind it.

#![expect(clippy::unwrap_used, reason = "a test ends where it finds a fault")]

mod octokit;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use modelship::domain::event::{Event, Key, Keyed};
use modelship::domain::ids::{Digest, ModelName, Repository, RepositoryName, RunId, SweepId, Time};
use modelship::domain::image::ImageName;
use modelship::domain::offer::{Identity, OfferState};
use modelship::domain::version::Version;
use modelship::edge::artifacts::content::Content;
use modelship::edge::forge::local::signature;
use modelship::edge::oidc::TokenError;
use modelship::engine::{Recorded, SweepFile};
use modelship::server::{
    Accepted, Access, AllowedRepositories, Delivery, Figures, Inbox, Limits, ModelEntry, OfferDoors, Offers, Others,
    Registry, RunEntry, Sender, ServerContext, SweepEntry, Unavailable, WebhookSecrets, serve,
};
use modelship::settings::Public;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "s3cr3t";
const GUID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// How the database behaves.
#[derive(Clone, Copy, PartialEq)]
enum Database {
    Well,
    Down,
    Hanging,
}

/// Keeps deliveries as the store does: one for each id, told apart by digest.
struct World {
    database: Mutex<Database>,
    kept: Mutex<HashMap<String, (Delivery, Vec<Keyed>)>>,
    asked: AtomicUsize,
    /// How many models there are.
    models: AtomicUsize,
}

impl World {
    fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'_, Result<T, Unavailable>> {
        let database = *self.database.lock().unwrap();
        async move {
            match database {
                Database::Well => Ok(value),
                Database::Down => Err(Unavailable(anyhow::anyhow!("password of /var/lib/secret.db is hunter2"))),
                Database::Hanging => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn events(&self) -> Vec<Keyed> {
        self.kept.lock().unwrap().values().flat_map(|(_, events)| events.clone()).collect()
    }
}

impl Inbox for World {
    fn accept(&self, delivery: Delivery, events: Vec<Keyed>) -> BoxFuture<'_, Result<Accepted, Unavailable>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *self.database.lock().unwrap() != Database::Well {
            return self.answer(Accepted::New);
        }
        let mut kept = self.kept.lock().unwrap();
        let accepted = match kept.get(&delivery.id) {
            Some((known, _)) if known.digest == delivery.digest => Accepted::Repeated,
            Some(_) => Accepted::Conflicting,
            None => {
                kept.insert(delivery.id.clone(), (delivery, events));
                Accepted::New
            }
        };
        self.answer(accepted)
    }
}

impl Registry for World {
    fn ready(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.answer(())
    }
    fn figures(&self) -> BoxFuture<'_, Result<Figures, Unavailable>> {
        self.answer(Figures::default())
    }
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelEntry>, Unavailable>> {
        let model = ModelName::parse("urban/simple-tax").unwrap();
        let repository = Repository { id: 1, name: RepositoryName::parse("urban/hub").unwrap() };
        let entry = ModelEntry { model, repository, channels: Vec::new() };
        self.answer(vec![entry; self.models.load(Ordering::SeqCst)])
    }
    fn model(&self, model: ModelName) -> BoxFuture<'_, Result<Option<ModelEntry>, Unavailable>> {
        let repository = Repository { id: 1, name: RepositoryName::parse("urban/hub").unwrap() };
        let is_known = model.title() == "simple-tax";
        self.answer(is_known.then_some(ModelEntry { model, repository, channels: Vec::new() }))
    }
    fn versions(&self, _: ModelName) -> BoxFuture<'_, Result<Vec<Version>, Unavailable>> {
        self.answer(Vec::new())
    }
    fn sweeps(&self) -> BoxFuture<'_, Result<Vec<SweepEntry>, Unavailable>> {
        self.answer(Vec::new())
    }
    fn sweep(&self, _: SweepId) -> BoxFuture<'_, Result<Option<SweepEntry>, Unavailable>> {
        self.answer(None)
    }
    fn sweep_file(&self, _: SweepId, _: SweepFile) -> BoxFuture<'_, Result<Option<Content>, Unavailable>> {
        self.answer(None)
    }
    fn run(&self, _: RunId) -> BoxFuture<'_, Result<Option<RunEntry>, Unavailable>> {
        self.answer(None)
    }
    fn recorded(&self, _: RunEntry) -> BoxFuture<'_, Result<Option<Recorded>, Unavailable>> {
        self.answer(None)
    }
    fn run_log<'a>(&'a self, _: &'a Recorded) -> BoxFuture<'a, Result<String, Unavailable>> {
        self.answer(String::new())
    }
    fn run_file<'a>(&'a self, _: &'a Recorded, _: &'a str) -> BoxFuture<'a, Result<Option<Content>, Unavailable>> {
        self.answer(None)
    }
}

/// Nobody offers anything here.
impl Offers for World {
    fn identify(&self, _: SecretString) -> BoxFuture<'_, Option<Result<(Identity, Time), TokenError>>> {
        async { None }.boxed()
    }
    fn offer(&self, _: ModelName, _: String) -> BoxFuture<'_, Result<Option<OfferState>, Unavailable>> {
        self.answer(None)
    }
    fn accepted(&self, _: Sender, _: &str) -> Vec<ImageName> {
        Vec::new()
    }
}

struct Server {
    world: Arc<World>,
    address: String,
    client: reqwest::Client,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Limits::default(), AllowedRepositories::Any).await
    }

    async fn with(limits: Limits, repositories: AllowedRepositories) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let world = Arc::new(World {
            database: Mutex::new(Database::Well),
            kept: Mutex::new(HashMap::new()),
            asked: AtomicUsize::new(0),
            models: AtomicUsize::new(1),
        });
        let secrets = ["old secret", SECRET].map(SecretString::from).to_vec();
        let context = ServerContext {
            secrets: WebhookSecrets::new(secrets).unwrap(),
            repositories,
            inbox: world.clone(),
            registry: world.clone(),
            access: Arc::new(Access::new(Public::All, Others::Everybody)),
            offers: OfferDoors { offers: world.clone(), registry_secrets: Vec::new() },
            limits,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let done = tokio::spawn(serve(listener, context, async {
            let _ = stopped.await;
        }));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { world, address, client, stop: Some(stop), done }
    }

    fn set(&self, database: Database) {
        *self.world.database.lock().unwrap() = database;
    }

    fn kept(&self) -> usize {
        self.world.kept.lock().unwrap().len()
    }

    fn asked(&self) -> usize {
        self.world.asked.load(Ordering::SeqCst)
    }

    /// A request that is right in every respect.
    fn request(&self, event: &str, body: &[u8]) -> RequestBuilder {
        self.unsigned(event, body)
            .header("x-github-delivery", GUID)
            .header("x-hub-signature-256", signature(&SecretString::from(SECRET), body))
    }

    fn unsigned(&self, event: &str, body: &[u8]) -> RequestBuilder {
        self.client
            .post(format!("http://{}/webhooks/github", self.address))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .body(body.to_vec())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn told(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["status"].as_str().or(body["error"].as_str()).unwrap().to_owned())
}

fn push(repository: i64, after: char) -> Vec<u8> {
    json!({
        "ref": "refs/heads/main",
        "before": "0".repeat(40),
        "after": after.to_string().repeat(40),
        "repository": { "id": repository, "full_name": "urban/hub", "default_branch": "main" },
        "pusher": { "name": "ada" },
    })
    .to_string()
    .into_bytes()
}

fn raw_request(address: &str, length: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         x-github-event: push\r\nx-github-delivery: {GUID}\r\nx-hub-signature-256: {}\r\n{length}\r\n\r\n",
        signature(&SecretString::from(SECRET), body)
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// What the server answers on a raw connection until it closes it, and when that was.
async fn until_closed(mut stream: TcpStream) -> (String, Duration) {
    let begin = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    // A reset instead of a close is as good.
    let _ = read.expect("the server closes the connection");
    (String::from_utf8_lossy(&answer).into_owned(), begin.elapsed())
}

#[tokio::test]
async fn a_signed_delivery_is_kept_and_becomes_an_event() {
    let server = Server::start().await;
    let body = push(7, 'a');
    assert_eq!(told(server.request("push", &body)).await, (202, "accepted".into()));
    let (delivery, events) = server.world.kept.lock().unwrap()[GUID].clone();
    assert_eq!((delivery.event.as_str(), delivery.digest), ("push", Digest::of(&body)));
    let [Keyed { key: Key::Repository(repository), event: Event::PushReceived { reference, .. } }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((repository.id, reference.as_str()), (7, "refs/heads/main"));
    // While secrets change, either is good.
    let signed = signature(&SecretString::from("old secret"), &body);
    let other = server.unsigned("push", &body).header("x-hub-signature-256", signed);
    assert_eq!(status(other.header("x-github-delivery", uuid::Uuid::new_v4().to_string())).await, 202);
}

#[tokio::test]
async fn whoever_cannot_sign_is_refused_and_nothing_is_kept() {
    let server = Server::start().await;
    let body = push(7, 'a');
    let good = signature(&SecretString::from(SECRET), &body);
    let digits = &good["sha256=".len()..];
    let mut forged = vec![
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={}", &digits[1..]),
        format!("sha256={}", digits.to_uppercase()),
        format!("{good}00"),
        format!("sha512={digits}"),
        digits.to_owned(),
        signature(&SecretString::from("guess"), &body),
        signature(&SecretString::from(""), &body),
    ];
    forged.push(signature(&SecretString::from(SECRET), &push(7, 'b')));
    for header in forged {
        let request = server.unsigned("push", &body).header("x-github-delivery", GUID);
        assert_eq!(status(request.header("x-hub-signature-256", &header)).await, 401, "{header}");
    }
    assert_eq!(status(server.unsigned("push", &body).header("x-github-delivery", GUID)).await, 401, "none");
    let sha1 = server.unsigned("push", &body).header("x-hub-signature", "sha1=0").header("x-github-delivery", GUID);
    assert_eq!(status(sha1).await, 401, "only sha1");
    assert_eq!(status(server.request("push", &body).header("x-hub-signature-256", &good)).await, 401, "two");
    // Nothing is said about a body before its signature is right.
    let broken = server.unsigned("push", b"{").header("x-github-delivery", "no uuid");
    assert_eq!(told(broken).await, (401, "the signature is missing or wrong".into()));
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_body_that_was_changed_on_the_way_is_refused() {
    let server = Server::start().await;
    let body = push(7, 'a');
    let signed = signature(&SecretString::from(SECRET), &body);
    let text = String::from_utf8(body.clone()).unwrap();
    for changed in [format!("{text} "), format!("\u{feff}{text}"), format!("{text}\r\n"), text.replace(':', ": ")] {
        let request = server.unsigned("push", changed.as_bytes()).header("x-github-delivery", GUID);
        assert_eq!(status(request.header("x-hub-signature-256", &signed)).await, 401, "{changed}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let server = Server::start().await;
    let body = push(7, 'a');
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/plain"),
        ("content-type", ""),
        ("content-encoding", "gzip"),
    ] {
        let mut request = server.request("push", &body).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(server.client.execute(request).await.unwrap().status(), 415, "{name}: {value}");
    }
    let mut request = server.request("push", &body).build().unwrap();
    request.headers_mut().remove("content-type");
    assert_eq!(server.client.execute(request).await.unwrap().status(), 415);
    let mut request = server.request("push", &body).build().unwrap();
    request.headers_mut().insert("content-type", "Application/JSON; charset=utf-8".parse().unwrap());
    assert_eq!(server.client.execute(request).await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_delivery_without_a_proper_id_is_not_kept() {
    let server = Server::start().await;
    let body = push(7, 'a');
    let signed = |id: &str| {
        let signed = signature(&SecretString::from(SECRET), &body);
        let request = server.unsigned("push", &body).header("x-hub-signature-256", signed);
        if id.is_empty() { request } else { request.header("x-github-delivery", id) }
    };
    let long = "a".repeat(10_000);
    let urn = format!("urn:uuid:{GUID}");
    for id in ["", "1", "not-a-guid-not-a-guid-not-a-guid-no", &GUID.replace('-', ""), &urn, "' OR 1=1 --", &long] {
        assert_eq!(status(signed(id)).await, 400, "{id}");
    }
    assert_eq!(status(server.request("push", &body).header("x-github-delivery", GUID)).await, 400, "two ids");
    assert_eq!(server.asked(), 0);
    // One id however it is written.
    assert_eq!(told(signed(&GUID.to_uppercase())).await, (202, "accepted".into()));
    assert_eq!(told(signed(GUID)).await, (202, "repeated".into()));
}

#[tokio::test]
async fn a_hundred_copies_at_once_are_one_delivery() {
    let server = Server::start().await;
    let body = push(7, 'a');
    let answers = join_all((0..100).map(|_| told(server.request("push", &body)))).await;
    let accepted = answers.iter().filter(|(_, word)| word == "accepted").count();
    assert!(answers.iter().all(|(status, _)| *status == 202));
    assert_eq!(accepted, 1);
    assert_eq!((server.kept(), server.world.events().len()), (1, 1));
}

#[tokio::test]
async fn one_id_with_another_body_is_a_conflict() {
    let server = Server::start().await;
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
    let (status, word) = told(server.request("push", &push(7, 'b'))).await;
    assert_eq!((status, word.as_str()), (409, "a delivery of this id was taken with another body"));
    assert_eq!(server.kept(), 1);
}

#[tokio::test]
async fn a_stopped_or_slow_database_means_5xx_and_tells_nothing() {
    let limits = Limits { database: Duration::from_millis(300), ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    for database in [Database::Down, Database::Hanging] {
        server.set(database);
        let answer = server.request("push", &push(7, 'a')).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let body = answer.text().await.unwrap();
        assert!(!body.contains("hunter2") && !body.contains("secret.db"), "{body}");
        assert_eq!(server.get("/readyz").await.0, 503);
        assert_eq!(server.get("/healthz").await.0, 200, "the process lives");
        assert_eq!(server.get("/").await.0, 503);
        assert_eq!(server.get("/api/models").await.0, 503);
    }
    server.set(Database::Well);
    assert_eq!(told(server.request("push", &push(7, 'a'))).await, (202, "accepted".into()), "the repetition is kept");
    assert_eq!(server.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn what_means_nothing_to_us_is_ignored_with_a_reason() {
    let server = Server::start().await;
    assert_eq!(told(server.request("ping", b"{\"zen\":\"x\"}")).await, (200, "pong".into()));
    for (event, body) in [
        ("merge_group", json!({})),
        ("pull_request", json!({ "action": "labeled" })),
        ("pull_request", json!({ "action": "opened" })),
        ("push", json!({ "ref": "refs/heads/main" })),
        ("issue_comment", json!({ "action": "created", "sender": null })),
        ("push", json!([])),
    ] {
        let answer = server.request(event, body.to_string().as_bytes()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{event} {body}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "ignored");
        assert!(!answer["reason"].as_str().unwrap().is_empty());
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(told(server.request("push", deep.as_bytes())).await.1, "ignored");
    assert_eq!(told(server.request("push", b"\xff")).await.1, "ignored");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_repository_counts_by_number_not_by_name() {
    let only = AllowedRepositories::Only(BTreeSet::from([7]));
    let server = Server::with(Limits::default(), only).await;
    assert_eq!(told(server.request("push", &push(8, 'a'))).await, (200, "ignored".into()), "same name, other number");
    assert_eq!(server.asked(), 0);
    assert_eq!(told(server.request("push", &push(7, 'a'))).await, (202, "accepted".into()));
}

#[tokio::test]
async fn twenty_five_megabytes_are_taken_and_one_byte_more_is_not() {
    let server = Server::start().await;
    let limit = Limits::default().body_bytes;
    let mut body = push(7, 'a');
    body.pop();
    body.extend_from_slice(b",\"pad\":\"");
    body.resize(limit - 2, b'x');
    body.extend_from_slice(b"\"}");
    assert_eq!(body.len(), limit);
    assert_eq!(told(server.request("push", &body)).await, (202, "accepted".into()));

    // Announced: refused before a byte of the body is read.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = raw_request(&server.address, &format!("content-length: {}", limit + 1), b"");
    stream.write_all(&head).await.unwrap();
    assert!(until_closed(stream).await.0.starts_with("HTTP/1.1 413"));

    // Not announced: refused as soon as it is too much, without waiting for the end.
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head = raw_request(&server.address, "transfer-encoding: chunked", b"");
    let sender = tokio::spawn(async move {
        writing.write_all(&head).await?;
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 0x10_0000], b"\r\n".to_vec()].concat();
        for _ in 0..200 {
            writing.write_all(&chunk).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), reading.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    assert!(sender.await.unwrap().is_err(), "the server did not read 200 MB");
    assert_eq!(server.kept(), 1);
}

#[tokio::test]
async fn all_bodies_together_have_a_limit_that_is_given_back() {
    let limits = Limits { all_bodies_bytes: 64 * 1024, ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let big = vec![b'x'; 128 * 1024];
    assert_eq!(status(server.request("push", &big)).await, 503);
    let fits = vec![b' '; 60 * 1024];
    for _ in 0..3 {
        assert_eq!(told(server.request("push", &fits)).await.1, "ignored");
    }
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let limits = Limits {
        headers: Duration::from_millis(300),
        body: Duration::from_millis(300),
        connection: Duration::from_secs(2),
        ..Limits::default()
    };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let silent = TcpStream::connect(&server.address).await.unwrap();
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-a: ").await.unwrap();
    let mut slow_body = TcpStream::connect(&server.address).await.unwrap();
    slow_body.write_all(&raw_request(&server.address, "content-length: 100", b"{")).await.unwrap();
    let (silent, half, slow) = tokio::join!(until_closed(silent), until_closed(half), until_closed(slow_body));
    assert!(slow.0.starts_with("HTTP/1.1 408"), "{}", slow.0);
    for (_, took) in [silent, half, slow] {
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    // A connection that behaves is cut off in the end, too.
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (answer, took) = until_closed(idle).await;
    assert!(answer.starts_with("HTTP/1.1 200") && took < Duration::from_secs(10));
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
}

/// Asks for so many models that no buffer holds the answer.
async fn ask_for_much(server: &Server) -> TcpStream {
    server.world.models.store(400_000, Ordering::SeqCst);
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(b"GET /api/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_connection_lasts_as_long_as_it_is_taken() {
    let limits = Limits { connection: Duration::from_millis(400), ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let mut stream = ask_for_much(&server).await;
    let (begin, mut answer, mut piece) = (Instant::now(), Vec::new(), vec![0; 2 << 20]);
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    loop {
        pace.tick().await;
        let mut taken = 0;
        while taken < piece.len() {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                bytes => {
                    taken += bytes;
                    answer.extend_from_slice(&piece[..bytes]);
                }
            }
        }
        if taken == 0 {
            break;
        }
    }
    assert!(begin.elapsed() > Duration::from_millis(1200), "{:?}", begin.elapsed());
    assert!(answer.ends_with(b"\"complete\":true}"), "it broke off after {} bytes", answer.len());
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let limits = Limits { connection: Duration::from_millis(400), connections: 1, ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let stuck = ask_for_much(&server).await;
    let next = tokio::time::timeout(Duration::from_secs(15), server.get("/healthz")).await;
    assert_eq!(next.expect("the only connection is given up").0, 200);
    drop(stuck);
}

#[tokio::test]
async fn a_page_under_a_name_that_anybody_can_point_here_reads_nothing() {
    let server = Server::start().await;
    for path in ["/", "/api/models", "/healthz", "/nowhere"] {
        let request = server.client.get(format!("http://{}{path}", server.address));
        let answer = request.header("host", "evil.example:8080").send().await.unwrap();
        assert_eq!(answer.status(), 421, "{path}");
        assert!(!answer.text().await.unwrap().contains("simple-tax"), "{path}");
    }
    let own = server.client.get(format!("http://{}/api/models", server.address)).header("host", "localhost:1");
    assert_eq!(status(own).await, 200);
}

#[tokio::test]
async fn many_silent_connections_do_not_lock_others_out_for_long() {
    let limits = Limits { headers: Duration::from_millis(300), connections: 8, ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let silent = join_all((0..64).map(|_| TcpStream::connect(&server.address))).await;
    let begin = Instant::now();
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
    assert!(begin.elapsed() < Duration::from_secs(15));
    drop(silent);
}

#[tokio::test]
async fn shutting_down_lets_open_requests_end() {
    let mut server = Server::start().await;
    let body = push(7, 'a');
    let request = raw_request(&server.address, &format!("content-length: {}", body.len()), &body);
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let (head, tail) = request.split_at(request.len() - 5);
    stream.write_all(head).await.unwrap();
    // The request is under way once another one, sent later, is answered.
    assert_eq!(server.get("/healthz").await.0, 200);
    server.stop.take().unwrap().send(()).unwrap();
    let refused = async {
        while TcpStream::connect(&server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("the listener is closed");
    stream.write_all(tail).await.unwrap();
    assert!(until_closed(stream).await.0.starts_with("HTTP/1.1 202"));
    tokio::time::timeout(Duration::from_secs(5), &mut server.done).await.unwrap().unwrap();
    assert_eq!(server.kept(), 1);
}

#[tokio::test]
async fn deliveries_are_counted_by_what_became_of_them() {
    let limits = Limits { database: Duration::from_millis(300), ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let body = push(7, 'a');
    assert_eq!(status(server.request("push", &body)).await, 202);
    for _ in 0..2 {
        assert_eq!(told(server.request("push", &body)).await.1, "repeated");
    }
    assert_eq!(status(server.request("push", &push(7, 'b'))).await, 409);
    assert_eq!(status(server.request("ping", b"{}")).await, 200);
    assert_eq!(status(server.request("star", b"{}")).await, 200);
    assert_eq!(status(server.request("push", b"{}")).await, 200);
    assert_eq!(status(server.unsigned("push", &body)).await, 401);
    assert_eq!(status(server.request("push", &body).header("x-github-delivery", GUID)).await, 400);
    server.set(Database::Down);
    assert_eq!(status(server.request("push", &body)).await, 503);
    assert_eq!(server.get("/metrics").await.0, 503, "what the database knows is not made up");
    server.set(Database::Well);

    let answer = server.client.get(format!("http://{}/metrics", server.address)).send().await.unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, kind));
    let text = answer.text().await.unwrap();
    let mut counted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("modelship_deliveries_total")).collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            "{result=\"accepted\"} 1",
            "{result=\"conflicting\"} 1",
            "{result=\"failed\"} 1",
            "{result=\"ignored\"} 3",
            "{result=\"refused\"} 2",
            "{result=\"repeated\"} 2",
        ]
    );
}

#[tokio::test]
async fn pages_and_api_answer_and_never_believe_the_host_header() {
    let server = Server::start().await;
    let request = server.client.get(format!("http://{}/", server.address));
    let answer = request.header("host", "10.1.2.3").header("x-forwarded-host", "evil.example").send().await.unwrap();
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(answer.headers().contains_key("content-security-policy"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("urban/simple-tax") && page.contains("modelship") && !page.contains("evil"), "{page}");
    assert!(!page.contains("10.1.2.3"), "{page}");

    let (status, models) = server.get("/api/models").await;
    assert_eq!(
        (status.as_u16(), models.as_str()),
        (
            200,
            r#"{"models":[{"model":"urban/simple-tax","repository":{"id":1,"name":"urban/hub"},"channels":[]}],"complete":true}"#
        )
    );
    let known = server.get("/api/models/urban/simple-tax/versions").await;
    assert_eq!(known.1, r#"{"model":"urban/simple-tax","versions":[]}"#);
    assert_eq!(server.get("/api/sweeps").await.1, r#"{"sweeps":[],"complete":true}"#);
    for path in [
        "/api/models/urban/none/versions",
        "/api/models/..%2f..%2fetc/passwd/versions",
        "/api/sweeps/none",
        "/api/sweeps/%00",
        "/nowhere",
        "/webhooks/github/more",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!(status, 404, "{path}: {body}");
        assert!(body.starts_with("{\"error\":"), "{body}");
    }
    let wrong = server.client.post(format!("http://{}/api/models", server.address)).send().await.unwrap();
    assert_eq!(wrong.status(), 405);
    assert_eq!(server.get("/webhooks/github").await.0, 405);
}
