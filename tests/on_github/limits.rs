//! GitHub's limits: how much is asked of it, how fast, and what its refusals mean.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::github::{Fault, Logged};
use crate::hub::{HUB, Hub};

/// A sweep of two quick runs.
const SIZES: &str = "sweep: sizes\nmodel: examples/identity-matrix\nparameters: {N: [1, 2]}\n";

/// What was asked, in the order in which it came.
fn asked(hub: &Hub) -> Vec<Logged> {
    let mut log = hub.github.log();
    log.sort_by_key(|asked| asked.at);
    log
}

/// The first request that was refused with this status.
fn refused(hub: &Hub, status: u16) -> Instant {
    asked(hub).iter().find(|asked| asked.status == status).unwrap_or_else(|| panic!("no {status}")).at
}

/// Nothing that `counts` was asked in this time.
#[track_caller]
fn assert_silent(hub: &Hub, from: Instant, to: Instant, counts: impl Fn(&Logged) -> bool) {
    let heard = asked(hub).into_iter().filter(|asked| asked.at > from && asked.at < to);
    let loud: Vec<_> = heard.filter(counts).collect();
    assert!(from < to && loud.is_empty(), "{loud:#?}");
}

#[test]
fn nothing_is_asked_until_the_limit_begins_anew() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    // Whole seconds count, so that it begins anew after more than three.
    let set = Instant::now();
    hub.github.set_rate_limit(0, 4);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    // The App's own hour goes on.
    let of_the_installation = |asked: &Logged| !asked.path.starts_with("/app/");
    let (from, to) = (refused(&hub, 403) + Duration::from_millis(500), set + Duration::from_secs(3));
    assert_silent(&hub, from, to, of_the_installation);
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn github_is_left_alone_for_as_long_as_it_says() {
    let hub = Hub::as_app();
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::TooMany { retry_after: Some(3) });
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    let refused = refused(&hub, 429);
    assert_silent(&hub, refused + Duration::from_millis(500), refused + Duration::from_secs(3), |_| true);
    assert_eq!(hub.ours(number).len(), 1);
}

#[test]
fn github_is_left_alone_for_a_while_when_it_does_not_say_how_long() {
    let hub = Hub::as_app();
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::SecondaryLimit { retry_after: None });
    hub.open("sizes", "A sweep", SIZES);
    let is_refused = |asked: &Logged| (asked.status == 403).then_some(asked.at);
    let refused = hub.world.until("it is refused", |_| asked(&hub).iter().find_map(is_refused));
    // It would wait for a minute, which is too long for a story; whoever does not care asks every second.
    let enough = refused + Duration::from_secs(6);
    hub.world.until("some seconds have gone by", |_| (Instant::now() > enough).then_some(()));
    assert_silent(&hub, refused + Duration::from_millis(500), enough, |_| true);
}

#[test]
fn what_writes_keeps_its_distance() {
    let mut hub = Hub::empty();
    let settings = hub.app_settings().replace("between_writes: 0s", "between_writes: 300ms");
    hub.begin(&settings);
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    // A token is asked for at once: nobody sees anything of that.
    let writes = |asked: &Logged| asked.method != "GET" && !asked.path.ends_with("/access_tokens");
    let writes: Vec<Logged> = asked(&hub).into_iter().filter(writes).collect();
    assert!(writes.len() > 4, "{writes:#?}");
    for pair in writes.windows(2) {
        let distance = pair[1].at - pair[0].at;
        assert!(distance >= Duration::from_millis(300), "{distance:?} between {pair:#?}");
    }
}

#[test]
fn looking_again_at_what_did_not_change_is_free() {
    let hub = Hub::as_app();
    hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    let looks = || hub.github.count("GET /app/installations");
    let until_looked = |times: usize| {
        let began = looks();
        hub.world.until("everything was compared again", |_| (looks() >= began + times).then_some(()));
    };
    until_looked(2);
    let (used, asked) = (hub.github.used(), hub.github.log().len());
    until_looked(4);
    assert!(hub.github.log().len() > asked + 9, "it does look");
    assert_eq!(hub.github.used(), used);
}

#[test]
fn a_token_is_for_one_repository_and_what_we_need_there() {
    let hub = Hub::as_app();
    hub.github.repository("urban/other");
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    let minted: Vec<Value> =
        asked(&hub).into_iter().filter(|asked| asked.path.ends_with("/access_tokens")).map(|it| it.body).collect();
    let lists = |body: &&Value| **body == json!({"permissions": {"metadata": "read"}});
    assert_eq!(minted.iter().filter(lists).count(), 1, "{minted:#?}");
    let works = |body: &&Value| body["repository_ids"] == json!([hub.repository]);
    assert_eq!(minted.iter().filter(works).count(), 1, "{minted:#?}");
    for body in minted.iter().filter(|body| !lists(body)) {
        assert_eq!(body["repository_ids"].as_array().map(Vec::len), Some(1), "{body}");
        let needed = json!({
            "checks": "write", "contents": "read", "deployments": "write", "issues": "write", "metadata": "read",
            "pull_requests": "write",
        });
        assert_eq!(body["permissions"], needed);
    }
}

#[test]
fn who_is_not_the_first_to_write_tries_again() {
    let hub = Hub::as_app();
    hub.github.fail_next(1, "POST */check-runs", Fault::Status(409));
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::Status(409));
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    assert_eq!(hub.github.heal(), []);
    assert_eq!(hub.ours(number).len(), 1);
}

#[test]
fn what_github_does_not_take_is_given_up_and_the_rest_goes_on() {
    let mut hub = Hub::as_app();
    hub.world.expected_errors.push("GitHub answers 422");
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::Status(422));
    let number = hub.open("sizes", "A sweep", SIZES);
    let failed = |hub: &Hub| hub.world.queue()["failed"].clone();
    hub.world.until("the comment was given up", |_| (failed(&hub) == 1).then_some(()));
    assert_eq!(hub.github.count("POST */issues/*/comments"), 1, "it is not said again and again");
    hub.github.comment_as("ada", HUB, number, "/modelship plan");
    hub.until_said(number, &["/modelship run sizes"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    assert_eq!(failed(&hub), 1);
}

#[test]
fn an_answer_that_is_no_list_of_comments_is_not_an_empty_one() {
    let mut hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    // It remembers nothing of where its comment is, and asks for that only once it has something to say.
    hub.start_again("reconcile_every: 1h\n");
    // The list is not as it was, so that it is sent.
    hub.github.comment_as("ada", HUB, number, "looks good");
    hub.github.until_delivered();
    hub.world.until_idle();
    for fault in [Fault::Html, Fault::Truncated, Fault::Html, Fault::Truncated] {
        hub.github.fail_next(1, "GET */issues/*/comments", fault);
    }
    let sweep = "sweep: sizes\nmodel: examples/identity-matrix\nparameters: {N: [1, 2, 4]}\n";
    hub.world.write("sweeps/sizes.yaml", sweep);
    hub.world.push_branch("sizes", "Ask for more");
    hub.until_said(number, &["/modelship run sizes", "3 runs"]);
    hub.world.until_idle();
    assert_eq!(hub.github.heal(), []);
    assert_eq!(hub.ours(number).len(), 1, "{:#?}", hub.ours(number));
}

#[test]
fn a_comment_that_is_too_long_is_cut_and_arrives() {
    let mut hub = Hub::empty();
    let settings = hub.app_settings();
    let manifest = include_str!("../../config/examples/identity-matrix.yaml");
    // Its plan says a parameter's unit, and people write what they like.
    let unit = format!("min: 1, max: 64, unit: {}", "µ".repeat(40_000));
    let manifest = manifest.replace("title: identity-matrix", "title: wide").replace("min: 1, max: 64", &unit);
    hub.world.write("config/examples/wide.yaml", &manifest);
    hub.begin(&settings);
    hub.world.write("sweeps/wide.yaml", "sweep: wide\nmodel: examples/wide\nparameters: {N: [1, 2]}\n");
    let number = hub.push_and_open("wide", "Ask for a wide sweep");
    let plan = hub.until_said(number, &["Cut here: the comment was too long"]);
    assert!(plan.body.len() > 64_000 && plan.body.ends_with(" -->"), "{} bytes", plan.body.len());
    hub.world.until_idle();
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}
