//! From the shape of a manifest to checked values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::paths::{Allowed, Whole, command, relative};
use super::raw::{CheckedFile, RawColumn, RawFile, RawManifest, RawOutputs, RawResources, RawRows, RawRun, RowLimits};
use super::{
    Build, BuildBy, Column, FileCheck, KEPT_LIMIT, Manifest, Outputs, ParamsFormat, Part, Resources, Rows, Run, Source,
    Summary,
};
use super::{build, expectations, parameters, quantities, source};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::ids::ModelName;
use crate::domain::yaml::{Entries, Files, Placed, Reader, closest, shown};

/// How long a run may take where the manifest says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// What a run needs where the manifest says nothing.
const DEFAULT_RESOURCES: Resources = Resources { milli_cpus: 1000, memory: 1 << 30, gpus: 0 };

/// Where a model's own repository keeps its manifest.
pub(super) const OWN_MANIFEST: &str = "modelship.yaml";

/// Reads the manifest at `path`.
pub(super) fn manifest(path: &str, text: &str, files: &dyn Files) -> Result<Manifest, Faults> {
    let (mut reader, raw) = Reader::record::<RawManifest>(path, text)?;
    let checked = checked(&raw, &mut reader, files);
    reader.finish(checked)
}

/// A fault at `part` of the manifest, whose text can be read: it has been, before.
pub(super) fn fault(path: &str, text: &str, part: Part, message: &str, hint: Option<String>) -> Faults {
    let (mut reader, raw) = match Reader::record::<RawManifest>(path, text) {
        Ok(read) => read,
        Err(faults) => return faults,
    };
    let build = &raw.build.value;
    let place = match part {
        Part::Source => raw.source.as_ref().map(|source| {
            source.value.repo.as_ref().or(source.value.path.as_ref()).map_or(source.place, |named| named.place)
        }),
        Part::Build => Some(raw.build.place),
        Part::Dockerfile => build.dockerfile.as_ref().map(|named| named.place),
        Part::Context => build.context.as_ref().map(|named| named.place),
        Part::Platforms => build.platforms.as_ref().and_then(|named| named.first()).map(|named| named.place),
        Part::Python => build.python.as_ref().map(|named| named.place),
        Part::Debian => build.debian.as_ref().map(|named| named.place),
    };
    reader.fault(place.unwrap_or(raw.build.place), message, hint.clone());
    match reader.finish::<()>(None) {
        Ok(()) => Diagnostic::of_file(path, message, hint).into(),
        Err(faults) => faults,
    }
}

fn checked(raw: &RawManifest, reader: &mut Reader, files: &dyn Files) -> Option<Manifest> {
    let model = model(raw, reader);
    let source = source::source(raw, reader);
    let build = build::build(&raw.build, reader);
    let build_by = build_by(raw, (source.as_ref(), build.as_ref()), reader);
    let run = run(&raw.run, reader);
    let format = run.as_ref().map_or(ParamsFormat::Csv, |run| run.params);
    let parameters = parameters::parameters(raw, source.as_ref(), format, reader, files);
    if let (Some(run), Some(parameters)) = (&run, &parameters) {
        parameters_reach(&raw.run, run, !parameters.is_empty(), reader);
    }
    let sets = parameters.as_ref().and_then(|parameters| parameters::sets(raw.sets.as_ref(), parameters, reader));
    let inputs = paths(raw.inputs.as_deref().unwrap_or_default(), reader);
    let outputs = outputs(&raw.outputs.value, reader);
    let timeout = run.as_ref().map_or(DEFAULT_TIMEOUT, |run| run.timeout);
    let tests = parameters.as_ref().and_then(|parameters| {
        expectations::tests(raw.tests.as_deref().unwrap_or_default(), parameters, timeout, reader)
    });
    Some(Manifest {
        model: model?,
        description: raw.description.clone().unwrap_or_default(),
        source: source?,
        build: build?,
        build_by: build_by?,
        run: run?,
        parameters: parameters?,
        sets: sets?,
        inputs: inputs?,
        outputs: outputs?,
        tests: tests?,
    })
}

/// Who builds the model. Whoever waits for an image must know where, and the image which commit it is of.
fn build_by(
    raw: &RawManifest,
    (source, build): (Option<&Source>, Option<&Build>),
    reader: &mut Reader,
) -> Option<BuildBy> {
    let Some(by) = &raw.build_by else { return Some(BuildBy::default()) };
    if let (Some(Source::Repository { repo, .. }), BuildBy::Actions | BuildBy::Registry) = (source, by.value) {
        let message = format!(
            "the source lies in another repository, `{repo}`, so an image cannot say which commit of this one it is of"
        );
        let hint = "write `build_by: server`, or put the source into this repository and write `source: {path: ...}`";
        reader.fault(by.place, message, Some(hint.to_owned()));
        return None;
    }
    if by.value == BuildBy::Registry && build.is_some_and(|build| build.image.is_none()) {
        let hint = "write `image` below `build`, for instance `image: docker.io/urban/simple-tax`";
        let message = "`build_by: registry` takes images from a registry, and `build` does not say from where";
        reader.fault(by.place, message, Some(hint.to_owned()));
        return None;
    }
    Some(by.value)
}

fn model(raw: &RawManifest, reader: &mut Reader) -> Option<ModelName> {
    let (owner, title) = (&raw.owner.value, &raw.title.value);
    let model = match ModelName::new(owner, title) {
        Ok(model) => model,
        Err(error) => {
            reader.fault(raw.title.place, error.to_string(), None);
            return None;
        }
    };
    let path = reader.source().path().to_owned();
    if path == OWN_MANIFEST {
        return Some(model);
    }
    let hub =
        path.strip_prefix("config/").and_then(|rest| rest.strip_suffix(".yaml")).and_then(|rest| rest.split_once('/'));
    match hub {
        Some((folder, _)) if folder != owner => {
            let hint = Some(format!("write `owner: {folder}`, or move the file to `config/{owner}/{title}.yaml`"));
            reader.fault(raw.owner.place, format!("the owner is `{owner}`, the file lies in `config/{folder}/`"), hint);
            None
        }
        Some((folder, name)) if name != title => {
            let hint = Some(format!("write `title: {name}`, or rename the file to `config/{folder}/{title}.yaml`"));
            reader.fault(raw.title.place, format!("the title is `{title}`, the file is called `{name}.yaml`"), hint);
            None
        }
        Some(_) => Some(model),
        None => {
            let hint = Some(format!(
                "name it `config/{owner}/{title}.yaml`, or `{OWN_MANIFEST}` in the model's own repository"
            ));
            reader.note(Diagnostic::of_file(&path, "a manifest may not lie here", hint));
            None
        }
    }
}

fn run(raw: &Placed<RawRun>, reader: &mut Reader) -> Option<Run> {
    let params = raw.value.params.as_ref().map_or(ParamsFormat::Csv, |params| params.format);
    let allowed = match params {
        ParamsFormat::Args => {
            Allowed { words: &["model", "outputs"], reason: "with `format: args` there is no parameter file" }
        }
        ParamsFormat::Env => {
            Allowed { words: &["model", "outputs"], reason: "with `format: env` there is no parameter file" }
        }
        ParamsFormat::Csv | ParamsFormat::Json | ParamsFormat::Yaml | ParamsFormat::Toml => Allowed::ALL,
    };
    let main = command(&raw.value.command, allowed, reader);
    let summarize = raw.value.summarize.as_ref().map(|words| command(words, allowed, reader));
    let resources = resources(raw.value.resources.as_ref(), reader);
    let timeout = match &raw.value.timeout {
        Some(text) => quantities::duration(text, reader),
        None => Some(DEFAULT_TIMEOUT),
    };
    Some(Run {
        command: main?,
        params,
        summarize: match summarize {
            Some(words) => Some(words?),
            None => None,
        },
        resources: resources?,
        network: raw.value.network.unwrap_or_default(),
        timeout: timeout?,
    })
}

/// A parameter file that no command mentions would be written for nobody.
fn parameters_reach(raw: &Placed<RawRun>, run: &Run, any: bool, reader: &mut Reader) {
    let file = !matches!(run.params, ParamsFormat::Args | ParamsFormat::Env);
    if any && file && !run.command.iter().any(|word| word.contains("{params}")) {
        let hint = Some(
            "say with `{params}` where the command takes the parameter file, or choose `params: {format: args}`"
                .to_owned(),
        );
        reader.fault(raw.value.command.place, "the command never sees its parameters", hint);
    }
}

fn resources(raw: Option<&RawResources>, reader: &mut Reader) -> Option<Resources> {
    let Some(raw) = raw else { return Some(DEFAULT_RESOURCES) };
    let milli_cpus = match &raw.vcpu {
        Some(number) => quantities::milli_cpus(number, reader),
        None => Some(DEFAULT_RESOURCES.milli_cpus),
    };
    let memory = match &raw.memory {
        Some(text) => quantities::memory(text, reader),
        None => Some(DEFAULT_RESOURCES.memory),
    };
    let gpus = match &raw.gpu {
        Some(Placed { value: gpus @ 0..=64, .. }) => u32::try_from(*gpus).ok(),
        Some(Placed { place, .. }) => {
            reader.fault(*place, "`gpu` must lie between 0 and 64", None);
            None
        }
        None => Some(DEFAULT_RESOURCES.gpus),
    };
    Some(Resources { milli_cpus: milli_cpus?, memory: memory?, gpus: gpus? })
}

fn paths(raw: &[Placed<String>], reader: &mut Reader) -> Option<Vec<String>> {
    let mut paths: Vec<String> = Vec::with_capacity(raw.len());
    let mut well = true;
    for written in raw {
        match relative(written, Whole::Refused, reader) {
            Some(path) if paths.contains(&path) => {
                reader.fault(written.place, format!("`{}` is listed twice", shown(&path)), None);
                well = false;
            }
            Some(path) => paths.push(path),
            None => well = false,
        }
    }
    well.then_some(paths)
}

fn outputs(raw: &RawOutputs, reader: &mut Reader) -> Option<Outputs> {
    let columns = columns(raw.columns.as_ref(), reader);
    let (files, file_checks) = files(raw.files.as_deref().unwrap_or_default(), reader);
    let limit = match &raw.limit {
        Some(limit) => quantities::size(limit, reader),
        None => Some(KEPT_LIMIT),
    };
    Some(Outputs {
        summary: summary(&raw.summary, reader)?,
        columns: columns?,
        files: files?,
        file_checks: file_checks?,
        limit: limit?,
        may_be_empty: raw.may_be_empty.unwrap_or_default(),
    })
}

type FileChecks = BTreeMap<String, FileCheck>;

fn files(raw: &[RawFile], reader: &mut Reader) -> (Option<Vec<String>>, Option<FileChecks>) {
    let path = |file: &RawFile| match file {
        RawFile::Path(path) => path.clone(),
        RawFile::Checked(checked) => checked.path.clone(),
    };
    let names: Vec<Placed<String>> = raw.iter().map(path).collect();
    let checks: Vec<Option<(String, FileCheck)>> = raw
        .iter()
        .filter_map(|file| match file {
            RawFile::Path(_) => None,
            RawFile::Checked(checked) => Some(file_check(checked, reader)),
        })
        .collect();
    (paths(&names, reader), checks.into_iter().collect())
}

fn file_check(raw: &CheckedFile, reader: &mut Reader) -> Option<(String, FileCheck)> {
    let path = relative(&raw.path, Whole::Refused, reader)?;
    let may_be_empty = raw.may_be_empty.unwrap_or_default();
    let rows = match &raw.rows {
        None => None,
        Some(rows) if !path.to_ascii_lowercase().ends_with(".csv") => {
            reader.fault(rows.place, "only the rows of a `.csv` file are counted", None);
            return None;
        }
        Some(Placed { value: RawRows::Exactly(rows), .. }) => Some(Rows::Within { min: *rows, max: *rows }),
        Some(Placed { value: RawRows::Same(_), .. }) => Some(Rows::Same),
        Some(Placed { value: RawRows::Within(RowLimits { min, max }), place }) => {
            let (least, most) = (min.unwrap_or(0), max.unwrap_or(u64::MAX));
            if least > most || (min.is_none() && max.is_none()) {
                let hint = Some("write `{min: 1, max: 100}`, or one of them".to_owned());
                reader.fault(*place, "no number of rows fits this", hint);
                return None;
            }
            Some(Rows::Within { min: least, max: most })
        }
    };
    // Whoever says that no row is fine need not say it twice.
    let none_is_fine = matches!(rows, Some(Rows::Within { min: 0, .. }));
    Some((path, FileCheck { rows, may_be_empty: may_be_empty || none_is_fine }))
}

fn summary(raw: &Placed<String>, reader: &mut Reader) -> Option<Summary> {
    if raw.value == "stdout" {
        return Some(Summary::Stdout);
    }
    let path = relative(raw, Whole::Refused, reader)?;
    let lower = path.to_ascii_lowercase();
    if lower.ends_with(".json") || lower.ends_with(".csv") {
        return Some(Summary::File(path));
    }
    let hint = match closest(&path, ["stdout"]) {
        Some(_) => "did you mean `stdout`?",
        None => "name a file that ends with `.json` or `.csv`, or write `stdout`",
    };
    reader.fault(raw.place, format!("`{}` is neither a JSON nor a CSV file", shown(&path)), Some(hint.to_owned()));
    None
}

fn columns(raw: Option<&Entries<RawColumn>>, reader: &mut Reader) -> Option<BTreeMap<String, Column>> {
    let mut columns = BTreeMap::new();
    for (key, RawColumn { unit, min, max, constant, description }) in raw.iter().flat_map(|raw| &raw.0) {
        let (low, high) = (min.as_ref().map(|min| min.value.float()), max.as_ref().map(|max| max.value.float()));
        if let (Some(low), Some(high), Some(max)) = (low, high, max)
            && low > high
        {
            reader.fault(max.place, format!("the maximum of `{}` is below its minimum", shown(&key.name)), None);
            return None;
        }
        let unit = unit.clone().unwrap_or_default();
        let description = description.clone().unwrap_or_default();
        let constant = constant.unwrap_or_default();
        columns.insert(key.name.clone(), Column { unit, min: low, max: high, constant, description });
    }
    Some(columns)
}
