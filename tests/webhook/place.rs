//! A server over a database that is a list.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use modelship::domain::event::Keyed;
use modelship::domain::ids::{ModelName, Repository, RepositoryName, RunPrefix, SweepId, Time};
use modelship::domain::image::ImageName;
use modelship::domain::offer::{Identity, OfferState};
use modelship::domain::version::Version;
use modelship::edge::artifacts::content::Content;
use modelship::edge::forge::local::signature;
use modelship::engine::{PlannedRun, Recorded, SweepFile};
use modelship::server::{
    Accepted, Access, AllowedRepositories, Delivery, Figures, Inbox, Limits, ModelEntry, NotIdentified, OfferDoors,
    Offers, Others, Registry, RunEntry, Sender, ServerContext, SweepEntry, Unavailable, WebhookSecrets, serve,
};
use modelship::settings::Public;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SECRET: &str = "s3cr3t";
pub(crate) const GUID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// How the database behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Database {
    Well,
    Down,
    Hanging,
}

/// Keeps deliveries as the store does: one for each id, told apart by digest.
pub(crate) struct World {
    pub(crate) database: Mutex<Database>,
    pub(crate) kept: Mutex<HashMap<String, (Delivery, Vec<Keyed>)>>,
    pub(crate) asked: AtomicUsize,
    /// How many models there are.
    pub(crate) models: AtomicUsize,
}

impl World {
    pub(crate) fn answer<T: Send + 'static>(&self, value: T) -> BoxFuture<'_, Result<T, Unavailable>> {
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

    pub(crate) fn events(&self) -> Vec<Keyed> {
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
    fn forge_address(&self) -> Option<String> {
        None
    }
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
    fn first_runs(&self, _: SweepId, _: usize) -> BoxFuture<'_, Result<Vec<PlannedRun>, Unavailable>> {
        self.answer(Vec::new())
    }
    fn runs(&self, _: RunPrefix) -> BoxFuture<'_, Result<Vec<RunEntry>, Unavailable>> {
        self.answer(Vec::new())
    }
    fn recorded(&self, _: RunEntry) -> BoxFuture<'_, Result<Option<Recorded>, Unavailable>> {
        self.answer(None)
    }
    fn run_parameters<'a>(&'a self, _: &'a Recorded) -> BoxFuture<'a, Result<Vec<(String, String)>, Unavailable>> {
        self.answer(Vec::new())
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
    fn identify(&self, _: SecretString) -> BoxFuture<'_, Result<(Identity, Time), NotIdentified>> {
        async { Err(NotIdentified::NoAddress) }.boxed()
    }
    fn offer(&self, _: ModelName, _: String) -> BoxFuture<'_, Result<Option<OfferState>, Unavailable>> {
        self.answer(None)
    }
    fn accepted(&self, _: Sender, _: &str) -> Vec<ImageName> {
        Vec::new()
    }
}

pub(crate) struct Server {
    pub(crate) world: Arc<World>,
    pub(crate) address: String,
    pub(crate) client: reqwest::Client,
    pub(crate) stop: Option<tokio::sync::oneshot::Sender<()>>,
    pub(crate) done: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), AllowedRepositories::Any).await
    }

    pub(crate) async fn with(limits: Limits, repositories: AllowedRepositories) -> Self {
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

    pub(crate) fn set(&self, database: Database) {
        *self.world.database.lock().unwrap() = database;
    }

    pub(crate) fn kept(&self) -> usize {
        self.world.kept.lock().unwrap().len()
    }

    pub(crate) fn asked(&self) -> usize {
        self.world.asked.load(Ordering::SeqCst)
    }

    /// A request that is right in every respect.
    pub(crate) fn request(&self, event: &str, body: &[u8]) -> RequestBuilder {
        self.unsigned(event, body)
            .header("x-github-delivery", GUID)
            .header("x-hub-signature-256", signature(&SecretString::from(SECRET), body))
    }

    pub(crate) fn unsigned(&self, event: &str, body: &[u8]) -> RequestBuilder {
        self.client
            .post(format!("http://{}/webhooks/github", self.address))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .body(body.to_vec())
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

pub(crate) async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

pub(crate) async fn told(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["status"].as_str().or(body["error"].as_str()).unwrap().to_owned())
}

pub(crate) fn push(repository: i64, after: char) -> Vec<u8> {
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

pub(crate) fn raw_request(address: &str, length: &str, body: &[u8]) -> Vec<u8> {
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
pub(crate) async fn until_closed(mut stream: TcpStream) -> (String, Duration) {
    let begin = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    // A reset instead of a close is as good.
    let _ = read.expect("the server closes the connection");
    (String::from_utf8_lossy(&answer).into_owned(), begin.elapsed())
}
