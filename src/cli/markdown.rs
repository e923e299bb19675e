//! Markdown, such as a comment's, the way a person reads it in a terminal: aligned tables, titles, no signs of markup.
//!
//! For reading only. The forge gets the Markdown itself.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::table::render_table;
use crate::domain::report::escape::visible;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// `body` as text with a terminal's colours. `width` is the terminal's; none means as wide as need be.
pub(super) fn render(body: &str, width: Option<u16>) -> String {
    let mut page = Page { width, ..Page::default() };
    for event in Parser::new_ext(body, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        page.take(event);
    }
    let text = page.text.trim_end().to_owned();
    format!("{text}\n")
}

#[derive(Default)]
struct Page {
    text: String,
    width: Option<u16>,
    /// The words of the paragraph, title or cell under way.
    words: String,
    code: Option<Code>,
    rows: Vec<Vec<String>>,
    items: usize,
    link: Option<String>,
}

struct Code {
    language: String,
    lines: String,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some(Code { language, lines: String::new() });
            }
            Event::Start(Tag::Item) => {
                self.items += 1;
                self.words.push_str("- ");
            }
            Event::Start(Tag::Link { dest_url, .. }) => self.link = Some(dest_url.to_string()),
            Event::Start(Tag::Table(_)) => self.rows.clear(),
            Event::Start(Tag::TableHead | Tag::TableRow) => self.rows.push(Vec::new()),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.lines.push_str(&text),
                None => self.words.push_str(&readable(&text)),
            },
            Event::Code(text) => self.words.push_str(&readable(&text)),
            Event::SoftBreak | Event::HardBreak => self.words.push('\n'),
            Event::Html(html) | Event::InlineHtml(html) => self.html(&html),
            Event::End(end) => self.end(end),
            _ => {}
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.paragraph(),
            TagEnd::Heading(_) => {
                let title = std::mem::take(&mut self.words);
                self.block(&format!("{BOLD}{title}{PLAIN}"));
            }
            TagEnd::Item => {
                self.items -= 1;
                let item = std::mem::take(&mut self.words);
                self.text.push_str(&item);
                self.text.push('\n');
            }
            TagEnd::List(_) => self.text.push('\n'),
            TagEnd::Link => {
                if let Some(address) = self.link.take() {
                    self.words.push_str(&format!(" {DIM}{}{PLAIN}", readable(&address)));
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.words);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell.trim().to_owned());
                }
            }
            TagEnd::Table => self.table(),
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    self.block(&code.shown());
                }
            }
            _ => {}
        }
    }

    fn paragraph(&mut self) {
        let words = std::mem::take(&mut self.words);
        if self.items > 0 {
            self.words = words;
        } else if !words.trim().is_empty() {
            self.block(words.trim());
        }
    }

    fn block(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push_str("\n\n");
    }

    /// A table without names in its header is a list of pairs and gets none.
    fn table(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        let header = rows.remove(0);
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        let table = render_table(&names, &rows, self.width);
        let named = names.iter().any(|name| !name.is_empty());
        let shown = if named { table.as_str() } else { table.split_once('\n').map_or("", |(_, rows)| rows) };
        self.block(shown);
    }

    /// Folded details are shown unfolded, with their title; other elements mean nothing here.
    fn html(&mut self, html: &str) {
        if let Some((_, rest)) = html.split_once("<summary>") {
            let title = rest.split_once("</summary>").map_or(rest, |(title, _)| title);
            self.words.push_str(&format!("{BOLD}{}{PLAIN}", readable(title.trim())));
        }
    }
}

impl Code {
    /// The block's lines, indented; of a chart, its title and its shape.
    fn shown(&self) -> String {
        if self.language == "mermaid"
            && let Some(shape) = shape(&self.lines)
        {
            return shape;
        }
        visible(&self.lines).lines().map(|line| format!("    {line}\n")).collect()
    }
}

/// A chart in one line: `revenue by STANDARD  ▁▂▄▆█`.
fn shape(chart: &str) -> Option<String> {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let after = |word: &str| chart.lines().find_map(|line| line.trim().strip_prefix(word));
    let title = after("title ")?.trim_matches('"');
    let numbers = after("line [")?.trim_end_matches(']');
    let values: Vec<f64> = numbers.split(", ").map(str::parse).collect::<Result<_, _>>().ok()?;
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = highest - lowest;
    let bars: String = values
        .iter()
        .map(|value| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
            let step = if spread > 0.0 { ((value - lowest) / spread * 7.0).round() as usize } else { 3 };
            STEPS[step.min(7)]
        })
        .collect();
    let axis = after("y-axis ").and_then(|axis| axis.rsplit_once('"')).map_or("", |(name, _)| name.trim_matches('"'));
    Some(format!(
        "{}  {bars}\n{DIM}{} from {} to {}{PLAIN}",
        readable(title),
        readable(axis),
        crate::domain::report::numbers::number(lowest),
        crate::domain::report::numbers::number(highest)
    ))
}

/// Without control characters and without the breaks that only the forge needs.
fn readable(text: &str) -> String {
    visible(&text.replace('\u{200B}', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(body: &str) -> String {
        anstream::adapter::strip_str(&render(body, None)).to_string()
    }

    #[test]
    fn a_comment_reads_like_a_page() {
        let body = "### Sweep `standard-deduction` ✅ 21 runs done\n\n`urban/simple-tax`, in **12 s**.\n\n\
            | Output | Min | Max |\n|:--|--:|--:|\n| `revenue` | 355,280 | 1,393,020 |\n| `units` | 20 | 20 |\n\n\
            ```mermaid\nxychart-beta\n    title \"revenue by STANDARD\"\n    x-axis \"STANDARD (USD)\" 1 --> 4\n    \
            y-axis \"revenue (USD)\" 1 --> 9\n    line [1, 2.5, 4, 8]\n```\n\n\
            **Worth a look:**\n\n- `units` is 20 at every point\n- fixes #\u{200B}1\n\n\
            <details><summary>What exactly runs</summary>\n\n|   |   |\n|:--|:--|\n| Model | `a|b` |\n| Plan | <code>x&#124;y</code> |\n\n\
            </details>\n\n**Files:** [`analysis.csv`](http://x/a.csv) (3 KiB)\n\nTo run it:\n\n```\n/modelship run\n```\n";
        insta::assert_snapshot!(plain(body), @r"
        Sweep standard-deduction ✅ 21 runs done

        urban/simple-tax, in 12 s.

        Output       Min        Max
        revenue  355,280  1,393,020
        units         20         20

        revenue by STANDARD  ▁▃▄█
        revenue (USD) from 1 to 8

        Worth a look:

        - units is 20 at every point
        - fixes #1

        What exactly runs

        Model  `a
        Plan   x|y

        Files: analysis.csv http://x/a.csv (3 KiB)

        To run it:

            /modelship run
        ");
    }

    #[test]
    fn a_hostile_comment_cannot_steer_the_terminal() {
        let text = render("\u{1b}[2J **x** `\u{1b}]0;t\u{7}`\n\n```\n\u{1b}[31m\n```\n\n[a](\u{202E}b)\n", None);
        assert!(!anstream::adapter::strip_str(&text).to_string().contains(['\u{1b}', '\u{202E}', '\u{7}']), "{text:?}");
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\u{1b}]0"), "{text:?}");
    }
}
