//! Rights that change, and words that claim more than they may.

use crate::github::{Delivery, Fault, Permission};
use crate::hub::{HUB, Hub};
use crate::world::git;

#[test]
fn triage_starts_nothing_and_maintain_does() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.user("tina", Permission::Triage);
    hub.github.user("mark", Permission::Maintain);
    hub.github.comment_as("tina", HUB, number, "/modelship run");
    hub.until_said(number, &["write permission", "tina"]);
    assert_eq!(hub.sweeps().len(), 0);
    hub.github.comment_as("mark", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

#[test]
fn what_counts_is_who_may_what_when_the_command_is_heard() {
    let mut hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    for login in ["eve", "dora"] {
        hub.github.user(login, Permission::Read);
    }
    hub.world.until_idle();
    hub.world.kill_server();
    for login in ["ada", "eve", "dora"] {
        hub.github.comment_as(login, HUB, number, "/modelship run");
    }
    hub.github.until_delivered();
    let told: Vec<Delivery> = hub
        .github
        .deliveries()
        .into_iter()
        .filter(|delivery| delivery.event == "issue_comment")
        .rev()
        .take(3)
        .collect();
    hub.github.forget_deliveries();
    // Ada may no longer. Eve is called something else and Dora has left, and who is called so now may.
    hub.github.user("ada", Permission::Read);
    hub.github.reuse_login("eve");
    hub.github.delete_account("dora");
    for login in ["eve", "dora"] {
        hub.github.user(login, Permission::Write);
    }
    // The thread has new names; what the deliveries told has the old ones.
    hub.github.fail_next(10_000, &format!("GET */issues/{number}/comments"), Fault::BadGateway);
    hub.start();
    told.iter().for_each(|delivery| hub.github.redeliver(delivery));
    hub.github.until_delivered();
    hub.github.heal();
    hub.world.until("all are answered", |_| {
        let denied = hub.ours(number).into_iter().filter(|comment| comment.body.contains("write permission"));
        (denied.count() == 3).then_some(())
    });
    hub.world.until_idle();
    assert_eq!((hub.sweeps().len(), hub.ours(number).len()), (0, 4));
}

#[test]
fn a_name_that_goes_to_somebody_who_may_brings_no_rights_to_who_had_it() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    let old = hub.github.user("eve", Permission::Read);
    // What she is called is looked up, and before that name is used it is somebody else's.
    let holds = hub.github.hold_answers_to(&format!("GET /user/{old}"));
    hub.github.comment_as("eve", HUB, number, "/modelship run");
    let held = holds.next().unwrap();
    assert_ne!(hub.github.reuse_login("eve"), old);
    hub.github.user("eve", Permission::Write);
    held.answer();
    drop(holds);
    hub.until_said(number, &["write permission", "eve"]);
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 0);
}

#[test]
fn a_command_never_starts_a_head_that_its_plan_was_not_made_for() {
    let mut hub = Hub::empty();
    hub.world.add_settings("reconcile_every: 1h\n");
    let settings = hub.app_settings();
    hub.begin(&settings);
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    // The push is not told of, and nobody compares.
    hub.github.stop_delivering();
    hub.world.write("sweeps/sizes.yaml", "sweep: sizes\nmodel: examples/identity-matrix\nparameters: {N: [64]}\n");
    hub.world.push_branch("sizes", "Change it behind the plan");
    hub.listen();
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["the plan was made for", &hub.commit("sizes")[..7]]);
    hub.world.until_idle();
    hub.assert_no_job();
}

#[test]
fn the_policy_that_holds_is_the_default_branchs() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    hub.world.write("config/policy.yaml", "allow: [admin]\n");
    hub.world.push_branch("main", "Only administrators");
    hub.world.write("config/policy.yaml", "allow: [write]\n");
    let sweep = "sweep: loose\nmodel: examples/identity-matrix\nparameters: {N: [1, 2]}\n";
    let number = hub.ask_with("loose", "A policy of its own", sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["administrators only"]);
    hub.github.user("root", Permission::Admin);
    hub.github.comment_as("root", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

#[test]
fn a_marker_in_somebody_elses_comment_is_not_ours() {
    for mut hub in [Hub::as_app(), Hub::with_token()] {
        hub.github.user("eve", Permission::Read);
        hub.world.until_idle();
        hub.world.kill_server();
        let sweep = "sweep: sizes\nmodel: examples/identity-matrix\nparameters: {N: [1, 2]}\n";
        let number = hub.open("sizes", "A sweep", sweep);
        let forged = "2 of 2 done\n\n<!-- modelship:sweep/sweeps/sizes.yaml -->";
        let theirs =
            [hub.github.comment_as("eve", HUB, number, forged), hub.github.comment_by_other_app(HUB, number, forged)];
        hub.github.until_delivered();
        hub.start();
        hub.until_said(number, &["/modelship run sizes"]);
        hub.github.comment_as("ada", HUB, number, "/modelship run");
        hub.until_said(number, &["2 runs done"]);
        hub.world.until_idle();
        let comments = hub.github.comments(HUB, number);
        for left in comments.iter().filter(|comment| theirs.contains(&comment.id)) {
            assert_eq!((left.edits, left.body.as_str()), (0, forged));
        }
        assert_eq!(hub.ours(number).len(), 4, "theirs, the plan and the result");
    }
}

#[test]
fn what_is_told_twice_or_too_late_changes_nothing() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    let synchronized = |hub: &Hub| -> Vec<Delivery> {
        hub.github.until_delivered();
        let all = hub.github.deliveries().into_iter();
        all.filter(|delivery| delivery.action.as_deref() == Some("synchronize")).collect()
    };
    for (values, runs) in [("[1, 2, 3]", "3 runs"), ("[1, 2, 3, 4]", "4 runs")] {
        let sweep = format!("sweep: sizes\nmodel: examples/identity-matrix\nparameters: {{N: {values}}}\n");
        hub.world.write("sweeps/sizes.yaml", &sweep);
        git(&hub.world.clone, &["commit", "--quiet", "--all", "-m", "Ask for more"]);
        hub.world.push("sizes");
        hub.until_said(number, &[runs, "/modelship run sizes"]);
    }
    hub.world.until_idle();
    let before = hub.ours(number);
    let older = synchronized(&hub).remove(0);
    hub.github.redeliver(&older);
    hub.github.deliver_twice(&older);
    hub.github.until_delivered();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    let edits =
        |said: &[crate::github::Comment]| said.iter().map(|comment| (comment.id, comment.edits)).collect::<Vec<_>>();
    assert_eq!(edits(&hub.ours(number)), edits(&before));
    assert!(hub.ours(number)[0].body.contains("4 runs"));

    let command = hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["4 runs done"]);
    hub.github.until_delivered();
    let told =
        hub.github.deliveries().into_iter().rfind(|delivery| delivery.payload["comment"]["id"] == command).unwrap();
    hub.github.redeliver(&told);
    hub.github.deliver_twice(&told);
    hub.github.until_delivered();
    hub.world.until_idle();
    assert_eq!((hub.ours(number).len(), hub.sweeps().len()), (2, 1));
}

#[test]
fn a_flood_of_commands_does_not_fill_the_thread() {
    let mut hub = Hub::empty();
    hub.world.add_settings("comments_per_hour: 60\n");
    let settings = hub.app_settings();
    hub.begin(&settings);
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.user("eve", Permission::Read);
    for _ in 0..40 {
        hub.github.comment_as("eve", HUB, number, "/modelship help");
    }
    hub.github.until_delivered();
    hub.until_said(number, &["Commands"]);
    hub.world.until("what is due is said", |world| {
        (world.queue()["leased"] == 0 && hub.ours(number).len() > 20).then_some(())
    });
    // Nor later: what was left out is not said.
    hub.until_asked(3, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    let ours = hub.ours(number).len();
    assert!((21..=23).contains(&ours), "the plan, nineteen answers, and that others are left out: {ours}");
}
