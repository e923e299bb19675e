//! Many deliveries at once, and a server that dies under them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use modelship::edge::forge::local::signature;
use reqwest::Client;
use rustix::process::{Resource, Rlimit};
use secrecy::SecretString;
use serde_json::json;
use sqlx::ConnectOptions as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::trouble;
use crate::world::World;
use crate::world::figures::figures;

/// How many senders are there, as many as a forge has connections?
const SENDERS: u64 = 16;

/// How many deliveries does each send?
const EACH: u64 = 60;

/// How many is that?
const ALL: usize = 960;

/// How long GitHub waits for an answer.
///
/// Source: <https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks>
const PATIENCE: Duration = Duration::from_secs(10);

/// The news that a branch is gone which nobody knew: kept, decided on, and nothing follows.
fn news(sender: u64, number: u64) -> String {
    json!({
        "ref": format!("refs/heads/flood-{sender}-{number}"),
        "before": "a".repeat(40),
        "after": "0".repeat(40),
        "repository": { "id": 1, "full_name": "example/hub", "default_branch": "main", "pushed_at": 1_700_000_000 },
        "pusher": { "name": "ada" },
    })
    .to_string()
}

struct Sender {
    client: Client,
    secret: SecretString,
}

impl Sender {
    fn new(world: &World) -> Self {
        let secret = std::fs::read_to_string(world.forge().join("webhook-secret")).unwrap();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, secret: SecretString::from(secret.trim()) }
    }

    /// The status and the text of the answer; none when there was none.
    async fn send(&self, url: &str, id: Uuid, body: &str) -> Option<(u16, String)> {
        let request = self.client.post(format!("{url}/webhooks/github"));
        let request = request
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .header("x-github-delivery", id.to_string())
            .header("x-hub-signature-256", signature(&self.secret, body.as_bytes()));
        let answer = request.body(body.to_owned()).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }
}

/// How often the branch's news was decided on, over all branches of the flood.
async fn decided(world: &World) -> i64 {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=ro", world.state().join("modelship.db").display());
    let options: sqlx::any::AnyConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let count = "SELECT COUNT(*) FROM event_log WHERE name = 'PushReceived' AND payload LIKE '%refs/heads/flood-%'";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
}

/// The server's numbers.
async fn numbers(sender: &Sender, url: &str) -> BTreeMap<String, f64> {
    let answer = sender.client.get(format!("{url}/metrics")).send().await.unwrap();
    figures(&answer.error_for_status().unwrap().text().await.unwrap())
}

/// What each sender sends, one after another.
fn deliveries() -> Vec<Vec<(Uuid, String)>> {
    (0..SENDERS).map(|sender| (0..EACH).map(|number| (Uuid::new_v4(), news(sender, number))).collect()).collect()
}

/// Sends everything at once, and ends the server when a third was answered. Gives what was.
async fn flood_until_a_third(
    world: &mut World,
    sender: &Sender,
    deliveries: &[Vec<(Uuid, String)>],
    end: impl FnOnce(&mut World),
) -> BTreeSet<Uuid> {
    let url = world.url();
    let (answers, is_ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let flood = join_all(deliveries.iter().map(async |all| {
        let mut answered = BTreeSet::new();
        for (id, body) in all {
            if let Some(answer) = sender.send(&url, *id, body).await {
                assert_eq!(answer, (202, "{\"status\":\"accepted\"}".to_owned()));
                answered.insert(*id);
                answers.fetch_add(1, Ordering::SeqCst);
            } else {
                // Nobody answers once the server is gone.
                assert!(is_ended.load(Ordering::SeqCst), "no answer within {PATIENCE:?}");
            }
        }
        answered
    }));
    let end = async {
        while answers.load(Ordering::SeqCst) < ALL / 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        is_ended.store(true, Ordering::SeqCst);
        tokio::task::block_in_place(|| end(world));
    };
    let (answered, ()) = tokio::join!(flood, end);
    let answered: BTreeSet<_> = answered.into_iter().flatten().collect();
    assert!((ALL / 3..ALL).contains(&answered.len()), "the server ended in the middle: {}", answered.len());
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_under_which_the_server_dies_loses_nothing_and_repeats_nothing() {
    let mut world = trouble::world("reconcile_every: 1h\n");
    let sender = Sender::new(&world);
    let deliveries = deliveries();
    let answered = flood_until_a_third(&mut world, &sender, &deliveries, World::kill_server).await;

    world.start_server();
    let url = world.url();
    let mut repeated = 0;
    for (id, body) in deliveries.iter().flatten() {
        let (status, text) = sender.send(&url, *id, body).await.unwrap();
        assert_eq!(status, 202);
        repeated += usize::from(text.contains("repeated"));
        assert!(text.contains("repeated") || !answered.contains(id), "what was answered is known");
    }
    world.until_idle();
    assert_eq!(decided(&world).await, i64::try_from(ALL).unwrap(), "each was decided on once");

    // Another hook tells the same under ids of its own.
    for (_, body) in deliveries.iter().flatten().take(20) {
        let (status, text) = sender.send(&url, Uuid::new_v4(), body).await.unwrap();
        assert!(status == 202 && text.contains("repeated"), "{text}");
    }
    world.until_idle();
    assert_eq!(decided(&world).await, i64::try_from(ALL).unwrap());

    #[expect(clippy::cast_precision_loss, reason = "thousands, not more")]
    let counts = [(ALL - repeated) as f64, (repeated + 20) as f64];
    let figures = numbers(&sender, &url).await;
    for (name, value) in [
        ("modelship_deliveries_total{result=accepted}", counts[0]),
        ("modelship_deliveries_total{result=repeated}", counts[1]),
        ("modelship_deliveries_total{result=refused}", 0.0),
        // From before the server died.
        ("modelship_builds_total{result=passed}", 1.0),
        ("modelship_effects_total{effect=BuildModel,result=done}", 1.0),
        ("modelship_tasks{state=event_waiting}", 0.0),
        ("modelship_tasks{state=under_way}", 0.0),
        ("modelship_tasks{state=given_up}", 0.0),
    ] {
        assert_eq!(figures.get(name), Some(&value), "{name} in {figures:?}");
    }
    assert!(figures.contains_key("modelship_oldest_task_age_seconds"), "{figures:?}");
    let ready = sender.client.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_under_a_flood_answers_what_it_has_begun_and_knows_it_afterwards() {
    let mut world = trouble::world("reconcile_every: 1h\n");
    let sender = Sender::new(&world);
    let deliveries = deliveries();
    let answered = flood_until_a_third(&mut world, &sender, &deliveries, World::stop_server).await;

    world.start_server();
    let url = world.url();
    for (id, body) in deliveries.iter().flatten() {
        let (status, text) = sender.send(&url, *id, body).await.unwrap();
        assert_eq!(status, 202);
        assert_eq!(text.contains("repeated"), answered.contains(id), "what was answered is known, and nothing else is");
    }
    world.until_idle();
    assert_eq!(decided(&world).await, i64::try_from(ALL).unwrap(), "each was decided on once");
}

/// How many connections somebody opens who means no good?
const CONNECTIONS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_take_bounded_memory_and_keep_no_delivery_out() {
    // Their other ends are in this process.
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let needed = u64::try_from(CONNECTIONS).unwrap() + 200;
    assert!(limit.maximum.is_none_or(|most| most >= needed), "this needs {needed} open files; see `ulimit -Hn`");
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let world = trouble::world("reconcile_every: 1h\n");
    let (sender, url) = (Sender::new(&world), world.url());
    let address = url.strip_prefix("http://").unwrap();
    let post = format!("POST /webhooks/github HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    // Nothing, half a head, and the beginning of a body that is said to be as large as bodies may be.
    let begins = [String::new(), post.clone(), format!("{post}content-length: 26214400\r\n\r\n{{\"zen\": ")];
    let before = world.most_memory();
    let mut open = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may have been cut off to make room for others.
        let _ = stream.write_all(begins[number % begins.len()].as_bytes()).await;
        open.push(stream);
        if (number + 1) % 500 == 0 {
            let answer = sender.send(&url, Uuid::new_v4(), &news(1, number as u64)).await;
            assert_eq!(answer.expect("GitHub is answered while it waits").0, 202, "behind {number} connections");
        }
    }
    let most = (world.most_memory() - before) >> 20;
    assert!(most < 64, "{CONNECTIONS} connections took {most} MiB");
    drop(open);
    world.until_idle();
    assert_eq!(decided(&world).await, 20);
}

/// A delivery of nearly the most that GitHub sends.
fn large(number: u64) -> String {
    let news = news(0, number);
    let padding = "x".repeat(24 * 1024 * 1024);
    format!("{},\"padding\":\"{padding}\"}}", news.strip_suffix('}').unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_at_once_take_bounded_memory_and_all_are_taken_in_the_end() {
    let world = trouble::world("reconcile_every: 1h\n");
    let (sender, url) = (Sender::new(&world), world.url());
    let before = world.most_memory();
    let mut waiting: Vec<_> = (0..24).map(|number| (Uuid::new_v4(), large(number))).collect();
    let mut refused = 0;
    while !waiting.is_empty() {
        let answers = join_all(waiting.iter().map(|(id, body)| sender.send(&url, *id, body))).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.map(|(status, _)| status)).collect();
        assert!(answers.iter().flatten().all(|status| [202, 503].contains(status)), "{answers:?}");
        let mut answers = answers.into_iter();
        waiting.retain(|_| answers.next().flatten() != Some(202));
        refused += waiting.len();
    }
    world.until_idle();
    assert_eq!(decided(&world).await, 24);
    let most = (world.most_memory() - before) >> 20;
    assert!(refused > 0 && most < 400, "{refused} were sent again; {most} MiB for bodies of 200 MiB");
}
