//! The run contract, with real processes: what reaches a model, how each failure is told, and what is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use modelship::domain::manifest::{Column, ParamsFormat, Summary};
use modelship::domain::parameters::Value;
use modelship::domain::sweep::record::{FailureClass, Outcome, OutputValue};
use modelship::runner::supervise::Stop;
use modelship::runner::{JobSpec, SlotsSpec, run_job};

use world::{World, executable, run_id, wait_until};

fn text(value: &str) -> OutputValue {
    OutputValue::Text(value.to_owned())
}

#[test]
fn a_run_succeeds_and_leaves_its_record_its_files_and_its_log() {
    let script = r#"
        echo hello from the model
        cp "$1" "$2/params.csv"
        echo "label,value
        revenue,12.5
        units,3
        seed,$MODELSHIP_SEED
        region,north" > "$2/summary.csv""#;
    let world = World::new(script).with(|spec| spec.outputs.files = vec!["params.csv".to_owned()]);
    let record = world.run_one();
    assert_eq!(record.outcome, Outcome::Succeeded);
    let expect = [
        ("revenue", OutputValue::Float(12.5)),
        ("units", OutputValue::Int(3)),
        ("seed", OutputValue::Int(7)),
        ("region", text("north")),
    ];
    assert_eq!(record.outputs, expect.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(record.files, BTreeMap::from([("params.csv".to_owned(), 18)]));
    assert_eq!(fs_err::read_to_string(world.kept(0, "params.csv")).unwrap(), "RATE,0.1\nNUMBER,0\n");
    assert_eq!(fs_err::read_to_string(world.kept(0, "log.txt")).unwrap(), "hello from the model\n");
    assert_eq!((record.exit_code, record.signal), (Some(0), None));
    assert!(record.started_ms > 1_600_000_000_000 && record.peak_memory > 100_000);
}

#[test]
fn a_quiet_run_leaves_no_directory() {
    let world = World::new(r#"echo a,1 > "$2/summary.csv""#);
    assert_eq!(world.run_one().outcome, Outcome::Succeeded);
    assert!(!world.kept(0, "").exists());
}

#[test]
fn a_model_sees_a_cleared_environment_and_an_empty_directory() {
    let script = r#"
        env | sort > "$2/env.txt"
        ls -A > "$2/ls.txt"
        pwd >> "$2/ls.txt"
        cat >> "$2/ls.txt"
        echo a,1 > "$2/summary.csv""#;
    let world = World::new(script).with(|spec| {
        spec.outputs.files = vec!["env.txt".to_owned(), "ls.txt".to_owned()];
        spec.environment.insert("EXTRA".to_owned(), "declared".to_owned());
        spec.run.resources.milli_cpus = 1500;
    });
    world.run_one();
    let environment = fs_err::read_to_string(world.kept(0, "env.txt")).unwrap();
    let names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    insta::assert_snapshot!(names.join(" "), @"BLIS_NUM_THREADS EXTRA HOME JULIA_NUM_THREADS LANG MKL_NUM_THREADS MODELSHIP_JOB MODELSHIP_RUN MODELSHIP_SEED NUMEXPR_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH PWD PYTHONDONTWRITEBYTECODE RAYON_NUM_THREADS TMPDIR TZ");
    assert!(environment.contains("OMP_NUM_THREADS=2\n") && environment.contains("LANG=C.UTF-8\n"));
    let seen = fs_err::read_to_string(world.kept(0, "ls.txt")).unwrap();
    assert_eq!(seen.lines().count(), 1, "only the directory's own path: {seen}");
    assert!(seen.trim_end().ends_with("/work"));
}

#[test]
fn parameters_arrive_in_every_format() {
    let read = r#"python3 -c '
import json, sys
name = sys.argv[1]
text = open(name).read()
value = json.loads(text) if name.endswith(".json") else text
print(json.dumps({"file": value if isinstance(value, str) else value["NAME"]}))' "$1" > "$2/summary.json""#;
    for (format, expect) in [
        (ParamsFormat::Json, "it's, \"so\""),
        (ParamsFormat::Yaml, "\"NAME\": \"it's, \\\"so\\\"\"\n\"BIG\": 1.0e+300\n"),
        (ParamsFormat::Toml, "\"NAME\" = \"it's, \\\"so\\\"\"\n\"BIG\" = 1.0e+300\n"),
    ] {
        let mut world = World::new(read).with(|spec| {
            spec.run.params = format;
            spec.outputs.summary = Summary::File("summary.json".to_owned());
        });
        let name = Value::Text("it's, \"so\"".to_owned());
        world.slice_of([vec![("NAME".to_owned(), name), ("BIG".to_owned(), Value::Float(1e300))]]);
        assert_eq!(world.run_one().outputs, [("file".to_owned(), text(expect))], "{format:?}");
    }
}

#[test]
fn parameters_arrive_as_arguments_and_as_variables() {
    let world = World::new(r#"echo "all,$*" > "$1/summary.csv""#).with(|spec| {
        spec.run.params = ParamsFormat::Args;
        spec.run.command = ["sim", "{outputs}"].map(String::from).to_vec();
        spec.run.command[0] = "./sim".to_owned();
    });
    let (_, all) = world.run_one().outputs.remove(0);
    let OutputValue::Text(all) = all else { panic!("{all:?}") };
    assert!(all.ends_with("/outputs --RATE=0.1 --NUMBER=0"), "{all}");

    let world = World::new(r#"echo "rate,$RATE" > "$1/summary.csv""#).with(|spec| {
        spec.run.params = ParamsFormat::Env;
        spec.run.command.remove(1);
    });
    assert_eq!(world.run_one().outputs, [("rate".to_owned(), OutputValue::Float(0.1))]);
}

#[test]
fn nothing_passes_through_a_shell() {
    let values =
        ["$(touch /tmp/x); `id` *", "--help", "-rf", "two\nlines", "{{params}} {model}", "${{ github.token }}", ""];
    for value in values {
        // What came is told byte by byte, as a table could not hold all of it.
        let count = r#"printf 'a,%s\n' "$#" > "$1/summary.csv""#;
        let bytes = r#"printf 'b,h%s\n' "$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n')" >> "$1/summary.csv""#;
        let mut world = World::new(&format!("{count}; {bytes}")).with(|spec| {
            spec.run.params = ParamsFormat::Args;
            spec.run.command.remove(1);
        });
        world.slice_of([vec![("X".to_owned(), Value::Text(value.to_owned()))]]);
        let hex: String = format!("--X={value}").bytes().map(|byte| format!("{byte:02x}")).collect();
        let expect = [("a".to_owned(), OutputValue::Int(2)), ("b".to_owned(), text(&format!("h{hex}")))];
        assert_eq!(world.run_one().outputs, expect, "{value:?}");
    }
}

#[test]
fn summarize_makes_the_summary_within_the_same_limits() {
    let world = World::new(r#"echo 1 > "$2/raw"; echo said"#).with(|spec| {
        executable(&spec.model.join("sum"), "#!/bin/sh\necho \"raw,$(cat \"$1/raw\")\"; echo noise >&2\n");
        spec.run.summarize = Some(["{model}/sum", "{outputs}"].map(String::from).to_vec());
        spec.outputs.summary = Summary::Stdout;
    });
    assert_eq!(world.run_one().outputs, [("raw".to_owned(), OutputValue::Int(1))]);
    assert_eq!(fs_err::read_to_string(world.kept(0, "log.txt")).unwrap(), "said\nnoise\n");

    let world = World::new("true").with(|spec| {
        executable(&spec.model.join("sum"), "#!/bin/sh\necho not enough; exit 4\n");
        spec.run.summarize = Some(vec!["{model}/sum".to_owned()]);
        spec.outputs.summary = Summary::Stdout;
    });
    assert_eq!(world.failure(), "model error: `summarize` ended with status 4");
    let Outcome::Failed { log_tail, .. } = &world.records()[0].outcome else { panic!() };
    assert_eq!(log_tail, "not enough", "what a failed step printed is shown, also when it should have been a summary");
}

#[test]
fn a_model_error_carries_status_and_log_tail() {
    let world = World::new(r"printf '\033[31mbad row 7\033[0m token ghs_0123456789abcdefABCDEF\n' >&2; exit 3");
    let record = world.run_one();
    let Outcome::Failed { class, message, log_tail } = record.outcome else { panic!() };
    assert_eq!((class, message.as_str()), (FailureClass::ModelError, "the command ended with status 3"));
    assert_eq!(log_tail, "bad row 7 token [redacted]");
    assert!(!fs_err::read_to_string(world.kept(0, "log.txt")).unwrap().contains("ghs_"));
    assert_eq!(record.exit_code, Some(3));
    let world = World::new("kill -SEGV $$");
    assert_eq!(world.failure(), "model error: the command was ended by signal 11 (SIGSEGV)");
    assert_eq!(world.records()[0].signal, Some(11));
}

#[test]
fn what_cannot_start_says_why() {
    let check = |change: &dyn Fn(&mut JobSpec), expect: &str| {
        assert_eq!(World::new("true").with(change).failure(), expect);
    };
    check(
        &|spec| spec.run.command[0] = "no-such-tool".to_owned(),
        "cannot start: cannot start `no-such-tool`: no directory of PATH has it; write `{model}/no-such-tool` if the model brings it along",
    );
    check(
        &|spec| spec.run.command[0] = "{model}/other".to_owned(),
        "cannot start: cannot start `other`: No such file or directory (os error 2); the file, or the interpreter that its first line names, is not there",
    );
    check(
        &|spec| fs_err::set_permissions(spec.model.join("sim"), PermissionsExt::from_mode(0o644)).unwrap(),
        "cannot start: cannot start `sim`: Permission denied (os error 13); is it executable?",
    );
    check(
        &|spec| executable(&spec.model.join("sim"), "echo no first line"),
        "cannot start: cannot start `sim`: Exec format error (os error 8); a script needs a first line like `#!/bin/sh`",
    );
    check(&|spec| spec.run.command.clear(), "cannot start: the command is empty");
    check(
        &|spec| spec.run.params = ParamsFormat::Env,
        "cannot start: `{params}` names `{params}`, and there is none here",
    );
    let mut world = World::new("true");
    world.slice_of([vec![("X".to_owned(), Value::Text("a,b".to_owned()))]]);
    assert!(world.failure().starts_with("cannot start: parameter `X` holds `a,b`, and a csv parameter file"));
}

#[test]
fn a_timeout_ends_the_whole_group_and_what_left_it() {
    let script = r"
        trap '' TERM
        (trap '' TERM; sleep 300) &
        setsid sleep 301 &
        echo started
        while true; do sleep 302; done";
    let world = World::new(script).with(|spec| spec.run.timeout = Duration::from_millis(300));
    let start = Instant::now();
    assert_eq!(world.failure(), "timeout: ran longer than its limit of 300ms");
    assert!(start.elapsed() >= Duration::from_secs(2), "the group had its grace");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(world.processes(), Vec::<i32>::new());
    assert_eq!(fs_err::read_to_string(world.kept(0, "log.txt")).unwrap(), "started\n");
}

#[test]
fn the_timeout_covers_command_and_summary_together() {
    let world = World::new("true").with(|spec| {
        spec.run.summarize = Some(["sleep", "300"].map(String::from).to_vec());
        spec.run.timeout = Duration::from_millis(200);
    });
    assert_eq!(world.failure(), "timeout: ran longer than its limit of 200ms");
}

#[test]
fn what_a_successful_run_leaves_running_is_ended() {
    let world = World::new(r#"sleep 300 & setsid sleep 301 & echo a,1 > "$2/summary.csv""#);
    assert_eq!(world.run_one().outcome, Outcome::Succeeded);
    assert_eq!(world.processes(), Vec::<i32>::new());
}

#[test]
fn a_run_over_its_memory_is_told_so() {
    // The memory is in a grandchild; the limit holds for the whole group.
    let script = r#"python3 -c 'import time; held = b"x" * (300 << 20); time.sleep(300)' & wait"#;
    let world = World::new(script).with(|spec| spec.run.resources.memory = 100 << 20);
    let failure = world.failure();
    assert!(failure.starts_with("out of memory: used "), "{failure}");
    assert!(failure.ends_with(" of memory, more than its limit of 100.0 MiB"), "{failure}");
}

#[test]
fn a_kill_from_outside_is_an_interruption() {
    assert_eq!(World::new("kill -KILL $$").failure(), "interrupted: the command was killed from outside (SIGKILL)");
    assert_eq!(World::new("kill -TERM $$").failure(), "interrupted: the command was ended from outside (SIGTERM)");
}

#[test]
fn declared_outputs_must_be_there_and_in_range() {
    let check = |script: &str, expect: &str| {
        let world = World::new(script).with(|spec| {
            let column = Column { min: Some(1.0), max: Some(10.0), ..Column::default() };
            spec.outputs.columns.insert("units".to_owned(), column);
            spec.outputs.files = vec!["out.csv".to_owned()];
        });
        assert_eq!(world.failure(), expect);
        world
    };
    let ok = "echo 1 > \"$2/out.csv\"; echo 'units,5\nother,NaN' > \"$2/summary.csv\"";
    let world = check(ok, "succeeded");
    assert_eq!(world.records()[0].outputs[1], ("other".to_owned(), OutputValue::Missing));

    let summary = |text: &str| format!("echo 1 > \"$2/out.csv\"; printf '{text}' > \"$2/summary.csv\"");
    let world = check(&summary("units,NaN"), "invalid output: output `units` is NaN");
    assert_eq!(world.records()[0].outputs, [("units".to_owned(), OutputValue::Missing)], "columns are kept");
    assert!(world.kept(0, "out.csv").exists(), "files are kept when a check fails");
    check(&summary("units,11"), "invalid output: output `units` is 11, more than its largest allowed value 10");
    check(&summary("other,1"), "invalid output: output `units` is missing from the summary");
    check("echo 1 > \"$2/out.csv\"", "invalid output: summary `summary.csv` was not written by the model");
    check("echo units,5 > \"$2/summary.csv\"", "invalid output: file `out.csv` was not written by the model");
    check(
        "ln -s /etc/passwd \"$2/out.csv\"; echo units,5 > \"$2/summary.csv\"",
        "invalid output: file `out.csv` is a symbolic link; outputs must be regular files",
    );
    check(
        "ln -s /etc/passwd \"$2/summary.csv\"",
        "invalid output: summary `summary.csv` is a symbolic link; outputs must be regular files",
    );
    check("mkfifo \"$2/summary.csv\"", "invalid output: summary `summary.csv` is not a regular file");
    check(
        "rmdir \"$2\"; ln -s /etc \"$2\"",
        "invalid output: summary `summary.csv` does not lie in a plain directory of `{outputs}`",
    );
}

#[test]
fn huge_outputs_are_bounded() {
    let script = "head -c 11000000 /dev/zero > \"$2/summary.csv\"";
    let failure = World::new(script).failure();
    let expect = "summary `summary.csv` has at least 11000000 bytes, more than the 10485760 that are read";
    assert_eq!(failure, format!("invalid output: {expect}"));
    let world = World::new("yes").with(|spec| {
        spec.outputs.summary = Summary::Stdout;
        spec.run.timeout = Duration::from_secs(30);
        spec.run.command = ["head", "-c", "20000000", "/dev/zero"].map(String::from).to_vec();
    });
    assert!(world.failure().starts_with("invalid output: summary `stdout` has at least 10485761 bytes"));
}

#[test]
fn a_huge_log_neither_blocks_the_model_nor_fills_the_disk() {
    let world = World::new("echo first; yes 'a line of text' | head -c 30000000; echo last; exit 1");
    let Outcome::Failed { log_tail, .. } = world.run_one().outcome else { panic!() };
    assert!(log_tail.len() <= 4096 && log_tail.ends_with("\nlast"), "{log_tail}");
    let log = fs_err::read_to_string(world.kept(0, "log.txt")).unwrap();
    assert!(log.len() < 1_100_000 && log.starts_with("first\n") && log.contains("bytes left out ...]"));
}

#[test]
fn a_job_runs_every_line_of_its_slice_once() {
    let mut world = World::new(r#"echo "number,$(sed -n 's/^NUMBER,//p' "$1")" > "$2/summary.csv""#);
    world.slice(40);
    let records = world.run();
    let mut numbers: Vec<_> = records.iter().map(|record| record.outputs[0].1.number().unwrap()).collect();
    numbers.sort_by(f64::total_cmp);
    assert_eq!(numbers, (0..40).map(f64::from).collect::<Vec<_>>());
    // The job has ended; asking again changes nothing.
    assert_eq!(world.run().len(), 40);
}

#[test]
fn a_job_taken_up_again_skips_what_has_a_record() {
    let mut world = World::new(r#"echo ran >> "$0.count"; echo a,1 > "$2/summary.csv""#);
    world.slice(3);
    world.run();
    let records = world.spec.place.join("records.jsonl");
    let text = fs_err::read_to_string(&records).unwrap();
    let first = text.lines().next().unwrap();
    fs_err::write(&records, format!("{first}\n{}", &first[..first.len() / 2])).unwrap();
    fs_err::remove_file(world.spec.place.join("ended.json")).unwrap();
    let again = world.run();
    assert_eq!(again.len(), 3);
    let ids: std::collections::BTreeSet<_> = again.iter().map(|record| record.run.as_str()).collect();
    assert_eq!(ids.len(), 3);
    let count = fs_err::read_to_string(world.spec.model.join("sim.count")).unwrap();
    assert_eq!(count.lines().count(), 5, "three runs, and two of them again");
}

#[test]
fn a_slice_that_is_none_is_our_fault_and_not_the_models() {
    let world = World::new("true");
    fs_err::write(&world.spec.slice, "{\"run\": \"x\"}\n").unwrap();
    let error = format!("{:#}", run_job(&world.spec, &Stop::new().unwrap()).unwrap_err());
    assert!(error.contains("holds a line that is no run: `{\"run\": \"x\"}`"), "{error}");
    let newer = World::new("true").with(|spec| spec.contract = 99);
    let error = run_job(&newer.spec, &Stop::new().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("the job was written for run contract 99"), "{error}");
}

#[test]
fn the_runner_says_what_it_is_and_what_is_wrong() {
    let run = |argument: &str| Command::new(env!("CARGO_BIN_EXE_modelship-runner")).arg(argument).output().unwrap();
    let version = run("--version");
    assert!(version.status.success());
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("modelship-runner "));
    assert!(String::from_utf8(run("--help").stdout).unwrap().contains("Usage: modelship-runner <job.json>"));
    let missing = run("/no/such/job.json");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("failed to read the job"));
}

#[test]
fn sigterm_ends_what_runs_and_leaves_no_record_of_it() {
    let mut world =
        World::new(r#"case "$(cat "$1")" in *NUMBER,0*) echo a,1 > "$2/summary.csv";; *) sleep 300 & wait;; esac"#);
    world.slice(5);
    let mut runner = world.start_runner();
    wait_until("two runs are under way", || world.records().len() == 1 && world.processes().len() >= 4);
    let term = rustix::process::Pid::from_child(&runner);
    rustix::process::kill_process(term, rustix::process::Signal::TERM).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    assert_eq!(world.processes(), Vec::<i32>::new());
    assert_eq!(world.records().len(), 1);
    assert!(!world.spec.place.join("ended.json").exists());
    assert_eq!(fs_err::read_dir(&world.spec.scratch).unwrap().count(), 0);
}

#[test]
fn a_second_runner_leaves_the_place_alone() {
    let world = World::new("sleep 300 & wait");
    let mut first = world.start_runner();
    wait_until("the run is under way", || world.processes().len() >= 2);
    let second = world.start_runner().wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another process works on the job"));
    assert!(world.processes().len() >= 2, "the first one's run goes on");
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), rustix::process::Signal::TERM).unwrap();
    first.wait().unwrap();
}

#[test]
fn jobs_on_one_machine_share_its_slots() {
    let shared = tempfile::tempdir().unwrap();
    let script = format!(
        r#"me="{0}/running/$$"; mkdir -p "{0}/running"; : > "$me"; ls "{0}/running" | wc -l >> "{0}/seen"; sleep 0.02; rm "$me"; echo a,1 > "$2/summary.csv""#,
        shared.path().display()
    );
    let jobs = [1, 2].map(|_| {
        let mut world = World::new(&script).with(|spec| {
            spec.parallel = 4;
            spec.slots = Some(SlotsSpec { directory: shared.path().join("slots"), count: 2 });
        });
        world.slice(12);
        world
    });
    std::thread::scope(|scope| {
        let ended: Vec<_> = jobs.iter().map(|job| scope.spawn(|| job.run().len())).collect();
        assert_eq!(ended.into_iter().map(|job| job.join().unwrap()).sum::<usize>(), 24);
    });
    let seen = fs_err::read_to_string(shared.path().join("seen")).unwrap();
    let most = seen.lines().map(|line| line.trim().parse::<u32>().unwrap()).max();
    assert_eq!(most, Some(2), "two at once, and never more");
}

/// Starts a process that leaves its group and clears its environment, and writes its number to the file `$hidden`.
const HIDE: &str = r#"hide() {
    setsid env -i /bin/sh -c "echo \$\$ > $hidden.new; mv $hidden.new $hidden; exec sleep 300" > /dev/null 2>&1 &
    while [ ! -e "$hidden" ]; do sleep 0.01; done
}
lives() { if kill -0 "$(cat "$1")" 2> /dev/null; then echo lives,1; else echo lives,0; fi; }"#;

#[test]
fn a_process_that_hides_does_not_outlive_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = dir.path().join("hidden").display().to_string();
    let script = format!(
        "hidden={hidden}\n{HIDE}\ncase \"$(cat \"$1\")\" in *NUMBER,0*) hide;; esac\nlives {hidden} > \"$2/summary.csv\""
    );
    let mut world = World::new(&script).with(|spec| spec.parallel = 1);
    world.slice(2);
    assert!(world.start_runner().wait().unwrap().success());
    let lives: Vec<_> = world.records().iter().map(|record| record.outputs[0].1.clone()).collect();
    assert_eq!(lives, [OutputValue::Int(1), OutputValue::Int(0)]);
}

#[test]
fn a_process_that_hides_lives_as_long_as_its_own_run_beside_others() {
    let dir = tempfile::tempdir().unwrap();
    let (hidden, ready) = (dir.path().join("hidden").display().to_string(), dir.path().join("ready"));
    // Run 0 hides a process and goes on while the others come and go.
    let script = format!(
        r#"hidden={hidden}
{HIDE}
case "$(cat "$1")" in
*NUMBER,0*) hide; : > {ready}; while [ ! -e {ready}.done ]; do sleep 0.01; done;;
*NUMBER,5*) : > {ready}.done;;
*) while [ ! -e {ready} ]; do sleep 0.01; done;;
esac
lives {hidden} > "$2/summary.csv""#,
        ready = ready.display()
    );
    let mut world = World::new(&script).with(|spec| spec.parallel = 2);
    world.slice(6);
    assert!(world.start_runner().wait().unwrap().success());
    assert_eq!(world.records().len(), 6);
    for record in world.records().iter().filter(|record| record.run != run_id(5)) {
        assert_eq!(record.outputs[0].1, OutputValue::Int(1), "{record:?}");
    }
    let pid = fs_err::read_to_string(&hidden).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "it ended with its run");
}
