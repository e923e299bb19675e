use serde_json::{Value, json};

use super::*;
use crate::domain::ids::PullNumber;

/// Deliveries that GitHub has sent, as Octokit publishes them.
const REAL: &str = include_str!("../../../tests/data/github-deliveries.json");

fn real(event: &str, action: &str) -> Value {
    let file: Value = serde_json::from_str(REAL).unwrap();
    let all = file["deliveries"].as_array().unwrap();
    let wanted = |it: &&Value| it["event"] == event && (action.is_empty() || it["body"]["action"] == action);
    all.iter().find(wanted).unwrap()["body"].clone()
}

fn read(event: &str, body: &Value) -> Result<Keyed> {
    let mut told = super::read(event, body.to_string().as_bytes())?;
    assert_eq!(told.events.len(), 1);
    Ok(told.events.remove(0))
}

fn reason(event: &str, body: &Value) -> String {
    read(event, body).unwrap_err().0
}

fn snapshot(body: &Value) -> PullSnapshot {
    match read("pull_request", body).unwrap().event {
        Event::PullChanged { snapshot, .. } => *snapshot,
        other => panic!("{other:?}"),
    }
}

/// A comment on a pull request. GitHub's published examples have none.
fn comment() -> Value {
    let mut body = real("issue_comment", "created");
    body["issue"]["pull_request"] = json!({ "url": "https://api.github.com/x" });
    body
}

#[test]
fn every_real_delivery_is_read_or_ignored_by_name() {
    let file: Value = serde_json::from_str(REAL).unwrap();
    let told: Vec<String> = file["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| {
            let event = delivery["event"].as_str().unwrap();
            match read(event, &delivery["body"]) {
                Ok(keyed) => format!("{event}: {} {}", keyed.key, keyed.event.name()),
                Err(Ignored(reason)) => format!("{event}: {reason}"),
            }
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    issue_comment: the comment belongs to an issue, not to a pull request
    ping: nothing follows from `ping`
    pull_request: pull/186853002/2 PullChanged
    pull_request: pull/186853002/2 PullChanged
    pull_request: pull/186853002/2 PullChanged
    push: repository/186853002 PushReceived
    push: repository/186853002 PushReceived
    push: repository/186853002 PushReceived
    ");
}

#[test]
fn a_push_tells_what_moved() {
    let mut body = real("push", "");
    body["ref"] = json!("refs/heads/main");
    body["before"] = json!("0".repeat(40));
    body["after"] = json!("a".repeat(40));
    let Event::PushReceived { reference, before, after, default_branch, pusher } = read("push", &body).unwrap().event
    else {
        panic!()
    };
    assert_eq!((reference.as_str(), before), ("refs/heads/main", None));
    assert_eq!(after, Some(CommitSha::parse("a".repeat(40)).unwrap()));
    assert_eq!((default_branch.as_str(), pusher.as_str()), ("master", "Codertocat"));

    body["after"] = json!("0".repeat(40));
    assert_eq!(reason("push", &body), "the push moved nothing");
    body["before"] = json!("not a commit");
    assert!(reason("push", &body).contains("not a commit"));
    body["after"] = json!("0".repeat(40));
    body["before"] = json!("a".repeat(40));
    body["head_commit"] = Value::Null;
    body["deleted"] = json!(true);
    let Event::PushReceived { after, .. } = read("push", &body).unwrap().event else { panic!() };
    assert_eq!(after, None, "the branch was deleted");
    body["ref"] = json!("refs/notes/x");
    assert!(reason("push", &body).contains("neither a branch nor a tag"));
}

#[test]
fn an_annotated_tag_means_its_commit() {
    let mut body = real("push", "");
    body["ref"] = json!("refs/tags/v1");
    body["after"] = json!("b".repeat(40));
    body["head_commit"] = json!({ "id": "c".repeat(40) });
    let Event::PushReceived { after, .. } = read("push", &body).unwrap().event else { panic!() };
    assert_eq!(after, Some(CommitSha::parse("c".repeat(40)).unwrap()));
}

#[test]
fn a_pull_request_of_a_fork_is_told_apart_by_number() {
    let mut body = real("pull_request", "opened");
    assert_eq!(snapshot(&body).origin, HeadOrigin::SameRepository);
    body["pull_request"]["head"]["repo"]["id"] = json!(7);
    assert_eq!(snapshot(&body).origin, HeadOrigin::Fork, "same name, other number");
    body["pull_request"]["head"]["repo"] = Value::Null;
    assert_eq!(snapshot(&body).origin, HeadOrigin::Fork, "the fork is gone");
    body["pull_request"]["base"]["repo"]["id"] = json!(7);
    assert!(reason("pull_request", &body).contains("another repository"));
}

#[test]
fn a_merge_is_told_from_a_closing() {
    let mut body = real("pull_request", "closed");
    body["pull_request"]["merged"] = json!(false);
    assert_eq!((snapshot(&body).status, snapshot(&body).merge_commit), (PullStatus::Closed, None));
    body["pull_request"]["merged"] = json!(true);
    body["pull_request"]["merge_commit_sha"] = json!("d".repeat(40));
    assert_eq!(snapshot(&body).status, PullStatus::Merged);
    assert_eq!(snapshot(&body).merge_commit, Some(CommitSha::parse("d".repeat(40)).unwrap()));
}

#[test]
fn actions_map_to_changes_and_others_are_ignored() {
    let mut body = real("pull_request", "opened");
    for (action, change) in [
        ("opened", PullChange::Opened),
        ("reopened", PullChange::Opened),
        ("synchronize", PullChange::Pushed),
        ("edited", PullChange::Edited),
        ("ready_for_review", PullChange::Edited),
        ("converted_to_draft", PullChange::Edited),
        ("closed", PullChange::Closed),
    ] {
        body["action"] = json!(action);
        let Event::PullChanged { change: read, .. } = read("pull_request", &body).unwrap().event else { panic!() };
        assert_eq!(read, change);
    }
    for action in ["labeled", "locked", "", "never heard of"] {
        body["action"] = json!(action);
        assert_eq!(reason("pull_request", &body), format!("nothing follows from `pull_request` `{action}`"));
    }
    assert_eq!(reason("merge_group", &json!({})), "nothing follows from `merge_group`");
}

#[test]
fn only_a_persons_own_new_comment_on_a_pull_request_counts() {
    let keyed = read("issue_comment", &comment()).unwrap();
    let Key::Pull(pull) = keyed.key else { panic!() };
    assert_eq!(pull.number, PullNumber(1));
    assert!(matches!(keyed.event, Event::CommentCreated { .. }));

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = comment();
        change(&mut body);
        reason("issue_comment", &body)
    };
    assert!(changed(&|body| body["action"] = json!("edited")).contains("nothing follows"));
    assert!(changed(&|body| body["action"] = json!("deleted")).contains("nothing follows"));
    assert!(changed(&|body| body["issue"]["pull_request"] = Value::Null).contains("not to a pull request"));
    assert!(changed(&|body| body["comment"]["user"]["type"] = json!("Bot")).contains("by a program"));
    assert!(changed(&|body| body["comment"]["user"]["login"] = json!("modelship[bot]")).contains("by a program"));
    assert!(changed(&|body| body["sender"]["type"] = json!("Bot")).contains("by a program"));
    assert!(changed(&|body| body["sender"]["id"] = json!(1)).contains("somebody else"));
    assert!(changed(&|body| body["sender"] = Value::Null).contains("nobody"));
    assert!(changed(&|body| body["comment"]["user"] = Value::Null).contains("nobody"));
}

fn meaning(event: &str, body: &Value) -> Option<Digest> {
    super::read(event, body.to_string().as_bytes()).unwrap().meaning
}

#[test]
fn two_hooks_that_tell_of_one_happening_mean_the_same() {
    for (event, mut body, when) in [
        ("push", real("push", ""), "/repository/pushed_at"),
        ("pull_request", real("pull_request", "opened"), "/pull_request/updated_at"),
        ("issue_comment", comment(), "/comment/created_at"),
    ] {
        let first = meaning(event, &body);
        assert!(first.is_some(), "{event}");
        body["installation"] = json!({ "id": 5 });
        body["hook"] = json!({ "id": 6 });
        assert_eq!(meaning(event, &body), first, "{event} by another hook");
        *body.pointer_mut(when).unwrap() = json!("2030-01-01T00:00:00Z");
        assert_ne!(meaning(event, &body), first, "{event} once more, later");
        *body.pointer_mut(when).unwrap() = Value::Null;
        assert_eq!(meaning(event, &body), None, "{event} at nobody knows when");
    }
    let mut body = real("pull_request", "opened");
    let opened = meaning("pull_request", &body);
    body["action"] = json!("synchronize");
    assert_ne!(meaning("pull_request", &body), opened, "two changes of one second");
}

#[test]
fn what_nothing_follows_from_is_told_with_what_it_is_about() {
    let repository = || real("push", "")["repository"].clone();
    let sha = "e".repeat(40);
    for (event, body, told) in [
        (
            "check_run",
            json!({ "action": "completed", "check_run": { "id": 4, "head_sha": sha }, "repository": repository() }),
            format!("nothing follows from `check_run` `completed`: 4 of {sha} in Codertocat/Hello-World"),
        ),
        (
            "check_run",
            json!({ "action": "requested_action", "requested_action": { "identifier": "run" },
                "check_run": { "id": 4, "head_sha": sha }, "repository": repository() }),
            "there is no button `run`".to_owned(),
        ),
        (
            "check_run",
            json!({ "action": "rerequested", "check_run": { "id": 4, "head_sha": sha, "external_id": "theirs" },
                "repository": repository(), "sender": { "id": 1, "login": "ada" } }),
            "the check is none of ours".to_owned(),
        ),
        (
            "installation",
            json!({ "action": "suspend", "installation": { "id": 2, "account": { "id": 3, "login": "octo" } } }),
            "nothing follows from `installation` `suspend`: 2 of `octo`".to_owned(),
        ),
        (
            "installation",
            json!({ "action": "deleted", "installation": { "id": 2, "account": null } }),
            "nothing follows from `installation` `deleted`: 2".to_owned(),
        ),
        (
            "repository",
            json!({ "action": "renamed", "repository": repository() }),
            "nothing follows from `repository` `renamed`: 186853002 is `Codertocat/Hello-World`".to_owned(),
        ),
        (
            "deployment",
            json!({ "deployment": { "id": 8, "environment": "pro\nduction" }, "repository": repository() }),
            "nothing follows from `deployment`: 8 to `pro\\nduction` in Codertocat/Hello-World".to_owned(),
        ),
    ] {
        assert_eq!(reason(event, &body), told);
        assert!(reason(event, &json!({})).contains("the body is not that of"), "{event}");
    }
}

#[test]
fn a_deleted_account_has_no_number_that_could_be_allowed_anything() {
    let mut body = real("pull_request", "opened");
    body["pull_request"]["user"] = Value::Null;
    assert_eq!(snapshot(&body).author, User { id: 0, login: "ghost".into() });
    let mut body = real("push", "");
    body["sender"] = Value::Null;
    body["pusher"] = Value::Null;
    let Event::PushReceived { pusher, .. } = read("push", &body).unwrap().event else { panic!() };
    assert_eq!(pusher, "ghost");
}

#[test]
fn nul_never_reaches_the_database() {
    let mut body = real("pull_request", "opened");
    body["pull_request"]["title"] = json!("a\0b");
    assert_eq!(snapshot(&body).title, "a\u{fffd}b");
    let mut body = comment();
    body["comment"]["body"] = json!("/modelship run\0");
    let Event::CommentCreated { body, .. } = read("issue_comment", &body).unwrap().event else { panic!() };
    assert_eq!(body, "/modelship run\u{fffd}");
}

#[test]
fn monstrous_json_is_ignored_and_never_overflows() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let good = real("push", "").to_string();
    let with = |field: &str| format!("{{{field},{}", &good[1..]);
    // What is not needed is passed over, however odd it is.
    for field in [format!("\"x\":{deep}"), "\"x\":1e400".to_owned(), "\"x\":1,\"x\":2".to_owned()] {
        assert!(super::read("push", with(&field).as_bytes()).is_ok(), "{}", &field[..20.min(field.len())]);
    }
    for bad in [
        deep,
        with("\"ref\":\"refs/heads/other\""),
        good.replace("\"before\":\"", "\"before\":1e400,\"y\":\""),
        good.replace("\"ref\":\"", "\"ref\":\"\\ud800"),
        format!("\u{feff}{good}"),
        format!("{good}x"),
        good[..good.len() - 1].to_owned(),
        "null".to_owned(),
        String::new(),
    ] {
        assert!(super::read("push", bad.as_bytes()).is_err(), "{}", bad.chars().take(60).collect::<String>());
    }
    assert!(super::read("push", b"\xff\xfe").is_err());
}

#[test]
fn missing_parts_are_ignored_one_by_one() {
    for (event, body, parts) in [
        ("push", real("push", ""), &["/ref", "/before", "/repository", "/repository/id", "/repository/full_name"][..]),
        (
            "pull_request",
            real("pull_request", "opened"),
            &["/action", "/pull_request", "/pull_request/number", "/pull_request/head", "/pull_request/head/sha"],
        ),
        ("issue_comment", comment(), &["/issue", "/issue/number", "/comment", "/comment/id", "/sender"]),
    ] {
        assert!(read(event, &body).is_ok());
        for part in parts {
            let (parent, name) = part.rsplit_once('/').unwrap();
            let mut without = body.clone();
            without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
            assert!(read(event, &without).is_err(), "{event} {part}");
        }
    }
}
