//! The models of this project's own hub, brought into that of a story.

use std::fs;
use std::path::{Path, PathBuf};

use super::programs::git;

/// The folder of this project.
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Copies the named models with their manifests and sweeps out of this project's own hub, as git knows it.
pub(super) fn copy_hub(into: &Path, models: &[&str]) {
    for manifest in files_below(&Path::new(PROJECT).join("config")) {
        let text = fs::read_to_string(&manifest).unwrap();
        let Some(model) = models.iter().find(|model| text.contains(&format!("path: models/{model}"))) else { continue };
        copy(&manifest, into);
        let listed = git(Path::new(PROJECT), &["ls-files", "-z", "--", &format!("models/{model}")]);
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            copy(&Path::new(PROJECT).join(file), into);
        }
    }
    fs::write(into.join(".gitignore"), ".modelship/\n").unwrap();
}

fn copy(file: &Path, into: &Path) {
    let target = into.join(file.strip_prefix(PROJECT).unwrap());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(file, target).unwrap();
}

pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        }
    }
    files
}
