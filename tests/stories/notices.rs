//! Other programs that are told what happens, by a real server of theirs that fails now and then.

use std::collections::{BTreeSet, VecDeque};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::http::{self, Reply, Request, Response};
use crate::world::World;

const SECRET: &str = "a secret between them and us";
const MODEL: &str = "examples/identity-matrix";

/// How the receiver treats a message.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    Says(u16),
    /// Takes it and hangs up without an answer.
    HangsUp,
    SendsElsewhere,
}

/// Somebody else's server.
struct Receiver {
    server: http::Server,
    letters: Arc<Mutex<Vec<Request>>>,
    manners: Arc<Mutex<VecDeque<Manner>>>,
    arrived: Channel<()>,
}

impl Receiver {
    fn start() -> Self {
        let letters: Arc<Mutex<Vec<Request>>> = Arc::default();
        let manners: Arc<Mutex<VecDeque<Manner>>> = Arc::default();
        let (tell, arrived) = channel();
        let tell = Mutex::new(tell);
        let (kept, planned) = (Arc::clone(&letters), Arc::clone(&manners));
        let server = http::Server::start(move |request| {
            kept.lock().unwrap().push(request);
            let _ = tell.lock().unwrap().send(());
            match planned.lock().unwrap().pop_front().unwrap_or(Manner::Takes) {
                Manner::Takes => Reply::Whole(Response::empty(204)),
                Manner::Says(status) => Reply::Whole(Response::empty(status)),
                Manner::HangsUp => Reply::Nothing,
                Manner::SendsElsewhere => Reply::Whole(Response::empty(307).with("location", "/elsewhere")),
            }
        });
        Self { server, letters, manners, arrived }
    }

    fn will(&self, manners: &[Manner]) {
        self.manners.lock().unwrap().extend(manners);
    }

    fn letters(&self) -> Vec<Request> {
        self.letters.lock().unwrap().clone()
    }

    fn of(&self, event: &str) -> Vec<Request> {
        self.letters().into_iter().filter(|letter| letter.header("x-modelship-event") == Some(event)).collect()
    }

    fn until(&self, world: &World, event: &str, count: usize) -> Vec<Request> {
        world.until(&format!("{count} times `{event}`"), |_| Some(self.of(event)).filter(|found| found.len() >= count))
    }

    /// Whether Python agrees with the signature, as README says how.
    fn check(letter: &Request) {
        let program = "import hmac, sys; body = sys.stdin.buffer.read(); \
                       print('sha256=' + hmac.new(sys.argv[1].encode(), body, 'sha256').hexdigest())";
        let mut python = Command::new("python3")
            .args(["-c", program, SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), &letter.body).unwrap();
        let said = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(letter.header("x-modelship-signature-256"), Some(said.trim()));
    }
}

/// A world that tells `receiver` of these events, with one model in production.
fn world(receiver: &Receiver, events: &str) -> World {
    let mut world = World::empty();
    let url = format!("{}/hook?token=hidden", receiver.server.url());
    world.add_settings(&format!(
        "webhooks: [{{name: deployer, url: \"{url}\", secret_variable: MODELSHIP_HOOK, events: {events}}}]"
    ));
    world.environment.push(("MODELSHIP_HOOK", SECRET.to_owned()));
    world.bring(&["identity-matrix"]);
    world.start_server();
    world.publish();
    world
}

#[test]
fn what_is_for_this_machine_does_not_leave_it_by_a_proxy() {
    let (receiver, proxy) = (Receiver::start(), Receiver::start());
    let mut world = World::empty();
    let url = receiver.server.url().replace("127.0.0.1", "localhost");
    world.add_settings(&format!("webhooks: [{{url: \"{url}/hook\", secret_variable: MODELSHIP_HOOK}}]"));
    world.environment.push(("MODELSHIP_HOOK", SECRET.to_owned()));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        world.environment.push((name, proxy.server.url()));
    }
    world.bring(&["identity-matrix"]);
    world.start_server();
    world.publish();
    Receiver::check(&receiver.until(&world, "registered", 1)[0]);
    world.until_idle();
    assert_eq!(proxy.letters().len(), 0, "{:#?}", proxy.letters());
}

/// Checks that a message says what the published schema allows, and nothing else.
fn check_schema(body: &Value) {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/webhook.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    fn check(value: &Value, part: &Value, all: &Value, path: &str) {
        let part = match part["$ref"].as_str().or_else(|| part["anyOf"][0]["$ref"].as_str()) {
            Some(reference) => &all["definitions"][reference.rsplit('/').next().unwrap()],
            None => part,
        };
        let Some(properties) = part["properties"].as_object() else { return };
        let object = value.as_object().unwrap();
        for required in part["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(required.as_str().unwrap()), "{path}: no {required} in {value}");
        }
        for (key, inner) in object {
            let known = properties.get(key).unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
            check(inner, known, all, key);
        }
    }
    check(body, &schema, &schema, "");
}

#[test]
fn others_are_told_of_versions_channels_and_sweeps() {
    let receiver = Receiver::start();
    let world = world(&receiver, "[registered, promoted, finished]");
    let registered = receiver.until(&world, "registered", 1).remove(0);
    let promoted = receiver.until(&world, "promoted", 1).remove(0);
    world.write("sweeps/sizes.yaml", &format!("sweep: sizes\nmodel: {MODEL}\nparameters:\n  N: [1, 2, 4]\n"));
    world.push_branch("sizes", "Ask for sizes");
    let number = world.open_pull("sizes", "Sizes");
    world.until_comment(number, &["/modelship run sizes"]);
    world.comment(number, "/modelship run");
    world.until_comment(number, &["3 runs done"]);
    let finished = receiver.until(&world, "finished", 1).remove(0);
    world.until_idle();

    let version = world.modelship(&["versions", MODEL, "production", "--output", "json"]).ok().json();
    for letter in [&registered, &promoted, &finished] {
        Receiver::check(letter);
        let body = letter.json();
        check_schema(&body);
        assert_eq!(letter.header("content-type"), Some("application/json"));
        assert_eq!(letter.header("x-modelship-delivery"), body["id"].as_str());
        assert_eq!((&body["model"], &body["version"]), (&Value::from(MODEL), &version["id"]), "{body}");
        assert_eq!((&body["digest"], &body["commit"]), (&version["executable"], &version["source"]["commit"]));
    }
    assert_eq!(promoted.json()["channel"], "production");
    let sweep = &finished.json()["sweep"];
    assert_eq!(
        (&sweep["name"], &sweep["outcome"], &sweep["by"]),
        (&"sizes".into(), &"succeeded".into(), &"ada".into())
    );
    assert_eq!((&sweep["counts"]["runs"], &sweep["counts"]["succeeded"]), (&3.into(), &3.into()));
    assert_eq!(sweep["pull_request"], number);
    let letters = receiver.letters();
    let ids: BTreeSet<_> = letters.iter().map(|letter| letter.header("x-modelship-delivery").unwrap()).collect();
    assert_eq!(ids.len(), letters.len(), "each once");
    let checks = world.modelship(&["doctor", "--output", "json"]);
    let check = checks.json().as_array().unwrap().iter().find(|check| check["part"] == "webhooks").cloned().unwrap();
    assert_eq!(
        (&check["state"], &check["found"]),
        (&"good".into(), &"deployer: registered, promoted, finished".into())
    );
    assert!(!checks.stdout.contains("hidden"), "{checks:?}");
    let log = world.server_log();
    assert!(!log.contains(SECRET) && !log.contains("hidden"), "{log}");
}

#[test]
fn a_receiver_that_fails_gets_the_same_message_until_it_takes_it() {
    let receiver = Receiver::start();
    receiver.will(&[Manner::Says(500), Manner::Says(429), Manner::HangsUp]);
    let mut world = world(&receiver, "[promoted]");
    let tries = receiver.until(&world, "promoted", 4);
    world.until_idle();
    world.kill_server();
    world.start_server();
    world.until_idle();
    let same = |letter: &Request| (letter.header("x-modelship-delivery").unwrap().to_owned(), letter.body.clone());
    assert_eq!(tries.iter().map(same).collect::<BTreeSet<_>>().len(), 1);
    tries.iter().for_each(Receiver::check);
    assert_eq!(receiver.letters().len(), 4, "what was taken never comes again");
    assert!(!world.server_log().contains("hidden"), "the address is nobody's business");
}

#[test]
fn a_server_killed_while_it_tells_tells_it_again() {
    let receiver = Receiver::start();
    receiver.will(&[Manner::HangsUp; 3]);
    let mut world = world(&receiver, "[promoted]");
    receiver.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    for _ in 0..2 {
        world.kill_server();
        world.start_server();
        receiver.arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    world.until("it was taken", |_| receiver.manners.lock().unwrap().is_empty().then_some(()));
    world.until_idle();
    let ids: Vec<_> =
        receiver.letters().iter().map(|it| it.header("x-modelship-delivery").map(str::to_owned)).collect();
    assert!(ids.len() >= 4 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn what_is_refused_or_sent_elsewhere_is_given_up_and_said() {
    let receiver = Receiver::start();
    receiver.will(&[Manner::Says(410), Manner::SendsElsewhere]);
    let mut world = world(&receiver, "[registered, promoted]");
    world.expected_errors.push("webhook `deployer` answers");
    let failed = world.until("both were given up", |world| {
        let queue = world.queue();
        (queue["failed"] == 2).then_some(queue)
    });
    assert!(failed.to_string().contains("redirects are not followed"), "{failed}");
    assert_eq!(receiver.letters().len(), 2, "nothing followed the redirect, and nothing came again");
    assert!(receiver.letters().iter().all(|letter| letter.path() == "/hook"));
}
