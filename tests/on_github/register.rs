//! A model that workflows build: its commits and pull requests on GitHub wait, and go on once a workflow has registered it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Request, Response, send};
use crate::hub::{HUB, Hub};
use crate::issuer::Issuer;
use crate::registry::{Registry, built};
use crate::world::git;

const MODEL: &str = "tests/tiny";

/// What tokens are made for, and how else the settings may spell it.
const AUDIENCE: &str = "https://models.example.org";
const SPELLED: &str = "HTTPS://Models.Example.org:443/";

const MANIFEST: &str = "owner: tests\ntitle: tiny\ndescription: a tiny model\nsource: {path: models/tiny}\nbuild: {process: []}\n\
                        build_by: actions\nrun:\n  command: [sh, \"{model}/tiny.sh\"]\n  params: {format: args}\n\
                        parameters: {N: {type: int, default: 1}}\noutputs: {summary: stdout}\ntests: []\n";

struct Place {
    hub: Hub,
    issuer: Issuer,
    registry: Registry,
}

impl Place {
    fn new() -> Self {
        let (mut hub, issuer, registry) = (Hub::empty(), Issuer::start(), Registry::start(""));
        let settings = hub.app_settings();
        hub.world.add_settings(&settings);
        hub.world.add_settings(&format!(
            "server: {{listen: \"127.0.0.1:0\", url: \"{SPELLED}\", repositories: [{}], token_issuer: \"{}\"}}\n\
             docker: {{registry: \"{}/models\"}}\n",
            hub.repository,
            issuer.url(),
            registry.address
        ));
        hub.world.write("config/tests/tiny.yaml", MANIFEST);
        hub.world.write("models/tiny/tiny.sh", "echo n,1\n");
        hub.start();
        Self { hub, issuer, registry }
    }

    fn push(&self, branch: &str) -> String {
        self.hub.world.push_branch(branch, "Change the model");
        self.hub.commit(branch)
    }

    /// What a workflow on `branch` says of itself.
    fn claims(&self, branch: &str, commit: &str) -> Value {
        let repository = i64::try_from(self.hub.repository).unwrap();
        let mut claims = self.issuer.claims(AUDIENCE, (repository, HUB), commit);
        claims["ref"] = json!(format!("refs/heads/{branch}"));
        claims
    }

    fn offer(&self, claims: &Value, commit: &str) -> Response {
        let digest = self.registry.push(&format!("models/{MODEL}"), "latest", &built(MODEL, commit));
        let image = format!("{}/models/{MODEL}@{digest}", self.registry.address);
        let work = json!({"tests": [], "inputs": {}, "build_ms": 1});
        let wish = json!({"model": MODEL, "commit": commit, "image": image, "work": work});
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {}", self.issuer.key().sign(claims))),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let (method, target) = ("POST".to_owned(), "/api/versions".to_owned());
        let request = Request { method, target, headers, body: wish.to_string().into_bytes() };
        send(&self.hub.world.address(), &request, Duration::from_secs(20)).unwrap()
    }

    /// Eve, who may only read, changes the model on `theirs` in her fork and asks for it to be merged. The numbers of the
    /// pull request and of the fork.
    fn open_from_fork(&self) -> (u64, u64) {
        self.hub.world.write("models/tiny/NEWS", "from outside");
        self.hub.open_from_fork()
    }

    fn until_check(&self, commit: &str, words: &str) {
        self.hub.world.until(&format!("a check of {commit} says {words:?}"), |_| {
            let checks = self.hub.github.checks(HUB, commit);
            checks.iter().any(|check| check["output"]["title"].to_string().contains(words)).then_some(())
        });
    }
}

#[test]
fn a_pull_request_waits_for_its_workflow_and_shows_what_that_registered() {
    let place = Place::new();
    let main = place.push("main");
    place.until_check(&main, "waits for the workflow to register it");
    assert_eq!(place.offer(&place.claims("main", &main), &main).status, 202);
    place.until_check(&main, "passed 0 tests");

    place.hub.world.write("models/tiny/NEWS", "another");
    let head = place.push("topic");
    let number = place.hub.open_pull("topic", "A change");
    place.hub.until_said(number, &["waits for the workflow to register it"]);
    assert_eq!(place.offer(&place.claims("topic", &head), &head).status, 202);
    place.hub.until_said(number, &["✅ version", "`pr-1`"]);
    place.hub.world.until_idle();
    assert_eq!(place.hub.ours(number).len(), 1, "one comment, edited in place");
}

#[test]
fn the_commit_of_a_fork_that_somebody_approved_counts_once_it_is_the_repositorys_own() {
    let place = Place::new();
    place.until_check(&place.push("main"), "waits for the workflow");
    let (number, _) = place.open_from_fork();
    let theirs = place.hub.commit("theirs");
    place.hub.until_said(number, &["not built: the change comes from a fork"]);
    place.hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {theirs}"));
    place.hub.until_said(number, &["once this commit is in a branch of this repository"]);

    git(&place.hub.world.clone, &["push", "--quiet", "origin", "theirs:taken"]);
    place.until_check(&theirs, "waits for the workflow to register it");
    assert_eq!(place.offer(&place.claims("taken", &theirs), &theirs).status, 202);
    place.hub.until_said(number, &["✅ version", "`pr-1`"]);
}

#[test]
fn nothing_of_a_fork_registers() {
    let place = Place::new();
    place.until_check(&place.push("main"), "waits for the workflow");
    let (_, fork_id) = place.open_from_fork();
    let theirs = place.hub.commit("theirs");
    place.hub.github.until_delivered();
    place.hub.world.until_idle();

    // The fork's own workflow has the fork's number.
    let mut claims = place.claims("theirs", &theirs);
    claims["repository_id"] = json!(fork_id.to_string());
    claims["repository"] = json!("eve/hub");
    assert_eq!(place.offer(&claims, &theirs).status, 403);
    // One of the hub that runs for the pull request.
    let mut claims = place.claims("main", &theirs);
    claims["event_name"] = json!("pull_request_target");
    assert_eq!(place.offer(&claims, &theirs).status, 403);
    // And a commit that is here only because the pull request brought it.
    let said = place.offer(&place.claims("main", &theirs), &theirs).value();
    let look = said["look"].as_str().unwrap().to_owned();
    let reason = place.hub.world.until("the offer is refused", |world| {
        let (method, headers) = ("GET".to_owned(), Vec::new());
        let request = Request { method, target: look.clone(), headers, body: Vec::new() };
        let answer = send(&world.address(), &request, Duration::from_secs(20)).unwrap().value();
        answer["outcome"]["reason"].as_str().map(str::to_owned)
    });
    assert!(reason.contains("in no branch and no tag"), "{reason}");
}
