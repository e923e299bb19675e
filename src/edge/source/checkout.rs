//! Writes a folder of a commit to disk, byte for byte as it was committed.
//!
//! No filter runs (no line-end conversion, no smudge command), nothing is written through a link, and nothing lands
//! outside the directory that was given.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use git2::Oid;

use super::error::{Context as _, absent, refused};
use super::tree::{EntryKind, check_name, is_own_file};
use super::{Result, Source};
use crate::domain::ids::CommitSha;

/// Most files and folders in one checkout.
const MAX_ENTRIES: usize = 200_000;

/// Most bytes in one checkout: 4 GiB.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Most bytes in one file of a checkout: 1 GiB. A file is held in memory while it is written.
const MAX_FILE: usize = 1024 * 1024 * 1024;

/// Longest target of a symbolic link, in bytes.
const MAX_LINK: usize = 4096;

/// Deepest folder.
const MAX_DEPTH: usize = 100;

impl Source {
    /// Writes the folder `path` (`.` is the root, without [`super::NOT_SOURCE`]) as it is at `commit` into the directory `into`, which is made when it
    /// is missing and must be empty. Files keep their executable bit; symbolic links are kept when they stay within the
    /// folder.
    ///
    /// # Errors
    /// [`super::SourceError::Absent`] when the folder is not there; [`super::SourceError::Refused`] for a submodule, a link
    /// that leads out, a name that cannot be a file's, too many or too large files. What was written until then stays.
    pub fn checkout(&self, commit: &CommitSha, path: &str, into: &Path) -> Result<()> {
        let folder = self
            .folder(self.root(commit)?, path)?
            .ok_or_else(|| absent(format!("there is no folder `{path}` at commit `{}`", commit.short())))?;
        let doing = || format!("failed to write a checkout to `{}`", into.display());
        fs_err::create_dir_all(into).context(doing)?;
        if fs_err::read_dir(into).context(doing)?.next().is_some() {
            return Err(super::SourceError::Failed {
                context: doing(),
                source: anyhow::anyhow!("the directory is not empty"),
            });
        }
        let mut checkout = Checkout { source: self, root: path == ".", entries: 0, bytes: 0, links: Vec::new() };
        checkout.folder(folder, into, &mut Vec::new())?;
        // Links come last: while files are written there is none that a file could be written through.
        for (at, target) in checkout.links {
            fs_err::os::unix::fs::symlink(&target, &at).context(doing)?;
        }
        Ok(())
    }
}

struct Checkout<'a> {
    source: &'a Source,
    /// Whether the folder is the repository's root.
    root: bool,
    entries: usize,
    bytes: u64,
    links: Vec<(PathBuf, PathBuf)>,
}

impl Checkout<'_> {
    fn folder(&mut self, id: Oid, into: &Path, inside: &mut Vec<Vec<u8>>) -> Result<()> {
        let tree = self.source.tree(id)?;
        for entry in &tree {
            let name = entry.name_bytes();
            if self.root && inside.is_empty() && is_own_file(name) {
                continue;
            }
            let shown = shown(inside, name);
            if let Err(reason) = check_name(name) {
                return Err(refused(format!("the repository holds `{}`, which {reason}", shown.escape_debug())));
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(refused(format!("the folder holds more than {MAX_ENTRIES} files")));
            }
            let at = into.join(std::ffi::OsStr::from_bytes(name));
            match EntryKind::of_mode(entry.filemode_raw()) {
                Some(EntryKind::Folder) => {
                    if inside.len() == MAX_DEPTH {
                        return Err(refused(format!("`{shown}` lies more than {MAX_DEPTH} folders deep")));
                    }
                    fs_err::create_dir(&at).context(|| format!("failed to make folder `{shown}`"))?;
                    inside.push(name.to_vec());
                    self.folder(entry.id(), &at, inside)?;
                    inside.pop();
                }
                Some(EntryKind::File) => self.file(entry.id(), &at, &shown, 0o644)?,
                Some(EntryKind::Executable) => self.file(entry.id(), &at, &shown, 0o755)?,
                Some(EntryKind::Symlink) => {
                    let target = self.source.read_blob(entry.id(), &shown, MAX_LINK)?;
                    check_link(&target, inside.len()).map_err(|reason| {
                        let target = String::from_utf8_lossy(&target).into_owned();
                        refused(format!("the symbolic link `{shown}` to `{}` {reason}", target.escape_debug()))
                    })?;
                    self.links.push((at, PathBuf::from(std::ffi::OsStr::from_bytes(&target))));
                }
                Some(EntryKind::Submodule) => {
                    return Err(refused(format!("`{shown}` is a submodule; copy its files into the repository")));
                }
                None => return Err(refused(format!("`{shown}` has a mode that git does not write"))),
            }
        }
        Ok(())
    }

    fn file(&mut self, id: Oid, at: &Path, shown: &str, mode: u32) -> Result<()> {
        let content = self.source.read_blob(id, shown, MAX_FILE)?;
        self.bytes = self.bytes.saturating_add(content.len() as u64);
        if self.bytes > MAX_BYTES {
            return Err(refused(format!("the folder holds more than {MAX_BYTES} bytes")));
        }
        let write = || {
            // `create_new` fails on anything that is there, so a tree that names a file twice ends here.
            let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(mode).open(at)?;
            file.write_all(&content)
        };
        write().context(|| format!("failed to write `{shown}`"))
    }
}

/// Whether a link `depth` folders below the checkout's root stays inside, whatever other links there are.
///
/// `..` is allowed at the start only. There it climbs from a real folder, so counting is exact; after a name it could
/// climb from wherever another link leads.
fn check_link(target: &[u8], depth: usize) -> std::result::Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) {
        return Err("leads nowhere");
    }
    if target.starts_with(b"/") {
        return Err("is absolute; make it relative");
    }
    let mut climbed = 0;
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return Err("has `..` after a name; write the shortest path"),
            b".." => climbed += 1,
            _ => named = true,
        }
    }
    if climbed > depth { Err("leads out of the folder") } else { Ok(()) }
}

fn shown(inside: &[Vec<u8>], name: &[u8]) -> String {
    let mut path = String::new();
    for part in inside {
        path.push_str(&String::from_utf8_lossy(part));
        path.push('/');
    }
    path.push_str(&String::from_utf8_lossy(name));
    path
}
