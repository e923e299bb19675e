//! Deliveries on their way to the server.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use modelship::domain::event::Keyed;
use modelship::domain::ids::{ModelName, RunPrefix, SweepId, Time};
use modelship::domain::image::ImageName;
use modelship::domain::offer::{Identity, OfferState};
use modelship::domain::version::Version;
use modelship::edge::artifacts::content::Content;
use modelship::edge::forge::local::{DeliveryOutcome, signature};
use modelship::engine::{PlannedRun, Recorded, SweepFile};
use modelship::server::{self};
use modelship::settings::Public;
use secrecy::SecretString;

use crate::place::*;

/// An inbox that keeps what it is given.
#[derive(Default)]
struct Kept(Mutex<Vec<Keyed>>);

impl server::Inbox for Kept {
    fn accept(
        &self,
        _: server::Delivery,
        events: Vec<Keyed>,
    ) -> BoxFuture<'_, Result<server::Accepted, server::Unavailable>> {
        self.0.lock().unwrap().extend(events);
        async { Ok(server::Accepted::New) }.boxed()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, server::Unavailable>>;

impl server::Registry for Kept {
    fn forge_address(&self) -> Option<String> {
        None
    }
    fn ready(&self) -> Answer<'_, ()> {
        async { Ok(()) }.boxed()
    }
    fn figures(&self) -> Answer<'_, server::Figures> {
        async { Ok(server::Figures::default()) }.boxed()
    }
    fn models(&self) -> Answer<'_, Vec<server::ModelEntry>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn model(&self, _: ModelName) -> Answer<'_, Option<server::ModelEntry>> {
        async { Ok(None) }.boxed()
    }
    fn versions(&self, _: ModelName) -> Answer<'_, Vec<Version>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn sweeps(&self) -> Answer<'_, Vec<server::SweepEntry>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn sweep(&self, _: SweepId) -> Answer<'_, Option<server::SweepEntry>> {
        async { Ok(None) }.boxed()
    }
    fn sweep_file(&self, _: SweepId, _: SweepFile) -> Answer<'_, Option<Content>> {
        async { Ok(None) }.boxed()
    }
    fn first_runs(&self, _: SweepId, _: usize) -> Answer<'_, Vec<PlannedRun>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn runs(&self, _: RunPrefix) -> Answer<'_, Vec<server::RunEntry>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn recorded(&self, _: server::RunEntry) -> Answer<'_, Option<Recorded>> {
        async { Ok(None) }.boxed()
    }
    fn run_parameters<'a>(&'a self, _: &'a Recorded) -> Answer<'a, Vec<(String, String)>> {
        async { Ok(Vec::new()) }.boxed()
    }
    fn run_log<'a>(&'a self, _: &'a Recorded) -> Answer<'a, String> {
        async { Ok(String::new()) }.boxed()
    }
    fn run_file<'a>(&'a self, _: &'a Recorded, _: &'a str) -> Answer<'a, Option<Content>> {
        async { Ok(None) }.boxed()
    }
}

/// Nobody offers anything here.
impl server::Offers for Kept {
    fn identify(&self, _: SecretString) -> BoxFuture<'_, Result<(Identity, Time), server::NotIdentified>> {
        async { Err(server::NotIdentified::NoAddress) }.boxed()
    }
    fn offer(&self, _: ModelName, _: String) -> Answer<'_, Option<OfferState>> {
        async { Ok(None) }.boxed()
    }
    fn accepted(&self, _: server::Sender, _: &str) -> Vec<ImageName> {
        Vec::new()
    }
}

async fn serve(secret: SecretString, kept: Arc<Kept>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let context = server::ServerContext {
        secrets: server::WebhookSecrets::new(vec![secret]).unwrap(),
        repositories: server::AllowedRepositories::Any,
        inbox: kept.clone(),
        registry: kept.clone(),
        access: Arc::new(server::Access::new(Public::All, server::Others::Everybody)),
        offers: server::OfferDoors { offers: kept.clone(), registry_secrets: Vec::new() },
        limits: server::Limits::default(),
    };
    tokio::spawn(server::serve(listener, context, std::future::pending()));
    url
}

#[tokio::test]
async fn deliveries_reach_the_server_signed_and_in_order() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (pull, mut deliveries) = world.open("work");
    deliveries.extend(world.forge.comment(&pull, "ada", "/modelship run").unwrap().1);
    let me = world.forge.me().unwrap().login;
    deliveries.extend(world.forge.merge(&pull, &me).unwrap().1);

    let kept = Arc::new(Kept::default());
    let url = serve(world.forge.webhook_secret().unwrap(), kept.clone()).await;
    world.forge.set_url(&format!("{url}/")).unwrap();
    let results = world.forge.deliver(&deliveries).await.unwrap();
    assert!(results.iter().all(|it| it.outcome == DeliveryOutcome::Accepted { status: 202 }), "{results:?}");
    let names: Vec<_> = kept.0.lock().unwrap().iter().map(|keyed| keyed.event.name()).collect();
    assert_eq!(names, ["PullChanged", "CommentCreated", "PushReceived", "PullChanged"]);
}

#[tokio::test]
async fn a_server_with_another_secret_rejects_and_a_missing_one_is_no_error() {
    let world = World::new();
    world.commit("work", "w", "1");
    let (_, deliveries) = world.open("work");
    let kept = Arc::new(Kept::default());
    world.forge.set_url(&serve(SecretString::from("other"), kept.clone()).await).unwrap();
    let results = world.forge.deliver(&deliveries).await.unwrap();
    let DeliveryOutcome::Rejected { status: 401, answer } = &results[0].outcome else { panic!("{results:?}") };
    assert!(answer.contains("signature"));
    assert!(kept.0.lock().unwrap().is_empty());

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    world.forge.set_url(&url).unwrap();
    let two = [deliveries[0].clone(), deliveries[0].clone()];
    let results = world.forge.deliver(&two).await.unwrap();
    assert!(results.iter().all(|it| matches!(it.outcome, DeliveryOutcome::Unanswered { .. })), "{results:?}");
}

#[test]
fn the_signature_is_that_of_githubs_documentation() {
    let secret = SecretString::from("It's a Secret to Everybody");
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(signature(&secret, b"Hello, World!"), expected);
}
