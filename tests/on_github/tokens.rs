//! Tokens: what the App's own allow and what becomes of one that is refused, and what made-up ones find out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::github::{Fault, Logged, Request, send};
use crate::hub::{HUB, Hub};

/// What was asked of GitHub at a path with this end, in the order in which it came.
fn asked(hub: &Hub, end: &str) -> Vec<Logged> {
    let mut log = hub.github.log();
    log.retain(|asked| asked.path.ends_with(end));
    log.sort_by_key(|asked| asked.at);
    log
}

#[test]
fn an_app_that_lacks_a_permission_works_with_what_of_its_own_is_needed() {
    let mut hub = Hub::empty();
    hub.github.set_app_permission("deployments", None);
    hub.github.set_app_permission("administration", Some("write"));
    let settings = hub.app_settings();
    hub.begin(&settings);
    hub.world.until_idle();
    let (given, refused): (Vec<_>, Vec<_>) =
        asked(&hub, "/access_tokens").into_iter().partition(|asked| asked.status == 201);
    let list = json!({"permissions": {"metadata": "read"}});
    let given: Vec<Value> = given.into_iter().map(|asked| asked.body).filter(|body| body != &list).collect();
    let allowed = json!({
        "checks": "write", "contents": "read", "issues": "write", "metadata": "read", "pull_requests": "write",
    });
    assert_eq!(given, [json!({"repository_ids": [hub.repository], "permissions": allowed})]);
    assert_eq!((refused.len(), refused[0].status), (1, 422));
}

#[test]
fn tokens_do_not_wait_for_what_writes() {
    let mut hub = Hub::empty();
    let settings = hub.app_settings().replace("between_writes: 0s", "between_writes: 1h");
    hub.world.add_settings(&settings);
    hub.start();
    hub.world.until("both tokens are there", |_| (asked(&hub, "/access_tokens").len() == 2).then_some(()));
}

#[test]
fn a_token_that_is_refused_is_got_anew_and_no_other() {
    let mut hub = Hub::as_app();
    hub.world.until_idle();
    hub.world.expected_errors.push("GitHub answers 401");
    let used = |hub: &Hub, end: &str| asked(hub, end).pop().unwrap().token.unwrap();
    for (pattern, end, anew) in [
        // Signed by ourselves.
        ("GET /app/installations", "/app/installations", 0),
        ("GET /installation/repositories", "/installation/repositories", 1),
        ("GET */pulls", "/pulls", 1),
    ] {
        let (before, minted) = (used(&hub, end), asked(&hub, "/access_tokens").len());
        hub.github.fail_next(1, pattern, Fault::Unauthorized);
        hub.world.until(&format!("{pattern} goes well with another token"), |_| {
            let last = asked(&hub, end).pop().unwrap();
            (last.status != 401 && last.token.unwrap() != before).then_some(())
        });
        hub.world.until_idle();
        hub.until_asked(2, "GET /app/installations");
        assert_eq!(asked(&hub, "/access_tokens").len() - minted, anew, "{pattern}");
    }
}

#[test]
fn made_up_tokens_do_not_find_out_what_is_there() {
    let hub = Hub::signing_in("", |_| ());
    hub.github.set_private(HUB);
    let ask = |path: &str, token: &str| {
        let headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Bearer {token}")),
        ];
        let request = Request { method: "GET".to_owned(), target: path.to_owned(), headers, body: Vec::new() };
        let response = send(&hub.world.address(), &request, Duration::from_secs(60)).unwrap();
        (response.status, response.body)
    };
    let same = |token: &str, status: u16| {
        let hidden = ask("/api/models/examples/identity-matrix/versions", token);
        assert_eq!(hidden.0, status);
        for path in [
            "/api/models/examples/nothing/versions",
            "/api/sweeps/nothing-0123456789ab",
            "/runs/0000000000000000000000000000000000000000000000000000000000000000/log",
        ] {
            assert_eq!(ask(path, token), hidden, "{path}");
        }
    };
    for number in 0..60 {
        same(&format!("made-up-{number}"), 404);
    }
    same("made-up-at-last", 429);
}
