//! `modelship init --hub`: a repository of models that works at once.

use std::path::Path;

use serde_json::json;

use super::{ActionsSource, write_new};
use crate::cli::output::{CliError, Output};
use crate::edge::source::{FirstCommit, Source};
use crate::engine::system_time;
use crate::settings;

/// The files of a new hub: the matrix model of this project's own hub, which needs nothing but Python.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("hub/README.md")),
    (".gitignore", ".modelship/\n__pycache__/\n"),
    ("config/policy.yaml", include_str!("hub/policy.yaml")),
    ("config/examples/identity-matrix.yaml", include_str!("../../../config/examples/identity-matrix.yaml")),
    ("models/identity-matrix/identity_matrix.py", include_str!("../../../models/identity-matrix/identity_matrix.py")),
    (
        "models/identity-matrix/tests/test_identity_matrix.py",
        include_str!("../../../models/identity-matrix/tests/test_identity_matrix.py"),
    ),
    ("models/identity-matrix/Dockerfile", include_str!("../../../models/identity-matrix/Dockerfile")),
    ("sweeps/identity.yaml", include_str!("../../../sweeps/identity.yaml")),
    (".github/workflows/modelship-check.yml", include_str!("hub/workflows/modelship-check.yml")),
    (".github/workflows/modelship-publish.yml", include_str!("hub/workflows/modelship-publish.yml")),
    (".github/workflows/modelship-report.yml", include_str!("hub/workflows/modelship-report.yml")),
    (".github/workflows/modelship-sweep.yml", include_str!("hub/workflows/modelship-sweep.yml")),
];

/// Files that a folder may have already, and then keeps.
const KEPT: &[&str] = &["README.md", ".gitignore"];

/// Makes a hub in `directory`. Where that is no repository yet it becomes one, with a first commit.
pub(super) fn hub(directory: &Path, actions: &ActionsSource, output: &Output) -> Result<(), CliError> {
    fs_err::create_dir_all(directory).map_err(|error| CliError::User(error.to_string()))?;
    let is_repository = Source::open(directory).is_ok();
    let wanted = FILES.iter().filter(|(path, _)| !KEPT.contains(path) || !directory.join(path).exists());
    let files: Vec<_> = wanted.map(|(path, text)| (*path, actions.fill(text))).collect();
    write_new(directory, &files, output)?;
    if actions.is_pinned() {
        output.note(&format!("the workflows use `{actions}`; `--actions OWNER/NAME@COMMIT` takes them from elsewhere"));
    } else {
        let why = if *actions == ActionsSource::default() {
            "this program does not know which commit it was built from"
        } else {
            "`--actions` names no commit"
        };
        output.note(&format!(
            "{why}, so the workflows use `{actions}`, which may be moved; `--actions OWNER/NAME@COMMIT` pins them"
        ));
    }
    let commit = if is_repository {
        None
    } else {
        let author = settings::user_name();
        let first =
            FirstCommit { branch: "main", author: &author, message: "Begin a hub of models\n", at: system_time() };
        let (_, commit) = Source::begin(directory, first).map_err(crate::cli::workspace::from_source)?;
        output.note(&format!("made a git repository with one commit, {}", commit.short()));
        Some(commit)
    };
    if output.is_json() {
        let paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
        return output.json(&json!({"hub": directory, "files": paths, "commit": commit}));
    }
    let go = if directory.ends_with(".") || settings::current_directory()? == directory {
        String::new()
    } else {
        format!("cd {} && ", directory.display())
    };
    let commit = if commit.is_some() { "" } else { "git add -A && git commit -m 'Begin a hub of models' && " };
    output.next_step(&format!("{go}{commit}modelship sweep run sweeps/identity.yaml"));
    Ok(())
}
