//! What strangers, programs and people read of what sweeps leave, and what nobody does.

use std::fs;

use serde_json::Value;

use crate::browser::Browser;
use crate::done::{done, text};
use crate::github::Permission;
use crate::hub::HUB;

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
    let mut shown = String::new();
    for path in pages {
        let page = ada.get(&done.url(&path));
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
        let html = text(&page);
        assert!(!html.contains("<script") && !html.contains("<img"), "{path}: {html}");
        shown.push_str(&html);
    }
    for field in ["unit", "output", "alert(1)"] {
        let escaped = format!("&lt;img src=x onerror={field}&gt;");
        assert!(shown.contains(&escaped), "{escaped} is in none of the pages: {shown}");
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
fn a_run_is_found_by_the_beginning_of_its_id() {
    let done = done("");
    let (mut ada, mut eve) = (done.browser("ada"), done.eve());
    let page = text(&ada.get(&done.url(&format!("/runs/{}", done.run))));
    let sweep = format!("<a href=\"/sweeps/{}\">", done.sweep);
    for part in ["<td>WORD<td class=\"n\">plain", "<td>N<td class=\"n\">1", sweep.as_str()] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let nothing = text(&eve.get(&done.url("/runs/000000")));
    for name in [&done.run[..6], &done.run[..12], &done.run[..20].to_uppercase()] {
        let found = ada.get(&done.url(&format!("/runs/{name}")));
        assert_eq!((found.status, text(&found)), (200, page.clone()), "{name}");
        assert_eq!(ada.get(&done.url(&format!("/runs/{name}/files/told.txt"))).status, 200, "{name}");
        let log = ada.get(&done.url(&format!("/runs/{name}/log")));
        assert!(log.status == 200 && text(&log).contains("WORD,plain"), "{name}: {}", text(&log));
        for path in [format!("/runs/{name}"), format!("/runs/{name}/log")] {
            let without_right = eve.get(&done.url(&path));
            assert_eq!((without_right.status, text(&without_right)), (404, nothing.clone()), "{path}");
            assert_eq!(done.program(&path, None).status, 401, "{path}");
        }
    }
    let longer = format!("{}0", done.run);
    for none in ["", "a", &done.run[..5], "000000", "no-run", "%2e%2e", &longer] {
        assert_eq!(ada.get(&done.url(&format!("/runs/{none}"))).status, 404, "{none}");
    }
    let failed = text(&ada.get(&done.url(&format!("/runs/{}", done.failed))));
    assert!(failed.contains("None: the run failed.") && !failed.contains("yet"), "{failed}");
    let sweep = text(&ada.get(&done.url(&format!("/sweeps/{}", done.sweep))));
    for run in [&done.run, &done.failed] {
        assert!(sweep.contains(&format!("/runs/{run}\"><code>{}</code></a><td class=\"n\">", &run[..12])), "{sweep}");
    }

    let (at, hub) = (done.hub.github.url(), format!("{HUB}#{}", done.number));
    for link in
        [format!("<a href=\"{at}/{HUB}/pull/{}\">{hub}</a>", done.number), format!("<a href=\"{at}/{HUB}/commit/")]
    {
        assert!(sweep.contains(&link), "{link}: {sweep}");
    }

    // A run that nobody may read makes nothing ambiguous; one that the reader may read does.
    let other = format!("{}{}", &done.run[..10], "0".repeat(54));
    done.plant_twin(&other, Some("nobodys-0123456789"));
    assert_eq!(ada.get(&done.url(&format!("/runs/{}", &done.run[..6]))).status, 200);
    let twin = format!("{}{}", &done.run[..8], "0".repeat(56));
    done.plant_twin(&twin, None);
    for path in [format!("/runs/{}", &done.run[..6]), format!("/runs/{}/log", &done.run[..8])] {
        let several = ada.get(&done.url(&path));
        assert_eq!(several.status, 300, "{path}");
        let page = text(&several);
        assert!(page.contains(&done.run) && page.contains(&twin) && !page.contains(&other), "{page}");
        let without_right = eve.get(&done.url(&path));
        assert_eq!((without_right.status, text(&without_right)), (404, nothing.clone()), "{path}");
    }
    let token = done.hub.github.token_of("ada");
    let several = done.program(&format!("/runs/{}", &done.run[..6]), Some(&token));
    assert!(several.status == 300 && text(&several).contains("write more of it"), "{}", text(&several));
    assert_eq!(ada.get(&done.url(&format!("/runs/{}", &done.run[..12]))).status, 200);
}

#[test]
fn a_run_of_a_private_sweep_is_found_by_its_beginning_only_by_who_may_read_the_sweep() {
    const PLANS: &str = "urban/plans";
    let done = done("");
    let (sweep, run) = done.sweep_in(PLANS);
    // Eve may read the model and not the sweep, Dora the sweep and not the model.
    for (login, hub, plans) in
        [("eve", Permission::Read, Permission::None), ("dora", Permission::None, Permission::Read)]
    {
        done.hub.github.permit(HUB, login, hub);
        done.hub.github.permit(PLANS, login, plans);
    }
    for (login, whole, part) in [("ada", 200, 200), ("eve", 200, 404), ("dora", 404, 404)] {
        let (mut browser, token) = (done.browser(login), done.hub.github.token_of(login));
        let mut look = |path: &str| (browser.get(&done.url(path)), done.program(path, Some(&token)));
        let nothing = look("/runs/000000/log");
        for (name, status) in [(&run[..], whole), (&run[..6], part), (&run[..20], part), (&run[..63], part)] {
            for end in ["", "/log", "/files/told.txt"] {
                let path = format!("/runs/{name}{end}");
                let (seen, read) = look(&path);
                assert_eq!((seen.status, read.status), (status, status), "{login}: {path}");
                if status == 404 {
                    assert_eq!((text(&seen), text(&read)), (text(&nothing.0), text(&nothing.1)), "{login}: {path}");
                }
                assert_eq!(done.program(&path, None).status, 401, "{path}");
            }
        }
        let page = text(&look(&format!("/runs/{run}")).0);
        assert_eq!(page.contains(&sweep), part == 200, "{login}: {page}");
        // What was swept where the model is belongs to its readers.
        assert_eq!(look(&format!("/runs/{}", &done.run[..12])).0.status, whole, "{login}");
    }
}

#[test]
fn who_asks_for_what_is_not_there_gets_an_answer_in_their_own_language() {
    let done = done("");
    let (mut ada, mut stranger) = (done.browser("ada"), Browser::default());
    let report = format!("/sweeps/{}/nonsense.html", done.sweep);
    let paths = [("/nonsense", 404), ("/sweeps", 404), ("/runs/none/of/these", 404), ("/webhooks/github", 405)];
    for (path, status) in paths.into_iter().chain([(report.as_str(), 404)]) {
        let page = ada.get(&done.url(path));
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(text(&page).contains("<h1>"), "{path}: {}", text(&page));
    }
    let page = stranger.get(&done.url("/nonsense"));
    assert!(page.status == 404 && text(&page).contains("Sign in with GitHub"), "{}", text(&page));
    assert_eq!(done.program("/nonsense", None).value()["error"], "there is nothing here");
    assert_eq!(done.program("/webhooks/github", None).status, 405);
    assert_eq!(stranger.ask("POST", &done.url("/nonsense"), &[], "").status, 404);
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
    let done = done(&format!(", public_repositories: [{HUB}]"));
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
    // No model is registered under the new name; whatever was made before belongs to the same repository.
    done.hub.github.rename(HUB, "urban/secret");
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
