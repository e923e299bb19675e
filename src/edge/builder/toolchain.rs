//! Which tools a build or a run depends on, by their own words. They are part of what identifies an executable.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::runner::supervise::{How, Limits, Stdout, Step, Stop, supervise};
use crate::runner::{Log, base_environment, resolve_program};

/// How long a tool may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tools that build whatever their files say with these compilers.
const COMPILERS: [&str; 3] = ["cc", "c++", "gfortran"];

/// Versions of tools, each asked once in the life of this process.
#[derive(Debug, Default)]
pub(super) struct Toolchain {
    versions: Mutex<HashMap<PathBuf, Option<String>>>,
}

impl Toolchain {
    /// The system, the architecture, and a line for each known tool that `commands` use and that is there.
    pub(super) fn lines(
        &self,
        commands: &[Vec<String>],
        search_path: &str,
        scratch: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let mut lines = vec![system(), rustix::system::uname().machine().to_string_lossy().into_owned()];
        for tool in commands.iter().filter_map(|command| command.first()).flat_map(|program| implied(program)) {
            // What is not there cannot have any part in the result.
            let Ok(program) = resolve_program(OsStr::new(&tool), Path::new("/"), search_path) else { continue };
            if let Some(version) = self.version(&program, search_path, scratch)?
                && !lines.contains(&version)
            {
                lines.push(version);
            }
        }
        Ok(lines)
    }

    fn version(&self, program: &Path, search_path: &str, scratch: &Path) -> anyhow::Result<Option<String>> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = versions.get(program) {
            return Ok(known.clone());
        }
        let version = ask(program, search_path, scratch)?;
        versions.insert(program.to_owned(), version.clone());
        Ok(version)
    }
}

/// The known tools that a command with this program depends on. Programs of the model itself are in its source.
fn implied(program: &str) -> Vec<String> {
    if program.contains('{') || (program.contains('/') && !program.starts_with('/')) {
        return Vec::new();
    }
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let own = [program.to_owned()].into_iter();
    let with = |others: &[&str]| own.clone().chain(others.iter().map(|other| (*other).to_owned())).collect();
    // `python3.11` and `gcc-12` are known by what comes before their version.
    match name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')) {
        "make" | "gmake" | "cmake" | "ninja" | "meson" => with(&COMPILERS),
        "pip" | "pytest" => vec!["python3".to_owned()],
        "cargo" => with(&["rustc"]),
        "npm" => vec!["node".to_owned()],
        "mvn" | "gradle" => with(&["javac"]),
        "cc" | "c++" | "gcc" | "g++" | "clang" | "clang++" | "gfortran" | "flang" | "ifx" | "rustc" | "python"
        | "Rscript" | "R" | "julia" | "go" | "java" | "javac" | "node" | "perl" | "ruby" | "octave" => with(&[]),
        _ => Vec::new(),
    }
}

/// The first line in which the tool says its version; none when it does not.
fn ask(program: &Path, search_path: &str, scratch: &Path) -> anyhow::Result<Option<String>> {
    fs_err::create_dir_all(scratch).context("failed to make the scratch directory")?;
    let question = if program.file_name() == Some(OsStr::new("go")) { "version" } else { "--version" };
    let step = Step {
        program,
        arguments: &[OsString::from(question)],
        directory: scratch,
        environment: &base_environment(search_path, scratch, 1000),
        stdout: Stdout::Log,
    };
    let limits = Limits { deadline: Instant::now() + TIMEOUT, memory: None };
    let mut log = Log::new(Log::RUN);
    let never = Stop::new().context("failed to get ready to ask a tool")?;
    match supervise(&step, &limits, &mut log, &never) {
        Ok(ended) if ended.how == How::Exit(0) => {
            let text = log.text();
            let first = text.lines().map(str::trim).find(|line| !line.is_empty());
            Ok(first.map(|line| line.chars().take(200).collect()))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

fn system() -> String {
    let text = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "unknown system".to_owned(), |name| name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::DEFAULT_SEARCH_PATH;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn commands_imply_tools() {
        let check = |program: &str, expect: &[&str]| assert_eq!(implied(program), expect, "{program}");
        check("make", &["make", "cc", "c++", "gfortran"]);
        check("/usr/bin/python3.11", &["/usr/bin/python3.11"]);
        check("gcc-12", &["gcc-12"]);
        check("pytest", &["python3"]);
        check("./make", &[]);
        check("{model}/python3", &[]);
        check("sh", &[]);
    }

    #[test]
    fn a_tool_is_asked_once_for_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let julia = dir.path().join("julia");
        fs_err::write(&julia, "#!/bin/sh\necho asked >> \"$0.asked\"; echo; echo julia version 9.9; echo more\n")
            .unwrap();
        fs_err::set_permissions(&julia, PermissionsExt::from_mode(0o755)).unwrap();
        let search_path = format!("{}:{DEFAULT_SEARCH_PATH}", dir.path().display());
        let toolchain = Toolchain::default();
        let commands = [vec!["julia".to_owned(), "x.jl".to_owned()], vec!["no-such-tool".to_owned()]];
        for _ in 0..2 {
            let lines = toolchain.lines(&commands, &search_path, &dir.path().join("scratch")).unwrap();
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert_eq!(lines[2], "julia version 9.9");
        }
        assert_eq!(fs_err::read_to_string(dir.path().join("julia.asked")).unwrap(), "asked\n");
    }
}
