//! Takes what a run leaves in `{outputs}`: its summary and its declared files. Nothing else leaves that directory, and
//! nothing is followed out of it.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;

use super::summary;

/// Why something could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// The model's fault; the text is for the user.
    #[error("{0}")]
    Model(String),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// The bytes of the summary file `name`.
///
/// # Errors
/// [`KeepError::Model`] when it is missing, is no regular file within `outputs`, or is too large.
pub(super) fn summary_bytes(outputs: &Path, name: &str) -> Result<Vec<u8>, KeepError> {
    let (path, size) = regular_file(outputs, name, "summary")?;
    if size > summary::LIMIT {
        return Err(KeepError::Model(too_large(name, size)));
    }
    // Not followed and not waited for, should the file have become a link or a pipe since it was looked at.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit an int");
    let file = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(&path);
    let file = file.map_err(|error| KeepError::Model(format!("summary `{name}` cannot be read: {}", plain(&error))))?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(summary::LIMIT + 1).read_to_end(&mut bytes).context("failed to read a summary")?;
    if bytes.len() as u64 > summary::LIMIT {
        return Err(KeepError::Model(too_large(name, bytes.len() as u64)));
    }
    Ok(bytes)
}

/// The sentence for a summary that is larger than what is read.
pub(super) fn too_large(name: &str, size: u64) -> String {
    format!("summary `{name}` has at least {size} bytes, more than the {} that are read", summary::LIMIT)
}

/// Moves the declared file `name` from `outputs` to the run's own directory `kept` and says how large it is. `room` is
/// what the run's kept files may still take, in bytes; it shrinks by this one.
///
/// # Errors
/// [`KeepError::Model`] when it is missing, is no regular file within `outputs`, or has more than `room` bytes.
pub(super) fn keep_file(outputs: &Path, name: &str, kept: &Path, room: &mut u64) -> Result<u64, KeepError> {
    let (from, size) = regular_file(outputs, name, "file")?;
    *room = room.checked_sub(size).ok_or_else(|| {
        let size = bytesize::ByteSize(size);
        KeepError::Model(format!(
            "file `{name}` has {size}, and with it the kept files have more than `outputs.limit` allows; write less, or \
             raise the limit in the manifest"
        ))
    })?;
    let to = kept.join(name);
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent).context("failed to make a place for kept files")?;
    }
    match fs_err::rename(&from, &to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs_err::copy(&from, &to).context("failed to copy a kept file")?;
        }
        Err(error) => return Err(anyhow::Error::new(error).context("failed to move a kept file").into()),
    }
    Ok(size)
}

/// The path and size of `name` within `outputs`, after making sure that it is a regular file there, with no link on
/// the way. Its permissions are brought back to plain ones.
fn regular_file(outputs: &Path, name: &str, what: &str) -> Result<(PathBuf, u64), KeepError> {
    let model = |reason: &str| KeepError::Model(format!("{what} `{name}` {reason}"));
    let components: Vec<_> = Path::new(name).components().collect();
    if components.is_empty() || components.iter().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(model("is not a path within `{outputs}`"));
    }
    let mut path = outputs.to_owned();
    let mut found = look(&path, &model)?;
    for part in components {
        if !found.is_dir() {
            return Err(model("does not lie in a plain directory of `{outputs}`"));
        }
        path.push(part);
        found = look(&path, &model)?;
    }
    if found.is_symlink() {
        return Err(model("is a symbolic link; outputs must be regular files"));
    }
    if !found.is_file() {
        return Err(model("is not a regular file"));
    }
    let mode = found.permissions().mode();
    if mode & 0o7777 != 0o644 && (mode & 0o400 == 0 || mode & 0o7111 != 0) {
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o644))
            .context("failed to make an output readable")?;
    }
    Ok((path, found.len()))
}

fn look(path: &Path, model: &impl Fn(&str) -> KeepError) -> Result<std::fs::Metadata, KeepError> {
    fs_err::symlink_metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => model("was not written by the model"),
        _ => model(&format!("cannot be read: {}", plain(&error))),
    })
}

/// The operating system's own words, without the path that only this machine has.
pub(super) fn plain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.source()).map(ToString::to_string);
    inner.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_outputs_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, kept) = (dir.path().join("outputs"), dir.path().join("kept"));
        fs_err::create_dir_all(outputs.join("sub")).unwrap();
        fs_err::write(dir.path().join("secret"), "s").unwrap();
        fs_err::write(outputs.join("sub/a.csv"), "12345").unwrap();
        std::os::unix::fs::symlink("../secret", outputs.join("link")).unwrap();
        std::os::unix::fs::symlink("..", outputs.join("up")).unwrap();
        assert_eq!(keep_file(&outputs, "sub/a.csv", &kept, &mut (1 << 20)).unwrap(), 5);
        assert_eq!(fs_err::read_to_string(kept.join("sub/a.csv")).unwrap(), "12345");
        let refused = |name: &str| keep_file(&outputs, name, &kept, &mut (1 << 20)).unwrap_err().to_string();
        assert_eq!(refused("sub/a.csv"), "file `sub/a.csv` was not written by the model");
        assert_eq!(refused("link"), "file `link` is a symbolic link; outputs must be regular files");
        assert_eq!(refused("up/secret"), "file `up/secret` does not lie in a plain directory of `{outputs}`");
        assert_eq!(refused("sub"), "file `sub` is not a regular file");
        for name in ["../secret", "/etc/passwd", "", "a/../../secret"] {
            assert!(refused(name).ends_with("is not a path within `{outputs}`"), "{name}");
        }
        assert!(!kept.join("secret").exists());
    }

    #[test]
    fn outputs_that_became_a_link_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = dir.path().join("outputs");
        fs_err::write(dir.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(dir.path(), &outputs).unwrap();
        assert!(matches!(summary_bytes(&outputs, "secret"), Err(KeepError::Model(_))));
    }
}
