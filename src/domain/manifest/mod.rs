//! The manifest: what a model is, how it is built, run and tested.
//!
//! These are the checked values that the rest of the program works with. They serialise to one canonical JSON form,
//! from which hashes are taken.

mod build;
mod check;
mod dockerfile;
mod expectations;
mod guarded;
mod parameters;
pub(super) mod paths;
mod quantities;
mod raw;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::diagnostic::Faults;
use super::ids::{Digest, ModelName};
use super::image::ImageName;
use super::parameters::{Parameter, Value};
use super::yaml::Files;

pub use dockerfile::{Bases, PACKAGES, Requirements, Surroundings, declared_arguments};
pub use guarded::is_guarded;
pub(super) use raw::RawManifest;

/// How long may a build take whose manifest does not say?
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How many bytes may a run's kept files have together when its manifest does not say?
const KEPT_LIMIT: u64 = 4 << 30;

/// A model's manifest, read and checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `owner/title`.
    pub model: ModelName,
    /// One line on what it is.
    pub description: String,
    /// Where the source lies.
    pub source: Source,
    /// How it is built.
    pub build: Build,
    /// Who builds it.
    pub build_by: BuildBy,
    /// How one run runs.
    pub run: Run,
    /// The parameters, in the manifest's order.
    pub parameters: Vec<Parameter>,
    /// Named parameter sets that a sweep can start from.
    pub sets: BTreeMap<String, Vec<(String, Value)>>,
    /// Input files within the source whose digests are part of a run's id.
    pub inputs: Vec<String>,
    /// What a run leaves.
    pub outputs: Outputs,
    /// What must hold before a build becomes a version.
    pub tests: Vec<Test>,
}

impl Manifest {
    /// Reads the manifest that lies at `path`; `files` are the files of the same commit.
    ///
    /// # Errors
    /// Every fault that was found, in the manifest or in a file that it names.
    pub fn parse(path: &str, text: &str, files: &dyn Files) -> Result<Self, Faults> {
        check::manifest(path, text, files)
    }

    /// Whether a manifest may lie at `path`: `config/<owner>/<title>.yaml`, or the root's `modelship.yaml`.
    #[must_use]
    pub fn is_path(path: &str) -> bool {
        let hub = path.strip_prefix("config/").and_then(|rest| rest.strip_suffix(".yaml"));
        path == check::OWN_MANIFEST || hub.is_some_and(|rest| rest.split('/').count() == 2)
    }

    /// The hash of a manifest's text, as versions record it.
    #[must_use]
    pub fn hash(text: &str) -> Digest {
        Digest::of(text)
    }

    /// A fault of the manifest `text` at what it says of `part`: found where nobody looks while reading, in the source.
    #[must_use]
    pub fn fault(path: &str, text: &str, part: Part, message: &str, hint: Option<String>) -> Faults {
        check::fault(path, text, part, message, hint)
    }

    /// What of the manifest decides a run's outcome, as canonical JSON (sorted keys). Limits that decide only whether a
    /// run finishes (time, resources) and the checks on its outputs are not part of it.
    #[must_use]
    pub fn execution(&self) -> serde_json::Value {
        let mut files = self.outputs.files.clone();
        files.sort();
        serde_json::json!({
            "command": self.run.command,
            "files": files,
            "network": self.run.network,
            "params": self.run.params,
            "summarize": self.run.summarize,
            "summary": self.outputs.summary,
        })
    }

    /// The parameter called `name`, with its place in the manifest's order.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<(usize, &Parameter)> {
        self.parameters.iter().enumerate().find(|(_, parameter)| parameter.name == name)
    }
}

/// A part of a manifest that names something in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `source`.
    Source,
    /// `build`, as a whole.
    Build,
    /// `build.dockerfile`.
    Dockerfile,
    /// `build.context`.
    Context,
    /// `build.platforms`.
    Platforms,
    /// `build.python`.
    Python,
    /// `build.debian`.
    Debian,
}

/// Where a model's source lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A folder of the manifest's own repository at the manifest's own commit; `.` is the whole repository.
    Path(String),
    /// A folder of another repository.
    Repository {
        /// Its address.
        repo: String,
        /// Branch, tag or commit.
        reference: String,
        /// The folder there.
        path: String,
    },
}

/// How a model is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Commands for the `process` builder, each an argv list, run in a clean copy of the source. None when the
    /// manifest has no `process` build; empty when there is nothing to do.
    pub process: Option<Vec<Vec<String>>>,
    /// The Dockerfile for the `docker` builder.
    pub docker: Option<DockerBuild>,
    /// The environment of a model without a Dockerfile; `process` runs in it.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Where images of it lie that are built elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageName>,
    /// How long the build may take.
    #[serde(default = "build_limit")]
    pub timeout: Duration,
}

fn build_limit() -> Duration {
    BUILD_LIMIT
}

impl Default for Build {
    fn default() -> Self {
        Self { process: None, docker: None, environment: None, image: None, timeout: BUILD_LIMIT }
    }
}

impl Build {
    /// The commands that build the model from its source; none when only a Dockerfile says how.
    #[must_use]
    pub fn commands(&self) -> Option<&[Vec<String>]> {
        match (&self.process, &self.environment) {
            (Some(commands), _) => Some(commands),
            (None, Some(_)) => Some(&[]),
            (None, None) => None,
        }
    }
}

/// What a model without a Dockerfile needs around it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// A pip requirements file within the source, for a Python model.
    pub python: Option<String>,
    /// Names of Debian packages, sorted.
    pub debian: Vec<String>,
}

/// A Dockerfile build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerBuild {
    /// The Dockerfile's path within the source.
    pub dockerfile: String,
    /// The build context within the source.
    pub context: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Platforms, for instance `linux/amd64`.
    pub platforms: Vec<String>,
}

/// Who builds a model's commits. One authority for each model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildBy {
    /// The server.
    #[default]
    Server,
    /// GitHub Actions, which registers what it built.
    Actions,
    /// Whoever pushes images to the registry; the server tests and registers those.
    Registry,
}

/// How one run runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The command: an argv list with `{model}`, `{params}`, `{outputs}` filled in.
    pub command: Vec<String>,
    /// The parameter file's format.
    pub params: ParamsFormat,
    /// An optional second step that makes the summary; same placeholders.
    pub summarize: Option<Vec<String>>,
    /// What one run needs.
    pub resources: Resources,
    /// Whether the run may use the network.
    pub network: Network,
    /// How long one run may take, command and summary together.
    pub timeout: Duration,
}

/// How parameters reach the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamsFormat {
    /// A file of lines `NAME,v1[,v2...]`.
    #[default]
    Csv,
    /// A JSON object.
    Json,
    /// A YAML mapping.
    Yaml,
    /// A TOML table.
    Toml,
    /// No file: `--NAME=value` appended to the command, one argument for each parameter.
    Args,
    /// No file: an environment variable for each parameter.
    Env,
}

/// What one run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processors, in thousandths of one.
    pub milli_cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// GPUs.
    pub gpus: u32,
}

/// Whether a run may use the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Yes.
    #[default]
    Open,
    /// No; an executor that cannot forbid it refuses the model.
    None,
}

/// What a run leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Where the summary is.
    pub summary: Summary,
    /// Checks on the summary's columns.
    pub columns: BTreeMap<String, Column>,
    /// Files kept for each run, relative to `{outputs}`.
    pub files: Vec<String>,
    /// Most bytes of the kept files of one run together; a run that leaves more fails.
    #[serde(default = "kept_limit")]
    pub limit: u64,
    /// What kept files must be, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub file_checks: BTreeMap<String, FileCheck>,
    /// Whether a summary without any value is fine.
    #[serde(default)]
    pub may_be_empty: bool,
}

/// What a kept CSV file must be. Anything else fails the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// How many rows it must have.
    pub rows: Option<Rows>,
    /// Whether it may have none.
    pub may_be_empty: bool,
}

/// How many rows a kept CSV file must have, its header not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// So many.
    Within {
        /// At least.
        min: u64,
        /// At most.
        max: u64,
    },
    /// As many in every run of a sweep.
    Same,
}

fn kept_limit() -> u64 {
    KEPT_LIMIT
}

/// Where a run's summary is: one row of the analysis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// A file relative to `{outputs}`: flat JSON, a two-column CSV or a one-row CSV, told apart by name and content.
    File(String),
    /// What the command (or `summarize`) prints, in one of the same forms.
    Stdout,
}

/// What one output column must be. Missing, NaN or out of range fails the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its unit; empty when there is none.
    pub unit: String,
    /// Smallest allowed value.
    pub min: Option<f64>,
    /// Largest allowed value.
    pub max: Option<f64>,
    /// Whether it is the same in every run of a sweep.
    #[serde(default)]
    pub constant: bool,
    /// What it means.
    pub description: String,
}

/// Something that must hold before a build becomes a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: TestKind,
    /// How long it may take.
    pub timeout: Duration,
}

/// The two kinds of test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// One run of the model, whose outputs must be as expected.
    Run {
        /// Parameters that differ from their defaults.
        parameters: Vec<(String, Value)>,
        /// What each named output must be.
        expect: Vec<(String, Expectation)>,
    },
    /// A command in the built model's folder that must end with status 0.
    Command {
        /// The argv list.
        command: Vec<String>,
    },
}

/// What an output must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The value.
    pub value: Value,
    /// Allowed relative difference; 0 means exact for text and whole numbers and 1e-9 is the default for floats.
    pub relative: f64,
    /// Allowed absolute difference.
    pub absolute: f64,
}

#[cfg(test)]
mod tests;
