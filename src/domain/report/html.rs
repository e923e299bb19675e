//! Text as it stands in HTML.

use crate::domain::sweep::plan::MovedParameter;

/// `text` as it stands in an element or a quoted attribute. What turns the direction of everything after it, or does
/// nothing that a reader could see, is marked.
#[must_use]
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if is_deceptive(c) => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn is_deceptive(c: char) -> bool {
    let turns = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() && !matches!(c, '\n' | '\t' | '\r')
}

/// A sentence that is Markdown without what marks it.
#[must_use]
pub fn plain(markdown: &str) -> String {
    markdown.chars().filter(|c| !matches!(c, '`' | '\u{200B}')).collect()
}

/// What is shown beside a scale, such as `revenue (USD)`.
#[must_use]
pub fn with_unit(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
}

/// How a parameter moves, such as `STANDARD (USD): range 1600 .. 1900 step 100`. It is text, and no HTML yet.
#[must_use]
pub fn told_move(moved: &MovedParameter) -> String {
    format!("{}: {}", with_unit(&moved.name, &moved.unit), plain(&moved.declared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_elements_and_attributes() {
        assert_eq!(
            html("<img src=x onerror=\"a('b')\">&amp;\u{202E}\u{0}"),
            "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;amp;\u{FFFD}\u{FFFD}"
        );
    }
}
