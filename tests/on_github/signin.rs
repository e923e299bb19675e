//! Who signs in with GitHub, for how long, and how they leave.

use std::fs;

use crate::browser::Browser;
use crate::done::{done, text};
use crate::github::Permission;
use crate::hub::HUB;

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

#[test]
fn whoever_tries_codes_is_stopped_and_nobody_else() {
    let done = done("");
    let (ada, eve) = (done.browser("ada"), done.eve());
    let try_code = || {
        let mut eve = eve.clone();
        let begun = eve.get(&done.url("/sign-in")).header("location").unwrap().to_owned();
        let state = begun.split("state=").nth(1).unwrap().split('&').next().unwrap();
        eve.get(&done.url(&format!("/signed-in?code=made-up&state={state}"))).status
    };
    let answers: Vec<_> = (0..11).map(|_| try_code()).collect();
    assert_eq!(answers, [&[403; 10][..], &[429][..]].concat(), "by her browser it is known who she was");
    done.hub.github.visit_as("ada");
    for mut other in [ada, Browser::default()] {
        assert_eq!(other.open(&done.url("/sign-in")).1.status, 200);
    }
}
