//! What differs between two commits: models and files.
//!
//! Trees are compared by their ids, so that what did not change is never opened. libgit2's own diff is not used: it has
//! no bound, and a pull request can hold a tree that unfolds to billions of files.

use std::collections::{BTreeMap, HashMap};

use git2::Oid;
use serde::{Deserialize, Serialize};

use super::error::refused;
use super::tree::{Entry, EntryKind};
use super::{Result, Source, SourceError, object};
use crate::domain::ids::{CommitSha, ObjectId};

/// Most manifests that one repository may hold.
const MAX_MANIFESTS: usize = 10_000;

/// Most changed files that [`Source::changed_files`] lists.
const MAX_CHANGES: usize = 10_000;

/// Most entries that one comparison looks at.
const MAX_LOOKED_AT: usize = 500_000;

/// Deepest folder that a comparison enters.
const MAX_DEPTH: usize = 100;

/// A manifest file at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its path: `config/<owner>/<title>.yaml` or `modelship.yaml`.
    pub path: String,
    /// Its content's id.
    pub blob: ObjectId,
}

/// A manifest that differs between two commits, or whose source folder does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchedManifest {
    /// Its path.
    pub path: String,
    /// Its content's id.
    pub blob: ObjectId,
    /// The source folder in this repository; none when the manifest cannot be read or names another repository.
    pub source_path: Option<String>,
    /// The id of that folder; none when it is not there.
    pub source_tree: Option<ObjectId>,
}

/// How a file differs. A renamed file is deleted under its old name and added under its new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// Its content or its mode differs.
    Modified,
    /// It is gone.
    Deleted,
}

/// A file that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedFile {
    /// Its path within the repository.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

impl Source {
    /// Every manifest at `commit`: `config/<owner>/<title>.yaml` and the root's `modelship.yaml`, by path. Links are
    /// listed too: reading one gives the error that tells its author so.
    ///
    /// # Errors
    /// When the commit is not there or holds more than 10,000 manifests.
    pub fn manifests(&self, commit: &CommitSha) -> Result<Vec<ManifestFile>> {
        let root = self.root(commit)?;
        let mut manifests = Vec::new();
        if let Some(config) = self.lenient_folder(root, "config")? {
            for owner in self.entries(config)?.into_iter().filter(|entry| entry.kind == EntryKind::Folder) {
                for entry in self.entries(id_of(&owner))?.into_iter().filter(is_manifest) {
                    if manifests.len() == MAX_MANIFESTS {
                        return Err(refused(format!("`config` holds more than {MAX_MANIFESTS} manifests")));
                    }
                    let path = format!("config/{}/{}", owner.name, entry.name);
                    manifests.push(ManifestFile { path, blob: entry.id });
                }
            }
        }
        if let Some(entry) = self.entries(root)?.into_iter().find(|entry| entry.name == "modelship.yaml")
            && is_manifest(&entry)
        {
            manifests.push(ManifestFile { path: entry.name, blob: entry.id });
        }
        manifests.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(manifests)
    }

    /// The manifests at `after` that differ from `before`, or whose source folder does. All of them when `before` is
    /// none or is no longer in the repository (a forced push). `source_path` reads a manifest, given its path and text,
    /// and gives the folder of this repository that it builds from; none when there is none or the text is wrong.
    ///
    /// # Errors
    /// When `after` is not there.
    pub fn touched(
        &self,
        before: Option<&CommitSha>,
        after: &CommitSha,
        source_path: &dyn Fn(&str, &str) -> Option<String>,
    ) -> Result<Vec<TouchedManifest>> {
        let root = self.root(after)?;
        let before = match before.map(|commit| Ok((self.root(commit)?, self.manifests(commit)?))) {
            None | Some(Err(SourceError::Absent(_))) => None,
            Some(known) => Some(known?),
        };
        if before.as_ref().is_some_and(|(old_root, _)| *old_root == root) {
            return Ok(Vec::new());
        }
        let old: Option<(Oid, HashMap<String, ObjectId>)> = before.map(|(old_root, manifests)| {
            (old_root, manifests.into_iter().map(|manifest| (manifest.path, manifest.blob)).collect())
        });

        let mut touched = Vec::new();
        for ManifestFile { path, blob } in self.manifests(after)? {
            let folder = self.manifest_text(after, &path)?.and_then(|text| source_path(&path, &text));
            let tree_in = |root| match folder.as_deref().map(|folder| self.source_tree(root, folder)) {
                None => Ok(None),
                Some(Err(error)) if error.is_users_fault() => Ok(None),
                Some(found) => found,
            };
            let tree = tree_in(root)?;
            let same = match &old {
                Some((old_root, manifests)) => manifests.get(&path) == Some(&blob) && tree_in(*old_root)? == tree,
                None => false,
            };
            if !same {
                touched.push(TouchedManifest { path, blob, source_path: folder, source_tree: tree.map(object) });
            }
        }
        Ok(touched)
    }

    /// The files under the folder `prefix` (`.` is the root) that differ between `base` and `head`, by path.
    /// Submodules are passed over.
    ///
    /// # Errors
    /// [`SourceError::Refused`] when more than 10,000 files differ or folders nest too deep; when a commit is not there.
    pub fn changed_files(&self, base: &CommitSha, head: &CommitSha, prefix: &str) -> Result<Vec<ChangedFile>> {
        let folder = |commit| self.lenient_folder(self.root(commit)?, prefix);
        let (old, new) = (folder(base)?, folder(head)?);
        let mut comparison = Comparison { source: self, found: Vec::new(), looked_at: 0, limit: MAX_CHANGES };
        let start = if prefix == "." { "" } else { prefix.trim_end_matches('/') };
        comparison.folders(old, new, start, 0)?;
        comparison.found.sort();
        Ok(comparison.found)
    }

    /// The files that `commit` changes against its first parent, or all of its files when it has none; at most `limit`,
    /// and none when there is too much to look at.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn files_of(&self, commit: &CommitSha, limit: usize) -> Result<Vec<ChangedFile>> {
        let old = self.parent(commit)?.map(|parent| self.root(&parent)).transpose()?;
        let mut comparison = Comparison { source: self, found: Vec::new(), looked_at: 0, limit };
        match comparison.folders(old, Some(self.root(commit)?), "", 0) {
            Ok(()) | Err(SourceError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        comparison.found.sort();
        Ok(comparison.found)
    }

    /// The manifest's text; none when it is a link, too large or not UTF-8, of which its reader will tell.
    fn manifest_text(&self, commit: &CommitSha, path: &str) -> Result<Option<String>> {
        match self.read_file(commit, path) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok())),
            Err(error) if error.is_users_fault() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder's tree; none when the path is no folder, whatever else it is.
    fn lenient_folder(&self, root: Oid, path: &str) -> Result<Option<Oid>> {
        match self.folder(root, path) {
            Err(error) if error.is_users_fault() => Ok(None),
            found => found,
        }
    }
}

fn is_manifest(entry: &Entry) -> bool {
    let readable = match entry.kind {
        EntryKind::File | EntryKind::Executable | EntryKind::Symlink => true,
        EntryKind::Folder | EntryKind::Submodule => false,
    };
    readable && entry.name.strip_suffix(".yaml").is_some_and(|title| !title.is_empty())
}

fn id_of(entry: &Entry) -> Oid {
    Oid::from_str(entry.id.as_str()).expect("40 hexadecimal characters are an id")
}

struct Comparison<'a> {
    source: &'a Source,
    found: Vec<ChangedFile>,
    looked_at: usize,
    limit: usize,
}

impl Comparison<'_> {
    fn folders(&mut self, old: Option<Oid>, new: Option<Oid>, path: &str, depth: usize) -> Result<()> {
        if old == new {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(refused(format!("`{path}` lies more than {MAX_DEPTH} folders deep")));
        }
        let old = self.by_name(old)?;
        let mut new = self.by_name(new)?;
        for (name, before) in old {
            let after = new.remove(&name);
            self.entry(Some(before), after, &join(path, &name), depth)?;
        }
        for (name, after) in new {
            self.entry(None, Some(after), &join(path, &name), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, old: Option<Entry>, new: Option<Entry>, path: &str, depth: usize) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let tree = |entry: &Option<Entry>| entry.as_ref().filter(|it| it.kind == EntryKind::Folder).map(id_of);
        let (old_tree, new_tree) = (tree(&old), tree(&new));
        if old_tree.is_some() || new_tree.is_some() {
            self.folders(old_tree, new_tree, path, depth + 1)?;
        }
        let change = match (old.is_some_and(|it| is_file(&it)), new.is_some_and(|it| is_file(&it))) {
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
            (false, true) => Change::Added,
            (false, false) => return Ok(()),
        };
        if self.found.len() == self.limit {
            return Err(refused(format!("more than {} files differ", self.limit)));
        }
        self.found.push(ChangedFile { path: path.to_owned(), change });
        Ok(())
    }

    fn by_name(&mut self, folder: Option<Oid>) -> Result<BTreeMap<String, Entry>> {
        let entries = folder.map_or(Ok(Vec::new()), |folder| self.source.entries(folder))?;
        self.looked_at += entries.len() + 1;
        if self.looked_at > MAX_LOOKED_AT {
            return Err(refused(format!("more than {MAX_LOOKED_AT} entries would have to be compared")));
        }
        Ok(entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
    }
}

fn is_file(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::File | EntryKind::Executable | EntryKind::Symlink => true,
        EntryKind::Folder | EntryKind::Submodule => false,
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
