//! `modelship init`: a model, a hub, or a local forge to begin with.

use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::arguments::Init;
use super::output::{CliError, Output};
use crate::domain::forge::Permission;
use crate::domain::ids::ModelName;
use crate::domain::manifest::Manifest;
use crate::domain::yaml::NoFiles;
use crate::edge::forge::local::LocalForge;
use crate::engine::system_time;
use crate::settings;

/// The files of a new hub: the matrix model of this project's own hub.
const HUB: &[(&str, &str)] = &[
    ("config/examples/identity-matrix.yaml", include_str!("../../config/examples/identity-matrix.yaml")),
    ("models/identity-matrix/identity_matrix.py", include_str!("../../models/identity-matrix/identity_matrix.py")),
    (
        "models/identity-matrix/tests/test_identity_matrix.py",
        include_str!("../../models/identity-matrix/tests/test_identity_matrix.py"),
    ),
    ("models/identity-matrix/Dockerfile", include_str!("../../models/identity-matrix/Dockerfile")),
    ("sweeps/identity.yaml", include_str!("../../sweeps/identity.yaml")),
];

/// What a hub never commits.
const HUB_IGNORES: &str = ".modelship/\n__pycache__/\n";

/// Begins what the arguments name.
pub(crate) fn init(init: &Init, cwd: &Path, output: &Output) -> Result<(), CliError> {
    match (&init.model, &init.hub, &init.forge) {
        (_, Some(directory), _) => hub(&below(cwd, directory), output),
        (_, _, Some(directory)) => forge(&below(cwd, directory), init, output),
        (Some(model), None, None) => manifest(model, cwd, output),
        (None, None, None) => {
            Err(CliError::User("say what to begin: OWNER/TITLE, `--hub DIR` or `--forge DIR`".to_owned()))
        }
    }
}

/// `directory` as seen from `cwd`, without the dots that one may type.
fn below(cwd: &Path, directory: &Path) -> PathBuf {
    cwd.join(directory).components().filter(|part| *part != Component::CurDir).collect()
}

fn hub(directory: &Path, output: &Output) -> Result<(), CliError> {
    let files: Vec<_> = HUB.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
    write_new(directory, &files, output)?;
    if !directory.join(".gitignore").exists() {
        write_new(directory, &[(".gitignore", HUB_IGNORES.to_owned())], output)?;
    }
    if output.is_json() {
        output.json(&json!({"hub": directory}))?;
    }
    output.next_step(&format!(
        "cd {} && git init -b main && git add -A && git commit -m 'Begin' && modelship sweep run sweeps/identity.yaml",
        directory.display()
    ));
    Ok(())
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

fn manifest(model: &ModelName, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let process = if cwd.join("Makefile").is_file() { "[[make]]" } else { "[]" };
    let docker = if cwd.join("Dockerfile").is_file() { "\n  dockerfile: Dockerfile" } else { "" };
    let text = format!(
        r#"owner: {owner}
title: {title}
description: What {title} computes, in one line
source: {{path: .}}
build:                        # commands, each a list of words, run in a clean copy of the source
  process: {process}{docker}
run:                          # {{model}}: the built source; {{params}}: the parameter file; {{outputs}}: a fresh directory
  command: ["{{model}}/{title}", "{{params}}", "{{outputs}}"]
  params: {{format: csv}}       # csv (NAME,value) | json | yaml | toml | args | env
  timeout: 10m
parameters:
  RATE: {{type: float, default: 0.1, min: 0, max: 1, unit: fraction, description: what RATE means}}
outputs:
  summary: summary.json       # flat JSON that the command leaves in {{outputs}}: one row of the analysis
  columns: {{}}
  files: []
tests: []                     # each build runs them; a build that fails one becomes no version:
# - {{name: base case, parameters: {{}}, expect: {{revenue: {{value: 100, rel: 1e-9}}}}}}
# - {{name: unit tests, command: [python3, -m, unittest]}}
"#,
        owner = model.owner(),
        title = model.title(),
    );
    Manifest::parse("modelship.yaml", &text, &NoFiles).map_err(CliError::Faults)?;
    write_new(cwd, &[("modelship.yaml", text)], output)?;
    if output.is_json() {
        output.json(&json!({"model": model, "manifest": cwd.join("modelship.yaml")}))?;
    }
    output.next_step("edit modelship.yaml, then modelship validate");
    Ok(())
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
