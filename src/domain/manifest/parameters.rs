//! The parameters of a manifest: declared one by one, taken from a base file, or both.

use std::collections::BTreeMap;

use super::guarded::is_guarded;
use super::paths::{Whole, relative};
use super::raw::{RawManifest, RawParameter};
use super::source::in_source;
use super::{ParamsFormat, Source};
use crate::domain::parameters::{BaseParameter, Given, Parameter, ParameterType, Value, read_base};
use crate::domain::yaml::{self, Entries, Files, Key, MAX_TEXT, Place, Placed, Reader, did_you_mean, shown};

/// Most parameters of a model.
const MAX_PARAMETERS: usize = 10_000;

/// Reads the parameters, in the order of the base file and then of the manifest.
pub(super) fn parameters(
    raw: &RawManifest,
    source: Option<&Source>,
    format: ParamsFormat,
    reader: &mut Reader,
    files: &dyn Files,
) -> Option<Vec<Parameter>> {
    let declared = raw.parameters.as_ref().map_or(&[][..], |declared| &declared.0);
    let base = match &raw.parameters_from {
        Some(path) => Base::open(path, source?, reader, files)?,
        None => Base { source: reader.source().clone(), rows: Vec::new() },
    };
    let mut parameters = Vec::new();
    let mut well = true;
    for row in &base.rows {
        let overlay = declared.iter().find(|(key, _)| key.name == row.name);
        well &= base.name(&row.name, row.place, format, reader);
        match base.parameter(row, overlay, reader) {
            Some(parameter) => parameters.push(parameter),
            None => well = false,
        }
    }
    let own = declared.iter().filter(|(key, _)| !base.rows.iter().any(|row| row.name == key.name));
    for (key, raw) in own {
        if let Err((message, hint)) = check_name(&key.name, format) {
            reader.fault(key.place, message, hint);
            well = false;
        }
        match parameter(key, raw, None, reader) {
            Some(parameter) => parameters.push(parameter),
            None => well = false,
        }
    }
    if parameters.len() > MAX_PARAMETERS {
        reader.fault(Place::START, format!("more than {MAX_PARAMETERS} parameters"), None);
        return None;
    }
    well.then_some(parameters)
}

/// The base file, read.
struct Base {
    source: yaml::Source,
    rows: Vec<BaseParameter>,
}

impl Base {
    fn open(path: &Placed<String>, source: &Source, reader: &mut Reader, files: &dyn Files) -> Option<Self> {
        let relative = relative(path, Whole::Refused, reader)?;
        let Some(file) = in_source(source, &relative) else {
            let hint = Some("declare them under `parameters`".to_owned());
            reader.fault(path.place, "parameters cannot be taken from a file of another repository", hint);
            return None;
        };
        let text = match files.read(&file) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let hint = Some("paths in a manifest are relative to the model's source".to_owned());
                reader.fault(path.place, format!("there is no file `{}`", shown(&file)), hint);
                return None;
            }
            Err(error) => {
                reader.fault(path.place, format!("`{}` cannot be read: {error}", shown(&file)), None);
                return None;
            }
        };
        if text.len() > MAX_TEXT {
            reader.fault(path.place, format!("`{}` has more than {MAX_TEXT} bytes", shown(&file)), None);
            return None;
        }
        match read_base(&file, &text) {
            Ok(rows) => Some(Self { source: yaml::Source::new(&file, &text), rows }),
            Err(faults) => {
                faults.into_iter().for_each(|fault| reader.note(fault));
                None
            }
        }
    }

    fn name(&self, name: &str, place: Place, format: ParamsFormat, reader: &mut Reader) -> bool {
        let checked = check_name(name, format);
        if let Err((message, hint)) = &checked {
            reader.note(self.source.fault(place, message.clone(), hint.clone()));
        }
        checked.is_ok()
    }

    /// A row as a parameter, with what the manifest adds to it.
    fn parameter(
        &self,
        row: &BaseParameter,
        overlay: Option<&(Key, RawParameter)>,
        reader: &mut Reader,
    ) -> Option<Parameter> {
        let kind = match row.kind() {
            Ok(kind) => kind,
            Err((place, misfit)) => {
                reader.note(self.source.fault(place, misfit.message, misfit.hint));
                return None;
            }
        };
        let mut parameter = match overlay {
            Some((key, raw)) => parameter(key, raw, Some(kind), reader)?,
            None => Parameter::new(&row.name, kind),
        };
        if parameter.default.is_none() {
            match row.value(&parameter) {
                Ok(value) => parameter.default = Some(value),
                Err((place, misfit)) => {
                    reader.note(self.source.fault(place, misfit.message, misfit.hint));
                    return None;
                }
            }
        }
        Some(parameter)
    }
}

fn parameter(key: &Key, raw: &RawParameter, inferred: Option<ParameterType>, reader: &mut Reader) -> Option<Parameter> {
    let Some(kind) = raw.r#type.or(inferred) else {
        let hint = Some("`type` must be `float`, `int`, `bool`, `string` or `list`".to_owned());
        reader.fault(key.place, format!("`{}` has no `type`", shown(&key.name)), hint);
        return None;
    };
    let mut parameter = Parameter::new(&key.name, kind);
    parameter.unit = raw.unit.clone().unwrap_or_default();
    parameter.description = raw.description.clone().unwrap_or_default();
    if matches!(kind, ParameterType::Bool | ParameterType::String)
        && let Some(bound) = raw.min.as_ref().or(raw.max.as_ref())
    {
        let message = format!("`{}` is of type {} and has no order", key.name, kind.as_str());
        reader.fault(bound.place, message, Some("use `choices`".to_owned()));
        return None;
    }
    let choices: Vec<Option<Value>> =
        raw.choices.iter().flatten().map(|Given(choice)| parameter.read(choice, reader)).collect();
    parameter.choices = choices.into_iter().collect::<Option<_>>()?;
    parameter.min = raw.min.as_ref().map(|min| min.value.float());
    parameter.max = raw.max.as_ref().map(|max| max.value.float());
    if let (Some(min), Some(max), Some(written)) = (parameter.min, parameter.max, &raw.max)
        && min > max
    {
        reader.fault(written.place, format!("the maximum of `{}` is below its minimum", key.name), None);
        return None;
    }
    if let Some(Given(default)) = &raw.default {
        parameter.default = Some(parameter.read(default, reader)?);
    }
    Some(parameter)
}

/// A name that every parameter format, expression and table can carry.
fn check_name(name: &str, format: ParamsFormat) -> Result<(), (String, Option<String>)> {
    let shown = shown(name);
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !letters || name.is_empty() || name.len() > 100 || name.starts_with(|first: char| first.is_ascii_digit()) {
        let hint = "names have letters, digits and `_`, do not begin with a digit, and have at most 100 characters";
        return Err((format!("`{shown}` cannot be a parameter's name"), Some(hint.to_owned())));
    }
    if format == ParamsFormat::Env && is_guarded(name) {
        let hint = "choose another name, or another format than `env`";
        return Err((format!("`{shown}` would change how programs start"), Some(hint.to_owned())));
    }
    Ok(())
}

/// Reads the named sets; each in the order of the parameters.
pub(super) fn sets(
    raw: Option<&Entries<Entries<Given>>>,
    parameters: &[Parameter],
    reader: &mut Reader,
) -> Option<BTreeMap<String, Vec<(String, Value)>>> {
    let mut sets = BTreeMap::new();
    let mut well = true;
    for (key, entries) in raw.iter().flat_map(|raw| &raw.0) {
        match assignments(entries, parameters, reader) {
            Some(values) => _ = sets.insert(key.name.clone(), values),
            None => well = false,
        }
    }
    well.then_some(sets)
}

/// Reads values for some of the parameters, in the parameters' order.
pub(super) fn assignments(
    entries: &Entries<Given>,
    parameters: &[Parameter],
    reader: &mut Reader,
) -> Option<Vec<(String, Value)>> {
    let mut values = Vec::with_capacity(entries.0.len());
    let mut well = true;
    for (key, Given(node)) in &entries.0 {
        let Some(index) = parameters.iter().position(|parameter| parameter.name == key.name) else {
            let hint = did_you_mean(&key.name, parameters.iter().map(|parameter| parameter.name.as_str()));
            reader.fault(key.place, format!("there is no parameter `{}`", shown(&key.name)), hint);
            well = false;
            continue;
        };
        match parameters[index].read(node, reader) {
            Some(value) => values.push((index, value)),
            None => well = false,
        }
    }
    values.sort_by_key(|(index, _)| *index);
    well.then(|| values.into_iter().map(|(index, value)| (parameters[index].name.clone(), value)).collect())
}
