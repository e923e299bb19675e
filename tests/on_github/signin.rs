//! Who reads what: artifacts, logs and pages behind signing in with GitHub.

use std::fs;

use serde_json::Value;

use crate::browser::Browser;
use crate::github::{Permission, Request, Response, send};
use crate::hub::{HUB, Hub};
use crate::world::World;

/// A model that prints and keeps whatever it is told, and fails when it is told to.
const ECHO: &str = "owner: examples
title: echo
description: repeats what it is told
source: {path: models/echo}
build:
  process: [[\"true\"]]
run:
  command: [sh, \"{model}/echo.sh\", \"{params}\", \"{outputs}\"]
  params: {format: csv}
parameters:
  WORD: {type: string, default: plain}
  N: {type: int, default: 1}
outputs:
  summary: summary.json
  files: [told.txt, deep/told.txt]
";

const SCRIPT: &str = "set -e
cat \"$1\"
echo '<script>alert(2)</script> ghp_0123456789abcdef0123456789abcdef0123'
case $(cat \"$1\") in *fail*) exit 3;; esac
mkdir -p \"$2/deep\"
cp \"$1\" \"$2/told.txt\"
cp \"$1\" \"$2/deep/told.txt\"
echo '{\"answer\": 42}' > \"$2/summary.json\"
";

fn bring_echo(world: &World) {
    world.write("config/examples/echo.yaml", ECHO);
    world.write("models/echo/echo.sh", SCRIPT);
}

/// A private hub with a sweep that is done: its pull request, its id, and a run of it that succeeded and one that failed.
struct Done {
    hub: Hub,
    number: u64,
    sweep: String,
    run: String,
    failed: String,
}

fn done(more: &str) -> Done {
    let hub = Hub::signing_in(more, bring_echo);
    hub.github.set_private(HUB);
    hub.world.checkout("main");
    let words = "[plain, \"<img src=x onerror=alert(1)>\", \"fail\"]";
    let sweep = format!("sweep: words\nmodel: examples/echo\nparameters:\n  WORD: {words}\n");
    let number = hub.ask_with("words", "<script>alert(0)</script>", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 of 3 runs done"]);
    hub.world.until_idle();
    let status = hub.world.modelship(&["sweep", "status", "--output", "json"]).ok().json();
    let sweep = status[0]["plan"]["id"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
    let table = hub.world.state().join("artifacts/sweeps").join(&sweep).join("analysis.csv");
    let table = fs::read_to_string(table).unwrap();
    let run = table.lines().find(|line| line.contains("succeeded")).unwrap()[..64].to_owned();
    let failed = status[0]["failures"][0]["run"].as_str().unwrap().to_owned();
    Done { hub, number, sweep, run, failed }
}

impl Done {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.hub.world.address())
    }

    /// A browser in which somebody has signed in.
    fn browser(&self, login: &str) -> Browser {
        let mut browser = Browser::default();
        self.hub.github.visit_as(login);
        let (at, page) = browser.open(&self.url("/sign-in"));
        assert_eq!((at, page.status), (self.url("/"), 200), "{}", text(&page));
        browser
    }

    /// Somebody who may do nothing in the hub.
    fn eve(&self) -> Browser {
        self.hub.github.user("eve", Permission::None);
        self.browser("eve")
    }

    /// A program asks, perhaps with a token.
    fn program(&self, path: &str, token: Option<&str>) -> Response {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        let request = Request { method: "GET".to_owned(), target: path.to_owned(), headers, body: Vec::new() };
        send(&self.hub.world.address(), &request, std::time::Duration::from_secs(60)).unwrap()
    }
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

#[test]
fn a_reader_follows_the_comments_link_signs_in_and_reads() {
    let done = done("");
    let result = done.hub.until_said(done.number, &["2 of 3 runs done"]);
    let address = done.hub.world.address();
    let link = format!("{address}/sweeps/{}/analysis.csv", done.sweep);
    assert!(result.body.contains(&link), "{}", result.body);
    assert!(
        result.body.contains(&format!("{address}/runs/{}/log", done.failed)),
        "the failed run's log: {}",
        result.body
    );
    assert!(!result.body.contains("file://"), "{}", result.body);
    let report = format!("{address}/sweeps/{}/report.html", done.sweep);
    assert!(result.body.contains(&report), "{}", result.body);

    // So do the check and the answer to whoever asks for a log.
    let checks = done.hub.github.checks(HUB, &done.hub.commit("words"));
    let check = checks.iter().rfind(|check| check["name"] == "modelship/sweep words").unwrap();
    assert_eq!(check["details_url"].as_str(), Some(report.as_str()), "{check}");
    done.hub.github.comment_as("ada", HUB, done.number, &format!("/modelship logs {}", done.run));
    done.hub.until_said(done.number, &["✅ succeeded", &format!("[all is here]({address}/runs/{}/log)", done.run)]);

    let mut browser = Browser::default();
    done.hub.github.visit_as("ada");
    let (at, table) = browser.open(&link);
    assert_eq!((at.as_str(), table.status), (link.as_str(), 200), "{}", text(&table));
    assert!(text(&table).contains("answer"));
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(table.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(table.header("cache-control"), Some("private, no-cache"));
    assert!(table.header("content-disposition").unwrap().starts_with("attachment; filename=\"words-"));

    let tag = table.header("etag").unwrap().to_owned();
    let again = browser.ask("GET", &link, &[("if-none-match", &tag)], "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = browser.ask("HEAD", &link, &[], "");
    assert_eq!((head.status, head.header("content-length")), (200, table.header("content-length")));
    let part = browser.ask("GET", &link, &[("range", "bytes=4-9")], "");
    assert_eq!((part.status, &part.body[..]), (206, &table.body[4..10]));

    let parquet = browser.get(&done.url(&format!("/sweeps/{}/analysis.parquet", done.sweep)));
    assert!(parquet.body.starts_with(b"PAR1") && parquet.body.ends_with(b"PAR1"));
    let page = browser.get(&report);
    assert!(page.status == 200 && text(&page).contains("<h1>Sweep words-"), "{}", text(&page));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for (file, holds) in [("plan.json", "\"manifest\""), ("points.jsonl", "\"run\"")] {
        let file = browser.get(&done.url(&format!("/sweeps/{}/{file}", done.sweep)));
        assert!(file.status == 200 && text(&file).contains(holds), "{}", text(&file));
    }
    let kept = browser.get(&done.url(&format!("/runs/{}/files/deep/told.txt", done.run)));
    assert!(kept.status == 200 && text(&kept).contains("WORD"), "{}", text(&kept));
    assert_eq!(kept.header("content-type"), Some("application/octet-stream"));
    assert!(kept.header("content-security-policy").unwrap().contains("sandbox"));
    let log = browser.get(&done.url(&format!("/runs/{}/log", done.run)));
    assert!(log.status == 200 && text(&log).contains("[redacted]") && !text(&log).contains("ghp_"), "{}", text(&log));
    assert_eq!(log.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(browser.get(&done.url("/sweeps/words/nothing.csv")).status, 404);

    // What the person's token was used for is done, and nobody keeps it.
    let tokens = done.hub.github.tokens_of_people();
    assert_eq!(tokens.len(), 1);
    assert!(!done.hub.world.server_log().contains(&tokens[0]));
    let names = ["modelship.db", "modelship.db-wal"].map(|name| done.hub.world.state().join(name));
    for bytes in names.into_iter().filter_map(|path| fs::read(path).ok()) {
        assert!(!bytes.windows(tokens[0].len()).any(|window| window == tokens[0].as_bytes()));
    }
    let metrics = text(&done.program("/metrics", None));
    assert!(metrics.contains("modelship_forge_requests_left{resource=\"core\"}"), "{metrics}");
}

#[test]
fn a_stranger_of_a_private_repository_gets_nothing_and_learns_nothing() {
    let done = done("");
    let unknown = format!("/runs/{}/log", "0".repeat(64));
    let there = [
        format!("/sweeps/{}", done.sweep),
        format!("/sweeps/{}/analysis.csv", done.sweep),
        format!("/runs/{}", done.run),
        format!("/runs/{}/log", done.run),
        format!("/runs/{}/files/told.txt", done.run),
        "/models/examples/echo".to_owned(),
        "/api/models/examples/echo/versions".to_owned(),
        format!("/api/sweeps/{}", done.sweep),
    ];
    let not_there = ["/sweeps/none-0123456789".to_owned(), unknown, "/models/examples/none".to_owned()];

    let (mut stranger, mut eve) = (Browser::default(), done.eve());
    let nothing = done.program("/sweeps/none-0123456789", None);
    let seen = text(&eve.get(&done.url("/sweeps/none-0123456789")));
    assert!(seen.contains("signed in as <b>eve</b>"), "{seen}");
    for path in there.iter().chain(&not_there) {
        let as_program = done.program(path, None);
        assert_eq!((as_program.status, text(&as_program)), (401, text(&nothing)), "{path}");
        let as_browser = stranger.get(&done.url(path));
        let to = path.replace('/', "%2F");
        assert_eq!(
            (as_browser.status, as_browser.header("location")),
            (303, Some(format!("/sign-in?to={to}").as_str()))
        );
        let without_right = eve.get(&done.url(path));
        assert_eq!((without_right.status, text(&without_right)), (404, seen.clone()), "{path}");
    }
    for list in ["/api/models", "/api/sweeps"] {
        assert_eq!(done.program(list, None).status, 401);
        let empty: Value = eve.ask("GET", &done.url(list), &[("accept", "application/json")], "").value();
        assert_eq!(empty[list.trim_start_matches("/api/")], Value::Array(Vec::new()), "{empty}");
    }
    for page in [text(&stranger.get(&done.url("/"))), text(&eve.get(&done.url("/")))] {
        assert!(!page.contains("echo") && !page.contains("words"), "{page}");
    }
}

#[test]
fn a_permission_that_is_taken_away_counts_and_the_session_does_not_help() {
    let mut done = done("");
    let mut ada = done.browser("ada");
    let path = format!("/sweeps/{}/analysis.csv", done.sweep);
    assert_eq!(ada.get(&done.url(&path)).status, 200);
    done.hub.github.user("ada", Permission::None);
    // An answer is believed for a minute, by the server that got it.
    done.hub.world.kill_server();
    done.hub.world.start_server();
    assert_eq!(ada.get(&done.url(&path)).status, 404);
    assert_eq!(text(&ada.get(&done.url("/"))).matches(">ada<").count(), 1, "still signed in");

    // A login that changed hands opens nothing either.
    done.hub.github.user("ada", Permission::Write);
    done.hub.github.reuse_login("ada");
    done.hub.world.kill_server();
    done.hub.world.start_server();
    let mut new_ada = done.browser("ada");
    assert_eq!(new_ada.get(&done.url(&path)).status, 404);
}

#[test]
fn a_session_that_somebody_made_up_is_none() {
    let done = done("");
    let ada = done.browser("ada");
    let path = done.url(&format!("/sweeps/{}/analysis.csv", done.sweep));
    assert_eq!(ada.clone().get(&path).status, 200);
    let ((server, name), word) = ada.cookies.iter().next().unwrap();
    assert_eq!(name, "modelship", "over plain http; `__Host-` needs TLS");
    let (content, mac) = word.split_once('.').unwrap();
    let first = if content.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{first}{}.{mac}", &content[1..]),
        format!("{content}.{}", "A".repeat(mac.len())),
        content.to_owned(),
        format!("{content}."),
        String::new(),
    ] {
        let mut browser = Browser::default();
        browser.cookies.insert((server.clone(), name.clone()), forged.clone());
        assert_eq!(browser.get(&path).status, 303, "{forged}");
    }
}

#[test]
fn signing_in_belongs_to_the_browser_that_began_it() {
    let done = done("");
    done.hub.github.visit_as("ada");
    let mut browser = Browser::default();
    let begun = browser.get(&done.url("/sign-in?to=/"));
    let cookie = begun.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let agreed = browser.get(begun.header("location").unwrap());
    let back = agreed.header("location").unwrap().to_owned();

    // Somebody else's browser, which was sent the address, is not signed in; nor is one with another state.
    assert_eq!(Browser::default().get(&back).status, 400);
    let other = back.replace("&state=", "&state=0");
    assert_eq!(browser.clone().get(&other).status, 400);
    let before = browser.clone();
    assert_eq!(browser.get(&back).status, 303);

    // Neither the address nor the whole of what the browser had then signs in once more.
    assert_eq!(browser.clone().get(&back).status, 400);
    let again = before.clone().get(&back);
    assert_eq!((again.status, again.header("location")), (403, None), "{}", text(&again));
    assert!(!text(&again).contains(&back), "no code on a page");

    // Somebody who does not agree comes back without a code.
    let mut shy = Browser::default();
    let begun = shy.get(&done.url("/sign-in"));
    let state = begun.header("location").unwrap().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(shy.get(&done.url(&format!("/signed-in?error=access_denied&state={state}"))).status, 403);
}

#[test]
fn nobody_is_sent_elsewhere_after_signing_in() {
    let done = done("");
    done.hub.github.visit_as("ada");
    for to in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2F%09%2Fevil.example",
        "%5C%5Cevil.example",
        "javascript%3Aalert(1)",
        "%2F%0d%0aset-cookie:a=b",
    ] {
        let (at, page) = Browser::default().open(&done.url(&format!("/sign-in?to={to}")));
        assert_eq!((at, page.status), (done.url("/"), 200), "{to}");
    }
    // Whoever asks under another name is not believed: the way back is that of the settings.
    let begun = Browser::default().ask("GET", &done.url("/sign-in"), &[("x-forwarded-host", "evil.example")], "");
    assert!(!begun.header("location").unwrap().contains("evil"));
}

#[test]
fn only_our_own_page_signs_somebody_out() {
    let done = done("");
    let mut ada = done.browser("ada");
    let page = text(&ada.get(&done.url("/")));
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = done.url("/sign-out");
    assert_eq!(ada.get(&path).status, 405);
    assert_eq!(ada.ask("POST", &path, &form, "token=").status, 403);
    assert_eq!(ada.ask("POST", &path, &form, "token=AAAA").status, 403);
    let eves = text(&done.eve().get(&done.url("/")));
    let other = eves.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(ada.ask("POST", &path, &form, &format!("token={other}")).status, 403, "somebody else's");
    let good = format!("token={token}");
    for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(ada.ask("POST", &path, &[form[0], foreign], &good).status, 403, "{foreign:?}");
    }
    assert!(text(&ada.get(&done.url("/"))).contains("Sign out"));
    let origin = done.hub.world.address();
    let out = ada.ask("POST", &path, &[form[0], ("origin", &origin), ("sec-fetch-site", "same-origin")], &good);
    assert_eq!(out.status, 303);
    assert!(text(&ada.get(&done.url("/"))).contains("Sign in with GitHub"));
}

#[test]
fn no_path_leads_out_of_a_runs_place() {
    let done = done("");
    let mut ada = done.browser("ada");
    let files = format!("/runs/{}/files/", done.run);
    for name in [
        "..%2f..%2f..%2f..%2fplan.json",
        "%2e%2e/%2e%2e/plan.json",
        "../../../../../plan.json",
        "..%5c..%5cplan.json",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "told.txt%00",
        "told.txt/",
        "deep%2F..%2Ftold.txt",
        "./told.txt",
        "log.txt",
        "../records.jsonl",
        "%",
        "%ff",
        "",
    ] {
        let found = ada.get(&done.url(&format!("{files}{name}")));
        assert!(matches!(found.status, 400 | 404), "{name}: {} {}", found.status, text(&found));
    }
    for path in
        ["/sweeps/..%2f..%2fmodelship.db/plan.json", "/sweeps/%2e%2e/plan.json", "/sweeps//plan.json", "/runs/../log"]
    {
        assert!(matches!(ada.get(&done.url(path)).status, 400 | 404), "{path}");
    }

    // A model that runs as the server's own user could put a link where its file was.
    let kept = find(&done.hub.world.state().join("artifacts/sweeps").join(&done.sweep), &done.run).join("told.txt");
    fs::remove_file(&kept).unwrap();
    std::os::unix::fs::symlink(done.hub.world.settings(), &kept).unwrap();
    let found = ada.get(&done.url(&format!("{files}told.txt")));
    assert_eq!(found.status, 404, "{}", text(&found));
}

/// The folder or file of that name somewhere below.
fn find(below: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut left = vec![below.to_owned()];
    while let Some(found) = left.pop() {
        if found.file_name().is_some_and(|found| found == name) {
            return found;
        }
        if found.is_dir() {
            left.extend(fs::read_dir(found).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    panic!("there is no {name} below {}", below.display());
}

#[test]
fn nothing_that_a_user_or_a_model_wrote_becomes_a_page() {
    let done = done("");
    let mut ada = done.browser("ada");
    let table = text(&ada.get(&done.url(&format!("/sweeps/{}/analysis.csv", done.sweep))));
    assert!(table.contains("<img src=x onerror=alert(1)>"), "the value is there: {table}");
    let pages = [
        "/".to_owned(),
        "/models/examples/echo".to_owned(),
        format!("/sweeps/{}", done.sweep),
        format!("/runs/{}", done.run),
        format!("/runs/{}", done.failed),
        format!("/sweeps/{}/report.html", done.sweep),
    ];
    for path in pages {
        let page = ada.get(&done.url(&path));
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
        let html = text(&page);
        assert!(!html.contains("<script") && !html.contains("<img"), "{path}: {html}");
    }
    let report = ada.get(&done.url(&format!("/sweeps/{}/report.html", done.sweep)));
    assert!(
        report.header("content-security-policy").unwrap().ends_with("; sandbox"),
        "no origin, no forms, no scripts"
    );
    assert!(text(&report).contains("&lt;img src=x onerror=alert(1)&gt;"));
    let log = ada.get(&done.url(&format!("/runs/{}/log", done.run)));
    assert!(text(&log).contains("<script>alert(2)</script>"));
    assert_eq!(log.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(log.header("content-security-policy").unwrap().contains("sandbox"));
}

#[test]
fn a_program_reads_with_a_token_that_reads_the_repository() {
    let done = done("");
    done.hub.github.user("eve", Permission::None);
    let path = format!("/api/sweeps/{}", done.sweep);
    let (ada, eve) = (done.hub.github.token_of("ada"), done.hub.github.token_of("eve"));
    let read = done.program(&path, Some(&ada));
    assert_eq!((read.status, read.value()["id"].as_str()), (200, Some(done.sweep.as_str())));
    assert_eq!(done.program(&path, Some(&eve)).status, 404);
    assert_eq!(done.program(&path, Some("ghp_made_up")).status, 404);
    assert!(!done.hub.world.server_log().contains(&ada));

    // Under its new name it is the same repository; another one of the old name is not.
    done.hub.github.rename(HUB, "urban/renamed");
    assert_eq!(done.program(&path, Some(&done.hub.github.token_of("ada"))).status, 200);
    done.hub.github.repository(HUB);
    assert_eq!(done.program(&path, Some(&done.hub.github.token_of("eve"))).status, 404);
}

#[test]
fn an_app_that_was_refused_the_files_reads_none_here() {
    let done = done("");
    let path = format!("/runs/{}/log", done.run);
    let program = |permissions: &[(&str, &str)]| {
        let token = done.hub.github.token_of_app(HUB, permissions);
        done.program(&path, Some(&token)).status
    };
    assert_eq!(program(&[("metadata", "read"), ("issues", "write")]), 404, "it sees the repository's name alone");
    assert_eq!(program(&[("metadata", "read"), ("contents", "read")]), 200);
}

#[test]
fn what_settings_call_public_everybody_reads() {
    let done = done(&format!(", public_repositories: [{HUB}]"));
    assert_eq!(done.program(&format!("/sweeps/{}/analysis.csv", done.sweep), None).status, 200);
    assert_eq!(done.program(&format!("/runs/{}/log", done.run), None).status, 200);
    assert_eq!(done.program("/api/models", None).value()["models"][0]["model"], "examples/echo");
    assert_eq!(done.program("/sweeps/none-0123456789", None).status, 401);
}

#[test]
fn a_name_that_is_public_is_not_worth_anything_to_who_had_it_before() {
    let mut done = done(&format!(", public_repositories: [{HUB}]"));
    // Whom to trust is said by name as well.
    done.hub.world.kill_server();
    let settings = fs::read_to_string(done.hub.world.settings()).unwrap();
    let trusting = settings.replace(&format!("trusted: [{HUB}]"), &format!("trusted: [{HUB}, urban/secret]"));
    fs::write(done.hub.world.settings(), trusting).unwrap();
    done.hub.world.start_server();
    let paths = [
        "/models/examples/echo".to_owned(),
        "/api/models/examples/echo/versions".to_owned(),
        format!("/sweeps/{}", done.sweep),
        format!("/sweeps/{}/analysis.csv", done.sweep),
        format!("/api/sweeps/{}", done.sweep),
        format!("/runs/{}", done.run),
        format!("/runs/{}/log", done.run),
    ];
    for path in &paths {
        assert_eq!(done.program(path, None).status, 200, "{path}");
    }
    done.hub.github.rename(HUB, "urban/secret");
    done.hub.world.checkout("main");
    done.hub.world.write("models/echo/echo.sh", &format!("{SCRIPT}# again\n"));
    done.hub.world.push_branch("main", "Change the model");
    // One of its models is heard of under the new name; whatever was made before belongs to the same repository.
    done.hub.world.until("nobody reads the models of a repository that is public no more", |_| {
        let models = done.program("/api/models", None).value();
        models["models"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    for path in &paths {
        assert_eq!(done.program(path, None).status, 401, "{path}: {}", text(&done.program(path, None)));
    }
    assert_eq!(done.program("/api/sweeps", None).value()["sweeps"], Value::Array(Vec::new()));
    let mut ada = done.browser("ada");
    for path in &paths {
        assert_eq!(ada.get(&done.url(path)).status, 200, "{path}");
    }
}

#[test]
fn what_a_run_left_is_looked_for_only_for_who_may_read_it() {
    let done = done("");
    let place = find(&done.hub.world.state().join("artifacts/sweeps").join(&done.sweep), "records.jsonl");
    fs::remove_file(place).unwrap();
    let (mut ada, mut eve) = (done.browser("ada"), done.eve());
    let unknown = text(&eve.get(&done.url(&format!("/runs/{}", "0".repeat(64)))));
    for path in [format!("/runs/{}", done.run), format!("/runs/{}/log", done.run)] {
        let without_right = eve.get(&done.url(&path));
        assert_eq!((without_right.status, text(&without_right)), (404, unknown.clone()), "{path}");
        assert_eq!(done.program(&path, None).status, 401, "{path}");
        let gone = ada.get(&done.url(&path));
        assert_eq!(gone.status, 404, "{path}: {}", text(&gone));
        assert!(text(&gone).contains("no longer here"), "{path}: {}", text(&gone));
    }
    let log = done.hub.world.server_log();
    assert!(!log.contains("the database does not answer"), "{log}");
}

#[test]
fn a_made_up_token_keeps_no_other_program_out() {
    let done = done("");
    let ada = done.hub.github.token_of("ada");
    for number in 0..3 {
        let made_up = done.program("/api/sweeps", Some(&format!("ghp_made_up_{number}")));
        assert_eq!((made_up.status, made_up.value()["sweeps"].clone()), (200, Value::Array(Vec::new())));
    }
    let read = done.program("/api/sweeps", Some(&ada)).value();
    assert_eq!((read["sweeps"].as_array().map(Vec::len), read["complete"].as_bool()), (Some(1), Some(true)), "{read}");
}

#[test]
fn a_page_that_says_no_still_says_who_looks_and_leads_on() {
    let mut done = done("");
    let mut ada = done.browser("ada");
    let page = text(&ada.get(&done.url("/runs/none")));
    assert!(page.contains("There is nothing here") && page.contains("Sign out"), "{page}");
    // Behind a proxy that puts the server below a path, every link and the way out begin with it.
    let url = format!("url: \"{}\"", done.hub.world.address());
    let settings = fs::read_to_string(done.hub.world.settings()).unwrap();
    assert!(settings.contains(&url), "{settings}");
    done.hub.world.kill_server();
    fs::write(done.hub.world.settings(), settings.replace(&url, &format!("{}/models\"", url.trim_end_matches('"'))))
        .unwrap();
    done.hub.world.start_server();
    let page = text(&ada.get(&done.url("/runs/none")));
    assert!(page.contains("href=\"/models/\"") && page.contains("action=\"/models/sign-out\""), "{page}");
    let strange = text(&Browser::default().get(&done.url("/signed-in?code=a&state=b")));
    assert!(strange.contains("did not begin in this browser"), "{strange}");
    assert!(strange.contains("href=\"/models/\"") && strange.contains("/models/sign-in?to=%2F\""), "{strange}");
}
