//! Whether a run that was done again left the same as the first time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{Outcome, OutputValue, Record};
use crate::domain::ids::{Digest, RunId};

/// A kept file of the recorded run and of the replayed one; none where it is not there.
pub type FileDigests = BTreeMap<String, (Option<Digest>, Option<Digest>)>;

/// One run, recorded and replayed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunComparison {
    /// The run.
    pub run: RunId,
    /// Every parameter with its value; empty until somebody looks them up.
    pub parameters: Vec<(String, String)>,
    /// How it ended: `succeeded`, or the failure's class.
    pub outcome: Compared,
    /// Every output that either has, in the recorded order.
    pub outputs: Vec<Compared>,
    /// Every kept file that either has, by digest.
    pub files: Vec<Compared>,
    /// Wall time in milliseconds, recorded and replayed. It differs from run to run and decides nothing.
    pub wall_ms: (u64, u64),
    /// Peak memory in bytes, recorded and replayed. It decides nothing.
    pub peak_memory: (u64, u64),
}

/// One thing, recorded and replayed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is: an output's name, a file's.
    pub name: String,
    /// What the record says; none when it says nothing.
    pub recorded: Option<String>,
    /// What the replay says; none when it says nothing.
    pub replayed: Option<String>,
    /// How far two numbers are apart, relative to the larger one; none when they are equal or no numbers.
    pub relative: Option<f64>,
    /// Whether that counts as the same.
    pub verdict: Verdict,
}

/// Whether two things count as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do.
    Same,
    /// They do not.
    Differs,
    /// The recorded one is no longer there to compare with.
    Gone,
}

impl RunComparison {
    /// Compares two records of one run. Numbers may be apart by `tolerance`, relative to the larger one; 0 is exact.
    #[must_use]
    pub fn of(recorded: &Record, replayed: &Record, files: &FileDigests, tolerance: f64) -> Self {
        let (old, new) = (ending(&recorded.outcome), ending(&replayed.outcome));
        let names = recorded.outputs.iter().map(|(name, _)| name);
        let added = replayed.outputs.iter().map(|(name, _)| name).filter(|name| value(recorded, name).is_none());
        let outputs = names.chain(added).map(|name| {
            let (old, new) = (value(recorded, name), value(replayed, name));
            compared(name, old, new, tolerance)
        });
        Self {
            run: recorded.run.clone(),
            parameters: Vec::new(),
            outcome: Compared {
                name: "outcome".to_owned(),
                recorded: Some(old.to_owned()),
                replayed: Some(new.to_owned()),
                relative: None,
                verdict: if old == new { Verdict::Same } else { Verdict::Differs },
            },
            outputs: outputs.collect(),
            files: files
                .iter()
                .map(|(name, (old, new))| compared_file(name, old.as_ref(), new.as_ref(), recorded))
                .collect(),
            wall_ms: (recorded.wall_ms, replayed.wall_ms),
            peak_memory: (recorded.peak_memory, replayed.peak_memory),
        }
    }

    /// Everything that differs.
    pub fn differences(&self) -> impl Iterator<Item = &Compared> {
        let all = std::iter::once(&self.outcome).chain(&self.outputs).chain(&self.files);
        all.filter(|compared| compared.verdict == Verdict::Differs)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences().next().is_none()
    }
}

fn ending(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed { class, .. } => class.words(),
    }
}

fn value<'r>(record: &'r Record, name: &str) -> Option<&'r OutputValue> {
    record.outputs.iter().find(|(own, _)| own == name).map(|(_, value)| value)
}

fn compared(name: &str, old: Option<&OutputValue>, new: Option<&OutputValue>, tolerance: f64) -> Compared {
    let identical = old == new
        && old.and_then(OutputValue::number).map(f64::to_bits) == new.and_then(OutputValue::number).map(f64::to_bits);
    let relative = match (old.and_then(OutputValue::number), new.and_then(OutputValue::number)) {
        (Some(old), Some(new)) if !identical => {
            let scale = old.abs().max(new.abs());
            Some(if scale > 0.0 { (old - new).abs() / scale } else { 0.0 })
        }
        _ => None,
    };
    // A whole number that became a floating one is another value, unless a tolerance was asked for.
    let same = identical || relative.is_some_and(|relative| tolerance > 0.0 && relative <= tolerance);
    Compared {
        name: name.to_owned(),
        recorded: old.map(text),
        replayed: new.map(text),
        relative,
        verdict: if same { Verdict::Same } else { Verdict::Differs },
    }
}

fn compared_file(name: &str, old: Option<&Digest>, new: Option<&Digest>, recorded: &Record) -> Compared {
    let verdict = match old {
        Some(_) if old == new => Verdict::Same,
        None if recorded.files.contains_key(name) => Verdict::Gone,
        Some(_) | None => Verdict::Differs,
    };
    Compared {
        name: name.to_owned(),
        recorded: old.map(ToString::to_string),
        replayed: new.map(ToString::to_string),
        relative: None,
        verdict,
    }
}

/// A value as the record spells it: every digit of a number.
fn text(value: &OutputValue) -> String {
    match value {
        OutputValue::Int(value) => value.to_string(),
        OutputValue::Float(value) => format!("{value:?}"),
        OutputValue::Bool(value) => value.to_string(),
        OutputValue::Text(value) => value.clone(),
        OutputValue::Missing => "null".to_owned(),
    }
}

/// All runs of a replay in short. Bounded, however many runs there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReplayReport {
    /// Runs that were done again.
    pub runs: u64,
    /// Those that left the same.
    pub same: u64,
    /// Those that did not.
    pub differing: u64,
    /// Kept files of recorded runs that are no longer there to compare with.
    pub files_gone: u64,
    /// Wall time of all runs in milliseconds, recorded and replayed.
    pub wall_ms: (u64, u64),
    /// Largest peak memory of a run in bytes, recorded and replayed.
    pub peak_memory: (u64, u64),
    /// What differs, by name: in how many runs, and how far at most.
    pub differences: BTreeMap<String, Spread>,
    /// The first run that was compared, whatever came of it.
    pub first: Option<RunComparison>,
    /// The first runs that differ; at most [`ReplayReport::SHOWN`].
    pub shown: Vec<RunComparison>,
}

/// How much one thing differs over all runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spread {
    /// In how many runs.
    pub runs: u64,
    /// The largest relative difference of two numbers; none where it is something else that differs.
    pub relative: Option<f64>,
}

impl ReplayReport {
    /// How many differing runs are kept with all that differs in them.
    pub const SHOWN: usize = 50;

    /// Adds one run.
    pub fn add(&mut self, run: RunComparison) {
        self.runs += 1;
        self.files_gone += run.files.iter().filter(|file| file.verdict == Verdict::Gone).map(|_| 1).sum::<u64>();
        self.wall_ms = (self.wall_ms.0 + run.wall_ms.0, self.wall_ms.1 + run.wall_ms.1);
        let (old, new) = run.peak_memory;
        self.peak_memory = (self.peak_memory.0.max(old), self.peak_memory.1.max(new));
        self.first.get_or_insert_with(|| run.clone());
        if run.is_same() {
            self.same += 1;
            return;
        }
        self.differing += 1;
        for difference in run.differences() {
            let spread = self.differences.entry(difference.name.clone()).or_default();
            spread.runs += 1;
            spread.relative = [spread.relative, difference.relative].into_iter().flatten().reduce(f64::max);
        }
        if self.shown.len() < Self::SHOWN {
            self.shown.push(run);
        }
    }

    /// The runs that are told of one by one.
    pub fn told(&mut self) -> impl Iterator<Item = &mut RunComparison> {
        self.first.iter_mut().chain(&mut self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sweep::record::FailureClass;

    fn record(outputs: &[(&str, OutputValue)]) -> Record {
        Record {
            run: RunId::from_hash(&[7; 32]),
            outcome: Outcome::Succeeded,
            outputs: outputs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            files: BTreeMap::new(),
            started_ms: 0,
            wall_ms: 10,
            cpu_ms: 1,
            peak_memory: 5,
            exit_code: Some(0),
            signal: None,
        }
    }

    fn differing(old: &[(&str, OutputValue)], new: &[(&str, OutputValue)], tolerance: f64) -> Vec<String> {
        let comparison = RunComparison::of(&record(old), &record(new), &FileDigests::new(), tolerance);
        comparison.differences().map(|difference| difference.name.clone()).collect()
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit_unless_a_tolerance_says_otherwise() {
        let (old, new) = (OutputValue::Float(0.1 + 0.2), OutputValue::Float(0.3));
        assert_eq!(differing(&[("a", old.clone())], &[("a", new.clone())], 0.0), ["a"]);
        assert!(differing(&[("a", old.clone())], &[("a", new)], 1e-9).is_empty());
        assert_eq!(differing(&[("a", old)], &[("a", OutputValue::Float(0.4))], 1e-9), ["a"]);
        assert!(differing(&[("a", OutputValue::Float(0.0))], &[("a", OutputValue::Float(-0.0))], 1e-9).is_empty());
    }

    #[test]
    fn an_output_that_is_missing_or_new_differs() {
        let one = |name| (name, OutputValue::Int(1));
        assert_eq!(differing(&[one("a"), one("b")], &[one("b"), one("c")], 1.0), ["a", "c"]);
        assert_eq!(differing(&[("a", OutputValue::Missing)], &[one("a")], 1.0), ["a"]);
        assert!(differing(&[one("a"), one("b")], &[one("b"), one("a")], 0.0).is_empty(), "order is nothing");
    }

    #[test]
    fn another_ending_differs_and_another_message_does_not() {
        let failed = |class, message: &str| Record {
            outcome: Outcome::Failed { class, message: message.to_owned(), log_tail: String::new() },
            ..record(&[])
        };
        let none = FileDigests::new();
        let model = failed(FailureClass::ModelError, "ended with status 1");
        assert!(!RunComparison::of(&record(&[]), &model, &none, 0.0).is_same());
        assert!(RunComparison::of(&model, &failed(FailureClass::ModelError, "other"), &none, 0.0).is_same());
        assert!(!RunComparison::of(&model, &failed(FailureClass::Timeout, ""), &none, 0.0).is_same());
    }

    #[test]
    fn files_are_compared_by_digest_and_a_lost_one_is_told_apart() {
        let mut recorded = record(&[]);
        for name in ["a.csv", "b.csv", "lost.csv"] {
            recorded.files.insert(name.to_owned(), 1);
        }
        let digest = |text: &str| Some(Digest::of(text));
        let files = FileDigests::from([
            ("a.csv".to_owned(), (digest("1"), digest("1"))),
            ("b.csv".to_owned(), (digest("1"), digest("2"))),
            ("lost.csv".to_owned(), (None, digest("1"))),
            ("new.csv".to_owned(), (None, digest("1"))),
        ]);
        let comparison = RunComparison::of(&recorded, &record(&[]), &files, 0.0);
        let verdicts: Vec<_> = comparison.files.iter().map(|file| file.verdict).collect();
        assert_eq!(verdicts, [Verdict::Same, Verdict::Differs, Verdict::Gone, Verdict::Differs]);
        let mut report = ReplayReport::default();
        report.add(comparison);
        assert_eq!((report.same, report.differing, report.files_gone), (0, 1, 1));
        assert_eq!(report.differences["b.csv"], Spread { runs: 1, relative: None });
    }
}
