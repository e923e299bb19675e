//! Makes what users and models wrote harmless within Markdown, and keeps a comment within the forge's limit.
//!
//! Every text that this program did not write itself passes through [`text`], [`code`] or [`block`]
//! before it becomes part of a comment. After that it cannot call people or other pull requests, open or close an
//! element, leave its table cell or pose as one of our markers.

use std::fmt::Write as _;

/// The most bytes of UTF-8 that a comment may have. GitHub's limit is 65,536 in a unit that it does not document; what
/// lies between leaves room for the marker that the forge adds.
pub const COMMENT_LIMIT: usize = 65_000;

/// Breaks a word for GitHub and is not seen by people.
const BREAK: char = '\u{200B}';

/// Stands where a character was that would have reordered or hidden text.
const REPLACED: char = '\u{FFFD}';

/// What ends a comment that was cut.
const CUT_NOTE: &str = "**Cut here: the comment was too long.** `modelship sweep results` shows everything.";

/// `raw` as one line of plain text. Pairs of backticks make code, as in our own messages; nothing else is markup.
#[must_use]
pub fn text(raw: &str) -> String {
    let line = one_line(raw);
    if line.matches('`').count() % 2 == 1 {
        return prose(&line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for (index, part) in line.split('`').enumerate() {
        if index % 2 == 0 {
            escaped.push_str(&prose(part));
        } else {
            escaped.push_str(&code(part));
        }
    }
    escaped
}

/// `raw` as one line of code, in a sentence or in a table cell.
///
/// A pipe ends a cell even within backticks, so texts with one become an HTML element with every sign written as an
/// entity.
#[must_use]
pub fn code(raw: &str) -> String {
    let line = one_line(raw);
    if line.trim().is_empty() {
        return "*empty*".to_owned();
    }
    if line.contains('|') {
        return html_code(&line);
    }
    let line = hide_comments(&line);
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    if line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) {
        format!("{ticks} {line} {ticks}")
    } else {
        format!("{ticks}{line}{ticks}")
    }
}

fn html_code(line: &str) -> String {
    let mut escaped = String::from("<code>");
    for c in line.chars() {
        if c.is_ascii_punctuation() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "&#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.push_str("</code>");
    escaped
}

/// `raw` as a code block of `language`, with a fence longer than any within it. Ends with a line end.
#[must_use]
pub fn block(language: &str, raw: &str) -> String {
    let lines = hide_comments(&visible(raw));
    let lines = lines.trim_end();
    let fence = "`".repeat((longest_run(lines, '`') + 1).max(3));
    format!("{fence}{language}\n{lines}\n{fence}\n")
}

/// The first `most` characters of `raw`, with an ellipsis when there are more.
#[must_use]
pub fn clip(raw: &str, most: usize) -> String {
    match raw.char_indices().nth(most) {
        None => raw.to_owned(),
        Some((end, _)) => format!("{}…", &raw[..end]),
    }
}

/// The last `most` bytes of `raw` from a line's beginning on, and at most `lines` lines.
#[must_use]
pub fn tail(raw: &str, lines: usize, most: usize) -> String {
    let raw = raw.trim_end();
    let mut start = raw.len().saturating_sub(most);
    while !raw.is_char_boundary(start) {
        start += 1;
    }
    if start > 0
        && let Some(end) = raw[start..].find('\n')
    {
        start += end + 1;
    }
    let kept: Vec<&str> = raw[start..].lines().collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}

/// `body` as it is when it has at most `limit` bytes, else its beginning with open code blocks and details closed and a
/// note that it was cut. `limit` should be well above the note's own 100 bytes.
#[must_use]
pub fn fit(body: &str, limit: usize) -> String {
    if body.len() <= limit {
        return body.to_owned();
    }
    let mut room = limit.saturating_sub(CUT_NOTE.len() + 4);
    loop {
        let kept = beginning(body, room);
        let ending = closing(kept);
        let cut = format!("{}{ending}\n\n{CUT_NOTE}\n", kept.trim_end_matches('\n'));
        if cut.len() <= limit || room == 0 {
            return cut;
        }
        room = room.saturating_sub(cut.len() - limit);
    }
}

/// `body` with `ending`, which is there even when `body` is cut so that both have at most `limit` bytes.
#[must_use]
pub fn fit_before(body: &str, ending: &str, limit: usize) -> String {
    format!("{}{ending}", fit(body, limit.saturating_sub(ending.len())))
}

/// At most `room` bytes of `body`: up to a line's end when one is near, else up to a character's.
fn beginning(body: &str, room: usize) -> &str {
    const NEAR: usize = 2_000;
    let mut end = room.min(body.len());
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    match body[..end].rfind('\n') {
        Some(line_end) if end - line_end < NEAR => &body[..line_end],
        _ => &body[..end],
    }
}

/// What closes the code block and the details that are open at the end of `body`.
fn closing(body: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut details = 0_usize;
    for line in body.lines() {
        let run = line.trim_start_matches(' ');
        let ticks = &run[..run.len() - run.trim_start_matches('`').len()];
        match fence {
            Some(open) if ticks.len() >= open.len() && ticks == run.trim_end() => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                // Our own elements begin a line; what others wrote never begins one with a bracket.
                details += usize::from(run.starts_with("<details"));
                details = details.saturating_sub(usize::from(run.starts_with("</details>")));
            }
        }
    }
    let mut ending = String::new();
    if let Some(open) = fence {
        ending.push('\n');
        ending.push_str(open);
    }
    if details > 0 {
        ending.push_str("\n\n");
        ending.push_str(&"</details>".repeat(details));
    }
    ending
}

/// Escapes one line without code in it.
fn prose(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len() + 16);
    let mut previous: Option<char> = None;
    let mut characters = line.char_indices().peekable();
    while let Some((index, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let within_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '_' if within_word(previous) && within_word(next) => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            // A list, a line under a title, or a title; not a sign before a number.
            '-' | '+' | '=' | '#' if index == 0 && !within_word(next) => escaped.extend(['\\', c]),
            '.' | ')' if numbers_a_list(&line[..index], next) => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
        if breaks_after(&line[..index + c.len_utf8()], next) {
            escaped.push(BREAK);
        }
        previous = Some(c);
    }
    escaped
}

/// Whether a point or bracket between `before` and `next` would begin a numbered list.
fn numbers_a_list(before: &str, next: Option<char>) -> bool {
    !before.is_empty() && before.bytes().all(|byte| byte.is_ascii_digit()) && next.is_none_or(char::is_whitespace)
}

/// Whether GitHub would make a link or a mention of what continues `before` with `next`.
fn breaks_after(before: &str, next: Option<char>) -> bool {
    let ends = |ending: &str| {
        before.len() >= ending.len()
            && before.get(before.len() - ending.len()..).is_some_and(|last| last.eq_ignore_ascii_case(ending))
    };
    // The text's own end may be followed by anything.
    let Some(next) = next else { return before.ends_with(['@', '#']) || ends("gh-") };
    match next {
        '/' => ends(":"),
        '.' => ends("www"),
        _ => before.ends_with('@') || (next.is_ascii_digit() && (before.ends_with('#') || ends("gh-"))),
    }
}

/// `raw` in one line: what cannot be seen is gone, line ends and tabs are blanks.
fn one_line(raw: &str) -> String {
    let visible = visible(raw);
    visible.trim_end_matches('\n').replace(['\n', '\t'], " ")
}

/// `raw` without terminal colours and control characters; characters that reorder or hide text are made visible.
/// Keeps line ends, as `\n`, and tabs.
#[must_use]
pub fn visible(raw: &str) -> String {
    let mut cleaned = String::with_capacity(raw.len());
    let mut characters = raw.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\n' | '\t' => cleaned.push(c),
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    cleaned.push('\n');
                }
            }
            '\u{1B}' => skip_escape_sequence(&mut characters),
            '\u{2028}' | '\u{2029}' => cleaned.push('\n'),
            '\u{061C}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}' => cleaned.push(REPLACED),
            c if c.is_control() => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Skips the rest of a terminal's escape sequence: `[...m`, `]...BEL` or a single character.
fn skip_escape_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            characters.next_if(|c| matches!(c, '@'..='~'));
        }
        Some(']') => {
            while characters.next_if(|c| !matches!(c, '\u{7}' | '\u{1B}' | '\n')).is_some() {}
            characters.next_if_eq(&'\u{7}');
        }
        Some(c) if c.is_ascii_graphic() => {
            characters.next();
        }
        _ => {}
    }
}

/// Breaks `<!--`: our markers are HTML comments and must not be found within code.
fn hide_comments(lines: &str) -> String {
    lines.replace("<!--", &format!("<{BREAK}!--"))
}

fn longest_run(lines: &str, wanted: char) -> usize {
    let mut longest = 0;
    let mut current = 0;
    for c in lines.chars() {
        current = if c == wanted { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    fn events(markdown: &str) -> Vec<Event<'_>> {
        Parser::new_ext(markdown, Options::all() - Options::ENABLE_SMART_PUNCTUATION).collect()
    }

    /// Checks that `markdown` is a paragraph of nothing but text and code and returns what a reader sees.
    fn seen(markdown: &str) -> String {
        let mut seen = String::new();
        for event in events(markdown) {
            match event {
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph | TagEnd::Emphasis) => {}
                Event::Start(Tag::Emphasis) if markdown.contains("*empty*") => {}
                Event::Text(text) => {
                    assert_is_calm(&text);
                    seen.push_str(&text);
                }
                Event::Code(text) => seen.push_str(&text),
                Event::InlineHtml(tag) if matches!(&*tag, "<code>" | "</code>") => {}
                other => panic!("{other:?} in {markdown:?}"),
            }
        }
        seen.replace(BREAK, "")
    }

    /// No mention, reference or link that GitHub would make out of plain text.
    fn assert_is_calm(text: &str) {
        let characters: Vec<char> = text.chars().collect();
        for pair in characters.windows(2) {
            assert!(!(pair[0] == '@' && pair[1].is_alphanumeric()), "mention in {text:?}");
            assert!(!(pair[0] == '#' && pair[1].is_ascii_digit()), "reference in {text:?}");
        }
        for banned in ["://", "www.", "GH-1"] {
            assert!(!text.contains(banned), "{banned} in {text:?}");
        }
    }

    #[test]
    fn ordinary_messages_stay_readable() {
        assert_eq!(text("`RATE` is 1.5, above its maximum 1"), "`RATE` is 1.5, above its maximum 1");
        assert_eq!(text("no file output_file.csv in model/"), "no file output_file.csv in model/");
        assert_eq!(code("range 1600 .. 3500 step 100"), "`range 1600 .. 3500 step 100`");
        assert_eq!(code("a|b"), "<code>a&#124;b</code>");
        assert_eq!(block("", "one\ntwo\n"), "```\none\ntwo\n```\n");
    }

    #[test]
    fn mentions_references_and_links_are_broken() {
        for hostile in [
            "@org/team please look",
            "see #1",
            "fixes #1",
            "fixes GH-1",
            "fixes octo/repo#1",
            "https://example.org/x",
            "www.example.org",
            "mail ada@example.org",
        ] {
            assert_eq!(seen(&text(hostile)), hostile);
        }
    }

    #[test]
    fn html_and_markers_are_only_text() {
        for hostile in
            ["<img src=x onerror=alert(1)>", "<!-- modelship:sweep/x -->", "</details>", "a & b &lt; c", "<b"]
        {
            assert_eq!(seen(&text(hostile)), hostile);
            for escaped in [text(hostile), code(hostile), block("text", hostile)] {
                assert!(!escaped.contains("<!--"), "{escaped}");
            }
        }
    }

    #[test]
    fn markdown_is_only_text() {
        for hostile in [
            "**bold** _it_ ~~no~~",
            "[x](y)",
            "![x](y)",
            "# title",
            "- item",
            "1. item",
            "1) item",
            "a `b",
            "$x$ \\",
            "> q",
        ] {
            assert_eq!(seen(&text(hostile)), hostile);
        }
        assert_eq!(seen(&text("two\nlines\r\nand\rmore")), "two lines and more");
    }

    #[test]
    fn hidden_and_reordering_characters_become_visible() {
        assert_eq!(text("a\u{202E}b\u{2066}c\u{200B}d\0e\u{7}"), "a\u{FFFD}b\u{FFFD}c\u{FFFD}de");
        assert_eq!(visible("\u{1B}[1;31mred\u{1B}[0m \u{1B}]0;title\u{7}x\r\ny"), "red x\ny");
    }

    #[test]
    fn a_code_block_cannot_be_left() {
        for hostile in ["```\n# out", "````\n```", "~~~\nx", "a\n```\n</details>\n<!-- marker -->\n@org"] {
            let markdown = format!("{}after", block("text", hostile));
            let starts = events(&markdown).iter().filter(|event| matches!(event, Event::Start(_))).count();
            assert_eq!(starts, 2, "one block and one paragraph in {markdown}");
        }
    }

    #[test]
    fn an_unclosed_code_span_ends_with_its_text() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "*empty*");
        assert_eq!(seen(&code("``` `` @org")), "``` `` @org");
    }

    proptest! {
        #[test]
        fn no_text_escapes(raw in "[`|<>@#1aG\\\\_*~$!\\[\\]()\\n\\r\\t .:/&;=+\\-w\\x1B\u{e9}\u{1F600}\u{202E}]{0,60}") {
            let expected = one_line(&raw);
            prop_assert_eq!(seen(&format!("x{}x", prose(&expected))), format!("x{expected}x"));
            seen(&format!("x {} x", text(&raw)));
            seen(&format!("x {} x", code(&raw)));
        }

        #[test]
        fn no_text_leaves_its_cell(raw in "[`|<>@#1a\\\\_*\\n\\r \\-:]{0,40}") {
            let table = format!("| a | b | c |\n|---|---|---|\n| {} | {} | last |\n", text(&raw), code(&raw));
            let cells = events(&table).iter().filter(|event| matches!(event, Event::End(TagEnd::TableCell))).count();
            prop_assert_eq!(cells, 6);
            prop_assert!(events(&table).iter().any(|event| *event == Event::Text("last".into())), "{}", table);
        }

        #[test]
        fn no_text_leaves_its_block(raw in "[`~<>\\n a-]{0,40}") {
            let markdown = format!("{}after", block("text", &raw));
            let blocks = events(&markdown).into_iter().filter(|event| matches!(event, Event::Start(_))).count();
            prop_assert_eq!(blocks, 2);
        }
    }

    #[test]
    fn bodies_up_to_the_limit_are_left_alone() {
        for unit in ["a", "\u{e9}", "\u{20ac}", "\u{1F600}"] {
            for limit in [65_535, 65_536, 65_537] {
                let body = unit.repeat(limit / unit.len());
                assert_eq!(fit(&body, limit), body);
                let longer = unit.repeat(limit / unit.len() + 1);
                let cut = fit(&longer, limit);
                assert!(cut.len() <= limit, "{} bytes of {unit}", cut.len());
                assert!(cut.len() > limit - 2_000 && cut.contains(CUT_NOTE), "{} bytes of {unit}", cut.len());
            }
        }
    }

    #[test]
    fn what_is_open_at_the_cut_is_closed() {
        let body = format!("Intro\n\n<details><summary>Log</summary>\n\n````text\n{}", "```\nline\n".repeat(1_000));
        let cut = fit(&body, 3_000);
        assert!(cut.len() <= 3_000);
        insta::assert_snapshot!(&cut[cut.len() - 130..], @r"
        line
        ```
        line
        ```
        line
        ```
        ````

        </details>

        **Cut here: the comment was too long.** `modelship sweep results` shows everything.
        ");
    }

    #[test]
    fn every_cut_is_valid_and_within_the_limit() {
        let body = format!(
            "<details>\n\n{}\n\n</details>\n\n| a |\n|---|\n| {} |\n",
            block("text", "\u{1F600}é€a\n".repeat(20).as_str()),
            code("\u{1F600}".repeat(50).as_str())
        );
        for limit in 300..body.len() {
            let cut = fit(&body, limit);
            assert!(cut.len() <= limit, "{} bytes for {limit}", cut.len());
            let note = events(&cut).into_iter().filter(|event| matches!(event, Event::Start(Tag::Strong))).count();
            assert_eq!(note, 1, "the note is seen in {cut}");
        }
    }

    #[test]
    fn a_log_tail_begins_with_a_whole_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 2, 100), "two\nthree");
        assert_eq!(tail("one\ntwo\nthree", 9, 7), "three");
        assert_eq!(tail("\u{20ac}\u{20ac}", 9, 4), "\u{20ac}");
    }
}
