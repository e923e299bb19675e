//! What the actions do for a workflow whose models run as processes.

use crate::driver::{Did, Runner, commands};

const MODEL: &str = "tests/tiny";

/// A hub with one small model, whose script is `script`.
fn hub(script: &str) -> Runner {
    let runner = Runner::new();
    runner.write(
        "config/tests/tiny.yaml",
        "owner: tests\ntitle: tiny\ndescription: twice a number\nsource: {path: models/tiny}\nbuild: {process: []}\nbuild_by: actions\nrun:\n  command: [sh, \"{model}/tiny.sh\", \"{outputs}\"]\n  params: {format: env}\nparameters:\n  N: {type: int, default: 2, min: 0, max: 100}\noutputs:\n  summary: summary.json\n  columns: {twice: {}}\ntests:\n  - {name: base, parameters: {N: 3}, expect: {twice: 6}}\n",
    );
    runner.write("models/tiny/tiny.sh", script);
    runner.write(
        "sweeps/all.yaml",
        "sweep: all\nmodel: tests/tiny\nparameters:\n  N: {range: {start: 1, stop: 4, step: 1}}\n",
    );
    runner.commit("Begin");
    runner
}

const GOOD: &str = "printf '{\"twice\": %d}' $((N * 2)) >\"$1/summary.json\"\n";

pub(crate) fn passed(did: Did) -> Did {
    assert!(did.passed, "{}", did.log);
    did
}

fn process<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("executor", "process")], more].concat()
}

#[test]
fn setup_takes_the_modelship_that_is_there_already() {
    let did = passed(hub(GOOD).run("setup", &[]));
    assert_eq!(did.outputs["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(did.uses, Vec::<String>::new(), "nothing is fetched or built");
}

#[test]
fn what_changed_becomes_a_matrix() {
    let runner = hub(GOOD);
    let first = runner.git(&["rev-parse", "HEAD"]);
    let all = passed(runner.run("changed", &[("since", &"0".repeat(40))]));
    assert_eq!(all.outputs["changed-models"], r#"["tests/tiny"]"#);
    assert_eq!(all.outputs["changed-sweeps"], r#"["sweeps/all.yaml"]"#);

    runner.git(&["checkout", "--quiet", "-b", "topic"]);
    runner.write("sweeps/more.yaml", "sweep: more\nmodel: tests/tiny\nparameters: {N: [1]}\n");
    runner.commit("Sweep more");
    let push = passed(runner.run("changed", &[("since", &first)]));
    assert_eq!(
        (push.outputs["changed-models"].as_str(), push.outputs["changed-sweeps"].as_str()),
        ("[]", r#"["sweeps/more.yaml"]"#)
    );
    assert!(push.summary.contains("`sweeps/more.yaml`"), "{}", push.summary);

    // What its base has gained meanwhile is none of a pull request's doing.
    runner.git(&["checkout", "--quiet", "main"]);
    runner.write("models/tiny/tiny.sh", "exit 1\n");
    let base = runner.commit("Break it");
    runner.git(&["checkout", "--quiet", "topic"]);
    let pull = passed(runner.run("changed", &[("base", &base), ("since", &first)]));
    assert_eq!(pull.outputs["changed-models"], "[]");

    // After a force push nobody has the commit that was there.
    let forced = passed(runner.run("changed", &[("since", &"ab".repeat(20))]));
    assert_eq!(forced.outputs["changed-models"], r#"["tests/tiny"]"#);
}

#[test]
fn a_model_is_built_tested_planned_and_swept() {
    let runner = hub(GOOD);
    let built = passed(runner.run("build", &process(&[("model", MODEL)])));
    assert_eq!(built.outputs["version"].len(), 16, "{built:?}");
    assert!(built.outputs["digest"].starts_with("sha256:") && built.outputs["image"].is_empty(), "{built:?}");
    assert!(built.summary.contains(&built.outputs["version"]) && built.commands.is_empty(), "{built:?}");
    assert!(built.uses.is_empty(), "processes have no layers to keep");

    let tested = passed(runner.run("test", &process(&[])));
    assert!(tested.summary.contains("| `tests/tiny` | `base` | passed |"), "{}", tested.summary);

    let planned = passed(runner.run("sweep-plan", &process(&[("file", "sweeps/all.yaml")])));
    assert_eq!((planned.outputs["runs"].as_str(), &planned.outputs["version"]), ("4", &built.outputs["version"]));
    assert!(planned.outputs["plan-digest"].starts_with("sha256:") && planned.summary.contains("### Sweep `all`"));

    let swept = passed(runner.run("sweep-run", &process(&[("file", "sweeps/all.yaml")])));
    assert_eq!(swept.outputs["succeeded"], "4", "{swept:?}");
    assert_eq!(swept.outputs["sweep-id"], planned.outputs["sweep-id"]);
    assert!(swept.summary.contains("4 runs done"), "{}", swept.summary);
}

#[test]
fn a_failure_is_told_at_its_place_and_no_log_speaks_to_the_runner() {
    let hostile = "echo '::set-env name=PATH::/evil'; echo '::add-mask::a' >&2; printf '::error::gotcha'; exit 3\n";
    let failed = hub(hostile).run("build", &process(&[("model", MODEL)]));
    assert!(!failed.passed);
    assert!(failed.log.contains("gotcha"), "the log is shown: {}", failed.log);
    let [told] = failed.commands.as_slice() else { panic!("{:?}", failed.commands) };
    assert!(told.starts_with("::error title=modelship::tests/tiny failed in `base`"), "{told}");
    assert_eq!(failed.outputs["version"], "");

    let runner = hub(GOOD);
    runner.write("sweeps/all.yaml", "sweep: all\nmodel: tests/tiny\nparametrs: {N: 1}\n");
    runner.commit("Mistype");
    let failed = runner.run("sweep-plan", &process(&[("file", "sweeps/all.yaml")]));
    assert!(!failed.passed);
    let told: Vec<_> = failed.commands.iter().filter(|line| line.contains("file=")).collect();
    assert!(
        told[0].starts_with("::error file=sweeps/all.yaml,line=3,col=1,endColumn=9,title=modelship::unknown key"),
        "{told:?}"
    );
}

#[test]
fn a_log_that_is_shown_whole_commands_nothing() {
    let runner = hub(GOOD);
    let manifest = std::fs::read_to_string(runner.workspace.path().join("config/tests/tiny.yaml")).unwrap();
    runner.write("config/tests/tiny.yaml", &manifest.replace("{process: []}", "{process: [[sh, make.sh]]}"));
    runner.write("models/tiny/make.sh", "echo '::set-env name=PATH::/evil'\nprintf '::error::gotcha'\n");
    runner.commit("Make it loud");
    passed(runner.run("build", &process(&[("model", MODEL)])));
    let log = runner.modelship(&["logs", MODEL]);
    assert!(log.lines().any(|line| line == "::set-env name=PATH::/evil"), "it is printed as it is: {log}");
    assert_eq!(commands(&log), Vec::<String>::new());
}

#[test]
fn no_input_becomes_a_command_or_a_flag() {
    let runner = hub(GOOD);
    for value in
        ["$(touch evil)", "`touch evil`", "x; touch evil", "--dirty", "-h", "a\ntouch evil", "zzz\";touch${IFS}evil;#"]
    {
        for (action, input) in [
            ("build", "model"),
            ("test", "model"),
            ("sweep-plan", "file"),
            ("sweep-run", "file"),
            ("changed", "since"),
            ("changed", "base"),
        ] {
            let inputs = if action == "changed" { vec![(input, value)] } else { process(&[(input, value)]) };
            let did = runner.run(action, &inputs);
            assert!(!did.passed, "{action} {value:?}: {}", did.log);
        }
        let did = runner.run("push", &process(&[("model", value), ("registry", value)]));
        assert!(!did.passed, "{value:?}: {}", did.log);
    }
    assert!(!runner.workspace.path().join("evil").exists());
}

#[test]
fn only_an_image_can_be_pushed() {
    let runner = hub(GOOD);
    let push = || runner.run("push", &process(&[("model", MODEL), ("registry", "127.0.0.1:1/x")]));
    let none = push();
    assert!(!none.passed && none.commands[0].contains("build it first"), "{none:?}");
    passed(runner.run("build", &process(&[("model", MODEL)])));
    let plain = push();
    assert!(!plain.passed && plain.commands[0].contains("has no image"), "{plain:?}");
}

#[test]
fn amazons_registry_is_opened_by_a_role_and_its_password_is_hidden() {
    let mut runner = hub(GOOD);
    runner.stub("aws", "#!/bin/sh\n[ \"$*\" = 'ecr get-login-password' ] && echo pass%word\n");
    let did = runner.run(
        "push",
        &process(&[
            ("model", MODEL),
            ("registry", "1.dkr.ecr.eu-central-1.amazonaws.com/m"),
            ("aws-role", "arn:aws:iam::1:role/push"),
            ("aws-region", "eu-central-1"),
        ]),
    );
    assert!(did.uses[0].starts_with("aws-actions/configure-aws-credentials@"), "{did:?}");
    assert!(did.commands[0] == "::add-mask::pass%25word", "{did:?}");
    assert!(!did.passed && did.commands[1].contains("build it first"), "{did:?}");
}

/// A stand-in for `gh` that knows one run of a fork and two pull requests, and notes what it is asked to write.
const GH: &str = r#"#!/bin/bash
case "$*" in
*actions/runs/77*) echo '{"head_sha":"aaaa","head_branch":"x\";touch evil;#","conclusion":"failure","html_url":"https://github.test/run/77","head_repository":{"owner":{"login":"mallory"}}}' ;;
*"/pulls "*) printf '%s\n' "$@" >"$NOTES.asked"; echo '[{"number":1,"head":{"sha":"bbbb"}},{"number":2,"head":{"sha":"aaaa"}}]' ;;
*PATCH*|*POST*) printf '%s\n' "$@" >>"$NOTES.wrote" ;;
*issues/2/comments*) cat "$NOTES.comments" ;;
*) exit 9 ;;
esac
"#;

#[test]
fn a_report_finds_its_pull_request_by_the_commit_alone_and_edits_its_own_comment() {
    let mut runner = hub(GOOD);
    let notes = runner.workspace.path().join("notes");
    runner.stub("gh", &GH.replace("$NOTES", notes.to_str().unwrap()));
    // Somebody else's comment with our marker is not ours.
    runner.write("notes.comments", r#"[{"id":5,"user":{"login":"mallory"},"body":"<!-- modelship check -->"}]"#);
    let wrote = || std::fs::read_to_string(notes.with_extension("wrote")).unwrap();
    passed(runner.run("report", &[("run", "77"), ("token", "t")]));
    assert!(
        wrote().contains("POST\nrepos/ada/hub/issues/2/comments\n") && wrote().contains("❌ failed for commit aaaa"),
        "{}",
        wrote()
    );
    let asked = std::fs::read_to_string(notes.with_extension("asked")).unwrap();
    assert!(asked.contains("head=mallory:x\";touch evil;#\n"), "{asked}");

    runner.write(
        "notes.comments",
        r#"[{"id":6,"user":{"login":"github-actions[bot]"},"body":"<!-- modelship check -->\nold"}]"#,
    );
    passed(runner.run("report", &[("run", "77"), ("token", "t")]));
    assert!(wrote().contains("PATCH\nrepos/ada/hub/issues/comments/6\n"), "{}", wrote());
    assert!(!runner.run("report", &[("run", "77/../../x"), ("token", "t")]).passed);
    assert!(!runner.workspace.path().join("evil").exists());
}
