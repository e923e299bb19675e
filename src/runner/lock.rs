//! Locks that fall with the process that holds them.

use std::io;
use std::path::Path;

/// Opens the lock file at `path`, which is made when it is not there. Nothing is locked yet. A lock that is there may lie
/// where this program cannot write.
pub(super) fn open_lock(path: &Path) -> io::Result<fs_err::File> {
    match fs_err::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path)
        }
        opened => opened,
    }
}

/// Takes the lock if nobody has it, and says whether it did.
pub(super) fn try_lock(file: &fs_err::File) -> io::Result<bool> {
    match file.try_lock().map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
