//! Models without a Dockerfile, in the environment that their manifest names.

use crate::place::{Place, RUN, SIM};

#[test]
fn a_model_gets_the_debian_packages_that_it_names() {
    let place = Place::new();
    place.file("sim.in", SIM);
    place.file("Makefile", "sim: sim.in\n\techo 6 + 1 | bc > seven\n\tsed \"s/seven,7/seven,`cat seven`/\" sim.in > sim\n\tchmod 755 sim\n");
    place.manifest(&format!(
        "build:\n  debian: [bc, make]\n  process: [[make, sim]]\n{RUN}tests:\n  - {{name: base case, parameters: {{}}, expect: {{seven: 7}}}}\n  \
         - {{name: rights, command: [sh, -c, 'test \"$(id -u)\" != 0 && ! touch sim']}}\n"
    ));
    place.build().ok();
}

const MODEL: &str = "import json, sys, idna\njson.dump({'length': len(idna.encode('grün.example')), 'where': idna.__file__}, open(sys.argv[1] + '/summary.json', 'w'))\n";

const PYTHON: &str = "build: {python: requirements.txt}\nrun:\n  command: [python3, \"{model}/model.py\", \"{outputs}\"]\n  params: {format: args}\nparameters: {}\n\
                      outputs: {summary: summary.json}\ntests:\n  - {name: base case, parameters: {}, expect: {length: 19}}\n  - {name: commands too, command: [python3, -c, import idna]}\n";

#[test]
fn a_python_model_gets_its_packages_as_an_image_and_as_processes_alike() {
    let place = Place::new();
    place.file("model.py", MODEL);
    place.file("requirements.txt", "idna==3.10\n");
    place.manifest(PYTHON);
    place.build().ok();
    let toolchain = place.version()["toolchain"].clone();
    assert!(toolchain[0].as_str().unwrap().starts_with("docker linux/"), "{toolchain}");

    place.laptop.write(".modelship/settings.yaml", "executor: process\n");
    place.build().ok();
    let version = place.version();
    assert_eq!((&version["builder"], &version["image"]), (&"process".into(), &serde_json::Value::Null));
    let executable = version["executable"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let built = place.laptop.path().join(".modelship/models").join(executable);
    assert!(built.join(".python-packages/idna").is_dir());
    let compiled = std::fs::read_dir(built.join(".python-packages/idna/__pycache__")).unwrap().next().unwrap().unwrap();
    let bytes = std::fs::read(compiled.path()).unwrap();
    let scratch = b".modelship/scratch";
    assert!(!bytes.windows(scratch.len()).any(|part| part == scratch), "a model must not remember where it was built");

    place.laptop.write("sweeps/one.yaml", &format!("sweep: one\nmodel: {}\nparameters: {{}}\n", place.model()));
    place.laptop.commit("Sweep");
    let swept = place.laptop.modelship(&["sweep", "run", "sweeps/one.yaml", "--output", "json"]).ok().json();
    assert_eq!(swept["succeeded"], 1, "runs find the packages: {swept}");
}
