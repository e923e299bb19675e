//! Images of different bases: what stays of them, what is added, and what a build that fails tells.

use serde_json::json;

use crate::place::{Place, RUN, SIM, TESTS, config, docker};

#[test]
fn a_busybox_image_keeps_what_it_says_of_itself_and_gets_a_runner_and_labels() {
    let place = Place::new();
    place.file("sim", SIM);
    place.file(
        "Dockerfile",
        "FROM modelship-test/busybox\nARG WORD\nWORKDIR /srv/model\nCOPY --chown=4711 sim .\nRUN chmod 755 sim && echo $WORD > word\nENV GREETING=hello\nUSER 4711\n\
         ENTRYPOINT [\"/bin/env\", \"ENTERED=yes\"]\nCMD [\"/bin/sh\"]\n",
    );
    place.manifest(&format!(
        "build:\n  dockerfile: Dockerfile\n  args: {{WORD: given}}\n  platforms: [linux/s390x, linux/amd64, linux/arm64]\n{RUN}inputs: [word]\n{TESTS}  \
         - {{name: surroundings, command: [sh, -c, 'test \"$GREETING $ENTERED $(cat word) $(id -u) $PWD\" = \"hello yes given 4711 /srv/model\"']}}\n",
    ));
    place.build().ok();

    let version = place.version();
    assert_eq!(version["builder"], "docker");
    assert_eq!(version["tests"].as_array().unwrap().len(), 3);
    let image = &version["image"];
    assert_eq!(image["entrypoint"], json!(["/bin/env", "ENTERED=yes"]));
    assert_eq!(image["environment"]["GREETING"], "hello");
    assert_eq!(image["workdir"], "/srv/model");
    assert_eq!(image["reference"], version["executable"], "without a registry the image's id is all there is");
    assert!(version["inputs"]["word"].as_str().unwrap().starts_with("sha256:"));

    let config = config(image["reference"].as_str().unwrap());
    assert_eq!(config["Entrypoint"], json!(["/.modelship/modelship-runner"]));
    assert!(config["Cmd"].as_array().is_none_or(Vec::is_empty), "{config}");
    assert_eq!((&config["User"], &config["WorkingDir"]), (&json!("4711"), &json!("/srv/model")));
    let labels = &config["Labels"];
    assert_eq!(labels["org.modelship.entrypoint"], r#"["/bin/env","ENTERED=yes"]"#);
    assert_eq!(labels["org.modelship.model"], place.model());
    assert_eq!(labels["org.opencontainers.image.title"], place.model());
    assert_eq!(labels["org.opencontainers.image.revision"], version["source"]["commit"]);
    assert!(labels["org.opencontainers.image.created"].as_str().unwrap().ends_with('Z'));

    let log = place.laptop.path().join(format!(
        ".modelship/artifacts/builds/{}/{}/build.log",
        place.model(),
        version["source"]["commit"].as_str().unwrap()
    ));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("left out platform linux/s390x") == cfg!(target_arch = "x86_64"), "{log}");
    assert!(log.contains("RUN chmod 755 sim"), "{log}");
}

#[test]
fn an_image_from_scratch_runs_by_its_entrypoint() {
    let place = Place::new();
    std::fs::create_dir_all(place.laptop.path().join("models/tiny")).unwrap();
    std::fs::copy("/bin/busybox", place.laptop.path().join("models/tiny/busybox")).unwrap();
    place.file("Dockerfile", "FROM scratch\nCOPY busybox /busybox\nENTRYPOINT [\"/busybox\"]\n");
    place.manifest(
        "build: {dockerfile: Dockerfile}\nrun:\n  command: [echo, \"answer,42\"]\n  params: {format: args}\n  resources: {memory: 64 MiB}\nparameters: {}\n\
         outputs: {summary: stdout}\ntests:\n  - {name: runs, parameters: {}, expect: {answer: 42}}\n  - {name: commands too, command: [\"true\"]}\n",
    );
    place.build().ok();
    let version = place.version();
    assert_eq!(version["image"]["entrypoint"], json!(["/busybox"]));
    assert_eq!(version["image"]["workdir"], "");
}

#[test]
fn a_debian_image_with_a_context_of_its_own_is_built_from_a_dockerfile_elsewhere() {
    let place = Place::new();
    place.file("src/sim", SIM);
    place.file("src/secret.txt", "secret");
    place.file("src/.dockerignore", "secret*\n");
    place.file(
        "docker/Dockerfile",
        "ARG BASE=debian:bookworm-slim\nFROM $BASE\nARG PIP_INDEX_URL\nWORKDIR /model\nCOPY . .\nRUN chmod 755 sim && ls -A > files && cat files\nUSER 1000\n",
    );
    place.manifest(&format!(
        "build: {{dockerfile: docker/Dockerfile, context: src}}\n{RUN}{TESTS}  - {{name: sent, command: [sh, -c, 'test \"$(tr \"\\n\" , < files)\" = files,sim,']}}\n"
    ));
    place.build().ok();
}

#[test]
fn a_build_that_fails_names_the_instruction_and_shows_the_end_of_its_log() {
    let place = Place::new();
    place.file("Dockerfile", "FROM modelship-test/busybox\nRUN echo no rule to make target; exit 3\n");
    place.manifest(&format!("build: {{dockerfile: Dockerfile}}\n{RUN}"));
    let said = place.build();
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("`RUN echo no rule to make target; exit 3` ended with status 3"), "{}", said.stderr);
    assert!(
        said.stderr.contains("\n") && said.stderr.matches("no rule to make target").count() >= 2,
        "{}",
        said.stderr
    );

    place.file("Dockerfile", "FROM modelship-test/busybox\nMAKE all\n");
    place.manifest(&format!("build: {{dockerfile: Dockerfile}}\n{RUN}"));
    let said = place.build();
    assert!(said.status == 1 && said.stderr.contains("unknown instruction: MAKE"), "{}", said.stderr);

    place.file("Dockerfile", "FROM modelship-test/busybox\nONBUILD RUN touch /x\n");
    place.manifest(&format!("build: {{dockerfile: Dockerfile}}\n{RUN}"));
    let said = place.build();
    assert!(said.status == 1 && said.stderr.contains("ONBUILD"), "{}", said.stderr);
    assert!(place.images().is_empty());
}

#[test]
fn what_the_manifest_names_and_the_source_lacks_is_told_at_its_place() {
    let place = Place::new();
    place.file("sim", SIM);
    let told = |build: &str, line: &str, what: &str| {
        place.manifest(&format!("build:\n{build}{RUN}"));
        let said = place.build();
        assert!(said.status == 1 && said.stderr.contains(what), "{}", said.stderr);
        assert!(said.stderr.contains(&format!("tiny.yaml:{line}")), "the place is told: {}", said.stderr);
    };
    told("  dockerfile: docker/Dockerfile\n", "6:15", "the source has no `docker/Dockerfile`");
    told("  python: needs.txt\n", "6:11", "the source has no `needs.txt`");
    told("  process: [[make]]\n", "5:1", "names neither a Dockerfile nor an environment");
    place.file("Dockerfile", "FROM modelship-test/busybox\n");
    told("  dockerfile: Dockerfile\n  platforms: [linux/s390x]\n", "7:15", "and not for `linux/s390x`");
}

#[test]
fn a_test_that_fails_in_the_image_shows_what_it_printed() {
    let place = Place::new();
    place.file("sim", "#!/bin/sh\necho cannot open data >&2; exit 9\n");
    place.file("Dockerfile", "FROM modelship-test/busybox\nWORKDIR /model\nCOPY sim .\nRUN chmod 755 sim\n");
    let build = "build: {dockerfile: Dockerfile}\n";
    let failing = |tests: &str| {
        place.manifest(&format!("{build}{RUN}tests:\n  - {tests}\n"));
        let said = place.build();
        assert_eq!(said.status, 1);
        said.stderr
    };
    let said = failing("{name: base case, parameters: {}, expect: {rate: 0.5}}");
    assert!(
        said.contains("model error: the command ended with status 9") && said.contains("cannot open data"),
        "{said}"
    );
    let said = failing("{name: a command, command: [sh, -c, 'echo 1 failed; exit 4']}");
    assert!(said.contains("ended with status 4") && said.contains("1 failed"), "{said}");
    let said = failing("{name: slow, command: [sleep, '300'], timeout: 1s}");
    assert!(said.contains("ran longer than its limit of 1s"), "{said}");
    let said = failing("{name: absent, command: [no-such-program]}");
    assert!(said.contains("did not start") && said.contains("no-such-program"), "{said}");
    let said =
        failing("{name: hungry, command: [sh, -c, 'x=$(head -c 200000000 /dev/zero | tr \"\\0\" a); echo ${#x}']}");
    assert!(said.contains("more memory") || said.contains("status 137"), "{said}");
    let network = failing("{name: online, command: [sh, -c, 'test \"$(ls /sys/class/net)\" = lo && exit 5']}");
    assert!(network.contains("ended with status 5"), "only the loop-back is there with `network: none`: {network}");
    assert!(docker(&["ps", "--all", "--quiet", "--filter", "label=org.modelship.instance"]).lines().count() < 50);
}
