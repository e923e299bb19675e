//! What a plan tells of its parameters.

use super::design;
use crate::domain::sweep::plan::Scale;

#[test]
fn what_the_file_holds_is_told_though_it_be_the_default() {
    let design = design("parameters: {RATE: [0.2, 0.3], EXEMPT: 1000, STANDARD: {value: 1500}}\n");
    let fixed = [("STANDARD".to_owned(), "1500".to_owned()), ("EXEMPT".to_owned(), "1000".to_owned())];
    assert_eq!(design.fixed(), fixed, "others at their defaults are not named");
}

#[test]
fn what_include_adds_to_a_range_is_told() {
    let design = design(
        "parameters:\n  STANDARD: {range: {start: 1600, stop: 1800, step: 100}}\ninclude: [{STANDARD: 9}, {STANDARD: 1700}]\n",
    );
    let moved = &design.moved()[0];
    assert_eq!((moved.levels, moved.declared.as_str()), (4, "range 1600 .. 1800 step 100, and 1 more by `include`"));
}

#[test]
fn only_equal_proportions_make_a_logarithmic_scale() {
    let log = design("parameters:\n  RATE: {logrange: {start: 0.001, stop: 1, num: 4}}\n  EXEMPT: [1, 10, 100]\n");
    let scales: Vec<Scale> = log.moved().into_iter().map(|moved| moved.scale).collect();
    assert_eq!(scales, [Scale::Log, Scale::Linear]);
}
