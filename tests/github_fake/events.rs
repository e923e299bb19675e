//! Which events are sent, how they are signed, and how a lost one is sent again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::github::{Delivery, Opened};
use crate::place::{HUB, Place, ask, git, jwt};

const SECRET: &str = "s3cr3t";

/// Head and body of a request.
type Letter = (String, Vec<u8>);

/// A receiver that keeps what it gets.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(202));
        let letters = Arc::new(Mutex::new(Vec::new()));
        let (answers, kept) = (Arc::clone(&status), Arc::clone(&letters));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(&stream);
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    let from = head.len();
                    reader.read_line(&mut head).unwrap();
                    if let Some(text) = head[from..].strip_prefix("content-length: ") {
                        length = text.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                kept.lock().unwrap().push((head, body));
                let status = answers.load(Ordering::SeqCst);
                (&stream).write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
            }
        });
        Self { url, status, letters }
    }
}

/// What was sent, as `event` or `event.action`.
fn told(place: &Place) -> Vec<String> {
    place.github.until_delivered();
    let name = |delivery: Delivery| match delivery.action {
        Some(action) => format!("{}.{action}", delivery.event),
        None => delivery.event,
    };
    place.github.deliveries().into_iter().map(name).collect()
}

#[test]
fn what_happens_is_told_in_order_and_signed() {
    let place = Place::new();
    let receiver = Receiver::start();
    place.github.deliver_to(&receiver.url, SECRET);
    let before = place.head();
    let after = place.push("sweep", "sweeps/two.yaml", "sweep: two\n");
    let comment = place.github.comment_as("ada", HUB, 1, "/modelship run");
    place.github.edit_comment_as("mallory", HUB, comment, "/modelship cancel");
    let check = place.done("POST", "/repos/urban/hub/check-runs", &json!({"name": "one", "head_sha": after}));
    place.github.press("ada", HUB, check["id"].as_u64().unwrap(), "run");
    place.github.rerequest("ada", HUB, check["id"].as_u64().unwrap());
    place.github.deploy_as("ada", HUB, "main", json!({"environment": "production"}));
    place.github.deploy_by_workflow_of("ada", HUB, "main", json!({"environment": "production"}));
    place.github.close_pull(HUB, 1);
    let expected = [
        "push",
        "pull_request.synchronize",
        "issue_comment.created",
        "issue_comment.edited",
        "check_run.requested_action",
        "check_run.rerequested",
        "deployment.created",
        "deployment.created",
        "pull_request.closed",
    ];
    assert_eq!(told(&place), expected);
    assert_eq!(objections(&place), "");
    let deliveries = place.github.deliveries();
    assert_eq!((&deliveries[0].payload["before"], &deliveries[0].payload["after"]), (&json!(before), &json!(after)));
    assert_eq!(deliveries[0].payload["commits"][0]["added"], json!(["sweeps/two.yaml"]));
    assert_eq!(deliveries[0].payload["sender"]["login"], "ada");
    assert_eq!(deliveries[3].payload["sender"]["login"], "mallory");
    assert_eq!(deliveries[3].payload["comment"]["user"]["login"], "ada");
    let (head, body) = receiver.letters.lock().unwrap()[0].clone();
    assert!(head.contains("x-github-event: push") && head.contains(&deliveries[0].guid), "{head}");
    let signed = openssl_signature(&body);
    assert!(head.contains(&format!("x-hub-signature-256: sha256={signed}")), "{head}");
}

/// What GitHub's own description of its webhooks objects to.
fn objections(place: &Place) -> String {
    place.github.until_delivered();
    let pairs: Vec<_> =
        place.github.deliveries().into_iter().map(|delivery| json!([delivery.event, delivery.payload])).collect();
    let file = place.clone.path().join("payloads.json");
    std::fs::write(&file, json!(pairs).to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/github_fake/payloads.cjs");
    let output = std::process::Command::new("node").arg(script).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What openssl says of the body.
fn openssl_signature(body: &[u8]) -> String {
    let mut child = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", SECRET, "-r"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn branches_and_tags_come_and_go_but_many_tags_go_unnoticed() {
    let place = Place::new();
    let receiver = Receiver::start();
    place.github.deliver_to(&receiver.url, SECRET);
    let push = |arguments: &[&str]| git(place.clone.path(), &[&["push", "--quiet", "origin"], arguments].concat());
    push(&["HEAD:refs/heads/fresh"]);
    push(&["--delete", "fresh"]);
    for tag in ["a", "b", "c", "d", "e"] {
        git(place.clone.path(), &["tag", tag]);
    }
    push(&["a"]);
    push(&["b", "c", "d", "e"]);
    assert_eq!(told(&place), ["create", "push", "delete", "push", "create", "push"]);
    let tags = git(&place.github.directory(HUB), &["tag", "--list"]);
    assert_eq!(tags.lines().count(), 5);
    git(place.clone.path(), &["commit", "--quiet", "--amend", "-m", "again"]);
    push(&["--force", "sweep"]);
    let told = place.github.deliveries();
    place.github.until_delivered();
    assert!(told.len() >= 6);
    let forced = place.github.deliveries().into_iter().rev().find(|delivery| delivery.event == "push").unwrap();
    assert_eq!(forced.payload["forced"], true);
}

#[test]
fn a_failed_delivery_is_listed_and_sent_again_under_its_guid() {
    let place = Place::new();
    let receiver = Receiver::start();
    place.github.deliver_to(&receiver.url, SECRET);
    receiver.status.store(503, Ordering::SeqCst);
    place.github.comment_as("ada", HUB, 1, "/modelship run");
    place.github.until_delivered();
    receiver.status.store(202, Ordering::SeqCst);
    place.github.comment_as("ada", HUB, 1, "/modelship help");
    place.github.until_delivered();
    let app = jwt(&place.github, -30, 300);
    let ask = |method: &str, target: &str| ask(&place.github.url(), &app, method, target, &Value::Null);
    let failed = ask("GET", "/app/hook/deliveries?status=failure").value();
    assert_eq!((failed.as_array().unwrap().len(), &failed[0]["status_code"]), (1, &json!(503)));
    let one = format!("/app/hook/deliveries/{}", failed[0]["id"]);
    assert_eq!(ask("GET", &one).value()["request"]["payload"]["comment"]["body"], "/modelship run");
    assert_eq!(ask("POST", &format!("{one}/attempts")).status, 202);
    place.github.until_delivered();
    let newest = ask("GET", "/app/hook/deliveries?per_page=1");
    assert!(newest.header("link").unwrap().contains("cursor="));
    let newest = newest.value()[0].clone();
    assert_eq!((&newest["guid"], &newest["redelivery"]), (&failed[0]["guid"], &json!(true)));
    assert_eq!(newest["status"], "OK");
    place.github.forget_deliveries();
    assert_eq!(ask("GET", "/app/hook/deliveries").value(), json!([]));
    place.github.stop_delivering();
    place.github.comment_as("ada", HUB, 1, "nobody hears");
    place.github.until_delivered();
    assert!(place.github.deliveries().is_empty());
}

#[test]
fn the_installation_and_draft_pull_requests_tell_of_themselves() {
    let place = Place::new();
    let receiver = Receiver::start();
    place.github.deliver_to(&receiver.url, SECRET);
    git(place.clone.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/draft"]);
    let opened = Opened { author: "ada", title: "Draft", head: "draft", base: "main", draft: true };
    let number = place.github.open_pull(HUB, &opened);
    place.github.mark_ready(HUB, number);
    place.github.uninstall_from(HUB);
    place.github.comment_as("ada", HUB, 1, "unheard");
    place.github.install_in(HUB);
    place.github.suspend();
    place.github.unsuspend();
    place.github.uninstall();
    place.github.install();
    let expected = [
        "create",
        "push",
        "pull_request.opened",
        "pull_request.ready_for_review",
        "installation_repositories.removed",
        "installation_repositories.added",
        "installation.suspend",
        "installation.unsuspend",
        "installation.deleted",
        "installation.created",
    ];
    assert_eq!(told(&place), expected);
    assert_eq!(objections(&place), "");
    let deliveries = place.github.deliveries();
    place.github.redeliver(&deliveries[0]);
    place.github.deliver_twice(&deliveries[0]);
    place.github.until_delivered();
    let guids: Vec<_> =
        place.github.deliveries().into_iter().skip(expected.len()).map(|delivery| delivery.guid).collect();
    assert_eq!(guids[0], deliveries[0].guid);
    assert_ne!(guids[1], deliveries[0].guid);
}
