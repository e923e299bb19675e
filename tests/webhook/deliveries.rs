//! What becomes of a delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use modelship::domain::event::{Event, Key, Keyed};
use modelship::domain::ids::Digest;
use modelship::edge::forge::local::signature;
use modelship::server::{AllowedRepositories, Limits};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::place::*;

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
