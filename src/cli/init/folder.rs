//! The files of an existing folder, as far as a person would look at them.

use std::path::{Path, PathBuf};

/// How deep folders are looked into.
const DEPTH: usize = 3;

/// Most files that are listed.
const FILES: usize = 2_000;

/// Most bytes of a file that are read. What tells how a model is run is small.
const BYTES: u64 = 1 << 20;

/// Folders that hold what tools made, not what the modeler wrote.
const SKIPPED: &[&str] = &[
    "__pycache__",
    "build",
    "dist",
    "env",
    "node_modules",
    "renv",
    "site",
    "site-packages",
    "target",
    "venv",
    "vendor",
];

/// A folder with its files.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Paths below the folder, sorted, those at the top first.
    files: Vec<String>,
}

impl Folder {
    /// Lists the files of `root`. Links are not followed, hidden files are left out.
    pub(super) fn look(root: &Path) -> std::io::Result<Self> {
        let mut files = Vec::new();
        list(root, Path::new(""), DEPTH, &mut files)?;
        files.sort_by_key(|file| (file.matches('/').count(), file.clone()));
        files.truncate(FILES);
        Ok(Self { root: root.to_path_buf(), files })
    }

    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Whether there is a file of that name.
    pub(super) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|own| own == file)
    }

    /// Every file whose name ends in one of `endings`.
    pub(super) fn ending<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.files().filter(move |file| endings.iter().any(|ending| file.ends_with(ending)))
    }

    /// The text of `file`; none when it is too large or no text.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        let path = self.root.join(file);
        (fs_err::metadata(&path).ok()?.len() <= BYTES).then(|| fs_err::read_to_string(path).ok()).flatten()
    }
}

fn list(root: &Path, below: &Path, depth: usize, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = below.join(name);
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 1 && !SKIPPED.contains(&name) && files.len() < FILES {
            list(root, &path, depth - 1, files)?;
        } else if kind.is_file()
            && let Some(path) = path.to_str()
        {
            files.push(path.to_owned());
        }
    }
    Ok(())
}

/// The last part of a path, without its ending.
pub(super) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The ending of a path, without the dot.
pub(super) fn ending(file: &str) -> &str {
    file.rsplit_once('.').map_or("", |(_, ending)| ending)
}
