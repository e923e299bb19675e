//! `modelship validate`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::arguments::Validate;
use super::output::{CliError, Output};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::manifest::Manifest;
use crate::domain::policy::Policy;
use crate::domain::report::numbers;
use crate::domain::schema;
use crate::domain::sweep::points::{Design, Limits};
use crate::domain::sweep::spec::SweepSpec;
use crate::domain::yaml::Files;
use crate::edge::source::Source;

/// Checks files as they lie in the work tree, or writes the schemas.
pub(crate) fn validate(validate: &Validate, cwd: &Path, output: &Output) -> Result<(), CliError> {
    if let Some(directory) = &validate.schemas {
        return write_schemas(&cwd.join(directory), output);
    }
    let work_tree = WorkTree::around(cwd)?;
    let files = if validate.files.is_empty() {
        work_tree.all()?
    } else {
        validate.files.iter().map(|file| work_tree.relative(cwd, file)).collect::<Result<_, _>>()?
    };
    if files.is_empty() {
        return Err(CliError::User(
            "there is nothing to check here: no `modelship.yaml`, no `config/<owner>/<title>.yaml`, no `sweeps/<name>.yaml`"
                .to_owned(),
        ));
    }
    let mut checked = Vec::new();
    let mut faults = Vec::new();
    for file in &files {
        match work_tree.check(file) {
            Ok(what) => checked.push((file.clone(), what)),
            Err(found) => faults.extend(found.0),
        }
    }
    if output.is_json() {
        let good: Vec<_> = checked.iter().map(|(file, what)| json!({"file": file, "what": what})).collect();
        output.json(&json!({"valid": good, "faults": faults}))?;
        return if faults.is_empty() { Ok(()) } else { Err(CliError::Told) };
    }
    let rows: Vec<_> = checked.into_iter().map(|(file, what)| vec![file, what]).collect();
    if !rows.is_empty() {
        output.table(&["FILE", "IS"], &rows)?;
    }
    if !faults.is_empty() {
        return Err(CliError::Faults(Faults(faults)));
    }
    match files.as_slice() {
        [only] if only.starts_with("sweeps/") => output.next_step(&format!("modelship sweep plan {only}")),
        _ => output.next_step("modelship build"),
    }
    Ok(())
}

/// The files of the work tree, as they are now.
pub(super) struct WorkTree {
    root: PathBuf,
}

impl WorkTree {
    /// The work tree that `cwd` lies in; `cwd` itself when there is no repository.
    pub(super) fn around(cwd: &Path) -> Result<Self, CliError> {
        let root =
            Source::discover(cwd).ok().and_then(|source| source.work_tree()).unwrap_or_else(|| cwd.to_path_buf());
        Ok(Self { root: fs_err::canonicalize(root).map_err(anyhow::Error::from)? })
    }

    /// Every manifest that is in order.
    pub(super) fn manifests(&self) -> Vec<Manifest> {
        let files = self.all().unwrap_or_default();
        let manifests = files.iter().filter(|file| *file == "modelship.yaml" || file.starts_with("config/"));
        manifests.filter_map(|file| Manifest::parse(file, &self.read(file).ok()??, self).ok()).collect()
    }

    fn check(&self, file: &str) -> Result<String, Faults> {
        let text = match self.read(file) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(Diagnostic::of_file(file, "there is no such file", None).into()),
            Err(message) => return Err(Diagnostic::of_file(file, message, None).into()),
        };
        if file == "config/policy.yaml" {
            return Policy::parse(file, &text).map(|_| "policy".to_owned());
        }
        if file == "modelship.yaml" || file.starts_with("config/") {
            let manifest = Manifest::parse(file, &text, self)?;
            let parameters = u64::try_from(manifest.parameters.len()).unwrap_or(u64::MAX);
            return Ok(format!("manifest of {}, {}", manifest.model, numbers::plural(parameters, "parameter")));
        }
        let spec = SweepSpec::parse(file, &text)?;
        let Some(manifest) = self.manifest_of(&spec)? else {
            return Ok(format!("sweep of {} (its manifest is not here, or has faults)", spec.model));
        };
        let design = Design::new(&spec, &manifest, self, Limits::default())?;
        let runs = numbers::plural(design.runs(), "run");
        Ok(format!("sweep of {}, {runs} by {}", spec.model, design.name()))
    }

    /// The manifest of the sweep's model as it is in the work tree, when it is here and in order.
    fn manifest_of(&self, spec: &SweepSpec) -> Result<Option<Manifest>, Faults> {
        for path in [format!("config/{}.yaml", spec.model), "modelship.yaml".to_owned()] {
            if let Ok(Some(text)) = self.read(&path)
                && let Ok(manifest) = Manifest::parse(&path, &text, self)
                && manifest.model == spec.model
            {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// Every manifest, sweep file and policy.
    fn all(&self) -> Result<Vec<String>, CliError> {
        let mut files = Vec::new();
        for (directory, depth) in [("config", 2), ("sweeps", 3)] {
            self.collect(Path::new(directory), depth, &mut files).map_err(anyhow::Error::from)?;
        }
        files.retain(|file| file.ends_with(".yaml") || file.ends_with(".yml"));
        files.sort();
        if self.root.join("modelship.yaml").is_file() {
            files.insert(0, "modelship.yaml".to_owned());
        }
        Ok(files)
    }

    fn collect(&self, directory: &Path, depth: u32, files: &mut Vec<String>) -> std::io::Result<()> {
        let at = self.root.join(directory);
        if depth == 0 || !at.is_dir() {
            return Ok(());
        }
        for entry in fs_err::read_dir(at)? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.collect(&path, depth - 1, files)?;
            } else if let Some(text) = path.to_str() {
                files.push(text.to_owned());
            }
        }
        Ok(())
    }

    fn relative(&self, cwd: &Path, file: &Path) -> Result<String, CliError> {
        let absolute = fs_err::canonicalize(cwd.join(file)).map_err(|error| CliError::User(error.to_string()))?;
        let relative = absolute.strip_prefix(&self.root).unwrap_or(&absolute);
        relative
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| CliError::User(format!("`{}` is no UTF-8 path", file.display())))
    }
}

impl Files for WorkTree {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match fs_err::read(self.root.join(path)) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| "the file is not UTF-8 text".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn write_schemas(directory: &Path, output: &Output) -> Result<(), CliError> {
    fs_err::create_dir_all(directory).map_err(anyhow::Error::from)?;
    for (name, schema) in schema::all() {
        let path = directory.join(name);
        fs_err::write(&path, schema::file_text(&schema)).map_err(anyhow::Error::from)?;
        output.line(&path.display().to_string())?;
    }
    Ok(())
}
