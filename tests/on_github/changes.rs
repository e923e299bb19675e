//! What becomes of a sweep when its pull request changes under it.

use crate::github::{Comment, Opened};
use crate::hub::{HUB, Hub};
use crate::world::git;

const MODEL: &str = "examples/identity-matrix";

/// A pull request whose sweep runs for a minute, once it runs.
fn slow(hub: &Hub, branch: &str) -> u64 {
    let sweep = format!("sweep: {branch}\nmodel: {MODEL}\nparameters: {{N: [1, 2], SLEEP: 60}}\n");
    let number = hub.ask_with(branch, "Slow", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();
    number
}

/// Our comments that say how a sweep ended.
fn results(hub: &Hub, number: u64) -> Vec<Comment> {
    hub.ours(number).into_iter().filter(|comment| comment.body.contains("<!-- modelship:result/")).collect()
}

#[test]
fn closing_ends_the_sweep_and_reopening_shows_its_plan_again() {
    let hub = Hub::as_app();
    let number = slow(&hub, "slow");
    let check = "modelship/sweep slow";
    hub.github.close_pull(HUB, number);
    hub.until_said(number, &["was cancelled", "Ended by", "closed"]);
    hub.until_nothing_runs();
    hub.until_concluded(&hub.commit("slow"), check, "cancelled");
    hub.world.until_idle();
    assert_eq!(results(&hub, number).len(), 1);

    hub.github.reopen_pull(HUB, number);
    hub.until_said(number, &["/modelship run slow", "2 runs"]);
    hub.until_concluded(&hub.commit("slow"), check, "neutral");
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    assert!(!hub.world.is_running("python3"), "the old command means the old plan");
    assert_eq!((hub.ours(number).len(), results(&hub, number).len()), (2, 1));
}

#[test]
fn deleting_the_branch_in_the_middle_ends_the_sweep_as_closing_does() {
    let hub = Hub::as_app();
    let number = slow(&hub, "slow");
    let commit = hub.commit("slow");
    git(&hub.world.clone, &["push", "--quiet", "origin", "--delete", "slow"]);
    hub.until_said(number, &["was cancelled", "Ended by", "closed"]);
    hub.until_nothing_runs();
    hub.until_concluded(&commit, "modelship/sweep slow", "cancelled");
    hub.world.until_idle();
    assert_eq!(results(&hub, number).len(), 1);
}

#[test]
fn with_another_base_in_the_middle_the_sweep_goes_on_as_long_as_it_is_asked_for() {
    let hub = Hub::as_app();
    let number = slow(&hub, "slow");
    git(&hub.world.clone, &["push", "--quiet", "origin", "main:refs/heads/next", "slow:refs/heads/taken"]);
    hub.github.retarget_pull(HUB, number, "next");
    hub.github.until_delivered();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    assert!(hub.world.is_running("python3") && results(&hub, number).is_empty(), "it is asked for as before");
    // That branch has the sweep's file already.
    hub.github.retarget_pull(HUB, number, "taken");
    hub.until_said(number, &["no longer part of this pull request"]);
    hub.until_nothing_runs();
    hub.world.until_idle();
}

#[test]
fn what_is_merged_in_the_middle_goes_on_and_production_moves() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    hub.world.write("models/identity-matrix/NOTES.md", "a thought\n");
    let sweep = format!("sweep: change\nmodel: {MODEL}\nparameters: {{N: [1, 2, 3], SLEEP: 2}}\n");
    let number = hub.ask_with("change", "A change", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run change");
    hub.until_running();
    hub.github.set_private(HUB);
    let merge = hub.github.merge_pull(HUB, number);
    hub.world.until("production has moved", |world| {
        let production = world.modelship(&["versions", MODEL, "production", "--output", "json"]).ok().json();
        let commit = &production["source"]["commit"];
        (*commit == merge.as_str() || *commit == hub.commit("change").as_str()).then_some(())
    });
    hub.until_said(number, &["3 runs done"]);
    hub.world.until_idle();
    assert_eq!(results(&hub, number).len(), 1);
}

#[test]
fn a_push_in_the_middle_ends_the_sweep_and_a_former_head_costs_nothing_again() {
    let hub = Hub::as_app();
    let number = hub.ask_for("moving", "[1, 2]");
    let former = hub.commit("moving");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);

    hub.world.checkout("main");
    let longer = format!("sweep: moving\nmodel: {MODEL}\nparameters: {{N: [1, 2, 3], SLEEP: 60}}\n");
    hub.world.write("sweeps/moving.yaml", &longer);
    hub.world.push_branch("moving", "Ask for more");
    let newer = hub.commit("moving");
    hub.until_said(number, &["3 runs", "/modelship run moving"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();

    git(&hub.world.clone, &["push", "--quiet", "--force", "origin", &format!("{former}:refs/heads/moving")]);
    hub.until_nothing_runs();
    hub.until_concluded(&newer, "modelship/sweep moving", "cancelled");
    hub.until_said(number, &["every result is known already", "/modelship run moving"]);
    let (before, made) = (results(&hub, number).len(), records(&hub));
    assert!(made >= 2, "the former head's");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.world.until("it is answered", |_| (results(&hub, number).len() > before).then_some(()));
    hub.world.until_idle();
    let answer = results(&hub, number).pop().unwrap().body;
    assert!(answer.contains("2 runs done"), "{answer}");
    assert_eq!(records(&hub), made, "no run is made again");
}

/// How many runs jobs have recorded.
fn records(hub: &Hub) -> usize {
    let (mut left, mut count) = (vec![hub.world.state().join("artifacts/sweeps")], 0);
    while let Some(found) = left.pop() {
        if found.is_dir() {
            left.extend(std::fs::read_dir(found).unwrap().map(|entry| entry.unwrap().path()));
        } else if found.ends_with("records.jsonl") {
            count += std::fs::read_to_string(found).unwrap().lines().count();
        }
    }
    count
}

#[test]
fn a_locked_thread_hears_no_result_and_the_check_tells_it() {
    let mut hub = Hub::as_app();
    hub.world.expected_errors.push("failed for good");
    let sweep = format!("sweep: quick\nmodel: {MODEL}\nparameters: {{N: [1, 2], SLEEP: 2}}\n");
    let number = hub.ask_with("quick", "Quick", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();
    hub.github.lock_pull(HUB, number);
    hub.until_concluded(&hub.commit("quick"), "modelship/sweep quick", "success");
    hub.until_said(number, &["2 of 2"]);
    let tried = format!("POST */issues/{number}/comments");
    hub.world.until("it is given up", |_| {
        let queue = hub.world.queue();
        (queue["failed"] == 1 && queue["effects"] == 0).then_some(())
    });
    let before = hub.github.count(&tried);
    hub.until_asked(3, &format!("GET */issues/{number}/comments"));
    assert_eq!((hub.github.count(&tried), results(&hub, number).len()), (before, 0), "{:#?}", hub.ours(number));

    // However much there is to say, whoever runs the server hears once that it cannot be said.
    for more in 1..=3 {
        hub.github.comment_as("ada", HUB, number, "/modelship help");
        hub.world.until("it is given up", |_| (hub.github.count(&tried) == before + more).then_some(()));
    }
    hub.world.until("nothing is left to do", |_| {
        (hub.world.queue()["effects"] == 0 && hub.world.queue()["leased"] == 0).then_some(())
    });
    let failures = hub.world.queue()["failures"].clone();
    assert_eq!(failures.as_array().unwrap().len(), 1, "{failures}");
    assert!(failures[0]["error"].as_str().unwrap().contains("locked"), "{failures}");
    let log = hub.world.server_log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("failed for good")).collect();
    assert!(said.len() == 1 && said[0].contains(failures[0]["key"].as_str().unwrap()), "{said:#?}");
    let doctor = hub.world.modelship(&["doctor"]).ok();
    assert!(doctor.stdout.contains("1 task given up, the last one `PostComment`"), "{doctor:?}");
}

#[test]
fn an_archived_repository_is_left_alone_and_others_are_answered() {
    let mut hub = Hub::as_app();
    hub.world.expected_errors.push("failed for good");
    let theirs = format!("GET /repositories/{}/pulls", hub.github.repository("urban/other"));
    let sweep = format!("sweep: quick\nmodel: {MODEL}\nparameters: {{N: [1, 2], SLEEP: 2}}\n");
    let number = hub.ask_with("quick", "Quick", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();
    hub.github.archive(HUB);
    let other = hub.github.directory("urban/other");
    let faulty = "sweep: faulty\nmodel: examples/identity-matrix\nparameters: {NOTHING: 1}\n";
    hub.world.checkout("main");
    hub.world.push_to(&other, "main");
    hub.world.write("sweeps/faulty.yaml", faulty);
    hub.world.commit_branch("faulty", "Ask elsewhere");
    hub.world.push_to(&other, "faulty");
    let opened = Opened { author: "ada", title: "Elsewhere", head: "faulty", base: "main", draft: false };
    let elsewhere = hub.github.open_pull("urban/other", &opened);
    hub.world.until("the other repository is answered", |_| {
        let said = hub.github.app_comments("urban/other", elsewhere);
        said.iter().any(|comment| comment.body.contains("NOTHING")).then_some(())
    });
    hub.until_nothing_runs();
    hub.world.until("nothing is left to do", |_| {
        let queue = hub.world.queue();
        (queue["effects"] == 0 && queue["leased"] == 0 && queue["events"] == 0).then_some(())
    });
    let ours = format!("*/repositories/{}*", hub.repository);
    let before = hub.github.count(&ours);
    hub.until_asked(2, &theirs);
    assert_eq!(hub.github.count(&ours), before, "nobody asks for anything there any more");
    assert_eq!(results(&hub, number).len(), 0, "nobody may write there");
}

#[test]
fn a_programs_draft_is_planned_once_and_follows_the_branch_that_it_is_for() {
    let hub = Hub::as_app();
    hub.github.bot("dependabot[bot]", crate::github::Permission::Write);
    hub.world.checkout("main");
    hub.world.write("sweeps/draft.yaml", &format!("sweep: draft\nmodel: {MODEL}\nparameters: {{N: [1, 2]}}\n"));
    hub.world.push_branch("draft", "Ask for a sweep");
    let head = hub.commit("draft");
    git(&hub.world.clone, &["push", "--quiet", "origin", &format!("{head}:refs/heads/release")]);
    let opened = Opened { author: "dependabot[bot]", title: "Bump it", head: "draft", base: "main", draft: true };
    let number = hub.github.open_pull(HUB, &opened);
    hub.until_said(number, &["/modelship run draft"]);
    hub.world.until_idle();
    let edits = hub.until_said(number, &["/modelship run draft"]).edits;
    hub.github.mark_ready(HUB, number);
    hub.github.until_delivered();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    assert_eq!((hub.ours(number).len(), hub.ours(number)[0].edits), (1, edits), "the plan is as it was");

    hub.github.retarget_pull(HUB, number, "release");
    hub.until_said(number, &["no longer part of this pull request"]);
    hub.github.retarget_pull(HUB, number, "main");
    hub.until_said(number, &["/modelship run draft"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    git(&hub.world.clone, &["push", "--quiet", "origin", "--delete", "draft"]);
    hub.github.until_delivered();
    hub.until_asked(2, &format!("GET /repositories/{}/pulls", hub.repository));
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn what_a_merge_queue_tries_out_is_nobodys_version() {
    let hub = Hub::as_app();
    let versions = |hub: &Hub| hub.world.modelship(&["versions", MODEL, "--output", "json"]).ok().json();
    let before = versions(&hub);
    hub.world.checkout("main");
    hub.world.write("models/identity-matrix/NOTES.md", "a thought\n");
    hub.world.commit_branch("queued", "Think");
    let queued = format!("queued:refs/heads/gh-readonly-queue/main/pr-1-{}", hub.commit("main"));
    git(&hub.world.clone, &["push", "--quiet", "origin", &queued]);
    hub.github.until_delivered();
    hub.until_asked(3, &format!("GET /repositories/{}/pulls", hub.repository));
    hub.world.until_idle();
    assert_eq!(versions(&hub), before);
    // What passed is pushed to its branch as it is.
    git(&hub.world.clone, &["push", "--quiet", "origin", "queued:main"]);
    hub.world.until("it is built", |_| (versions(&hub) != before).then_some(()));
    hub.world.until_idle();
}
