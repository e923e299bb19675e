//! The App: how it is made, and what `doctor` says of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::hub::{HUB, Hub, SECRET};

#[test]
fn doctor_says_which_permission_is_missing_and_where_the_app_is_installed() {
    let hub = Hub::empty();
    let settings = hub.app_settings();
    hub.world.add_settings(&settings);
    let checks = |hub: &Hub| {
        let checks: Value = hub.world.modelship(&["doctor", "--output", "json"]).json();
        move |part: &str| {
            let mut all = checks.as_array().unwrap().iter();
            all.find(|check| check["part"] == part).unwrap_or_else(|| panic!("{checks}")).clone()
        }
    };
    let well = checks(&hub);
    assert_eq!(well("GitHub")["state"], "good");
    assert_eq!(well("permissions")["state"], "good");
    assert_eq!(well("events")["state"], "good");
    assert!(well("repositories")["found"].as_str().unwrap().contains(HUB));
    assert_eq!(well("sign-in")["state"], "look", "nobody can sign in, and everything else works");

    // The App asks for more than whoever installed it has accepted.
    hub.github.withhold("deployments");
    let withheld = checks(&hub)("installations");
    assert_eq!(withheld["found"], "not accepted yet by urban (deployments: write)");

    hub.github.set_app_permission("checks", None);
    hub.github.set_app_permission("issues", Some("read"));
    hub.github.unsubscribe_app("deployment");
    let lacking = checks(&hub);
    let (lacking, unheard) = (lacking("permissions"), lacking("events"));
    assert_eq!((&unheard["state"], &unheard["found"]), (&"bad".into(), &"the App is not told of deployment".into()));
    assert_eq!(lacking["state"], "bad");
    let found = lacking["found"].as_str().unwrap();
    assert!(found.contains("issues: write") && found.contains("checks: write"), "{found}");
}

/// The App's owner makes it with a browser; its files lie in `to` then.
fn make_app(hub: &Hub, to: &Path) -> Value {
    // It waits for its owner without end, and a test must not.
    let mut create = Command::new("timeout")
        .args(["300", env!("CARGO_BIN_EXE_modelship")])
        .args(["github-app", "create", "--url", "https://models.example.org", "--output", "json"])
        .args(["--github", &hub.github.url(), "--api", &hub.github.url()])
        .arg("--to")
        .arg(to)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(create.stderr.take().unwrap()).lines();
    let line = told.by_ref().map_while(Result::ok).find(|line| line.contains("open")).unwrap();
    let asked: Value = serde_json::from_str(&line).unwrap();
    let page = asked["open"].as_str().unwrap().to_owned();
    let curl = |url: &str| {
        let got = Command::new("curl").args(["-s", "-w", "\n%{http_code}", url]).output().unwrap();
        String::from_utf8(got.stdout).unwrap()
    };
    // Browsers open a connection more than they need.
    let _idle = TcpStream::connect(page.trim_start_matches("http://").trim_end_matches('/')).unwrap();

    // What the browser does: it sends the form to GitHub, which sends it back with a code.
    let form = curl(&page);
    let between =
        |text: &str, from: &str, to: &str| text.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let manifest = between(&form, "name=\"manifest\" value=\"", "\"").replace("&quot;", "\"").replace("&amp;", "&");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["callback_urls"][0], "https://models.example.org/signed-in");
    assert_eq!(manifest["hook_attributes"]["url"], "https://models.example.org/webhooks/github");
    let state = between(&form, "?state=", "\"");
    let back = manifest["redirect_url"].as_str().unwrap().to_owned();
    let code = hub.github.submit_manifest(manifest);
    assert!(curl(&format!("{back}?code={code}&state=guessed")).ends_with("400"), "somebody else's code");
    assert!(curl(&format!("{back}?code={code}&state={state}")).ends_with("200"));

    let output = create.wait_with_output().unwrap();
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    assert!(output.status.success(), "{rest:?}");
    assert!(!rest.iter().any(|line| line.contains("ERROR")), "nothing went wrong: {rest:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_app_is_made_in_its_owners_browser() {
    let hub = Hub::empty();
    let place = tempfile::tempdir().unwrap();
    let server = place.path().join("server");
    let made = make_app(&hub, &server);
    assert!(made["app"].as_u64().is_some(), "{made}");
    for secret in ["github-app.pem", "webhook-secret", "client-secret"] {
        let mode = fs::metadata(server.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let settings = fs::read_to_string(server.join("settings.yaml")).unwrap();
    assert!(settings.contains("key: github-app.pem"), "{settings}");
    let client = format!("client_id: {:?}, client_secret: client-secret", hub.github.client().0);
    assert!(settings.contains(&client), "{settings}");
}

#[test]
fn from_nothing_to_an_app_that_builds_what_is_pushed() {
    let mut hub = Hub::empty();
    // Nothing is there but what making the App writes.
    hub.world.environment.clear();
    let settings = hub.world.settings();
    fs::remove_file(&settings).unwrap();
    make_app(&hub, settings.parent().unwrap());
    let written = fs::read_to_string(&settings).unwrap();
    assert!(written.contains("listen: \"127.0.0.1:8080\""), "{written}");
    fs::write(&settings, written.replace("127.0.0.1:8080", "127.0.0.1:0")).unwrap();

    let doctor = |hub: &Hub| -> Vec<Value> {
        let checks = hub.world.modelship(&["doctor", "--output", "json"]).json();
        checks.as_array().unwrap().iter().filter(|check| check["state"] == "bad").cloned().collect()
    };
    let bad = doctor(&hub);
    let [only] = bad.as_slice() else { panic!("{bad:?}") };
    assert_eq!(only["part"], "trusted", "{only}");
    assert!(only["advice"].to_string().contains("process.trusted"), "{only}");
    hub.world.add_settings(&format!("process: {{trusted: [{HUB}]}}\n"));
    assert_eq!(doctor(&hub), Vec::<Value>::new());

    hub.world.start_server();
    let secret = fs::read_to_string(settings.with_file_name("webhook-secret")).unwrap();
    hub.github.deliver_to(&format!("{}/webhooks/github", hub.world.address()), &secret);
    let clone = hub.world.clone.to_str().unwrap().to_owned();
    hub.world.modelship(&["init", "--hub", &clone]).ok();
    hub.world.publish();
    let commit = hub.commit("main");
    hub.until_concluded(&commit, "modelship/build examples/identity-matrix", "success");
}

#[test]
fn what_is_pushed_to_a_repository_that_is_not_trusted_is_not_built_and_its_check_says_how() {
    let mut hub = Hub::empty();
    let settings = hub.app_settings();
    hub.world.add_settings(&settings);
    hub.world.add_settings("process: {trusted: [urban/other]}\n");
    hub.world.bring(&["identity-matrix"]);
    hub.start();
    hub.world.push_branch("main", "Begin");
    let commit = hub.commit("main");
    hub.until_concluded(&commit, "modelship/build examples/identity-matrix", "failure");
    let checks = hub.github.checks(HUB, &commit);
    let titles: Vec<String> = checks.iter().map(|check| check["output"]["title"].to_string()).collect();
    assert!(titles.iter().any(|title| title.contains("`process.trusted`")), "{titles:?}");
    assert_eq!(hub.world.modelship(&["models", "--output", "json"]).json().as_array().unwrap().len(), 0);
}

#[test]
fn a_server_without_a_secret_for_its_webhooks_does_not_begin() {
    let hub = Hub::empty();
    let settings = hub.app_settings();
    hub.world.add_settings(&settings);
    for secret in [None, Some(" ")] {
        // One that began would not end.
        let mut serve = Command::new("timeout");
        serve.args(["60", env!("CARGO_BIN_EXE_modelship"), "serve", "--settings"]).arg(hub.world.settings());
        serve.env_remove("MODELSHIP_WEBHOOK_SECRET").envs(secret.map(|secret| ("MODELSHIP_WEBHOOK_SECRET", secret)));
        let said = serve.output().unwrap();
        let words = String::from_utf8(said.stderr).unwrap();
        assert!(!matches!(said.status.code(), Some(0 | 124) | None), "{words}");
        assert!(words.contains("MODELSHIP_WEBHOOK_SECRET") && !words.contains("serves http"), "{words}");
    }
}

#[test]
fn one_secret_gives_way_to_another_without_a_gap() {
    const NEWER: &str = "the secret that takes the place of the older";
    let mut hub = Hub::empty();
    hub.world.environment.clear();
    hub.world.environment.push(("MODELSHIP_WEBHOOK_SECRET", format!("{SECRET}\n{NEWER}")));
    // What a delivery does not tell, nothing else does.
    hub.world.add_settings("reconcile_every: 1h\n");
    let settings = hub.app_settings();
    hub.begin(&settings);
    let address = format!("{}/webhooks/github", hub.world.address());
    hub.github.deliver_to(&address, NEWER);
    hub.ask_for("newer", "[1]");
    hub.github.deliver_to(&address, SECRET);
    hub.ask_for("older", "[2]");
}
