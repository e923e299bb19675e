//! The lock, and files that are replaced whole.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Result;
use super::error::Context as _;

/// Proof that this process alone changes the forge. Released when dropped, also by a process that dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: fs_err::File,
}

impl Lock {
    /// Waits until nobody else holds the forge's lock.
    pub(super) fn take(root: &Path) -> Result<Self> {
        let path = root.join("lock");
        let doing = || format!("failed to lock the local forge with `{}`", path.display());
        let open = fs_err::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.context(doing)?;
        file.lock().context(doing)?;
        Ok(Self { _file: file })
    }
}

/// Reads a JSON file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let doing = || format!("failed to read `{}`", path.display());
    let bytes = fs_err::read(path).context(doing)?;
    serde_json::from_slice(&bytes).context(doing)
}

/// Reads a JSON file; none when it is not there.
pub(super) fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// Replaces a JSON file, or makes it: readers see the old content or the new, never a part.
pub(super) fn write<T: Serialize>(_: &Lock, path: &Path, value: &T) -> Result<()> {
    let doing = || format!("failed to write `{}`", path.display());
    let write = || -> anyhow::Result<()> {
        let folder = path.parent().expect("the forge's files lie in its directory");
        fs_err::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().context(doing)
}
