//! Removes directories that models and builds wrote, whatever permissions they left there.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes `path` with everything in it; nothing there is no fault. Links are removed, not followed.
///
/// # Errors
/// When something in it cannot be removed even after its directories were made writable.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs_err::remove_file(path),
        Err(_) => {
            make_writable(path);
            fs_err::remove_dir_all(path)
        }
    }
}

/// Gives the owner every right on each directory below `path`. What cannot be changed is left to the removal to report.
fn make_writable(path: &Path) {
    if !fs_err::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return;
    }
    let _ = fs_err::set_permissions(path, PermissionsExt::from_mode(0o700));
    for entry in fs_err::read_dir(path).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_directories_are_removed_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs_err::create_dir_all(tree.join("a/b")).unwrap();
        fs_err::write(&outside, "kept").unwrap();
        fs_err::write(tree.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), tree.join("a/link")).unwrap();
        fs_err::set_permissions(tree.join("a/b"), PermissionsExt::from_mode(0o500)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.exists());
        remove_tree(&tree).unwrap();
    }
}
