//! Analyses as people and their tools find them: real files, read back by the libraries that others use.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod page;

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use fs_err::File;
use modelship::analysis::{AnalysisBuilder, AnalysisSpec, Discovery, Origin, Row, Side, compare};
use modelship::domain::ids::{Digest, ModelName, RunId, SweepId, VersionId};
use modelship::domain::manifest::Column;
use modelship::domain::parameters::{Parameter, ParameterType, Value};
use modelship::domain::report::Links;
use modelship::domain::sweep::analysis::{AnalysisSummary, Warning};
use modelship::domain::sweep::plan::{MovedParameter, Scale};
use modelship::domain::sweep::points::Role;
use modelship::domain::sweep::record::{FailureClass, Outcome, OutputValue, Record};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A run of the table: its point and what it left.
#[derive(Clone)]
struct Run {
    role: Role,
    id: RunId,
    values: Vec<Value>,
    record: Option<Record>,
}

fn parameter(name: &str, kind: ParameterType, unit: &str) -> Parameter {
    Parameter { unit: unit.to_owned(), ..Parameter::new(name, kind) }
}

fn spec(parameters: Vec<Parameter>, moved: &[&str], outputs: &[&str]) -> AnalysisSpec {
    AnalysisSpec {
        parameters,
        moved: moved.iter().map(|name| moves(name, Scale::Linear)).collect(),
        fixed: Vec::new(),
        baseline: vec![("STANDARD".to_owned(), "1500".to_owned())],
        outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        columns: BTreeMap::from([("revenue".to_owned(), Column { unit: "USD".to_owned(), ..Column::default() })]),
        file_checks: BTreeMap::new(),
        place: "sweeps/standard-deduction-01".to_owned(),
        origin: Origin {
            sweep: SweepId::parse("standard-deduction-01").unwrap(),
            model: ModelName::parse("urban/simple-tax").unwrap(),
            version: VersionId::parse("0123456789abcdef").unwrap(),
            plan: Digest::of("plan"),
        },
        links: Links::default(),
    }
}

fn moves(name: &str, scale: Scale) -> MovedParameter {
    let (name, declared) = (name.to_owned(), "range 1600 .. 1900 step 100".to_owned());
    MovedParameter { name, levels: 4, declared, unit: String::new(), scale }
}

fn run(role: Role, values: Vec<Value>, outcome: Option<Outcome>, outputs: &[(&str, OutputValue)]) -> Run {
    let id = RunId::from_hash(Digest::of(format!("{role:?}{values:?}")).hex().as_bytes()[..32].as_ref());
    let record = outcome.map(|outcome| Record {
        run: id.clone(),
        outcome,
        outputs: outputs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        files: BTreeMap::new(),
        rows: BTreeMap::new(),
        started_ms: 0,
        wall_ms: 1_250,
        cpu_ms: 900,
        peak_memory: 12_500_000,
        exit_code: Some(0),
        signal: None,
    });
    Run { role, id, values, record }
}

fn timeout() -> Outcome {
    Outcome::Failed { class: FailureClass::Timeout, message: "took too long".to_owned(), log_tail: String::new() }
}

struct Written {
    summary: AnalysisSummary,
    report: String,
    csv: String,
    batches: Vec<RecordBatch>,
    metadata: Vec<(String, String)>,
    row_groups: usize,
    units: BTreeMap<String, String>,
}

/// Writes both files and reads them back.
fn write(spec: AnalysisSpec, runs: &[Run]) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let (csv, parquet) = (folder.path().join("analysis.csv"), folder.path().join("analysis.parquet"));
    let mut discovery = Discovery::new(&spec);
    for record in runs.iter().filter_map(|run| run.record.as_ref()) {
        discovery.see(record);
    }
    let mut builder =
        AnalysisBuilder::new(spec, discovery.finish(), File::create(&csv).unwrap(), File::create(&parquet).unwrap())
            .unwrap();
    for run in runs {
        let row = Row { role: run.role, run: &run.id, values: &run.values, record: run.record.as_ref() };
        builder.push(row).unwrap();
    }
    let (summary, files) = builder.finish().unwrap();
    let report = files.report;
    assert_eq!(summary.files[0].bytes, report.len() as u64);
    assert_eq!(summary.files[1].bytes, fs_err::metadata(&csv).unwrap().len());
    assert_eq!(summary.files[2].bytes, fs_err::metadata(&parquet).unwrap().len());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&parquet).unwrap().into_parts().0).unwrap();
    let mut metadata: Vec<(String, String)> = reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
        .filter(|(key, _)| key.starts_with("modelship."))
        .collect();
    let row_groups = reader.metadata().num_row_groups();
    let (name, columns) = metadata.pop().unwrap();
    assert_eq!(name, "modelship.columns");
    let columns: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&columns).unwrap();
    let units = columns.into_iter().filter_map(|(name, mut about)| Some((name, about.remove("unit")?))).collect();
    let batches = reader.build().unwrap().map(Result::unwrap).collect();
    Written { summary, report, csv: fs_err::read_to_string(&csv).unwrap(), batches, metadata, row_groups, units }
}

/// Three points and a baseline of a small tax model; one point failed.
fn tax_runs() -> Vec<Run> {
    let revenue = |value: f64| [("revenue", OutputValue::Float(value)), ("units", OutputValue::Int(20))];
    let at = |standard: f64| vec![Value::Float(0.1), Value::Float(standard), Value::Text("=A1".to_owned())];
    vec![
        run(Role::Baseline, at(1500.0), Some(Outcome::Succeeded), &revenue(1000.5)),
        run(Role::Design, at(1600.0), Some(Outcome::Succeeded), &revenue(990.25)),
        run(Role::Design, at(1700.0), Some(timeout()), &revenue(-1.0)),
        run(Role::Design, at(1800.0), None, &[]),
        run(Role::Design, at(1900.0), Some(Outcome::Succeeded), &revenue(980.0)),
    ]
}

fn tax_spec() -> AnalysisSpec {
    let parameters = vec![
        parameter("RATE", ParameterType::Float, "fraction"),
        parameter("STANDARD", ParameterType::Float, "USD"),
        parameter("NOTE", ParameterType::String, ""),
    ];
    spec(parameters, &["STANDARD"], &[])
}

#[test]
fn the_table_joins_inputs_and_outputs() {
    let mut written = write(tax_spec(), &tax_runs());
    let redacted = written.csv.lines().map(|line| match line.split_once(',') {
        Some((id, rest)) if id.len() == 64 => format!("[run],{rest}\n"),
        _ => format!("{line}\n"),
    });
    insta::assert_snapshot!(redacted.collect::<String>(), @r"
    run_id,role,status,failure,STANDARD,RATE,NOTE,revenue,units,revenue_difference,units_difference,wall_seconds,cpu_seconds,peak_memory_mb
    [run],baseline,succeeded,,1500,0.1,'=A1,1000.5,20,0,0,1.25,0.9,12.5
    [run],design,succeeded,,1600,0.1,'=A1,990.25,20,-10.25,0,1.25,0.9,12.5
    [run],design,failed,timeout,1700,0.1,'=A1,,,,,1.25,0.9,12.5
    [run],design,missing,,1800,0.1,'=A1,,,,,,,
    [run],design,succeeded,,1900,0.1,'=A1,980,20,-20.5,0,1.25,0.9,12.5
    ");
    // Sizes depend on the compression library.
    written.summary.files.iter_mut().for_each(|file| file.bytes = 0);
    insta::assert_json_snapshot!(written.summary, @r#"
    {
      "rows": 5,
      "missing": 2,
      "statistics": [
        {
          "output": "revenue",
          "unit": "USD",
          "count": 2,
          "min": 980.0,
          "mean": 985.125,
          "deviation": 7.247844507162112,
          "max": 990.25,
          "baseline": 1000.5
        },
        {
          "output": "units",
          "unit": "",
          "count": 2,
          "min": 20.0,
          "mean": 20.0,
          "deviation": 0.0,
          "max": 20.0,
          "baseline": 20.0
        }
      ],
      "chart": {
        "parameter": "STANDARD",
        "parameter_unit": "USD",
        "output": "revenue",
        "output_unit": "USD",
        "points": [
          [
            1600.0,
            990.25
          ],
          [
            1900.0,
            980.0
          ]
        ]
      },
      "head_columns": [
        "STANDARD",
        "revenue",
        "units",
        "revenue_difference"
      ],
      "head_rows": [
        [
          "1500",
          "1,000.5",
          "20",
          "0"
        ],
        [
          "1600",
          "990.25",
          "20",
          "-10.25"
        ],
        [
          "1700",
          "timeout",
          "timeout",
          ""
        ],
        [
          "1800",
          "no result",
          "no result",
          ""
        ],
        [
          "1900",
          "980",
          "20",
          "-20.5"
        ]
      ],
      "files": [
        {
          "name": "report.html",
          "key": "sweeps/standard-deduction-01/report.html",
          "bytes": 0
        },
        {
          "name": "analysis.csv",
          "key": "sweeps/standard-deduction-01/analysis.csv",
          "bytes": 0
        },
        {
          "name": "analysis.parquet",
          "key": "sweeps/standard-deduction-01/analysis.parquet",
          "bytes": 0
        }
      ],
      "warnings": [
        {
          "warning": "constant",
          "output": "units",
          "value": 20,
          "points": 2
        }
      ],
      "notes": []
    }
    "#);
}

#[test]
fn parquet_holds_the_same_table_with_types_units_and_origin() {
    let written = write(tax_spec(), &tax_runs());
    let [batch] = &written.batches[..] else { panic!("one batch") };
    let schema: Vec<String> =
        batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    insta::assert_snapshot!(schema.join("\n"), @r"
    run_id Utf8
    role Utf8
    status Utf8
    failure Utf8
    STANDARD Float64
    RATE Float64
    NOTE Utf8
    revenue Float64
    units Int64
    revenue_difference Float64
    units_difference Float64
    wall_seconds Float64
    cpu_seconds Float64
    peak_memory_mb Float64
    ");
    let floats = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
    let revenue = floats("revenue");
    assert_eq!(revenue.iter().collect::<Vec<_>>(), [Some(1000.5), Some(990.25), None, None, Some(980.0)]);
    let differences = floats("revenue_difference");
    assert_eq!(differences.iter().collect::<Vec<_>>(), [Some(0.0), Some(-10.25), None, None, Some(-20.5)]);
    let units = batch.column_by_name("units").unwrap().as_primitive::<Int64Type>();
    assert_eq!(units.iter().collect::<Vec<_>>(), [Some(20), Some(20), None, None, Some(20)]);
    let notes = batch.column_by_name("NOTE").unwrap().as_string::<i32>();
    assert_eq!(notes.value(0), "=A1", "only CSV disarms formulas");
    let status = batch.column_by_name("status").unwrap().as_string::<i32>();
    let status: Vec<&str> = status.iter().flatten().collect();
    assert_eq!(status, ["succeeded", "succeeded", "failed", "missing", "succeeded"]);
    assert_eq!(floats("wall_seconds").value(0), 1.25);
    assert_eq!(floats("peak_memory_mb").value(0), 12.5);
    assert!(floats("wall_seconds").is_null(3));
    assert_eq!(written.metadata.len(), 4);
    assert_eq!(written.metadata[0], ("modelship.sweep".to_owned(), "standard-deduction-01".to_owned()));
    assert_eq!(written.units["revenue"], "USD");
    assert_eq!(written.units["STANDARD"], "USD");
}

#[test]
fn both_files_hold_the_same_numbers_to_the_last_bit() {
    let awkward = [0.1 + 0.2, 1e300, 5e-324, -0.0, 1.0 / 3.0, 394_519_805_728.93, 1e16, 123_456_789_012_345_680.0];
    let runs: Vec<Run> = awkward
        .iter()
        .map(|x| {
            let values = vec![Value::Float(*x), Value::Float(*x), Value::Text(String::new())];
            run(Role::Design, values, Some(Outcome::Succeeded), &[("revenue", OutputValue::Float(x / 3.0))])
        })
        .collect();
    let written = write(AnalysisSpec { baseline: Vec::new(), ..tax_spec() }, &runs);
    let mut reader = csv::Reader::from_reader(written.csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), awkward.len());
    for name in ["RATE", "STANDARD", "revenue"] {
        let column = written.batches[0].column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let place = header.iter().position(|other| other == name).unwrap();
        for (row, record) in rows.iter().enumerate() {
            let read: f64 = record[place].parse().unwrap();
            assert_eq!(read.to_bits(), column.value(row).to_bits(), "{name} in row {row}: {}", &record[place]);
        }
    }
}

#[test]
fn hostile_texts_stay_in_their_cell_and_are_no_formulas() {
    let hostile = ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "a,b\"c\r\nd", "\t=1", "plain"];
    let runs: Vec<Run> = hostile
        .iter()
        .map(|text| {
            let values = vec![Value::Float(-0.5), Value::Float(1.0), Value::Text((*text).to_owned())];
            let outputs = [("=name", OutputValue::Text((*text).to_owned())), ("n", OutputValue::Int(-3))];
            run(Role::Design, values, Some(Outcome::Succeeded), &outputs)
        })
        .collect();
    let written = write(AnalysisSpec { baseline: Vec::new(), ..tax_spec() }, &runs);
    let mut reader = csv::Reader::from_reader(written.csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert!(header.iter().any(|name| name == "'=name"));
    for (record, text) in reader.records().map(Result::unwrap).zip(hostile) {
        assert_eq!(record.len(), header.len());
        let shown = record[6].to_owned();
        assert_eq!(shown.trim_start_matches('\''), text);
        assert_eq!(shown.starts_with('\''), text != "plain" && !text.starts_with('a'), "{shown}");
        assert_eq!(&record[5], "-0.5", "numbers stay numbers");
    }
}

#[test]
fn mixed_outputs_share_a_type_that_holds_them_all() {
    let point = |n: i64, outputs: &[(&str, OutputValue)]| {
        run(Role::Design, vec![Value::Int(n)], Some(Outcome::Succeeded), outputs)
    };
    let text = |text: &str| OutputValue::Text(text.to_owned());
    let runs = [
        point(
            1,
            &[("number", OutputValue::Int(1)), ("mixed", OutputValue::Int(-1)), ("flag", OutputValue::Bool(true))],
        ),
        point(2, &[("number", OutputValue::Float(0.5)), ("mixed", text("many")), ("late", OutputValue::Int(7))]),
        point(3, &[("number", OutputValue::Missing), ("mixed", OutputValue::Bool(false))]),
    ];
    let spec = AnalysisSpec { baseline: Vec::new(), ..spec(vec![parameter("N", ParameterType::Int, "")], &["N"], &[]) };
    let written = write(spec, &runs);
    let schema: Vec<String> = written.batches[0]
        .schema()
        .fields()
        .iter()
        .skip(5)
        .take(4)
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(schema, ["number Float64", "mixed Utf8", "flag Boolean", "late Int64"]);
    assert!(written.csv.contains(",2,0.5,many,,7,"), "{}", written.csv);
    assert!(written.csv.contains(",1,1,-1,true,,"), "numbers in a mixed column stay as they are: {}", written.csv);
    let mixed = written.batches[0].column_by_name("mixed").unwrap().as_string::<i32>();
    assert_eq!(mixed.iter().flatten().collect::<Vec<_>>(), ["-1", "many", "false"]);
}

#[test]
fn asked_for_outputs_come_first_and_alone() {
    let outputs = [("a", OutputValue::Int(1)), ("b", OutputValue::Int(2)), ("c", OutputValue::Int(3))];
    let runs = [run(Role::Design, vec![Value::Int(1)], Some(Outcome::Succeeded), &outputs)];
    let spec = AnalysisSpec {
        baseline: Vec::new(),
        ..spec(vec![parameter("N", ParameterType::Int, "")], &["N"], &["c", "missing", "a"])
    };
    let written = write(spec, &runs);
    assert!(written.csv.starts_with("run_id,role,status,failure,N,c,missing,a,wall_seconds"), "{}", written.csv);
    assert_eq!(written.summary.warnings, [Warning::WithoutValue { output: "missing".to_owned(), runs: 1 }]);
}

#[test]
fn names_that_are_taken_get_a_longer_one() {
    let parameters = vec![parameter("status", ParameterType::Int, ""), parameter("x", ParameterType::Int, "")];
    let outputs = [("x", OutputValue::Int(1)), ("x_difference", OutputValue::Int(2)), ("role", OutputValue::Int(3))];
    let runs = [run(Role::Design, vec![Value::Int(1), Value::Int(2)], Some(Outcome::Succeeded), &outputs)];
    let written = write(spec(parameters, &["x"], &[]), &runs);
    let header = written.csv.lines().next().unwrap();
    assert_eq!(
        header,
        "run_id,role,status,failure,x,status_parameter,x_output,x_difference,role_output,x_output_difference,\
         x_difference_difference,role_output_difference,wall_seconds,cpu_seconds,peak_memory_mb"
    );
}

#[test]
fn a_model_that_ignores_the_moved_parameter_is_suspected() {
    let runs: Vec<Run> = (0..4)
        .map(|n| run(Role::Design, vec![Value::Int(n)], Some(Outcome::Succeeded), &[("y", OutputValue::Float(2.5))]))
        .collect();
    let spec = AnalysisSpec { baseline: Vec::new(), ..spec(vec![parameter("N", ParameterType::Int, "")], &["N"], &[]) };
    let written = write(spec, &runs);
    assert_eq!(written.summary.warnings, [Warning::NothingMoves { parameters: vec!["N".to_owned()], points: 4 }]);
}

#[test]
fn a_failed_baseline_leaves_no_differences_and_is_told() {
    let mut runs = tax_runs();
    runs[0] = run(Role::Baseline, runs[0].values.clone(), Some(timeout()), &[]);
    let written = write(tax_spec(), &runs);
    let differences = written.batches[0].column_by_name("revenue_difference").unwrap().null_count();
    assert_eq!(differences, 5);
    assert_eq!(written.summary.notes[0], "the baseline's run has no result, so there are no differences");
    assert_eq!(written.summary.missing, 3);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let spec = tax_spec();
    let runs = tax_runs();
    let outputs = Discovery::new(&spec).finish();
    let mut builder = AnalysisBuilder::new(spec, outputs, Vec::new(), Vec::new()).unwrap();
    let row = |run: &'static Run| Row { role: run.role, run: &run.id, values: &run.values, record: None };
    let runs: &'static [Run] = runs.leak();
    builder.push(row(&runs[1])).unwrap();
    let late = builder.push(row(&runs[0])).unwrap_err().to_string();
    assert!(late.ends_with("must be the first row, not row 2"), "{late}");
    let short = Row { values: &runs[1].values[..1], ..row(&runs[1]) };
    let error = builder.push(short).unwrap_err().to_string();
    assert!(error.ends_with("has 1 values for 3 parameters"), "{error}");
}

#[test]
fn an_analysis_of_no_runs_is_an_empty_table() {
    let written = write(tax_spec(), &[]);
    assert_eq!(written.csv.lines().count(), 1);
    assert_eq!(written.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert_eq!((written.summary.rows, written.summary.chart), (0, None));
}

#[test]
fn a_long_table_is_written_in_bounded_groups_with_a_bounded_summary() {
    let id = RunId::parse("ab".repeat(32)).unwrap();
    let rows = 70_000;
    let runs: Vec<Run> = (0..rows)
        .map(|n| {
            let outputs = [("y", OutputValue::Float((n * n) as f64))];
            let mut run = run(Role::Design, vec![Value::Int(n)], Some(Outcome::Succeeded), &outputs);
            run.id = id.clone();
            run
        })
        .collect();
    let spec = AnalysisSpec { baseline: Vec::new(), ..spec(vec![parameter("N", ParameterType::Int, "")], &["N"], &[]) };
    let written = write(spec, &runs);
    assert_eq!(written.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 70_000);
    assert_eq!(written.row_groups, 2);
    assert_eq!(written.summary.rows, 70_000);
    let chart = written.summary.chart.unwrap();
    assert_eq!(chart.points.len(), 60);
    assert_eq!(chart.points[0], (0.0, 0.0));
    assert!(chart.points[59].0 > 69_900.0);
    assert!(chart.points.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn analyses_of_two_versions_are_compared_point_by_point() {
    let first = write(tax_spec(), &tax_runs());
    let mut runs = tax_runs();
    runs[4] = run(
        Role::Design,
        runs[4].values.clone(),
        Some(Outcome::Succeeded),
        &[("revenue", OutputValue::Float(1029.0)), ("units", OutputValue::Int(20))],
    );
    let second = write(tax_spec(), &runs);
    let side = |label: &str, csv: &'static str, summary: &AnalysisSummary| Side {
        label: label.to_owned(),
        table: csv.as_bytes(),
        moved: vec!["STANDARD".to_owned()],
        files: Vec::new(),
        outputs: summary.statistics.iter().map(|row| (row.output.clone(), row.unit.clone())).collect(),
    };
    let found =
        compare(side("production", first.csv.leak(), &first.summary), side("pr-2", second.csv.leak(), &second.summary))
            .unwrap();
    insta::assert_snapshot!(modelship::domain::report::comparison_text(&found), @r"
    ### `pr-2` against `production`

    3 points matched by `STANDARD`.

    - failed in both: 2 runs

    | Output | Unit | Points that differ | Mean | Mean, relative | Largest difference | at | Largest relative |
    |:--|:--|--:|--:|--:|--:|:--|--:|
    | `revenue` | USD | 1 of 3 | 16.3333 | +1.66667 % | 49 | `STANDARD` = `1900` | +5 % |
    | `units` |  | 0 of 3 |  |  |  |  |  |

    | `STANDARD` | `revenue, production` | `revenue, pr-2` | `difference` | `share` |
    |--:|--:|--:|--:|--:|
    | 1500 | 1,000.5 | 1,000.5 | 0 | 0 % |
    | 1600 | 990.25 | 990.25 | 0 | 0 % |
    | 1900 | 980 | 1,029 | 49 | +5 % |
    ");
}
