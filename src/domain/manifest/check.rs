//! From the shape of a manifest to checked values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::paths::{Allowed, Whole, command, joined, relative};
use super::raw::{
    CheckedFile, RawBuild, RawColumn, RawFile, RawManifest, RawOutputs, RawResources, RawRows, RawRun, RawSource,
    RowLimits,
};
use super::{
    Build, Column, DockerBuild, FileCheck, Manifest, Outputs, ParamsFormat, Resources, Rows, Run, Source, Summary,
};
use super::{expectations, parameters, quantities};
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

fn checked(raw: &RawManifest, reader: &mut Reader, files: &dyn Files) -> Option<Manifest> {
    let model = model(raw, reader);
    let source = source(raw, reader);
    let build = build(&raw.build, reader);
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
        build_by: raw.build_by.unwrap_or_default(),
        run: run?,
        parameters: parameters?,
        sets: sets?,
        inputs: inputs?,
        outputs: outputs?,
        tests: tests?,
    })
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

fn source(raw: &RawManifest, reader: &mut Reader) -> Option<Source> {
    let Some(Placed { value: RawSource { path, repo, r#ref }, place }) = &raw.source else {
        if reader.source().path() == OWN_MANIFEST {
            return Some(Source::Path(".".to_owned()));
        }
        let hint = format!("write `source: {{path: models/{}}}`, or wherever the source lies", shown(&raw.title.value));
        reader.fault(raw.title.place, "`source` is missing", Some(hint));
        return None;
    };
    let folder = match path {
        Some(path) => relative(path, Whole::Allowed, reader)?,
        None => ".".to_owned(),
    };
    match (repo, r#ref) {
        (Some(repo), reference) => {
            let reference = reference.as_ref().map_or("main", |reference| reference.value.as_str());
            Some(Source::Repository { repo: address(repo, reader)?, reference: reference.to_owned(), path: folder })
        }
        (None, Some(reference)) => {
            let hint = Some("a folder of this repository is always taken at the manifest's own commit".to_owned());
            reader.fault(reference.place, "`ref` needs `repo`", hint);
            None
        }
        (None, None) if path.is_none() => {
            reader.fault(*place, "`source` needs `path` or `repo`", None);
            None
        }
        (None, None) => Some(Source::Path(folder)),
    }
}

fn address(repo: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let address = repo.value.strip_prefix("https://").or_else(|| repo.value.strip_prefix("ssh://"));
    let plain = |rest: &str| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
    if address.is_some_and(plain) {
        return Some(repo.value.clone());
    }
    let hint = Some("write `https://...` or `ssh://...`".to_owned());
    reader.fault(repo.place, format!("`{}` is not a repository's address", shown(&repo.value)), hint);
    None
}

fn build(raw: &Placed<RawBuild>, reader: &mut Reader) -> Option<Build> {
    let RawBuild { dockerfile, context, args, platforms, process } = &raw.value;
    if dockerfile.is_none() && process.is_none() {
        let hint = Some("write `dockerfile: Dockerfile`, `process: [[make]]`, or both".to_owned());
        reader.fault(raw.place, "`build` says neither `dockerfile` nor `process`", hint);
        return None;
    }
    let docker = match dockerfile {
        Some(dockerfile) => Some(DockerBuild {
            dockerfile: relative(dockerfile, Whole::Refused, reader)?,
            context: match context {
                Some(context) => relative(context, Whole::Allowed, reader)?,
                None => ".".to_owned(),
            },
            args: args.iter().flat_map(|args| &args.0).map(|(key, value)| (key.name.clone(), value.clone())).collect(),
            platforms: platforms
                .iter()
                .flatten()
                .map(|platform| self::platform(platform, reader))
                .collect::<Option<_>>()?,
        }),
        None => {
            let place = context.as_ref().map(|context| context.place);
            let place = place.or_else(|| args.as_ref().and_then(|args| args.0.first()).map(|(key, _)| key.place));
            let place =
                place.or_else(|| platforms.as_ref().and_then(|platforms| platforms.first()).map(|first| first.place));
            if let Some(place) = place {
                reader.fault(place, "`context`, `args` and `platforms` belong to a `dockerfile`", None);
                return None;
            }
            None
        }
    };
    let no_paths = Allowed { words: &[], reason: "the command runs in the copy of the source; use relative paths" };
    let process = match process {
        Some(commands) => {
            let commands: Vec<Option<_>> = commands.iter().map(|words| command(words, no_paths, reader)).collect();
            Some(commands.into_iter().collect::<Option<Vec<_>>>()?)
        }
        None => None,
    };
    Some(Build { process, docker })
}

fn platform(platform: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let parts: Vec<&str> = platform.value.split('/').collect();
    if (2..=3).contains(&parts.len()) && parts.iter().all(|part| word(part)) {
        return Some(platform.value.clone());
    }
    let hint = Some("write `linux/amd64` or `linux/arm64`".to_owned());
    reader.fault(platform.place, format!("`{}` is not a platform", shown(&platform.value)), hint);
    None
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
    Some(Outputs {
        summary: summary(&raw.summary, reader)?,
        columns: columns?,
        files: files?,
        file_checks: file_checks?,
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

/// The repository's path of a file that the manifest names within its source; none when the source lies elsewhere.
pub(super) fn in_source(source: &Source, path: &str) -> Option<String> {
    match source {
        Source::Path(folder) => Some(joined(folder, path)),
        Source::Repository { .. } => None,
    }
}
