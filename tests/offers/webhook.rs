//! What registries tell, through the server's real door and by a real registry.

use serde_json::json;

use crate::place::{MODEL, Place, SECRET};
use crate::registry::built;

const BY_REGISTRY: &str = "build: {process: [], image: REGISTRY/models/tests/tiny}\nbuild_by: registry\n";

fn told(id: &str, repository: &str, digest: &str) -> String {
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let target = json!({"mediaType": kind, "digest": digest, "repository": repository, "tag": "latest"});
    json!({"events": [{"id": id, "action": "push", "target": target, "request": {"host": "evil.example.org"}}]})
        .to_string()
}

#[test]
fn a_pushed_image_of_a_model_that_waits_for_it_is_looked_at() {
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let commit = place.push("main");
    place.until_status(&commit, "waits for its image in the registry");
    // The registry itself tells the server; labels say which model and commit it is.
    let mut config = built(MODEL, &commit);
    config["Labels"]["org.opencontainers.image.source"] = json!("https://forge.example.org/example/hub.git");
    config["Entrypoint"] = json!(["/bin/sh"]);
    place.image_of(&config);
    // This server has no containers to test it in, and never takes an image untested.
    place.until_status(&commit, "cannot test an image");
    assert!(place.versions().is_empty());
}

#[test]
fn an_image_with_a_wrong_label_is_nobodys_and_it_is_said_why() {
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let commit = place.push("main");
    place.until_status(&commit, "waits for its image in the registry");
    let (model, revision, source) =
        ("org.modelship.model", "org.opencontainers.image.revision", "org.opencontainers.image.source");
    let push = |label: &str, said: &str| {
        let mut config = built(MODEL, &commit);
        config["Labels"][source] = json!("example/hub");
        config["Labels"][label] = json!(said);
        place.image_of(&config).split('@').nth(1).unwrap().to_owned()
    };
    let unnamed = format!("its labels `{model}` and `{revision}` do not name a model and a commit");
    let unknown = format!("its label `{source}` names no repository that this server works for");
    for (label, said, words) in [
        (model, "", unnamed.as_str()),
        (model, "../tiny", unnamed.as_str()),
        (model, "tests/other", "has no manifest of `tests/other`"),
        (revision, "main", unnamed.as_str()),
        (revision, &commit[..12], unnamed.as_str()),
        (source, "", unknown.as_str()),
        (source, "evil/hub", unknown.as_str()),
        (source, "https://forge.example.org/evil/example/hub", unknown.as_str()),
    ] {
        let digest = push(label, said);
        place.world.until(&format!("`{label}={said}` is refused: {words}"), |world| {
            let log = world.server_log();
            log.lines().any(|line| line.contains(&digest) && line.contains(words)).then_some(())
        });
    }
    place.world.until_idle();
    place.until_status(&commit, "waits for its image in the registry");
    assert!(place.versions().is_empty());
    push("org.modelship.channel", "production");
    place.until_status(&commit, "cannot test an image");
}

#[test]
fn an_image_that_is_too_large_is_refused_whoever_offers_it() {
    let large = vec![0; 1_100_000];
    let says = "is an image of 1.1 MB, and this server takes none above 1.0 MB (`docker.max_image` in its settings)";
    let pushed = |place: &Place, commit: &str| {
        let mut config = built(MODEL, commit);
        config["Labels"]["org.opencontainers.image.source"] = json!("https://forge.example.org/example/hub.git");
        let digest = place.registry.push_with_layer(&format!("models/{MODEL}"), "latest", &config, &large);
        format!("{}/models/{MODEL}@{digest}", place.registry.address)
    };
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let commit = place.push("main");
    place.until_status(&commit, "waits for its image in the registry");
    pushed(&place, &commit);
    place.until_status(&commit, says);

    let place = Place::new();
    let commit = place.push("main");
    let image = pushed(&place, &commit);
    let reason = place.refusal(&place.offer(&place.claims(&commit), &place.wish(&commit, &image)));
    assert!(reason.contains(says), "{reason}");
    assert!(place.versions().is_empty());
}

#[test]
fn an_image_of_a_model_that_somebody_else_builds_is_left_alone() {
    let place = Place::new();
    let commit = place.push("main");
    place.until_status(&commit, "waits for the workflow to register it");
    let mut config = built(MODEL, &commit);
    config["Labels"]["org.opencontainers.image.source"] = json!("example/hub");
    place.image_of(&config);
    place.world.until("the push was looked at", |world| {
        world.server_log().contains("its manifest leaves it to somebody else").then_some(())
    });
    place.world.until_idle();
    assert!(place.versions().is_empty());
    place.until_status(&commit, "waits for the workflow to register it");
}

#[test]
fn a_workflow_cannot_register_what_the_registry_tells_of() {
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let commit = place.push("main");
    let image = place.image(&commit);
    let reason = place.refusal(&place.offer(&place.claims(&commit), &place.wish(&commit, &image)));
    assert!(reason.contains("`build_by: registry`") && reason.contains("`build_by: actions`"), "{reason}");
}

#[test]
fn only_who_shows_the_secret_is_listened_to() {
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let digest = format!("sha256:{}", "0".repeat(64));
    let body = told("6c7ad4a2", "models/tests/tiny", &digest);
    let json = ("content-type", "application/vnd.docker.distribution.events.v1+json");
    let tell = |path: &str, authorization: &str| {
        let headers = [json, ("authorization", authorization)];
        place.ask("POST", path, &headers, &body)
    };
    let bearer = format!("Bearer {SECRET}");
    for (path, authorization) in [
        ("/webhooks/registry", ""),
        ("/webhooks/registry", "Bearer wrong"),
        ("/webhooks/registry", &format!("Basic {SECRET}")),
        ("/webhooks/registry", &format!("{bearer}x")),
        ("/webhooks/registry/wrong", bearer.as_str()),
        (&format!("/webhooks/registry/{}", &SECRET[1..]), ""),
    ] {
        assert_eq!(tell(path, authorization).status, 401, "{path} {authorization}");
    }
    // Before its secret is known nothing of a body is looked at.
    let nonsense = place.ask("POST", "/webhooks/registry", &[json], "{");
    assert_eq!(nonsense.status, 401);

    let first = tell("/webhooks/registry", &bearer);
    assert_eq!((first.status, first.value()), (202, json!({"accepted": 1, "repeated": 0})));
    let again = tell(&format!("/webhooks/registry/{SECRET}"), "");
    assert_eq!((again.status, again.value()), (202, json!({"accepted": 0, "repeated": 1})));
    place.world.until_idle();
    assert!(place.world.server_log().contains("the registry has no"), "{}", place.world.server_log());
}

#[test]
fn what_is_no_push_of_an_accepted_image_is_answered_and_forgotten() {
    let place = Place::with(BY_REGISTRY, |_| String::new());
    let authorization = format!("Bearer {SECRET}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let tell = |body: &str| place.ask("POST", "/webhooks/registry", &headers, body);
    let digest = format!("sha256:{}", "0".repeat(64));
    for body in [
        "{}".to_owned(),
        "[]".to_owned(),
        json!({"events": []}).to_string(),
        told("a", "others/tiny", &digest),
        told("b", "models/../others", &digest),
        told("c", "models/tests/tiny", "sha256:0"),
        told("d", "169.254.169.254/latest", &digest),
        // Docker Hub is not accepted here.
        json!({"push_data": {"tag": "latest"}, "repository": {"repo_name": "models/tiny"}, "callback_url": "http://169.254.169.254/"})
            .to_string(),
    ] {
        let answer = tell(&body);
        assert_eq!((answer.status, answer.value()), (200, json!({"accepted": 0, "repeated": 0})), "{body}");
    }
    assert_eq!(tell("{").status, 400);
    assert_eq!(tell(&" ".repeat(2_000_000)).status, 413);
    let many: Vec<_> = (0..1001)
        .map(|id| {
            serde_json::from_str::<serde_json::Value>(&told(&id.to_string(), "models/tiny", &digest)).unwrap()["events"]
                [0]
            .clone()
        })
        .collect();
    assert_eq!(tell(&json!({"events": many}).to_string()).status, 413);
}

#[test]
fn a_server_without_a_secret_listens_to_no_registry() {
    let mut place = Place::with(BY_REGISTRY, |_| String::new());
    place.world.kill_server();
    place.world.environment.retain(|(name, _)| *name != "MODELSHIP_REGISTRY_SECRET");
    place.world.start_server();
    let answer = place.ask("POST", "/webhooks/registry", &[("content-type", "application/json")], "{}");
    assert_eq!(answer.status, 403);
    assert!(answer.value()["error"].as_str().unwrap().contains("server.registry_secret"));
}
