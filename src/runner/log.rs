//! What a command printed, bounded: the first part and the last part, and how much lies between.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::place::LIVE_LOG;
use super::redact::redact;

/// How much of a log a record carries.
const TAIL: usize = 4096;

/// How long a command runs before its log can be followed. Short runs are not worth a file.
const LIVE_AFTER: Duration = Duration::from_secs(1);

/// How large the file grows before it begins anew.
const LIVE_LIMIT: u64 = 1024 * 1024;

/// A bounded log. It takes any amount of text and keeps the beginning and the end of it.
#[derive(Debug)]
pub struct Log {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
    live: Option<Live>,
}

/// The file in which the log of a running command can be followed: whole lines, redacted. It is a service and no
/// promise: what cannot be written to it is written nowhere.
#[derive(Debug)]
struct Live {
    directory: PathBuf,
    due: Instant,
    file: Option<fs_err::File>,
    written: u64,
    /// The line that has no end yet.
    line: Vec<u8>,
}

impl Log {
    /// What a run's log keeps, in bytes.
    pub const RUN: usize = 1024 * 1024;

    /// What a build's log keeps, in bytes.
    pub const BUILD: usize = 4 * 1024 * 1024;

    /// An empty log that keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { half: limit / 2, head: Vec::new(), tail: VecDeque::new(), left_out: 0, live: None }
    }

    /// The same log, which a command that runs for more than a second also writes to `live.log` in `directory`.
    #[must_use]
    pub(super) fn followed_in(self, directory: PathBuf) -> Self {
        let due = Instant::now() + LIVE_AFTER;
        Self { live: Some(Live { directory, due, file: None, written: 0, line: Vec::new() }), ..self }
    }

    /// Begins the file that can be followed, once it is time. To be called now and then.
    pub(super) fn tick(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.file.is_some() || Instant::now() < live.due {
            return;
        }
        if live.begin().is_err() {
            self.live = None;
            return;
        }
        let (first, second) = self.tail.as_slices();
        for part in [&self.head, first, second] {
            live.push(part);
        }
    }

    /// Ends what can be followed: the file goes, and the directory with it when there is nothing else in it.
    pub(super) fn end_following(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        if live.file.is_some() {
            // Whoever has the file open reads its last line even after it is gone.
            live.push(b"\n");
            let _ = fs_err::remove_file(live.directory.join(LIVE_LOG));
            let _ = fs_err::remove_dir(live.directory);
        }
    }

    /// Whether nothing was printed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Adds what was printed next.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if let Some(live) = &mut self.live {
            live.push(bytes);
        }
        let room = self.half - self.head.len();
        if room > 0 {
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.head.extend_from_slice(now);
            bytes = rest;
        }
        if bytes.len() > self.half {
            let (skipped, rest) = bytes.split_at(bytes.len() - self.half);
            self.left_out += skipped.len() as u64;
            bytes = rest;
        }
        let excess = (self.tail.len() + bytes.len()).saturating_sub(self.half);
        self.left_out += excess as u64;
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    /// The log as text: redacted, bytes that are no UTF-8 replaced, the cut marked.
    #[must_use]
    pub fn text(&self) -> String {
        let (first, second) = self.tail.as_slices();
        let mut bytes = Vec::with_capacity(self.head.len() + self.tail.len() + 64);
        bytes.extend_from_slice(&self.head);
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n[... {} bytes left out ...]\n", self.left_out).as_bytes());
        }
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
        redact(&String::from_utf8_lossy(&bytes)).into_owned()
    }
}

impl Live {
    fn begin(&mut self) -> std::io::Result<()> {
        fs_err::create_dir_all(&self.directory)?;
        let file = fs_err::OpenOptions::new().append(true).create(true).open(self.directory.join(LIVE_LOG))?;
        // A run of this id that was killed may have left its own.
        file.set_len(0)?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes the lines that are whole by now, as far as the file has begun.
    fn push(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1) else {
            // An endless line is no line.
            if self.line.len() + bytes.len() <= TAIL {
                self.line.extend_from_slice(bytes);
            }
            return;
        };
        let (whole, rest) = bytes.split_at(end);
        self.line.extend_from_slice(whole);
        let text = redact(&String::from_utf8_lossy(&self.line)).into_owned();
        if self.written + text.len() as u64 > LIVE_LIMIT {
            // Whoever follows sees that the file has shrunk, and goes on at its beginning.
            let _ = file.set_len(0);
            self.written = 0;
        }
        if file.write_all(text.as_bytes()).is_ok() {
            self.written += text.len() as u64;
        }
        self.line.clear();
        self.line.extend_from_slice(&rest[..rest.len().min(TAIL)]);
    }
}

/// The last lines of `text`, at most 4 KiB, without control characters and terminal sequences.
#[must_use]
pub fn tail_of(text: &str) -> String {
    // Sequences are taken out before the cut, so that the cut cannot leave half of one. Twice the size is enough for
    // any log that is not mostly colour.
    let mut start = text.len().saturating_sub(8 * TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let clean = without_controls(&text[start..]);
    let clean = clean.trim_end();
    let mut cut = clean.len().saturating_sub(TAIL);
    while !clean.is_char_boundary(cut) {
        cut += 1;
    }
    match clean[cut..].find('\n') {
        Some(line_end) if cut > 0 => clean[cut + line_end + 1..].to_owned(),
        _ => clean[cut..].to_owned(),
    }
}

fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                // A control sequence: parameters, then one final character from `@` to `~`.
                while chars.next_if(|c| !('@'..='~').contains(c) && !c.is_control()).is_some() {}
                chars.next_if(|c| ('@'..='~').contains(c));
            }
        } else if c == '\r' {
            if chars.peek() != Some(&'\n') {
                out.push('\n');
            }
        } else if c == '\n' || c == '\t' || !is_unprintable(c) {
            out.push(c);
        }
    }
    out
}

/// Control characters, and the marks that turn the direction of text around.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_beginning_and_its_end() {
        let mut log = Log::new(20);
        assert!(log.is_empty());
        log.push(b"0123456");
        log.push(b"789abcdef");
        log.push(&[b'x'; 100]);
        log.push(b"the end");
        assert_eq!(log.text(), "0123456789\n[... 103 bytes left out ...]\nxxxthe end");
    }

    #[test]
    fn a_command_that_runs_for_long_can_be_followed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("run");
        let mut log = Log::new(Log::RUN).followed_in(place.clone());
        log.push(b"first\nha");
        log.tick();
        assert!(!place.exists(), "a short run leaves no trace");
        log.live.as_mut().unwrap().due = Instant::now();
        log.tick();
        log.push(b"lf a line\nAWS_SECRET_ACCESS_KEY=abcdefghijklmnop\nnot yet");
        let text = fs_err::read_to_string(place.join(LIVE_LOG)).unwrap();
        assert!(text.starts_with("first\nhalf a line\n") && !text.contains("abcdef"), "{text}");
        assert!(!text.contains("not yet"), "{text}");
        log.push(&b"many lines\n".repeat(120_000));
        log.push(&b"more lines\n".repeat(20));
        assert!(fs_err::metadata(place.join(LIVE_LOG)).unwrap().len() <= 2 * LIVE_LIMIT);
        log.end_following();
        assert!(!place.exists());
        assert!(log.text().starts_with("first\nhalf a line\n"), "the log itself is as ever");
    }

    #[test]
    fn a_short_log_is_kept_whole() {
        let mut log = Log::new(20);
        log.push(b"hello \xff");
        log.push(b"wide world!");
        assert_eq!(log.text(), "hello \u{fffd}wide world!");
    }

    #[test]
    fn the_tail_is_short_whole_lines_without_control_characters() {
        let text = format!(
            "{}\nlast \u{1b}[1;31mred\u{1b}[0m \u{7}line\r\n\u{202e}turned\u{1b}[",
            "line of text\n".repeat(1000)
        );
        let tail = tail_of(&text);
        assert!(tail.len() <= TAIL);
        assert!(tail.starts_with("line of text\n"), "{tail}");
        assert!(tail.ends_with("\nlast red line\nturned"), "{tail}");
    }

    #[test]
    fn one_endless_line_is_cut_at_a_character() {
        let tail = tail_of(&"ä".repeat(10_000));
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 4);
        assert!(tail.chars().all(|c| c == 'ä'));
    }
}
