//! Comparing what we know with what is: nobody told of it, and it is found all the same.

use sqlx::{Connection as _, Executor as _};

use crate::github::{Fault, GitHub, Opened, Permission};
use crate::hub::{HUB, Hub};

#[test]
fn a_repository_that_always_fails_is_in_nobodys_way() {
    // They are looked at in the order in which they were made.
    let github = GitHub::start();
    let before = github.repository("urban/older");
    let mut hub = Hub::on(github);
    let after = hub.github.repository("urban/newer");
    let settings = hub.app_settings();
    hub.begin(&settings);
    let number = hub.ask_for("sizes", "[1, 2, 4]");
    hub.world.until_idle();
    hub.world.kill_server();
    for broken in [before, after] {
        hub.github.fail_next(10_000, &format!("GET /repositories/{broken}*"), Fault::BadGateway);
    }
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    crate::world::git(&hub.world.clone, &["push", "--quiet", "origin", "main:refs/tags/v1"]);
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    hub.start();
    hub.until_said(number, &["3 runs done"]);
    hub.world.until("the tag is known", |world| {
        (world.modelship(&["versions", "examples/identity-matrix", "v1"]).status == 0).then_some(())
    });
    for broken in ["urban/older", "urban/newer"] {
        assert!(hub.world.server_log().contains(&format!("cannot compare all of `{broken}`")));
    }
}

#[test]
fn a_program_gives_no_commands_whoever_tells_of_its_comment() {
    let mut hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    for login in ["helper[bot]", "copilot"] {
        hub.github.bot(login, Permission::Write);
    }
    let says_run = |hub: &Hub| {
        for login in ["helper[bot]", "copilot"] {
            hub.github.comment_as(login, HUB, number, "/modelship run");
        }
        hub.github.until_delivered();
    };
    let is_not_heard = |hub: &Hub| {
        hub.world.until_idle();
        assert_eq!(hub.ours(number).len(), 1, "only the plan: {:#?}", hub.ours(number));
        assert_eq!(hub.sweeps().len(), 0);
    };
    // First the deliveries tell, and then what is read of the thread.
    says_run(&hub);
    is_not_heard(&hub);
    hub.world.kill_server();
    says_run(&hub);
    hub.github.forget_deliveries();
    hub.start();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    is_not_heard(&hub);
}

#[test]
fn a_pull_request_that_was_closed_before_a_hundred_others_is_not_left_running() {
    let mut hub = Hub::as_app();
    let number = run_for_a_minute(&hub);
    hub.world.kill_server();
    hub.github.close_pull(HUB, number);
    close_a_hundred_others(&hub);
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    hub.start();
    hub.until_said(number, &["was cancelled"]);
    hub.until_nothing_runs();
    // The others are nobody's news, and no merges either.
    hub.until_asked(1, &format!("GET /repositories/{}/deployments", hub.repository));
    assert!(!hub.world.server_log().contains("cannot compare all"));
}

#[test]
fn a_pull_request_that_vanished_is_closed_and_one_that_cannot_be_read_hides_no_other() {
    let mut hub = Hub::as_app();
    let gone = run_for_a_minute(&hub);
    let unreadable = hub.ask_for("unreadable", "[1, 2]");
    let asks = hub.ask_for("sizes", "[1, 2, 4]");
    hub.world.kill_server();
    hub.github.comment_as("ada", HUB, asks, "/modelship run");
    // GitHub lists neither: of those that are not open it lists a hundred.
    for number in [gone, unreadable] {
        hub.github.close_pull(HUB, number);
    }
    close_a_hundred_others(&hub);
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    let (of_gone, of_unreadable) = (format!("GET */pulls/{gone}"), format!("GET */pulls/{unreadable}"));
    hub.github.fail_next(10_000, &of_gone, Fault::Status(404));
    hub.github.fail_next(10_000, &of_unreadable, Fault::BadGateway);
    hub.start();
    hub.until_said(asks, &["3 runs done"]);
    hub.until_nothing_runs();
    hub.world.until_idle();
    let asked = hub.github.count(&of_gone);
    hub.until_asked(2, &of_unreadable);
    assert_eq!(hub.github.count(&of_gone), asked, "what is gone is asked for no longer");
}

#[test]
fn a_job_that_no_sweep_waits_for_is_ended_and_that_is_said_once() {
    let hub = Hub::as_app();
    let number = run_for_a_minute(&hub);
    forget_sweeps(&hub);
    hub.until_nothing_runs();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    assert_eq!(hub.world.server_log().matches("ending a job that no sweep waits for").count(), 1);
}

/// Takes the states of all sweeps out of the live server's database, as nothing of ours ever does.
fn forget_sweeps(hub: &Hub) {
    let file = hub.world.state().join("modelship.db");
    let forget = async {
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        let gone = database.execute("DELETE FROM states WHERE kind = 'sweep'").await.unwrap().rows_affected();
        assert_eq!(gone, 1);
    };
    tokio::runtime::Runtime::new().unwrap().block_on(forget);
}

/// A pull request whose sweep runs, and does for a minute.
fn run_for_a_minute(hub: &Hub) -> u64 {
    let sweep = "sweep: slow\nmodel: examples/identity-matrix\nparameters: {N: [1, 2], SLEEP: 60}\n";
    let number = hub.ask_with("slow", "Slow", sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();
    number
}

/// Of pull requests that are not open GitHub lists the newest hundred, and these are more.
fn close_a_hundred_others(hub: &Hub) {
    for _ in 0..101 {
        let other = Opened { author: "ada", title: "Another", head: "slow", base: "main", draft: false };
        let other = hub.github.open_pull(HUB, &other);
        hub.github.close_pull(HUB, other);
    }
}
