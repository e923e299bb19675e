//! `records.jsonl`: what finished runs left, one whole line each, written so that a crash loses at most what was not
//! yet synced and never leaves half a line to a reader that looks for line ends.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use crate::domain::ids::RunId;
use crate::domain::sweep::record::{FailureClass, Outcome, Record};

/// How long a record may wait for the disk.
const SYNC_AFTER: Duration = Duration::from_millis(500);

/// How many records may wait for the disk.
const SYNC_EVERY: u64 = 256;

/// How many runs have a record, by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) succeeded: u64,
    pub(super) failed: BTreeMap<FailureClass, u64>,
}

impl Counts {
    fn add(&mut self, class: Option<FailureClass>) {
        match class {
            None => self.succeeded += 1,
            Some(class) => *self.failed.entry(class).or_default() += 1,
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.succeeded + self.failed.values().sum::<u64>()
    }
}

/// The records of one job, open for more.
#[derive(Debug)]
pub(super) struct Records {
    file: fs_err::File,
    state: Mutex<State>,
    changed: Condvar,
    /// The first 16 bytes of the id of each run that had a record when the job was taken up again.
    known: HashSet<u128>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    unsynced: u64,
    closing: bool,
}

/// What is read of a record that is there already.
#[derive(Deserialize)]
struct Known {
    run: RunId,
    outcome: String,
    #[serde(default)]
    class: Option<FailureClass>,
}

impl Records {
    /// Opens the records in `path`. A last line without its end is a write that a crash broke off; it is cut away.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a whole line is no record.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let options = fs_err::OpenOptions::new().create(true).read(true).append(true).open(path);
        let file = options.context("failed to open the records")?;
        let mut state = State::default();
        let mut known = HashSet::new();
        let mut whole = 0;
        let mut reader = BufReader::new(file.try_clone().context("failed to open the records again")?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).context("failed to read the records")? > 0 {
            if line.last() != Some(&b'\n') {
                file.set_len(whole).context("failed to cut away half a record")?;
                break;
            }
            whole += line.len() as u64;
            let record: Known = serde_json::from_slice(&line)
                .with_context(|| format!("`{}` holds a line that is no record, before byte {whole}", path.display()))?;
            // A run counts once, should a record be there twice.
            if known.insert(key(&record.run)) {
                state.counts.add(record.class.filter(|_| record.outcome != "succeeded"));
            }
            line.clear();
        }
        Ok(Self { file, state: Mutex::new(state), changed: Condvar::new(), known })
    }

    /// Whether the run had a record when the job was taken up again.
    pub(super) fn had(&self, run: &RunId) -> bool {
        !self.known.is_empty() && self.known.contains(&key(run))
    }

    /// How many runs have a record now.
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Appends one record as one whole line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn append(&self, record: &Record) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(record).context("failed to write a record as JSON")?;
        line.push(b'\n');
        let class = match &record.outcome {
            Outcome::Succeeded => None,
            Outcome::Failed { class, .. } => Some(*class),
        };
        let mut state = self.lock();
        self.file.file().write_all(&line).context("failed to append a record")?;
        state.counts.add(class);
        state.unsynced += 1;
        if state.unsynced == 1 || state.unsynced >= SYNC_EVERY {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Syncs what is appended, in batches, until [`Self::close`]. Runs on a thread of its own.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn keep_synced(&self) -> anyhow::Result<()> {
        let mut state = self.lock();
        loop {
            while state.unsynced == 0 && !state.closing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let more = |state: &mut State| state.unsynced < SYNC_EVERY && !state.closing;
            let waited = self.changed.wait_timeout_while(state, SYNC_AFTER, more);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let closing = state.closing;
            if state.unsynced > 0 {
                state.unsynced = 0;
                drop(state);
                self.file.sync_data().context("failed to sync the records")?;
                state = self.lock();
            }
            if closing {
                return Ok(());
            }
        }
    }

    /// Lets [`Self::keep_synced`] sync once more and return.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough of a hash to tell runs apart, at a quarter of the memory.
fn key(run: &RunId) -> u128 {
    u128::from_str_radix(&run.as_str()[..32], 16).expect("a run id is hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(digit: &str, outcome: Outcome) -> Record {
        Record {
            run: RunId::parse(digit.repeat(64)).unwrap(),
            outcome,
            outputs: Vec::new(),
            rows: BTreeMap::new(),
            files: BTreeMap::new(),
            started_ms: 0,
            wall_ms: 1,
            cpu_ms: 1,
            peak_memory: 1,
            exit_code: Some(0),
            signal: None,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed { class: FailureClass::Timeout, message: "m".into(), log_tail: String::new() }
    }

    #[test]
    fn half_a_line_is_cut_away_and_whole_ones_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let records = Records::open(&path).unwrap();
        records.append(&record("a", Outcome::Succeeded)).unwrap();
        records.append(&record("b", failed())).unwrap();
        drop(records);
        let whole = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, format!("{whole}{{\"run\":\"cc")).unwrap();
        let records = Records::open(&path).unwrap();
        assert!(records.had(&record("a", failed()).run) && records.had(&record("b", failed()).run));
        assert!(!records.had(&record("c", failed()).run));
        assert_eq!(records.counts().succeeded, 1);
        assert_eq!(records.counts().failed, BTreeMap::from([(FailureClass::Timeout, 1)]));
        records.append(&record("c", Outcome::Succeeded)).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| serde_json::from_str::<Record>(line).is_ok()), "{text}");
    }

    #[test]
    fn a_whole_line_that_is_no_record_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        fs_err::write(&path, "{\"run\": 1}\n").unwrap();
        assert!(Records::open(&path).unwrap_err().to_string().contains("holds a line that is no record"));
    }

    #[test]
    fn closing_syncs_and_returns() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(&dir.path().join("records.jsonl")).unwrap();
        std::thread::scope(|scope| {
            let syncing = scope.spawn(|| records.keep_synced());
            records.append(&record("a", Outcome::Succeeded)).unwrap();
            records.close();
            syncing.join().unwrap().unwrap();
        });
        assert_eq!(records.lock().unsynced, 0);
    }
}
