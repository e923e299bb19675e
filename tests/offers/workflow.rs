//! Offers of workflows, through the server's real door.

use serde_json::{Value, json};

use crate::issuer::{Issuer, Key, seconds};
use crate::place::{MODEL, Place, manifest};
use crate::registry::built;
use crate::world::git;

#[test]
fn what_a_workflow_built_is_registered_and_moves_channels_as_a_build_does() {
    let place = Place::new();
    let commit = place.push("main");
    place.until_status(&commit, "waits for the workflow to register it");
    assert!(place.versions().is_empty(), "the server builds nothing");
    let image = place.image(&commit);
    let accepted = place.offer(&place.claims(&commit), &place.wish(&commit, &image));
    let outcome = place.outcome(&accepted);
    assert_eq!(outcome["state"], "registered", "{outcome}");

    let [version] = place.versions().try_into().unwrap();
    assert_eq!(version["id"], outcome["version"]);
    assert_eq!(version["image"]["reference"], image.as_str());
    assert_eq!(version["image"]["entrypoint"], json!(["/usr/bin/env"]));
    assert_eq!(version["image"]["environment"]["GREETING"], "hello");
    assert_eq!(version["executable"], image.split('@').nth(1).unwrap());
    assert_eq!((&version["builder"], &version["source"]["commit"]), (&json!("docker"), &json!(commit)));
    assert_eq!(version["tests"], json!([{"name": "base", "duration_ms": 12}]));
    place.until_status(&commit, "passed 1 test");
    let listed = place.world.modelship(&["models", "--output", "json"]).ok().json();
    assert_eq!(listed[0]["production"], version["id"], "it is the first version: {listed}");

    // A tag on the same commit needs no workflow: the version is there.
    git(&place.world.clone, &["tag", "v1"]);
    git(&place.world.clone, &["push", "--quiet", "origin", "v1"]);
    place.world.until("the tag is a channel", |world| {
        let found = world.modelship(&["versions", MODEL, "v1", "--output", "json"]);
        (found.status == 0).then_some(())
    });
}

#[test]
fn offering_again_changes_nothing_and_another_image_of_the_commit_is_refused() {
    let place = Place::new();
    let commit = place.push("main");
    let (claims, wish) = (place.claims(&commit), place.wish(&commit, &place.image(&commit)));
    let first = place.outcome(&place.offer(&claims, &wish));
    assert_eq!(first["state"], "registered", "{first}");

    let replayed = place.offer(&claims, &wish);
    assert_eq!((replayed.status, &replayed.value()["status"]), (202, &json!("repeated")));
    assert_eq!(place.outcome(&place.offer(&place.claims(&commit), &wish)), first, "a new token, the same offer");

    let mut config = built(MODEL, &commit);
    config["Env"] = json!(["OTHER=image"]);
    let other = place.wish(&commit, &place.image_of(&config));
    let used = place.offer(&claims, &other);
    assert_eq!(used.status, 409, "a token is good for one offer: {}", used.value());
    let reason = place.refusal(&place.offer(&place.claims(&commit), &other));
    assert!(reason.contains("a version never changes"), "{reason}");
    assert_eq!(place.versions().len(), 1);
}

#[test]
fn a_tag_that_moves_after_the_plan_moves_neither_the_version_nor_the_plan() {
    let place = Place::new();
    let commit = place.push("main");
    let image = place.image(&commit);
    place.outcome(&place.offer(&place.claims(&commit), &place.wish(&commit, &image)));
    place.world.write("sweeps/all.yaml", "sweep: all\nmodel: tests/tiny\nparameters:\n  N: [1, 2]\n");
    place.push("topic");
    let number = place.world.open_pull("topic", "A sweep");
    let digest = &image.split("@sha256:").nth(1).unwrap()[..12];
    let plan = place.world.until_comment(number, &["Sweep `all`", &format!("| Executable | `{digest}` |")]);
    let versions = place.versions();

    // Whoever may push to the registry moves the tag to something else that says that it is of this commit.
    let mut config = built(MODEL, &commit);
    config["Env"] = json!(["OTHER=image"]);
    config["Labels"]["org.opencontainers.image.source"] = json!("example/hub");
    assert_ne!(place.image_of(&config), image);
    place.world.until("the registry's word is heard", |world| {
        world.server_log().contains("its manifest leaves it to somebody else").then_some(())
    });
    place.world.comment(number, "/modelship plan");
    place.world.until_idle();
    assert_eq!(place.world.until_comment(number, &["Sweep `all`"]), plan);
    assert_eq!(place.versions(), versions);
    assert_eq!(versions[0]["image"]["reference"], image.as_str(), "what runs is found by its digest");
}

#[test]
fn what_an_image_says_of_itself_beyond_its_model_and_commit_counts_for_nothing() {
    let place = Place::new();
    let commit = place.push("main");
    let first = place.outcome(&place.offer(&place.claims(&commit), &place.wish(&commit, &place.image(&commit))));
    place.world.write("models/tiny/NEWS", "it is different now");
    let next = place.push("topic");
    let mut config = built(MODEL, &next);
    for (label, claim) in [
        ("org.modelship.version", first["version"].as_str().unwrap()),
        ("org.modelship.channel", "production"),
        ("org.opencontainers.image.version", "2.0"),
        ("org.opencontainers.image.ref.name", "main"),
        ("org.opencontainers.image.source", "evil/hub"),
    ] {
        config["Labels"][label] = json!(claim);
    }
    let mut claims = place.claims(&next);
    claims["ref"] = json!("refs/heads/topic");
    let second = place.outcome(&place.offer(&claims, &place.wish(&next, &place.image_of(&config))));
    assert_eq!(second["state"], "registered", "{second}");
    let found: Vec<_> = place.versions().iter().map(|version| version["id"].clone()).collect();
    assert_eq!(found, [second["version"].clone(), first["version"].clone()], "each is what it was made of");
    for (channel, version) in [("production", Some(&first)), ("topic", Some(&second)), ("2.0", None)] {
        let leads_to = place.world.modelship(&["versions", MODEL, channel, "--output", "json"]);
        let leads_to = (leads_to.status == 0).then(|| leads_to.json()["id"].clone());
        assert_eq!(leads_to, version.map(|outcome| outcome["version"].clone()), "{channel}");
    }
}

#[test]
fn a_hundred_copies_of_one_token_act_once() {
    let place = Place::new();
    let commit = place.push("main");
    let wish = place.wish(&commit, &place.image(&commit)).to_string();
    let authorization = format!("Bearer {}", place.issuer.key().sign(&place.claims(&commit)));
    let words: Vec<Value> = std::thread::scope(|scope| {
        let ask = || place.post_offer(&authorization, &wish).value()["status"].clone();
        let asking: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(words.iter().filter(|word| **word == "accepted").count(), 1, "{words:?}");
    assert_eq!(words.iter().filter(|word| **word == "repeated").count(), 99, "{words:?}");
}

#[test]
fn a_pull_request_waits_for_the_workflow_and_its_merge_becomes_production() {
    let place = Place::new();
    let main = place.push("main");
    place.outcome(&place.offer(&place.claims(&main), &place.wish(&main, &place.image(&main))));

    place.world.write("models/tiny/NEWS", "it is different now");
    place.world.write("sweeps/all.yaml", "sweep: all\nmodel: tests/tiny\nparameters:\n  N: [1, 2]\n");
    let head = place.push("topic");
    let number = place.world.open_pull("topic", "A change");
    place.world.until_comment(number, &["waits for the workflow to register it"]);
    place.world.until_comment(number, &["Sweep `all`", "Waits for"]);

    // What is not right is told, and what is right later is taken.
    let mut claims = place.claims(&head);
    claims["ref"] = json!("refs/heads/topic");
    let missing = place.image(&head).replace(&place.image(&head)[place.image(&head).len() - 8..], "00000000");
    let reason = place.refusal(&place.offer(&claims, &place.wish(&head, &missing)));
    assert!(reason.contains("the registry has no"), "{reason}");
    place.world.until_comment(number, &["failed in `register`", "the registry has no"]);
    claims["jti"] = json!("another-token-of-the-job");
    let outcome = place.outcome(&place.offer(&claims, &place.wish(&head, &place.image(&head))));
    place.world.until_comment(number, &["✅ version", outcome["version"].as_str().unwrap(), "1 test passed"]);
    // This server runs processes, and says so where the version would run.
    place.world.until_comment(number, &["Sweep `all`", "was built by `docker`"]);

    place.world.modelship(&["pr", "merge", &number.to_string()]).ok();
    git(&place.world.clone, &["fetch", "--quiet"]);
    let merge = git(&place.world.clone, &["rev-parse", "origin/main"]).trim().to_owned();
    place.until_status(&merge, "waits for the workflow to register it");
    let merged = place.outcome(&place.offer(&place.claims(&merge), &place.wish(&merge, &place.image(&merge))));
    place.world.until("the merge is in production", |world| {
        let listed = world.modelship(&["models", "--output", "json"]).ok().json();
        (listed[0]["production"] == merged["version"]).then_some(())
    });
}

#[test]
fn a_token_that_is_not_for_this_offer_is_refused_at_the_door() {
    let place = Place::new();
    let commit = place.push("main");
    let wish = place.wish(&commit, &place.image(&commit));
    let refused = |status: u16, words: &str, change: &dyn Fn(&mut Value)| {
        let mut claims = place.claims(&commit);
        change(&mut claims);
        let answer = place.offer(&claims, &wish);
        let said = answer.value()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && said.contains(words), "{}: {said}", answer.status);
    };
    refused(401, "audience", &|claims| claims["aud"] = json!("https://elsewhere.example.org"));
    refused(401, "issuer", &|claims| claims["iss"] = json!("https://token.actions.githubusercontent.com"));
    refused(401, "expired", &|claims| claims["exp"] = json!(seconds() - 40));
    refused(401, "not good yet", &|claims| claims["nbf"] = json!(seconds() + 120));
    refused(401, "longer than an hour", &|claims| claims["exp"] = json!(seconds() + 86_400));
    refused(403, "not on this server's list", &|claims| claims["repository_id"] = json!("99999999"));
    refused(403, "pull request", &|claims| {
        claims["event_name"] = json!("pull_request");
        claims["ref"] = json!("refs/pull/3/merge");
    });
    refused(403, "pull request", &|claims| claims["event_name"] = json!("pull_request_target"));
    refused(403, "`push`", &|claims| claims["event_name"] = json!("workflow_run"));
    refused(403, "not the one", &|claims| claims["sha"] = json!("1".repeat(40)));
    refused(403, "neither a branch nor a tag", &|claims| claims["ref"] = json!("refs/notes/x"));

    let good = place.issuer.key().sign(&place.claims(&commit));
    for authorization in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", &format!("Basic {good}")] {
        assert_eq!(place.post_offer(authorization, &wish.to_string()).status, 401, "{authorization}");
    }
    let forged = Key::new(&place.issuer.key().id, 1).sign(&place.claims(&commit));
    assert_eq!(place.post_offer(&format!("Bearer {forged}"), &wish.to_string()).status, 401);
    let authorization = format!("Bearer {good}");
    for body in ["", "{", "[]", "{}", r#"{"model": "tests/tiny"}"#, &format!("{wish}x")] {
        assert_eq!(place.post_offer(&authorization, body).status, 400, "{body}");
    }
    let mut more = wish.clone();
    more["channel"] = json!("production");
    assert_eq!(place.post_offer(&authorization, &more.to_string()).status, 400, "unknown keys are faults");
    let long = format!("{}{wish}", " ".repeat(300_000));
    assert_eq!(place.post_offer(&authorization, &long).status, 413);
    let form = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
    assert_eq!(place.ask("POST", "/api/versions", &form, &wish.to_string()).status, 415);
    assert_eq!(place.ask("GET", "/api/versions", &[], "").status, 405);
    assert_eq!(place.ask("GET", &format!("/api/models/{MODEL}/offers/oidc-x"), &[], "").status, 404);
    place.world.until_idle();
    assert!(place.versions().is_empty(), "nothing of it was kept");
}

#[test]
fn an_offer_that_is_not_what_it_claims_is_refused() {
    let place = Place::new();
    let commit = place.push("main");
    let refused = |words: &str, wish: &Value, commit: &str| {
        let reason = place.refusal(&place.offer(&place.claims(commit), wish));
        assert!(reason.contains(words), "{reason}");
    };
    let image = place.image(&commit);
    let with = |config: Value| place.wish(&commit, &place.image_of(&config));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut config = built(MODEL, &commit);
        change(&mut config);
        with(config)
    };
    refused("must say `tests/tiny`", &with(built("tests/other", &commit)), &commit);
    refused("`org.opencontainers.image.revision` says", &with(built(MODEL, &"2".repeat(40))), &commit);
    refused("`org.modelship.model` is missing", &changed(&|config| config["Labels"] = json!({})), &commit);
    let unnamed = changed(&|config| config["Labels"] = json!({"org.modelship.model": MODEL}));
    refused("`org.opencontainers.image.revision` is missing", &unnamed, &commit);
    refused("has no runner", &changed(&|config| config["Entrypoint"] = json!(["/bin/sh"])), &commit);
    refused("has no runner", &changed(&|config| config["Labels"]["org.modelship.entrypoint"] = json!("{")), &commit);

    let elsewhere = image.replace("/models/", "/others/");
    refused("takes no images from", &place.wish(&commit, &elsewhere), &commit);
    let mut wish = place.wish(&commit, &image);
    wish["work"]["tests"] = json!([]);
    refused("the manifest's tests are `base`", &wish, &commit);
    let mut wish = place.wish(&commit, &image);
    wish["work"]["inputs"] = json!({"x": format!("sha256:{}", "0".repeat(64))});
    refused("`inputs`", &wish, &commit);
    let mut wish = place.wish(&commit, &image);
    wish["model"] = json!("tests/unheard-of");
    let reason = place.refusal(&place.offer(&place.claims(&commit), &wish));
    assert!(reason.contains("has no manifest of `tests/unheard-of`"), "{reason}");

    // A commit that only somebody's clone has, and one that the server builds itself.
    git(&place.world.clone, &["commit", "--quiet", "--allow-empty", "-m", "Keep to oneself"]);
    let hidden = git(&place.world.clone, &["rev-parse", "HEAD"]).trim().to_owned();
    refused("in no branch and no tag", &place.wish(&hidden, &image), &hidden);
    place.world.write("config/tests/tiny.yaml", &manifest("build: {process: []}\n"));
    let own = place.push("main");
    refused("`build_by: server`", &place.wish(&own, &place.image(&own)), &own);
    place.world.until("the server built that one", |_| {
        let versions = place.versions();
        (versions.len() == 1 && versions[0]["source"]["commit"] == own.as_str()).then_some(())
    });
}

#[test]
fn a_list_of_platforms_is_an_image_too() {
    let place = Place::new();
    let commit = place.push("main");
    let one = place.image(&commit);
    let name = format!("models/{MODEL}");
    let list = place.registry.push_list(&name, "all", &one.split('@').nth(1).unwrap().parse().unwrap());
    let image = format!("{}/{name}@{list}", place.registry.address);
    let outcome = place.outcome(&place.offer(&place.claims(&commit), &place.wish(&commit, &image)));
    assert_eq!(outcome["state"], "registered", "{outcome}");
    assert_eq!(place.versions()[0]["executable"], json!(list));
}

#[test]
fn a_server_that_lists_no_repositories_or_knows_no_address_of_its_own_takes_no_offers() {
    for (repositories, words) in [("[]", "server.repositories"), ("[1]", "server.url")] {
        let place = Place::with("build: {process: []}\nbuild_by: actions\n", |place| match repositories {
            "[]" => place.server_settings("[]"),
            _ => {
                let listen = place.url.trim_start_matches("http://");
                format!("server: {{listen: \"{listen}\", repositories: [{}]}}\n", place.repository)
            }
        });
        let commit = "1".repeat(40);
        let image = format!("{}/models/x@sha256:{}", place.registry.address, "0".repeat(64));
        let answer = place.offer(&place.claims(&commit), &place.wish(&commit, &image));
        let said = answer.value()["error"].as_str().unwrap().to_owned();
        assert!(answer.status == 403 && said.contains(words), "{}: {said}", answer.status);
    }
}

#[test]
fn an_issuer_that_is_out_makes_nobody_wait_and_loses_nothing() {
    let place = Place::new();
    let commit = place.push("main");
    let wish = place.wish(&commit, &place.image(&commit));
    place.issuer.be_silent(true);
    assert_eq!(place.offer(&place.claims(&commit), &wish).status, 503);
    let other = Issuer::start();
    let mut claims = place.claims(&commit);
    claims["iss"] = json!(other.url());
    assert_eq!(place.post_offer(&format!("Bearer {}", other.key().sign(&claims)), &wish.to_string()).status, 503);
}

#[test]
fn doctor_tells_whether_workflows_may_register() {
    let place = Place::new();
    let check = || {
        let checks = place.world.modelship(&["doctor", "--output", "json"]).json();
        checks.as_array().unwrap().iter().find(|check| check["part"] == "workflows").unwrap().clone()
    };
    let good = check();
    assert_eq!(good["state"], "good", "{good}");
    assert!(good["found"].as_str().unwrap().contains("signs with 1 key"), "{good}");
    place.issuer.be_silent(true);
    assert_eq!(check()["state"], "bad");
    place.issuer.be_silent(false);
    place.world.add_settings(&place.server_settings("[]"));
    assert!(check()["advice"].as_str().unwrap().contains("server.repositories"));
}
