//! A job's scratch directory, where its runs have their rooms, and whose it is.
//!
//! Beside each directory lies a file with the job's place, written before the directory is made. So whoever clears the
//! scratch folder can ask the place itself whether somebody works there, also for a job that nobody else knows yet.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::domain::ids::Digest;

use super::place::{self, Claim};
use super::tree::remove_tree;

/// What scratch directories of jobs begin with.
const PREFIX: &str = "job-";

/// What the file beside one ends with.
const OWNER: &str = ".place";

/// Where the runs of the job in `place` have their fresh directories.
fn scratch_of(scratch: &Path, place: &Path) -> PathBuf {
    scratch.join(format!("{PREFIX}{}", &Digest::of(place.as_os_str().as_encoded_bytes()).hex()[..16]))
}

/// Makes the empty scratch directory of a job whose place is this process's.
pub(super) fn make(scratch: &Path, claim: &Claim) -> anyhow::Result<PathBuf> {
    let directory = scratch_of(scratch, claim.place());
    remove_tree(&directory).context("failed to clear the scratch directory")?;
    fs_err::create_dir_all(scratch).context("failed to make the scratch directory")?;
    let place = claim.place().to_str().context("the job's place must be UTF-8")?;
    fs_err::write(owner_of(&directory), place).context("failed to say whose a scratch directory is")?;
    fs_err::create_dir(&directory).context("failed to make the scratch directory")?;
    Ok(directory)
}

/// Removes the scratch directory of the job in `place`, on which nobody works any more.
///
/// # Errors
/// When the disk refuses.
pub fn remove(scratch: &Path, place: &Path) -> anyhow::Result<()> {
    remove_directory(&scratch_of(scratch, place))
}

/// Removes scratch directories of jobs on which nobody works.
///
/// # Errors
/// When the disk refuses.
pub fn remove_abandoned(scratch: &Path) -> anyhow::Result<()> {
    for entry in fs_err::read_dir(scratch).context("failed to look for left scratch directories")? {
        let path = entry.context("failed to look for left scratch directories")?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let directory = path.with_extension("");
        let place = fs_err::read_to_string(owner_of(&directory)).map(PathBuf::from).ok().filter(|place| place.is_dir());
        match place {
            None => remove_directory(&directory)?,
            Some(place) if place::announced(&place).is_some_and(|process| process.is_alive()) => {}
            // While the place is ours, no runner begins there.
            Some(place) => {
                if let Ok(_claim) = Claim::take(&place) {
                    remove_directory(&directory)?;
                }
            }
        }
    }
    Ok(())
}

fn owner_of(directory: &Path) -> PathBuf {
    directory.with_extension(&OWNER[1..])
}

fn remove_directory(directory: &Path) -> anyhow::Result<()> {
    remove_tree(directory).context("failed to remove a job's scratch directory")?;
    match fs_err::remove_file(owner_of(directory)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("failed to remove a job's scratch directory")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_works_in_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let scratch = root.path().join("scratch");
        let claims = ["announced", "quiet", "dead"].map(|name| Claim::take(&root.path().join(name)).unwrap());
        let [announced, quiet, dead] = claims.each_ref().map(|claim| make(&scratch, claim).unwrap());
        claims[0].announce().unwrap();
        let [_announced, _quiet, ended] = claims;
        drop(ended);
        fs_err::create_dir(scratch.join("job-nobody-knows")).unwrap();
        fs_err::create_dir(scratch.join("build-1")).unwrap();

        remove_abandoned(&scratch).unwrap();
        assert!(announced.is_dir() && quiet.is_dir() && scratch.join("build-1").is_dir());
        assert!(!dead.exists() && !scratch.join("job-nobody-knows").exists());
        assert_eq!(fs_err::read_dir(&scratch).unwrap().count(), 5, "two directories with their files, and the build");
        remove(&scratch, &root.path().join("quiet")).unwrap();
        assert_eq!(fs_err::read_dir(&scratch).unwrap().count(), 3);
    }
}
