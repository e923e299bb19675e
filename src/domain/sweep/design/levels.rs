//! The levels of one parameter: how many there are, and each of them, exactly.
//!
//! Ranges are exact decimals with both ends included, so `0.1, 0.2, 0.3` of a range are the numbers that somebody writes
//! by hand. Levels are counted before any is made.

use std::collections::HashSet;

use bigdecimal::num_traits::{Signed, ToPrimitive, Zero};

use super::ranges::{even, proportional};
use super::steps::Steps;
use crate::domain::parameters::{Given, Parameter, Value};
use crate::domain::sweep::spec::{Declared, Generator, RawLogRange, RawRange};
use crate::domain::yaml::{Exact, Place, Placed, Reader};

/// The levels of one parameter, at least one.
#[derive(Debug, Clone)]
pub(crate) enum Levels {
    /// Each by itself, as it is written.
    List(List),
    /// Calculated, going up or down all the way.
    Sorted(Vec<Value>),
    /// In equal steps.
    Steps(Steps),
}

/// Levels one by one.
#[derive(Debug, Clone)]
pub(crate) struct List {
    values: Vec<Value>,
    known: HashSet<String>,
    dropped: Option<(Value, u64)>,
}

/// What a sweep says of a parameter, once it is told apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'s> {
    /// One value for every run.
    Fixed(&'s Given),
    /// That many levels, duplicates included.
    Moves(u64),
}

/// What becomes of a value that a list has twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// It is taken once, with a note.
    Dropped,
    /// It stays, because the list moves together with others.
    Kept,
}

/// Tells a fixed value from levels, and counts the levels without making any.
pub(crate) fn said<'s>(declared: &'s Declared, reader: &mut Reader) -> Option<Said<'s>> {
    match declared {
        Declared::Fixed(given) => Some(Said::Fixed(given)),
        Declared::Levels(list) => list_count(&list.value, list.place, reader).map(Said::Moves),
        Declared::Generator(Placed { value, place }) => match value {
            Generator::Value(given) => Some(Said::Fixed(given)),
            Generator::Choice(list) => list_count(list, *place, reader).map(Said::Moves),
            Generator::Range(range) => range_count(range, *place, reader).map(Said::Moves),
            Generator::LogRange(range) => log_count(range, reader).map(Said::Moves),
        },
    }
}

fn list_count(list: &[Given], place: Place, reader: &mut Reader) -> Option<u64> {
    if list.is_empty() {
        let hint = Some("write at least one level, or leave the parameter away for its default".to_owned());
        reader.fault(place, "the list of levels is empty", hint);
        return None;
    }
    u64::try_from(list.len()).ok()
}

fn range_count(range: &RawRange, place: Place, reader: &mut Reader) -> Option<u64> {
    let (start, stop) = (&range.start.value, &range.stop.value);
    if start == stop {
        let hint = Some(format!("write the value itself: `{}`", start.plain()));
        reader.fault(range.stop.place, "`start` and `stop` are the same", hint);
        return None;
    }
    let step = match (&range.step, &range.num) {
        (Some(step), None) => step,
        (None, Some(num)) => return num_count(num, reader),
        (Some(_), Some(num)) => {
            reader.fault(num.place, "a range has either `step` or `num`, not both", None);
            return None;
        }
        (None, None) => {
            reader.fault(place, "a range needs `step` or `num`", Some("add `step: ...` or `num: ...`".to_owned()));
            return None;
        }
    };
    if step.value.0.is_zero() {
        reader.fault(step.place, "the step is zero", Some("write a positive step".to_owned()));
        return None;
    }
    let distance = &stop.0 - &start.0;
    if distance.is_negative() != step.value.0.is_negative() {
        let hint = Some(format!("write `step: {}`", Exact(-step.value.0.clone()).plain()));
        let message = format!("the step {} leads away from `stop`", step.value.plain());
        reader.fault(step.place, message, hint);
        return None;
    }
    let rest = &distance % &step.value.0;
    if !rest.is_zero() {
        let below = &stop.0 - &rest;
        let above = &below + &step.value.0;
        let near = [below, above].into_iter().filter(|near| *near != start.0);
        let near: Vec<String> = near.map(|near| format!("`stop: {}`", Exact(near).plain())).collect();
        let message = format!(
            "the step {} does not divide the way from {} to {}",
            step.value.plain(),
            start.plain(),
            stop.plain()
        );
        reader.fault(step.place, message, Some(format!("write {}", near.join(" or "))));
        return None;
    }
    let count = (distance / &step.value.0).to_u64().and_then(|steps| steps.checked_add(1));
    if count.is_none() {
        reader.fault(step.place, "the range has more levels than can be counted", None);
    }
    count
}

fn num_count(num: &Placed<u64>, reader: &mut Reader) -> Option<u64> {
    if num.value < 2 {
        let hint = Some("write at least `num: 2`, or the value itself".to_owned());
        reader.fault(num.place, format!("`num` is {}, but both ends are included", num.value), hint);
        return None;
    }
    Some(num.value)
}

fn log_count(range: &RawLogRange, reader: &mut Reader) -> Option<u64> {
    for end in [&range.start, &range.stop] {
        if !end.value.0.is_positive() {
            let hint = Some("the ends of a `logrange` are values, not exponents".to_owned());
            reader.fault(end.place, format!("{} is not above zero", end.value.plain()), hint);
            return None;
        }
    }
    if range.start.value == range.stop.value {
        let hint = Some(format!("write the value itself: `{}`", range.start.value.plain()));
        reader.fault(range.stop.place, "`start` and `stop` are the same", hint);
        return None;
    }
    num_count(&range.num, reader)
}

/// Makes the levels of `parameter`. Call it when the count is known to be bearable.
pub(crate) fn levels(
    parameter: &Parameter,
    declared: &Declared,
    (count, repeats): (u64, Repeats),
    reader: &mut Reader,
    notes: &mut Vec<String>,
) -> Option<Levels> {
    let mut written = |list: &[Given], reader: &mut Reader| {
        let list = List::written(parameter, list, repeats, reader)?;
        notes.extend(list.note(parameter));
        Some(Levels::List(list))
    };
    match declared {
        Declared::Fixed(given) => written(std::slice::from_ref(given), reader),
        Declared::Levels(list) => written(&list.value, reader),
        Declared::Generator(Placed { value, place }) => match value {
            Generator::Value(given) => written(std::slice::from_ref(given), reader),
            Generator::Choice(list) => written(list, reader),
            Generator::Range(range) => match &range.step {
                Some(step) => Steps::new(parameter, range, step, count, reader).map(Levels::Steps),
                None => even(parameter, range, count, *place, reader).map(Levels::Sorted),
            },
            Generator::LogRange(range) => proportional(parameter, range, count, *place, reader).map(Levels::Sorted),
        },
    }
}

impl Levels {
    /// How many levels.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::List(List { values, .. }) | Self::Sorted(values) => values.len() as u64,
            Self::Steps(steps) => steps.count(),
        }
    }

    /// Level `index`, from 0.
    pub(crate) fn level(&self, index: u64) -> Value {
        match self {
            Self::List(List { values, .. }) | Self::Sorted(values) => {
                values[usize::try_from(index).expect("a list's index fits")].clone()
            }
            Self::Steps(steps) => steps.level(index),
        }
    }

    /// Whether `value` is one of the levels.
    pub(crate) fn contains(&self, value: &Value) -> bool {
        match self {
            Self::List(list) => list.known.contains(&key(value)),
            Self::Sorted(values) => sorted_contains(values, value),
            Self::Steps(steps) => steps.contains(value),
        }
    }
}

/// A value's text, the same for equal values only.
pub(crate) fn key(value: &Value) -> String {
    let mut key = String::new();
    value.write_json(&mut key);
    key
}

impl List {
    fn written(parameter: &Parameter, list: &[Given], repeats: Repeats, reader: &mut Reader) -> Option<Self> {
        let mut values = Vec::with_capacity(list.len());
        let mut known = HashSet::with_capacity(list.len());
        let mut dropped: Option<(Value, u64)> = None;
        let mut well = true;
        for Given(node) in list {
            match parameter.read(node, reader) {
                Some(value) if known.insert(key(&value)) || repeats == Repeats::Kept => values.push(value),
                Some(value) => dropped = Some((value, dropped.map_or(1, |(_, times)| times + 1))),
                None => well = false,
            }
        }
        well.then_some(Self { values, known, dropped })
    }

    fn note(&self, parameter: &Parameter) -> Option<String> {
        let (value, times) = self.dropped.as_ref()?;
        Some(match times {
            1 => format!("`{}` lists {value} twice; it is taken once", parameter.name),
            _ => format!("`{}` lists {times} values again, {value} for one; each is taken once", parameter.name),
        })
    }
}

fn sorted_contains(values: &[Value], value: &Value) -> bool {
    let number = |value: &Value| value.number().unwrap_or(f64::NAN);
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
    let rising = number(first) <= number(last);
    let before = |level: &Value| if rising { number(level) < number(value) } else { number(level) > number(value) };
    values.get(values.partition_point(before)) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parameters::ParameterType;
    use crate::domain::yaml::Read;
    use crate::domain::yaml::tests::picture;

    fn parameter(kind: ParameterType) -> Parameter {
        let (unit, description) = (String::new(), String::new());
        Parameter {
            name: "P".into(),
            kind,
            default: None,
            min: None,
            max: Some(1e6),
            choices: vec![],
            unit,
            description,
        }
    }

    fn made(kind: ParameterType, text: &str) -> Result<(Levels, Vec<String>), String> {
        let (mut reader, root) = Reader::open("f.yaml", text).unwrap();
        let mut notes = Vec::new();
        let levels = Declared::read(&root, &mut reader).and_then(|declared| {
            let count = match said(&declared, &mut reader)? {
                Said::Fixed(_) => 1,
                Said::Moves(count) => count,
            };
            levels(&parameter(kind), &declared, (count, Repeats::Dropped), &mut reader, &mut notes)
        });
        reader.finish(levels).map(|levels| (levels, notes)).map_err(|faults| picture(&faults))
    }

    fn shown(kind: ParameterType, text: &str) -> String {
        match made(kind, text) {
            Ok((levels, notes)) => {
                let values: Vec<String> = (0..levels.count()).map(|index| levels.level(index).to_string()).collect();
                format!("{}{}", values.join(" "), notes.join("; "))
            }
            Err(picture) => picture,
        }
    }

    #[test]
    fn a_range_has_the_numbers_that_a_person_would_write() {
        let float = ParameterType::Float;
        assert_eq!(shown(float, "{range: {start: 0.1, stop: 0.5, step: 0.1}}"), "0.1 0.2 0.3 0.4 0.5");
        assert_eq!(shown(float, "{range: {start: 1, stop: -1, step: -0.5}}"), "1 0.5 0 -0.5 -1");
        assert_eq!(shown(float, "{range: {start: 0, stop: 1, num: 4}}"), "0 0.333333333333333 0.666666666666667 1");
        assert_eq!(shown(float, "{range: {start: 0.05, stop: 0.25, num: 5}}"), "0.05 0.1 0.15 0.2 0.25");
        assert_eq!(shown(float, "{logrange: {start: 0.001, stop: 1000, num: 7}}"), "0.001 0.01 0.1 1 10 100 1000");
        assert_eq!(shown(float, "{logrange: {start: 1, stop: 10, num: 3}}"), "1 3.16227766016838 10");
        assert_eq!(shown(float, "{logrange: {start: 1e-3, stop: 1e-1, num: 3}}"), "0.001 0.01 0.1");
        assert_eq!(shown(float, "{logrange: {start: 64, stop: 0.5, num: 8}}"), "64 32 16 8 4 2 1 0.5");
        assert_eq!(shown(float, "{logrange: {start: 5e-300, stop: 5e3, num: 2}}"), "5e-300 5000");
        assert_eq!(shown(ParameterType::Int, "{range: {start: 5, stop: 20, step: 5}}"), "5 10 15 20");
        assert_eq!(shown(ParameterType::Int, "{range: {start: 1e1, stop: 2e1, num: 3}}"), "10 15 20");
        assert_eq!(shown(float, "{choice: [3e-1, 2]}"), "0.3 2");
        assert_eq!(shown(ParameterType::List, "{value: [1, 2]}"), "1,2");
    }

    #[test]
    fn every_level_of_a_range_is_the_nearest_float() {
        let (levels, _) = made(ParameterType::Float, "{range: {start: 0, stop: 100, step: 0.001}}").unwrap();
        for index in [0, 1, 3, 7, 99_999, 100_000] {
            let written: f64 = format!("{index}e-3").parse().unwrap();
            assert_eq!(levels.level(index), Value::Float(written));
            assert!(levels.contains(&Value::Float(written)));
        }
        assert!(!levels.contains(&Value::Float(0.0005)) && !levels.contains(&Value::Float(100.001)));
        let long = "{range: {start: 123456789012.123456789, stop: 123456789012.123457789, step: 0.000001}}";
        assert!(shown(ParameterType::Float, long).contains("same number") || made(ParameterType::Float, long).is_err());
    }

    #[test]
    fn calculated_levels_are_found_again() {
        for text in ["{range: {start: 0, stop: 1, num: 101}}", "{logrange: {start: 1000, stop: 0.1, num: 9}}"] {
            let (levels, _) = made(ParameterType::Float, text).unwrap();
            assert!((0..levels.count()).all(|index| levels.contains(&levels.level(index))), "{text}");
            assert!(!levels.contains(&Value::Float(0.123)) && !levels.contains(&Value::Float(-5.0)), "{text}");
        }
    }

    #[test]
    fn a_value_listed_twice_is_taken_once() {
        assert_eq!(shown(ParameterType::Float, "[0.3, 3e-1, 1]"), "0.3 1`P` lists 0.3 twice; it is taken once");
    }

    #[test]
    fn what_is_wrong_with_a_range_is_told_with_what_to_write() {
        let float = ParameterType::Float;
        insta::assert_snapshot!(shown(float, "{range: {start: 1600, stop: 3500, step: 300}}"), @r"
        f.yaml:1:41: the step 300 does not divide the way from 1600 to 3500 (hint: write `stop: 3400` or `stop: 3700`)
        | {range: {start: 1600, stop: 3500, step: 300}}
        |                                         ^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1, step: 0}}"), @r"
        f.yaml:1:35: the step is zero (hint: write a positive step)
        | {range: {start: 0, stop: 1, step: 0}}
        |                                   ^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1, step: -0.1}}"), @r"
        f.yaml:1:35: the step -0.1 leads away from `stop` (hint: write `step: 0.1`)
        | {range: {start: 0, stop: 1, step: -0.1}}
        |                                   ^^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 2, stop: 2, step: 1}}"), @r"
        f.yaml:1:26: `start` and `stop` are the same (hint: write the value itself: `2`)
        | {range: {start: 2, stop: 2, step: 1}}
        |                          ^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1, num: 1}}"), @r"
        f.yaml:1:34: `num` is 1, but both ends are included (hint: write at least `num: 2`, or the value itself)
        | {range: {start: 0, stop: 1, num: 1}}
        |                                  ^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1}}"), @r"
        f.yaml:1:1: a range needs `step` or `num` (hint: add `step: ...` or `num: ...`)
        | {range: {start: 0, stop: 1}}
        | ^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1, step: 1, num: 2}}"), @r"
        f.yaml:1:43: a range has either `step` or `num`, not both
        | {range: {start: 0, stop: 1, step: 1, num: 2}}
        |                                           ^
        ");
        insta::assert_snapshot!(shown(float, "{range: [0, 1, 0.1]}"), @r"
        f.yaml:1:2: expected a mapping, found a list (hint: its keys are `start`, `stop`, `step`, `num`)
        | {range: [0, 1, 0.1]}
        |  ^^^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: .nan, num: 2}}"), @r"
        f.yaml:1:26: `.nan` is not a finite number
        | {range: {start: 0, stop: .nan, num: 2}}
        |                          ^^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 2e6, step: 1e6}}"), @r"
        f.yaml:1:26: `P` is 2000000, above its maximum 1000000
        | {range: {start: 0, stop: 2e6, step: 1e6}}
        |                          ^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 0, stop: 1e300, step: 1e-300}}"), @r"
        f.yaml:1:39: the range has more levels than can be counted
        | {range: {start: 0, stop: 1e300, step: 1e-300}}
        |                                       ^^^^^^
        ");
        insta::assert_snapshot!(shown(float, "{range: {start: 1, stop: 1.0000000000000004, step: 0.0000000000000001}}"), @r"
        f.yaml:1:52: two neighbouring levels are the same number (hint: take a larger step)
        | {range: {start: 1, stop: 1.0000000000000004, step: 0.0000000000000001}}
        |                                                    ^^^^^^^^^^^^^^^^^^
        ");
        insta::assert_snapshot!(shown(float, "{logrange: {start: 0, stop: 3, num: 4}}"), @r"
        f.yaml:1:20: 0 is not above zero (hint: the ends of a `logrange` are values, not exponents)
        | {logrange: {start: 0, stop: 3, num: 4}}
        |                    ^
        ");
        insta::assert_snapshot!(shown(float, "{logrange: {start: 1, stop: 10}}"), @r"
        f.yaml:1:2: `num` is missing (hint: `num` must be a whole number)
        | {logrange: {start: 1, stop: 10}}
        |  ^^^^^^^^
        ");
        insta::assert_snapshot!(shown(float, "{lhs: {samples: 3}}"), @r"
        f.yaml:1:2: unknown generator `lhs` (hint: known here: `range`, `logrange`, `choice`, `value`)
        | {lhs: {samples: 3}}
        |  ^^^
        ");
        insta::assert_snapshot!(shown(float, "{uniform: {min: 0, max: 1}}"), @r"
        f.yaml:1:2: generator `uniform` is not part of this release (hint: use `range`, `logrange`, `choice` or a list)
        | {uniform: {min: 0, max: 1}}
        |  ^^^^^^^
        ");
        insta::assert_snapshot!(shown(float, "{rnge: {start: 0}}"), @r"
        f.yaml:1:2: unknown generator `rnge` (hint: did you mean `range`?)
        | {rnge: {start: 0}}
        |  ^^^^
        ");
        insta::assert_snapshot!(shown(float, "[]"), @r"
        f.yaml:1:1: the list of levels is empty (hint: write at least one level, or leave the parameter away for its default)
        | []
        | ^
        ");
        insta::assert_snapshot!(shown(float, "[1, no, {a: 1}]"), @r"
        f.yaml:1:9: expected a value, found a mapping
        | [1, no, {a: 1}]
        |         ^
        ");
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let int = ParameterType::Int;
        insta::assert_snapshot!(shown(int, "{range: {start: 0, stop: 3, step: 1.5}}"), @r"
        f.yaml:1:35: `P` is a whole number; 1.5 is none
        | {range: {start: 0, stop: 3, step: 1.5}}
        |                                   ^^^
        ");
        insta::assert_snapshot!(shown(int, "{range: {start: 0, stop: 10, num: 4}}"), @r"
        f.yaml:1:1: `P` is a whole number; 3.33333333333333 is none
        | {range: {start: 0, stop: 10, num: 4}}
        | ^
        ");
        insta::assert_snapshot!(shown(int, "{logrange: {start: 1, stop: 10, num: 3}}"), @r"
        f.yaml:1:1: `P` is a whole number; 3.16227766016838 is none
        | {logrange: {start: 1, stop: 10, num: 3}}
        | ^
        ");
        insta::assert_snapshot!(shown(int, "[1, 2.5]"), @r"
        f.yaml:1:5: `P` is a whole number; 2.5 is none
        | [1, 2.5]
        |     ^^^
        ");
        insta::assert_snapshot!(shown(ParameterType::String, "{range: {start: 0, stop: 3, step: 1}}"), @r"
        f.yaml:1:17: `P` is of type string, not a number
        | {range: {start: 0, stop: 3, step: 1}}
        |                 ^
        ");
        insta::assert_snapshot!(shown(ParameterType::List, "[1, 2]"), @r"
        f.yaml:1:2: `P` is of type list, found `1` (hint: write a list: `[...]`)
        | [1, 2]
        |  ^
        f.yaml:1:5: `P` is of type list, found `2` (hint: write a list: `[...]`)
        | [1, 2]
        |     ^
        ");
    }
}
