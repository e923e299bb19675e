//! Deliveries that nobody sent, and one that is sent too often, against the real server and its database.

use futures_util::future::join_all;
use modelship::domain::ids::RepositoryName;
use modelship::edge::forge::local::{LocalForge, signature};
use modelship::engine::system_time;
use reqwest::{Client, StatusCode};
use secrecy::SecretString;

use crate::trouble;
use crate::world::{World, git};

/// A change of the model on a branch of the forge that no hook has told of, and the delivery that would tell.
fn untold(world: &World) -> (String, String) {
    world.write("models/trouble/NOTES.md", "a thought\n");
    git(&world.clone, &["checkout", "--quiet", "-B", "untold"]);
    git(&world.clone, &["add", "--all"]);
    git(&world.clone, &["commit", "--quiet", "-m", "Write a thought down"]);
    let clone = world.clone.to_str().unwrap();
    git(&world.forge().join("example/hub.git"), &["fetch", "--quiet", clone, "untold:untold"]);
    let head = git(&world.clone, &["rev-parse", "HEAD"]);
    let forge = LocalForge::open(&world.forge(), system_time).unwrap();
    let line = format!("{} {} refs/heads/untold\n", "0".repeat(40), head.trim());
    let mut deliveries = forge.post_receive(&RepositoryName::new("example", "hub").unwrap(), &line).unwrap();
    let delivery = deliveries.remove(0);
    (delivery.id, delivery.body)
}

async fn send(world: &World, id: &str, body: &str, signed: Option<&str>) -> (StatusCode, String) {
    let mut request = Client::new()
        .post(format!("{}/webhooks/github", world.url()))
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", id)
        .body(body.to_owned());
    if let Some(signed) = signed {
        request = request.header("x-hub-signature-256", signed);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

fn versions(world: &World) -> usize {
    let listed = world.modelship(&["versions", "examples/trouble", "--output", "json"]).ok().json();
    listed.as_array().unwrap().len()
}

#[tokio::test]
async fn forged_and_unsigned_deliveries_change_nothing_and_a_hundred_true_copies_act_once() {
    // Nothing but the delivery tells of the branch.
    let world = trouble::world("reconcile_every: 1h\n");
    let (id, body) = untold(&world);
    let secret = SecretString::from(std::fs::read_to_string(world.forge().join("webhook-secret")).unwrap().trim());
    let good = signature(&secret, body.as_bytes());

    let elsewhere = signature(&secret, body.replace("untold", "main").as_bytes());
    let guessed = signature(&SecretString::from("guess"), body.as_bytes());
    for signed in [None, Some(elsewhere.as_str()), Some(guessed.as_str()), Some("sha256="), Some("sha1=00")] {
        let (status, text) = send(&world, &id, &body, signed).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{signed:?}");
        assert!(text.contains("the signature is missing or wrong"), "{text}");
    }
    world.until_idle();
    assert_eq!(versions(&world), 1, "nothing was built");

    // The refused ones have not used up the delivery's id.
    let answers = join_all((0..100).map(|_| send(&world, &id, &body, Some(&good)))).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{answers:?}");
    assert_eq!(answers.iter().filter(|(_, text)| text.contains("accepted")).count(), 1, "{answers:?}");
    world.until("the branch has a version", |world| {
        (world.modelship(&["versions", "examples/trouble", "untold"]).status == 0).then_some(())
    });
    world.until_idle();
    assert_eq!(versions(&world), 2, "built once");
    let history = world.modelship(&["versions", "examples/trouble", "--history", "untold", "--output", "json"]).ok();
    assert_eq!(history.json().as_array().unwrap().len(), 1, "moved once: {history:?}");

    // The same news under other ids is no news.
    let again = join_all((0..20).map(|n| {
        let id = format!("72d3162e-cc78-11e3-81ab-4c9367dc{n:04}");
        let (world, body, good) = (&world, &body, &good);
        async move { send(world, &id, body, Some(good)).await }
    }));
    assert!(again.await.iter().all(|(status, _)| *status == StatusCode::ACCEPTED));
    world.until_idle();
    assert_eq!(versions(&world), 2);
}
