//! How runs in containers end, and that the next run does not suffer from it.

use std::time::Duration;

use modelship::domain::manifest::Network;
use modelship::domain::sweep::record::{FailureClass, OutputValue, Record};

use crate::world::{Part, World, busybox, failure, model, modes, record, script};

/// Runs `kinds` one after another in one container.
async fn runs_of(kinds: &[&str], timeout: Duration) -> Vec<Record> {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let runs = modes(kinds);
    let runs: Vec<_> = runs.iter().map(Vec::as_slice).collect();
    let mut job = world.job(1, &image, &runs);
    job.run.timeout = timeout;
    let executor = world.executor();
    let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
    world.ended(&executor, &[job], &handles).await
}

#[tokio::test]
async fn lack_of_memory_is_told_apart_from_other_ends() {
    let records = runs_of(&["memory", "killed", "part", "killed", "error", "ok"], Duration::from_secs(60)).await;
    let class = |index| failure(record(&records, index)).0;
    assert_eq!(class(0), FailureClass::OutOfMemory);
    assert_eq!(class(1), FailureClass::Interrupted, "{}", failure(record(&records, 1)).1);
    assert_eq!(class(2), FailureClass::OutOfMemory, "{}", failure(record(&records, 2)).1);
    assert_eq!(class(3), FailureClass::Interrupted);
    let (class, message) = failure(record(&records, 4));
    assert_eq!((class, message), (FailureClass::ModelError, "the command ended with status 3"));
    assert_eq!(record(&records, 5).outputs[0], ("number".to_owned(), OutputValue::Int(0)));
}

#[tokio::test]
async fn a_run_that_lasts_too_long_and_one_that_multiplies_are_ended_whole() {
    let records = runs_of(&["slow", "bomb", "ok"], Duration::from_secs(2)).await;
    assert_eq!(failure(record(&records, 0)).0, FailureClass::Timeout);
    assert_eq!(failure(record(&records, 1)).0, FailureClass::Timeout);
    let alone = &record(&records, 2).outputs[1];
    assert_eq!(*alone, ("pids".to_owned(), OutputValue::Int(1)), "nothing is left of the others");
}

#[tokio::test]
async fn a_process_that_hides_does_not_outlive_its_run() {
    let records = runs_of(&["escape", "ok"], Duration::from_secs(60)).await;
    assert_eq!(record(&records, 1).outputs[1], ("pids".to_owned(), OutputValue::Int(1)));
}

#[tokio::test]
async fn a_closed_network_is_closed() {
    let text = r#"busybox ls /sys/class/net | busybox wc -l > /tmp-links
echo "links,$(busybox cat /tmp-links)" > "$1/summary.csv""#;
    let world = World::new();
    let image = world.image(&[busybox(), script("/model", text)], "ENV PATH=/bin").await;
    let executor = world.executor();
    let mut links = Vec::new();
    for (number, network) in [(1, Network::None), (2, Network::Open)] {
        let mut job = world.job(number, &image, &[&[]]);
        job.run.network = network;
        job.cursor = Some(world.dir.path().join(number.to_string()));
        let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
        let records = world.ended(&executor, &[job], &handles).await;
        links.push(record(&records, 0).outputs[0].1.clone());
    }
    assert_eq!(links[0], OutputValue::Int(1), "only itself");
    assert!(links[1].number().unwrap() >= 2.0, "the engine's network: {links:?}");
}

#[tokio::test]
async fn a_program_that_the_image_has_not_got_cannot_start() {
    let world = World::new();
    let image = world.image(&[Part { path: "/model", bytes: b"no program".to_vec() }], "").await;
    let executor = world.executor();
    let mut job = world.job(1, &image, &[&[]]);
    job.run.command = vec!["simulate".to_owned()];
    let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
    let records = world.ended(&executor, &[job], &handles).await;
    let (class, message) = failure(record(&records, 0));
    assert_eq!(class, FailureClass::CannotStart);
    assert!(message.starts_with("cannot start `simulate`: no directory of PATH has it"), "{message}");
}
