//! A registry of images: Debian's `docker-registry`, and images that are pushed to it without a Docker engine.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelship::domain::ids::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Request, Response, free_port, send};

/// A running registry.
pub(crate) struct Registry {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    child: Child,
    _directory: TempDir,
}

impl Registry {
    /// A registry whose settings file has these lines too.
    pub(crate) fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: throw-away}}\n{more}",
            directory.path().join("data").display()
        );
        let file = directory.path().join("settings.yml");
        std::fs::write(&file, settings).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new("docker-registry").arg("serve").arg(&file).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.expect("the suite needs `docker-registry`; `scripts/install-needs test` installs it");
        let registry = Self { address: format!("127.0.0.1:{port}"), child, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&registry.address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn ask(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Response {
        let headers = vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("authorization".to_owned(), "Basic bW9kZWxzaGlwOnNlY3JldA==".to_owned()),
        ];
        let target = target.strip_prefix(&format!("http://{}", self.address)).unwrap_or(target);
        let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_vec() };
        send(&self.address, &request, Duration::from_secs(20)).unwrap()
    }

    fn push_blob(&self, name: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let begun = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), "application/json", &[]);
        assert_eq!(begun.status, 202, "{begun:?}");
        let place = begun.header("location").unwrap();
        let put = self.ask("PUT", &format!("{place}&digest={digest}"), "application/octet-stream", bytes);
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
        json!({"digest": digest, "size": bytes.len()})
    }

    /// Pushes an image with this configuration and gives its digest.
    pub(crate) fn push(&self, name: &str, tag: &str, config: &Value) -> Digest {
        self.push_with_layer(name, tag, config, b"layer")
    }

    /// The same with this as its only layer.
    pub(crate) fn push_with_layer(&self, name: &str, tag: &str, config: &Value, layer: &[u8]) -> Digest {
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [Digest::of("layer")]},
        });
        let mut config = self.push_blob(name, config.to_string().as_bytes());
        config["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
        let mut layer = self.push_blob(name, layer);
        layer["mediaType"] = json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
        let put = self.ask("PUT", &format!("/v2/{name}/manifests/{tag}"), kind, manifest.as_bytes());
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
        Digest::of(manifest)
    }

    /// Pushes a list of images for platforms, of which those of `foreign` are for no machine.
    pub(crate) fn push_list(&self, name: &str, tag: &str, image: &Digest) -> Digest {
        let kind = "application/vnd.docker.distribution.manifest.list.v2+json";
        let size = self.ask("GET", &format!("/v2/{name}/manifests/{image}"), "", &[]).body.len();
        let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let entry = |architecture: &str, digest: &Digest| {
            json!({"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": size,
                "platform": {"os": "linux", "architecture": architecture}})
        };
        let list =
            json!({"schemaVersion": 2, "mediaType": kind, "manifests": [entry("s390x", image), entry(here, image)]});
        let list = list.to_string();
        let put = self.ask("PUT", &format!("/v2/{name}/manifests/{tag}"), kind, list.as_bytes());
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
        Digest::of(list)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration of an image that `modelship build` made for a commit of a model.
pub(crate) fn built(model: &str, commit: &str) -> Value {
    let labels = BTreeMap::from([
        ("org.modelship.model", model),
        ("org.modelship.entrypoint", "[\"/usr/bin/env\"]"),
        ("org.opencontainers.image.revision", commit),
        ("org.opencontainers.image.source", "local/hub"),
    ]);
    json!({
        "Entrypoint": ["/.modelship/modelship-runner"],
        "Env": ["PATH=/usr/bin:/bin", "GREETING=hello"],
        "WorkingDir": "/model",
        "Labels": labels,
    })
}
