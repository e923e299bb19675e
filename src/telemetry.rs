//! Tracing: what the program says about its own work, to stderr and nowhere else. Stdout belongs to the answer.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::fmt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    Text,
    /// One JSON object for each line, for machines.
    Json,
}

/// Sends what is traced to stderr from now on. Call it once, at the start.
///
/// `filter` says what is shown, as `tracing_subscriber` writes it: `info`, `modelship=debug,warn`.
///
/// # Errors
/// When `filter` cannot be read, or tracing is set up already.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("cannot read the log filter `{filter}`; write for instance `info` or `modelship=debug`")
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    let done = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| anyhow::anyhow!(error)).context("cannot set up logging")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let error = init(LogFormat::Text, "modelship=loud").unwrap_err();
        assert!(error.to_string().contains("`modelship=loud`"), "{error}");
    }
}
