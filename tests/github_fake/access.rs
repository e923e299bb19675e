//! Who may do what, with which token, for how long.

use serde_json::{Value, json};

use crate::github::Permission;
use crate::place::{HUB, Place, ask, git, jwt, minted};

#[test]
fn a_token_does_what_it_was_minted_for_and_nothing_else() {
    let place = Place::new();
    let url = place.github.url();
    let other = place.github.repository("urban/other");
    let asked = json!({"repository_ids": [other], "permissions": {"contents": "read"}});
    let narrow = minted(&place.github, &asked);
    assert_eq!(narrow["repositories"][0]["id"], other);
    let token = narrow["token"].as_str().unwrap();
    let status = |token: &str, method: &str, target: &str, body: &Value| ask(&url, token, method, target, body).status;
    assert_eq!(status(token, "GET", "/repos/urban/other/branches", &Value::Null), 200);
    assert_eq!(status(token, "GET", "/repos/urban/other/pulls", &Value::Null), 403);
    // What it is not for it may read where everybody may, and where not, there is nothing for it.
    let comment = json!({"body": "hello"});
    assert_eq!(status(token, "GET", "/repos/urban/hub/branches", &Value::Null), 200);
    assert_eq!(status(token, "POST", "/repos/urban/hub/issues/1/comments", &comment), 403);
    place.github.set_private(HUB);
    assert_eq!(status(token, "GET", "/repos/urban/hub/branches", &Value::Null), 404);
    assert_eq!(status(token, "POST", "/repos/urban/hub/issues/1/comments", &comment), 404);
    assert_eq!(status("", "GET", "/repos/urban/hub", &Value::Null), 401);
    assert_eq!(status("ghs_wrong", "GET", "/repos/urban/hub", &Value::Null), 401);
    place.github.uninstall_from(HUB);
    assert_eq!(status(&place.token, "GET", "/repos/urban/hub", &Value::Null), 404);
    place.github.install_in(HUB);
    place.github.suspend();
    assert_eq!(status(&place.token, "GET", "/repos/urban/hub", &Value::Null), 403);
    place.github.unsuspend();
    assert_eq!(status(&place.token, "GET", "/repos/urban/hub", &Value::Null), 200);
    place.github.expire_tokens();
    assert_eq!(status(&place.token, "GET", "/repos/urban/hub", &Value::Null), 401);
}

#[test]
fn an_app_signs_for_ten_minutes_at_most_and_gets_tokens_of_both_forms() {
    let place = Place::new();
    let status = |token: &str| ask(&place.github.url(), token, "GET", "/app", &Value::Null).status;
    assert_eq!(status(&jwt(&place.github, -60, 590)), 200);
    assert_eq!(status(&jwt(&place.github, -60, 700)), 401);
    assert_eq!(status(&jwt(&place.github, -60, -1)), 401);
    assert_eq!(status(&jwt(&place.github, 60, 300)), 401);
    let mut forged = jwt(&place.github, -60, 300);
    let at = forged.rfind('.').unwrap() + 20;
    let letter = if forged.as_bytes()[at] == b'A' { "B" } else { "A" };
    forged.replace_range(at..=at, letter);
    assert_eq!(status(&forged), 401);
    let lengths: Vec<_> = (0..2).map(|_| minted(&place.github, &json!({}))["token"].as_str().unwrap().len()).collect();
    assert!(lengths.contains(&40) && lengths.iter().any(|length| *length > 200), "{lengths:?}");
    place.github.set_token_life(-1);
    let stale = minted(&place.github, &json!({}));
    let token = stale["token"].as_str().unwrap();
    assert_eq!(ask(&place.github.url(), token, "GET", "/repos/urban/hub", &Value::Null).status, 401);
    place.github.set_app_permission("checks", None);
    let target = format!("/app/installations/{}/access_tokens", place.github.installation_id());
    let asked = json!({"permissions": {"checks": "write"}});
    assert_eq!(ask(&place.github.url(), &jwt(&place.github, -60, 300), "POST", &target, &asked).status, 422);
}

#[test]
fn people_do_what_their_permission_allows() {
    let place = Place::new();
    let url = place.github.url();
    let (ada, mallory) = (place.github.token_of("ada"), place.github.token_of("mallory"));
    let target = format!("/repos/urban/hub/statuses/{}", place.head());
    let body = json!({"state": "success"});
    assert_eq!(ask(&url, &ada, "POST", &target, &body).status, 201);
    assert_eq!(ask(&url, &mallory, "POST", &target, &body).status, 403);
    let said = ask(&url, &mallory, "POST", "/repos/urban/hub/issues/1/comments", &json!({"body": "hello"}));
    assert_eq!((said.status, &said.value()["performed_via_github_app"]), (201, &Value::Null));
    place.github.set_private(HUB);
    place.github.permit(HUB, "mallory", Permission::None);
    assert_eq!(ask(&url, &mallory, "GET", "/repos/urban/hub", &Value::Null).status, 404);
    assert_eq!(ask(&url, &ada, "GET", "/repos/urban/hub", &Value::Null).status, 200);
}

#[test]
fn an_app_learns_what_somebody_may_do_only_where_it_is_installed() {
    let place = Place::new();
    let rights = || place.ask("GET", "/repos/urban/hub/collaborators/mallory/permission", &Value::Null);
    assert_eq!(rights().value()["role_name"], "read");
    place.github.uninstall_from(HUB);
    let refused = rights();
    assert_eq!(
        (refused.status, &refused.value()["message"]),
        (403, &json!("Resource not accessible by integration")),
        "what is public itself may be read"
    );
    assert_eq!(place.ask("GET", "/repos/urban/hub", &Value::Null).status, 200);
    place.github.set_private(HUB);
    assert_eq!(rights().status, 404);
    place.github.install_in(HUB);
    assert_eq!(rights().value()["role_name"], "read");
}

#[test]
fn git_reads_and_writes_over_http_with_a_token() {
    let place = Place::new();
    place.github.set_private(HUB);
    let plain = place.github.clone_url(HUB);
    let with_token = plain.replace("http://", &format!("http://x-access-token:{}@", place.token));
    let there = tempfile::tempdir().unwrap();
    let refused =
        std::process::Command::new("git").env("GIT_TERMINAL_PROMPT", "0").args(["ls-remote", &plain]).output().unwrap();
    assert!(!refused.status.success());
    git(there.path(), &["clone", "--quiet", &with_token, "."]);
    git(there.path(), &["checkout", "--quiet", "-b", "over-http"]);
    git(there.path(), &["commit", "--quiet", "--allow-empty", "-m", "over http"]);
    git(there.path(), &["push", "--quiet", "origin", "over-http"]);
    let head = git(there.path(), &["rev-parse", "HEAD"]);
    assert_eq!(git(&place.github.directory(HUB), &["rev-parse", "over-http"]), head);
}

#[test]
fn somebody_signs_in_with_a_code_that_is_good_once_and_for_who_began() {
    let github = crate::github::GitHub::start();
    github.user("ada", Permission::Write);
    github.call_back_to("https://models.example.org/signed-in");
    github.visit_as("ada");
    let (id, secret) = github.client();
    // RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let back = "https%3A%2F%2Fmodels.example.org%2Fsigned-in";
    let agree = || {
        let target = format!(
            "/login/oauth/authorize?client_id={id}&redirect_uri={back}&state=s&code_challenge={challenge}&\
             code_challenge_method=S256"
        );
        let sent = ask(&github.url(), "", "GET", &target, &Value::Null);
        let to = sent.header("location").unwrap().to_owned();
        assert!(to.starts_with("https://models.example.org/signed-in?code=") && to.ends_with("&state=s"), "{to}");
        to.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned()
    };
    let exchange = |code: &str, verifier: &str, secret: &str| {
        let form =
            format!("client_id={id}&client_secret={secret}&code={code}&redirect_uri={back}&code_verifier={verifier}");
        let headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let (method, target) = ("POST".to_owned(), "/login/oauth/access_token".to_owned());
        let request = crate::github::Request { method, target, headers, body: form.into_bytes() };
        crate::github::send(&github.url(), &request, std::time::Duration::from_secs(60)).unwrap().value()
    };
    assert_eq!(exchange(&agree(), verifier, "wrong")["error"], "incorrect_client_credentials");
    assert_eq!(exchange(&agree(), "wrong", &secret)["error"], "bad_verification_code");
    assert_eq!(exchange("made-up", verifier, &secret)["error"], "bad_verification_code");
    let code = agree();
    let given = exchange(&code, verifier, &secret);
    assert_eq!(exchange(&code, verifier, &secret)["error"], "bad_verification_code");
    let token = given["access_token"].as_str().unwrap();
    assert_eq!(ask(&github.url(), token, "GET", "/user", &Value::Null).value()["login"], "ada");
    let elsewhere = format!("/login/oauth/authorize?client_id={id}&redirect_uri=https%3A%2F%2Fevil.example");
    assert_eq!(ask(&github.url(), "", "GET", &elsewhere, &Value::Null).header("location"), None);
}
