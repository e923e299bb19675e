//! Which runs a round was told to do, and where its slice says so.
//!
//! Every record is checked against this, for sweeps of a million runs, so it is read once and kept: 32 bytes a run, of
//! the few rounds that were looked at last.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::domain::ids::RunId;
use crate::runner::SliceLine;

/// How many rounds are kept?
const KEPT: usize = 4;

/// The runs of the rounds that were looked at last.
#[derive(Debug, Default)]
pub(in crate::engine) struct Members(Mutex<Vec<Arc<Round>>>);

/// The runs of one round.
#[derive(Debug)]
pub(super) struct Round {
    path: PathBuf,
    /// Device, number and length of the slice's file: another one takes its place whole.
    file: (u64, u64, u64),
    /// The first half of each run's id with where its line begins, in order.
    lines: Vec<(u128, u64)>,
}

/// All that is read of a line at first.
#[derive(Deserialize)]
struct Line {
    run: RunId,
}

impl Members {
    /// The runs of the slice at `path`. Blocks.
    pub(super) fn of(&self, path: &Path) -> Result<Arc<Round>> {
        let found = fs_err::metadata(path)?;
        let file = (found.dev(), found.ino(), found.len());
        let known = self.kept().iter().find(|round| round.path == path && round.file == file).cloned();
        let round = match known {
            Some(round) => round,
            None => Arc::new(Round { path: path.to_owned(), file, lines: lines_of(path)? }),
        };
        let mut kept = self.kept();
        kept.retain(|other| other.path != path);
        kept.insert(0, Arc::clone(&round));
        kept.truncate(KEPT);
        Ok(round)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Round>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    /// Whether `run` is one of them.
    pub(super) fn has(&self, run: &RunId) -> bool {
        self.offset(run).is_some()
    }

    /// What `run` was given; none when it is not one of them. Blocks.
    pub(super) fn line(&self, run: &RunId) -> Result<Option<SliceLine>> {
        let Some(offset) = self.offset(run) else { return Ok(None) };
        let file = fs_err::File::open(&self.path)?;
        let mut text = Vec::new();
        // Most lines are some hundred bytes long.
        for length in [4 << 10, 64 << 10, 16 << 20] {
            text.resize(length, 0);
            let mut filled = 0;
            while filled < length {
                match file.file().read_at(&mut text[filled..], offset + filled as u64)? {
                    0 => break,
                    more => filled += more,
                }
            }
            if let Some(end) = text[..filled].iter().position(|byte| *byte == b'\n') {
                return serde_json::from_slice(&text[..end]).map(Some).context("a line of a slice is no run");
            }
        }
        anyhow::bail!("a line of `{}` has no end", self.path.display())
    }

    fn offset(&self, run: &RunId) -> Option<u64> {
        let key = key(run);
        self.lines.binary_search_by_key(&key, |(run, _)| *run).ok().map(|at| self.lines[at].1)
    }
}

fn lines_of(path: &Path) -> Result<Vec<(u128, u64)>> {
    let mut reader = BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let (mut lines, mut text, mut offset) = (Vec::new(), Vec::new(), 0);
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text)?;
        if length == 0 {
            break;
        }
        let line: Line = serde_json::from_slice(&text).context("a line of a slice is no run")?;
        lines.push((key(&line.run), offset));
        offset += length as u64;
    }
    lines.sort_unstable();
    lines.shrink_to_fit();
    Ok(lines)
}

/// Enough of a hash to tell runs apart.
fn key(run: &RunId) -> u128 {
    u128::from_str_radix(&run.as_str()[..32], 16).expect("a run id is hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Digest;
    use crate::domain::parameters::Value;

    fn run(number: i64) -> RunId {
        RunId::parse(Digest::of(format!("run {number}")).hex()).unwrap()
    }

    fn write(path: &Path, runs: std::ops::Range<i64>, padding: &str) {
        let line = |number| {
            let parameters = vec![("N".to_owned(), Value::Int(number)), ("P".to_owned(), Value::Text(padding.into()))];
            serde_json::to_string(&SliceLine { run: run(number), parameters, seed: None }).unwrap() + "\n"
        };
        fs_err::write(path, runs.map(line).collect::<String>()).unwrap();
    }

    #[test]
    fn a_round_knows_its_runs_and_what_they_were_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slice.jsonl");
        let members = Members::default();
        for padding in ["short", &"long".repeat(20_000)] {
            write(&path, 0..20, padding);
            let round = members.of(&path).unwrap();
            assert!((0..20).all(|number| round.has(&run(number))) && !round.has(&run(20)));
            assert_eq!(round.line(&run(7)).unwrap().unwrap().parameters[0].1, Value::Int(7));
            assert!(round.line(&run(20)).unwrap().is_none());
        }
    }

    #[test]
    fn a_slice_is_read_once_and_again_when_another_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slice.jsonl");
        let members = Members::default();
        write(&path, 0..3, "");
        let first = members.of(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &members.of(&path).unwrap()));
        let other = dir.path().join("other.jsonl");
        write(&other, 3..6, "");
        fs_err::rename(&other, &path).unwrap();
        let second = members.of(&path).unwrap();
        assert!(second.has(&run(3)) && !second.has(&run(0)));
    }

    #[test]
    fn only_the_rounds_that_were_looked_at_last_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let members = Members::default();
        for number in 0..10 {
            let path = dir.path().join(number.to_string());
            write(&path, number..number + 1, "");
            members.of(&path).unwrap();
        }
        assert_eq!(members.kept().len(), KEPT);
    }
}
