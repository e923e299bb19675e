//! The environment: the only place that reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use secrecy::SecretString;

/// Variables of this program that builds see too: how package managers reach their registries. None holds a secret of
/// ours.
const BUILD_VARIABLES: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];

/// The same, by how names begin or end.
const BUILD_PREFIX: &str = "PIP_";

const BUILD_SUFFIX: &str = "_PROXY";

/// What `git` needs to know of whom it works for, and of the way out.
const GIT_VARIABLES: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_CONFIG_GLOBAL",
];

/// The log filter that `MODELSHIP_LOG` asks for.
#[must_use]
pub fn log_filter() -> Option<String> {
    variable("MODELSHIP_LOG")
}

/// The login of whoever runs this program, for the local forge.
#[must_use]
pub fn user_name() -> String {
    variable("MODELSHIP_USER")
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| "root".to_owned())
}

/// The file that GitHub's runner names to a step in `variable_name`: `GITHUB_OUTPUT` or `GITHUB_STEP_SUMMARY`.
#[must_use]
pub fn step_file(variable_name: &str) -> Option<PathBuf> {
    variable(variable_name).map(PathBuf::from)
}

/// Where a workflow of GitHub Actions asks for a token that says which workflow it is, and what it shows there.
#[must_use]
pub fn workflow_identity() -> Option<(String, SecretString)> {
    let token = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN").map(SecretString::from);
    variable("ACTIONS_ID_TOKEN_REQUEST_URL").zip(token)
}

/// The running program, for hooks that call it again.
///
/// # Errors
/// When the operating system cannot tell.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find out where this program lies")
}

/// The directory that this program was started in.
///
/// # Errors
/// When it has been removed.
pub fn current_directory() -> Result<PathBuf> {
    std::env::current_dir().context("cannot find out the current directory; has it been removed?")
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables that builds see, `named` ones among them.
pub(super) fn build_environment(named: &[String]) -> BTreeMap<String, String> {
    let passed = |name: &str| {
        BUILD_VARIABLES.contains(&name)
            || name.starts_with(BUILD_PREFIX)
            || name.to_ascii_uppercase().ends_with(BUILD_SUFFIX)
            || named.iter().any(|wanted| wanted == name)
    };
    std::env::vars().filter(|(name, value)| passed(name) && !value.is_empty()).collect()
}

/// The variables that `git` sees when it fetches other repositories.
pub(super) fn git_environment() -> Vec<(String, String)> {
    let passed = |name: &str| GIT_VARIABLES.contains(&name) || name.to_ascii_uppercase().ends_with(BUILD_SUFFIX);
    std::env::vars().filter(|(name, value)| passed(name) && !value.is_empty()).collect()
}

/// The runner lies beside this program.
pub(super) fn runner_path() -> Result<PathBuf> {
    if let Some(path) = variable("MODELSHIP_RUNNER") {
        return Ok(PathBuf::from(path));
    }
    let program = program()?;
    Ok(program.with_file_name("modelship-runner"))
}
