//! From a manifest's argv list to what is executed: placeholders, the program's path, the environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// `PATH` where nothing else is said.
pub const DEFAULT_SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables by which numerical libraries are told how many threads they may use.
const THREAD_VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "JULIA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// What the placeholders of an argv list stand for.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    /// `{model}`: where the built model lies.
    pub model: &'a Path,
    /// `{params}`: the parameter file, when there is one.
    pub params: Option<&'a Path>,
    /// `{outputs}`: where the run writes, when it has such a place.
    pub outputs: Option<&'a Path>,
}

impl Fill<'_> {
    /// `text` with its placeholders filled in, in one pass: what is filled in is not looked at again. Other text in
    /// braces stays as it is.
    ///
    /// # Errors
    /// A sentence part when `text` names a placeholder that stands for nothing here.
    pub fn apply(&self, text: &str) -> Result<OsString, String> {
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            out.extend_from_slice(&rest.as_bytes()[..open]);
            rest = &rest[open..];
            let named = [("{model}", Some(self.model)), ("{params}", self.params), ("{outputs}", self.outputs)];
            let Some((name, path)) = named.into_iter().find(|(name, _)| rest.starts_with(name)) else {
                out.push(b'{');
                rest = &rest[1..];
                continue;
            };
            let path = path.ok_or_else(|| format!("`{text}` names `{name}`, and there is none here"))?;
            out.extend_from_slice(path.as_os_str().as_bytes());
            rest = &rest[name.len()..];
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(OsString::from_vec(out))
    }
}

/// Where the program `name` lies. A bare name is looked up in `search_path`; a relative path is taken from `model`,
/// because a run's working directory is empty.
///
/// # Errors
/// A sentence part when no directory of `search_path` has it.
pub fn resolve_program(name: &OsStr, model: &Path, search_path: &str) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("the command is empty".to_owned());
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(model.join(name));
    }
    let executable = |path: &PathBuf| {
        fs_err::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let mut candidates =
        search_path.split(':').filter(|part| part.starts_with('/')).map(|part| Path::new(part).join(name));
    candidates.find(executable).ok_or_else(|| {
        format!(
            "cannot start `{0}`: no directory of PATH has it; write `{{model}}/{0}` if the model brings it along",
            name.to_string_lossy()
        )
    })
}

/// The environment that every command starts from. Nothing else of the caller's own environment is passed on.
///
/// `home` is also where temporary files go. `milli_cpus` becomes the number of threads that numerical libraries use.
#[must_use]
pub fn base_environment(search_path: &str, home: &Path, milli_cpus: u32) -> Vec<(OsString, OsString)> {
    let threads = milli_cpus.div_ceil(1000).max(1).to_string();
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), search_path.into()),
        ("HOME".into(), home.into()),
        ("TMPDIR".into(), home.into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("TZ".into(), "UTC".into()),
        // A published model is never written to, not even with compiled Python files.
        ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
    ];
    environment.extend(THREAD_VARIABLES.iter().map(|name| (OsString::from(name), OsString::from(&threads))));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_once() {
        let fill = Fill { model: Path::new("/m/{outputs}"), params: Some(Path::new("/p.csv")), outputs: None };
        let check = |text: &str, expect: &str| assert_eq!(fill.apply(text).unwrap(), expect);
        check("{model}/sim", "/m/{outputs}/sim");
        check("--in={params}", "--in=/p.csv");
        check("{other} {{model}} {", "{other} {/m/{outputs}} {");
        assert_eq!(
            fill.apply("{outputs}/x"),
            Err("`{outputs}/x` names `{outputs}`, and there is none here".to_owned())
        );
    }

    #[test]
    fn programs_are_found_by_path_or_in_the_model() {
        let find = |name: &str| resolve_program(OsStr::new(name), Path::new("/m"), "relative:/nowhere:/bin:/usr/bin");
        assert_eq!(find("bin/sim"), Ok(PathBuf::from("/m/bin/sim")));
        assert_eq!(find("/opt/sim"), Ok(PathBuf::from("/opt/sim")));
        assert_eq!(find("sh"), Ok(PathBuf::from("/bin/sh")));
        assert!(find("no-such-program").unwrap_err().starts_with("cannot start `no-such-program`: no directory"));
        assert!(find("").is_err());
    }
}
