//! Workflow commands: lines of a step's output that GitHub's runner acts on.
//!
//! Every property and message is escaped, so that no text ends a command early or begins another one.

use crate::domain::diagnostic::Diagnostic;
use crate::domain::report::escape::visible;

/// How many annotations of one kind GitHub shows for a step. More are dropped without a word.
pub(super) const MOST_ANNOTATIONS: usize = 10;

/// How grave an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It failed.
    Error,
    /// It may be wrong.
    Warning,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// An annotation of the step.
pub(super) fn annotation(level: Level, message: &str) -> String {
    format!("::{} title=modelship::{}", level.word(), data(message))
}

/// An annotation of a line in a file.
pub(super) fn fault(fault: &Diagnostic) -> String {
    let mut place = format!("file={}", property(&fault.file));
    if fault.line > 0 {
        let end = fault.column.saturating_add(fault.length.max(1) - 1);
        place.push_str(&format!(",line={},col={},endColumn={end}", fault.line, fault.column));
    }
    let message = match &fault.hint {
        Some(hint) => format!("{}\nhint: {hint}", fault.message),
        None => fault.message.clone(),
    };
    format!("::error {place},title=modelship::{}", data(&message))
}

/// Tells the runner to take no commands until `token` comes.
pub(super) fn stop(token: &str) -> String {
    format!("::stop-commands::{token}\n")
}

/// Tells the runner to take commands again.
pub(super) fn resume(token: &str) -> String {
    // What was printed before may lack its line end.
    format!("\n::{token}::\n")
}

fn data(text: &str) -> String {
    visible(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stands_at_its_line() {
        let told = fault(&Diagnostic {
            file: "sweeps/a.yaml".to_owned(),
            line: 12,
            column: 3,
            length: 9,
            excerpt: String::new(),
            message: "unknown key `parametrs`".to_owned(),
            hint: Some("write `parameters`".to_owned()),
        });
        assert_eq!(
            told,
            "::error file=sweeps/a.yaml,line=12,col=3,endColumn=11,title=modelship::unknown key `parametrs`%0Ahint: write `parameters`"
        );
    }

    #[test]
    fn no_text_ends_a_command_or_begins_one() {
        let told = fault(&Diagnostic::of_file("a,line=1::b%0A\n::set-env", "100 %\r\n::error::x\u{1b}[2J", None));
        assert_eq!(told, "::error file=a%2Cline=1%3A%3Ab%250A%0A%3A%3Aset-env,title=modelship::100 %25%0A::error::x");
        assert_eq!(annotation(Level::Warning, "a\n::b"), "::warning title=modelship::a%0A::b");
    }
}
