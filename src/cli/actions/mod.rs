//! `--output github`: a verb as a step of GitHub Actions.
//!
//! While a verb works, the runner takes no commands from what is printed, so that no log of a model can set a variable or
//! hide a line. At the end come the annotations, the outputs for later steps and the summary of the job's page.

pub(super) mod changed;
mod command;
mod files;
pub(super) mod push;
pub(super) mod register;
pub(super) mod summary;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use command::{Level, MOST_ANNOTATIONS};

use crate::domain::diagnostic::Diagnostic;
use crate::engine;
use crate::settings;

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    /// Where `GITHUB_OUTPUT` points.
    output: Option<PathBuf>,
    /// Where `GITHUB_STEP_SUMMARY` points.
    summary: Option<PathBuf>,
    /// What lets the runner take commands again.
    token: String,
    told: Mutex<Told>,
}

/// What is told at the step's end.
#[derive(Debug, Default)]
struct Told {
    errors: Vec<String>,
    warnings: Vec<String>,
    outputs: Vec<(&'static str, String)>,
    summary: String,
}

impl Step {
    /// Begins the step: from here on nothing that is printed is a command.
    pub(super) fn begin() -> Self {
        // The runner reads both streams side by side; in one stream nothing overtakes the end.
        if let Err(error) = rustix::stdio::dup2_stderr(std::io::stdout()) {
            tracing::warn!(error = %error, "standard error cannot be joined to standard output");
        }
        let token = engine::new_id();
        print(&command::stop(&token));
        let (output, summary) = (settings::step_file("GITHUB_OUTPUT"), settings::step_file("GITHUB_STEP_SUMMARY"));
        Self { output, summary, token, told: Mutex::default() }
    }

    /// Marks a file's line.
    pub(super) fn fault(&self, fault: &Diagnostic) {
        self.told().errors.push(command::fault(fault));
    }

    /// Marks the step with what went wrong.
    pub(super) fn error(&self, message: &str) {
        self.told().errors.push(command::annotation(Level::Error, message));
    }

    /// Marks the step with what may be wrong.
    pub(super) fn warning(&self, message: &str) {
        self.told().warnings.push(command::annotation(Level::Warning, message));
    }

    /// Leaves a value for later steps.
    pub(super) fn set(&self, name: &'static str, value: String) {
        self.told().outputs.push((name, value));
    }

    /// Adds to the job's page.
    pub(super) fn summarize(&self, markdown: &str) {
        let mut told = self.told();
        told.summary.push_str(markdown);
        told.summary.push_str("\n\n");
    }

    /// Ends the step: tells all that was gathered.
    ///
    /// # Errors
    /// When one of GitHub's files cannot be written.
    pub(super) fn end(&self) -> Result<()> {
        let told = std::mem::take(&mut *self.told());
        let mut text = command::resume(&self.token);
        for annotations in [told.errors, told.warnings] {
            let surplus = annotations.len().saturating_sub(MOST_ANNOTATIONS);
            for line in annotations.iter().take(MOST_ANNOTATIONS) {
                text.push_str(line);
                text.push('\n');
            }
            if surplus > 0 {
                text.push_str(&format!("and {surplus} more, which stand in the log above\n"));
            }
        }
        print(&text);
        if let Some(file) = &self.output {
            for (name, value) in &told.outputs {
                files::add_output(file, name, value, &format!("modelship-{}", engine::new_id()))
                    .with_context(|| format!("cannot set the step's output `{name}`"))?;
            }
        }
        if let (Some(file), false) = (&self.summary, told.summary.is_empty()) {
            files::add_summary(file, &told.summary).context("cannot write the step's summary")?;
        }
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to standard output. When nobody listens there is nobody to tell.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
