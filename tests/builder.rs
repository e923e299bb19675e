//! The process builder: real commands, real failures, real kills.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use modelship::domain::ids::{Digest, ModelName, ObjectId};
use modelship::domain::manifest::{
    Build, BuildBy, Expectation, Manifest, Network, Outputs, ParamsFormat, Resources, Run, Source, Summary, Test,
    TestKind,
};
use modelship::domain::parameters::{Parameter, ParameterType, Value};
use modelship::edge::builder::process::{BuildError, BuildRequest, BuilderSettings, Built, ProcessBuilder, TestError};
use modelship::runner::DEFAULT_SEARCH_PATH;
use tokio_util::sync::CancellationToken;

/// A builder with directories of its own.
struct World {
    dir: tempfile::TempDir,
    builder: ProcessBuilder,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let builder = ProcessBuilder::new(BuilderSettings {
            models_dir: dir.path().join("models"),
            scratch: dir.path().join("scratch"),
            search_path: DEFAULT_SEARCH_PATH.to_owned(),
            environment: BTreeMap::from([("EXTRA".to_owned(), "given".to_owned())]),
        });
        Self { dir, builder }
    }

    /// A build of a source whose `build.sh` is `script`.
    fn request(&self, script: &str) -> BuildRequest {
        let script = format!("#!/bin/sh\n{script}\n");
        BuildRequest {
            digest: Digest::of(&script),
            checkout: Box::new(move |directory| {
                assert_eq!(fs_err::read_dir(directory)?.count(), 0);
                fs_err::write(directory.join("build.sh"), &script)?;
                fs_err::set_permissions(directory.join("build.sh"), PermissionsExt::from_mode(0o755))?;
                Ok(())
            }),
            commands: vec![vec!["./build.sh".to_owned()]],
            build: Build::default(),
            log: self.log(),
            timeout: Duration::from_secs(60),
        }
    }

    async fn build(&self, script: &str) -> Result<Built, BuildError> {
        self.builder.build(self.request(script), &CancellationToken::new()).await
    }

    /// Builds `script` and runs `tests`.
    async fn test(&self, script: &str, tests: Vec<Test>) -> String {
        let built = self.build(script).await.unwrap();
        match self.builder.run_tests(built.dir(), &manifest(tests), &CancellationToken::new()).await {
            Ok(passed) => passed.iter().map(|test| format!("passed {}\n", test.name)).collect(),
            Err(TestError::Failed { name, message, log_tail }) => format!("{name}: {message}\n{log_tail}"),
            Err(error) => panic!("{error:#}"),
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("logs/build.txt")
    }

    fn left_in_scratch(&self) -> usize {
        fs_err::read_dir(self.dir.path().join("scratch")).unwrap().count()
    }

    /// Pids of living processes that belong to builds of this world.
    fn processes(&self) -> usize {
        let marker = format!("MODELSHIP_BUILD={}", self.dir.path().display()).into_bytes();
        let pids = fs_err::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let carries = |pid: &String| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(&marker))
        };
        pids.filter(carries).count()
    }
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The model `{model}/sim`, which reads its parameters as arguments and prints its summary.
fn manifest(tests: Vec<Test>) -> Manifest {
    let parameter = |name: &str, default: Option<Value>| Parameter {
        name: name.to_owned(),
        kind: ParameterType::Float,
        default,
        min: None,
        max: None,
        choices: Vec::new(),
        unit: String::new(),
        description: String::new(),
    };
    Manifest {
        model: ModelName::parse("urban/tiny").unwrap(),
        description: String::new(),
        source: Source::Path(".".to_owned()),
        build: Build {
            process: Some(vec![vec!["./build.sh".to_owned()]]),
            timeout: Duration::from_secs(60),
            ..Build::default()
        },
        build_by: BuildBy::Server,
        run: Run {
            command: vec!["{model}/sim".to_owned()],
            params: ParamsFormat::Args,
            summarize: None,
            resources: Resources { milli_cpus: 1000, memory: 1 << 30, gpus: 0 },
            network: Network::Open,
            timeout: Duration::from_secs(60),
        },
        parameters: vec![parameter("RATE", Some(Value::Float(0.5))), parameter("BASE", Some(Value::Float(100.0)))],
        sets: BTreeMap::new(),
        inputs: Vec::new(),
        outputs: Outputs { summary: Summary::Stdout, columns: BTreeMap::new(), files: Vec::new(), limit: 1 << 30 },
        tests,
    }
}

fn run_test(name: &str, parameters: &[(&str, f64)], expect: &[(&str, f64)]) -> Test {
    let expectation = |value| Expectation { value: Value::Float(value), relative: 1e-9, absolute: 0.0 };
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::Float(*value))).collect();
    let expect = expect.iter().map(|(name, value)| ((*name).to_owned(), expectation(*value))).collect();
    Test { name: name.to_owned(), kind: TestKind::Run { parameters, expect }, timeout: Duration::from_secs(60) }
}

fn command_test(command: &[&str]) -> Test {
    let command = command.iter().map(|argument| (*argument).to_owned()).collect();
    Test { name: "command".to_owned(), kind: TestKind::Command { command }, timeout: Duration::from_secs(60) }
}

/// Builds a model whose output `tax` is RATE * BASE.
const TINY: &str = r#"cat > sim <<'END'
#!/bin/sh
for argument; do case $argument in --RATE=*) rate=${argument#*=};; --BASE=*) base=${argument#*=};; esac; done
echo "a word" >&2
awk -v r="$rate" -v b="$base" 'BEGIN { printf "tax,%.6f\n", r * b }'
END
chmod +x sim"#;

#[tokio::test]
async fn a_model_is_built_tested_and_published_once() {
    let world = World::new();
    let script = format!("{TINY}\nenv | sort > env.txt; pwd > pwd.txt; echo built");
    let built = world.build(&script).await.unwrap();
    let digest = world.request(&script).digest;
    assert_eq!(world.builder.built(&digest), None);
    assert_eq!(fs_err::read_to_string(world.log()).unwrap(), "$ ./build.sh\nbuilt\n");
    let environment = fs_err::read_to_string(built.dir().join("env.txt")).unwrap();
    let names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"EXTRA") && names.contains(&"HOME") && !names.contains(&"CARGO_PKG_NAME"), "{names:?}");

    let path = world.builder.publish(built).unwrap();
    assert_eq!(world.builder.built(&digest), Some(path.clone()));
    assert_eq!(path, world.dir.path().join("models").join(digest.hex()));
    assert_eq!(world.left_in_scratch(), 0);
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("sim")), mode(&path.join("pwd.txt"))), (0o555, 0o555, 0o444));

    let again = world.build(&script).await.unwrap();
    assert_eq!(world.builder.publish(again).unwrap(), path, "what is published stays");
    let first = fs_err::read_to_string(path.join("pwd.txt")).unwrap();
    assert!(first.contains("/scratch/build-"), "the first build's own file is still there: {first}");
    modelship::runner::tree::remove_tree(&world.dir.path().join("models")).unwrap();
}

#[tokio::test]
async fn a_failed_command_tells_how_it_ended_with_its_last_lines() {
    let world = World::new();
    let Err(BuildError::Failed { command, exit, log_tail }) = world.build("echo no rule to make >&2; exit 2").await
    else {
        panic!("the build must fail");
    };
    assert_eq!((command.as_str(), exit.as_str()), ("./build.sh", "ended with status 2"));
    assert_eq!(log_tail, "$ ./build.sh\nno rule to make\nended with status 2");
    assert_eq!(fs_err::read_to_string(world.log()).unwrap().trim_end(), log_tail);
    assert_eq!(world.left_in_scratch(), 0);

    let mut request = world.request("true");
    request.commands = vec![vec!["no-such-tool".to_owned(), "all".to_owned()]];
    let error = world.builder.build(request, &CancellationToken::new()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("`no-such-tool all` did not start: cannot start `no-such-tool`: no directory"),
        "{error}"
    );
    let mut request = world.request("true");
    request.checkout = Box::new(|_| anyhow::bail!("no such commit"));
    let error = world.builder.build(request, &CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, BuildError::Internal(error) if format!("{error:#}").ends_with("no such commit")),
        "{error}"
    );
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_ended_with_its_children() {
    let world = World::new();
    let mut request = world.request("echo begun; sleep 300 & wait");
    request.timeout = Duration::from_millis(200);
    let error = world.builder.build(request, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the build took longer than its limit of 200ms");
    assert!(matches!(&error, BuildError::Timeout { log_tail, .. } if log_tail.ends_with("begun")));
    assert_eq!((world.processes(), world.left_in_scratch()), (0, 0));
}

#[tokio::test]
async fn a_cancelled_build_ends_its_children_and_leaves_nothing() {
    let world = World::new();
    let cancel = CancellationToken::new();
    let request = world.request("sleep 300 & wait");
    let (ended, ()) = tokio::join!(world.builder.build(request, &cancel), async {
        wait_until("the build is under way", || world.processes() >= 2).await;
        cancel.cancel();
    });
    assert!(matches!(ended, Err(BuildError::Cancelled)), "{ended:?}");
    assert_eq!((world.processes(), world.left_in_scratch()), (0, 0));
}

#[tokio::test]
async fn equal_builds_take_turns() {
    let world = World::new();
    let first = world.build("true").await.unwrap();
    let request = world.request("true");
    let mut second = Box::pin(async { world.builder.build(request, &CancellationToken::new()).await });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut second).await.is_err(), "the first one's turn");
    assert!(first.dir().is_dir(), "nobody touched the first one");
    drop(first);
    assert!(second.await.unwrap().dir().is_dir());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let held = world.build("true").await.unwrap();
    let ended = world.builder.build(world.request("true"), &cancel).await;
    assert!(matches!(ended, Err(BuildError::Cancelled)));
    drop(held);
}

#[tokio::test]
async fn what_a_killed_server_left_is_ended_before_the_same_build() {
    let world = World::new();
    let digest = world.request("true").digest;
    let left = world.dir.path().join(format!("scratch/build-{}-abc", &digest.hex()[..16]));
    let other = world.dir.path().join("scratch/build-0000000000000000-abc");
    let start = |directory: &Path| {
        fs_err::create_dir_all(directory.join("model")).unwrap();
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg("300").env("MODELSHIP_BUILD", directory).spawn().unwrap()
    };
    let (mut stray, mut others) = (start(&left), start(&other));
    world.build("true").await.unwrap();
    assert!(!left.exists() && other.exists());
    assert!(!stray.wait().unwrap().success());
    assert!(others.try_wait().unwrap().is_none(), "another build goes on");
    assert_eq!(world.builder.end_leftovers().unwrap(), 1);
    others.wait().unwrap();
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn tests_pass_in_order() {
    let world = World::new();
    let tests = vec![
        run_test("defaults", &[], &[("tax", 50.0)]),
        run_test("higher rate", &[("RATE", 0.75)], &[("tax", 75.0)]),
        command_test(&["./sim", "--RATE=1", "--BASE=2"]),
        command_test(&["sh", "-c", "test \"$PYTHONDONTWRITEBYTECODE\" = 1 && test -x sim && test {model} = \"$PWD\""]),
    ];
    insta::assert_snapshot!(world.test(TINY, tests).await, @r"
    passed defaults
    passed higher rate
    passed command
    passed command
    ");
    assert_eq!((world.processes(), world.left_in_scratch()), (0, 0));
}

#[tokio::test]
async fn a_failed_test_shows_both_values_and_what_was_printed() {
    let world = World::new();
    let wrong = vec![run_test("wrong", &[], &[("tax", 51.0), ("units", 1.0)])];
    insta::assert_snapshot!(world.test(TINY, wrong).await, @"wrong: output `tax` is 50.0, expected 51.0 (differs by 1, allowed is 5.1e-8); output `units` is missing, expected 1.0");
    let broken = vec![run_test("broken", &[], &[])];
    insta::assert_snapshot!(world.test("printf '#!/bin/sh\\necho cannot open data; exit 9' > sim; chmod +x sim", broken).await, @r"
    broken: model error: the command ended with status 9
    cannot open data
    ");
    let unknown = vec![run_test("unknown", &[("OTHER", 1.0)], &[])];
    assert_eq!(
        world.test(TINY, unknown).await,
        "unknown: the test sets `OTHER`, which is no parameter of this model\n"
    );
    let failing = vec![command_test(&["sh", "-c", "echo 1 failed, 3 passed; exit 1"])];
    assert_eq!(world.test(TINY, failing).await, "command: the command ended with status 1\n1 failed, 3 passed");
}

#[tokio::test]
async fn tests_have_limits_and_can_be_cancelled() {
    let world = World::new();
    let brief = |mut test: Test| {
        test.timeout = Duration::from_millis(100);
        vec![test]
    };
    let slow = "printf '#!/bin/sh\\nsleep 300' > sim; chmod +x sim";
    let run = brief(run_test("run", &[], &[]));
    assert_eq!(world.test(slow, run).await, "run: timeout: ran longer than its limit of 100ms\n");
    let command = brief(command_test(&["./sim"]));
    assert_eq!(world.test(slow, command).await, "command: the command ran longer than its limit of 100ms\n");

    for test in [run_test("run", &[], &[]), command_test(&["./sim"])] {
        let built = world.build(slow).await.unwrap();
        let (cancel, manifest) = (CancellationToken::new(), manifest(vec![test]));
        let (ended, ()) = tokio::join!(world.builder.run_tests(built.dir(), &manifest, &cancel), async {
            wait_until("the test is under way", || world.processes() >= 1).await;
            cancel.cancel();
        });
        assert!(matches!(ended, Err(TestError::Cancelled)), "{ended:?}");
        assert_eq!(world.processes(), 0);
    }
}

#[test]
fn the_digest_changes_with_everything_that_decides_the_executable() {
    let tree = |digit: &str| ObjectId::parse(digit.repeat(40)).unwrap();
    let make = vec![vec!["make".to_owned()]];
    let all = vec![vec!["make".to_owned(), "all".to_owned()]];
    let old = ["gcc 12".to_owned()];
    let digest = ProcessBuilder::executable_digest(&tree("a"), &make, &old);
    assert_eq!(digest, ProcessBuilder::executable_digest(&tree("a"), &make, &old));
    for other in [
        ProcessBuilder::executable_digest(&tree("b"), &make, &old),
        ProcessBuilder::executable_digest(&tree("a"), &all, &old),
        ProcessBuilder::executable_digest(&tree("a"), &make, &["gcc 13".to_owned()]),
    ] {
        assert_ne!(digest, other);
    }
    let world = World::new();
    let lines = world.builder.toolchain(&make).unwrap();
    assert!(lines.len() >= 2 && lines.iter().all(|line| !line.is_empty()), "{lines:?}");
}
