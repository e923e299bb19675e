//! What a sweep file becomes, and what is told of one that is wrong.

mod notes;
mod properties;
mod told;

use std::collections::HashSet;

use super::*;
use crate::domain::sweep::plan::{MaxFailures, RunLimits};
use crate::domain::sweep::retry::RetryRules;
use crate::domain::yaml::NoFiles;
use crate::domain::yaml::tests::picture;

const MANIFEST: &str = "owner: urban\ntitle: tax\nbuild: {process: []}\n\
    run: {command: [\"{model}/tax\", \"{params}\"]}\noutputs: {summary: s.json}\nparameters:\n\
    \x20 RATE: {type: float, default: 0.1, min: 0, max: 1, unit: fraction}\n\
    \x20 STANDARD: {type: float, default: 1500, min: 0, unit: USD}\n\
    \x20 EXEMPT: {type: int, default: 1000}\n\
    \x20 EVENT: {type: string, default: none, choices: [none, join, leave]}\n\
    \x20 YEARS: {type: list, default: [1, 2]}\n\
    sets: {a: {STANDARD: 2000, EXEMPT: 500}, b: {STANDARD: 2500}}\n";

/// A repository of one file.
struct OneFile(&'static str, String);

impl Files for OneFile {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok((path == self.0).then(|| self.1.clone()))
    }
}

pub(super) fn manifest() -> Manifest {
    Manifest::parse("modelship.yaml", MANIFEST, &NoFiles).unwrap()
}

pub(super) fn designed(body: &str, files: &dyn Files, limits: Limits) -> Result<Design, Faults> {
    let text = format!("sweep: s\nmodel: urban/tax\n{body}");
    let spec = SweepSpec::parse("sweeps/s.yaml", &text)?;
    Design::new(&spec, &manifest(), files, limits)
}

pub(super) fn design(body: &str) -> Design {
    designed(body, &NoFiles, Limits::default()).unwrap_or_else(|faults| panic!("{}", picture(&faults)))
}

fn fault(body: &str) -> String {
    picture(&designed(body, &NoFiles, Limits::default()).map(|design| design.counts()).unwrap_err())
}

/// The points, one a line: role, then the values.
fn listed(design: &Design) -> String {
    let line = |point: Point| {
        let values: Vec<String> = point.values.iter().map(ToString::to_string).collect();
        format!("{} {:?}: {}", point.index, point.role, values.join(" | "))
    };
    design.points().map(line).collect::<Vec<_>>().join("\n")
}

/// The moved values of every point of the design in order.
fn moved(design: &Design) -> Vec<String> {
    let values = |point: Point| {
        let values = design.moved_values(&point.values);
        values.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ")
    };
    design.points().map(values).collect()
}

pub(super) fn consistent(design: &Design) {
    let mut kept = 0;
    let mut baseline = 0;
    let mut seen = HashSet::new();
    for (index, point) in design.points().enumerate() {
        assert_eq!(point.index, index as u64);
        kept += u64::from(point.role.is_design());
        baseline += u64::from(point.role == Role::Baseline);
        assert!(seen.insert(format!("{:?}", point.values)), "{:?} comes twice", point.values);
    }
    assert_eq!(design.generated(), kept + design.rejected() + design.repeated());
    assert_eq!(design.runs(), kept + baseline);
}

#[test]
fn a_sweep_of_one_parameter_is_a_line_of_points_after_its_baseline() {
    let design =
        design("parameters:\n  STANDARD: {range: {start: 1600, stop: 1800, step: 100}}\nbaseline: {STANDARD: 1500}\n");
    insta::assert_snapshot!(listed(&design), @r"
    0 Baseline: 0.1 | 1500 | 1000 | none | 1,2
    1 Design: 0.1 | 1600 | 1000 | none | 1,2
    2 Design: 0.1 | 1700 | 1000 | none | 1,2
    3 Design: 0.1 | 1800 | 1000 | none | 1,2
    ");
    insta::assert_debug_snapshot!((design.name(), design.moved(), design.fixed(), design.baseline(), design.counts(), design.notes()), @r#"
    (
        "grid",
        [
            MovedParameter {
                name: "STANDARD",
                levels: 3,
                declared: "range 1600 .. 1800 step 100",
                unit: "USD",
                scale: Linear,
            },
        ],
        [],
        [
            (
                "STANDARD",
                "1500",
            ),
        ],
        PlanCounts {
            generated: 3,
            rejected: 0,
            repeated: 0,
            runs: 4,
            reused: 0,
        },
        [],
    )
    "#);
}

#[test]
fn the_first_parameter_of_the_manifest_moves_slowest_whatever_the_order_in_the_sweep() {
    let design =
        design("parameters: {EXEMPT: [1, 2], EVENT: join, RATE: [0.3, 3e-1, 0.2], YEARS: {value: [3, 4.5]}}\n");
    assert_eq!(moved(&design), ["0.3 1", "0.3 2", "0.2 1", "0.2 2"]);
    assert_eq!(design.fixed(), [("EVENT".to_owned(), "join".to_owned()), ("YEARS".to_owned(), "3,4.5".to_owned())]);
    assert_eq!(design.notes(), ["`RATE` lists 0.3 twice; it is taken once"]);
    assert_eq!(design.moved()[0].declared, "0.3, 0.2");
    consistent(&design);
}

#[test]
fn sets_are_layered_and_the_sweep_s_own_values_come_last() {
    let only = design("start_from: a\nparameters: {RATE: 0.5}\n");
    assert_eq!(listed(&only), "0 Design: 0.5 | 2000 | 500 | none | 1,2");
    let both =
        design("start_from: [a, b]\nbaseline: {RATE: 0}\nparameters: {RATE: [0.5, 0.6]}\ninclude: [{EXEMPT: 7}]\n");
    insta::assert_snapshot!(listed(&both), @r"
    0 Baseline: 0 | 2500 | 500 | none | 1,2
    1 Design: 0.5 | 2500 | 500 | none | 1,2
    2 Design: 0.6 | 2500 | 500 | none | 1,2
    3 Design: 0.1 | 2500 | 7 | none | 1,2
    ");
    assert_eq!(both.baseline(), [("RATE".to_owned(), "0".to_owned()), ("EXEMPT".to_owned(), "500".to_owned())]);
}

#[test]
fn zipped_parameters_move_together() {
    let design = design(
        "parameters: {RATE: [0.1, 0.2, 0.1, 0.1], STANDARD: [1, 2], EXEMPT: {choice: [1, 1, 2, 1]}}\nzip: [[EXEMPT, RATE]]\n",
    );
    assert_eq!(moved(&design), ["0.1 1 1", "0.1 2 1", "0.2 1 1", "0.2 2 1", "0.1 1 2", "0.1 2 2"]);
    insta::assert_debug_snapshot!((design.moved(), design.notes()), @r#"
    (
        [
            MovedParameter {
                name: "RATE",
                levels: 2,
                declared: "0.1, 0.2, 0.1, together with EXEMPT",
                unit: "fraction",
                scale: Linear,
            },
            MovedParameter {
                name: "STANDARD",
                levels: 2,
                declared: "1, 2",
                unit: "USD",
                scale: Linear,
            },
            MovedParameter {
                name: "EXEMPT",
                levels: 2,
                declared: "1, 1, 2, together with RATE",
                unit: "",
                scale: Linear,
            },
        ],
        [
            "`RATE` and `EXEMPT` take 1 of their steps twice; each is taken once",
        ],
    )
    "#);
    consistent(&design);
}

#[test]
fn where_and_exclude_reject_and_include_adds() {
    let design = design(
        "parameters: {RATE: [0.1, 0.2, 0.3], EXEMPT: [1000, 2000]}\nwhere: RATE * EXEMPT < 500\n\
         exclude: [{RATE: 0.1, EXEMPT: 2000}, {EVENT: join}]\n\
         include: [{RATE: 0.3, EXEMPT: 2000}, {RATE: 0.1, EXEMPT: 1000}, {EVENT: leave}, {EVENT: leave}]\n",
    );
    assert_eq!(
        moved(&design),
        ["0.1 1000 none", "0.2 1000 none", "0.2 2000 none", "0.3 1000 none", "0.3 2000 none", "0.1 1000 leave"]
    );
    assert_eq!((design.generated(), design.rejected(), design.repeated(), design.runs()), (10, 2, 2, 6));
    assert_eq!(design.notes(), ["the `exclude` entry in line 5 matches no point"]);
    assert_eq!(design.moved()[2].declared, "given by `include`");
    consistent(&design);
}

#[test]
fn a_baseline_that_is_a_point_of_the_design_runs_once_and_counts_as_both() {
    let grid = design("parameters: {RATE: {range: {start: 0.1, stop: 0.3, step: 0.1}}}\nbaseline: {RATE: 0.2}\n");
    insta::assert_snapshot!(listed(&grid), @r"
    0 Both: 0.2 | 1500 | 1000 | none | 1,2
    1 Design: 0.1 | 1500 | 1000 | none | 1,2
    2 Design: 0.3 | 1500 | 1000 | none | 1,2
    ");
    assert_eq!(grid.runs(), 3);
    assert_eq!(grid.notes(), ["the baseline is also a point of the design; it runs once"]);
    consistent(&grid);
    let rejected = design("parameters: {RATE: [0.1, 0.2]}\nwhere: RATE > 0.15\nbaseline: {RATE: 0.1}\n");
    assert_eq!(rejected.points().map(|point| point.role).collect::<Vec<_>>(), [Role::Baseline, Role::Design]);
    let added = design("parameters: {RATE: [0.1, 0.2]}\ninclude: [{RATE: 0.7}]\nbaseline: {RATE: 0.7}\n");
    assert_eq!(added.points().map(|point| point.role).collect::<Vec<_>>(), [Role::Both, Role::Design, Role::Design]);
    consistent(&added);
}

#[test]
fn points_can_be_listed() {
    let listed =
        design("design: {points: [{RATE: 0.2}, {EXEMPT: 5, YEARS: [7]}, {RATE: 2e-1}]}\nparameters: {STANDARD: 1}\n");
    insta::assert_snapshot!(super::tests::listed(&listed), @r"
    0 Design: 0.2 | 1 | 1000 | none | 1,2
    1 Design: 0.1 | 1 | 5 | none | 7
    ");
    assert_eq!((listed.name(), listed.generated(), listed.repeated()), ("points", 3, 1));
    let moved: Vec<(String, u64)> = listed.moved().into_iter().map(|moved| (moved.name, moved.levels)).collect();
    assert_eq!(moved, [("RATE".to_owned(), 2), ("EXEMPT".to_owned(), 2), ("YEARS".to_owned(), 2)]);
    assert_eq!(listed.fixed(), [("STANDARD".to_owned(), "1".to_owned())]);
    consistent(&listed);
}

#[test]
fn points_can_be_the_rows_of_a_file_beside_the_sweep() {
    let file = OneFile(
        "sweeps/points.csv",
        "EXEMPT, RATE ,EVENT\r\n1000,.2,join\n1e3,0.2,join\n5,0,none\n6,1,none\n".to_owned(),
    );
    let body = "design: {points: points.csv}\nwhere: EXEMPT != 6\nbaseline: {EXEMPT: 5, RATE: 0}\ninclude: [{EXEMPT: 5, RATE: 0}]\n";
    let design = designed(body, &file, Limits::default()).unwrap();
    insta::assert_snapshot!(listed(&design), @r"
    0 Both: 0 | 1500 | 5 | none | 1,2
    1 Design: 0.2 | 1500 | 1000 | join | 1,2
    ");
    assert_eq!((design.generated(), design.rejected(), design.repeated(), design.runs()), (5, 1, 2, 2));
    assert_eq!(design.moved()[0].declared, "given by points.csv");
    consistent(&design);
}

#[test]
fn faults_of_a_points_file_lie_in_that_file() {
    let told = |text: &str| {
        let file = OneFile("sweeps/points.csv", text.to_owned());
        picture(
            &designed("design: {points: points.csv}\n", &file, Limits::default())
                .map(|design| design.counts())
                .unwrap_err(),
        )
    };
    insta::assert_snapshot!(told("RATE,EXMPT,RATE\n0.1,1,1\n"), @r"
    sweeps/points.csv:1:6: there is no parameter `EXMPT` (hint: did you mean `EXEMPT`?)
    | RATE,EXMPT,RATE
    |      ^^^^^
    sweeps/points.csv:1:12: the column `RATE` is there twice
    | RATE,EXMPT,RATE
    |            ^^^^
    ");
    insta::assert_snapshot!(told("RATE,EXEMPT\n0.1,1.5\n2,1\n0.1\n,3\n0.1,07\n"), @r"
    sweeps/points.csv:2:1: `EXEMPT` is a whole number; 1.5 is none
    | 0.1,1.5
    | ^^^^^^^
    sweeps/points.csv:3:1: `RATE` is 2, above its maximum 1 fraction
    | 2,1
    | ^^^
    sweeps/points.csv:4:1: the row has 1 values, the header has 2 names
    | 0.1
    | ^^^
    sweeps/points.csv:5:1: the value of `RATE` is empty
    | ,3
    | ^^
    sweeps/points.csv:6:1: `07` begins with a zero (hint: write `7`; some readers take a leading zero for an octal number)
    | 0.1,07
    | ^^^^^^
    ");
    insta::assert_snapshot!(told("RATE\n"), @r"
    sweeps/points.csv:1:1: the file has a header and no points
    | RATE
    | ^
    ");
    insta::assert_snapshot!(told("YEARS\n1\n"), @r"
    sweeps/points.csv:2:1: `1` is no value for `YEARS`, which is of type list
    | 1
    | ^
    ");
    insta::assert_snapshot!(fault("design: {points: missing.csv}\n"), @r"
    sweeps/s.yaml:3:18: there is no file `sweeps/missing.csv` (hint: the path is relative to the sweep file)
    | design: {points: missing.csv}
    |                  ^^^^^^^^^^^
    ");
    insta::assert_snapshot!(fault("design: {points: ../../etc/passwd}\n"), @r"
    sweeps/s.yaml:3:18: the path `../../etc/passwd` may not go up with `..`
    | design: {points: ../../etc/passwd}
    |                  ^^^^^^^^^^^^^^^^
    ");
    let many = OneFile("sweeps/points.csv", format!("EXEMPT\n{}", "1\n".repeat(11)));
    insta::assert_snapshot!(picture(&designed("design: {points: points.csv}\n", &many, Limits { max_runs: 10, whose: "the policy" }).unwrap_err()), @r"
    sweeps/s.yaml:3:18: the design has 11 points; the policy allows 10
    | design: {points: points.csv}
    |                  ^^^^^^^^^^
    ");
}

#[test]
fn a_design_is_counted_before_it_is_expanded() {
    insta::assert_snapshot!(fault("parameters:\n  STANDARD: {range: {start: 1, stop: 1e6, step: 1}}\n  RATE: {range: {start: 0, stop: 0.999999, num: 1000000}}\n"), @r"
    sweeps/s.yaml:5:3: the grid has 1,000,000,000,000 points; this instance allows 1,000,000 (hint: it multiplies 1,000,000 of `RATE`, 1,000,000 of `STANDARD`)
    |   RATE: {range: {start: 0, stop: 0.999999, num: 1000000}}
    |   ^^^^
    ");
    let huge = "{range: {start: 1, stop: 1e18, step: 1}}";
    let body = format!(
        "parameters:\n  EXEMPT: {huge}\n  STANDARD: {huge}\n  RATE: {{range: {{start: 0, stop: 1, num: 1000000000000}}}}\n"
    );
    insta::assert_snapshot!(fault(&body), @r"
    sweeps/s.yaml:6:3: the grid has more than 10^38 points; this instance allows 1,000,000 (hint: it multiplies 1,000,000,000,000 of `RATE`, 1,000,000,000,000,000,000 of `STANDARD`, 1,000,000,000,000,000,000 of `EXEMPT`)
    |   RATE: {range: {start: 0, stop: 1, num: 1000000000000}}
    |   ^^^^
    ");
    let limits = Limits { max_runs: 3, ..Limits::default() };
    assert!(designed("parameters: {RATE: [0, 1], EXEMPT: [1, 2]}\n", &NoFiles, limits).is_err());
    assert!(designed("parameters: {RATE: [0, 1, 0.5]}\n", &NoFiles, limits).is_ok());
}

#[test]
fn every_fault_of_a_sweep_is_told_with_its_place() {
    insta::assert_snapshot!(
        fault("start_from: [c, a]\nparameters:\n  RAET: [1]\n  RATE: [0.1, 1.5]\n  EVENT: [none, jion]\nbaseline: {EXEMPT: 1.5}\ninclude: [{A: 1}, {}]\nexclude: [{RATE: -1}]\nwhere: RATE > LIMIT\n"),
        @r"
        sweeps/s.yaml:3:14: the manifest has no set `c` (hint: known here: `a`, `b`)
        | start_from: [c, a]
        |              ^
        sweeps/s.yaml:5:3: there is no parameter `RAET` (hint: did you mean `RATE`?)
        |   RAET: [1]
        |   ^^^^
        sweeps/s.yaml:6:15: `RATE` is 1.5, above its maximum 1 fraction
        |   RATE: [0.1, 1.5]
        |               ^^^
        sweeps/s.yaml:7:17: `EVENT` may not be `jion` (hint: choose one of `none`, `join`, `leave`)
        |   EVENT: [none, jion]
        |                 ^^^^
        sweeps/s.yaml:8:20: `EXEMPT` is a whole number; 1.5 is none
        | baseline: {EXEMPT: 1.5}
        |                    ^^^
        sweeps/s.yaml:9:12: there is no parameter `A` (hint: known here: `RATE`, `STANDARD`, `EXEMPT`, `EVENT`, `YEARS`)
        | include: [{A: 1}, {}]
        |            ^
        sweeps/s.yaml:9:19: the entry is empty
        | include: [{A: 1}, {}]
        |                   ^
        sweeps/s.yaml:10:18: `RATE` is -1, below its minimum 0 fraction
        | exclude: [{RATE: -1}]
        |                  ^^
        sweeps/s.yaml:11:15: there is no parameter `LIMIT` (hint: known here: `RATE`, `STANDARD`, `EXEMPT`, `EVENT`, `YEARS`)
        | where: RATE > LIMIT
        |               ^^^^^
        "
    );
    insta::assert_snapshot!(fault("parameters: {RATE: [0, 1]}\nwhere: RATE > 2\n"), @r"
    sweeps/s.yaml:4:8: all 2 points are rejected (hint: loosen `where` or `exclude`)
    | where: RATE > 2
    |        ^^^^^^^^
    ");
    insta::assert_snapshot!(fault("parameters: {RATE: [0, 1]}\nexclude: [{RATE: 0}, {RATE: 1}]\n"), @r"
    sweeps/s.yaml:4:11: all 2 points are rejected (hint: loosen `where` or `exclude`)
    | exclude: [{RATE: 0}, {RATE: 1}]
    |           ^
    ");
    insta::assert_snapshot!(fault("parameters: {RATE: [0, 1]}\nwhere: EVENT\n"), @r"
    sweeps/s.yaml:4:8: `where` must be true or false; this is a text (hint: compare it with something: `A + B <= 1`)
    | where: EVENT
    |        ^^^^^
    ");
    insta::assert_snapshot!(fault("parameters: {RATE: [0, 1], EXEMPT: [1, 2, 3], STANDARD: 1}\nzip: [[RATE, EXEMPT]]\n"), @r"
    sweeps/s.yaml:4:7: the numbers of levels differ: `RATE` has 2, `EXEMPT` has 3 (hint: parameters that move together need as many levels each)
    | zip: [[RATE, EXEMPT]]
    |       ^
    ");
    insta::assert_snapshot!(fault("parameters: {RATE: [0, 1], EXEMPT: [1, 2], STANDARD: 1}\nzip: [[RATE, STANDARD], [EXEMPT], [RATE, NOPE]]\n"), @r"
    sweeps/s.yaml:4:14: `STANDARD` has no levels to zip (hint: give `STANDARD` a list under `parameters`)
    | zip: [[RATE, STANDARD], [EXEMPT], [RATE, NOPE]]
    |              ^^^^^^^^
    sweeps/s.yaml:4:36: `RATE` is zipped twice
    | zip: [[RATE, STANDARD], [EXEMPT], [RATE, NOPE]]
    |                                    ^^^^
    sweeps/s.yaml:4:42: there is no parameter `NOPE` (hint: known here: `RATE`, `STANDARD`, `EXEMPT`, `EVENT`, `YEARS`)
    | zip: [[RATE, STANDARD], [EXEMPT], [RATE, NOPE]]
    |                                          ^^^^
    ");
    insta::assert_snapshot!(fault("design: {points: [{RATE: 0.5}, {RATE: 7}]}\nparameters: {EXEMPT: [1, 2], RATE: 1}\n"), @r"
    sweeps/s.yaml:4:14: design `points` lists its points; `EXEMPT` cannot have levels too (hint: give `EXEMPT` one value here, or give it in the points)
    | parameters: {EXEMPT: [1, 2], RATE: 1}
    |              ^^^^^^
    ");
    let long = format!(
        "parameters: {{STANDARD: {{range: {{start: 1, stop: 1e6, step: 1}}}}}}\nwhere: {} > 0\n",
        ["RATE"; 55].join("+")
    );
    assert!(fault(&long).contains("too long for 1,000,000 points"));
    insta::assert_snapshot!(fault("design: {points: []}\n"), @r"
    sweeps/s.yaml:3:10: the list of points is empty
    | design: {points: []}
    |          ^^^^^^
    ");
}

#[test]
fn a_parameter_without_a_default_needs_a_value() {
    let text =
        MANIFEST.replace("EXEMPT: {type: int, default: 1000}", "EXEMPT: {type: int}").replace(", EXEMPT: 500", "");
    let manifest = Manifest::parse("modelship.yaml", &text, &NoFiles).unwrap();
    let told = |body: &str| {
        let spec = SweepSpec::parse("sweeps/s.yaml", &format!("sweep: s\nmodel: urban/tax\n{body}")).unwrap();
        let design = Design::new(&spec, &manifest, &NoFiles, Limits::default());
        design.map(|design| listed(&design)).unwrap_or_else(|faults| picture(&faults))
    };
    insta::assert_snapshot!(told("parameters: {RATE: [0, 1]}\n"), @r"
    sweeps/s.yaml:1:8: `EXEMPT` has neither a default nor a value (hint: give it under `parameters`)
    | sweep: s
    |        ^
    ");
    insta::assert_snapshot!(told("parameters: {EXEMPT: [1, 2]}\nbaseline: {RATE: 0}\ninclude: [{RATE: 0}]\n"), @r"
    sweeps/s.yaml:4:1: `EXEMPT` needs a value here: it has no default
    | baseline: {RATE: 0}
    | ^^^^^^^^
    sweeps/s.yaml:5:11: `EXEMPT` needs a value here: it has no default
    | include: [{RATE: 0}]
    |           ^
    ");
    insta::assert_snapshot!(told("design: {points: [{EXEMPT: 1}, {RATE: 1}]}\n"), @r"
    sweeps/s.yaml:3:32: the point needs a value for `EXEMPT`, which has no default
    | design: {points: [{EXEMPT: 1}, {RATE: 1}]}
    |                                ^
    ");
    insta::assert_snapshot!(told("design: {points: [{EXEMPT: 1}, {EXEMPT: 2, RATE: 1}]}\n"), @r"
    0 Design: 0.1 | 1500 | 1 | none | 1,2
    1 Design: 1 | 1500 | 2 | none | 1,2
    ");
}

#[test]
fn a_sweep_of_another_model_is_refused() {
    let spec = SweepSpec::parse("sweeps/s.yaml", "sweep: s\nmodel: urban/other\n").unwrap();
    insta::assert_snapshot!(picture(&Design::new(&spec, &manifest(), &NoFiles, Limits::default()).unwrap_err()), @r"
    sweeps/s.yaml:2:8: the sweep is of `urban/other`, the manifest of `urban/tax`
    | model: urban/other
    |        ^^^^^^^^^^^
    ");
}

#[test]
fn a_sweep_file_says_its_name_its_model_and_its_limits() {
    let text = "sweep: s\nmodel: urban/tax@pr-3\noutputs: [revenue]\nrun: {max_parallel: 20, budget: 2.50 USD, max_failures: 5%}\n";
    let spec = SweepSpec::parse("sweeps/s.yaml", text).unwrap();
    assert_eq!(spec.request().reference.as_deref(), Some("pr-3"));
    let limits = RunLimits {
        max_parallel: Some(20),
        max_failures: Some(MaxFailures::Share(0.05)),
        budget_usd: Some(2.5),
        ..RunLimits::default()
    };
    assert_eq!(spec.limits(), limits);
    assert_eq!(spec.outputs, ["revenue"]);
    let text = "sweep: s\nmodel: urban/tax\nrun: {canary: 3, pack: 4m, retry: {interruption: 5, oom: {times: 2, memory: x1.5}, error: 1}}\n";
    let limits = SweepSpec::parse("sweeps/s.yaml", text).unwrap().limits();
    assert_eq!((limits.canary, limits.pack_ms), (Some(3), Some(240_000)));
    assert_eq!(limits.retry, RetryRules { interruption: 5, oom: 2, oom_factor: 1.5, timeout: 0, error: 1 });
    let counted = SweepSpec::parse("sweeps/s.yaml", "sweep: s\nmodel: urban/tax\nrun: {max_failures: 3}\n").unwrap();
    assert_eq!(counted.limits().max_failures, Some(MaxFailures::Count(3)));
}

#[test]
fn what_a_sweep_file_may_not_say_is_refused_by_name() {
    let told = |text: &str| picture(&SweepSpec::parse("sweeps/s.yaml", text).map(|spec| spec.name).unwrap_err());
    insta::assert_snapshot!(told("sweep: t\nmodel: tax@production\n"), @r"
    sweeps/s.yaml:1:8: the sweep is called `t`, its file `s.yaml` (hint: write `sweep: s`, or rename the file to `sweeps/t.yaml`)
    | sweep: t
    |        ^
    sweeps/s.yaml:2:8: model name `tax` must be written `owner/title` (hint: write `owner/title` or `owner/title@production`)
    | model: tax@production
    |        ^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(told("sweep: s\nmodel: urban/tax@\nparameters: {A: ~}\nwhere: [A]\n"), @r#"
    sweeps/s.yaml:3:14: expected a value, found nothing
    | parameters: {A: ~}
    |              ^
    sweeps/s.yaml:4:1: expected an expression in quotes, for instance `"A + B <= 1"`, found a list
    | where: [A]
    | ^^^^^
    "#);
    insta::assert_snapshot!(
        told("sweep: s\nmodel: urban/tax\nscenarios: {A: [1]}\nreplicates: 5\nscore: []\ncollate: []\nplots: []\ncompare: x\nsteps: []\nparamters: {}\n"),
        @r"
        sweeps/s.yaml:3:1: `scenarios` is not part of this release (hint: write one sweep for each scenario, or add the scenario's parameters as a list)
        | scenarios: {A: [1]}
        | ^^^^^^^^^
        sweeps/s.yaml:4:1: `replicates` is not part of this release (hint: add the model's own seed as a parameter with a list of values)
        | replicates: 5
        | ^^^^^^^^^^
        sweeps/s.yaml:5:1: `score` is not part of this release (hint: every output is in the analysis table; score it there)
        | score: []
        | ^^^^^
        sweeps/s.yaml:6:1: `collate` is not part of this release (hint: the analysis is always written as CSV and Parquet)
        | collate: []
        | ^^^^^^^
        sweeps/s.yaml:7:1: `plots` is not part of this release (hint: one chart is drawn when one parameter moves)
        | plots: []
        | ^^^^^
        sweeps/s.yaml:8:1: `compare` is not part of this release (hint: compare two sweeps by their analysis tables)
        | compare: x
        | ^^^^^^^
        sweeps/s.yaml:9:1: `steps` is not part of this release (hint: chain the steps in the model's own command)
        | steps: []
        | ^^^^^
        sweeps/s.yaml:10:1: unknown key `paramters` (hint: did you mean `parameters`?)
        | paramters: {}
        | ^^^^^^^^^
        "
    );
    insta::assert_snapshot!(
        told("sweep: s\nmodel: urban/tax\nrun: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}\n"),
        @r"
    sweeps/s.yaml:3:7: `executor` is not part of this release (hint: the instance's settings choose the executor)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |       ^^^^^^^^
    sweeps/s.yaml:3:22: `timeout` is not part of this release (hint: the manifest's `run.timeout` decides)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                      ^^^^^^^
    sweeps/s.yaml:3:41: `4` is not a duration (hint: write how long a job should last: `4m`)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                         ^
    sweeps/s.yaml:3:65: `oom` is 11; it must be at most 10
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                 ^^
    sweeps/s.yaml:3:77: `2` is no factor (hint: write what it is multiplied with: `x2`)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                             ^
    sweeps/s.yaml:3:88: `error` is 99; it must be at most 10
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                                        ^^
    sweeps/s.yaml:3:101: `canary` is 101; it must be at most 100
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                                                     ^^^
    sweeps/s.yaml:3:106: unknown key `max_paralel` (hint: did you mean `max_parallel`?)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                                                          ^^^^^^^^^^^
    sweeps/s.yaml:3:130: `2` is not an amount of money (hint: write the amount and its currency: `2 USD`)
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                                                                                  ^
    sweeps/s.yaml:3:147: `many` is not a limit on failures (hint: write a number of runs (`3`) or a share of them (`5%`))
    | run: {executor: aws, timeout: 3m, pack: 4, retry: {oom: {times: 11, memory: 2}, error: 99}, canary: 101, max_paralel: 0, budget: 2, max_failures: many}
    |                                                                                                                                                   ^^^^
    "
    );
    insta::assert_snapshot!(told("sweep: s\nmodel: urban/tax\nrun: {max_parallel: 0, budget: 2, max_failures: 150%}\n"), @r"
    sweeps/s.yaml:3:21: `max_parallel` must be at least 1 and fit into 32 bits
    | run: {max_parallel: 0, budget: 2, max_failures: 150%}
    |                     ^
    sweeps/s.yaml:3:32: `2` is not an amount of money (hint: write the amount and its currency: `2 USD`)
    | run: {max_parallel: 0, budget: 2, max_failures: 150%}
    |                                ^
    sweeps/s.yaml:3:49: `150%` is not a limit on failures (hint: write a number of runs (`3`) or a share of them (`5%`))
    | run: {max_parallel: 0, budget: 2, max_failures: 150%}
    |                                                 ^^^^
    ");
    for design in
        ["lhs", "{lhs: {samples: 3}}", "adaptive-grid", "points", "grd", "{grid: 3}", "[grid]", "{grid: {}, points: x}"]
    {
        let told = told(&format!("sweep: s\nmodel: urban/tax\ndesign: {design}\n"));
        assert!(told.starts_with("sweeps/s.yaml:3:"), "{told}");
    }
    insta::assert_snapshot!(told("sweep: s\nmodel: urban/tax\ndesign: {lhs: {samples: 10}}\n"), @r"
    sweeps/s.yaml:3:10: design `lhs` is not part of this release; use `grid` or `points`
    | design: {lhs: {samples: 10}}
    |          ^^^
    ");
    insta::assert_snapshot!(told("sweep: s\nmodel: urban/tax\nparameters: {A: {normal: {mean: 0, sd: 1}}, B: {range: {start: 1}, choice: []}}\n"), @r"
    sweeps/s.yaml:3:18: generator `normal` is not part of this release (hint: use `range`, `logrange`, `choice` or a list)
    | parameters: {A: {normal: {mean: 0, sd: 1}}, B: {range: {start: 1}, choice: []}}
    |                  ^^^^^^
    sweeps/s.yaml:3:45: expected a generator such as `{range: {start: 0, stop: 1, num: 11}}`, found a mapping with 2 keys (hint: keep one of `range`, `choice`)
    | parameters: {A: {normal: {mean: 0, sd: 1}}, B: {range: {start: 1}, choice: []}}
    |                                             ^
    ");
}
