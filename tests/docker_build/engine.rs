//! Builds that are ended: on the engine too.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use modelship::domain::ids::{CommitSha, Digest, ModelName, ObjectId};
use modelship::domain::manifest::{Bases, Manifest};
use modelship::domain::yaml::{Files, NoFiles};
use modelship::edge::builder::docker::{DockerBuilder, ImageSettings};
use modelship::edge::builder::process::BuildError;
use modelship::edge::builder::{BuildOrder, Builder, Provenance, SourceFiles};
use modelship::edge::docker::{Docker, DockerSettings};
use tokio_util::sync::CancellationToken;

use crate::place::{docker, given};

/// A source whose only file is its Dockerfile.
struct OneFile(String);

impl Files for OneFile {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok((path == "Dockerfile").then(|| self.0.clone()))
    }
}

struct World {
    dir: tempfile::TempDir,
    builder: Builder,
}

impl World {
    fn new(runner: &Path) -> Self {
        Self::with_images_up_to(u64::MAX, runner)
    }

    fn with_images_up_to(largest: u64, runner: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let docker = Docker::new(&DockerSettings {
            host: given("MODELSHIP_TEST_DOCKER_HOST"),
            registry: None,
            registry_login: None,
            runner: runner.to_path_buf(),
            network: "none".to_owned(),
            build_network: "none".to_owned(),
            bases: Bases { debian: String::new(), python: String::new() },
            build_args: BTreeMap::new(),
            instance: "image-engine".to_owned(),
            max_image: largest,
        });
        let settings = ImageSettings { scratch: dir.path().join("scratch"), environment: BTreeMap::new() };
        Self { dir, builder: Builder::Docker(DockerBuilder::new(docker.unwrap(), settings)) }
    }

    async fn order(&self, dockerfile: &str) -> BuildOrder {
        let text = "owner: image\ntitle: engine\nbuild: {dockerfile: Dockerfile}\nrun: {command: [sim]}\noutputs: {summary: stdout}\n";
        let manifest = Manifest::parse("modelship.yaml", text, &NoFiles).unwrap();
        let tree = ObjectId::parse("0".repeat(40)).unwrap();
        let files = OneFile(dockerfile.to_owned());
        let recipe = self.builder.recipe(&manifest, &SourceFiles { tree: &tree, files: &files }).await.unwrap();
        let text = dockerfile.to_owned();
        BuildOrder {
            recipe,
            checkout: Box::new(move |into: &Path| Ok(fs_err::write(into.join("Dockerfile"), &text)?)),
            provenance: Provenance {
                model: ModelName::parse("image/engine").unwrap(),
                description: String::new(),
                repository: "image/hub".to_owned(),
                commit: CommitSha::parse("a".repeat(40)).unwrap(),
                committed_at: 0,
            },
            log: self.dir.path().join("build.log"),
            timeout: Duration::from_secs(60),
        }
    }
}

fn runner() -> std::path::PathBuf {
    given("MODELSHIP_TEST_RUNNER").into()
}

/// Waits until containers whose command has `mark` in it are there, or are all gone.
async fn until_running(mark: &str, running: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let listed = docker(&["ps", "--no-trunc", "--format", "{{.Command}}"]);
        if listed.contains(mark) == running {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain until {mark} is running: {running}\n{listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_cancelled_build_ends_on_the_engine() {
    let world = World::new(&runner());
    let order = world.order("FROM modelship-test/busybox\nRUN echo begun; sleep 30011\n").await;
    let cancel = CancellationToken::new();
    let (ended, ()) = tokio::join!(world.builder.build(order, &cancel), async {
        until_running("sleep 30011", true).await;
        cancel.cancel();
    });
    assert!(matches!(ended, Err(BuildError::Cancelled)), "{ended:?}");
    until_running("sleep 30011", false).await;
    assert!(fs_err::read_to_string(world.dir.path().join("build.log")).unwrap().contains("begun"));
    assert_eq!(fs_err::read_dir(world.dir.path().join("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_build_that_takes_too_long_ends_on_the_engine() {
    let world = World::new(&runner());
    let mut order = world.order("FROM modelship-test/busybox\nRUN echo begun; sleep 30012\n").await;
    order.timeout = Duration::from_secs(3);
    let error = world.builder.build(order, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the build took longer than its limit of 3s");
    assert!(error.log_tail().contains("begun"), "{}", error.log_tail());
    until_running("sleep 30012", false).await;
}

#[tokio::test]
async fn a_build_has_no_network_that_settings_do_not_give_and_its_log_is_bounded() {
    let world = World::new(&runner());
    let text = "FROM modelship-test/busybox\nRUN test \"$(ls /sys/class/net)\" = lo\nRUN yes ghs_0123456789abcdefABCDEF | head -c 20000000; exit 5\n";
    let error = world.builder.build(world.order(text).await, &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("exit 5` ended with status 5"), "{error}");
    let log = fs_err::read_to_string(world.dir.path().join("build.log")).unwrap();
    assert!(log.len() < 5_000_000 && log.contains("bytes left out") && log.contains("[redacted]"), "{}", log.len());
    assert!(!error.log_tail().contains("ghs_0123456789"), "{}", error.log_tail());
}

#[tokio::test]
async fn an_image_that_is_too_large_is_refused_and_not_kept() {
    let world = World::with_images_up_to(10_000_000, &runner());
    let own = std::process::id();
    let sized = |bytes: u64| {
        format!("FROM modelship-test/busybox\nLABEL zeros={own}-{bytes}\nRUN head -c {bytes} /dev/zero >/zeros\n")
    };
    let is_kept = |bytes: u64| {
        let label = format!("label=zeros={own}-{bytes}");
        !docker(&["image", "ls", "--quiet", "--filter", &label]).is_empty()
    };
    // Packed they are next to nothing.
    world.builder.build(world.order(&sized(3_000_000)).await, &CancellationToken::new()).await.unwrap();
    let error = world.builder.build(world.order(&sized(30_000_000)).await, &CancellationToken::new()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, BuildError::Failed { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("`docker build` gave an image of 3"), "{error}");
    assert!(error.contains("none above 10.0 MB (`docker.max_image` in its settings)"), "{error}");
    assert!(is_kept(3_000_000) && !is_kept(30_000_000));
}

#[tokio::test]
async fn a_runner_that_could_not_run_in_an_image_is_refused() {
    let world = World::new(Path::new("/bin/sh"));
    let order = world.order("FROM modelship-test/busybox\n").await;
    let error = format!("{:#}", anyhow_of(world.builder.build(order, &CancellationToken::new()).await.unwrap_err()));
    assert!(error.contains("`/bin/sh` needs libraries") && error.contains("scripts/build-runner"), "{error}");
}

fn anyhow_of(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::Internal(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn another_runner_is_another_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("runner");
    fs_err::copy("/bin/busybox", &other).unwrap();
    fs_err::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let recipe =
        async |runner: &Path, dockerfile: &str| -> Digest { World::new(runner).order(dockerfile).await.recipe.digest };
    let first = recipe(&runner(), "FROM modelship-test/busybox\n").await;
    assert_eq!(first, recipe(&runner(), "FROM modelship-test/busybox\n").await);
    assert_ne!(first, recipe(&other, "FROM modelship-test/busybox\n").await);
}
