//! What other programs hold: the database, the repositories and the forge, the secrets.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::Check;
use crate::domain::ids::{Repository, Time};
use crate::domain::report::escape::clip;
use crate::domain::report::numbers;
use crate::edge::forge::Repositories;
use crate::edge::forge::github::{GitHub, Lacks};
use crate::edge::forge::local::LocalForge;
use crate::engine::{github_forge, system_time};
use crate::settings::{ExecutorKind, ForgeSettings, GitHubSettings, Settings, WebhookSettings};
use crate::store::queue::FailedTask;
use crate::store::{Store, StoreError};

/// How far the clocks of this machine and of the database may be apart. Leases last 30 seconds.
const CLOCKS: Duration = Duration::from_secs(5);

/// Before this moment, 2025-01-01, no clock is right.
const EARLIEST: Time = Time(1_735_689_600_000);

/// How much of an error is shown, in characters; `modelship queue` shows all of it.
const MOST_ERROR: usize = 200;

/// The fewest bytes of a secret that nobody guesses.
const SECRET: usize = 16;

/// The database, and the clock beside it.
pub(super) async fn database(settings: &Settings) -> Vec<Check> {
    let store = match Store::open(settings.database.expose_secret()).await {
        Ok(store) => store,
        Err(error) => {
            return vec![Check::bad(
                "database",
                reasons(error),
                "mend `database` in the settings, or MODELSHIP_DATABASE",
            )];
        }
    };
    let before = system_time();
    let about = store.about().await;
    let after = system_time();
    let failed = store.failed_tasks().await;
    store.close().await;
    match about.and_then(|about| Ok((about, failed?))) {
        Ok((about, failed)) => {
            let found =
                format!("{} at {}, {}", about.system, store.address(), numbers::plural(about.migrations, "migration"));
            vec![Check::good("database", found), clock(before, about.now, after), queue(&failed)]
        }
        Err(error) => vec![Check::bad("database", reasons(error), "look at its disk and at its server")],
    }
}

/// Whether this machine's clock makes sense, and agrees with the database's where that has one.
fn clock(before: Time, theirs: Option<Time>, after: Time) -> Check {
    const ADVICE: &str = "let the clocks be set by the network: `timedatectl set-ntp true`";
    if before < EARLIEST {
        return Check::bad("clock", "this machine's clock is years behind", ADVICE);
    }
    let Some(theirs) = theirs else { return Check::good("clock", "this machine's alone") };
    let apart = before.since(theirs).max(theirs.since(after));
    let found = format!(
        "{} apart from the database's",
        numbers::duration(u64::try_from(apart.as_millis()).unwrap_or(u64::MAX))
    );
    if apart > CLOCKS { Check::bad("clock", found, ADVICE) } else { Check::good("clock", found) }
}

/// Whether everything that was to be done was done.
fn queue(failed: &[FailedTask]) -> Check {
    let Some(FailedTask { name, key, error, .. }) = failed.last() else {
        return Check::good("queue", "nothing was given up");
    };
    let count = numbers::plural(u64::try_from(failed.len()).unwrap_or(u64::MAX), "task");
    let found = format!("{count} given up, the last one `{name}` of {key}: {}", clip(error, MOST_ERROR));
    Check::look("queue", found, "`modelship queue` lists them; a thread that is locked takes no words, for example")
}

/// What went wrong, and why.
fn reasons(error: StoreError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// The repository or the forge, and the forge's hooks.
pub(super) async fn forge(settings: &Settings) -> Vec<Check> {
    let root = match &settings.forge {
        ForgeSettings::Laptop { repository } if repository.join(".git").exists() => {
            return vec![Check::good("repository", repository.display().to_string())];
        }
        ForgeSettings::Laptop { repository } => {
            return vec![Check::bad(
                "repository",
                format!("`{}` is no git repository", repository.display()),
                "begin with `git init` and a commit, or name a server's settings with `--settings FILE`",
            )];
        }
        ForgeSettings::Local { root } => root,
        ForgeSettings::GitHub(github) => return on_github(settings, github).await,
    };
    let opened = LocalForge::open(root, system_time).and_then(|forge| Ok((forge.repositories()?, forge)));
    match opened {
        Err(error) => {
            vec![Check::bad(
                "forge",
                error.to_string(),
                "make one with `modelship init --forge DIR`, or mend `forge` in the settings",
            )]
        }
        Ok((repositories, forge)) => {
            let found = format!("{}, repositories: {}", root.display(), repositories.len());
            let broken: Vec<_> = repositories
                .iter()
                .filter(|repository| !calls_a_program(&forge.git_dir(&repository.name).join("hooks/post-receive")))
                .map(|repository| repository.name.to_string())
                .collect();
            let hooks = match broken.as_slice() {
                [] => Check::good("hooks", "every push is told to the server"),
                broken => Check::bad(
                    "hooks",
                    format!("those of {} call no program that is there", broken.join(", ")),
                    "start `modelship serve` once: it writes them anew",
                ),
            };
            vec![Check::good("forge", found), hooks]
        }
    }
}

/// Who we are on GitHub, what we may do there, and where.
async fn on_github(settings: &Settings, github: &GitHubSettings) -> Vec<Check> {
    const PART: &str = "GitHub";
    let forge = match github_forge(settings, github, &settings.state) {
        Ok(forge) => forge,
        Err(error) => return vec![Check::bad(PART, format!("{error:#}"), "mend `forge.github` in the settings")],
    };
    let standing = match forge.standing().await {
        Ok(standing) => standing,
        Err(error) => {
            let advice = "look at the App's number, its private key, and the way to the API (proxies, certificates)";
            return vec![Check::bad(PART, format!("{:#}", anyhow::Error::new(error)), advice)];
        }
    };
    let mut checks = vec![Check::good(PART, format!("known as {}", standing.name))];
    let needed = |part, absent: &[String], lacking: &str, advice: &str| match absent {
        [] => Check::good(part, "all that are needed"),
        absent => Check::bad(part, format!("{lacking} {}", absent.join(", ")), advice),
    };
    if let Some(Lacks { permissions, events, withheld }) = &standing.lacks {
        let advice =
            "add them on the App's page under Permissions & events; each installation's owner then has to accept them";
        checks.push(needed("permissions", permissions, "the App lacks", advice));
        let advice = "subscribe to them on the App's page under Permissions & events";
        checks.push(needed("events", events, "the App is not told of", advice));
        checks.extend((!withheld.is_empty()).then(|| {
            let found = format!("not accepted yet by {}", withheld.join(", "));
            let advice =
                "its owner accepts them on GitHub's page of the installation; until then it works without them";
            Check::bad("installations", found, advice)
        }));
    } else {
        let advice = format!("it needs {}", GitHub::TOKEN_PERMISSIONS.join(", "));
        checks.push(Check::look("permissions", "GitHub does not tell what this token may do", advice));
        let advice = format!(
            "each repository's webhook has to send {} as JSON to `/webhooks/github` of this server",
            GitHub::WEBHOOK_EVENTS.join(", ")
        );
        checks.push(Check::look("events", "GitHub does not tell a token which webhooks there are", advice));
    }
    checks.push(sign_in(settings, github));
    match forge.repositories().await {
        Err(error) | Ok(Repositories { missed: Some(error), .. }) => {
            checks.push(Check::bad("repositories", format!("{:#}", anyhow::Error::new(error)), "try again"));
        }
        Ok(Repositories { found, .. }) if found.is_empty() => {
            let advice = "install the App in a repository, or look at `server.repositories`";
            checks.push(Check::bad("repositories", "none", advice));
        }
        Ok(Repositories { found, .. }) => {
            let names = found.iter().map(|repository| format!("{} ({})", repository.name, repository.id));
            checks.push(Check::good("repositories", names.collect::<Vec<_>>().join(", ")));
            checks.push(processes(settings, &found));
        }
    }
    checks
}

/// Whether what is pushed to the repositories may be built and run.
fn processes(settings: &Settings, repositories: &[Repository]) -> Check {
    const PART: &str = "trusted";
    if settings.executor == ExecutorKind::Docker {
        return Check::good(PART, "every repository: builds and runs are in containers");
    }
    let is_trusted = |repository: &&Repository| settings.process.trusted.includes(&repository.name);
    let left: Vec<String> =
        repositories.iter().filter(|found| !is_trusted(found)).map(|found| found.name.to_string()).collect();
    if left.is_empty() {
        return Check::good(PART, "every repository may use processes of this machine");
    }
    let found = format!("no model is built that is pushed to {}", left.join(", "));
    let advice = "list those that you trust as you trust yourself under `process.trusted`, or set `executor: docker`";
    if left.len() == repositories.len() { Check::bad(PART, found, advice) } else { Check::look(PART, found, advice) }
}

/// Whether people can sign in to read results.
fn sign_in(settings: &Settings, github: &GitHubSettings) -> Check {
    const PART: &str = "sign-in";
    match (&settings.server.url, &github.sign_in) {
        (Some(url), Some(_)) => Check::good(PART, format!("GitHub sends people back to {url}/signed-in")),
        (None, _) => Check::look(
            PART,
            "nobody can, and comments link to no results",
            "write as `server.url` where this server is reached from outside",
        ),
        (Some(url), None) => Check::look(
            PART,
            "nobody can, so only `server.public_repositories` are shown",
            format!(
                "write `forge.github.client_id` and `client_secret` as the App's page shows them, and make {url}/signed-in a \
                 callback URL there"
            ),
        ),
    }
}

/// Whether the hook is there, may be executed, and calls a program that is there.
fn calls_a_program(hook: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |path: &std::path::Path| {
        fs_err::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let Ok(text) = fs_err::read_to_string(hook) else { return false };
    let program = text.split("exec '").nth(1).and_then(|rest| rest.split("' forge-hook").next());
    let program = program.map(|program| program.replace(r"'\''", "'"));
    executable(hook) && program.is_some_and(|program| executable(std::path::Path::new(&program)))
}

/// The secrets that sign webhooks. A laptop receives none.
pub(super) fn secrets(settings: &Settings) -> Option<Check> {
    let mut secrets = settings.server.webhook_secrets.clone();
    match &settings.forge {
        ForgeSettings::Laptop { .. } => return None,
        ForgeSettings::Local { root } => {
            match LocalForge::open(root, system_time).and_then(|forge| forge.webhook_secret()) {
                Ok(own) => secrets.push(own),
                Err(error) => return Some(Check::bad("webhook secrets", error.to_string(), "mend the forge's folder")),
            }
        }
        ForgeSettings::GitHub(_) if secrets.is_empty() => {
            let advice =
                "name the file with the webhook's secret as `server.webhook_secret`, or set MODELSHIP_WEBHOOK_SECRET";
            return Some(Check::bad("webhook secrets", "none", advice));
        }
        ForgeSettings::GitHub(_) => {}
    }
    let short = secrets.iter().filter(|secret| secret.expose_secret().len() < SECRET).count();
    let found = numbers::plural(secrets.len() as u64, "secret");
    Some(match short {
        0 => Check::good("webhook secrets", found),
        short => Check::bad(
            "webhook secrets",
            format!("{short} of {found} can be guessed"),
            format!("use at least {SECRET} characters, for instance of `openssl rand -hex 32`"),
        ),
    })
}

/// Other programs that are told what happens. Their addresses were checked when the settings were read.
pub(super) fn webhooks(settings: &Settings) -> Vec<Check> {
    let check = |webhook: &WebhookSettings| {
        let kinds: Vec<&str> = webhook.events.iter().map(|kind| kind.as_str()).collect();
        let found = format!("{}: {}", webhook.name, kinds.join(", "));
        if webhook.secret.expose_secret().len() < SECRET {
            let advice = format!("use at least {SECRET} characters, for instance of `openssl rand -hex 32`");
            return Check::bad("webhooks", format!("{found}; its secret can be guessed"), advice);
        }
        if webhook.is_open {
            let advice = "use `https://` unless the way there is your own";
            return Check::look("webhooks", format!("{found}; not encrypted"), advice);
        }
        Check::good("webhooks", found)
    };
    settings.webhooks.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told() {
        let now = Time(EARLIEST.0 + 1_000_000);
        let at = |offset: i64| Some(Time(now.0 + offset));
        assert_eq!(clock(now, None, now).mark(), "ok");
        assert_eq!(clock(now, at(1_000), now.plus(Duration::from_secs(2))).mark(), "ok");
        assert_eq!(clock(now, at(60_000), now).mark(), "BAD");
        assert_eq!(clock(now, at(-60_000), now).mark(), "BAD");
        assert_eq!(clock(Time(0), None, Time(0)).mark(), "BAD");
    }
}
