//! Prism, between the world's front and the fake: it checks each request and each answer against GitHub's `OpenAPI` file.
//!
//! It takes seconds and 290 MB to start, so a test program has one for all its worlds. A header says whose request it is.

use std::collections::HashMap;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::Shared;
use super::http::{self, Reply, Request, Response, Server};
use super::routes;

/// Says which world a request belongs to.
pub(crate) const WORLD: &str = "x-fake-world";

/// Names a request, so that the front finds the fake's own answer to it.
pub(crate) const REQUEST: &str = "x-fake-request";

static WORLDS: LazyLock<Mutex<HashMap<String, Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// The fake of all worlds, and the proxy before it.
struct Prism {
    fake: Server,
    url: String,
}

static PRISM: OnceLock<Prism> = OnceLock::new();

/// Makes a world known and gives its name.
pub(crate) fn enter(shared: &Arc<Shared>) -> String {
    let mut worlds = WORLDS.lock().unwrap();
    let name = format!("{}", worlds.len() + 1);
    worlds.insert(name.clone(), Arc::downgrade(shared));
    name
}

/// Where Prism listens.
pub(crate) fn url() -> &'static str {
    &prism().url
}

/// Where the fake of all worlds listens.
pub(crate) fn direct_url() -> String {
    prism().fake.url()
}

fn prism() -> &'static Prism {
    PRISM.get_or_init(|| {
        let fake = Server::start(|request| {
            let world = request.header(WORLD).and_then(|name| WORLDS.lock().unwrap().get(name)?.upgrade());
            let Some(world) = world else { return Reply::Whole(Response::empty(421)) };
            let answer = routes::answer(&world, &request);
            if let Some(name) = request.header(REQUEST) {
                world.answers.lock().unwrap().insert(name.to_owned(), answer.clone());
            }
            Reply::Whole(answer)
        });
        let url = start(&fake.url());
        Prism { fake, url }
    })
}

/// Starts the proxy. It ends with this process, however that ends, since its guard reads from us.
fn start(upstream: &str) -> String {
    let packages = std::env::var("MODELSHIP_TEST_GITHUB").unwrap_or_else(|_| {
        panic!("the suite needs GitHub's contract in MODELSHIP_TEST_GITHUB; use `scripts/with-github cargo test`")
    });
    let port = http::free_port();
    let log = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prism-{port}.log"));
    let guard = r#"log=$1; shift; "$@" </dev/null >"$log" 2>&1 & cat >/dev/null; kill $!; rm -f "$log""#;
    let mut child = Command::new("sh")
        .args(["-c", guard, "sh"])
        .arg(&log)
        .arg("node")
        .arg(format!("{packages}/@stoplight/prism-cli/dist/index.js"))
        .args(["proxy", "--errors", "--verboseLevel", "warn", "--host", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .arg(format!("{packages}/@octokit/openapi/generated/api.github.com.json"))
        .arg(upstream)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(Instant::now() < deadline, "Prism does not start:\n{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
    keep(&mut child);
    let url = format!("http://127.0.0.1:{port}");
    // It listens before it is ready; its first answer takes long.
    let first =
        Request { method: "GET".to_owned(), target: "/rate_limit".to_owned(), headers: Vec::new(), body: Vec::new() };
    http::send(&url, &first, Duration::from_secs(120)).unwrap_or_else(|error| panic!("Prism does not answer: {error}"));
    url
}

/// The guard lives as long as its standard input is open.
fn keep(child: &mut Child) {
    std::mem::forget(child.stdin.take());
}
