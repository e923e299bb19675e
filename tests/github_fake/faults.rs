//! What goes wrong on demand, and what Prism finds wrong by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::github::{Fault, Request, send};
use crate::place::{HUB, Place, ask_with};

const COMMENTS: &str = "/repos/urban/hub/issues/1/comments";

fn say(place: &Place) -> std::io::Result<u16> {
    say_by(&place.github.url(), &place.token, "hello")
}

/// Comments with this token, and gives the status of the answer.
fn say_by(url: &str, token: &str, words: &str) -> std::io::Result<u16> {
    let headers = vec![
        ("authorization".to_owned(), format!("token {token}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = json!({"body": words}).to_string().into_bytes();
    let request = Request { method: "POST".to_owned(), target: COMMENTS.to_owned(), headers, body };
    send(url, &request, Duration::from_secs(10)).map(|response| response.status)
}

#[test]
fn an_answer_is_lost_before_or_after_the_deed() {
    for (fault, status, kept) in [
        (Fault::LostAnswer, Some(502), 1),
        (Fault::BadGateway, Some(502), 0),
        (Fault::Unauthorized, Some(401), 0),
        (Fault::Html, Some(200), 1),
        (Fault::Closed, None, 0),
        (Fault::ClosedAfter, None, 1),
        (Fault::Truncated, None, 1),
        (Fault::Status(409), Some(409), 0),
    ] {
        let place = Place::new();
        place.github.fail_next(1, "POST /repos/*/issues/*/comments", fault.clone());
        assert_eq!(say(&place).ok(), status, "{fault:?}");
        assert_eq!(place.github.app_comments(HUB, 1).len(), kept, "{fault:?}");
        assert_eq!(say(&place).unwrap(), 201, "{fault:?} happens once");
    }
}

#[test]
fn limits_say_how_long_or_do_not() {
    let place = Place::new();
    place.github.fail_next(1, "POST *", Fault::SecondaryLimit { retry_after: None });
    place.github.fail_next(1, "POST *", Fault::TooMany { retry_after: Some(7) });
    let bare = place.ask("POST", COMMENTS, &json!({"body": "hello"}));
    assert_eq!((bare.status, bare.header("retry-after")), (403, None));
    assert!(bare.value()["message"].as_str().unwrap().contains("secondary rate limit"));
    let timed = place.ask("POST", COMMENTS, &json!({"body": "hello"}));
    assert_eq!((timed.status, timed.header("retry-after")), (429, Some("7")));
    place.github.set_rate_limit(1, 60);
    assert_eq!(place.ask("GET", "/repos/urban/hub", &Value::Null).header("x-ratelimit-remaining"), Some("0"));
    let spent = place.ask("GET", "/repos/urban/hub", &Value::Null);
    assert_eq!((spent.status, spent.header("x-ratelimit-remaining")), (403, Some("0")));
}

#[test]
fn an_outage_ends_and_a_delay_passes() {
    let place = Place::new();
    place.github.begin_outage();
    assert!(say(&place).is_err());
    place.github.end_outage();
    let pause = Duration::from_millis(300);
    place.github.fail_next(1, "POST *", Fault::Delay(pause));
    let began = Instant::now();
    assert_eq!(say(&place).unwrap(), 201);
    assert!(began.elapsed() >= pause);
    place.github.fail_next(5, "POST *", Fault::BadGateway);
    place.github.heal();
    assert_eq!(say(&place).unwrap(), 201);
    let statuses: Vec<_> =
        place.github.log().iter().filter(|asked| asked.path == COMMENTS).map(|asked| asked.status).collect();
    assert_eq!(statuses, [0, 201, 201]);
}

#[test]
fn an_answer_is_held_back_until_it_goes_or_never_comes() {
    let place = Place::new();
    let holds = place.github.hold_answers();
    let said = |words: &'static str| {
        let (url, token) = (place.github.url(), place.token.clone());
        std::thread::spawn(move || say_by(&url, &token, words).ok())
    };
    for (words, heard, answer) in [("one", true, Some(201)), ("two", false, None)] {
        let asking = said(words);
        let held = holds.next().unwrap();
        assert_eq!((held.request.as_str(), held.body.contains(words)), (format!("POST {COMMENTS}").as_str(), true));
        assert!(place.github.app_comments(HUB, 1).iter().any(|comment| comment.body == words), "it is done");
        assert!(!asking.is_finished(), "and nobody knows");
        if heard {
            held.answer()
        } else {
            drop(held)
        }
        assert_eq!(asking.join().unwrap(), answer, "{words}");
    }
    assert_eq!(said("two").join().unwrap(), Some(201), "the same once more passes");
    assert_eq!(place.get(COMMENTS).as_array().unwrap().len(), 3, "and what changes nothing is not held");
    holds.end();
    assert_eq!(said("three").join().unwrap(), Some(201));
    assert!(holds.next().is_none());
    drop(holds);
    let holds = place.github.hold_answers_to("GET /repos/*/pulls/1");
    let (url, token) = (place.github.url(), place.token.clone());
    let asking =
        std::thread::spawn(move || ask_with(&url, &token, "GET", "/repos/urban/hub/pulls/1", &Value::Null, &[]).status);
    assert_eq!(say(&place).unwrap(), 201, "only what was named is held");
    holds.next().unwrap().answer();
    assert_eq!(asking.join().unwrap(), 200);
    drop(holds);
    drop(place.github.hold_answers());
    assert_eq!(place.github.take_complaints().len(), 1, "nothing was asked");
}

#[test]
fn prism_refuses_a_request_that_github_does_not_know() {
    let place = Place::new();
    let comment = place.github.comment_as("ada", HUB, 1, "hello");
    let one = format!("/repos/urban/hub/issues/comments/{comment}");
    assert_eq!(place.ask("POST", &one, &json!({"body": "changed"})).status, 405);
    assert_eq!(place.ask("POST", "/repos/urban/hub/issues/1/comment", &json!({"body": "typo"})).status, 404);
    assert_eq!(place.ask("POST", COMMENTS, &json!({"bdy": "typo"})).status, 422);
    let complaints = place.github.take_complaints();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert_eq!(place.github.comments(HUB, 1)[0].body, "hello");
}

#[test]
fn prism_refuses_an_answer_that_github_would_not_give() {
    let place = Place::new();
    let body = json!({"name": "one", "head_sha": place.head()});
    let check = place.done("POST", "/repos/urban/hub/check-runs", &body);
    let one = format!("/repos/urban/hub/check-runs/{}", check["id"]);
    place.github.spoil_check(HUB, check["id"].as_u64().unwrap());
    assert_eq!(place.ask("GET", &one, &Value::Null).status, 500);
    let complaints = place.github.take_complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("VIOLATIONS"), "{complaints:?}");
    // The fake itself gives it, to who goes around Prism.
    let (name, value) = place.github.direct_header();
    let around = |url: &str| ask_with(url, &place.token, "GET", &one, &Value::Null, &[(&name, &value)]).status;
    assert_eq!(around(&place.github.direct_url()), 200);
    assert_eq!(around(&place.github.prism_url()), 500);
}

#[test]
#[should_panic(expected = "this is not how GitHub is used")]
fn whoever_uses_github_wrongly_hears_of_it_at_the_end() {
    let place = Place::new();
    assert_eq!(place.ask("GET", "/repos/urban/hub/pull/1", &Value::Null).status, 404);
}
