//! The sweep file as it is spelled: the shape alone. What it means for a model's parameters, [`super::super::design`]
//! works out.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::domain::parameters::Given;
use crate::domain::yaml::{
    Entries, Exact, Kind, Node, Place, Placed, Read, Reader, Scalar, did_you_mean, record, shown,
};

record! {
    /// A sweep: runs of one model with different parameters. A parameter is a plain value (fixed), a list (levels) or a
    /// one-key mapping (generator).
    pub(crate) struct RawSweep {
        /// The sweep's name; the file is `sweeps/<name>.yaml`.
        sweep: Placed<String>,
        /// The model, `owner/title`, with `@` and a channel, branch, tag, commit or digest if need be.
        model: Placed<String>,
        /// Parameter sets of the manifest to begin with, layered in order.
        start_from: Option<OneOrMany>,
        /// The parameters that differ from the defaults.
        parameters: Option<Entries<Declared>>,
        /// Parameters that move together: `[[A, B]]`.
        zip: Option<Vec<Placed<Vec<Placed<String>>>>>,
        /// An expression over parameters that every point of the design must satisfy.
        r#where: Option<Condition>,
        /// Further points; what an entry leaves out has its fixed or default value.
        include: Option<Vec<Placed<Entries<Given>>>>,
        /// Points to leave out: those that match every key of an entry.
        exclude: Option<Vec<Placed<Entries<Given>>>>,
        /// The point that every other one is compared with; run once.
        baseline: Option<Placed<Entries<Given>>>,
        /// How points are made: `grid` (default) or `{points: ...}`.
        design: Option<RawDesign>,
        /// The results of interest, first one first; all by default.
        outputs: Option<Vec<Placed<String>>>,
        /// Limits on the execution.
        run: Option<RawLimits>,
    }
    later {
        "scenarios" => "write one sweep for each scenario, or add the scenario's parameters as a list",
        "replicates" => "add the model's own seed as a parameter with a list of values",
        "score" => "every output is in the analysis table; score it there",
        "collate" => "the analysis is always written as CSV and Parquet",
        "plots" => "one chart is drawn when one parameter moves",
        "compare" => "compare two sweeps by their analysis tables",
        "steps" => "chain the steps in the model's own command",
    }
}

record! {
    /// Limits on the execution.
    pub(crate) struct RawLimits {
        /// Most runs at once.
        max_parallel: Option<Placed<u64>>,
        /// Most that the sweep may cost: `2 USD`.
        budget: Option<Placed<String>>,
        /// Stop once more than this many runs (`3`) or this share of them (`5%`) has failed.
        max_failures: Option<Placed<Threshold>>,
        /// How many runs go ahead of all others; all others follow only if one of them succeeds. 0 for none; by default
        /// one where 20 or more are new.
        canary: Option<Placed<u64>>,
        /// How long a job should last where short runs share one: `4m`.
        pack: Option<Placed<String>>,
        /// Which failed runs are done again by themselves.
        retry: Option<RawRetry>,
    }
    later {
        "executor" => "the instance's settings choose the executor",
        "resources" => "the manifest's `run.resources` decides",
        "timeout" => "the manifest's `run.timeout` decides",
    }
}

record! {
    /// How often failed runs are done again by themselves, by class of failure.
    pub(crate) struct RawRetry {
        /// Rounds in a row that may bring no result before interrupted runs are given up, the first one left out; 2 by
        /// default.
        interruption: Option<Placed<u64>>,
        /// Runs that were out of memory: how often they are given more, or that and by how much; once and `x2` by default.
        oom: Option<OutOfMemory>,
        /// Runs that took longer than their limit; 0 by default.
        timeout: Option<Placed<u64>>,
        /// Runs that failed by their own doing; 0 by default.
        error: Option<Placed<u64>>,
    }
}

record! {
    /// How often, and with how much more.
    pub(crate) struct RawOutOfMemory {
        /// How often.
        times: Placed<u64>,
        /// What the memory is multiplied with each time: `x2`.
        memory: Option<Placed<String>>,
    }
}

/// How often runs that were out of memory are given more.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum OutOfMemory {
    /// So often, twice as much each time.
    Times(Placed<u64>),
    /// So often and so much.
    Rule(RawOutOfMemory),
}

impl Read for OutOfMemory {
    const EXPECTED: &'static str = "a number, or `{times: 2, memory: x2}`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.kind {
            Kind::Mapping(_) => Read::read(node, reader).map(Self::Rule),
            Kind::Scalar(_) => Placed::read(node, reader).map(Self::Times),
            Kind::Sequence(_) => {
                Self::mismatch(node, reader);
                None
            }
        }
    }
}

record! {
    /// Evenly spaced levels, both ends included: with `step`, or with `num` levels.
    pub(crate) struct RawRange {
        /// The first level.
        start: Placed<Exact>,
        /// The last level.
        stop: Placed<Exact>,
        /// From one level to the next; must divide the distance.
        step: Option<Placed<Exact>>,
        /// How many levels; at least 2.
        num: Option<Placed<u64>>,
    }
}

record! {
    /// Levels in equal proportions, both ends included. The ends are values, not exponents.
    pub(crate) struct RawLogRange {
        /// The first level; above 0.
        start: Placed<Exact>,
        /// The last level; above 0.
        stop: Placed<Exact>,
        /// How many levels; at least 2.
        num: Placed<u64>,
    }
}

/// What a sweep says of one parameter.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Declared {
    /// A generator of levels, or `{value: [...]}` for a fixed list.
    Generator(Placed<Generator>),
    /// The levels.
    Levels(Placed<Vec<Given>>),
    /// One value for every run.
    Fixed(Given),
}

/// A generator of levels.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Generator {
    /// Evenly spaced levels.
    Range(RawRange),
    /// Levels in equal proportions.
    LogRange(RawLogRange),
    /// The levels, one by one.
    Choice(Vec<Given>),
    /// One value for every run, also where it is a list.
    Value(Given),
}

/// Generators of the grammar that this release does not have.
const LATER_GENERATORS: [&str; 9] =
    ["uniform", "loguniform", "int", "normal", "lognormal", "triangular", "series", "expr", "file"];

/// Generators that this release has.
const GENERATORS: [&str; 4] = ["range", "logrange", "choice", "value"];

impl Read for Declared {
    const EXPECTED: &'static str = "a value, a list of levels or a generator";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.kind {
            Kind::Mapping(_) => Placed::read(node, reader).map(Self::Generator),
            Kind::Sequence(_) => Placed::read(node, reader).map(Self::Levels),
            Kind::Scalar(_) => Given::read(node, reader).map(Self::Fixed),
        }
    }
}

impl Read for Generator {
    const EXPECTED: &'static str = "a generator such as `{range: {start: 0, stop: 1, num: 11}}`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let (key, value) = only_entry::<Self>(node, reader)?;
        match key.as_str() {
            "range" => Read::read(value, reader).map(Self::Range),
            "logrange" => Read::read(value, reader).map(Self::LogRange),
            "choice" => Read::read(value, reader).map(Self::Choice),
            "value" => Read::read(value, reader).map(Self::Value),
            later if LATER_GENERATORS.contains(&later) => {
                let hint = Some("use `range`, `logrange`, `choice` or a list".to_owned());
                reader.fault(key_place(node), format!("generator `{later}` is not part of this release"), hint);
                None
            }
            other => {
                let hint = did_you_mean(other, GENERATORS);
                reader.fault(key_place(node), format!("unknown generator `{}`", shown(other)), hint);
                None
            }
        }
    }
}

/// How points are made.
#[derive(Debug, Clone)]
pub(crate) enum RawDesign {
    /// Every combination of levels.
    Grid,
    /// The points that are listed.
    Inline(Placed<Vec<Placed<Entries<Given>>>>),
    /// The rows of a CSV file with a header of parameter names, relative to the sweep file.
    File(Placed<String>),
}

/// Designs of the grammar that this release does not have.
const LATER_DESIGNS: [&str; 7] = ["oat", "random", "lhs", "sobol", "saltelli", "morris", "adaptive-grid"];

impl Read for RawDesign {
    const EXPECTED: &'static str = "`grid` or `{points: ...}`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let (name, place, value) = match &node.kind {
            Kind::Scalar(scalar) if !node.is_null() => (scalar.text.clone(), node.place, None),
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => {
                let (name, value) = only_entry::<Self>(node, reader)?;
                (name, key_place(node), Some(value))
            }
        };
        match (name.as_str(), value) {
            ("grid", None) => Some(Self::Grid),
            ("grid", Some(value)) => {
                if !value.is_null() && !matches!(&value.kind, Kind::Mapping(entries) if entries.is_empty()) {
                    reader.fault(value.place, "design `grid` has no settings", Some("write `design: grid`".to_owned()));
                    return None;
                }
                Some(Self::Grid)
            }
            ("points", Some(value)) => match value.kind {
                Kind::Sequence(_) => Placed::read(value, reader).map(Self::Inline),
                Kind::Scalar(_) | Kind::Mapping(_) => Placed::read(value, reader).map(Self::File),
            },
            ("points", None) => {
                let hint = "write `{points: [{A: 1, B: 2}, ...]}` or `{points: file.csv}`".to_owned();
                reader.fault(place, "design `points` does not say which points", Some(hint));
                None
            }
            (later, _) if LATER_DESIGNS.contains(&later) => {
                let message = format!("design `{later}` is not part of this release; use `grid` or `points`");
                reader.fault(place, message, None);
                None
            }
            (other, _) => {
                let hint = did_you_mean(other, ["grid", "points"]);
                reader.fault(place, format!("unknown design `{}`", shown(other)), hint);
                None
            }
        }
    }
}

impl JsonSchema for RawDesign {
    fn schema_name() -> Cow<'static, str> {
        "Design".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let points = generator.subschema_for::<Vec<Entries<Given>>>();
        schemars::json_schema!({
            "description": "How points are made.",
            "anyOf": [
                { "const": "grid", "description": "Every combination of levels." },
                {
                    "type": "object",
                    "properties": {
                        "points": {
                            "description": "The points themselves, or a CSV file with a header of parameter names, relative to this file.",
                            "anyOf": [points, { "type": "string" }]
                        }
                    },
                    "required": ["points"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// An expression, as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// Its text and how that is quoted.
    pub(crate) scalar: Scalar,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Read for Condition {
    const EXPECTED: &'static str = "an expression in quotes, for instance `\"A + B <= 1\"`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            Self::mismatch(node, reader);
            return None;
        };
        Some(Self { scalar: scalar.clone(), place: node.place })
    }
}

impl JsonSchema for Condition {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "boolean"] })
    }
}

/// One name or several.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany(pub(crate) Vec<Placed<String>>);

impl Read for OneOrMany {
    const EXPECTED: &'static str = "a name or a list of names";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.kind {
            Kind::Sequence(_) => Read::read(node, reader).map(Self),
            Kind::Scalar(_) | Kind::Mapping(_) => Placed::read(node, reader).map(|name| Self(vec![name])),
        }
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// A number of runs, or a share of them in percent.
#[derive(Debug, Clone)]
pub(crate) struct Threshold(pub(crate) String);

impl Read for Threshold {
    const EXPECTED: &'static str = "a number of runs or a share such as `5%`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            Self::mismatch(node, reader);
            return None;
        };
        Some(Self(scalar.text.trim().to_owned()))
    }
}

impl JsonSchema for Threshold {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "%$" }] })
    }
}

/// The one entry of a mapping.
fn only_entry<'n, T: Read>(node: &'n Node, reader: &mut Reader) -> Option<(String, &'n Node)> {
    match &node.kind {
        Kind::Mapping(entries) if entries.len() == 1 => Some((entries[0].0.name.clone(), &entries[0].1)),
        Kind::Mapping(entries) => {
            let keys: Vec<String> = entries.iter().take(4).map(|(key, _)| format!("`{}`", shown(&key.name))).collect();
            let message = format!("expected {}, found a mapping with {} keys", T::EXPECTED, keys.len());
            reader.fault(node.place, message, (!keys.is_empty()).then(|| format!("keep one of {}", keys.join(", "))));
            None
        }
        Kind::Scalar(_) | Kind::Sequence(_) => {
            T::mismatch(node, reader);
            None
        }
    }
}

/// Where the first key of a mapping stands.
fn key_place(node: &Node) -> Place {
    match &node.kind {
        Kind::Mapping(entries) => entries.first().map_or(node.place, |(key, _)| key.place),
        Kind::Scalar(_) | Kind::Sequence(_) => node.place,
    }
}
