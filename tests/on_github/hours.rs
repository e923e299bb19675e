//! What takes its time, or happens at the same time.

use serde_json::Value;

use crate::hub::{HUB, Hub};
use crate::lost::until_told_in_vain;
use crate::world::git;

const MODEL: &str = "examples/identity-matrix";

#[test]
fn a_repository_that_is_taken_out_of_the_app_in_the_middle_is_told_everything_once_it_is_back() {
    let hub = Hub::as_app();
    hub.github.set_private(HUB);
    let other = hub.github.repository("urban/other");
    let number = hub.run_slowly();
    hub.github.uninstall_from(HUB);
    until_told_in_vain(&hub);
    hub.until_nothing_runs();
    // Nobody tells of what happens in the meantime, and others are looked after.
    git(&hub.world.clone, &["push", "--quiet", "origin", "main:refs/tags/v1"]);
    let help = hub.github.comment_as("ada", HUB, number, "/modelship help");
    hub.until_asked(2, &format!("GET /repositories/{other}/pulls"));
    assert_eq!(hub.ours(number).len(), 1, "nobody may write there");
    hub.github.install_in(HUB);
    hub.until_said(number, &["2 runs done"]);
    hub.until_said(number, &["Commands"]);
    hub.world
        .until("the tag is known", |world| (world.modelship(&["versions", MODEL, "v1"]).status == 0).then_some(()));
    hub.world.until_idle();
    assert_eq!(hub.ours(number).len(), 3, "{help}: {:#?}", hub.ours(number));
}

#[test]
fn two_pull_requests_that_bring_the_same_version_share_it_and_one_moves_the_channel() {
    let mut hub = Hub::as_app();
    let versions = |hub: &Hub| hub.world.modelship(&["versions", MODEL, "--output", "json"]).ok().json();
    let channel = |hub: &Hub, name: &str| {
        let row = hub.world.modelship(&["versions", MODEL, name, "--output", "json"]).ok().json();
        row["id"].as_str().unwrap().to_owned()
    };
    let count = |hub: &Hub| versions(hub).as_array().unwrap().len();
    let before = count(&hub);
    hub.world.until_idle();
    // Both are there when the server comes.
    hub.world.kill_server();
    hub.world.write("models/identity-matrix/NOTES.md", "a thought\n");
    hub.world.push_branch("one", "Think");
    git(&hub.world.clone, &["push", "--quiet", "origin", "one:refs/heads/two"]);
    let pulls = ["one", "two"].map(|branch| hub.open_pull(branch, "The same"));
    hub.github.until_delivered();
    hub.start();
    for number in pulls {
        hub.until_said(number, &["passed"]);
    }
    hub.world.until_idle();
    assert_eq!(count(&hub), before + 1, "{}", versions(&hub));
    let own = channel(&hub, "pr-1");
    assert_eq!(own, channel(&hub, "pr-2"));

    for number in pulls {
        hub.github.comment_as("ada", HUB, number, &format!("/modelship promote {MODEL} production"));
    }
    let answers = |number: u64| {
        hub.ours(number).into_iter().filter(|comment| comment.body.contains("<!-- modelship:reply/")).count()
    };
    hub.world.until("both are answered", |_| pulls.iter().all(|number| answers(*number) == 1).then_some(()));
    hub.world.until_idle();
    assert_eq!(channel(&hub, "production"), own);
    let deployed = hub.github.deployments(HUB).into_iter();
    let commits: Vec<Value> = deployed
        .filter(|(shown, _)| shown["environment"] == format!("{MODEL}/production"))
        .map(|(shown, _)| shown["sha"].clone())
        .collect();
    assert_eq!(commits, [hub.commit("main"), hub.commit("one")], "it moved once");
}
