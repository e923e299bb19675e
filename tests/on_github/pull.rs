//! A pull request from its plan to its result.

use crate::hub::{HUB, Hub};
use crate::world::git;
use crate::world::tables::numbers;

#[test]
fn a_sweep_is_planned_run_and_answered_in_its_pull_request() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2, 4]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    let result = hub.until_said(number, &["3 runs done"]);
    hub.world.until_idle();

    assert_eq!(numbers(&hub.world.analysis("sizes"), "trace"), [1.0, 2.0, 4.0]);
    let ours = hub.ours(number);
    assert_eq!(ours.len(), 2, "the plan and the result, each once: {ours:#?}");
    assert!(ours.iter().all(|comment| comment.app == Some(hub.github.app_id())), "in the App's name");
    assert_eq!(result.edits, 0, "the result is written once, so that people are told");
    assert_eq!(hub.github.count(&format!("POST */issues/{number}/comments")), 2);
    let checks = hub.github.checks(HUB, &hub.commit("main"));
    assert!(checks.iter().any(|check| check["conclusion"] == "success"), "the model's build: {checks:#?}");
}

#[test]
fn a_token_does_where_nobody_wants_an_app() {
    let hub = Hub::with_token();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 2);
    assert_eq!(hub.github.count("POST /app/*"), 0);
    let statuses = hub.github.statuses(HUB, &hub.commit("sizes"));
    assert_eq!(statuses[0]["state"], "success", "only Apps may write check runs: {statuses:#?}");
}

#[test]
fn a_repository_that_was_renamed_is_still_the_same() {
    let hub = Hub::as_app();
    let number = hub.ask_for("before", "[1, 2]");
    hub.github.rename(HUB, "urban/models");
    hub.github.comment_as("ada", "urban/models", number, "/modelship run");
    hub.world.until("the result is there", |_| {
        let mut comments = hub.github.app_comments("urban/models", number).into_iter();
        comments.find(|comment| comment.body.contains("2 runs done"))
    });
    hub.world.until_idle();
    assert_eq!(hub.github.app_comments("urban/models", number).len(), 2);
}

#[test]
fn a_comment_of_ours_that_somebody_deletes_is_written_once_more() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2, 4]");
    let plan = hub.until_said(number, &["/modelship run sizes"]);
    hub.github.delete_comment_as("ada", HUB, plan.id);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["3 runs done"]);
    hub.world.until_idle();
    let ours = hub.ours(number);
    assert_eq!(ours.len(), 2, "{ours:#?}");
    assert!(ours.iter().all(|comment| comment.id != plan.id));
}

#[test]
fn a_comment_of_ours_that_somebody_changed_says_again_what_it_said() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    let plan = hub.until_said(number, &["/modelship run sizes"]);
    // As another server with an older plan would.
    hub.github.edit_comment_as("ada", HUB, plan.id, "an older plan");
    hub.github.comment_as("ada", HUB, number, "/modelship plan");
    let said = hub.until_said(number, &["/modelship run sizes"]);
    assert_eq!((said.id, said.body), (plan.id, plan.body));
    hub.world.until_idle();
}

#[test]
fn who_takes_a_repositorys_old_name_is_told_nothing() {
    let mut hub = Hub::with_token();
    // Nobody looks again what the repository is called, and the result is the next that is told.
    hub.start_again("reconcile_every: 1h\ncomment_interval: 12s\n");
    let number = hub.run_slowly();
    hub.github.rename(HUB, "urban/models");
    hub.github.repository(HUB);
    let squatter = hub.github.directory(HUB);
    git(&hub.world.clone, &["push", "--quiet", squatter.to_str().unwrap(), "main", "slow"]);
    assert_eq!(hub.open_pull("slow", "Another"), number);
    hub.world.until("the result is there", |_| {
        let mut comments = hub.github.comments("urban/models", number).into_iter();
        comments.find(|comment| comment.body.contains("2 runs done"))
    });
    hub.world.until_idle();
    assert_eq!(hub.github.comments(HUB, number).len(), 0, "{:#?}", hub.github.comments(HUB, number));
    assert_eq!(hub.github.statuses(HUB, &hub.commit("slow")).len(), 0);
}
