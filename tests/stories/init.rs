//! Beginning: an existing folder becomes a model, an empty one a hub. What is proposed works without an edit where the
//! folder says enough.

use crate::world::laptop::Laptop;
use crate::world::tables::{numbers, read_csv};

/// Proposes a manifest for the files, builds the model and sweeps the parameter over the values; gives the table.
#[track_caller]
fn begins(files: &[(&str, &str)], parameter: &str, values: &str) -> (Laptop, (Vec<String>, Vec<Vec<String>>)) {
    let laptop = Laptop::with_models(&[]);
    for (path, text) in files {
        laptop.write(path, text);
    }
    let said = laptop.modelship(&["init", "ada/model"]).ok();
    let manifest = std::fs::read_to_string(laptop.path().join("modelship.yaml")).unwrap();
    assert!(manifest.contains("# LOOK:") && said.stderr.contains("LOOK"), "{manifest}\n{said:?}");
    laptop.modelship(&["validate"]).ok();
    laptop.write("sweeps/s.yaml", &format!("sweep: s\nmodel: ada/model\nparameters:\n  {parameter}: {values}\n"));
    laptop.commit("Begin");
    let report = laptop.modelship(&["sweep", "run", "sweeps/s.yaml", "--output", "json"]);
    assert_eq!(report.status, 0, "{manifest}\n{report:?}");
    let id = report.json()["plan"]["id"].as_str().unwrap().to_owned();
    let table = read_csv(&laptop.path().join(format!(".modelship/artifacts/sweeps/{id}/analysis.csv")));
    (laptop, table)
}

#[test]
fn a_script_with_options_and_an_image_becomes_a_model() {
    let script = "import argparse, json, os\np = argparse.ArgumentParser()\n\
        p.add_argument('--rate', type=float, default=0.1, help='the rate: a share')\n\
        p.add_argument('--years', type=int, default=3)\np.add_argument('--mode', choices=['simple', 'compound'], default='compound')\n\
        p.add_argument('--verbose', action='store_true')\np.add_argument('--out-dir', default='results')\na = p.parse_args()\n\
        os.makedirs(a.out_dir, exist_ok=True)\n\
        with open(a.out_dir + '/summary.json', 'w') as f: json.dump({'growth': (1 + a.rate) ** a.years}, f)\n";
    let dockerfile = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nENTRYPOINT [\"python\", \"grow.py\"]\n";
    let files = [("grow.py", script), ("Dockerfile", dockerfile), ("results/summary.json", "{\"growth\": 1.331}")];
    let (laptop, table) = begins(&files, "rate", "[0, 1]");
    assert_eq!(numbers(&table, "growth"), [1.0, 8.0]);
    let manifest = std::fs::read_to_string(laptop.path().join("modelship.yaml")).unwrap();
    assert!(
        manifest.contains("choices: [\"simple\", \"compound\"]") && manifest.contains("columns: {growth: {}}"),
        "{manifest}"
    );
    assert!(manifest.contains("# dockerfile: Dockerfile"), "its entrypoint would come before the command: {manifest}");

    let again = laptop.modelship(&["init", "ada/model"]);
    assert_eq!(again.status, 1, "nothing is overwritten: {again:?}");
}

#[test]
fn a_script_that_reads_a_file_of_parameters_becomes_a_model() {
    let script = "import json, sys\nparameters, outputs = sys.argv[1:]\np = json.load(open(parameters))\n\
        with open(f\"{outputs}/totals.csv\", \"w\") as f:\n    f.write(f\"double,half\\n{2 * p['x']},{p['x'] / 2}\\n\")\n";
    let (_, table) = begins(
        &[("main.py", script), ("params.json", "{\"x\": 1.5, \"name\": \"base\", \"deep\": {\"y\": 1}}")],
        "x",
        "[1, 3]",
    );
    assert_eq!(numbers(&table, "half"), [0.5, 1.5]);
}

#[test]
fn a_compiled_program_becomes_a_model() {
    let source = "#include <cstdio>\n#include <cstdlib>\n#include <cstring>\n#include <string>\n\
        int main(int argc, char **argv) {\n  char name[80]; double value, rate = 0; FILE *f = fopen(argv[1], \"r\");\n\
        while (f && fscanf(f, \"%79[^,],%lf\\n\", name, &value) == 2) if (!strcmp(name, \"RATE\")) rate = value;\n\
        std::string out = std::string(argv[2]) + \"/summary.json\";\n  FILE *o = fopen(out.c_str(), \"w\");\n\
        fprintf(o, \"{\\\"tax\\\": %.3f}\", rate * 1000); return 0; }\n";
    let makefile = "PROGRAM = tax\nall: $(PROGRAM)\n$(PROGRAM): tax.cpp\n\t$(CXX) -o $@ tax.cpp\n";
    let (_, table) =
        begins(&[("tax.cpp", source), ("Makefile", makefile), ("base.csv", "RATE,0.1\nSTEPS,3\n")], "RATE", "[0.5]");
    assert_eq!(numbers(&table, "tax"), [500.0]);
}

#[test]
fn a_script_that_reads_its_environment_and_prints_becomes_a_model() {
    let script = "import json, os\nn = int(os.environ.get('COUNT', '4'))\nprint(json.dumps({'square': n * n}))\n";
    let (_, table) = begins(&[("squares.py", script)], "COUNT", "[3, 5]");
    assert_eq!(numbers(&table, "square"), [9.0, 25.0]);
}

#[test]
fn what_was_found_and_what_is_assumed_is_told() {
    let laptop = Laptop::with_models(&[]);
    laptop.write(
        "model.R",
        "library(optparse)\nmake_option(c('-r', '--rate'), type='double', default=0.5, help='Rate')\n",
    );
    laptop.write("requirements.txt", "numpy\n");
    let said = laptop.modelship(&["init", "ada/model", "--output", "json"]).ok().json();
    assert_eq!(said["found"][0]["file"], "model.R");
    assert!(said["assumed"].as_array().unwrap().len() >= 2 && said["look_at"].as_u64() > Some(2), "{said}");
    laptop.modelship(&["validate"]).ok();
    let empty = Laptop::with_models(&[]);
    let said = empty.modelship(&["init"]).ok();
    assert!(said.stderr.contains("assumed: no parameters were found"), "{said:?}");
    let manifest = std::fs::read_to_string(empty.path().join("modelship.yaml")).unwrap();
    assert!(manifest.starts_with("owner: ada\n"), "{manifest}");
}

#[test]
fn strange_folders_give_a_manifest_that_validates_too() {
    let long: String = (0..300).map(|n| format!("P{n},{n}.5\n")).collect();
    let folders: &[&[(&str, &str)]] = &[
        &[("base.csv", &long), ("model.py", "print('{\"a\": 1}')\n")],
        &[
            (
                "Dockerfile",
                "FROM scratch\nCOPY m /m\nENTRYPOINT [\"/m\", \"--out\", \"/results\"]\nCMD [\"base.toml\"]\n",
            ),
            ("base.toml", "x = 1\n"),
        ],
        &[
            ("Dockerfile", "FROM x\nCMD python run.py > log; true\n"),
            ("run.py", "import sys\nx = float(sys.argv[1])\n"),
        ],
        &[("config.yaml", "on: yes\n'a: b': 1\ntext: \"quote \\\" and: #\"\nlist: [1, 2]\n"), ("a b.py", "x\n")],
        &[(
            "run.py",
            "p.add_argument('--x', default='a: #b', type=int, choices=[1, 'two', 2.5])\np.add_argument('--y', type=float, default=1)\n",
        )],
        &[("model.jl", "ARGS[1]"), ("params.toml", "rate = 0.1\n"), ("output/table.csv", "a,b\n1,2\n3,4\n")],
    ];
    for (number, files) in folders.iter().enumerate() {
        let laptop = Laptop::with_models(&[]);
        files.iter().for_each(|(path, text)| laptop.write(path, text));
        let said = laptop.modelship(&["init", "ada/strange"]);
        assert_eq!(said.status, 0, "folder {number}: {said:?}");
        let said = laptop.modelship(&["validate"]);
        let manifest = std::fs::read_to_string(laptop.path().join("modelship.yaml")).unwrap();
        assert_eq!(said.status, 0, "folder {number}: {said:?}\n{manifest}");
    }
}

#[test]
fn a_new_hub_is_a_repository_in_which_a_sweep_runs_at_once() {
    let laptop = Laptop::with_models(&[]);
    let place = tempfile::tempdir_in(laptop.path().join(".git")).unwrap();
    let hub = place.path().join("hub");
    // The folder lies in `.git` of another repository, which is none of its business.
    let made = laptop.modelship(&["init", "--hub", hub.to_str().unwrap(), "--output", "json"]).ok().json();
    assert!(made["commit"].is_string(), "{made}");
    let here = |arguments: &[&str]| laptop.modelship_in(&hub, arguments).ok();
    here(&["validate"]);
    here(&["build"]);
    let report = here(&["sweep", "run", "sweeps/identity.yaml", "--output", "json"]).json();
    assert_eq!(report["phase"]["phase"], "succeeded", "{report}");
    here(&["doctor"]);

    // A model that is put into the hub gets its manifest where a hub keeps them.
    let model = hub.join("models/doubling");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::write(
        model.join("doubling.py"),
        "import json, os\nprint(json.dumps({'a': 2 * float(os.getenv('X', '1.5'))}))\n",
    )
    .unwrap();
    laptop.modelship_in(&model, &["init", "ada/doubling"]).ok();
    let manifest = std::fs::read_to_string(hub.join("config/ada/doubling.yaml")).unwrap();
    assert!(manifest.contains("source: {path: models/doubling}"), "{manifest}");
    here(&["build", "--dirty", "ada/doubling"]);
}

#[test]
fn doctor_names_what_is_missing_and_what_to_do() {
    let laptop = Laptop::with_models(&["identity-matrix"]);
    let well = laptop.modelship(&["doctor"]).ok();
    for part in ["git", "runner", "run contract", "SQLite", "migrations", "open files", "python3", "free"] {
        assert!(well.stdout.contains(part), "{part}: {well:?}");
    }
    laptop.write(
        "modelship.yaml",
        "owner: ada\ntitle: x\nbuild: {process: [[no-such-compiler]]}\nrun: {command: [\"{model}/x\", \"{params}\"]}\noutputs: {summary: s.json}\n",
    );
    let ill = laptop.modelship(&["doctor", "--output", "json"]);
    assert_eq!(ill.status, 1, "{ill:?}");
    let checks = ill.json();
    let bad: Vec<_> = checks.as_array().unwrap().iter().filter(|check| check["state"] == "bad").collect();
    assert_eq!(bad.len(), 1, "{checks}");
    assert!(bad[0]["found"].as_str().unwrap().contains("no-such-compiler") && bad[0]["advice"].is_string(), "{checks}");
}

#[test]
fn the_manual_has_a_page_for_each_verb() {
    let laptop = Laptop::with_models(&[]);
    let page = laptop.modelship(&["man"]).ok();
    assert!(page.stdout.contains(".TH modelship 1"), "{page:?}");
    let written = laptop.modelship(&["man", "--to", "man", "--output", "json"]).ok().json();
    assert!(written["pages"].as_array().unwrap().len() > 20, "{written}");
    assert!(laptop.path().join("man/modelship-sweep-replay.1").is_file());
}

#[test]
fn doctor_looks_at_the_docker_engine_that_the_settings_name() {
    let laptop = Laptop::with_models(&[]);
    let states = |settings: &str| {
        laptop.write(".modelship/settings.yaml", settings);
        let said = laptop.modelship(&["doctor", "--output", "json"]);
        let checks = said.json();
        let checks = checks.as_array().unwrap().iter();
        let parts: Vec<(String, String)> = checks
            .map(|check| (check["part"].as_str().unwrap().to_owned(), check["state"].as_str().unwrap().to_owned()))
            .collect();
        move |part: &str| parts.iter().find(|(own, _)| own == part).map(|(_, state)| state.clone())
    };
    let nobody = states("executor: docker\ndocker: {host: \"unix:///nothing.sock\"}\n");
    assert_eq!(nobody("docker engine").as_deref(), Some("bad"));
    assert_eq!(nobody("registry"), None, "the engine would have to ask it");

    let real = states("executor: docker\ndocker: {registry: \"127.0.0.1:1/models\"}\n");
    assert_eq!((real("docker engine").as_deref(), real("docker limits").as_deref()), (Some("good"), Some("good")));
    assert_eq!(real("registry").as_deref(), Some("bad"));
    let alone = states("executor: docker\n");
    assert_eq!(alone("registry").as_deref(), Some("look"));
}
