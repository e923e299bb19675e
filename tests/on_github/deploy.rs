//! Channels and GitHub's deployments: shown there, asked for there, and moved by word in a pull request.

use serde_json::{Value, json};

use crate::github::{Fault, Permission};
use crate::hub::{HUB, Hub};

const MODEL: &str = "examples/identity-matrix";
const PRODUCTION: &str = "examples/identity-matrix/production";
const STAGING: &str = "examples/identity-matrix/staging";

/// The deployments to an environment with the states that they went through, the oldest first.
fn deployments(hub: &Hub, environment: &str) -> Vec<(Value, Vec<String>)> {
    let all = hub.github.deployments(HUB).into_iter();
    let states = |statuses: Vec<Value>| statuses.iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect();
    all.filter(|(shown, _)| shown["environment"] == environment).map(|(shown, said)| (shown, states(said))).collect()
}

/// What was said of a deployment last, and how.
fn answer(hub: &Hub, id: u64) -> (String, String) {
    hub.world.until(&format!("deployment {id} is answered"), |_| {
        let (_, said) = hub.github.deployments(HUB).into_iter().find(|(shown, _)| shown["id"] == id)?;
        let last = said.last().filter(|last| last["state"] != "in_progress")?;
        let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        Some((text("state"), text("description")))
    })
}

fn channel(hub: &Hub, channel: &str) -> Value {
    hub.world.modelship(&["versions", MODEL, channel, "--output", "json"]).ok().json()
}

/// Waits until so many deployments to an environment have succeeded, and gives them.
fn until_deployed(hub: &Hub, environment: &str, count: usize) -> Vec<Value> {
    hub.world.until(&format!("{count} deployments to {environment}"), |_| {
        let found = deployments(hub, environment);
        let done = found.len() == count && found.iter().all(|(_, states)| states.iter().any(|it| it == "success"));
        done.then(|| found.into_iter().map(|(shown, _)| shown).collect())
    })
}

/// Waits until the deployments were looked at, and what follows from that is done.
fn until_compared(hub: &Hub) {
    hub.until_asked(2, &format!("GET /repositories/{}/deployments", hub.repository));
    hub.world.until_idle();
}

/// A pull request that changes the model, once its version is there.
fn change(hub: &Hub, branch: &str) -> u64 {
    hub.world.checkout("main");
    hub.world.write("models/identity-matrix/NOTES.md", &format!("{branch}\n"));
    let number = hub.push_and_open(branch, "Change the model");
    hub.world.until("its version is registered", |world| {
        (world.modelship(&["versions", MODEL, &format!("pr-{number}")]).status == 0).then_some(())
    });
    hub.until_said(number, &["passed"]);
    number
}

#[test]
fn a_channel_that_moves_is_shown_as_a_deployment_once() {
    let hub = Hub::as_app();
    let first = until_deployed(&hub, PRODUCTION, 1).remove(0);
    assert_eq!(first["sha"], hub.commit("main"));
    assert_eq!((&first["task"], &first["production_environment"]), (&json!("deploy"), &json!(true)));
    assert_eq!(first["creator"]["login"], "modelship[bot]");
    let version = channel(&hub, "production");
    let mark = &first["payload"]["modelship"];
    assert_eq!((&mark["version"], &mark["digest"]), (&version["id"], &version["executable"]));

    // All answers are lost on the way: nothing is made twice.
    hub.github.fail_next(1, "POST */deployments", Fault::LostAnswer);
    hub.github.fail_next(1, "POST */deployments/*/statuses", Fault::ClosedAfter);
    change(&hub, "one");
    until_deployed(&hub, STAGING, 1);
    change(&hub, "two");
    until_deployed(&hub, STAGING, 2);
    hub.world.until_idle();
    let staging = deployments(&hub, STAGING);
    assert_eq!(staging[1].0["sha"], hub.commit("two"));
    assert_eq!(staging[1].1, ["success"]);
    assert_eq!(staging[0].1, ["success", "inactive"], "GitHub retires the older one");
    assert_eq!(staging[0].0["production_environment"], false);
    let named = |name: &str| hub.github.deployments(HUB).iter().filter(|(it, _)| it["environment"] == name).count();
    assert_eq!((named("one"), named("pr-1"), hub.github.deployments(HUB).len()), (0, 0, 3), "branches are nobody's");
}

#[test]
fn a_version_is_promoted_by_word_in_its_pull_request_and_back() {
    let hub = Hub::as_app();
    let before = channel(&hub, "production")["id"].as_str().unwrap().to_owned();
    let number = change(&hub, "change");
    let own = channel(&hub, &format!("pr-{number}"))["id"].as_str().unwrap().to_owned();
    // Neither that the default branch has gone on meanwhile nor what others say of the commit is in the way.
    hub.world.checkout("main");
    hub.world.write("README.md", "words\n");
    hub.world.push_branch("main", "Go on");
    let failed = json!({"context": "lint", "state": "failure"});
    hub.github.say_of("eve", HUB, &hub.commit("change"), &failed);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship promote {MODEL} production"));
    hub.until_said(number, &["`production`", "moved from version", &before, &own, "production back"]);
    assert_eq!(channel(&hub, "production")["id"], own.as_str());
    let shown = until_deployed(&hub, PRODUCTION, 2).remove(1);
    assert_eq!(shown["sha"], hub.commit("change"));
    assert!(shown["description"].as_str().unwrap().contains("promoted by ada in #1"), "{shown}");

    hub.github.comment_as("ada", HUB, number, &format!("/modelship promote {MODEL} production back"));
    hub.until_said(number, &["moved from version", &format!("`{own}` to `{before}`")]);
    assert_eq!(channel(&hub, "production")["id"], before.as_str());
    until_deployed(&hub, PRODUCTION, 3);
    hub.world.until_idle();
    let answers = hub.ours(number).into_iter().filter(|comment| comment.body.contains("<!-- modelship:reply/")).count();
    assert_eq!(answers, 2, "one answer to each: {:#?}", hub.ours(number));
}

#[test]
fn who_may_not_and_what_is_not_there_is_not_promoted() {
    let hub = Hub::as_app();
    let before = channel(&hub, "production");
    let number = change(&hub, "change");
    hub.github.user("eve", Permission::Read);
    hub.github.comment_as("eve", HUB, number, &format!("/modelship promote {MODEL} production"));
    hub.until_said(number, &["write permission", "eve"]);
    let says = |body: &str, words: &[&str]| {
        hub.github.comment_as("ada", HUB, number, body);
        hub.until_said(number, words);
    };
    says(&format!("/modelship promote {MODEL} prodution"), &["has no channel"]);
    says(&format!("/modelship promote {MODEL} main"), &["follows the branch"]);
    says(&format!("/modelship promote {MODEL} pr-1"), &["follows its pull request"]);
    says("/modelship promote examples/other production", &["does not change that model"]);
    says("/modelship promote examples/other staging back", &["no model is called"]);
    says("/modelship promote production", &["Did you mean", "promote OWNER/TITLE production"]);
    // Who may sweep may not promote where the policy says so.
    hub.world.checkout("main");
    hub.world.write("config/policy.yaml", "promote: [admin]\n");
    hub.world.push_branch("main", "Only administrators");
    says(&format!("/modelship promote {MODEL} staging"), &["administrators only"]);
    hub.world.until_idle();
    assert_eq!(channel(&hub, "production")["id"], before["id"]);
    assert_eq!(deployments(&hub, PRODUCTION).len(), 1);
}

#[test]
fn a_deployment_made_on_github_moves_the_channel_and_is_answered() {
    let hub = Hub::as_app();
    until_deployed(&hub, PRODUCTION, 1);
    let number = change(&hub, "change");
    let deploy = |login: &str, reference: &str, fields: Value| hub.github.deploy_as(login, HUB, reference, fields);

    // GitHub does not answer at first, and an answer is lost later.
    hub.github.fail_next(1, "GET */collaborators/*/permission", Fault::LostAnswer);
    hub.github.fail_next(1, "POST */deployments/*/statuses", Fault::LostAnswer);
    let done = deploy("ada", "change", json!({"environment": PRODUCTION}));
    assert_eq!(answer(&hub, done).0, "success");
    let own = channel(&hub, &format!("pr-{number}"));
    assert_eq!(channel(&hub, "production")["id"], own["id"]);
    let states = &deployments(&hub, PRODUCTION)[1].1;
    assert_eq!(states, &["in_progress", "success"]);

    // By what the payload names; it stands there already.
    let named = deploy("ada", "main", json!({"environment": "eu", "payload": {"model": MODEL, "channel": "staging"}}));
    assert_eq!(answer(&hub, named).0, "success");
    assert_eq!(channel(&hub, "staging")["source"]["commit"], hub.commit("main"));

    hub.github.user("eve", Permission::Read);
    let denied = deploy("eve", "main", json!({"environment": PRODUCTION}));
    let (state, why) = answer(&hub, denied);
    assert_eq!(state, "failure");
    assert!(why.contains("write permission"), "{why}");

    hub.world.checkout("main");
    hub.world.write("README.md", "no model changes here\n");
    hub.world.push_branch("words", "Only words");
    let nothing = deploy("ada", "words", json!({"environment": PRODUCTION}));
    let (state, why) = answer(&hub, nothing);
    assert_eq!(state, "failure");
    assert!(why.contains("has no version at"), "{why}");
    let unknown = deploy("ada", "main", json!({"environment": format!("{MODEL}/prodution")}));
    assert_eq!(answer(&hub, unknown).0, "failure");

    // Others have environments too.
    let theirs = [json!({"environment": "production"}), json!({"environment": "eu/west/blue"})];
    let theirs = theirs.map(|fields| deploy("ada", "main", fields));
    hub.github.until_delivered();
    hub.world.until_idle();
    for (shown, said) in hub.github.deployments(HUB) {
        if theirs.iter().any(|id| shown["id"] == *id) {
            assert_eq!(said, Vec::<Value>::new(), "{shown}");
        }
    }
    assert_eq!(channel(&hub, "production")["id"], own["id"]);
    let ours = |(shown, _): &(Value, Vec<Value>)| shown["creator"]["login"] == "modelship[bot]";
    assert_eq!(hub.github.deployments(HUB).into_iter().filter(ours).count(), 2, "none for what others deploy");
}

#[test]
fn a_deployment_that_succeeded_leads_to_the_models_page() {
    let hub = Hub::signing_in("", |_| {});
    change(&hub, "change");
    let theirs = hub.github.deploy_as("ada", HUB, "change", json!({"environment": STAGING}));
    assert_eq!(answer(&hub, theirs).0, "success");
    hub.world.until_idle();
    let page = format!("{}/models/{MODEL}", hub.world.address());
    let deployments = hub.github.deployments(HUB);
    assert!(deployments.len() > 1, "ours and hers: {deployments:?}");
    for (shown, said) in deployments {
        let success =
            said.iter().find(|said| said["state"] == "success").unwrap_or_else(|| panic!("{shown}: {said:?}"));
        assert_eq!(success["environment_url"], page.as_str(), "{shown}");
    }
}

#[test]
fn a_deployment_made_while_nobody_listens_acts_once_the_server_is_back() {
    let mut hub = Hub::as_app();
    let number = change(&hub, "change");
    hub.world.until_idle();
    hub.world.kill_server();
    let older = hub.github.deploy_as("ada", HUB, "main", json!({"environment": STAGING}));
    let newer = hub.github.deploy_as("ada", HUB, "change", json!({"environment": STAGING}));
    hub.github.until_delivered();
    hub.github.forget_deliveries();
    hub.start();
    assert_eq!(answer(&hub, newer).0, "success");
    answer(&hub, older);
    hub.world.until_idle();
    assert_eq!(channel(&hub, "staging")["id"], channel(&hub, &format!("pr-{number}"))["id"], "the newer one holds");
    let killed = hub.github.deploy_as("ada", HUB, "main", json!({"environment": STAGING}));
    hub.github.until_delivered();
    hub.world.kill_server();
    hub.start();
    assert_eq!(answer(&hub, killed).0, "success");
    hub.world.until_idle();
    assert_eq!(deployments(&hub, STAGING).pop().unwrap().1, ["in_progress", "success"]);

    // A restart finds them answered.
    let count = hub.github.count("POST */deployments/*/statuses");
    hub.world.kill_server();
    hub.start();
    until_compared(&hub);
    assert_eq!(hub.github.count("POST */deployments/*/statuses"), count);
}

#[test]
fn what_a_workflow_deploys_while_nobody_listens_waits_for_its_delivery() {
    let mut hub = Hub::as_app();
    until_deployed(&hub, PRODUCTION, 1);
    hub.world.until_idle();
    hub.world.kill_server();
    let id = hub.github.deploy_by_workflow_of("ada", HUB, "main", json!({"environment": STAGING}));
    hub.github.until_delivered();
    let lost = hub.github.deliveries().into_iter().rfind(|delivery| delivery.event == "deployment").unwrap();
    hub.github.forget_deliveries();
    // Who started the workflow cannot be found out by looking.
    hub.start();
    until_compared(&hub);
    assert_eq!(deployments(&hub, STAGING)[0].1, [""; 0]);
    hub.github.redeliver(&lost);
    assert_eq!(answer(&hub, id).0, "success");
}

#[test]
fn a_channel_that_moved_twice_while_github_was_away_is_shown_where_it_is() {
    let mut hub = Hub::as_app();
    until_deployed(&hub, PRODUCTION, 1);
    hub.world.until_idle();
    hub.world.expected_errors.push("GitHub");
    hub.github.fail_next(1_000, "POST */deployments", Fault::BadGateway);
    let (first, second) = (change(&hub, "one"), change(&hub, "two"));
    assert_ne!(channel(&hub, &format!("pr-{first}"))["id"], channel(&hub, &format!("pr-{second}"))["id"]);
    hub.github.heal();
    let shown = hub.world.until("the newest move is shown", |_| {
        deployments(&hub, STAGING).pop().filter(|(_, states)| states.last().is_some_and(|it| it == "success"))
    });
    assert_eq!(shown.0["sha"], hub.commit("two"));
    hub.world.until_idle();
    assert_eq!(deployments(&hub, STAGING).len(), 1, "the older one is not shown after it");
}

#[test]
fn a_token_shows_deployments_too() {
    let hub = Hub::with_token();
    let shown = until_deployed(&hub, PRODUCTION, 1).remove(0);
    assert_eq!(shown["creator"]["login"], "robot");
    hub.world.until_idle();
    // It is known again by who made it.
    hub.github.fail_next(1, "POST */deployments", Fault::LostAnswer);
    change(&hub, "change");
    until_deployed(&hub, STAGING, 1);
    hub.world.until_idle();
    assert_eq!(hub.github.heal(), []);
    assert_eq!(hub.github.deployments(HUB).len(), 2);
}

#[test]
fn an_app_that_may_not_deploy_does_everything_else() {
    let mut hub = Hub::empty();
    hub.github.set_app_permission("deployments", None);
    let settings = hub.app_settings();
    hub.begin(&settings);
    let number = change(&hub, "change");
    hub.github.comment_as("ada", HUB, number, &format!("/modelship promote {MODEL} production"));
    hub.until_said(number, &["moved from version"]);
    hub.world.until_idle();
    assert_eq!(hub.github.deployments(HUB).len(), 0);
    assert!(hub.world.server_log().contains("a deployment is not shown"));
}
