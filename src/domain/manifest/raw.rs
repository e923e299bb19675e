//! The manifest as its file spells it: the shape alone. What the values mean is checked in [`super::check`].

use schemars::JsonSchema;

use super::{BuildBy, Network, ParamsFormat};
use crate::domain::parameters::{Given, ParameterType};
use crate::domain::yaml::{Entries, Exact, Kind, Node, Placed, Read, Reader, read_word, record};

record! {
    /// A model's manifest: what it is, how it is built, run and tested. Paths are relative to the model's source.
    #[schemars(title = "modelship manifest")]
    pub(crate) struct RawManifest {
        /// Who the model belongs to; the folder of `config/<owner>/<title>.yaml`.
        owner: Placed<String>,
        /// The model's title; the file name of `config/<owner>/<title>.yaml`.
        title: Placed<String>,
        /// One line on what the model is.
        description: Option<String>,
        /// Where the source lies. Needed in a hub repository; in a model's own repository it is the whole of it.
        source: Option<Placed<RawSource>>,
        /// How the model is built.
        build: Placed<RawBuild>,
        /// Who builds the model's commits: the server (default), GitHub Actions, or whoever pushes `build.image`.
        build_by: Option<Placed<BuildBy>>,
        /// How one run runs.
        run: Placed<RawRun>,
        /// The parameters by name.
        parameters: Option<Entries<RawParameter>>,
        /// A file of rows `NAME,v1[,v2...]` with parameters and their defaults; `parameters` adds to it.
        parameters_from: Option<Placed<String>>,
        /// Named parameter sets that a sweep can start from.
        sets: Option<Entries<Entries<Given>>>,
        /// Input files whose content is part of a run's id.
        inputs: Option<Vec<Placed<String>>>,
        /// What a run leaves.
        outputs: Placed<RawOutputs>,
        /// What must hold before a build becomes a version.
        tests: Option<Vec<Placed<RawTest>>>,
    }
}

record! {
    /// Where a model's source lies: a folder of this repository, or of another one.
    pub(crate) struct RawSource {
        /// The folder; `.` is the whole repository.
        path: Option<Placed<String>>,
        /// The address of another repository.
        repo: Option<Placed<String>>,
        /// Branch, tag or commit of the other repository; `main` by default.
        r#ref: Option<Placed<String>>,
    }
}

record! {
    /// How a model is built: either or both; the instance's settings choose.
    pub(crate) struct RawBuild {
        /// The Dockerfile.
        dockerfile: Option<Placed<String>>,
        /// The folder that the Dockerfile may copy from; `.` by default.
        context: Option<Placed<String>>,
        /// Build arguments of the Dockerfile.
        args: Option<Entries<String>>,
        /// Platforms to build for: `linux/amd64`.
        platforms: Option<Vec<Placed<String>>>,
        /// A pip requirements file. A model without a Dockerfile names its environment, and gets an image with Python and
        /// these packages; built as processes it gets the packages beside its source.
        python: Option<Placed<String>>,
        /// Debian packages that a model without a Dockerfile needs to be built and to run.
        debian: Option<Placed<Vec<Placed<String>>>>,
        /// Commands, each a list of words, run in a clean copy of the source; `[]` when there is nothing to build. With
        /// `python` or `debian` they run in that environment.
        process: Option<Vec<Placed<Vec<Placed<String>>>>>,
        /// The repository of images, with its registry, that images built elsewhere are pushed to.
        image: Option<Placed<String>>,
        /// How long the build may take: `10m`, `2h`. 1 hour by default.
        timeout: Option<Placed<String>>,
    }
}

record! {
    /// How one run runs.
    pub(crate) struct RawRun {
        /// The command as a list of words; `{model}`, `{params}` and `{outputs}` stand for paths.
        command: Placed<Vec<Placed<String>>>,
        /// How parameters reach the model.
        params: Option<RawParams>,
        /// A second command that makes the summary from what the first one wrote.
        summarize: Option<Placed<Vec<Placed<String>>>>,
        /// What one run needs.
        resources: Option<RawResources>,
        /// Whether the run may use the network: `open` (default) or `none`.
        network: Option<Network>,
        /// How long one run may take: `10m`, `1h 30m`. 10 minutes by default.
        timeout: Option<Placed<String>>,
    }
}

record! {
    /// How parameters reach the model.
    pub(crate) struct RawParams {
        /// The format: `csv` (rows `NAME,v1[,v2...]`, the default), `json`, `yaml`, `toml`, `args` or `env`.
        format: ParamsFormat,
    }
}

record! {
    /// What one run needs.
    pub(crate) struct RawResources {
        /// Processors, from 0.001; 1 by default.
        vcpu: Option<Placed<Exact>>,
        /// Memory with its unit: `512 MiB`. 1 GiB by default.
        memory: Option<Placed<String>>,
        /// GPUs; none by default.
        gpu: Option<Placed<u64>>,
    }
}

record! {
    /// One parameter.
    pub(crate) struct RawParameter {
        /// The type. Needed unless `parameters_from` has the parameter.
        r#type: Option<ParameterType>,
        /// The value where nothing else is said; without one, every sweep must say it.
        default: Option<Given>,
        /// Smallest allowed value.
        min: Option<Placed<Exact>>,
        /// Largest allowed value.
        max: Option<Placed<Exact>>,
        /// The only allowed values.
        choices: Option<Vec<Given>>,
        /// The unit.
        unit: Option<String>,
        /// What the parameter means.
        description: Option<String>,
    }
}

record! {
    /// What a run leaves.
    pub(crate) struct RawOutputs {
        /// The file with the run's results (flat JSON, two-column CSV or one-row CSV), or `stdout`.
        summary: Placed<String>,
        /// Checks on results by name: missing, NaN or out of range fails the run.
        columns: Option<Entries<RawColumn>>,
        /// Files that are kept for each run, relative to `{outputs}`.
        files: Option<Vec<RawFile>>,
        /// Whether a summary without any value is fine. Otherwise it fails the run.
        may_be_empty: Option<bool>,
        /// Most that the kept files of one run may have together: `200 MiB`. 4 GiB by default.
        limit: Option<Placed<String>>,
    }
    later {
        "reduce" => "this version takes the summary from `run.summarize` or from a file that the model writes",
    }
}

record! {
    /// A kept file with what it must be.
    pub(crate) struct CheckedFile {
        /// The file, relative to `{outputs}`.
        path: Placed<String>,
        /// How many rows it must have: a number, `{min: ..., max: ...}`, or `same` in every run. Only for CSV files.
        rows: Option<Placed<RawRows>>,
        /// Whether a CSV file without any row is fine. Otherwise it fails the run.
        may_be_empty: Option<bool>,
    }
}

record! {
    /// Least and most rows.
    pub(crate) struct RowLimits {
        /// Least rows.
        min: Option<u64>,
        /// Most rows.
        max: Option<u64>,
    }
}

/// A kept file: its path, or its path with what it must be.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum RawFile {
    /// The path.
    Path(Placed<String>),
    /// The path with what the file must be.
    Checked(CheckedFile),
}

impl Read for RawFile {
    const EXPECTED: &'static str = "a path or `{path: ..., rows: ...}`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.kind {
            Kind::Mapping(_) => Read::read(node, reader).map(Self::Checked),
            Kind::Scalar(_) | Kind::Sequence(_) => Placed::read(node, reader).map(Self::Path),
        }
    }
}

/// How many rows a file must have.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum RawRows {
    /// This many.
    Exactly(u64),
    /// So many at least and at most.
    Within(RowLimits),
    /// As many in every run of a sweep.
    Same(SameRows),
}

/// The word for as many rows in every run.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum SameRows {
    /// As many in every run of a sweep.
    Same,
}

impl Read for SameRows {
    const EXPECTED: &'static str = "a number, `{min: ..., max: ...}` or `same`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("same", Self::Same)])
    }
}

impl Read for RawRows {
    const EXPECTED: &'static str = SameRows::EXPECTED;

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.kind {
            Kind::Mapping(_) => Read::read(node, reader).map(Self::Within),
            Kind::Scalar(scalar) if scalar.text.bytes().all(|byte| byte.is_ascii_digit()) && !node.is_null() => {
                Read::read(node, reader).map(Self::Exactly)
            }
            Kind::Scalar(_) | Kind::Sequence(_) => Read::read(node, reader).map(Self::Same),
        }
    }
}

record! {
    /// What one result must be.
    pub(crate) struct RawColumn {
        /// Its unit.
        unit: Option<String>,
        /// Smallest allowed value.
        min: Option<Placed<Exact>>,
        /// Largest allowed value.
        max: Option<Placed<Exact>>,
        /// Whether it is the same in every run of a sweep, as a count of cases is. What is not declared so and never
        /// changes is warned of, and so is what is declared so and changes.
        constant: Option<bool>,
        /// What it means.
        description: Option<String>,
    }
}

record! {
    /// A test: either one run of the model with expected results, or a command.
    pub(crate) struct RawTest {
        /// The test's name.
        name: Placed<String>,
        /// Parameters that differ from their defaults.
        parameters: Option<Entries<Given>>,
        /// What results must be, by name.
        expect: Option<Entries<RawExpectation>>,
        /// A command as a list of words, run in the built model's folder; it must end with status 0.
        command: Option<Placed<Vec<Placed<String>>>>,
        /// How long the test may take; the run's own limit by default.
        timeout: Option<Placed<String>>,
    }
}

record! {
    /// An expected result with its tolerance.
    pub(crate) struct Tolerance {
        /// The value.
        value: Given,
        /// Allowed relative difference: `1e-3`.
        rel: Option<Placed<Exact>>,
        /// Allowed absolute difference.
        abs: Option<Placed<Exact>>,
    }
}

/// An expected result: a value, or a value with a tolerance.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum RawExpectation {
    /// The value itself.
    Value(Placed<Given>),
    /// The value with a tolerance.
    Within(Placed<Tolerance>),
}

impl Read for RawExpectation {
    const EXPECTED: &'static str = "a value or `{value: ..., rel: ..., abs: ...}`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.kind {
            Kind::Mapping(_) => Placed::read(node, reader).map(Self::Within),
            Kind::Scalar(_) | Kind::Sequence(_) => Placed::read(node, reader).map(Self::Value),
        }
    }
}

impl Read for BuildBy {
    const EXPECTED: &'static str = "`server`, `actions` or `registry`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("server", Self::Server), ("actions", Self::Actions), ("registry", Self::Registry)])
    }
}

impl Read for Network {
    const EXPECTED: &'static str = "`open` or `none`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("open", Self::Open), ("none", Self::None)])
    }
}

impl Read for ParamsFormat {
    const EXPECTED: &'static str = "a format";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let words = [
            ("csv", Self::Csv),
            ("json", Self::Json),
            ("yaml", Self::Yaml),
            ("toml", Self::Toml),
            ("args", Self::Args),
            ("env", Self::Env),
        ];
        read_word(node, reader, &words)
    }
}

impl Read for ParameterType {
    const EXPECTED: &'static str = "a type";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let all = [Self::Float, Self::Int, Self::Bool, Self::String, Self::List];
        read_word(node, reader, &all.map(|kind| (kind.as_str(), kind)))
    }
}
