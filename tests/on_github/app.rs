//! The App: how it is made, and what `doctor` says of it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::hub::{HUB, Hub};

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
    assert!(well("repositories")["found"].as_str().unwrap().contains(HUB));

    hub.github.set_app_permission("checks", None);
    hub.github.set_app_permission("issues", Some("read"));
    let lacking = checks(&hub)("permissions");
    assert_eq!(lacking["state"], "bad");
    let found = lacking["found"].as_str().unwrap();
    assert!(found.contains("issues: write") && found.contains("checks: write"), "{found}");
}

#[test]
fn an_app_is_made_in_its_owners_browser() {
    let hub = Hub::empty();
    let place = tempfile::tempdir().unwrap();
    // It waits for its owner without end, and a test must not.
    let mut create = Command::new("timeout")
        .current_dir(place.path())
        .args(["60", env!("CARGO_BIN_EXE_modelship")])
        .args(["github-app", "create", "--url", "https://models.example.org", "--to", "server", "--output", "json"])
        .args(["--github", &hub.github.url(), "--api", &hub.github.url()])
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

    // What the browser does: it sends the form to GitHub, which sends it back with a code.
    let form = curl(&page);
    let between =
        |text: &str, from: &str, to: &str| text.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let manifest = between(&form, "name=\"manifest\" value=\"", "\"").replace("&quot;", "\"").replace("&amp;", "&");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["hook_attributes"]["url"], "https://models.example.org/webhooks/github");
    let state = between(&form, "?state=", "\"");
    let back = manifest["redirect_url"].as_str().unwrap().to_owned();
    let code = hub.github.submit_manifest(manifest);
    assert!(curl(&format!("{back}?code={code}&state=guessed")).ends_with("400"), "somebody else's code");
    assert!(curl(&format!("{back}?code={code}&state={state}")).ends_with("200"));

    let output = create.wait_with_output().unwrap();
    assert!(output.status.success());
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made["app"].as_u64().is_some(), "{made}");
    for secret in ["github-app.pem", "webhook-secret"] {
        let mode = std::fs::metadata(place.path().join("server").join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let settings = std::fs::read_to_string(place.path().join("server/settings.yaml")).unwrap();
    assert!(settings.contains("key: github-app.pem"), "{settings}");
}
