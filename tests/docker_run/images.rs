//! What images bring along holds for the runs in them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use modelship::domain::parameters::Value;
use modelship::domain::sweep::record::{Outcome, OutputValue};
use modelship::domain::version::Image;

use crate::world::{World, busybox, model, record, run_id, script};

#[tokio::test]
async fn an_empty_image_with_a_static_program_runs() {
    let world = World::new();
    let image = world.image(&[model()], "").await;
    let executor = world.executor();
    let runs: Vec<_> =
        (0..3).map(|number| [("MODE", Value::Text("ok".to_owned())), ("NUMBER", Value::Int(number * 11))]).collect();
    let runs: Vec<_> = runs.iter().map(|run| run.as_slice()).collect();
    let mut job = world.job(1, &image, &runs);
    job.outputs.files = vec!["summary.csv".to_owned()];
    let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(handles[0].place, "sweeps/s/jobs/1/1");

    let container = world.engine().await.inspect_container(&handles[0].token, None).await.unwrap();
    let host = container.host_config.unwrap();
    assert_eq!((host.nano_cpus, host.pids_limit), (Some(1_000_000_000), Some(64)));
    assert_eq!((host.memory, host.memory_swap), (Some(96 << 20), Some(96 << 20)));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));

    let records = world.ended(&executor, std::slice::from_ref(&job), &handles).await;
    for index in 0..3 {
        let record = record(&records, index);
        assert_eq!(record.outcome, Outcome::Succeeded);
        assert_eq!(record.outputs[0].1, OutputValue::Int(i64::try_from(index).unwrap() * 11));
        let kept = job.place.join(run_id(index).as_str()).join("summary.csv");
        assert!(fs_err::read_to_string(kept).unwrap().starts_with("number,pids\n"));
    }
    assert!(!job.place.join("scratch").read_dir().is_ok_and(|mut left| left.next().is_some()));
    executor.forget(&handles[0]).await.unwrap();
    assert_eq!(world.containers().await.len(), 0);
}

#[tokio::test]
async fn entrypoint_user_workdir_and_variables_are_the_images_own() {
    let wrap = r#"first=$1; shift
echo "wrapped with $first" > /data/wrap.txt
exec "$@""#;
    let look = r#"{
busybox pwd
busybox id -u
echo "$GREETING $HOME $PATH $OMP_NUM_THREADS"
echo "$RATE"
busybox cat /data/wrap.txt
busybox ls -A "$HERE" | busybox wc -l
} > "$1/seen.txt"
echo "rate,$RATE" > "$1/summary.csv""#;
    let world = World::new();
    let parts = [busybox(), script("/opt/bin/wrap", wrap), script("/opt/bin/look", look), script("/data/made", "")];
    let lines = "ENV PATH=/opt/bin:/bin GREETING=hello HOME=/data OMP_NUM_THREADS=7 HERE=/data\n\
        RUN [\"/bin/busybox\", \"chown\", \"1234:1234\", \"/data\"]\nWORKDIR /data\nUSER 1234:1234";
    let built = world.image(&parts, lines).await;
    let variables = [
        ("PATH", "/opt/bin:/bin"),
        ("GREETING", "hello"),
        ("HOME", "/data"),
        ("OMP_NUM_THREADS", "7"),
        ("HERE", "/data"),
    ];
    let image = Image {
        entrypoint: vec!["wrap".to_owned(), "{params}".to_owned()],
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
        workdir: "/data".to_owned(),
        ..built
    };
    let mut job = world.job(1, &image, &[&[("RATE", Value::Float(0.25))]]);
    job.run.command = ["{model}/../opt/bin/look", "{outputs}"].map(String::from).to_vec();
    job.outputs.files = vec!["seen.txt".to_owned()];
    let executor = world.executor();
    let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
    let records = world.ended(&executor, std::slice::from_ref(&job), &handles).await;
    assert_eq!(record(&records, 0).outcome, Outcome::Succeeded);
    let seen = job.place.join(run_id(0).as_str()).join("seen.txt");
    assert_eq!(
        fs_err::read_to_string(&seen).unwrap(),
        "/data\n1234\nhello /data /opt/bin:/bin 7\n0.25\nwrapped with {params}\n2\n"
    );
    assert_eq!(fs_err::metadata(&seen).unwrap().uid(), 1234);
}

#[tokio::test]
async fn where_the_image_says_nothing_runs_are_as_on_any_machine() {
    let look = r#"[ "$(busybox ls -A . | busybox wc -l)" = 0 ]
[ "$HOME" = "$TMPDIR" ] && [ "$OMP_NUM_THREADS" = 1 ] && [ "$TZ" = UTC ]
echo a,1 > "$1/summary.csv""#;
    let world = World::new();
    let image = world.image(&[busybox(), script("/model", look)], "").await;
    let image = Image { environment: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]), ..image };
    let job = world.job(1, &image, &[&[], &[]]);
    let executor = world.executor();
    let handles = executor.submit(std::slice::from_ref(&job)).await.unwrap();
    let records = world.ended(&executor, std::slice::from_ref(&job), &handles).await;
    assert_eq!(record(&records, 0).outcome, Outcome::Succeeded);
    assert_eq!(record(&records, 1).outcome, Outcome::Succeeded);
}
