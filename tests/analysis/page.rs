//! The page of an analysis, as a person reads it.

use modelship::analysis::AnalysisSpec;
use modelship::domain::parameters::{ParameterType, Value};
use modelship::domain::report::Links;
use modelship::domain::sweep::plan::Scale;
use modelship::domain::sweep::points::Role;
use modelship::domain::sweep::record::{Outcome, OutputValue, Record};

use super::{Run, moves, parameter, run, spec, tax_runs, tax_spec, write};

#[test]
fn the_page_shows_what_a_person_looks_at_first() {
    let page = write(tax_spec(), &tax_runs()).report;
    for part in ["<td>980<td>985.125<td>990.25", "revenue (USD) by STANDARD (USD)", "<td>timeout", "<td>no result"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("<figure").count(), 1, "`units` never moves: {page}");
    assert_eq!(page.matches("<circle").count(), 2);
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http"), "it stands alone: {page}");
}

#[test]
fn the_page_says_what_is_missing_and_what_the_runs_were_given() {
    let fixed = vec![("RATE".to_owned(), "0.1".to_owned())];
    let page = write(AnalysisSpec { fixed, ..tax_spec() }, &tax_runs()).report;
    for part in [
        "<b>Incomplete:</b> 2 of 5 runs without a result (1 not run to its end, 1 timeout).",
        "<dt>moves<dd>STANDARD: range 1600 .. 1900 step 100<dt>held at<dd>RATE = 0.1<dt>baseline<dd>STANDARD = 1500",
        "<dt>all others<dd>at their defaults",
        "The dashed line is the baseline's value.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let whole: Vec<Run> = tax_runs().into_iter().filter(|run| run.record.as_ref().is_some_and(is_good)).collect();
    let spec = AnalysisSpec { baseline: Vec::new(), ..tax_spec() };
    let page = write(spec, &whole[1..]).report;
    for absent in ["Incomplete", "without a result", "baseline's", "<dt>baseline", "<dt>held at"] {
        assert!(!page.contains(absent), "{absent}: {page}");
    }
}

fn is_good(record: &Record) -> bool {
    record.outcome == Outcome::Succeeded
}

#[test]
fn equal_proportions_are_drawn_at_equal_distances() {
    let runs: Vec<Run> = [1.0, 10.0, 100.0]
        .map(|rate: f64| {
            let outputs = [("revenue", OutputValue::Float(rate))];
            run(Role::Design, vec![Value::Float(rate)], Some(Outcome::Succeeded), &outputs)
        })
        .into();
    let page = |scale| {
        let spec = spec(vec![parameter("RATE", ParameterType::Float, "")], &[], &[]);
        write(AnalysisSpec { moved: vec![moves("RATE", scale)], baseline: Vec::new(), ..spec }, &runs).report
    };
    let places = |page: &str| -> Vec<f64> {
        page.split("<circle cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let (linear, log) = (page(Scale::Linear), page(Scale::Log));
    let at = places(&log);
    assert!((at[1] - at[0] - (at[2] - at[1])).abs() < 0.2, "{at:?}");
    assert!(log.contains("RATE, logarithmic") && !linear.contains("logarithmic"), "{log}");
    let at = places(&linear);
    assert!((at[2] - at[1]) / (at[1] - at[0]) > 9.0, "{at:?}");
}

#[test]
fn the_page_leads_to_each_run_where_a_server_shows_it() {
    let at = |base: &str| Links { base_url: Some(base.to_owned()) };
    let runs = tax_runs();
    let page = write(AnalysisSpec { links: at("https://models.example.org/"), ..tax_spec() }, &runs).report;
    for run in &runs {
        let link = format!("<td><a href=\"https://models.example.org/runs/{}\">{}</a><td>", run.id, run.id.short());
        assert!(page.contains(&link), "{link}: {page}");
    }
    let page = write(AnalysisSpec { links: at("file:///srv/artifacts"), ..tax_spec() }, &runs).report;
    assert!(!page.contains("href") && page.contains(runs[0].id.short()), "{page}");
}

#[test]
fn nothing_in_the_page_is_more_than_text() {
    let hostile = "</title></style><script>alert(1)</script><img src=x onerror='a' \"b\">";
    let parameters =
        vec![parameter(hostile, ParameterType::String, hostile), parameter("N", ParameterType::Int, hostile)];
    let mut spec = spec(parameters, &[hostile, "N"], &[]);
    let declared = spec.columns.entry(hostile.to_owned()).or_default();
    declared.unit = hostile.to_owned();
    let at = |n: i64| vec![Value::Text(hostile.to_owned()), Value::Int(n)];
    let runs = [1, 2].map(|n| {
        let outputs = [(hostile, OutputValue::Int(n)), ("text", OutputValue::Text(hostile.to_owned()))];
        run(Role::Design, at(n), Some(Outcome::Succeeded), &outputs)
    });
    spec.fixed = vec![(hostile.to_owned(), hostile.to_owned())];
    spec.baseline = vec![(hostile.to_owned(), hostile.to_owned())];
    for moved in &mut spec.moved {
        (moved.declared, moved.unit) = (hostile.to_owned(), hostile.to_owned());
    }
    let page = write(spec, &runs).report;
    assert!(page.contains("&lt;script&gt;") && page.contains("<svg"), "{page}");
    for bad in ["<script", "<img", "</title></style>", "'a'", "\"b\""] {
        assert!(!page.contains(bad), "{bad}: {page}");
    }
}
