//! Docker Hub, behind the proxy through which a server reaches the world, and what it tells of pushes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::place::{MODEL, Place, SECRET};
use crate::registry::built;

/// Docker Hub as `docker_hub.py` plays it.
struct DockerHub {
    child: Child,
    heard: BufReader<ChildStdout>,
    /// The proxy's address.
    url: String,
    directory: TempDir,
}

/// Makes a certificate of an authority that is made as well, as `hub.pem`, `hub.key` and `authority.pem`.
fn certify(directory: &Path) {
    let openssl = |arguments: &str| {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout authority.key -out authority.pem -subj /CN=authority -days 2"));
    openssl(&format!("req {key} -keyout hub.key -out hub.csr -subj /CN=hub"));
    std::fs::write(directory.join("names"), "subjectAltName=DNS:registry-1.docker.io,DNS:auth.docker.io\n").unwrap();
    let signed = "-CA authority.pem -CAkey authority.key -CAcreateserial -extfile names -days 2";
    openssl(&format!("x509 -req -in hub.csr {signed} -out hub.pem"));
}

impl DockerHub {
    /// Docker Hub with the images of a registry on this machine.
    fn of(registry: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certify(directory.path());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/offers/docker_hub.py");
        let mut hub = Command::new("/usr/bin/python3");
        let hub = hub.arg(script).args(["hub.pem", "hub.key", registry]).current_dir(directory.path());
        let mut child = hub.stdout(Stdio::piped()).spawn().unwrap();
        let mut heard = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        heard.read_line(&mut port).unwrap();
        Self { child, heard, url: format!("http://127.0.0.1:{}", port.trim()), directory }
    }

    /// Every host that was asked for.
    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let mut hosts = String::new();
        self.heard.read_to_string(&mut hosts).unwrap();
        hosts.lines().map(str::to_owned).collect()
    }
}

impl Drop for DockerHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_image_that_was_pushed_to_docker_hub_is_looked_at_there() {
    let mut place =
        Place::with("build: {process: [], image: docker.io/urban/tiny}\nbuild_by: registry\n", |_| String::new());
    let hub = DockerHub::of(&place.registry.address);
    place.world.kill_server();
    let authority = hub.directory.path().join("authority.pem").display().to_string();
    place.world.environment.extend([("HTTPS_PROXY", hub.url.clone()), ("SSL_CERT_FILE", authority)]);
    place.world.start_server();
    let commit = place.push("main");
    place.until_status(&commit, "waits for its image in the registry");
    let mut config = built(MODEL, &commit);
    config["Labels"]["org.opencontainers.image.source"] = json!("https://forge.example.org/example/hub.git");
    config["Entrypoint"] = json!(["/bin/sh"]);
    place.registry.push("urban/tiny", "latest", &config);

    // As Docker Hub tells it, with what nobody may believe.
    //
    // Source: <https://docs.docker.com/docker-hub/repos/manage/webhooks/>
    let told = json!({
        "callback_url": "https://registry.hub.docker.com/u/urban/tiny/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
        "push_data": {"pushed_at": 1_417_566_161, "pusher": "ada", "tag": "latest"},
        "repository": {
            "name": "tiny", "namespace": "urban", "owner": "urban", "repo_name": "urban/tiny", "status": "Active",
            "repo_url": "https://registry.hub.docker.com/u/urban/tiny/", "is_private": false, "is_trusted": true,
        },
    });
    let path = format!("/webhooks/registry/{SECRET}");
    let tell = || place.ask("POST", &path, &[("content-type", "application/json")], &told.to_string());
    let answer = tell();
    assert_eq!((answer.status, answer.value()), (202, json!({"accepted": 1, "repeated": 0})));
    // This server has no containers to test it in, and never takes an image untested.
    place.until_status(&commit, "cannot test an image");
    assert_eq!(tell().value(), json!({"accepted": 0, "repeated": 1}));
    place.world.until_idle();
    assert!(place.versions().is_empty());
    let mut hosts = hub.end();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts, ["auth.docker.io", "registry-1.docker.io"], "the address that it was to call is left alone");
}
