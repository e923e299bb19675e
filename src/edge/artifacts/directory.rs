//! The artifact store in a directory.
//!
//! Keys are relative paths, checked once. Nothing is read or written through a symbolic link below the root, because
//! models that run as this user could have put one there. The calls block, because files do; callers on an async
//! runtime put them on a blocking thread.

use std::fmt;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::runner::tree;

/// The longest key, in bytes.
const KEY: usize = 1000;

/// A key that is no checked relative path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact key `{key}` {reason}")]
pub struct InvalidKey {
    key: String,
    reason: &'static str,
}

/// Names one artifact or a directory of them: a relative path such as `sweeps/<id>/analysis.csv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactKey(String);

impl ArtifactKey {
    /// Checks `text` and makes the key.
    ///
    /// # Errors
    /// When it is empty, too long or absolute, or has a part that is empty, `.` or `..`, or holds control characters.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        match check(&text) {
            Ok(()) => Ok(Self(text)),
            Err(reason) => Err(InvalidKey { key: text.chars().take(120).collect(), reason }),
        }
    }

    /// The key of `name` below this one.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, name: &str) -> Result<Self, InvalidKey> {
        Self::parse(format!("{}/{name}", self.0))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > KEY {
        return Err("must have 1 to 1000 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("must be a relative path without empty parts, `.` and `..`");
    }
    Ok(())
}

/// A directory of artifacts.
#[derive(Debug, Clone)]
pub struct Artifacts {
    root: PathBuf,
}

impl Artifacts {
    /// Opens the store in `root`, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(root)?;
        Ok(Self { root: fs_err::canonicalize(root)? })
    }

    /// The root, absolute and without links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the artifact lies or will lie.
    #[must_use]
    pub fn path(&self, key: &ArtifactKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Writes a whole artifact. Readers see the old one or the new one, also after a crash.
    ///
    /// # Errors
    /// When the disk refuses, or a link lies on the way.
    pub fn write(&self, key: &ArtifactKey, bytes: &[u8]) -> io::Result<()> {
        let mut writer = self.create(key)?;
        writer.write_all(bytes)?;
        writer.commit()
    }

    /// Begins an artifact that is written piece by piece. It is not there before [`ArtifactWriter::commit`].
    ///
    /// # Errors
    /// When the disk refuses, or a link lies on the way.
    pub fn create(&self, key: &ArtifactKey) -> io::Result<ArtifactWriter> {
        let path = self.prepare(key)?;
        let directory = path.parent().unwrap_or(&self.root).to_owned();
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(PermissionsExt::from_mode(0o644))
            .tempfile_in(&directory)?;
        Ok(ArtifactWriter { writer: BufWriter::with_capacity(128 * 1024, file), path, directory })
    }

    /// Makes the file at `path` an artifact; it is moved where that can be done, else copied.
    ///
    /// # Errors
    /// When the disk refuses, or a link lies on the way.
    pub fn adopt(&self, key: &ArtifactKey, path: &Path) -> io::Result<()> {
        let target = self.prepare(key)?;
        fs_err::File::open(path)?.sync_all()?;
        match fs_err::rename(path, &target) {
            Ok(()) => fs_err::File::open(target.parent().unwrap_or(&self.root))?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let mut writer = self.create(key)?;
                io::copy(&mut fs_err::File::open(path)?, &mut writer)?;
                writer.commit()?;
                fs_err::remove_file(path)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the artifact will lie, with its directory made, for a writer that knows only paths.
    ///
    /// # Errors
    /// When the disk refuses, or a link lies on the way.
    pub fn prepare(&self, key: &ArtifactKey) -> io::Result<PathBuf> {
        let path = self.path(key);
        let directory = path.parent().unwrap_or(&self.root);
        self.refuse_links(directory)?;
        fs_err::create_dir_all(directory)?;
        Ok(path)
    }

    /// A whole artifact. For what may be large there is [`Self::read_range`] and [`Self::reader`].
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the file system says.
    pub fn read(&self, key: &ArtifactKey) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(key)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// At most `length` bytes from `offset`; fewer at the artifact's end, none behind it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_range(&self, key: &ArtifactKey, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut reader = self.reader(key)?;
        reader.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        reader.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The artifact, open for reading.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn reader(&self, key: &ArtifactKey) -> io::Result<fs_err::File> {
        let path = self.path(key);
        self.refuse_links(&path)?;
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).expect("open flags fit an int");
        let file = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_found(key)) }
    }

    /// An artifact's size in bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn size(&self, key: &ArtifactKey) -> io::Result<u64> {
        let path = self.path(key);
        self.refuse_links(&path)?;
        let found = fs_err::symlink_metadata(path)?;
        if found.is_file() { Ok(found.len()) } else { Err(not_found(key)) }
    }

    /// Removes the artifact or the whole directory of artifacts; nothing there is no fault.
    ///
    /// # Errors
    /// When the disk refuses, or a link lies on the way.
    pub fn remove_tree(&self, key: &ArtifactKey) -> io::Result<()> {
        let path = self.path(key);
        self.refuse_links(path.parent().unwrap_or(&self.root))?;
        tree::remove_tree(&path)
    }

    /// Fails when a symbolic link lies anywhere on the way from the root to `path`.
    fn refuse_links(&self, path: &Path) -> io::Result<()> {
        let below = path.strip_prefix(&self.root).map_err(io::Error::other)?;
        let mut at = self.root.clone();
        for part in below.components().filter(|part| matches!(part, Component::Normal(_))) {
            at.push(part);
            match fs_err::symlink_metadata(&at) {
                Ok(found) if found.is_symlink() => {
                    let message =
                        format!("`{}` is a symbolic link, which the artifact store does not follow", at.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn not_found(key: &ArtifactKey) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("artifact `{key}` is not a file"))
}

/// An artifact that is being written. Dropped without [`Self::commit`], it leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
    directory: PathBuf,
}

impl ArtifactWriter {
    /// Makes the artifact appear under its key, whole and on the disk.
    ///
    /// # Errors
    /// When the disk refuses; then there is no new artifact.
    pub fn commit(self) -> io::Result<()> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        fs_err::File::open(&self.directory)?.sync_all()
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ArtifactKey {
        ArtifactKey::parse(text).unwrap()
    }

    #[test]
    fn keys_are_relative_paths_that_stay_inside() {
        assert_eq!(key("sweeps/s-1").join("analysis.csv").unwrap().as_str(), "sweeps/s-1/analysis.csv");
        for text in ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\nb", &"a".repeat(2000)] {
            assert!(ArtifactKey::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            ArtifactKey::parse("a/../b").unwrap_err().to_string(),
            "artifact key `a/../b` must be a relative path without empty parts, `.` and `..`"
        );
    }

    #[test]
    fn artifacts_are_written_whole_and_read_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(&dir.path().join("store")).unwrap();
        let table = key("sweeps/s/analysis.csv");
        assert_eq!(store.read(&table).unwrap_err().kind(), io::ErrorKind::NotFound);
        store.write(&table, b"0123456789").unwrap();
        store.write(&table, b"abcdefghij").unwrap();
        assert_eq!(store.read(&table).unwrap(), b"abcdefghij");
        assert_eq!(store.read_range(&table, 8, 100).unwrap(), b"ij");
        assert_eq!(store.read_range(&table, 2, 3).unwrap(), b"cde");
        assert_eq!(store.read_range(&table, 50, 3).unwrap(), b"");
        assert_eq!(store.size(&table).unwrap(), 10);
        assert_eq!(store.size(&key("sweeps/s")).unwrap_err().kind(), io::ErrorKind::NotFound);
        store.remove_tree(&key("sweeps/s")).unwrap();
        store.remove_tree(&key("sweeps/s")).unwrap();
        assert!(store.read(&table).is_err());
    }

    #[test]
    fn what_is_not_committed_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        let table = key("a/b");
        let mut writer = store.create(&table).unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        assert!(store.read(&table).is_err());
        assert_eq!(fs_err::read_dir(dir.path().join("a")).unwrap().count(), 0);
        let mut writer = store.create(&table).unwrap();
        writer.write_all(b"whole").unwrap();
        writer.commit().unwrap();
        assert_eq!(store.read(&table).unwrap(), b"whole");
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs_err::create_dir(&outside).unwrap();
        fs_err::write(outside.join("secret"), "s").unwrap();
        let store = Artifacts::open(&dir.path().join("store")).unwrap();
        std::os::unix::fs::symlink(&outside, store.root().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), store.root().join("file")).unwrap();
        for text in ["link/secret", "file"] {
            assert!(store.read(&key(text)).unwrap_err().to_string().contains("symbolic link"));
            assert!(store.size(&key(text)).is_err());
        }
        assert!(store.write(&key("link/new"), b"x").is_err());
        assert!(store.remove_tree(&key("link/secret")).is_err());
        assert!(outside.join("secret").exists() && !outside.join("new").exists());
    }
}
