//! What a manifest may say and what is told of one that is wrong.

use std::collections::BTreeMap;

use super::*;
use crate::domain::yaml::tests::picture;
use crate::domain::yaml::{Files, NoFiles};

/// Files by path.
struct Tree(BTreeMap<&'static str, &'static str>);

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).map(|text| (*text).to_owned()))
    }
}

const BASE: &str = r#"owner: urban
title: simple-tax
description: flat tax with a standard deduction
source: {path: models/simple-tax-fortran}
build:
  dockerfile: Dockerfile
  process: [[make]]
build_by: server
run:
  command: ["{model}/simple-tax", "{params}", "{outputs}/output.csv"]
  params: {format: csv}
  summarize: [python3, "{model}/summarize.py", "{outputs}"]
  resources: {vcpu: 0.5, memory: 512 MiB, gpu: 0}
  network: none
  timeout: 1h 30m
parameters:
  RATE:     {type: float, default: 0.10, min: 0, max: 1, unit: fraction, description: tax rate}
  STANDARD: {type: float, default: 1500, min: 0, unit: USD}
  EXEMPT:   {type: int, default: 1000, min: 0, unit: USD}
  EVENT:    {type: string, default: none, choices: [none, join]}
  YEARS:    {type: list, default: [1, 2.5]}
sets:
  reform-a: {STANDARD: 2000, RATE: 1e-1}
inputs: [./data/units.csv]
outputs:
  summary: summary.json
  columns: {revenue: {unit: USD}, units: {min: 1}}
  files: [output.csv]
tests:
  - {name: base case, parameters: {EXEMPT: 1e3}, expect: {units: 20000, revenue: {value: 394000000000, rel: 1e-3}, share: 0.5}}
  - {name: unit tests, command: [pytest, -q], timeout: 30s}
"#;

const PATH: &str = "config/urban/simple-tax.yaml";

fn parsed(text: &str) -> Result<Manifest, String> {
    Manifest::parse(PATH, text, &NoFiles).map_err(|faults| picture(&faults))
}

/// The faults of the base manifest with `from` replaced by `to`.
fn broken(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    parsed(&BASE.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn a_manifest_becomes_checked_values() {
    let manifest = parsed(BASE).unwrap();
    assert_eq!(manifest.model.to_string(), "urban/simple-tax");
    assert_eq!(manifest.run.timeout, Duration::from_secs(5400));
    assert_eq!(manifest.run.resources, Resources { milli_cpus: 500, memory: 512 << 20, gpus: 0 });
    assert_eq!(manifest.run.network, Network::None);
    assert_eq!(manifest.inputs, ["data/units.csv"]);
    assert_eq!(manifest.build.docker.as_ref().unwrap().context, ".");
    let names: Vec<&str> = manifest.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["RATE", "STANDARD", "EXEMPT", "EVENT", "YEARS"]);
    assert_eq!(manifest.parameters[4].default, Some(Value::List(vec![Value::Float(1.0), Value::Float(2.5)])));
    let set = &manifest.sets["reform-a"];
    assert_eq!(set[..], [("RATE".to_owned(), Value::Float(0.1)), ("STANDARD".to_owned(), Value::Float(2000.0))]);
    let TestKind::Run { parameters, expect } = &manifest.tests[0].kind else { panic!("not a run") };
    assert_eq!(parameters[..], [("EXEMPT".to_owned(), Value::Int(1000))]);
    let expected = |value, relative| Expectation { value, relative, absolute: 0.0 };
    assert_eq!(expect[0], ("units".to_owned(), expected(Value::Int(20000), 0.0)));
    assert_eq!(expect[1], ("revenue".to_owned(), expected(Value::Int(394_000_000_000), 1e-3)));
    assert_eq!(expect[2], ("share".to_owned(), expected(Value::Float(0.5), 1e-9)));
    assert_eq!(manifest.tests[0].timeout, manifest.run.timeout);
    assert_eq!(manifest.tests[1].timeout, Duration::from_secs(30));
}

#[test]
fn a_manifest_s_json_reads_back() {
    let manifest = parsed(BASE).unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
}

#[test]
fn a_model_s_own_repository_needs_no_source() {
    let text = BASE.replace("source: {path: models/simple-tax-fortran}\n", "");
    let manifest = Manifest::parse("modelship.yaml", &text, &NoFiles).unwrap();
    assert_eq!(manifest.source, Source::Path(".".into()));
}

#[test]
fn another_repository_s_folder_can_be_the_source() {
    let text =
        BASE.replace("{path: models/simple-tax-fortran}", "{repo: https://example.org/x.git, ref: v1, path: sub/}");
    let source =
        Source::Repository { repo: "https://example.org/x.git".into(), reference: "v1".into(), path: "sub".into() };
    assert_eq!(parsed(&text).unwrap().source, source);
    // What an image says of itself is one commit, and this would need two.
    insta::assert_snapshot!(parsed(&text.replace("build_by: server", "build_by: actions")).unwrap_err(), @r"
    config/urban/simple-tax.yaml:8:11: the source lies in another repository, `https://example.org/x.git`, so an image cannot say which commit of this one it is of (hint: write `build_by: server`, or put the source into this repository and write `source: {path: ...}`)
    | build_by: actions
    |           ^^^^^^^
    ");
}

#[test]
fn names_and_paths_agree() {
    insta::assert_snapshot!(broken("owner: urban", "owner: psl"), @r"
    config/urban/simple-tax.yaml:1:8: the owner is `psl`, the file lies in `config/urban/` (hint: write `owner: urban`, or move the file to `config/psl/simple-tax.yaml`)
    | owner: psl
    |        ^^^
    ");
    insta::assert_snapshot!(broken("title: simple-tax", "title: simple"), @r"
    config/urban/simple-tax.yaml:2:8: the title is `simple`, the file is called `simple-tax.yaml` (hint: write `title: simple-tax`, or rename the file to `config/urban/simple.yaml`)
    | title: simple
    |        ^^^^^^
    ");
    insta::assert_snapshot!(broken("title: simple-tax", "title: \"simple tax\""), @r#"
    config/urban/simple-tax.yaml:2:8: model name `urban/simple tax` may hold only letters, digits, `-`, `_` and `.`
    | title: "simple tax"
    |        ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(broken("source: {path: models/simple-tax-fortran}\n", ""), @r"
    config/urban/simple-tax.yaml:2:8: `source` is missing (hint: write `source: {path: models/simple-tax}`, or wherever the source lies)
    | title: simple-tax
    |        ^^^^^^^^^^
    ");
    insta::assert_snapshot!(picture(&Manifest::parse("models/x.yaml", BASE, &NoFiles).unwrap_err()), @"models/x.yaml: a manifest may not lie here (hint: name it `config/urban/simple-tax.yaml`, or `modelship.yaml` in the model's own repository)");
}

#[test]
fn every_fault_of_shape_is_told_at_once() {
    let text = "owner: urban\ntitel: simple-tax\nbuild: [make]\nrun:\n  comand: [a]\n  params: {format: xml}\n  timeout: 10\n\
                parameters:\n  RATE: 0.1\n  X: {type: real}\noutputs: {reduce: {a.csv: SELECT 1}}\ntests: {a: 1}\n";
    insta::assert_snapshot!(parsed(text).unwrap_err(), @r"
    config/urban/simple-tax.yaml:1:1: `title` is missing (hint: `title` must be a text)
    | owner: urban
    | ^
    config/urban/simple-tax.yaml:2:1: unknown key `titel` (hint: did you mean `title`?)
    | titel: simple-tax
    | ^^^^^
    config/urban/simple-tax.yaml:3:1: expected a mapping, found a list (hint: its keys are `dockerfile`, `context`, `args`, `platforms`, ...)
    | build: [make]
    | ^^^^^
    config/urban/simple-tax.yaml:4:1: `command` is missing (hint: `command` must be a list)
    | run:
    | ^^^
    config/urban/simple-tax.yaml:5:3: unknown key `comand` (hint: did you mean `command`?)
    |   comand: [a]
    |   ^^^^^^
    config/urban/simple-tax.yaml:6:20: expected `csv` or `json` or `yaml` or `toml` or `args` or `env`, found `xml`
    |   params: {format: xml}
    |                    ^^^
    config/urban/simple-tax.yaml:9:9: expected a mapping, found `0.1` (hint: its keys are `type`, `default`, `min`, `max`, ...)
    |   RATE: 0.1
    |         ^^^
    config/urban/simple-tax.yaml:10:13: expected `float` or `int` or `bool` or `string` or `list`, found `real`
    |   X: {type: real}
    |             ^^^^
    config/urban/simple-tax.yaml:11:1: `summary` is missing (hint: `summary` must be a text)
    | outputs: {reduce: {a.csv: SELECT 1}}
    | ^^^^^^^
    config/urban/simple-tax.yaml:11:11: `reduce` is not part of this release (hint: this version takes the summary from `run.summarize` or from a file that the model writes)
    | outputs: {reduce: {a.csv: SELECT 1}}
    |           ^^^^^^
    config/urban/simple-tax.yaml:12:1: expected a list, found a mapping
    | tests: {a: 1}
    | ^^^^^
    ");
}

#[test]
fn paths_stay_within_the_source() {
    insta::assert_snapshot!(broken("path: models/simple-tax-fortran", "path: ../other"), @r"
    config/urban/simple-tax.yaml:4:16: the path `../other` may not go up with `..`
    | source: {path: ../other}
    |                ^^^^^^^^
    ");
    insta::assert_snapshot!(broken("./data/units.csv", "/etc/passwd"), @r"
    config/urban/simple-tax.yaml:24:10: the path `/etc/passwd` must be relative
    | inputs: [/etc/passwd]
    |          ^^^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("./data/units.csv", "a.csv, b/../a.csv, a.csv, ./a.csv"), @r"
    config/urban/simple-tax.yaml:24:17: the path `b/../a.csv` may not go up with `..`
    | inputs: [a.csv, b/../a.csv, a.csv, ./a.csv]
    |                 ^^^^^^^^^^
    config/urban/simple-tax.yaml:24:29: `a.csv` is listed twice
    | inputs: [a.csv, b/../a.csv, a.csv, ./a.csv]
    |                             ^^^^^
    config/urban/simple-tax.yaml:24:36: `a.csv` is listed twice
    | inputs: [a.csv, b/../a.csv, a.csv, ./a.csv]
    |                                    ^^^^^^^
    ");
    assert!(parsed(&BASE.replace("output.csv]", &format!("{}]", "x".repeat(255)))).is_ok());
    let long = broken("output.csv]", &format!("{}]", "x".repeat(256)));
    assert!(long.contains("has a part of more than 255 bytes"), "{long}");
    insta::assert_snapshot!(broken("summary.json", "summary.txt"), @r"
    config/urban/simple-tax.yaml:26:12: `summary.txt` is neither a JSON nor a CSV file (hint: name a file that ends with `.json` or `.csv`, or write `stdout`)
    |   summary: summary.txt
    |            ^^^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("summary.json", "stdut"), @r"
    config/urban/simple-tax.yaml:26:12: `stdut` is neither a JSON nor a CSV file (hint: did you mean `stdout`?)
    |   summary: stdut
    |            ^^^^^
    ");
    insta::assert_snapshot!(broken("{path: models/simple-tax-fortran}", "{repo: \"git@x:y\", ref: main}"), @r#"
    config/urban/simple-tax.yaml:4:16: `git@x:y` is not a repository's address (hint: write `https://...` or `ssh://...`)
    | source: {repo: "git@x:y", ref: main}
    |                ^^^^^^^^^
    "#);
    insta::assert_snapshot!(broken("{path: models/simple-tax-fortran}", "{path: x, ref: main}"), @r"
    config/urban/simple-tax.yaml:4:24: `ref` needs `repo` (hint: a folder of this repository is always taken at the manifest's own commit)
    | source: {path: x, ref: main}
    |                        ^^^^
    ");
}

#[test]
fn commands_name_known_placeholders() {
    insta::assert_snapshot!(broken("{params}\", \"{outputs}/output.csv", "{parms}\", \"{outputs}/output.csv"), @r#"
    config/urban/simple-tax.yaml:10:35: unknown placeholder `{parms}` (hint: did you mean `{params}`?)
    |   command: ["{model}/simple-tax", "{parms}", "{outputs}/output.csv"]
    |                                   ^^^^^^^^^
    "#);
    insta::assert_snapshot!(broken("\"{params}\", ", ""), @r#"
    config/urban/simple-tax.yaml:10:3: the command never sees its parameters (hint: say with `{params}` where the command takes the parameter file, or choose `params: {format: args}`)
    |   command: ["{model}/simple-tax", "{outputs}/output.csv"]
    |   ^^^^^^^
    "#);
    insta::assert_snapshot!(broken("format: csv", "format: env"), @r#"
    config/urban/simple-tax.yaml:10:35: `{params}` cannot be used here (hint: with `format: env` there is no parameter file)
    |   command: ["{model}/simple-tax", "{params}", "{outputs}/output.csv"]
    |                                   ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(broken("[[make]]", "[[\"{model}/make\"], []]"), @r#"
    config/urban/simple-tax.yaml:7:14: `{model}` cannot be used here (hint: the command runs in the copy of the source; use relative paths)
    |   process: [["{model}/make"], []]
    |              ^^^^^^^^^^^^^^
    config/urban/simple-tax.yaml:7:31: the command is empty (hint: write it as a list of words: `[make, all]`)
    |   process: [["{model}/make"], []]
    |                               ^
    "#);
    insta::assert_snapshot!(broken("[pytest, -q]", "pytest -q"), @r"
    config/urban/simple-tax.yaml:31:33: expected a list, found `pytest -q` (hint: write a list: `[...]`)
    |   - {name: unit tests, command: pytest -q, timeout: 30s}
    |                                 ^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("[pytest, -q]", "[pytest, \"{outputs}\"]"), @r#"
    config/urban/simple-tax.yaml:31:42: `{outputs}` cannot be used here (hint: the command runs in the built model's folder; only a run has parameters and outputs)
    |   - {name: unit tests, command: [pytest, "{outputs}"], timeout: 30s}
    |                                          ^^^^^^^^^^^
    "#);
}

#[test]
fn parameters_fit_their_own_bounds() {
    insta::assert_snapshot!(broken("default: 0.10", "default: 1.10"), @r"
    config/urban/simple-tax.yaml:17:36: `RATE` is 1.1, above its maximum 1 fraction
    |   RATE:     {type: float, default: 1.10, min: 0, max: 1, unit: fraction, description: tax rate}
    |                                    ^^^^
    ");
    insta::assert_snapshot!(broken("default: 0.10", "default: .nan"), @r"
    config/urban/simple-tax.yaml:17:36: `.nan` is not a finite number
    |   RATE:     {type: float, default: .nan, min: 0, max: 1, unit: fraction, description: tax rate}
    |                                    ^^^^
    ");
    insta::assert_snapshot!(broken("default: 0.10, min: 0, max: 1", "default: 0.1, min: 1, max: 0"), @r"
    config/urban/simple-tax.yaml:17:54: the maximum of `RATE` is below its minimum
    |   RATE:     {type: float, default: 0.1, min: 1, max: 0, unit: fraction, description: tax rate}
    |                                                      ^
    ");
    insta::assert_snapshot!(broken("type: int, default: 1000", "type: int, default: 1000.5"), @r"
    config/urban/simple-tax.yaml:19:34: `EXEMPT` is a whole number; 1000.5 is none
    |   EXEMPT:   {type: int, default: 1000.5, min: 0, unit: USD}
    |                                  ^^^^^^
    ");
    insta::assert_snapshot!(broken("default: none", "default: leave"), @r"
    config/urban/simple-tax.yaml:20:37: `EVENT` may not be `leave` (hint: choose one of `none`, `join`)
    |   EVENT:    {type: string, default: leave, choices: [none, join]}
    |                                     ^^^^^
    ");
    insta::assert_snapshot!(broken("choices: [none, join]", "min: 0"), @r"
    config/urban/simple-tax.yaml:20:48: `EVENT` is of type string and has no order (hint: use `choices`)
    |   EVENT:    {type: string, default: none, min: 0}
    |                                                ^
    ");
    insta::assert_snapshot!(broken("EVENT:", "2nd-event:"), @r"
    config/urban/simple-tax.yaml:20:3: `2nd-event` cannot be a parameter's name (hint: names have letters, digits and `_`, do not begin with a digit, and have at most 100 characters)
    |   2nd-event:    {type: string, default: none, choices: [none, join]}
    |   ^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("type: list, ", ""), @r"
    config/urban/simple-tax.yaml:21:3: `YEARS` has no `type` (hint: `type` must be `float`, `int`, `bool`, `string` or `list`)
    |   YEARS:    {default: [1, 2.5]}
    |   ^^^^^
    ");
    let env = BASE.replace("format: csv", "format: env").replace("\"{params}\", ", "").replace("EVENT", "LD_PRELOAD");
    insta::assert_snapshot!(parsed(&env).unwrap_err(), @r"
    config/urban/simple-tax.yaml:20:3: `LD_PRELOAD` would change how programs start (hint: choose another name, or another format than `env`)
    |   LD_PRELOAD:    {type: string, default: none, choices: [none, join]}
    |   ^^^^^^^^^^
    ");
}

#[test]
fn a_variable_is_refused_only_if_it_decides_what_is_run() {
    let env = BASE.replace("format: csv", "format: env").replace("\"{params}\", ", "");
    let named = |name: &str| parsed(&env.replace("EVENT", name));
    for name in
        ["PATH", "HOME", "PYTHONSTARTUP", "NODE_OPTIONS", "R_PROFILE_USER", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE"]
    {
        assert!(named(name).unwrap_err().contains("would change how programs start"), "{name}");
    }
    for name in ["TERM", "TEMP", "USER", "LANGUAGE", "EDITOR", "OMP_NUM_THREADS", "LC_TIME", "GIT_LAG", "R_MAX", "env"]
    {
        assert!(named(name).is_ok(), "{name}: {:?}", named(name));
    }
    let csv = BASE.replace("EVENT", "PATH");
    assert!(parsed(&csv).is_ok(), "a file may have any name in it");
}

#[test]
fn sets_and_tests_use_known_parameters() {
    insta::assert_snapshot!(broken("{STANDARD: 2000,", "{STANDRAD: 2000,"), @r"
    config/urban/simple-tax.yaml:23:14: there is no parameter `STANDRAD` (hint: did you mean `STANDARD`?)
    |   reform-a: {STANDRAD: 2000, RATE: 1e-1}
    |              ^^^^^^^^
    ");
    insta::assert_snapshot!(broken("{EXEMPT: 1e3}", "{EXEMPT: -1, RAT: 1}"), @r"
    config/urban/simple-tax.yaml:30:44: `EXEMPT` is -1, below its minimum 0 USD
    |   - {name: base case, parameters: {EXEMPT: -1, RAT: 1}, expect: {units: 20000, revenue: {value: 394000000000, rel: 1e-3}, share: 0.5}}
    |                                            ^^
    config/urban/simple-tax.yaml:30:48: there is no parameter `RAT` (hint: did you mean `RATE`?)
    |   - {name: base case, parameters: {EXEMPT: -1, RAT: 1}, expect: {units: 20000, revenue: {value: 394000000000, rel: 1e-3}, share: 0.5}}
    |                                                ^^^
    ");
    insta::assert_snapshot!(broken("default: 1500, ", ""), @r"
    config/urban/simple-tax.yaml:30:12: `STANDARD` has no default, so the test must give it
    |   - {name: base case, parameters: {EXEMPT: 1e3}, expect: {units: 20000, revenue: {value: 394000000000, rel: 1e-3}, share: 0.5}}
    |            ^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("name: unit tests", "name: base case"), @r"
    config/urban/simple-tax.yaml:31:12: another test is called `base case`
    |   - {name: base case, command: [pytest, -q], timeout: 30s}
    |            ^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("command: [pytest, -q], ", ""), @r"
    config/urban/simple-tax.yaml:31:12: the test `unit tests` expects nothing (hint: write `expect: {revenue: 1.5}` or `command: [...]`)
    |   - {name: unit tests, timeout: 30s}
    |            ^^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("command: [pytest, -q]", "command: [pytest], expect: {a: 1}"), @r"
    config/urban/simple-tax.yaml:31:24: a test is either a run (`parameters`, `expect`) or a `command` (hint: make two tests of it)
    |   - {name: unit tests, command: [pytest], expect: {a: 1}, timeout: 30s}
    |                        ^^^^^^^
    ");
    insta::assert_snapshot!(broken("rel: 1e-3", "rel: -1"), @r"
    config/urban/simple-tax.yaml:30:109: a tolerance may not be negative
    |   - {name: base case, parameters: {EXEMPT: 1e3}, expect: {units: 20000, revenue: {value: 394000000000, rel: -1}, share: 0.5}}
    |                                                                                                             ^^
    ");
    insta::assert_snapshot!(broken("share: 0.5", "share: {value: high, abs: 1}"), @r"
    config/urban/simple-tax.yaml:30:142: `high` is not a number and has no tolerance
    |   - {name: base case, parameters: {EXEMPT: 1e3}, expect: {units: 20000, revenue: {value: 394000000000, rel: 1e-3}, share: {value: high, abs: 1}}}
    |                                                                                                                                              ^
    ");
}

#[test]
fn quantities_have_units() {
    insta::assert_snapshot!(broken("512 MiB", "512"), @r"
    config/urban/simple-tax.yaml:13:34: `512` is not an amount of memory (hint: write a number with its unit: `512 MiB`, `2 GiB`)
    |   resources: {vcpu: 0.5, memory: 512, gpu: 0}
    |                                  ^^^
    ");
    insta::assert_snapshot!(broken("512 MiB", "5 KiB"), @r"
    config/urban/simple-tax.yaml:13:34: `5 KiB` is no useful amount of memory: it must lie between 1 MiB and 64 TiB
    |   resources: {vcpu: 0.5, memory: 5 KiB, gpu: 0}
    |                                  ^^^^^
    ");
    insta::assert_snapshot!(broken("1h 30m", "90"), @r"
    config/urban/simple-tax.yaml:15:12: `90` is not a duration (hint: write a number with its unit: `30s`, `10m`, `1h 30m`)
    |   timeout: 90
    |            ^^
    ");
    insta::assert_snapshot!(broken("1h 30m", "0s"), @r"
    config/urban/simple-tax.yaml:15:12: `0s` is no useful time limit: it must lie between 1 ms and 7 days
    |   timeout: 0s
    |            ^^
    ");
    insta::assert_snapshot!(broken("vcpu: 0.5", "vcpu: 0.0001"), @r"
    config/urban/simple-tax.yaml:13:21: `vcpu` is 0.0001; it must lie between 0.001 and 1024, in steps of 0.001
    |   resources: {vcpu: 0.0001, memory: 512 MiB, gpu: 0}
    |                     ^^^^^^
    ");
    insta::assert_snapshot!(broken("gpu: 0", "gpu: -1"), @r"
    config/urban/simple-tax.yaml:13:48: expected a whole number from 0, found `-1`
    |   resources: {vcpu: 0.5, memory: 512 MiB, gpu: -1}
    |                                                ^^
    ");
    insta::assert_snapshot!(broken("dockerfile: Dockerfile\n", "platforms: [linux/amd64]\n"), @r"
    config/urban/simple-tax.yaml:6:15: `context`, `args` and `platforms` belong to a `dockerfile`
    |   platforms: [linux/amd64]
    |               ^^^^^^^^^^^
    ");
    insta::assert_snapshot!(broken("dockerfile: Dockerfile\n", "dockerfile: Dockerfile\n  platforms: [amd64]\n"), @r"
    config/urban/simple-tax.yaml:7:15: `amd64` is not a platform (hint: write `linux/amd64` or `linux/arm64`)
    |   platforms: [amd64]
    |               ^^^^^
    ");
    insta::assert_snapshot!(broken("units: {min: 1}", "units: {min: 1, max: 0}"), @r"
    config/urban/simple-tax.yaml:27:56: the maximum of `units` is below its minimum
    |   columns: {revenue: {unit: USD}, units: {min: 1, max: 0}}
    |                                                        ^
    ");
}

#[test]
fn what_comes_later_is_refused_by_name() {
    insta::assert_snapshot!(broken("summary: summary.json\n", "summary: summary.json\n  reduce: {output.csv: \"SELECT 1\"}\n"), @r#"
    config/urban/simple-tax.yaml:27:3: `reduce` is not part of this release (hint: this version takes the summary from `run.summarize` or from a file that the model writes)
    |   reduce: {output.csv: "SELECT 1"}
    |   ^^^^^^
    "#);
}

const FROM_BASE: &str = "owner: urban\ntitle: simple-tax\nsource: {path: m}\nbuild: {process: []}\n\
    run: {command: [a, \"{params}\"]}\noutputs: {summary: s.csv}\nparameters_from: base.csv\n\
    parameters: {STANDARD: {type: float, min: 0, unit: USD}, NEW: {type: bool, default: true}}\n";

#[test]
fn a_base_file_gives_parameters_and_the_manifest_adds_to_them() {
    let tree = Tree([("m/base.csv", "RATE,0.1\nSTANDARD, 1500\nFLAG,.FALSE.\nYEARS:,1,2,3\n")].into());
    let manifest = Manifest::parse(PATH, FROM_BASE, &tree).unwrap();
    let shown: Vec<String> = manifest
        .parameters
        .iter()
        .map(|parameter| format!("{} {} {:?}", parameter.name, parameter.kind.as_str(), parameter.default))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    RATE float Some(Float(0.1))
    STANDARD float Some(Float(1500.0))
    FLAG bool Some(Bool(false))
    YEARS list Some(List([Int(1), Int(2), Int(3)]))
    NEW bool Some(Bool(true))
    ");
    assert_eq!(manifest.parameters[1].unit, "USD");
}

#[test]
fn faults_of_a_base_file_lie_in_that_file() {
    let tree = Tree([("m/base.csv", "RATE,0.1\nSTANDARD,-1500\nGAP,1,,3\n")].into());
    insta::assert_snapshot!(picture(&Manifest::parse(PATH, FROM_BASE, &tree).unwrap_err()), @r"
    m/base.csv:3:7: value 2 of `GAP` is empty (hint: write every value; remove commas at the end of the row)
    | GAP,1,,3
    |       ^
    ");
    let tree = Tree([("m/base.csv", "RATE,0.1\nSTANDARD,-1500\nA-B,1\nX,0x1F\n")].into());
    insta::assert_snapshot!(picture(&Manifest::parse(PATH, FROM_BASE, &tree).unwrap_err()), @r"
    m/base.csv:2:10: `STANDARD` is -1500, below its minimum 0 USD
    | STANDARD,-1500
    |          ^^^^^
    m/base.csv:3:1: `A-B` cannot be a parameter's name (hint: names have letters, digits and `_`, do not begin with a digit, and have at most 100 characters)
    | A-B,1
    | ^^^
    m/base.csv:4:3: `0x1F` is not a decimal number (hint: write `31`)
    | X,0x1F
    |   ^^^^
    ");
    insta::assert_snapshot!(picture(&Manifest::parse(PATH, FROM_BASE, &NoFiles).unwrap_err()), @r"
    config/urban/simple-tax.yaml:7:18: there is no file `m/base.csv` (hint: paths in a manifest are relative to the model's source)
    | parameters_from: base.csv
    |                  ^^^^^^^^
    ");
}

#[test]
fn execution_is_what_decides_an_outcome() {
    insta::assert_snapshot!(parsed(BASE).unwrap().execution().to_string(), @r#"{"command":["{model}/simple-tax","{params}","{outputs}/output.csv"],"files":["output.csv"],"network":"none","params":"csv","summarize":["python3","{model}/summarize.py","{outputs}"],"summary":{"file":"summary.json"}}"#);
}

/// The faults of the base manifest with `build` replaced.
fn broken_build(build: &str) -> String {
    broken("  dockerfile: Dockerfile\n  process: [[make]]\n", build)
}

#[test]
fn a_model_without_a_dockerfile_names_its_environment() {
    let text = BASE.replace("dockerfile: Dockerfile", "python: ./requirements.txt\n  debian: [make, gfortran, make]");
    let build = parsed(&text).unwrap().build;
    let environment = build.environment.clone().unwrap();
    assert_eq!(environment.python.as_deref(), Some("requirements.txt"));
    assert_eq!(environment.debian, ["gfortran", "make"]);
    assert_eq!(build.commands(), Some(&[vec!["make".to_owned()]][..]));
    let alone = parsed(&text.replace("  process: [[make]]\n", "")).unwrap().build;
    assert_eq!(alone.commands(), Some(&[][..]), "an environment may be all that is needed");

    insta::assert_snapshot!(broken_build("  dockerfile: Dockerfile\n  debian: [make]\n"), @r"
    config/urban/simple-tax.yaml:7:3: `python` and `debian` are for models without a `dockerfile` (hint: install what the model needs in the Dockerfile, or take `dockerfile` out)
    |   debian: [make]
    |   ^^^^^^
    ");
    insta::assert_snapshot!(broken_build("  debian: [make, \"vim; rm -rf /\", \"-o=x\", GCC, gcc-]\n"), @r#"
    config/urban/simple-tax.yaml:6:18: `vim; rm -rf /` is not a Debian package (hint: write the name of a Debian package, such as `gfortran`)
    |   debian: [make, "vim; rm -rf /", "-o=x", GCC, gcc-]
    |                  ^^^^^^^^^^^^^^^
    config/urban/simple-tax.yaml:6:35: `-o=x` is not a Debian package (hint: write the name of a Debian package, such as `gfortran`)
    |   debian: [make, "vim; rm -rf /", "-o=x", GCC, gcc-]
    |                                   ^^^^^^
    config/urban/simple-tax.yaml:6:43: `GCC` is not a Debian package (hint: write the name of a Debian package, such as `gfortran`)
    |   debian: [make, "vim; rm -rf /", "-o=x", GCC, gcc-]
    |                                           ^^^
    config/urban/simple-tax.yaml:6:48: `gcc-` is not a Debian package (hint: write the name of a Debian package, such as `gfortran`)
    |   debian: [make, "vim; rm -rf /", "-o=x", GCC, gcc-]
    |                                                ^^^^
    "#);
    insta::assert_snapshot!(broken_build("  python: \"a b.txt\"\n"), @r#"
    config/urban/simple-tax.yaml:6:11: `a b.txt` is no name for a requirements file (hint: use letters, digits, `.`, `_` and `-`)
    |   python: "a b.txt"
    |           ^^^^^^^^^
    "#);
    insta::assert_snapshot!(broken_build("  context: x\n"), @r"
    config/urban/simple-tax.yaml:5:1: `build` says neither `dockerfile` nor `process`, and names no environment (hint: write `dockerfile: Dockerfile`, `process: [[make]]`, or both; or name an environment, such as `python: requirements.txt` or `debian: [gfortran, make]`)
    | build:
    | ^^^^^
    ");
}

#[test]
fn what_git_is_given_can_be_nothing_but_an_address_and_a_name() {
    let source = |written: &str| {
        let text = BASE.replace("{path: models/simple-tax-fortran}", written);
        parsed(&text).map(|manifest| manifest.source)
    };
    for repo in ["https://example.org/a/b.git", "ssh://git@example.org:2222/a/b", "file:///srv/git/a"] {
        assert!(source(&format!("{{repo: \"{repo}\"}}")).is_ok(), "{repo}");
    }
    for repo in [
        "ext::sh -c x",
        "/srv/git/a",
        "--upload-pack=x",
        "https://-x/y",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@-oProxyCommand=x/y",
        "https://u:secret@example.org/x",
        "https://token@example.org/x",
        "http://example.org/x",
        "file://host/x",
        "https://example.org/a b",
    ] {
        assert!(source(&format!("{{repo: \"{repo}\"}}")).is_err(), "{repo}");
    }
    for reference in ["v1.0", "feature/x", "0123456789012345678901234567890123456789", "@home"] {
        assert!(source(&format!("{{repo: \"https://a/b\", ref: \"{reference}\"}}")).is_ok(), "{reference}");
    }
    for reference in
        ["-x", "--upload-pack=x", "a..b", "a:b", "a b", "", "/a", "a/", "a//b", "x.lock", "@{1}", "a^", "."]
    {
        assert!(source(&format!("{{repo: \"https://a/b\", ref: \"{reference}\"}}")).is_err(), "{reference}");
    }
}

#[test]
fn a_fault_in_the_source_is_told_where_the_manifest_names_it() {
    let at = |part| picture(&Manifest::fault(PATH, BASE, part, "there is no such file", None));
    insta::assert_snapshot!(at(Part::Dockerfile), @r"
    config/urban/simple-tax.yaml:6:15: there is no such file
    |   dockerfile: Dockerfile
    |               ^^^^^^^^^^
    ");
    insta::assert_snapshot!(at(Part::Source), @r"
    config/urban/simple-tax.yaml:4:16: there is no such file
    | source: {path: models/simple-tax-fortran}
    |                ^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}
