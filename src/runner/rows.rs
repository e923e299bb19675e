//! Counts the rows of the CSV files that a run leaves: a file cut short, or a last row written twice, is otherwise seen by
//! nobody.
//!
//! A file is read once, from the page cache as a rule, and no field of it is looked at but those of its first line.

use std::io::{self, Read as _};
use std::path::Path;

/// The largest file whose rows are counted without being asked for, in bytes.
const LIMIT: u64 = 1 << 30;

/// How much is read at once?
const CHUNK: usize = 256 * 1024;

/// Whether `name` is that of a table whose rows can be counted.
pub(super) fn is_table(name: &str) -> bool {
    name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(".csv")
}

/// The rows of the table at `path`, which has `size` bytes; none when it is too large to be read for nothing.
///
/// The first line is a header, and no row, unless one of its fields is a number. Blank lines at the end are no rows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn count(path: &Path, size: u64) -> io::Result<Option<u64>> {
    if size > LIMIT {
        return Ok(None);
    }
    let mut file = fs_err::File::open(path)?;
    let mut counter = Counter::default();
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1)];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Some(counter.rows())),
            read => counter.take(&chunk[..read]),
        }
    }
}

/// Lines so far.
#[derive(Default)]
struct Counter {
    /// The first line, as far as it matters.
    first: Vec<u8>,
    first_is_whole: bool,
    in_quotes: bool,
    /// Line ends outside of quotes.
    ends: u64,
    /// How many of them stand at the end with nothing between them.
    blank: u64,
    /// Whether something stands behind the last line end.
    open: bool,
}

/// How much of the first line is looked at?
const FIRST_LINE: usize = 64 * 1024;

impl Counter {
    fn take(&mut self, bytes: &[u8]) {
        if !self.first_is_whole {
            let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            let room = FIRST_LINE.saturating_sub(self.first.len());
            self.first.extend_from_slice(&bytes[..end.min(room)]);
            self.first_is_whole = end < bytes.len();
        }
        if !self.in_quotes && memchr::memchr(b'"', bytes).is_none() {
            self.ends += memchr::memchr_iter(b'\n', bytes).count() as u64;
        } else {
            for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
                if bytes[at] == b'"' {
                    self.in_quotes = !self.in_quotes;
                } else if !self.in_quotes {
                    self.ends += 1;
                }
            }
        }
        // What stands behind the last byte that is no blank.
        let content = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | b' ' | b'\t'));
        let tail = &bytes[content.map_or(0, |at| at + 1)..];
        let ends = memchr::memchr_iter(b'\n', tail).count() as u64;
        if content.is_some() {
            self.blank = 0;
            self.open = true;
        }
        if ends > 0 {
            // The first of them ends a line that holds something.
            self.blank += if self.open { ends - 1 } else { ends };
            self.open = false;
        }
    }

    fn rows(&self) -> u64 {
        let lines = self.ends - self.blank.min(self.ends) + u64::from(self.open);
        let header = u64::from(lines > 0 && !has_number(&self.first));
        lines - header
    }
}

fn has_number(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.split([',', ';', '\t'])
        .any(|field| field.trim().trim_matches('"').trim().parse::<f64>().is_ok_and(f64::is_finite))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, rows: u64) {
        // However the bytes are cut.
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let mut counter = Counter::default();
            text.as_bytes().chunks(size).for_each(|chunk| counter.take(chunk));
            assert_eq!(counter.rows(), rows, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn the_header_and_blank_lines_at_the_end_are_no_rows() {
        check("", 0);
        check("\n\r\n", 0);
        check("unit,tax\n", 0);
        check("unit,tax", 0);
        check("unit,tax\n1,2\n", 1);
        check("unit,tax\r\n1,2\r\n3,4", 2);
        check("unit,tax\n1,2\n3,4\n\n \n\n", 2);
        check("unit,tax\n\n1,2\n", 2);
    }

    #[test]
    fn a_first_line_with_a_number_is_a_row() {
        check("1,2\n3,4\n", 2);
        check("low, 2.5e3\n", 1);
        check("\"a\",\"7\"\nb,8\n", 2);
        check("a,nan\n1,2\n", 1);
    }

    #[test]
    fn line_ends_in_quotes_end_no_row() {
        check("name,note\na,\"one\ntwo \"\"three\n\"\"\"\nb,\"\"\n", 2);
        check("name,note\na,\"\n\n\"\n", 1);
    }

    #[test]
    fn files_are_counted_by_their_name_and_size() {
        assert!(is_table("out/table.CSV") && !is_table("table.csv.gz") && !is_table(".csv"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs_err::write(&path, format!("a,b\n{}", "1,2\n".repeat(200_000))).unwrap();
        assert_eq!(count(&path, 800_004).unwrap(), Some(200_000));
        assert_eq!(count(&path, LIMIT + 1).unwrap(), None);
    }
}
