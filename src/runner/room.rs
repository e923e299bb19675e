//! The fresh directory of a run, and how one run's directory becomes the next one's.
//!
//! Making and removing directories is most of what a short run would cost on a disk. A worker therefore keeps its
//! directory when the run left it as it was found, which is looked at, not assumed. It gets a new name all the same, so
//! that a process that outlived its run cannot find the next run's outputs where the last one's were.

use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;

use super::tree::remove_tree;

/// Most files that are taken away one by one before the whole directory is made anew.
const FILES: usize = 16;

/// A run's directory. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    /// Holds the parameter file and serves as home and for temporary files.
    pub(super) path: PathBuf,
    /// The working directory, empty at first.
    pub(super) work: PathBuf,
    /// `{outputs}`, empty at first.
    pub(super) outputs: PathBuf,
    /// The name of the parameter file, once there is one.
    params: Option<&'static str>,
    /// The permissions that the directories have when they are new.
    mode: u32,
}

impl Room {
    /// Makes a new room.
    pub(super) fn make(scratch: &Path, number: u64) -> anyhow::Result<Self> {
        let path = scratch.join(number.to_string());
        let mut room = Self { work: path.join("work"), outputs: path.join("outputs"), path, params: None, mode: 0 };
        for directory in [&room.path, &room.work, &room.outputs] {
            fs_err::create_dir(directory).context("failed to make a run's directory")?;
        }
        room.mode = fs_err::symlink_metadata(&room.path).context("failed to look at a run's directory")?.mode();
        Ok(room)
    }

    /// Writes the parameter file and says where it is.
    pub(super) fn write_params(&mut self, name: &'static str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags fit an int");
        // Cut to its length afterwards and not before: file systems hurry to write a file out that was cut to nothing.
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .custom_flags(flags)
            .open(&path)
            .context("failed to make a parameter file")?;
        file.write_all(text.as_bytes()).context("failed to write a parameter file")?;
        if self.params.is_some() {
            file.set_len(text.len() as u64).context("failed to write a parameter file")?;
        }
        self.params = Some(name);
        Ok(path)
    }

    /// This room as the next run's, under another name; none when the run left it otherwise than it was found.
    pub(super) fn again(mut self, scratch: &Path, number: u64) -> Option<Self> {
        if !self.is_tidy().unwrap_or(false) {
            return None;
        }
        let path = scratch.join(number.to_string());
        fs_err::rename(&self.path, &path).ok()?;
        (self.work, self.outputs, self.path) = (path.join("work"), path.join("outputs"), path);
        Some(self)
    }

    /// Takes away the few files that a run leaves and says whether everything else is as it was at first.
    fn is_tidy(&self) -> std::io::Result<bool> {
        let as_made = |path: &Path| fs_err::symlink_metadata(path).map(|found| found.mode() == self.mode);
        if !as_made(&self.path)? || !as_made(&self.work)? || !as_made(&self.outputs)? {
            return Ok(false);
        }
        for entry in fs_err::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let known = name == "work" || name == "outputs" || self.params.is_some_and(|params| name == params);
            if !known || (!entry.file_type()?.is_dir() && !is_own_file(&entry.metadata()?)) {
                return Ok(false);
            }
        }
        Ok(empty(&self.work)? && empty(&self.outputs)?)
    }
}

/// Whether the parameter file is a plain file that can be written and has no other name.
fn is_own_file(found: &Metadata) -> bool {
    found.is_file() && found.nlink() == 1 && found.mode() & 0o7700 == 0o600
}

/// Takes away the files in `directory`, when they are few, and says whether it is empty then.
fn empty(directory: &Path) -> std::io::Result<bool> {
    for (index, entry) in fs_err::read_dir(directory)?.enumerate() {
        let entry = entry?;
        if index >= FILES || entry.file_type()?.is_dir() {
            return Ok(false);
        }
        fs_err::remove_file(entry.path())?;
    }
    Ok(true)
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the job's scratch directory.
        let _ = remove_tree(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Whether a room in which `leave` was done serves the next run.
    #[track_caller]
    fn check(leave: impl FnOnce(&Room), serves: bool) {
        let scratch = tempfile::tempdir().unwrap();
        let mut room = Room::make(scratch.path(), 1).unwrap();
        room.write_params("params.csv", "RATE,0.123456789\n").unwrap();
        leave(&room);
        let again = room.again(scratch.path(), 2);
        assert_eq!(again.is_some(), serves);
        assert!(!scratch.path().join("1").exists());
        if let Some(mut room) = again {
            assert_eq!(room.path, scratch.path().join("2"));
            let params = room.write_params("params.csv", "RATE,0.1\n").unwrap();
            assert_eq!(fs_err::read_to_string(params).unwrap(), "RATE,0.1\n");
            for directory in [&room.work, &room.outputs] {
                assert_eq!(fs_err::read_dir(directory).unwrap().count(), 0);
            }
        }
        assert_eq!(fs_err::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_room_serves_again_when_only_a_few_files_were_left() {
        check(|_| {}, true);
        check(|room| fs_err::write(room.outputs.join("summary.csv"), "a,1").unwrap(), true);
        check(|room| std::os::unix::fs::symlink("/", room.work.join("link")).unwrap(), true);
    }

    #[test]
    fn a_room_that_was_changed_does_not() {
        check(|room| fs_err::create_dir(room.outputs.join("sub")).unwrap(), false);
        check(|room| fs_err::write(room.path.join(".cache"), "").unwrap(), false);
        check(|room| fs_err::set_permissions(&room.work, PermissionsExt::from_mode(0o500)).unwrap(), false);
        check(|room| fs_err::hard_link(room.path.join("params.csv"), room.work.join("other")).unwrap(), false);
        check(|room| fs_err::remove_dir(&room.work).unwrap(), false);
        let replaced = |room: &Room| {
            fs_err::remove_file(room.path.join("params.csv")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", room.path.join("params.csv")).unwrap();
        };
        check(replaced, false);
        let many = |room: &Room| (0..20).for_each(|n| fs_err::write(room.work.join(n.to_string()), "").unwrap());
        check(many, false);
    }
}
