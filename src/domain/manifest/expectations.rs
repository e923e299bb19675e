//! The tests that a manifest declares: runs with expected results, and commands.

use std::time::Duration;

use super::parameters::assignments;
use super::paths::{Allowed, command};
use super::raw::{RawExpectation, RawTest};
use super::{Expectation, Test, TestKind, quantities};
use crate::domain::parameters::{Given, Parameter, Value, inferred};
use crate::domain::yaml::{Entries, Exact, Placed, Reader, shown};

/// Allowed relative difference of a float where the test says none.
const DEFAULT_RELATIVE: f64 = 1e-9;

/// Reads the tests; `timeout` is the limit of one that sets none.
pub(super) fn tests(
    raw: &[Placed<RawTest>],
    parameters: &[Parameter],
    timeout: Duration,
    reader: &mut Reader,
) -> Option<Vec<Test>> {
    let mut tests: Vec<Test> = Vec::with_capacity(raw.len());
    let mut well = true;
    for written in raw {
        let name = &written.value.name;
        if name.value.trim().is_empty() || name.value.chars().count() > 100 || name.value.chars().any(char::is_control) {
            reader.fault(name.place, "a test's name has 1 to 100 characters on one line", None);
            well = false;
        }
        if tests.iter().any(|test| test.name == name.value) {
            reader.fault(name.place, format!("another test is called `{}`", shown(&name.value)), None);
            well = false;
        }
        match test(written, parameters, timeout, reader) {
            Some(test) => tests.push(test),
            None => well = false,
        }
    }
    well.then_some(tests)
}

fn test(raw: &Placed<RawTest>, parameters: &[Parameter], timeout: Duration, reader: &mut Reader) -> Option<Test> {
    let RawTest { name, parameters: given, expect, command: words, timeout: limit } = &raw.value;
    let timeout = match limit {
        Some(text) => quantities::duration(text, reader)?,
        None => timeout,
    };
    let kind = match (words, expect) {
        (Some(words), None) if given.is_none() => {
            let reason = "the command runs in the built model's folder; only a run has parameters and outputs";
            TestKind::Command { command: command(words, Allowed { words: &["model"], reason }, reader)? }
        }
        (Some(words), _) => {
            let hint = Some("make two tests of it".to_owned());
            reader.fault(words.place, "a test is either a run (`parameters`, `expect`) or a `command`", hint);
            return None;
        }
        (None, Some(expect)) if !expect.0.is_empty() => {
            let given = match given {
                Some(given) => assignments(given, parameters, reader)?,
                None => Vec::new(),
            };
            let open = |parameter: &&Parameter| {
                parameter.default.is_none() && !given.iter().any(|(name, _)| *name == parameter.name)
            };
            if let Some(parameter) = parameters.iter().find(open) {
                let message = format!("`{}` has no default, so the test must give it", parameter.name);
                reader.fault(name.place, message, None);
                return None;
            }
            TestKind::Run { parameters: given, expect: expectations(expect, reader)? }
        }
        (None, _) => {
            let hint = Some("write `expect: {revenue: 1.5}` or `command: [...]`".to_owned());
            reader.fault(name.place, format!("the test `{}` expects nothing", shown(&name.value)), hint);
            return None;
        }
    };
    Some(Test { name: name.value.clone(), kind, timeout })
}

fn expectations(raw: &Entries<RawExpectation>, reader: &mut Reader) -> Option<Vec<(String, Expectation)>> {
    let read: Vec<Option<_>> =
        raw.0.iter().map(|(key, raw)| Some((key.name.clone(), expectation(raw, reader)?))).collect();
    read.into_iter().collect()
}

fn expectation(raw: &RawExpectation, reader: &mut Reader) -> Option<Expectation> {
    let (value, rel, abs) = match raw {
        RawExpectation::Value(value) => (&value.value, None, None),
        RawExpectation::Within(within) => (&within.value.value, within.value.rel.as_ref(), within.value.abs.as_ref()),
    };
    let Given(node) = value;
    let Some(scalar) = node.scalar() else {
        reader.fault(node.place, format!("an expected result is one plain value, found {}", node.what()), None);
        return None;
    };
    let value = match inferred(scalar) {
        Ok(value) => value,
        Err(misfit) => {
            misfit.at(node.place, reader);
            return None;
        }
    };
    if let (None, Some(tolerance)) = (value.number(), rel.or(abs)) {
        reader.fault(tolerance.place, format!("`{}` is not a number and has no tolerance", shown(&value.to_string())), None);
        return None;
    }
    let relative = match (rel, &value) {
        (Some(rel), _) => tolerance(rel, reader)?,
        (None, Value::Float(_)) => DEFAULT_RELATIVE,
        (None, _) => 0.0,
    };
    let absolute = match abs {
        Some(abs) => tolerance(abs, reader)?,
        None => 0.0,
    };
    Some(Expectation { value, relative, absolute })
}

fn tolerance(number: &Placed<Exact>, reader: &mut Reader) -> Option<f64> {
    let tolerance = number.value.float();
    if tolerance < 0.0 {
        reader.fault(number.place, "a tolerance may not be negative", None);
        return None;
    }
    Some(tolerance)
}
