//! Every payload that GitHub's examples have, delivered to our receiver and to octokit's own one side by side.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use modelship::edge::forge::local::signature;
use reqwest::{Client, RequestBuilder};
use secrecy::SecretString;
use serde_json::Value;

use crate::place::{SECRET, Server, status};

/// How many payloads the examples have.
const PAYLOADS: usize = 329;

/// The folder `node_modules` with GitHub's contract in it.
fn modules() -> String {
    std::env::var("MODELSHIP_TEST_GITHUB").expect(
        "the suite needs octokit's packages in MODELSHIP_TEST_GITHUB; run it with `scripts/with-github cargo test`",
    )
}

/// Every example: the event's name and the body.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let path = format!("{}/@octokit/webhooks-examples/api.github.com/index.json", modules());
    let events: Vec<Value> = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let examples = |event: Value| {
        let name = event["name"].as_str().unwrap().to_owned();
        let examples = event["examples"].as_array().unwrap().clone();
        examples.into_iter().map(move |body| (name.clone(), body.to_string().into_bytes()))
    };
    events.into_iter().flat_map(examples).collect()
}

/// Octokit's receiver.
struct Oracle {
    child: Child,
    url: String,
}

impl Oracle {
    fn start() -> Self {
        let mut child = Command::new("node")
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhook/oracle.mjs"), &modules(), SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs octokit's receiver; `scripts/install-needs test` installs it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, url: format!("http://127.0.0.1:{}/hook", port.trim()) }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a delivery is spoilt, or not.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Good,
    Forged,
    Unsigned,
    OnlySha1,
    BadDigits,
    Trailing,
    Replayed,
}

fn request(client: &Client, url: &str, mode: Mode, id: &str, (event, body): &(String, Vec<u8>)) -> RequestBuilder {
    let good = signature(&SecretString::from(SECRET), body);
    let mut sent = body.clone();
    if mode == Mode::Trailing {
        sent.push(b'\n');
    }
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .body(sent);
    match mode {
        Mode::Good | Mode::Trailing | Mode::Replayed => request.header("x-hub-signature-256", good),
        Mode::Forged => request.header("x-hub-signature-256", signature(&SecretString::from("guess"), body)),
        Mode::BadDigits => request.header("x-hub-signature-256", format!("{}zz", &good[..good.len() - 2])),
        Mode::OnlySha1 => request.header("x-hub-signature", "sha1=7e7a5c8ea6c3a1a0cda0b1b3b9f0a6e9a5f2a4b1"),
        Mode::Unsigned => request,
    }
}

#[tokio::test]
async fn every_example_is_taken_when_octokit_takes_it_and_refused_when_octokit_refuses_it() {
    let (server, oracle) = (Server::start().await, Oracle::start());
    let ours = format!("http://{}/webhooks/github", server.address);
    let payloads = payloads();
    assert_eq!(payloads.len(), PAYLOADS);
    let ids: Vec<_> = payloads.iter().map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let mut accepted = BTreeMap::new();
    let spoilt = [Mode::Forged, Mode::Unsigned, Mode::OnlySha1, Mode::BadDigits, Mode::Trailing];
    for mode in spoilt.into_iter().chain([Mode::Good, Mode::Replayed]) {
        let kept = server.kept();
        for (payload, id) in payloads.iter().zip(&ids) {
            let (event, body) = payload;
            let answer = request(&server.client, &ours, mode, id, payload).send().await.unwrap();
            let code = answer.status().as_u16();
            let told: Value = answer.json().await.unwrap();
            let theirs = status(request(&server.client, &oracle.url, mode, id, payload)).await;
            let is_taken = matches!(mode, Mode::Good | Mode::Replayed);
            assert_eq!(theirs, if is_taken { 200 } else { 400 }, "octokit, {mode:?} {event}");
            if !is_taken {
                assert_eq!(code, 401, "{mode:?} {event}: {told}");
                continue;
            }
            assert!((200..300).contains(&code), "{mode:?} {event}: {told}");
            let reason = told["reason"].as_str().unwrap_or_default();
            assert!(
                !reason.contains("the body is not that of"),
                "{event}: {reason}\n{}",
                String::from_utf8_lossy(body)
            );
            if told["status"] == "accepted" {
                *accepted.entry(event.clone()).or_insert(0) += 1;
            }
        }
        if mode != Mode::Good {
            assert_eq!(server.kept(), kept, "{mode:?} leaves nothing");
        }
    }
    // The examples have no comment on a pull request: all nine are on issues.
    let expected = [("pull_request", 15), ("push", 7)].map(|(event, count)| (event.to_owned(), count));
    assert_eq!(accepted, BTreeMap::from(expected));
    assert_eq!(server.kept(), 22);
}
