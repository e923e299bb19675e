//! Every endpoint, through Prism: an answer that does not fit GitHub's contract comes back as a 500.

use serde_json::{Value, json};

use crate::github::{Opened, Permission};
use crate::place::{HUB, Place, ask, ask_with, git, jwt, minted};

#[test]
fn repositories_people_and_branches_are_shown_as_github_shows_them() {
    let place = Place::new();
    let ada = place.github.user("ada", Permission::Write);
    let hub = place.get("/repos/urban/hub");
    assert_eq!(hub["full_name"], "urban/hub");
    assert_eq!(place.get(&format!("/repositories/{}", hub["id"]))["id"], hub["id"]);
    assert_eq!(place.get("/installation/repositories")["repositories"][0]["id"], hub["id"]);
    assert_eq!(place.get(&format!("/user/{ada}"))["login"], "ada");
    assert_eq!(place.get("/users/ada")["id"], ada);
    let own = ask(&place.github.url(), &place.github.token_of("ada"), "GET", "/user", &Value::Null);
    assert_eq!(own.value()["id"], ada);
    let own = ask(&place.github.url(), &place.github.token_of("ada"), "GET", "/user/repos", &Value::Null);
    assert_eq!(own.value()[0]["id"], hub["id"]);
    let branch = &place.get("/repos/urban/hub/branches")[1];
    assert_eq!((&branch["name"], &branch["commit"]["sha"]), (&json!("sweep"), &json!(place.head())));
}

#[test]
fn permissions_carry_the_numeric_id_and_both_words() {
    let place = Place::new();
    let linus = place.github.user("linus", Permission::Maintain);
    let shown = place.get("/repos/urban/hub/collaborators/linus/permission");
    assert_eq!((&shown["permission"], &shown["role_name"]), (&json!("write"), &json!("maintain")));
    assert_eq!(shown["user"]["id"], linus);
    place.github.permit(HUB, "linus", Permission::Triage);
    assert_eq!(place.get("/repos/urban/hub/collaborators/linus/permission")["permission"], "read");
    assert_ne!(place.github.reuse_login("linus"), linus);
    assert_ne!(place.get("/repos/urban/hub/collaborators/linus/permission")["user"]["id"], linus);
    let mallory = place.github.user("mallory", Permission::Write);
    let comment = place.github.comment_as("mallory", HUB, 1, "hello");
    place.github.delete_account("mallory");
    assert_eq!(place.ask("GET", &format!("/user/{mallory}"), &Value::Null).status, 404);
    assert_eq!(place.ask("GET", "/repos/urban/hub/collaborators/mallory/permission", &Value::Null).status, 404);
    let left = place.get(&format!("/repos/urban/hub/issues/comments/{comment}"));
    assert_eq!((&left["user"]["login"], &left["body"]), (&json!("ghost"), &json!("hello")));
}

#[test]
fn a_pull_request_goes_its_way() {
    let place = Place::new();
    let shown = place.get("/repos/urban/hub/pulls/1");
    assert_eq!((&shown["state"], &shown["changed_files"]), (&json!("open"), &json!(1)));
    assert_eq!(shown["head"]["sha"], place.head().as_str());
    let tried = shown["merge_commit_sha"].as_str().unwrap().to_owned();
    assert!(tried.len() == 40 && tried != place.head(), "{tried}");
    let moved = place.push("sweep", "sweeps/two.yaml", "sweep: two\n");
    let shown = place.get("/repos/urban/hub/pulls/1");
    assert_eq!(shown["head"]["sha"], moved.as_str());
    assert_ne!(shown["merge_commit_sha"], tried, "another head is tried anew");
    place.github.lock_pull(HUB, 1);
    let refused = place.ask("POST", "/repos/urban/hub/issues/1/comments", &json!({"body": "no"}));
    assert_eq!(refused.status, 403);
    place.github.close_pull(HUB, 1);
    assert_eq!(place.get("/repos/urban/hub/pulls").as_array().unwrap().len(), 0);
    assert_eq!(place.get("/repos/urban/hub/pulls?state=all")[0]["state"], "closed");
    place.github.reopen_pull(HUB, 1);
    assert_eq!(place.get("/repos/urban/hub/issues/1")["state"], "open");
    let merge = place.github.merge_pull(HUB, 1);
    let shown = place.get("/repos/urban/hub/pulls/1");
    assert_eq!((&shown["merged"], &shown["merge_commit_sha"]), (&json!(true), &json!(merge)));
    let parents = git(&place.github.directory(HUB), &["rev-list", "--parents", "--max-count=1", &merge]);
    assert_eq!(parents.split_whitespace().count(), 3, "{parents}");
}

#[test]
fn a_fork_opens_a_pull_request_and_vanishes() {
    let place = Place::new();
    place.github.fork(HUB, "mallory/hub");
    let fork = place.github.directory("mallory/hub");
    git(place.clone.path(), &["push", "--quiet", fork.to_str().unwrap(), "HEAD:refs/heads/theirs"]);
    let opened = Opened { author: "mallory", title: "Mine", head: "mallory/hub:theirs", base: "main", draft: true };
    let number = place.github.open_pull(HUB, &opened);
    let shown = place.get(&format!("/repos/urban/hub/pulls/{number}"));
    assert_eq!((&shown["head"]["repo"]["full_name"], &shown["draft"]), (&json!("mallory/hub"), &json!(true)));
    place.github.delete_repository("mallory/hub");
    assert!(place.get(&format!("/repos/urban/hub/pulls/{number}"))["head"]["repo"].is_null());
    assert!(place.get("/repos/urban/hub/pulls")[0]["head"]["repo"].is_null());
}

#[test]
fn comments_are_written_changed_and_reacted_to() {
    let place = Place::new();
    let asked = place.github.comment_as("ada", HUB, 1, "/modelship run");
    let reaction = format!("/repos/urban/hub/issues/comments/{asked}/reactions");
    assert_eq!(place.ask("POST", &reaction, &json!({"content": "eyes"})).status, 201);
    assert_eq!(place.ask("POST", &reaction, &json!({"content": "eyes"})).status, 200);
    assert_eq!(place.get(&reaction).as_array().unwrap().len(), 1);
    assert_eq!(place.github.reactions(HUB, asked), ["eyes"]);
    let ours = place.done("POST", "/repos/urban/hub/issues/1/comments", &json!({"body": "planned"}));
    assert_eq!(ours["performed_via_github_app"]["id"], place.github.app_id());
    assert_eq!(ours["user"]["login"], "modelship[bot]");
    let one = format!("/repos/urban/hub/issues/comments/{}", ours["id"]);
    place.done("PATCH", &one, &json!({"body": "done"}));
    assert_eq!(place.get(&one)["body"], "done");
    let last = place.ask("GET", "/repos/urban/hub/issues/1/comments?per_page=1&page=2", &Value::Null);
    assert_eq!(last.value()[0]["id"], ours["id"]);
    assert!(!last.header("link").unwrap().contains("next"));
    let first = place.ask("GET", "/repos/urban/hub/issues/1/comments?per_page=1", &Value::Null);
    let link = first.header("link").unwrap();
    assert!(link.contains("comments?per_page=1&page=2>; rel=\"next\""), "{link}");
    assert_eq!(place.github.app_comments(HUB, 1)[0].edits, 1);
    assert_eq!(
        place.ask("POST", "/repos/urban/hub/issues/1/comments", &json!({"body": "x".repeat(65_537)})).status,
        422
    );
    place.github.delete_comment_as("ada", HUB, ours["id"].as_u64().unwrap());
    assert_eq!(place.ask("PATCH", &one, &json!({"body": "again"})).status, 404);
    assert_eq!(place.github.count("POST /repos/*/issues/1/comments"), 2);
}

#[test]
fn checks_take_fifty_annotations_at_a_time() {
    let place = Place::new();
    let head = place.head();
    let annotation = json!({
        "path": "sweeps/one.yaml", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "unknown key",
    });
    let output = json!({"title": "bad", "summary": "one file is wrong", "annotations": vec![annotation.clone(); 50]});
    let actions = json!([{"label": "Run sweep", "description": "Runs it", "identifier": "run"}]);
    let body = json!({"name": "modelship: one", "head_sha": head, "status": "in_progress", "output": output, "actions": actions});
    let check = place.done("POST", "/repos/urban/hub/check-runs", &body);
    let one = format!("/repos/urban/hub/check-runs/{}", check["id"]);
    assert_eq!(check["pull_requests"][0]["number"], 1);
    let more = json!({"output": {"title": "bad", "summary": "more", "annotations": vec![annotation.clone(); 7]}});
    place.done("PATCH", &one, &more);
    place.done("PATCH", &one, &json!({"conclusion": "failure"}));
    let shown = place.get(&one);
    assert_eq!((&shown["status"], &shown["output"]["annotations_count"]), (&json!("completed"), &json!(57)));
    assert_eq!(place.get(&format!("{one}/annotations?per_page=100")).as_array().unwrap().len(), 57);
    let listed = place.get(&format!("/repos/urban/hub/commits/{head}/check-runs"));
    assert_eq!(listed["check_runs"][0]["id"], check["id"]);
    // Prism itself stops the fifty-first; the fake stops what Prism lets through.
    let many = json!({"output": {"title": "bad", "summary": "x", "annotations": vec![annotation; 51]}});
    assert_eq!(place.ask("PATCH", &one, &many).status, 422);
    assert_eq!(place.github.take_complaints().len(), 1);
    let open = json!({"name": "open", "head_sha": head, "status": "completed"});
    assert_eq!(place.ask("POST", "/repos/urban/hub/check-runs", &open).status, 422);
    let person = place.github.token_of("ada");
    assert_eq!(ask(&place.github.url(), &person, "POST", "/repos/urban/hub/check-runs", &body).status, 403);
}

#[test]
fn statuses_and_deployments_are_kept() {
    let place = Place::new();
    let head = place.head();
    let body = json!({"state": "pending", "context": "modelship", "description": "running", "target_url": "https://example.org"});
    place.done("POST", &format!("/repos/urban/hub/statuses/{head}"), &body);
    place.done(
        "POST",
        &format!("/repos/urban/hub/statuses/{head}"),
        &json!({"state": "success", "context": "modelship"}),
    );
    assert_eq!(place.get(&format!("/repos/urban/hub/commits/{head}/statuses"))[0]["state"], "success");
    let long = json!({"state": "error", "description": "x".repeat(141)});
    assert_eq!(place.ask("POST", &format!("/repos/urban/hub/statuses/{head}"), &long).status, 422);
    let wanted = json!({"ref": "sweep", "environment": "staging", "auto_merge": false, "required_contexts": []});
    let made = place.done("POST", "/repos/urban/hub/deployments", &wanted);
    let statuses = format!("/repos/urban/hub/deployments/{}/statuses", made["id"]);
    place.done("POST", &statuses, &json!({"state": "success", "log_url": "https://example.org/log"}));
    assert_eq!(place.get("/repos/urban/hub/deployments?environment=staging")[0]["sha"], head.as_str());
    assert_eq!(place.get(&format!("/repos/urban/hub/deployments/{}", made["id"]))["ref"], "sweep");
    assert_eq!(place.get(&statuses)[0]["state"], "success");
    assert_eq!(place.github.deployments(HUB)[0].1.len(), 1);
    // A newer one that succeeds retires it, but neither one for production nor one for a while.
    for (environment, transient) in [("staging", false), ("production", false), ("pr-1", true)] {
        for _ in 0..2 {
            let wanted = json!({"ref": "sweep", "environment": environment, "transient_environment": transient});
            let made = place.done("POST", "/repos/urban/hub/deployments", &wanted);
            let statuses = format!("/repos/urban/hub/deployments/{}/statuses", made["id"]);
            place.done("POST", &statuses, &json!({"state": "success"}));
        }
    }
    let last = |(_, said): &(Value, Vec<Value>)| said.last().unwrap()["state"].as_str().unwrap().to_owned();
    let states: Vec<_> = place.github.deployments(HUB).iter().map(last).collect();
    assert_eq!(states, ["inactive", "inactive", "success", "success", "success", "success", "success"]);
    assert_eq!(place.get(&statuses)[0]["state"], "inactive");
}

#[test]
fn what_lags_behind_or_did_not_pass_is_deployed_only_by_who_says_so() {
    let place = Place::new();
    let head = place.head();
    let deploy = |body: &Value| {
        let answer = place.ask("POST", "/repos/urban/hub/deployments", body);
        (answer.status, answer.value()["message"].as_str().unwrap_or_default().to_owned())
    };
    let say = |state: &str, context: &str| {
        let body = json!({"state": state, "context": context});
        place.done("POST", &format!("/repos/urban/hub/statuses/{head}"), &body);
    };
    say("success", "lint");
    say("failure", "test");
    let failed = (409, "Conflict: Commit status checks failed for sweep.".to_owned());
    assert_eq!(deploy(&json!({"ref": "sweep"})), failed);
    assert_eq!(deploy(&json!({"ref": "sweep", "required_contexts": ["test"]})), failed);
    assert_eq!(deploy(&json!({"ref": "sweep", "required_contexts": ["lint", "nobody"]})), failed);
    assert_eq!(deploy(&json!({"ref": "sweep", "required_contexts": ["lint"]})).0, 201);
    assert_eq!(deploy(&json!({"ref": "sweep", "required_contexts": []})).0, 201);
    say("success", "test");
    assert_eq!(deploy(&json!({"ref": "sweep"})).0, 201);

    git(place.clone.path(), &["checkout", "--quiet", "main"]);
    place.push("main", "README.md", "it goes on\n");
    assert_eq!(deploy(&json!({"ref": head})), (409, format!("Conflict merging main into {head}.")));
    assert_eq!(deploy(&json!({"ref": head, "auto_merge": false})).0, 201);
    let merged = (202, "Auto-merged main into sweep on deployment.".to_owned());
    assert_eq!(deploy(&json!({"ref": "sweep"})), merged);
    assert_ne!(place.get("/repos/urban/hub/pulls/1")["head"]["sha"], head.as_str(), "the branch has moved");
    assert_eq!(deploy(&json!({"ref": "sweep"})).0, 201);
    assert_eq!(place.github.deployments(HUB).len(), 5);
}

#[test]
fn the_app_shows_itself() {
    let place = Place::new();
    let url = place.github.url();
    let jwt = jwt(&place.github, -30, 540);
    let get = |target: &str| {
        let response = ask(&url, &jwt, "GET", target, &Value::Null);
        assert_eq!(response.status, 200, "{target}: {}", String::from_utf8_lossy(&response.body));
        response.value()
    };
    assert_eq!(get("/app")["slug"], "modelship");
    let id = place.github.installation_id();
    assert_eq!(get("/app/installations")[0]["id"], id);
    assert_eq!(get(&format!("/app/installations/{id}"))["app_id"], place.github.app_id());
    assert_eq!(get("/repos/urban/hub/installation")["id"], id);
    let code = place.github.submit_manifest(json!({"name": "modelship-urban"}));
    let convert = format!("/app-manifests/{code}/conversions");
    let created = ask(&url, "", "POST", &convert, &Value::Null);
    assert_eq!((created.status, &created.value()["name"]), (201, &json!("modelship-urban")));
    assert!(created.value()["pem"].as_str().unwrap().contains("PRIVATE KEY"));
    assert_eq!(ask(&url, "", "POST", &convert, &Value::Null).status, 404);
}

#[test]
fn a_known_answer_is_not_sent_or_counted_again() {
    let place = Place::new();
    let first = place.ask("GET", "/repos/urban/hub", &Value::Null);
    let tag = first.header("etag").unwrap().to_owned();
    let used = place.github.used();
    let url = place.github.url();
    let again = |place: &Place| {
        ask_with(&url, &place.token, "GET", "/repos/urban/hub", &Value::Null, &[("if-none-match", &tag)])
    };
    let same = again(&place);
    assert_eq!((same.status, same.body.len(), place.github.used()), (304, 0, used));
    place.github.archive(HUB);
    assert_eq!(again(&place).status, 200);
    assert_eq!(place.github.used(), used + 1);
    // The token was asked for by the App itself, for whom it counts.
    assert_eq!(place.get("/rate_limit")["rate"]["used"], used);
    assert_eq!(place.ask("POST", "/repos/urban/hub/issues/1/comments", &json!({"body": "late"})).status, 403);
}

#[test]
fn a_renamed_repository_redirects_to_its_id() {
    let place = Place::new();
    place.github.rename(HUB, "urban/models");
    let moved = place.ask("GET", "/repos/urban/hub/pulls/1", &Value::Null);
    assert_eq!(moved.status, 301);
    let location = moved.header("location").unwrap().to_owned();
    let path = location.strip_prefix(&place.github.url()).unwrap();
    assert_eq!(place.get(path)["number"], 1);
    assert_eq!(minted(&place.github, &json!({}))["repository_selection"], "selected");
}
