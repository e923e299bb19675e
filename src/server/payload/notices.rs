//! What is told of and nothing follows from: said with what it is about, so that whoever reads the log knows why.

use serde::Deserialize;

use super::{Account, RepositoryBody, Result, parsed, shown};

/// Why nothing follows from a body of the kind `event`.
///
/// # Errors
/// The same, when the body is not that of such an event.
pub(super) fn reason(event: &str, body: &[u8]) -> Result<String> {
    let name = shown(event);
    Ok(match event {
        "check_run" => {
            let CheckRunBody { action, check_run, repository } = parsed(event, body)?;
            let (id, commit) = (check_run.id, shown(&check_run.head_sha));
            let repository = repository.check()?;
            format!("nothing follows from `{name}` `{}`: {id} of {commit} in {}", shown(&action), repository.name)
        }
        "installation" => {
            let InstallationBody { action, installation } = parsed(event, body)?;
            let account = installation.account.map_or_else(String::new, |it| format!(" of `{}`", shown(&it.login)));
            format!("nothing follows from `{name}` `{}`: {}{account}", shown(&action), installation.id)
        }
        "repository" => {
            let RepositoryChangedBody { action, repository } = parsed(event, body)?;
            let Ok(known) = repository.check() else {
                return Ok(format!("nothing follows from `{name}` `{}`", shown(&action)));
            };
            // Names and owners may change: repositories count by number.
            format!("nothing follows from `{name}` `{}`: {} is `{}`", shown(&action), known.id, known.name)
        }
        "deployment" => {
            let DeploymentBody { deployment, repository } = parsed(event, body)?;
            let (id, place) = (deployment.id, shown(&deployment.environment));
            format!("nothing follows from `{name}`: {id} to `{place}` in {}", repository.check()?.name)
        }
        _ => format!("nothing follows from `{name}`"),
    })
}

#[derive(Deserialize)]
struct CheckRunBody {
    action: String,
    check_run: CheckRun,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct CheckRun {
    id: i64,
    head_sha: String,
}

#[derive(Deserialize)]
struct InstallationBody {
    action: String,
    installation: Installation,
}

#[derive(Deserialize)]
struct Installation {
    id: i64,
    account: Option<Account>,
}

#[derive(Deserialize)]
struct RepositoryChangedBody {
    action: String,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct DeploymentBody {
    deployment: Deployment,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct Deployment {
    id: i64,
    environment: String,
}
