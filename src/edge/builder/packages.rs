//! Debian packages that a model needs on this machine, when it is built as processes.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::RecipeError;
use crate::domain::manifest::Part;
use crate::runner::supervise::{How, Limits, Stdout, Step, Stop, supervise};
use crate::runner::{Log, base_environment, resolve_program};

/// How long dpkg may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A line with the version of each package. A package that is not installed is the manifest's fault, or rather this
/// machine's, and only its owner can install it.
pub(super) fn versions(packages: &[String], search_path: &str, scratch: &Path) -> Result<Vec<String>, RecipeError> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(program) = resolve_program("dpkg-query".as_ref(), Path::new("/"), search_path) else {
        let hint = "build the model as an image (`executor: docker`), or take `debian` out and see to it that the \
                    machine has what the model needs";
        return Err(RecipeError::refused(Part::Debian, "this machine has no Debian packages", hint));
    };
    fs_err::create_dir_all(scratch).context("failed to make the scratch directory")?;
    let format = "--showformat=${binary:Package} ${Version} ${db:Status-Status}\\n";
    let mut arguments: Vec<OsString> = vec!["--show".into(), format.into(), "--".into()];
    arguments.extend(packages.iter().map(OsString::from));
    let step = Step {
        program: &program,
        arguments: &arguments,
        directory: scratch,
        environment: &base_environment(search_path, scratch, 1000),
        stdout: Stdout::Log,
    };
    let limits = Limits { deadline: Instant::now() + TIMEOUT, memory: None };
    let mut log = Log::new(Log::RUN);
    let never = Stop::new().context("failed to get ready to ask dpkg")?;
    let ended = supervise(&step, &limits, &mut log, &never)
        .map_err(|error| anyhow::anyhow!("failed to ask dpkg: {error:?}"))?;
    // It ends with 1 when it does not know one of them.
    if !matches!(ended.how, How::Exit(0 | 1)) {
        return Err(anyhow::anyhow!("dpkg-query {}: {}", ended.how, log.text()).into());
    }
    let text = log.text();
    let installed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .filter_map(|line| line.split_once(' '))
        // A package of another architecture than this machine's first one is called `libc6:i386`.
        .map(|(name, version)| (name.split(':').next().unwrap_or(name), version))
        .collect();
    let missing: Vec<&str> = packages
        .iter()
        .map(String::as_str)
        .filter(|package| !installed.iter().any(|(name, _)| name == package))
        .collect();
    if missing.is_empty() {
        return Ok(installed.iter().map(|(name, version)| format!("{name} {version}")).collect());
    }
    let message = format!("this machine lacks the Debian packages that the model needs: `{}`", missing.join("`, `"));
    let hint = format!("its owner can install them: `sudo apt-get install {}`", missing.join(" "));
    Err(RecipeError::refused(Part::Debian, message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::DEFAULT_SEARCH_PATH;

    #[test]
    fn missing_packages_are_named_with_the_command_that_installs_them() {
        let dir = tempfile::tempdir().unwrap();
        let ask = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            versions(&names, DEFAULT_SEARCH_PATH, dir.path())
        };
        let lines = ask(&["dpkg", "make"]).unwrap();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(' ')), "{lines:?}");
        let Err(RecipeError::Refused { part: Part::Debian, message, hint }) = ask(&["dpkg", "no-such-a", "no-such-b"])
        else {
            panic!("they are not installed");
        };
        assert_eq!(message, "this machine lacks the Debian packages that the model needs: `no-such-a`, `no-such-b`");
        assert_eq!(hint.unwrap(), "its owner can install them: `sudo apt-get install no-such-a no-such-b`");
        assert!(ask(&[]).unwrap().is_empty());
    }
}
