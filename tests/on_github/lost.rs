//! What is lost on the way between GitHub and us: answers, deliveries, tokens, whole hours.

use crate::github::Fault;
use crate::hub::{HUB, Hub};

#[test]
fn a_comment_or_a_check_whose_answer_was_lost_is_not_made_twice() {
    let hub = Hub::as_app();
    let faults = [Fault::LostAnswer, Fault::ClosedAfter, Fault::Truncated, Fault::Html];
    for (nth, fault) in faults.into_iter().enumerate() {
        let happens = || {
            hub.world.until_idle();
            assert_eq!(hub.github.heal(), [], "it has happened");
        };
        let is_lost = || {
            for request in ["POST */issues/*/comments", "POST */check-runs"] {
                hub.github.fail_next(1, request, fault.clone());
            }
        };
        is_lost();
        let branch = format!("sizes-{nth}");
        let number = hub.ask_for(&branch, &format!("[{}, {}]", 2 * nth + 1, 2 * nth + 2));
        happens();
        is_lost();
        hub.github.comment_as("ada", HUB, number, "/modelship run");
        hub.until_said(number, &["2 runs done"]);
        happens();
        assert_eq!(hub.subjects(number), ["result", "sweep"], "{fault:?}: {:#?}", hub.ours(number));
        let check = format!("modelship/sweep {branch}");
        assert_eq!(hub.conclusions(&branch), [format!("{check}: neutral"), format!("{check}: success")], "{fault:?}");
    }
}

#[test]
fn a_pull_request_that_github_does_not_know_yet_is_looked_at_again() {
    let hub = Hub::as_app();
    hub.github.fail_next(2, "GET */pulls/*", Fault::Status(404));
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    assert_eq!(hub.github.heal(), []);
    assert_eq!(hub.ours(number).len(), 1);
}

/// Waits until the runs are done and the result was told in vain.
pub(crate) fn until_told_in_vain(hub: &Hub) {
    hub.world.until("the sweep is done and could not be told", |world| {
        let log = world.server_log();
        let mut lines = log.lines().filter(|line| line.contains("it will be tried again"));
        lines.find(|line| line.contains("PostComment")).map(|_| ())
    });
}

#[test]
fn an_app_that_is_suspended_in_the_middle_tells_the_result_afterwards() {
    let hub = Hub::as_app();
    let number = hub.run_slowly();
    hub.github.suspend();
    until_told_in_vain(&hub);
    hub.github.unsuspend();
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn an_app_that_is_installed_anew_in_the_middle_tells_the_result_afterwards() {
    let mut hub = Hub::as_app();
    // Nobody looks which installations there are but who has the result to tell.
    hub.start_again("reconcile_every: 1h\n");
    let number = hub.run_slowly();
    let before = hub.github.installation_id();
    hub.github.uninstall();
    until_told_in_vain(&hub);
    hub.github.install();
    assert_ne!(hub.github.installation_id(), before);
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn an_app_that_is_let_out_of_the_repository_and_in_again_tells_the_result_afterwards() {
    let hub = Hub::as_app();
    let number = hub.run_slowly();
    hub.github.uninstall_from(HUB);
    until_told_in_vain(&hub);
    // Everybody may read what is public, and so may the App; only words of its own are not welcome.
    assert!(hub.github.log().iter().any(|asked| asked.method != "GET" && asked.status == 403));
    hub.github.install_in(HUB);
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.subjects(number), ["result", "sweep"]);
}

#[test]
fn a_repository_that_is_transferred_in_the_middle_is_told_the_result() {
    let mut hub = Hub::as_app();
    // Nobody looks which installations there are but who has the result to tell.
    hub.start_again("reconcile_every: 1h\ncomment_interval: 12s\n");
    hub.github.set_private(HUB);
    let number = hub.run_slowly();
    hub.github.transfer(HUB, "science/models");
    hub.world.until("the result is there", |_| {
        let mut comments = hub.github.app_comments("science/models", number).into_iter();
        comments.find(|comment| comment.body.contains("2 runs done"))
    });
    hub.world.until_idle();
    assert_eq!(hub.github.app_comments("science/models", number).len(), 2);
}

#[test]
fn a_button_that_was_pressed_before_many_lost_deliveries_acts() {
    let mut hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    let head = hub.commit("sizes");
    let check = hub.world.until("the button is there", |_| {
        let mut checks = hub.github.checks(HUB, &head).into_iter();
        checks.find(|check| check["actions"][0]["label"] == "Run sweep")
    });
    hub.world.kill_server();
    let button = check["actions"][0]["identifier"].as_str().unwrap();
    hub.github.press("ada", HUB, check["id"].as_u64().unwrap(), button);
    for _ in 0..120 {
        hub.github.comment_as("ada", HUB, number, "thanks");
    }
    hub.github.until_delivered();
    hub.start();
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

#[test]
fn a_token_that_ends_in_the_middle_and_a_limit_cost_time_and_nothing_else() {
    let hub = Hub::as_app();
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::SecondaryLimit { retry_after: Some(1) });
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.expire_tokens();
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn deliveries_that_did_not_arrive_are_asked_for_again() {
    let mut hub = Hub::as_app();
    hub.world.kill_server();
    hub.world.write("models/identity-matrix/NOTES.md", "a thought\n");
    hub.world.push_branch("thought", "Think while nobody listens");
    hub.github.until_delivered();
    assert!(hub.github.deliveries().iter().any(|delivery| delivery.status_code == 0 && delivery.event == "push"));
    hub.start();
    hub.world.until("the lost delivery has arrived", |_| {
        let again = |delivery: &&crate::github::Delivery| delivery.redelivery && delivery.status_code == 202;
        hub.github.deliveries().iter().find(again).map(|_| ())
    });
    hub.world.until("the branch is built", |world| {
        (world.modelship(&["versions", "examples/identity-matrix", "thought"]).status == 0).then_some(())
    });
    hub.world.until_idle();
}

#[test]
fn an_outage_longer_than_github_remembers_loses_nothing() {
    let mut hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2, 4]");
    hub.world.kill_server();
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    for tag in ["v1", "v2", "v3", "v4"] {
        crate::world::git(&hub.world.clone, &["tag", tag, "main"]);
    }
    // More than three tags at once: GitHub tells of none of them.
    crate::world::git(&hub.world.clone, &["push", "--quiet", "origin", "--tags"]);
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    hub.start();
    hub.until_said(number, &["3 runs done"]);
    for tag in ["v1", "v2", "v3", "v4"] {
        hub.world.until(&format!("the tag {tag} is known"), |world| {
            (world.modelship(&["versions", "examples/identity-matrix", tag]).status == 0).then_some(())
        });
    }
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
}

#[test]
fn what_was_pushed_opened_and_merged_while_nobody_listened_is_found() {
    let mut hub = Hub::as_app();
    let change = |hub: &Hub, branch: &str| {
        hub.world.checkout("main");
        hub.world.write("models/identity-matrix/NOTES.md", branch);
        hub.world.push_branch(branch, "A change");
    };
    let version = |hub: &Hub, channel: &str| {
        let found = hub.world.modelship(&["versions", "examples/identity-matrix", channel, "--output", "json"]);
        (found.status == 0).then(|| found.json()["source"]["commit"].as_str().unwrap().to_owned())
    };
    hub.world.until_idle();
    hub.world.kill_server();

    change(&hub, "new");
    let new = hub.commit("new");
    change(&hub, "merged");
    let merged = hub.open_pull("merged", "Merged");
    let merge = hub.github.merge_pull(HUB, merged);
    hub.world.checkout("main");
    hub.world.write("sweeps/late.yaml", "sweep: late\nmodel: examples/identity-matrix\nparameters: {N: [1, 2]}\n");
    let late = hub.push_and_open("late", "Ask for a sweep");
    hub.github.until_delivered();
    hub.github.forget_deliveries();

    hub.start();
    hub.until_said(late, &["/modelship run late"]);
    hub.world.until("the merge is in production", |_| version(&hub, "production").filter(|commit| *commit == merge));
    hub.world.until("the new branch is a channel", |_| version(&hub, "new").filter(|commit| *commit == new));
    hub.world.until_idle();
    assert_eq!(hub.ours(late).len(), 1);
}

#[test]
fn a_result_that_is_there_while_github_is_away_is_said_once_when_it_is_back() {
    let mut hub = Hub::as_app_on_one_port();
    let number = hub.run_slowly();
    hub.github.begin_outage();
    hub.until_nothing_runs();
    until_told_in_vain(&hub);
    // Whoever comes back in the middle of it remembers nothing of what was said.
    hub.world.kill_server();
    hub.start();
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    hub.github.end_outage();
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2, "{:#?}", hub.ours(number));
}

#[test]
fn a_result_that_github_took_as_it_went_away_is_not_said_again_when_it_is_back() {
    let hub = Hub::as_app();
    let number = hub.run_slowly();
    let holds = hub.github.hold_answers();
    let said = std::iter::from_fn(|| holds.next()).find_map(|held| {
        if held.body.contains("2 runs done") && held.request.starts_with("POST") {
            return Some(held);
        }
        held.answer();
        None
    });
    hub.github.begin_outage();
    drop(said);
    drop(holds);
    until_told_in_vain(&hub);
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    let before = hub.github.log().len();
    hub.world.until("it is asked for in vain", |_| (hub.github.log().len() > before + 3).then_some(()));
    hub.github.end_outage();
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2, "{:#?}", hub.ours(number));
    hub.until_concluded(&hub.commit("slow"), "modelship/sweep slow", "success");
}
