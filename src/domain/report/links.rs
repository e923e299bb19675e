//! Where readers find what a sweep and its runs left.

use super::value;
use crate::domain::ids::{ModelName, RunId};
use crate::domain::sweep::analysis::ArtifactFile;
use crate::domain::sweep::state::SweepReport;

/// Where readers find files of the artifact store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// What a file's key is appended to: the server's address, or that of the artifact store's folder on this machine.
    /// None when neither can be opened, and then the key itself is shown.
    pub base_url: Option<String>,
}

impl Links {
    /// Markdown that leads to `file`.
    pub(super) fn to(&self, file: &ArtifactFile) -> String {
        match &self.base_url {
            Some(base) => {
                let path: Vec<String> = file.key.split('/').map(percent_encoded).collect();
                format!("[{}]({}/{})", value(&file.name), base.trim_end_matches('/'), path.join("/"))
            }
            None => format!("{} at {}", value(&file.name), super::escape::code(&file.key)),
        }
    }

    /// Markdown that names the run and leads to what it printed, where a server answers.
    pub(super) fn to_log(&self, run: &RunId) -> String {
        match self.log_address(run) {
            Some(address) => format!("[{}]({address})", value(run.short())),
            None => value(run.short()),
        }
    }

    /// Where a server shows what the run printed.
    pub(super) fn log_address(&self, run: &RunId) -> Option<String> {
        Some(format!("{}/log", self.run_address(run)?))
    }

    /// Where a server shows the run.
    #[must_use]
    pub fn run_address(&self, run: &RunId) -> Option<String> {
        Some(format!("{}/runs/{run}", self.server()?))
    }

    /// Where a server shows the model: its versions, and where its channels point.
    #[must_use]
    pub fn model_address(&self, model: &ModelName) -> Option<String> {
        Some(format!("{}/models/{model}", self.server()?))
    }

    /// Where a server shows the sweep: its report once there is one.
    pub(super) fn sweep_address(&self, report: &SweepReport) -> Option<String> {
        let page = if report.phase.analysis().is_some() { "/report.html" } else { "" };
        Some(format!("{}/sweeps/{}{page}", self.server()?, percent_encoded(report.plan.id.as_str())))
    }

    /// The server's address, where there is one that asks who reads.
    fn server(&self) -> Option<&str> {
        let server = self.base_url.as_deref().filter(|base| !base.starts_with("file:"));
        server.map(|base| base.trim_end_matches('/'))
    }
}

/// The address of a directory of this machine.
#[must_use]
pub fn directory_url(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(percent_encoded).collect();
    format!("file://{}", parts.join("/"))
}

/// `part` as one part of an address: everything but plain letters, digits and `-._` encoded.
#[must_use]
pub fn percent_encoded(part: &str) -> String {
    let mut encoded = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
