//! Who may say what. Asked at the moment of acting, by number.

use crate::github::Permission;
use crate::hub::{HUB, Hub};

#[test]
fn an_outsiders_comment_on_an_insiders_pull_request_is_an_outsiders() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.user("eve", Permission::Read);
    hub.github.comment_as("eve", HUB, number, "/modelship run");
    hub.until_said(number, &["write permission", "eve"]);
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 0);
}

#[test]
fn a_login_that_changed_hands_may_no_longer_what_it_might() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    // Whoever is called so now never might.
    hub.github.reuse_login("ada");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["write permission"]);
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 1);
}

#[test]
fn a_comment_that_is_edited_into_a_command_is_none() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    let comment = hub.github.comment_as("ada", HUB, number, "looks good");
    // GitHub's clock has seconds, and an edit shows once one has gone by.
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let written = second();
    hub.world.until("another second", |_| (second() > written + 1).then_some(()));
    hub.github.edit_comment_as("eve", HUB, comment, "/modelship run");
    hub.github.until_delivered();
    // Nor when the thread is read without anybody's telling.
    hub.until_asked(3, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    assert_eq!((hub.ours(number).len(), hub.sweeps().len()), (1, 0), "only the plan");
}

#[test]
fn a_fork_is_planned_and_not_run() {
    let hub = Hub::as_app();
    let number = ask_from_a_fork(&hub);
    hub.until_said(number, &["theirs"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["comes from a fork"]);
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 0);
}

#[test]
fn a_fork_runs_once_somebody_who_may_write_approved_that_commit() {
    let hub = Hub::as_app();
    let number = ask_from_a_fork(&hub);
    hub.until_said(number, &["/modelship approve", &hub.commit("theirs")]);
    let short = &hub.commit("theirs")[..10];
    hub.github.comment_as("eve", HUB, number, &format!("/modelship approve {}", hub.commit("theirs")));
    hub.until_said(number, &["was not done for", "write permission"]);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {short}"));
    hub.until_said(number, &["all 40 characters"]);
    let approval = hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {}", hub.commit("theirs")));
    hub.until_said(number, &["/modelship run theirs"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
    let reactions = hub.github.reactions(HUB, approval);
    assert_eq!(reactions, ["eyes", "rocket"]);
}

#[test]
fn a_fork_that_is_deleted_is_still_a_fork_and_runs_from_what_was_approved() {
    let hub = Hub::as_app();
    let number = ask_from_a_fork(&hub);
    hub.until_said(number, &["/modelship approve", &hub.commit("theirs")]);
    hub.github.delete_repository("eve/hub");
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["comes from a fork"]);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {}", hub.commit("theirs")));
    hub.until_said(number, &["/modelship run theirs"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

/// Eve, who may only read, asks for a sweep from her fork.
pub(crate) fn ask_from_a_fork(hub: &Hub) -> u64 {
    hub.world.write("sweeps/theirs.yaml", "sweep: theirs\nmodel: examples/identity-matrix\nparameters: {N: [1, 2]}\n");
    hub.open_from_fork().0
}
