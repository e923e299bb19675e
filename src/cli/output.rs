//! How the terminal is spoken to: data on standard output, everything else on standard error.
//!
//! Colour appears only where a terminal shows it; whatever is piped is plain text or JSON. What models or users wrote
//! loses its control characters before it is printed. Only this module, [`markdown`] and
//! [`progress`](super::progress) print.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::AutoStream;
use comfy_table::Table;
use serde::Serialize;
use serde_json::json;

use super::actions::Step;
use super::arguments::{Global, OutputFormat};
use super::faults::{Surface, render_faults};
use super::markdown;
use super::table::{one_line, render_table};
use crate::domain::diagnostic::Faults;
use crate::domain::ids::Time;
use crate::domain::report::escape::visible;
use crate::engine::{StateError, UnreadableState};
use crate::store::StoreError;

/// How many columns text has where nobody tells the width.
const USUAL_WIDTH: usize = 100;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// What was asked for is done.
    Done = 0,
    /// The user's input or the user's model failed.
    User = 1,
    /// We failed.
    Ours = 2,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a verb ended early.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The user's doing: one sentence with what to do next.
    User(String),
    /// Files that the user wrote are wrong.
    Faults(Faults),
    /// The user's doing, and all about it is printed already.
    Told,
    /// What was asked for cannot be found out, so there is no answer: one sentence with what to do next.
    Cannot(String),
    /// Our fault, or that of what we stand on.
    Ours(anyhow::Error),
}

impl CliError {
    fn status(&self) -> ExitStatus {
        match self {
            Self::User(_) | Self::Faults(_) | Self::Told => ExitStatus::User,
            Self::Cannot(_) | Self::Ours(_) => ExitStatus::Ours,
        }
    }

    /// The same for a verb whose status 1 is an answer: what keeps it from answering gives 2.
    pub(crate) fn without_answer(self) -> Self {
        match self {
            Self::User(message) => Self::Cannot(message),
            Self::Faults(faults) => Self::Cannot(faults.to_string()),
            Self::Told | Self::Cannot(_) | Self::Ours(_) => self,
        }
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        let unreadable = match error.downcast_ref::<StateError>() {
            Some(StateError::Unreadable(unreadable)) => Some(unreadable),
            Some(StateError::Store(_)) | None => error.downcast_ref::<UnreadableState>(),
        };
        match unreadable {
            Some(unreadable) => Self::Cannot(unreadable.to_string()),
            None => Self::Ours(error),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) | StoreError::BadUrl { .. } => Self::User(error.to_string()),
            StoreError::Unavailable(_) | StoreError::LeaseLost { .. } | StoreError::Corrupt { .. } => {
                Self::Ours(error.into())
            }
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<Faults> for CliError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// The terminal, or what stands in its place.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    format: OutputFormat,
    /// Flags that say which instance is meant; the next command needs them too.
    instance: String,
    /// The step of GitHub Actions that this is.
    step: Option<Arc<Step>>,
}

impl Output {
    /// Speaks `format` on standard output.
    pub(crate) fn new(global: &Global) -> Self {
        let flag = |name: &str, path: &Option<PathBuf>| {
            path.as_ref().map_or_else(String::new, |path| format!(" --{name} {}", path.display()))
        };
        Self {
            format: global.output,
            instance: format!("{}{}", flag("settings", &global.settings), flag("state", &global.state)),
            step: (global.output == OutputFormat::Github).then(|| Arc::new(Step::begin())),
        }
    }

    /// Whether the data goes out as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Leaves a value for the steps that come after this one in GitHub Actions; nothing anywhere else.
    pub(crate) fn set(&self, name: &'static str, value: &(impl ToString + ?Sized)) {
        if let Some(step) = &self.step {
            step.set(name, value.to_string());
        }
    }

    /// Adds Markdown to the job's page of GitHub Actions; nothing anywhere else.
    pub(crate) fn summarize(&self, markdown: impl FnOnce() -> String) {
        if let Some(step) = &self.step {
            step.summarize(&markdown());
        }
    }

    /// Ends what was begun with this, and gives the process's exit status.
    pub(crate) fn end(&self, status: ExitStatus) -> ExitStatus {
        match self.step.as_ref().map(|step| step.end()) {
            None | Some(Ok(())) => status,
            Some(Err(error)) => {
                tell(&render_ours(&error));
                ExitStatus::Ours
            }
        }
    }

    // --- data, on standard output -------------------------------------------------------------------------------

    /// Prints `value` as one JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| CliError::Ours(error.into()))?;
        text.push('\n');
        print(io::stdout().lock(), text.as_bytes())
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        print(io::stdout().lock(), bytes)
    }

    /// Prints one line, or several.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        print(anstream::stdout().lock(), format!("{}\n", visible(text)).as_bytes())
    }

    /// Prints what somebody else wrote, such as a log, as it is but for control characters.
    pub(crate) fn text(&self, text: &str) -> Result<(), CliError> {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        print(anstream::stdout().lock(), format!("{}{end}", visible(text)).as_bytes())
    }

    /// Prints a title.
    pub(crate) fn heading(&self, text: &str) -> Result<(), CliError> {
        print(anstream::stdout().lock(), format!("\u{1b}[1m{}\u{1b}[0m\n", visible(text)).as_bytes())
    }

    /// Prints a table. Columns of numbers stand on the right; a terminal's width is kept, a pipe gets whole lines.
    pub(crate) fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        print(anstream::stdout().lock(), render_table(header, rows, stdout_width()).as_bytes())
    }

    /// Prints Markdown, such as a comment's, the way a person reads it.
    pub(crate) fn markdown(&self, body: &str) -> Result<(), CliError> {
        print(anstream::stdout().lock(), markdown::render(body, stdout_width()).as_bytes())
    }

    // --- everything else, on standard error ---------------------------------------------------------------------

    /// Says what can be done next: a command.
    pub(crate) fn next_step(&self, command: &str) {
        let command = match command.strip_prefix("modelship ") {
            Some(rest) if !self.instance.is_empty() => format!("modelship{} {rest}", self.instance),
            _ => command.to_owned(),
        };
        self.say("\u{1b}[36mnext:\u{1b}[0m", &command);
    }

    /// Says something worth knowing.
    pub(crate) fn note(&self, text: &str) {
        self.say("\u{1b}[33mnote:\u{1b}[0m", text);
    }

    /// Asks for a page to be opened, without which the verb cannot go on: said in every mode.
    pub(crate) fn open(&self, address: &str, why: &str) {
        if self.is_json() {
            tell(&format!("{}\n", serde_json::json!({"open": address})));
        } else {
            self.note(&format!("open {address} {why}"));
        }
    }

    /// Says what may be wrong with what is shown.
    pub(crate) fn warning(&self, text: &str) {
        self.say("\u{1b}[1;33mwarning:\u{1b}[0m", text);
        if let Some(step) = &self.step {
            step.warning(text);
        }
    }

    /// Says what went wrong, without ending.
    pub(crate) fn problem(&self, text: &str) {
        if !self.is_json() {
            tell(&render_problem(text));
        }
        if let Some(step) = &self.step {
            step.error(text);
        }
    }

    /// Shows lines that somebody else wrote, such as the end of a log.
    pub(crate) fn quote(&self, lines: &str) {
        if !self.is_json() {
            tell(&render_quote(lines));
        }
    }

    /// Shows faults in files with their places.
    pub(crate) fn faults(&self, faults: &Faults) {
        if !self.is_json() {
            tell(&render_faults(faults, stderr_surface()));
        }
        if let Some(step) = &self.step {
            for fault in &faults.0 {
                step.fault(fault);
            }
        }
    }

    /// Says why a verb ended early and gives the process's exit status.
    pub(crate) fn error(&self, error: &CliError) -> ExitStatus {
        if self.is_json() {
            if let Some(document) = error_document(error) {
                tell(&format!("{document}\n"));
            }
        } else {
            match error {
                CliError::User(message) | CliError::Cannot(message) => self.problem(message),
                CliError::Faults(faults) => self.faults(faults),
                CliError::Told => {}
                CliError::Ours(error) => {
                    tell(&render_ours(error));
                    if let Some(step) = &self.step {
                        step.error(&format!("{error:#}"));
                    }
                }
            }
        }
        error.status()
    }

    /// Whether somebody watches standard error.
    pub(crate) fn has_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// A moment as the user's clock shows it: `2026-11-20 23:44`.
    pub(crate) fn moment(&self, time: Time) -> String {
        match chrono::DateTime::from_timestamp_millis(time.0) {
            Some(utc) => utc.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M").to_string(),
            None => "-".to_owned(),
        }
    }

    fn say(&self, word: &str, text: &str) {
        if !self.is_json() {
            tell(&format!("{word} {}\n", visible(text)));
        }
    }
}

/// Writes to standard output. Whoever closes the pipe early, such as `head`, has seen enough: that is no error.
fn print(mut target: impl Write, bytes: &[u8]) -> Result<(), CliError> {
    match target.write_all(bytes).and_then(|()| target.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::from),
    }
}

/// Writes to standard error, where nobody can be told that it failed.
pub(super) fn tell(text: &str) {
    let mut target = AutoStream::auto(io::stderr()).lock();
    let _ = target.write_all(text.as_bytes());
}

/// The terminal's width; none when standard output is no terminal.
fn stdout_width() -> Option<u16> {
    Table::new().width()
}

fn stderr_surface() -> Surface {
    if io::stderr().is_terminal() {
        let width = Table::new().use_stderr().width().map_or(USUAL_WIDTH, usize::from);
        Surface::Terminal { width }
    } else {
        Surface::Plain
    }
}

fn render_problem(text: &str) -> String {
    format!("\u{1b}[1;31merror:\u{1b}[0m {}\n", visible(text))
}

fn render_quote(lines: &str) -> String {
    visible(lines).trim_end().lines().map(|line| format!("  \u{1b}[2m|\u{1b}[0m {line}\n")).collect()
}

/// Our fault, with the chain of what led to it.
fn render_ours(error: &anyhow::Error) -> String {
    let mut text = render_problem(&error.to_string());
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {}\n", one_line(&cause.to_string())));
    }
    text.push_str("this is not your input's fault; `modelship doctor` looks at what modelship needs\n");
    text
}

/// The error for programs; none when all is told already.
fn error_document(error: &CliError) -> Option<serde_json::Value> {
    let (kind, message, faults) = match error {
        CliError::User(message) => ("user", message.clone(), None),
        CliError::Cannot(message) => ("cannot", message.clone(), None),
        CliError::Faults(faults) => ("faults", faults.to_string(), Some(&faults.0)),
        CliError::Told => return None,
        CliError::Ours(error) => ("ours", format!("{error:#}"), None),
    };
    let mut document = json!({"error": {"kind": kind, "message": message}});
    if let Some(faults) = faults {
        document["error"]["faults"] = json!(faults);
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::domain::diagnostic::Diagnostic;

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        assert_eq!(
            anstream::adapter::strip_str(&render_quote("a\u{7}\nb\u{1b}]0;x\u{7}\n")).to_string(),
            "  | a\n  | b\n"
        );
    }

    #[test]
    fn our_faults_tell_their_causes() {
        let error =
            Err::<(), _>(anyhow::anyhow!("disk is full")).context("failed to write `analysis.csv`").unwrap_err();
        let text = anstream::adapter::strip_str(&render_ours(&error)).to_string();
        insta::assert_snapshot!(text, @r"
        error: failed to write `analysis.csv`
          caused by: disk is full
        this is not your input's fault; `modelship doctor` looks at what modelship needs
        ");
    }

    #[test]
    fn programs_get_errors_as_json() {
        let faults = Faults::from(Diagnostic::of_file("sweeps/x.yaml", "no such file", None));
        insta::assert_snapshot!(error_document(&CliError::Faults(faults)).unwrap(), @r#"{"error":{"kind":"faults","message":"sweeps/x.yaml: no such file","faults":[{"file":"sweeps/x.yaml","line":0,"column":0,"length":1,"excerpt":"","message":"no such file","hint":null}]}}"#);
        insta::assert_snapshot!(error_document(&CliError::User("no model `x`".to_owned())).unwrap(), @r#"{"error":{"kind":"user","message":"no model `x`"}}"#);
        assert_eq!(error_document(&CliError::Told), None);
    }

    #[test]
    fn the_exit_status_tells_whose_fault_it_was() {
        assert_eq!(CliError::User(String::new()).status(), ExitStatus::User);
        assert_eq!(CliError::Told.status(), ExitStatus::User);
        assert_eq!(CliError::Ours(anyhow::anyhow!("x")).status() as u8, 2);
        assert_eq!(CliError::User(String::new()).without_answer().status() as u8, 2);
        assert_eq!(CliError::Told.without_answer().status(), ExitStatus::User);
    }
}
