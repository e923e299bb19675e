//! `modelship init`: a manifest for what lies in a folder, a hub, or a local forge to begin with.
//!
//! A folder is looked at and never executed, and nothing that is there is ever overwritten.

mod dockerfile;
mod folder;
mod hub;
mod outputs;
mod pinned;
mod program;
mod propose;
mod script;
mod values;

use std::path::{Component, Path, PathBuf};

use serde_json::json;

use folder::Folder;
pub(crate) use pinned::ActionsSource;
use propose::{LOOK, propose};

use super::arguments::Init;
use super::output::{CliError, Output};
use super::validate::WorkTree;
use crate::domain::forge::Permission;
use crate::domain::ids::ModelName;
use crate::domain::manifest::Manifest;
use crate::edge::forge::local::LocalForge;
use crate::edge::source::Source;
use crate::engine::system_time;
use crate::settings;

/// Begins what the arguments name.
pub(crate) fn init(init: &Init, cwd: &Path, output: &Output) -> Result<(), CliError> {
    match (&init.model, &init.hub, &init.forge) {
        (_, Some(directory), _) => hub::hub(&below(cwd, directory), &init.actions, output),
        (_, _, Some(directory)) => forge(&below(cwd, directory), init, output),
        (model, None, None) => manifest(model.as_ref(), cwd, output),
    }
}

/// `directory` as seen from `cwd`, without the dots that one may type.
fn below(cwd: &Path, directory: &Path) -> PathBuf {
    cwd.join(directory).components().filter(|part| *part != Component::CurDir).collect()
}

fn forge(directory: &Path, init: &Init, output: &Output) -> Result<(), CliError> {
    let root = directory.join("forge");
    let user = |error: crate::edge::forge::local::LocalForgeError| {
        if error.is_users_fault() { CliError::User(error.to_string()) } else { CliError::Ours(error.into()) }
    };
    let forge = LocalForge::create(&root, &format!("http://{}", init.listen), system_time).map_err(user)?;
    forge.set_member(&settings::user_name(), Permission::Admin).map_err(user)?;
    forge.create_repository(&init.repository, &settings::program()?).map_err(user)?;
    let text = format!(
        "# Settings of this server. Paths are relative to this file; what is left out has a default.\n\
         state: state\n\
         forge: {{local: forge}}\n\
         server: {{listen: \"{}\"}}\n",
        init.listen
    );
    write_new(directory, &[("settings.yaml", text)], output)?;
    let git_dir = forge.git_dir(&init.repository);
    if output.is_json() {
        output.json(
            &json!({"repository": init.repository, "git": git_dir, "settings": directory.join("settings.yaml")}),
        )?;
    } else {
        output.line(&format!("repository {} at {}", init.repository, git_dir.display()))?;
    }
    output.next_step(&format!("modelship serve --settings {}", directory.join("settings.yaml").display()));
    output.next_step(&format!("git push {} main", git_dir.display()));
    Ok(())
}

/// Writes a manifest for what lies in the current folder.
fn manifest(model: Option<&ModelName>, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let place = Place::of(cwd);
    let model = match model {
        Some(model) => model.clone(),
        None => named_after(cwd)?,
    };
    let (root, path) = match &place {
        Place::Root => (cwd.to_path_buf(), "modelship.yaml".to_owned()),
        Place::Within { root, .. } => (root.clone(), format!("config/{model}.yaml")),
    };
    let source = match &place {
        Place::Root => None,
        Place::Within { source, .. } => Some(source.as_str()),
    };
    let proposal = propose(&Folder::look(cwd)?, &model, source);
    Manifest::parse(&path, &proposal.text, &WorkTree::around(cwd)?).map_err(CliError::Faults)?;
    write_new(&root, &[(path.as_str(), proposal.text.clone())], output)?;
    let look = proposal.text.lines().filter(|line| line.contains(LOOK)).count();
    if output.is_json() {
        let found: Vec<_> = proposal.found.iter().map(|(file, what)| json!({"file": file, "what": what})).collect();
        return output.json(&json!({
            "model": model, "manifest": root.join(&path), "found": found, "assumed": proposal.assumed, "look_at": look,
        }));
    }
    if !proposal.found.is_empty() {
        let rows: Vec<_> = proposal.found.iter().map(|(file, what)| vec![file.clone(), what.clone()]).collect();
        output.table(&["FOUND", "WHAT"], &rows)?;
    }
    for assumed in &proposal.assumed {
        output.note(&format!("assumed: {assumed}"));
    }
    output.next_step(&format!("edit {path} where it says LOOK ({look} places), then modelship validate"));
    Ok(())
}

/// Where in its repository a folder lies.
enum Place {
    /// It is the whole of it, or there is no repository.
    Root,
    /// It is one of its folders, `source`: the repository is a hub.
    Within { root: PathBuf, source: String },
}

impl Place {
    fn of(cwd: &Path) -> Self {
        let found = || {
            let root = fs_err::canonicalize(Source::discover(cwd).ok()?.work_tree()?).ok()?;
            let source = fs_err::canonicalize(cwd).ok()?.strip_prefix(&root).ok()?.to_str()?.to_owned();
            (!source.is_empty()).then_some(Self::Within { root, source })
        };
        found().unwrap_or(Self::Root)
    }
}

/// A model's name where nobody says one: who asks, and what the folder is called.
fn named_after(cwd: &Path) -> Result<ModelName, CliError> {
    let slug = |text: &str| {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
    };
    let folder = cwd.file_name().map(|name| slug(&name.to_string_lossy())).unwrap_or_default();
    ModelName::new(&slug(&settings::user_name()), &folder)
        .map_err(|error| CliError::User(format!("{error}; say what the model is called: `modelship init OWNER/TITLE`")))
}

/// Writes files that must not be there yet: nothing of the user's is ever overwritten.
fn write_new(directory: &Path, files: &[(&str, String)], output: &Output) -> Result<(), CliError> {
    if let Some((path, _)) = files.iter().find(|(path, _)| directory.join(path).exists()) {
        return Err(CliError::User(format!(
            "`{}` is there already, and nothing is overwritten",
            directory.join(path).display()
        )));
    }
    for (path, text) in files {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(anyhow::Error::from)?;
        }
        fs_err::write(&path, text).map_err(anyhow::Error::from)?;
        output.note(&format!("wrote {}", path.display()));
    }
    Ok(())
}
