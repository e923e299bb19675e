//! Other programs, told of versions that workflows built.

use std::sync::{Arc, Mutex};

use crate::http::{Reply, Request, Response, Server};
use crate::place::{MODEL, Place};
use crate::world::git;

#[test]
fn a_version_is_told_of_once_however_often_its_commit_is_registered_again() {
    let letters: Arc<Mutex<Vec<Request>>> = Arc::default();
    let kept = Arc::clone(&letters);
    let others = Server::start(move |request| {
        kept.lock().unwrap().push(request);
        Reply::Whole(Response::empty(204))
    });
    let place = Place::with("build: {process: []}\nbuild_by: actions\n", |_| {
        format!(
            "webhooks: [{{name: others, url: \"{}/hook\", secret_variable: MODELSHIP_REGISTRY_SECRET, \
             events: [registered]}}]\n",
            others.url()
        )
    });
    let commit = place.push("main");
    let wish = place.wish(&commit, &place.image(&commit));
    let registered = place.outcome(&place.offer(&place.claims(&commit), &wish));
    assert_eq!(place.outcome(&place.offer(&place.claims(&commit), &wish)), registered, "offered once more");
    // The tag's push finds the version there.
    git(&place.world.clone, &["tag", "v1"]);
    git(&place.world.clone, &["push", "--quiet", "origin", "v1"]);
    place.world.until("the tag is a channel", |world| {
        let found = world.modelship(&["versions", MODEL, "v1", "--output", "json"]);
        (found.status == 0).then_some(())
    });
    place.world.until_idle();
    let told: Vec<_> = letters.lock().unwrap().iter().map(Request::json).collect();
    assert_eq!(told.iter().map(|letter| &letter["version"]).collect::<Vec<_>>(), [&registered["version"]], "{told:#?}");
}
