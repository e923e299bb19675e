//! Faults in a user's files, drawn for a terminal or written for a log.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};

use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::report::escape::visible;
use crate::domain::report::excerpt;

/// What faults are shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// A terminal of this many columns.
    Terminal {
        /// The columns.
        width: usize,
    },
    /// A pipe or a file.
    Plain,
}

/// Every fault with its place, its line and its hint.
pub(super) fn render_faults(faults: &Faults, surface: Surface) -> String {
    faults
        .0
        .iter()
        .map(|fault| match surface {
            Surface::Terminal { width } => drawn(fault, width),
            Surface::Plain => plain(fault),
        })
        .collect()
}

fn plain(fault: &Diagnostic) -> String {
    let place = match fault.line {
        0 => fault.file.clone(),
        line => format!("{}:{line}:{}", fault.file, fault.column),
    };
    let mut text = format!("error: {}: {}\n", one_line(&place), one_line(&fault.message));
    if let Some(excerpt) = excerpt(fault) {
        text.extend(excerpt.lines().map(|line| format!("  {line}\n")));
    }
    if let Some(hint) = &fault.hint {
        text.push_str(&format!("  hint: {}\n", one_line(hint)));
    }
    text
}

fn drawn(fault: &Diagnostic, width: usize) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(width).with_links(false);
    match handler.render_report(&mut text, &Drawn::of(fault)) {
        Ok(()) => text,
        Err(fmt::Error) => plain(fault),
    }
}

fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// A fault in the drawing library's words.
#[derive(Debug)]
struct Drawn {
    message: String,
    hint: Option<String>,
    place: Option<Place>,
}

/// The one line that is known of a file.
#[derive(Debug)]
struct Place {
    file: String,
    /// From 0.
    line: usize,
    text: String,
    span: SourceSpan,
}

impl Drawn {
    fn of(fault: &Diagnostic) -> Self {
        let text = one_line(&fault.excerpt);
        if fault.line == 0 || text.trim().is_empty() {
            let message = format!("{}: {}", one_line(&fault.file), one_line(&fault.message));
            return Self { message, hint: fault.hint.as_deref().map(one_line), place: None };
        }
        let start = byte_of(&text, fault.column.max(1) as usize - 1);
        let end = byte_of(&text, fault.column.max(1) as usize - 1 + fault.length.max(1) as usize);
        let place = Place {
            file: one_line(&fault.file),
            line: fault.line as usize - 1,
            span: (start, end - start).into(),
            text,
        };
        Self { message: one_line(&fault.message), hint: fault.hint.as_deref().map(one_line), place: Some(place) }
    }
}

/// Where the character at `index` begins, or the text's end.
fn byte_of(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl miette::Diagnostic for Drawn {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.hint.as_ref()?))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| place as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, place.span))))
    }
}

impl SourceCode for Place {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if span.offset() + span.len() > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        // Without context the question is where the fault is; with context, what the line says.
        let column = match context_lines_before + context_lines_after {
            0 => self.text[..span.offset()].chars().count(),
            _ => 0,
        };
        let whole = SourceSpan::from((0, self.text.len()));
        let text = self.text.as_bytes();
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), text, whole, self.line, column, 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        Faults(vec![
            Diagnostic {
                file: "sweeps/standard-deduction.yaml".to_owned(),
                line: 12,
                column: 3,
                length: 9,
                excerpt: "  parametrs: {é: 1}".to_owned(),
                message: "unknown key `parametrs`".to_owned(),
                hint: Some("write `parameters`".to_owned()),
            },
            Diagnostic::of_file("config/urban/simple-tax.yaml", "no such file", None),
        ])
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        insta::assert_snapshot!(render_faults(&faults(), Surface::Plain), @r"
        error: sweeps/standard-deduction.yaml:12:3: unknown key `parametrs`
          12 |   parametrs: {é: 1}
             |   ^^^^^^^^^
          hint: write `parameters`
        error: config/urban/simple-tax.yaml: no such file
        ");
    }

    #[test]
    fn a_terminal_gets_a_drawing_with_the_files_own_line_number() {
        let text = render_faults(&faults(), Surface::Terminal { width: 80 });
        insta::assert_snapshot!(anstream::adapter::strip_str(&text), @r"
         × unknown key `parametrs`
           ╭─[sweeps/standard-deduction.yaml:12:3]
        12 │   parametrs: {é: 1}
           ·   ─────────
           ╰────
         help: write `parameters`
         × config/urban/simple-tax.yaml: no such file
        ");
    }

    #[test]
    fn places_beyond_the_line_and_hostile_texts_are_harmless() {
        let mut fault = faults().0.remove(0);
        (fault.column, fault.length) = (500, 500);
        fault.excerpt = "\u{1b}[2Jx\u{202E}".to_owned();
        fault.message = "two\nlines\u{7}".to_owned();
        for surface in [Surface::Plain, Surface::Terminal { width: 40 }] {
            let text = anstream::adapter::strip_str(&render_faults(&Faults(vec![fault.clone()]), surface)).to_string();
            assert!(text.contains("x\u{FFFD}") && text.contains("two lines"), "{text}");
            assert!(!text.contains(['\u{1b}', '\u{202E}', '\u{7}']), "{text}");
        }
    }
}
