//! A server with an issuer that it trusts and a registry that it takes images from.

use std::time::Duration;

use modelship::edge::forge::local::LocalForge;
use serde_json::{Value, json};

use crate::http::{Request, Response, free_port, send};
use crate::issuer::Issuer;
use crate::registry::{Registry, built};
use crate::world::{World, git};

/// What registries show.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The model of every story.
pub(crate) const MODEL: &str = "tests/tiny";

/// Everything that a story needs.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) issuer: Issuer,
    pub(crate) registry: Registry,
    /// The server's own address, which tokens are made for.
    pub(crate) url: String,
    /// The repository's number on the forge.
    pub(crate) repository: i64,
}

/// The manifest of the model with these lines for who builds it.
pub(crate) fn manifest(build: &str) -> String {
    format!(
        "owner: tests\ntitle: tiny\ndescription: twice a number\nsource: {{path: models/tiny}}\n{build}\
         run:\n  command: [sh, \"{{model}}/tiny.sh\", \"{{outputs}}\"]\n  params: {{format: env}}\n\
         parameters:\n  N: {{type: int, default: 2, min: 0, max: 100}}\n\
         outputs:\n  summary: summary.json\n  columns: {{twice: {{}}}}\n\
         tests:\n  - {{name: base, parameters: {{N: 3}}, expect: {{twice: 6}}}}\n"
    )
}

impl Place {
    /// A server for a hub with one model, which workflows build.
    pub(crate) fn new() -> Self {
        Self::with("build: {process: []}\nbuild_by: actions\n", |_| String::new())
    }

    /// The same for a model that is built like that, with more lines for the server's settings.
    pub(crate) fn with(build: &str, settings: impl FnOnce(&Self) -> String) -> Self {
        let (world, issuer) = (World::empty(), Issuer::start());
        let url = format!("http://127.0.0.1:{}", free_port());
        let registry = Registry::start(&format!(
            "notifications:\n  endpoints:\n    - name: modelship\n      url: {url}/webhooks/registry\n      \
             headers: {{Authorization: [Bearer {SECRET}]}}\n      timeout: 5s\n      threshold: 3\n      backoff: 1s\n"
        ));
        let forge = LocalForge::open(&world.forge(), modelship::engine::system_time).unwrap();
        let repository = forge.repositories().unwrap()[0].id;
        let mut place = Self { world, issuer, registry, url, repository };
        place.world.add_settings(&place.server_settings(&format!("[{repository}]")));
        place.world.add_settings(&format!(
            "docker: {{registry: \"{0}/models\", accept: [\"{0}/models\", docker.io/urban], max_image: 1 MB}}\n",
            place.registry.address
        ));
        place.world.environment.push(("MODELSHIP_REGISTRY_SECRET", SECRET.to_owned()));
        let more = settings(&place);
        place.world.add_settings(&more);
        place.world.write("config/tests/tiny.yaml", &manifest(&build.replace("REGISTRY", &place.registry.address)));
        place.world.write("models/tiny/tiny.sh", "printf '{\"twice\": %d}' $((N * 2)) >\"$1/summary.json\"\n");
        place.world.start_server();
        place
    }

    /// The line of the settings about the server, for these repositories.
    pub(crate) fn server_settings(&self, repositories: &str) -> String {
        format!(
            "server: {{listen: \"{}\", url: \"{}\", repositories: {repositories}, token_issuer: \"{}\"}}\n",
            self.url.trim_start_matches("http://"),
            self.url,
            self.issuer.url()
        )
    }

    /// Commits and pushes everything to a branch, and gives the commit.
    pub(crate) fn push(&self, branch: &str) -> String {
        self.world.push_branch(branch, "Change something");
        git(&self.world.clone, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Pushes the image of this commit as `modelship build` makes it, and gives its whole name.
    pub(crate) fn image(&self, commit: &str) -> String {
        self.image_of(&built(MODEL, commit))
    }

    /// Pushes an image with this configuration below what the server accepts.
    pub(crate) fn image_of(&self, config: &Value) -> String {
        let digest = self.registry.push(&format!("models/{MODEL}"), "latest", config);
        format!("{}/models/{MODEL}@{digest}", self.registry.address)
    }

    /// What a good token of a push to `main` says.
    pub(crate) fn claims(&self, commit: &str) -> Value {
        self.issuer.claims(&self.url, (self.repository, "example/hub"), commit)
    }

    /// What a workflow sends.
    pub(crate) fn wish(&self, commit: &str, image: &str) -> Value {
        let work = json!({"tests": [{"name": "base", "duration_ms": 12}], "inputs": {}, "build_ms": 340});
        json!({"model": MODEL, "commit": commit, "image": image, "work": work})
    }

    /// Offers with a token that says `claims`.
    pub(crate) fn offer(&self, claims: &Value, wish: &Value) -> Response {
        self.post_offer(&format!("Bearer {}", self.issuer.key().sign(claims)), &wish.to_string())
    }

    pub(crate) fn post_offer(&self, authorization: &str, body: &str) -> Response {
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        self.ask("POST", "/api/versions", &headers, body)
    }

    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, target) = (method.to_owned(), target.to_owned());
        let request = Request { method, target, headers, body: body.as_bytes().to_vec() };
        send(&self.url, &request, Duration::from_secs(20)).unwrap()
    }

    /// Waits until an offer that was accepted is settled, and gives its outcome.
    pub(crate) fn outcome(&self, accepted: &Response) -> Value {
        let said = accepted.value();
        assert_eq!(accepted.status, 202, "{said}");
        let look = said["look"].as_str().unwrap();
        self.world.until(&format!("{look} is settled"), |_| {
            let answer = self.ask("GET", look, &[], "");
            let outcome = answer.value()["outcome"].clone();
            let settled = matches!(outcome["state"].as_str(), Some("registered" | "refused"));
            (answer.status == 200 && settled).then_some(outcome)
        })
    }

    /// The reason why an offer was refused.
    #[track_caller]
    pub(crate) fn refusal(&self, accepted: &Response) -> String {
        let outcome = self.outcome(accepted);
        assert_eq!(outcome["state"], "refused", "{outcome}");
        outcome["reason"].as_str().unwrap().to_owned()
    }

    /// Versions of the model, newest first.
    pub(crate) fn versions(&self) -> Vec<Value> {
        let answer = self.ask("GET", &format!("/api/models/{MODEL}/versions"), &[], "");
        answer.value()["versions"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until the commit's status says this.
    pub(crate) fn until_status(&self, commit: &str, words: &str) {
        let forge = LocalForge::open(&self.world.forge(), modelship::engine::system_time).unwrap();
        let repository = forge.repositories().unwrap().remove(0);
        let sha = commit.parse().unwrap();
        self.world.until(&format!("the status of {commit} says {words:?}"), |_| {
            let statuses = forge.statuses(&repository, &sha).unwrap();
            statuses.iter().any(|status| status.description.contains(words)).then_some(())
        });
    }
}
