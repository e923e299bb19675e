//! Jobs of one round: shared, found again, ended.

use std::time::{Duration, Instant};

use bollard::query_parameters::KillContainerOptions;
use modelship::domain::parameters::Value;
use modelship::domain::sweep::state::JobHandle;
use modelship::domain::version::Image;
use modelship::edge::executor::{JobStatus, SubmitError};
use modelship::runner::JobSpec;

use crate::world::{World, model, only_at_the_registry, record};

/// Runs that each take `pause` milliseconds, in `jobs` jobs.
fn jobs(world: &World, image: &Image, runs: i64, pause: i64, jobs: u32) -> Vec<JobSpec> {
    let mode = || ("MODE", Value::Text("ok".to_owned()));
    let runs: Vec<_> =
        (0..runs).map(|number| [mode(), ("NUMBER", Value::Int(number)), ("PAUSE", Value::Int(pause))]).collect();
    let runs: Vec<_> = runs.iter().map(|run| run.as_slice()).collect();
    (1..=jobs).map(|number| world.job(number, image, &runs)).collect()
}

#[tokio::test]
async fn two_containers_share_forty_runs_and_do_each_once() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let jobs = jobs(&world, &image, 40, 30, 2);
    let executor = world.executor();
    let handles = executor.submit(&jobs).await.unwrap();
    let records = world.ended(&executor, &jobs, &handles).await;
    assert_eq!(records.len(), 40);
    for index in 0..40 {
        record(&records, index);
    }
    assert!(jobs.iter().all(|job| world.records(job).len() >= 10), "both did their part");
    // Submitting them again starts nothing.
    let again = world.executor().submit(&jobs).await.unwrap();
    assert_eq!(executor.status(&again).await.unwrap(), [JobStatus::Ended; 2]);
    for handle in &handles {
        executor.forget(handle).await.unwrap();
    }
    assert_eq!(executor.status(&handles).await.unwrap(), [JobStatus::Ended; 2]);
    assert_eq!(world.executor().submit(&jobs).await.unwrap().len(), 2);
    assert_eq!(world.containers().await.len(), 0);
}

#[tokio::test]
async fn the_next_server_adopts_what_runs() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let more = jobs(&world, &image, 20, 200, 3);
    let mut before = world.executor().submit(&more).await.unwrap();
    let executor = world.executor();
    assert_eq!(executor.found().await.unwrap().len(), 3);
    // The next server, which has seen how long runs take, makes fewer jobs of them.
    let (jobs, _) = more.split_at(2);
    before.truncate(2);
    assert_eq!(executor.submit(jobs).await.unwrap(), before, "no container is made twice");
    assert_eq!(world.containers().await.len(), 2);
    assert_eq!(executor.reap_orphans(&before).await.unwrap(), 0);
    assert_eq!(executor.status(&before).await.unwrap(), [JobStatus::Running; 2]);
    let start = Instant::now();
    executor.wait_for_change(&before, Duration::from_millis(50)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "waiting ends at its timeout");
    let records = world.ended(&executor, jobs, &before).await;
    assert!((10..=20).contains(&records.len()), "the third had taken some");
}

#[tokio::test]
async fn cancelling_removes_containers_and_scratch_and_keeps_records() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let jobs = jobs(&world, &image, 6, 400, 1);
    let executor = world.executor();
    let handles = executor.submit(&jobs).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.records(&jobs[0]).is_empty() {
        assert!(Instant::now() < deadline, "the first run never ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    executor.cancel(&handles).await.unwrap();
    assert_eq!(executor.status(&handles).await.unwrap(), [JobStatus::Vanished]);
    assert_eq!(world.containers().await.len(), 0);
    let done = world.records(&jobs[0]).len();
    assert!((1..6).contains(&done), "{done}");
    assert!(!jobs[0].place.join("scratch").exists());
    executor.cancel(&handles).await.unwrap();

    // What was cancelled can go on: runs that have a record are not done again.
    fs_err::remove_file(jobs[0].cursor.as_ref().unwrap()).unwrap();
    let handles = executor.submit(&jobs).await.unwrap();
    let records = world.ended(&executor, &jobs, &handles).await;
    assert_eq!(records.len(), 6);
}

#[tokio::test]
async fn containers_that_nobody_waits_for_are_removed_at_the_start() {
    let (world, other) = (World::new(), World::new());
    let image = world.image(&[model()], "").await;
    let (own, theirs) = (jobs(&world, &image, 9, 10_000, 2), jobs(&other, &image, 9, 10_000, 1));
    let handles = world.executor().submit(&own).await.unwrap();
    other.executor().submit(&theirs).await.unwrap();
    assert_eq!(world.executor().reap_orphans(&handles[..1]).await.unwrap(), 1);
    let left = world.executor().status(&handles).await.unwrap();
    assert_eq!(left, [JobStatus::Running, JobStatus::Vanished]);
    assert_eq!(other.containers().await.len(), 1, "another instance's are left alone");
}

#[tokio::test]
async fn a_container_that_dies_is_noticed_at_once_and_says_how() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let jobs = jobs(&world, &image, 4, 10_000, 2);
    let executor = world.executor();
    let handles = executor.submit(&jobs).await.unwrap();
    let engine = world.engine().await;
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        engine.kill_container(&handles[1].token, None::<KillContainerOptions>).await.unwrap();
    };
    let start = Instant::now();
    let (changed, ()) = tokio::join!(executor.wait_for_change(&handles, Duration::from_secs(30)), kill);
    changed.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(executor.status(&handles).await.unwrap(), [JobStatus::Running, JobStatus::Vanished]);
    let said = executor.last_words(&handles[1]).await;
    assert!(said.contains("the container ended with status 137"), "{said}");
    executor.cancel(&handles).await.unwrap();
}

#[tokio::test]
async fn a_runner_that_cannot_work_says_why() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let jobs = jobs(&world, &image, 1, 0, 1);
    fs_err::write(&jobs[0].slice, "no run\n").unwrap();
    let executor = world.executor();
    let handles = executor.submit(&jobs).await.unwrap();
    executor.wait_for_change(&handles, Duration::from_secs(30)).await.unwrap();
    assert_eq!(executor.status(&handles).await.unwrap(), [JobStatus::Vanished]);
    let said = executor.last_words(&handles[0]).await;
    assert!(said.contains("a line that is no run"), "{said}");
}

#[tokio::test]
async fn an_image_is_fetched_for_a_run_unless_it_is_too_large() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let reference = only_at_the_registry(&image);
    let jobs = jobs(&world, &Image { reference: reference.clone(), ..image }, 1, 0, 1);
    for _ in 0..2 {
        match world.executor_of_images_up_to(1000).submit(&jobs).await {
            Err(SubmitError::Refused(reason)) => {
                assert!(reason.starts_with(&format!("`{reference}` is an image of ")), "{reason}");
                assert!(reason.contains("none above 1.0 kB (`docker.max_image` in its settings)"), "{reason}");
            }
            other => panic!("it was kept: {other:?}"),
        }
    }
    assert_eq!(world.containers().await.len(), 0);
    let executor = world.executor();
    let handles = executor.submit(&jobs).await.unwrap();
    assert_eq!(world.ended(&executor, &jobs, &handles).await.len(), 1);
}

#[tokio::test]
async fn an_image_that_is_gone_is_refused_and_nothing_is_left() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let mut jobs = jobs(&world, &image, 4, 0, 2);
    let gone = format!("sha256:{}", "0".repeat(64));
    jobs[1].image = Some(Image { reference: gone.clone(), ..image.clone() });
    let executor = world.executor();
    match executor.submit(&jobs).await {
        Err(SubmitError::Refused(reason)) => {
            assert_eq!(reason, format!("the image `{gone}` is no longer on the engine; build the version again"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.containers().await.len(), 0);
    let lost = JobHandle { place: "sweeps/s/jobs/9/1".to_owned(), token: String::new() };
    assert_eq!(executor.status(&[lost]).await.unwrap(), [JobStatus::Vanished]);
}
