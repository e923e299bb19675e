//! The sweep file: what a user declares, read and checked as far as that is possible without the model.

mod limits;
mod raw;

use serde_json::json;

use super::plan::RunLimits;
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::event::SweepRequest;
use crate::domain::ids::{ModelName, SweepName};
use crate::domain::manifest::{Manifest, TestKind};
use crate::domain::yaml::{Place, Placed, Reader, Source, shown};

pub(crate) use limits::{budget_usd, parallel};
pub(crate) use raw::{Condition, Declared, Generator, RawDesign, RawLogRange, RawRange, RawSweep};

/// A sweep file, read. [`super::points::Design`] makes points of it once the model's manifest is known.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    /// The sweep's name.
    pub name: SweepName,
    /// The model.
    pub model: ModelName,
    /// What stands after `@`: a channel, branch, tag, commit or digest.
    pub reference: Option<String>,
    /// The outputs of interest, first one first; empty means all.
    pub outputs: Vec<String>,
    limits: RunLimits,
    model_place: Place,
    raw: RawSweep,
    source: Source,
}

impl SweepSpec {
    /// Reads the sweep file that lies at `path`.
    ///
    /// # Errors
    /// Every fault that shows without the model's manifest.
    pub fn parse(path: &str, text: &str) -> Result<Self, Faults> {
        let (mut reader, raw) = Reader::record::<RawSweep>(path, text)?;
        let spec = Self::checked(raw, &mut reader);
        reader.finish(spec)
    }

    /// The runs that the tests of the manifest at `path` declare, as a sweep called `tests`.
    ///
    /// # Errors
    /// When no test is a run.
    pub fn of_tests(path: &str, manifest: &Manifest) -> Result<Self, Faults> {
        let points: Vec<serde_json::Value> = manifest
            .tests
            .iter()
            .filter_map(|test| match &test.kind {
                TestKind::Run { parameters, .. } => {
                    Some(parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
                }
                TestKind::Command { .. } => None,
            })
            .map(serde_json::Value::Object)
            .collect();
        if points.is_empty() {
            let hint = Some("write a test with `parameters` and `expect`".to_owned());
            return Err(Diagnostic::of_file(path, "no test of the manifest runs the model", hint).into());
        }
        // JSON is YAML, so this is a sweep file like any other.
        let file = json!({"sweep": "tests", "model": manifest.model.to_string(), "design": {"points": points}});
        Self::parse(path, &file.to_string())
    }

    fn checked(raw: RawSweep, reader: &mut Reader) -> Option<Self> {
        let name = name(&raw.sweep, reader);
        let model = model(&raw.model, reader);
        let limits = limits::limits(raw.run.as_ref(), reader);
        let mut outputs: Vec<String> = Vec::new();
        for output in raw.outputs.iter().flatten() {
            if outputs.contains(&output.value) {
                reader.fault(output.place, format!("`{}` is listed twice", shown(&output.value)), None);
            } else {
                outputs.push(output.value.clone());
            }
        }
        let (model, reference) = model?;
        let model_place = raw.model.place;
        Some(Self {
            name: name?,
            model,
            reference,
            outputs,
            limits: limits?,
            model_place,
            raw,
            source: reader.source().clone(),
        })
    }

    /// The part of the file that decides what has to be there before it can be planned.
    #[must_use]
    pub fn request(&self) -> SweepRequest {
        SweepRequest { name: self.name.clone(), model: self.model.clone(), reference: self.reference.clone() }
    }

    /// The limits that the file sets.
    #[must_use]
    pub fn limits(&self) -> RunLimits {
        self.limits.clone()
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.source.path()
    }

    /// A fault of what the file names as its model.
    #[must_use]
    pub fn model_fault(&self, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        self.source.fault(self.model_place, message, hint)
    }

    /// The file as it is spelled.
    pub(crate) fn raw(&self) -> &RawSweep {
        &self.raw
    }

    /// The file, for diagnostics.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

fn name(raw: &Placed<String>, reader: &mut Reader) -> Option<SweepName> {
    let name = match SweepName::parse(raw.value.as_str()) {
        Ok(name) => name,
        Err(error) => {
            reader.fault(raw.place, error.to_string(), None);
            return None;
        }
    };
    let stem = reader.source().path().strip_prefix("sweeps/").and_then(|rest| rest.strip_suffix(".yaml"));
    if let Some(stem) = stem.filter(|stem| !stem.contains('/') && *stem != name.as_str()).map(str::to_owned) {
        let hint = Some(format!("write `sweep: {stem}`, or rename the file to `sweeps/{name}.yaml`"));
        reader.fault(raw.place, format!("the sweep is called `{name}`, its file `{stem}.yaml`"), hint);
        return None;
    }
    Some(name)
}

fn model(raw: &Placed<String>, reader: &mut Reader) -> Option<(ModelName, Option<String>)> {
    let (name, reference) = match raw.value.split_once('@') {
        Some((name, reference)) => (name, Some(reference)),
        None => (raw.value.as_str(), None),
    };
    let model = match ModelName::parse(name) {
        Ok(model) => model,
        Err(error) => {
            let hint = Some("write `owner/title` or `owner/title@production`".to_owned());
            reader.fault(raw.place, error.to_string(), hint);
            return None;
        }
    };
    let plain = |text: &str| {
        let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '~' | '^' | '?' | '*' | '[' | '\\' | '`');
        !text.is_empty() && text.len() <= 200 && !text.starts_with('-') && text.chars().all(fine)
    };
    match reference {
        Some(reference) if !plain(reference) => {
            let hint = Some("name a channel, branch, tag, commit or digest: `@production`".to_owned());
            reader.fault(raw.place, format!("`@{}` names no version", shown(reference)), hint);
            None
        }
        Some(reference) => Some((model, Some(reference.to_owned()))),
        None => Some((model, None)),
    }
}
