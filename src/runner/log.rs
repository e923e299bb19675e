//! What a command printed, bounded: the first part and the last part, and how much lies between.

use std::collections::VecDeque;

use super::redact::redact;

/// How much of a log a record carries.
const TAIL: usize = 4096;

/// A bounded log. It takes any amount of text and keeps the beginning and the end of it.
#[derive(Debug)]
pub struct Log {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Log {
    /// What a run's log keeps, in bytes.
    pub const RUN: usize = 1024 * 1024;

    /// What a build's log keeps, in bytes.
    pub const BUILD: usize = 4 * 1024 * 1024;

    /// An empty log that keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { half: limit / 2, head: Vec::new(), tail: VecDeque::new(), left_out: 0 }
    }

    /// Whether nothing was printed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Adds what was printed next.
    pub fn push(&mut self, mut bytes: &[u8]) {
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
