//! Files and folders at a commit.

use std::fmt;

use git2::{ErrorCode, ObjectType, Oid, Tree};

use super::error::{Context as _, refused};
use super::{Result, Source, object};
use crate::domain::ids::{CommitSha, ObjectId};

/// The largest file that [`Source::read_file`] gives, in bytes: 16 MiB.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// What a folder's entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link. Never followed.
    Symlink,
    /// A commit of another repository. Never entered.
    Submodule,
}

impl EntryKind {
    /// From git's file mode; none for a mode that git does not write.
    pub(super) fn of_mode(mode: i32) -> Option<Self> {
        match mode & 0o170_000 {
            0o040_000 => Some(Self::Folder),
            0o100_000 if mode & 0o111 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::File),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "folder",
            Self::File | Self::Executable => "file",
            Self::Symlink => "symbolic link",
            Self::Submodule => "submodule",
        })
    }
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name within the folder.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its content's id.
    pub id: ObjectId,
}

/// A file, folder or link that a path leads to.
pub(super) struct Node {
    pub(super) id: Oid,
    pub(super) kind: EntryKind,
}

/// What modelship and the forge read at the root of a model's own repository, and the model does not.
pub const NOT_SOURCE: [&str; 3] = ["modelship.yaml", "sweeps", ".github"];

/// Whether a name at the root of a repository is one of [`NOT_SOURCE`].
pub(super) fn is_own_file(name: &[u8]) -> bool {
    NOT_SOURCE.iter().any(|own| own.as_bytes() == name)
}

impl Source {
    /// The content of the file at `path`; none when nothing is there.
    ///
    /// # Errors
    /// [`super::SourceError::Refused`] when `path` is not a path within a repository, when it is or goes through a
    /// symbolic link or a submodule, is a folder, or holds more than [`MAX_FILE_BYTES`].
    pub fn read_file(&self, commit: &CommitSha, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(node) = self.find(self.root(commit)?, path)? else { return Ok(None) };
        match node.kind {
            EntryKind::File | EntryKind::Executable => {}
            EntryKind::Symlink => {
                return Err(refused(format!("`{path}` is a symbolic link; put the file itself there")));
            }
            EntryKind::Folder | EntryKind::Submodule => {
                return Err(refused(format!("`{path}` is a {}, not a file", node.kind)));
            }
        }
        self.read_blob(node.id, path, MAX_FILE_BYTES).map(Some)
    }

    /// The entries of the folder `path`, by name; `.` is the root. Empty when there is no such folder. Entries whose
    /// name is not UTF-8 are left out.
    ///
    /// # Errors
    /// As [`Source::read_file`]; also when `path` is a file.
    pub fn list(&self, commit: &CommitSha, path: &str) -> Result<Vec<Entry>> {
        match self.folder(self.root(commit)?, path)? {
            Some(folder) => self.entries(folder),
            None => Ok(Vec::new()),
        }
    }

    /// The id of a model's source, the folder `path`, which changes exactly when something in it does. `.` is the root
    /// without what only modelship reads there ([`NOT_SOURCE`]): a new sweep file makes no new executable. None when
    /// nothing is there.
    ///
    /// # Errors
    /// As [`Source::read_file`]; also when `path` is a file.
    pub fn tree_of(&self, commit: &CommitSha, path: &str) -> Result<Option<ObjectId>> {
        Ok(self.source_tree(self.root(commit)?, path)?.map(object))
    }

    /// As [`Source::tree_of`], from a root that is known.
    pub(super) fn source_tree(&self, root: Oid, path: &str) -> Result<Option<Oid>> {
        match self.folder(root, path)? {
            Some(folder) if path == "." => self.without_own_files(folder).map(Some),
            folder => Ok(folder),
        }
    }

    /// The id that the tree would have without [`NOT_SOURCE`]. Nothing is written.
    fn without_own_files(&self, root: Oid) -> Result<Oid> {
        let tree = self.tree(root)?;
        let mut content = Vec::new();
        for entry in tree.iter().filter(|entry| !is_own_file(entry.name_bytes())) {
            content.extend_from_slice(format!("{:o} ", entry.filemode_raw()).as_bytes());
            content.extend_from_slice(entry.name_bytes());
            content.push(0);
            content.extend_from_slice(entry.id().as_bytes());
        }
        Oid::hash_object(ObjectType::Tree, &content).context(|| format!("failed to hash git tree `{root}`"))
    }

    pub(super) fn root(&self, commit: &CommitSha) -> Result<Oid> {
        Ok(self.commit(commit)?.tree_id())
    }

    pub(super) fn tree(&self, id: Oid) -> Result<Tree<'_>> {
        self.git.find_tree(id).context(|| format!("failed to read git tree `{id}`"))
    }

    pub(super) fn entries(&self, folder: Oid) -> Result<Vec<Entry>> {
        let tree = self.tree(folder)?;
        let mut entries = Vec::with_capacity(tree.len());
        for entry in &tree {
            if let (Ok(name), Some(kind)) = (entry.name(), EntryKind::of_mode(entry.filemode_raw())) {
                entries.push(Entry { name: name.to_owned(), kind, id: object(entry.id()) });
            }
        }
        Ok(entries)
    }

    /// The folder's tree; none when nothing is there.
    pub(super) fn folder(&self, root: Oid, path: &str) -> Result<Option<Oid>> {
        match self.find(root, path)? {
            None => Ok(None),
            Some(Node { id, kind: EntryKind::Folder }) => Ok(Some(id)),
            Some(Node { kind, .. }) => Err(refused(format!("`{path}` is a {kind}, not a folder"))),
        }
    }

    pub(super) fn find(&self, root: Oid, path: &str) -> Result<Option<Node>> {
        let mut here = Node { id: root, kind: EntryKind::Folder };
        let mut walked = String::new();
        for part in parts(path)? {
            match here.kind {
                EntryKind::Folder => {}
                EntryKind::File | EntryKind::Executable => return Ok(None),
                EntryKind::Symlink | EntryKind::Submodule => {
                    return Err(refused(format!("`{path}` goes through the {} `{walked}`", here.kind)));
                }
            }
            let listing = self.folders.listing(here.id, || self.tree(here.id))?;
            let Some((mode, id)) = listing.get(part) else { return Ok(None) };
            let kind = EntryKind::of_mode(*mode)
                .ok_or_else(|| refused(format!("`{path}` goes through an entry with the unknown mode of `{part}`")))?;
            here = Node { id: *id, kind };
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(part);
        }
        Ok(Some(here))
    }

    /// The blob's content, after a look at its size.
    pub(super) fn read_blob(&self, id: Oid, path: &str, limit: usize) -> Result<Vec<u8>> {
        let doing = || format!("failed to read `{path}`");
        let odb = self.git.odb().context(doing)?;
        let (size, _) = match odb.read_header(id) {
            Err(error) if error.code() == ErrorCode::NotFound => {
                return Err(refused(format!("the content of `{path}` is missing from the repository")));
            }
            header => header.context(doing)?,
        };
        if size > limit {
            return Err(refused(format!("`{path}` has {size} bytes; at most {limit} are read")));
        }
        Ok(self.git.find_blob(id).context(doing)?.content().to_vec())
    }
}

/// The parts of a path within a repository; none for the root, `.`. One `/` at the end is passed over.
pub(super) fn parts(path: &str) -> Result<Vec<&str>> {
    let no = |reason: &str| {
        let shown: String = path.chars().take(120).collect();
        Err(refused(format!("`{}` is not a path within the repository: it {reason}", shown.escape_debug())))
    };
    if path == "." {
        return Ok(Vec::new());
    }
    if path.is_empty() {
        return no("is empty (`.` is the root)");
    }
    if path.len() > MAX_PATH_BYTES {
        return no("is too long");
    }
    if path.starts_with('/') {
        return no("is absolute");
    }
    let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    for part in &parts {
        if let Err(reason) = check_name(part.as_bytes()) {
            return no(reason);
        }
    }
    Ok(parts)
}

/// Whether a name can stand for one entry of a folder, in a path or on disk.
pub(super) fn check_name(name: &[u8]) -> std::result::Result<(), &'static str> {
    if name.is_empty() {
        return Err("has an empty part");
    }
    if name == b"." || name == b".." {
        return Err("holds `.` or `..`");
    }
    if name.len() > 255 {
        return Err("has a part of more than 255 bytes");
    }
    if name.eq_ignore_ascii_case(b".git") {
        return Err("holds `.git`");
    }
    if name.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\')) {
        return Err("holds a control character or a backslash");
    }
    Ok(())
}
