//! A slice that several jobs share. Each takes a few lines at a time, and a small file says how far they all are, so that
//! nobody has to guess beforehand which job gets which runs.
//!
//! Lines that a job took and did not come to stay undone: their runs have no record, and the next round does them.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::lock::try_lock;
use super::supervise::Stop;

/// Most lines that are taken at once.
const MOST: usize = 16;

/// What was taken should last about this long: long against the taking, short against the waiting for the last job.
const LASTS: Duration = Duration::from_millis(100);

/// How long to wait before looking again whether the cursor is free.
const AGAIN: Duration = Duration::from_millis(1);

/// Makes the cursor at `path` unless it is there. Whoever may reach the file may move it.
///
/// # Errors
/// When it cannot be made.
pub fn make_cursor(path: &Path) -> std::io::Result<()> {
    if fs_err::exists(path)? {
        return Ok(());
    }
    drop(fs_err::OpenOptions::new().create(true).append(true).open(path)?);
    fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))
}

/// One job's hold on a slice that it shares.
#[derive(Debug)]
pub(super) struct Share {
    slice: BufReader<fs_err::File>,
    cursor: fs_err::File,
    path: PathBuf,
    taken: VecDeque<String>,
    most: usize,
    since: Option<Instant>,
}

impl Share {
    /// Opens the slice and the cursor.
    pub(super) fn open(slice: &Path, cursor: &Path) -> anyhow::Result<Self> {
        let file = fs_err::File::open(slice).context("failed to open the job's slice")?;
        let opened = fs_err::OpenOptions::new().read(true).write(true).open(cursor);
        Ok(Self {
            slice: BufReader::new(file),
            cursor: opened.context("failed to open the slice's cursor")?,
            path: cursor.to_owned(),
            taken: VecDeque::new(),
            most: 1,
            since: None,
        })
    }

    /// The next line; none when all are taken, or `stop` was requested first.
    pub(super) fn next(&mut self, stop: &Stop) -> anyhow::Result<Option<String>> {
        if self.taken.is_empty() {
            let lasted = self.since.map(|since| since.elapsed());
            self.most = match lasted {
                Some(lasted) if lasted < LASTS => (self.most * 2).min(MOST),
                Some(lasted) if lasted > 2 * LASTS => (self.most / 2).max(1),
                Some(_) | None => self.most,
            };
            while !try_lock(&self.cursor).context("failed to lock the slice's cursor")? {
                if stop.wait(AGAIN) {
                    return Ok(None);
                }
            }
            let taken = self.take();
            self.cursor.unlock().context("failed to unlock the slice's cursor")?;
            taken?;
            self.since = Some(Instant::now());
        }
        Ok(self.taken.pop_front())
    }

    fn take(&mut self) -> anyhow::Result<()> {
        let mut text = String::new();
        self.cursor.rewind().context("failed to read the slice's cursor")?;
        (&mut self.cursor).take(32).read_to_string(&mut text).context("failed to read the slice's cursor")?;
        let from = match text.trim() {
            "" => 0,
            number => number.parse().with_context(|| format!("`{}` holds no offset", self.path.display()))?,
        };
        let mut to = from;
        self.slice.seek(SeekFrom::Start(from)).context("failed to go on in the job's slice")?;
        while self.taken.len() < self.most {
            let mut line = String::new();
            let length = self.slice.read_line(&mut line).context("failed to read the job's slice")?;
            if length == 0 {
                break;
            }
            to += length as u64;
            if !line.trim().is_empty() {
                self.taken.push_back(line);
            }
        }
        // As long as any other, so that nothing is left of a longer one.
        self.cursor.rewind().context("failed to move the slice's cursor")?;
        self.cursor.write_all(format!("{to:020}\n").as_bytes()).context("failed to move the slice's cursor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_share_a_slice_take_each_line_once() {
        let dir = tempfile::tempdir().unwrap();
        let (slice, cursor) = (dir.path().join("slice.jsonl"), dir.path().join("cursor"));
        let lines: Vec<_> = (0..500).map(|number| format!("{number}\n")).collect();
        fs_err::write(&slice, lines.concat()).unwrap();
        make_cursor(&cursor).unwrap();
        let stop = Stop::new().unwrap();
        let job = || {
            let mut share = Share::open(&slice, &cursor).unwrap();
            std::iter::from_fn(|| share.next(&stop).unwrap()).collect::<Vec<_>>()
        };
        let taken: Vec<_> = std::thread::scope(|scope| {
            let jobs: Vec<_> = (0..4).map(|_| scope.spawn(job)).collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        let mut all: Vec<_> = taken.concat();
        all.sort_by_key(|line| line.trim().parse::<u32>().unwrap());
        assert_eq!(all, lines);
        make_cursor(&cursor).unwrap();
        assert_eq!(job(), Vec::<String>::new(), "a cursor that is there keeps its place");
    }

    #[test]
    fn a_cursor_that_holds_something_else_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (slice, cursor) = (dir.path().join("slice.jsonl"), dir.path().join("cursor"));
        fs_err::write(&slice, "1\n").unwrap();
        fs_err::write(&cursor, "far away").unwrap();
        let error = Share::open(&slice, &cursor).unwrap().next(&Stop::new().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("holds no offset"), "{error}");
    }
}
