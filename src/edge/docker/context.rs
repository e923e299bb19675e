//! The files that a build sends to the engine: one tar archive, the same bytes for the same source.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::ignore::Ignore;

/// What Docker's own client calls the file that says which files stay at home.
const IGNORE_FILE: &str = ".dockerignore";

/// What a Dockerfile is called in the archive when it does not lie in the context.
const OWN_DOCKERFILE: &str = ".modelship.Dockerfile";

/// Most bytes of a `.dockerignore`.
const MAX_IGNORE: u64 = 1 << 20;

/// What a build sends, and which Dockerfile it says.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The folder that the Dockerfile may copy from.
    pub(super) folder: &'a Path,
    /// The Dockerfile within `folder`, or the text of one that does not lie there.
    pub(super) dockerfile: Dockerfile<'a>,
    /// The time that every file gets, in seconds since the epoch.
    pub(super) modified: u64,
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dockerfile<'a> {
    /// At this path within the context.
    Within(&'a str),
    /// Elsewhere; this is its text.
    Text(&'a str),
}

impl Context<'_> {
    /// Writes the archive. Gives the Dockerfile's path in it. Files are in order of their names, belong to root, and keep
    /// their executable bit; links stay links.
    ///
    /// # Errors
    /// When a file cannot be read or the archive cannot be written.
    pub(super) fn write(&self, out: impl Write) -> anyhow::Result<String> {
        let written = self.folder.join(IGNORE_FILE);
        let ignore_text = match fs_err::symlink_metadata(&written) {
            Ok(found) if found.is_file() => {
                ensure!(found.len() <= MAX_IGNORE, "`{IGNORE_FILE}` has more than {MAX_IGNORE} bytes");
                String::from_utf8_lossy(&fs_err::read(&written)?).into_owned()
            }
            _ => String::new(),
        };
        let mut archive = Archive {
            tar: tar::Builder::new(out),
            ignore: Ignore::parse(&ignore_text),
            kept: vec![IGNORE_FILE.to_owned()],
            modified: self.modified,
        };
        let dockerfile = match self.dockerfile {
            Dockerfile::Within(path) => {
                archive.kept.push(path.to_owned());
                archive.folder(self.folder, &mut Vec::new())?;
                path.to_owned()
            }
            Dockerfile::Text(text) => {
                archive.kept.clear();
                archive.ignore_own(&ignore_text);
                archive.folder(self.folder, &mut Vec::new())?;
                archive.file(OWN_DOCKERFILE, text.as_bytes(), 0o644)?;
                // The engine takes our own files out of the context again, so that no `COPY . .` copies them.
                let ignore = format!("{ignore_text}\n{OWN_DOCKERFILE}\n{IGNORE_FILE}\n");
                archive.file(IGNORE_FILE, ignore.as_bytes(), 0o644)?;
                OWN_DOCKERFILE.to_owned()
            }
        };
        archive.tar.into_inner().and_then(|mut out| out.flush()).context("failed to write a build's context")?;
        Ok(dockerfile)
    }
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    ignore: Ignore,
    /// Paths that the engine needs, whatever is excluded.
    kept: Vec<String>,
    modified: u64,
}

impl<W: Write> Archive<W> {
    /// Leaves the source's own files under our names out.
    fn ignore_own(&mut self, text: &str) {
        self.ignore = Ignore::parse(&format!("{text}\n/{OWN_DOCKERFILE}\n/{IGNORE_FILE}\n"));
    }

    /// Adds what lies in `folder`, whose path in the archive is `inside`.
    fn folder(&mut self, folder: &Path, inside: &mut Vec<String>) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let name = entry?.file_name();
            let name = name.to_str().with_context(|| format!("`{}` has a name that is not UTF-8", name.display()))?;
            names.push(name.to_owned());
        }
        names.sort();
        for name in names {
            let at = folder.join(&name);
            inside.push(name);
            self.entry(&at, inside)?;
            inside.pop();
        }
        Ok(())
    }

    fn entry(&mut self, at: &Path, inside: &mut Vec<String>) -> anyhow::Result<()> {
        let path = inside.join("/");
        let found = fs_err::symlink_metadata(at)?;
        let parts: Vec<&str> = inside.iter().map(String::as_str).collect();
        let leads_to_kept = self.kept.iter().any(|kept| kept == &path || kept.starts_with(&format!("{path}/")));
        let excluded = self.ignore.excludes(&parts) && !leads_to_kept;
        if found.is_dir() {
            if !excluded {
                self.header(&path, tar::EntryType::Directory, 0o755, 0, |tar, header, path| {
                    tar.append_data(header, path, std::io::empty())
                })?;
            }
            if !excluded || self.ignore.has_exceptions() {
                self.folder(at, inside)?;
            }
            return Ok(());
        }
        if excluded {
            return Ok(());
        }
        if found.is_symlink() {
            let target = fs_err::read_link(at)?;
            return self.header(&path, tar::EntryType::Symlink, 0o777, 0, |tar, header, path| {
                tar.append_link(header, path, &target)
            });
        }
        if !found.is_file() {
            return Ok(());
        }
        let executable = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o100 != 0;
        let file = fs_err::File::open(at)?;
        self.header(
            &path,
            tar::EntryType::Regular,
            if executable { 0o755 } else { 0o644 },
            found.len(),
            |tar, header, path| tar.append_data(header, path, std::io::Read::take(file, found.len())),
        )
    }

    fn file(&mut self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        self.header(path, tar::EntryType::Regular, mode, content.len() as u64, |tar, header, path| {
            tar.append_data(header, path, content)
        })
    }

    fn header(
        &mut self,
        path: &str,
        kind: tar::EntryType,
        mode: u32,
        size: u64,
        append: impl FnOnce(&mut tar::Builder<W>, &mut tar::Header, &str) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.modified);
        header.set_uid(0);
        header.set_gid(0);
        append(&mut self.tar, &mut header, path).with_context(|| format!("failed to send `{path}` to a build"))
    }
}

/// An archive of these files: path, mode and content. Folders on the way are made by who unpacks it.
pub(super) fn archive_of(files: &[(&str, u32, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut archive =
        Archive { tar: tar::Builder::new(Vec::new()), ignore: Ignore::default(), kept: Vec::new(), modified: 0 };
    for (path, mode, content) in files {
        match path.strip_suffix('/') {
            Some(folder) => archive.header(folder, tar::EntryType::Directory, *mode, 0, |tar, header, path| {
                tar.append_data(header, path, std::io::empty())
            })?,
            None => archive.file(path, content, *mode)?,
        }
    }
    archive.tar.into_inner().context("failed to write an archive")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn source() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let at = dir.path().join(path);
            fs_err::create_dir_all(at.parent().unwrap()).unwrap();
            fs_err::write(at, text).unwrap();
        };
        write("Dockerfile", "FROM scratch\nCOPY . .\n");
        write("b.txt", "b");
        write("a/run.sh", "#!/bin/sh\n");
        write("secret/key", "secret");
        write("secret/public", "public");
        fs_err::set_permissions(dir.path().join("a/run.sh"), PermissionsExt::from_mode(0o700)).unwrap();
        symlink("b.txt", dir.path().join("link")).unwrap();
        dir
    }

    /// Each entry of the archive with its mode.
    fn sent(folder: &Path, dockerfile: Dockerfile<'_>) -> Vec<String> {
        let mut bytes = Vec::new();
        Context { folder, dockerfile, modified: 7 }.write(&mut bytes).unwrap();
        let mut again = Vec::new();
        Context { folder, dockerfile, modified: 7 }.write(&mut again).unwrap();
        assert_eq!(bytes, again, "the same source makes the same bytes");
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (7, 0));
            format!("{} {:o}", entry.path().unwrap().display(), header.mode().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn everything_is_sent_in_order_unless_it_is_excluded() {
        let dir = source();
        let all = sent(dir.path(), Dockerfile::Within("Dockerfile"));
        let expected = [
            "Dockerfile 644",
            "a 755",
            "a/run.sh 755",
            "b.txt 644",
            "link 777",
            "secret 755",
            "secret/key 644",
            "secret/public 644",
        ];
        assert_eq!(all, expected);

        fs_err::write(dir.path().join(".dockerignore"), "secret\n!secret/public\nDockerfile\nb*\n.dockerignore\n")
            .unwrap();
        let some = sent(dir.path(), Dockerfile::Within("Dockerfile"));
        let expected =
            [".dockerignore 644", "Dockerfile 644", "a 755", "a/run.sh 755", "link 777", "secret/public 644"];
        assert_eq!(some, expected);
    }

    #[test]
    fn a_dockerfile_from_elsewhere_is_sent_and_not_copied() {
        let dir = source();
        fs_err::write(dir.path().join(".dockerignore"), "secret\n").unwrap();
        let all = sent(dir.path(), Dockerfile::Text("FROM scratch\n"));
        let expected = [
            "Dockerfile 644",
            "a 755",
            "a/run.sh 755",
            "b.txt 644",
            "link 777",
            ".modelship.Dockerfile 644",
            ".dockerignore 644",
        ];
        assert_eq!(all, expected);
    }
}
