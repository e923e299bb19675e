//! What a job is told: `job.json` and the slice's lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::ids::RunId;
use crate::domain::manifest::{Outputs, Run};
use crate::domain::parameters::Value;
use crate::domain::version::Image;

use super::command::DEFAULT_SEARCH_PATH;

/// The number of the run contract that this program speaks. Part of a run's id.
pub const CONTRACT: u32 = 1;

/// Everything that a job needs to know, as `job.json` holds it. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The contract that the job was written for; a runner refuses any other than [`CONTRACT`].
    pub contract: u32,
    /// The job's own directory, where `records.jsonl` and a directory for each run go.
    pub place: PathBuf,
    /// Where the runs' fresh directories are made. On the same file system as `place`, kept files are moved, not copied.
    pub scratch: PathBuf,
    /// Where the built model lies: `{model}`.
    pub model: PathBuf,
    /// The job's runs, one [`SliceLine`] as JSON in each line.
    pub slice: PathBuf,
    /// Most runs at once; at least 1.
    pub parallel: u32,
    /// The slots that the jobs of one machine share; none when this job has the machine for itself.
    #[serde(default)]
    pub slots: Option<SlotsSpec>,
    /// How one run runs.
    pub run: Run,
    /// What a run leaves.
    pub outputs: Outputs,
    /// `PATH` of the model's commands.
    #[serde(default = "default_search_path")]
    pub search_path: String,
    /// Further environment variables of every run.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The image of the container that the job runs in; none when it runs on the machine itself.
    #[serde(default)]
    pub image: Option<Image>,
    /// The file that says how far the slice is taken, when several jobs take their runs from one slice.
    #[serde(default)]
    pub cursor: Option<PathBuf>,
}

impl JobSpec {
    /// This job as it runs in a container of `image`: with the image's variables, and its programs.
    #[must_use]
    pub fn within(self, image: &Image) -> Self {
        let search_path = image.environment.get("PATH").cloned().unwrap_or_else(default_search_path);
        let environment = image.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self {
            model: PathBuf::from(image.model()),
            search_path,
            environment: environment.chain(self.environment).collect(),
            image: Some(image.clone()),
            ..self
        }
    }
}

fn default_search_path() -> String {
    DEFAULT_SEARCH_PATH.to_owned()
}

/// A directory of lock files through which the jobs of one machine share its processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotsSpec {
    /// The directory.
    pub directory: PathBuf,
    /// How many slots there are; a run takes one for each processor that it needs.
    pub count: u32,
}

/// One run of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceLine {
    /// The run.
    pub run: RunId,
    /// Every parameter with its value, in the manifest's order. A JSON object in the file.
    #[serde(serialize_with = "write_in_order", deserialize_with = "read_in_order")]
    pub parameters: Vec<(String, Value)>,
    /// The seed, when the run has one.
    #[serde(default)]
    pub seed: Option<u64>,
}

fn write_in_order<S: Serializer>(parameters: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(parameters.iter().map(|(name, value)| (name, value)))
}

fn read_in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Value)>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, Value)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of parameters")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut parameters = Vec::with_capacity(map.size_hint().unwrap_or(0));
            while let Some(entry) = map.next_entry()? {
                parameters.push(entry);
            }
            Ok(parameters)
        }
    }

    deserializer.deserialize_map(InOrder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_line_keeps_the_order_and_the_kind_of_its_values() {
        let line = SliceLine {
            run: RunId::parse("a".repeat(64)).unwrap(),
            parameters: vec![
                ("ZETA".to_owned(), Value::Float(1500.0)),
                ("ALPHA".to_owned(), Value::Int(1500)),
                ("BIG".to_owned(), Value::Float(1e300)),
                ("YEARS".to_owned(), Value::List(vec![Value::Int(1), Value::Float(2.0)])),
            ],
            seed: Some(u64::MAX),
        };
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.contains(r#""parameters":{"ZETA":1500.0,"ALPHA":1500,"#), "{text}");
        assert_eq!(serde_json::from_str::<SliceLine>(&text).unwrap(), line);
    }
}
