//! What is lost on the way between GitHub and us: answers, deliveries, tokens, whole hours.

use crate::github::Fault;
use crate::hub::{HUB, Hub};

#[test]
fn a_comment_whose_answer_was_lost_is_not_written_twice() {
    let mut hub = Hub::as_app();
    hub.world.expected_errors.push("GitHub");
    for fault in [Fault::LostAnswer, Fault::ClosedAfter, Fault::Truncated, Fault::Html] {
        hub.github.fail_next(1, "POST */issues/*/comments", fault);
    }
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.heal();
    hub.github.fail_next(1, "POST */issues/*/comments", Fault::LostAnswer);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2, "{:#?}", hub.ours(number));
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
