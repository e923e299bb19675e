//! `modelship models`, `modelship versions` and `modelship promote`.

use serde::Serialize;
use serde_json::json;

use super::arguments::{Promote, Versions};
use super::output::{CliError, Output};
use super::session::Session;
use crate::domain::decide::State;
use crate::domain::deployment::Asker;
use crate::domain::event::{Event, Key, PromotionTarget};
use crate::domain::ids::{ChannelName, ModelName};
use crate::domain::version::{Tree, Version};
use crate::engine::{self, Engine};
use crate::settings::{self, Settings};
use crate::store::Store;
use crate::store::registry::Found;

#[derive(Debug, Serialize)]
struct ModelLine {
    model: String,
    repository: String,
    versions: u64,
    newest: String,
    production: Option<String>,
    staging: Option<String>,
}

/// Lists the models.
pub(crate) async fn models(settings: Settings, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let rows: Vec<_> = session
        .store()
        .models()
        .await?
        .into_iter()
        .map(|row| ModelLine {
            model: row.name.to_string(),
            repository: row.repository.name.to_string(),
            versions: row.versions,
            newest: row.newest.to_string(),
            production: row.production.map(|id| id.to_string()),
            staging: row.staging.map(|id| id.to_string()),
        })
        .collect();
    if output.is_json() {
        output.json(&rows)?;
    } else if rows.is_empty() {
        output.note("there are no models in the registry yet");
        if session.engine.outside().forge().is_none() {
            output.next_step("modelship build");
        }
    } else {
        let none = || "-".to_owned();
        let cells: Vec<_> = rows
            .iter()
            .map(|row| {
                vec![
                    row.model.clone(),
                    row.repository.clone(),
                    row.versions.to_string(),
                    row.newest.clone(),
                    row.staging.clone().unwrap_or_else(none),
                    row.production.clone().unwrap_or_else(none),
                ]
            })
            .collect();
        output.table(&["MODEL", "REPOSITORY", "VERSIONS", "NEWEST", "STAGING", "PRODUCTION"], &cells)?;
        if let Some(first) = rows.first() {
            output.next_step(&format!("modelship versions {}", first.model));
        }
    }
    session.close().await?;
    Ok(())
}

/// Lists a model's versions, shows one whole, or shows where a channel pointed.
pub(crate) async fn versions(settings: Settings, wanted: &Versions, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let store = session.store();
    if let Some(channel) = &wanted.history {
        let moves = store.channel_history(&wanted.model, channel).await?;
        if moves.is_empty() {
            return Err(CliError::User(format!("`{}` has no channel `{channel}`", wanted.model)));
        }
        if output.is_json() {
            output.json(&moves)?;
        } else {
            let cells: Vec<_> = moves
                .iter()
                .map(|entry| {
                    let previous = entry.previous.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                    vec![output.moment(entry.at), entry.version.to_string(), previous, entry.reason.clone()]
                })
                .collect();
            output.table(&["WHEN", "VERSION", "BEFORE", "WHY"], &cells)?;
        }
    } else if let Some(text) = &wanted.version {
        let version = find(store, &wanted.model, text).await?;
        show_version(&version, output)?;
    } else {
        list(store, &wanted.model, output).await?;
    }
    session.close().await?;
    Ok(())
}

async fn list(store: &Store, model: &ModelName, output: &Output) -> Result<(), CliError> {
    let versions = store.versions(model).await?;
    if versions.is_empty() {
        return Err(CliError::User(format!(
            "there is no model `{model}` in the registry; `modelship models` lists them"
        )));
    }
    let channels = store.channels(model).await?;
    let pointing = |version: &Version| -> Vec<String> {
        channels.iter().filter(|row| row.version == version.id).map(|row| row.channel.to_string()).collect()
    };
    if output.is_json() {
        let rows: Vec<_> =
            versions.iter().map(|version| json!({"version": version, "channels": pointing(version)})).collect();
        return output.json(&rows);
    }
    let cells: Vec<_> = versions
        .iter()
        .map(|version| {
            let commit = match version.tree {
                Tree::Committed => version.source.commit.short().to_owned(),
                Tree::Dirty => "work tree".to_owned(),
            };
            vec![
                version.id.to_string(),
                commit,
                output.moment(version.registered_at),
                format!("{} passed", version.tests.len()),
                version.executable.short().to_owned(),
                pointing(version).join(" "),
            ]
        })
        .collect();
    output.table(&["VERSION", "COMMIT", "REGISTERED", "TESTS", "EXECUTABLE", "CHANNELS"], &cells)?;
    let newest = &versions[0];
    if pointing(newest).iter().any(|channel| channel == "production") || newest.tree == Tree::Dirty {
        output.next_step(&format!("modelship versions {model} {}", newest.id));
    } else {
        output.next_step(&format!("modelship promote {model} {} --to production", newest.id));
    }
    Ok(())
}

fn show_version(version: &Version, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(version);
    }
    let mut rows = vec![
        vec!["version".to_owned(), version.id.to_string()],
        vec!["model".to_owned(), version.model.to_string()],
        vec!["repository".to_owned(), version.source.repository.name.to_string()],
        vec!["commit".to_owned(), version.source.commit.to_string()],
        vec!["manifest".to_owned(), format!("{} ({})", version.source.manifest, version.manifest.short())],
        vec!["source tree".to_owned(), version.source_tree.to_string()],
        vec!["executable".to_owned(), version.executable.to_string()],
        vec!["built by".to_owned(), version.builder.clone()],
        vec!["registered".to_owned(), output.moment(version.registered_at)],
    ];
    if let Some(pinned) = &version.pinned {
        rows.push(vec!["source".to_owned(), format!("{} {} ({})", pinned.repo, pinned.reference, pinned.commit)]);
    }
    if let Some(image) = &version.image {
        rows.push(vec!["image".to_owned(), image.reference.clone()]);
    }
    rows.extend(version.toolchain.iter().map(|line| vec!["toolchain".to_owned(), line.clone()]));
    rows.extend(version.inputs.iter().map(|(path, digest)| vec!["input".to_owned(), format!("{path} {digest}")]));
    rows.extend(
        version.tests.iter().map(|test| vec!["test".to_owned(), format!("{} ({} ms)", test.name, test.duration_ms)]),
    );
    output.table(&["WHAT", "VALUE"], &rows)
}

/// The one version that `text` means.
pub(super) async fn find(store: &Store, model: &ModelName, text: &str) -> Result<Version, CliError> {
    match store.find_version(model, text).await? {
        Found::One(version) => Ok(version),
        Found::None => Err(CliError::User(format!(
            "`{model}` has no version `{text}`; `modelship versions {model}` lists versions and channels"
        ))),
        Found::Many(versions) => Err(CliError::User(format!(
            "`{text}` means {} versions of `{model}`; write more of it, for instance `{}`",
            versions.len(),
            versions[0].id
        ))),
    }
}

/// Moves a channel.
pub(crate) async fn promote(settings: Settings, wanted: &Promote, output: &Output) -> Result<(), CliError> {
    let mut session = Session::open(settings).await?;
    let target = match &wanted.version {
        Some(text) => PromotionTarget::Version(find(session.store(), &wanted.model, text).await?.id),
        None => PromotionTarget::Previous,
    };
    if wanted.dry_run {
        return foretell(session, wanted, output).await;
    }
    let request = engine::new_id();
    let key = Key::Model(wanted.model.clone());
    let by = settings::user_name();
    let (channel, asker) = (wanted.to.clone(), Asker::Terminal);
    let event = Event::PromotionRequested { request: request.clone(), channel, target, by, asker };
    session.engine.tell(key.clone(), event).await?;
    let answer = session
        .until(async |engine: &Engine| {
            let Some(json) = engine.store().state(&key.to_string()).await? else { return Ok(None) };
            let State::Model(state) = serde_json::from_str(&json)? else { return Ok(None) };
            Ok(state.promotion.filter(|answer| answer.request == request))
        })
        .await?;
    session.close().await?;
    match answer.result {
        Err(reason) => Err(CliError::User(reason)),
        Ok(version) => {
            if output.is_json() {
                output.json(&json!({"model": wanted.model, "channel": wanted.to, "version": version}))?;
            } else {
                output.line(&format!("{} of {} is now version {version}", wanted.to, wanted.model))?;
            }
            output.next_step(&format!("modelship versions {} --history {}", wanted.model, wanted.to));
            Ok(())
        }
    }
}

/// Says what a promotion would change, and moves nothing.
async fn foretell(session: Session, wanted: &Promote, output: &Output) -> Result<(), CliError> {
    let (store, model, channel) = (session.store(), &wanted.model, &wanted.to);
    let from = match store.channel(model, channel).await? {
        Some(id) => store.version(&id).await?,
        None => None,
    };
    let to = match &wanted.version {
        Some(text) => find(store, model, text).await?,
        None => {
            let previous =
                store.channel_history(model, channel).await?.into_iter().next().and_then(|last| last.previous);
            let found = match previous {
                Some(id) => store.version(&id).await?,
                None => None,
            };
            found.ok_or_else(|| {
                CliError::User(format!(
                    "channel `{channel}` of `{model}` has never pointed to another version, so it cannot move back"
                ))
            })?
        }
    };
    session.close().await?;
    let fixed = [ChannelName::production(), ChannelName::staging()];
    if to.tree == Tree::Dirty && fixed.contains(channel) {
        return Err(CliError::User(format!(
            "version `{}` was built from uncommitted changes and cannot go to `{channel}`; commit them and build again",
            to.id
        )));
    }
    let changes = from.as_ref().map(|from| changes(from, &to));
    if output.is_json() {
        output.json(&json!({
            "model": model, "channel": channel, "from": from.as_ref().map(|from| &from.id), "to": to.id, "changes": changes,
        }))?;
    } else if from.as_ref().is_some_and(|from| from.id == to.id) {
        output.line(&format!("{channel} of {model} is version {} already; nothing would move", to.id))?;
    } else {
        let shown =
            |version: Option<&Version>, what: fn(&Version) -> String| version.map_or_else(|| "-".to_owned(), what);
        let row =
            |name: &str, what: fn(&Version) -> String| vec![name.to_owned(), shown(from.as_ref(), what), what(&to)];
        let rows = [
            row("version", |version| version.id.to_string()),
            row("commit", |version| version.source.commit.short().to_owned()),
            row("executable", |version| version.executable.short().to_owned()),
            row("manifest", |version| version.manifest.short().to_owned()),
            row("tests", |version| format!("{} passed", version.tests.len())),
        ];
        output.table(&[&format!("{channel} of {model}"), "FROM", "TO"], &rows)?;
        for change in changes.iter().flatten() {
            output.line(change)?;
        }
    }
    let what = wanted.version.as_deref().unwrap_or("--back");
    output.next_step(&format!("modelship promote {model} {what} --to {channel}"));
    Ok(())
}

/// What differs between two versions, one sentence each.
fn changes(from: &Version, to: &Version) -> Vec<String> {
    let same = [
        (from.source_tree == to.source_tree, "the model's source differs"),
        (from.manifest == to.manifest, "the manifest differs"),
        (from.toolchain == to.toolchain, "the toolchain differs"),
        (from.inputs == to.inputs, "declared input files differ"),
    ];
    let mut changes: Vec<_> = same.into_iter().filter(|(same, _)| !same).map(|(_, change)| change.to_owned()).collect();
    if from.executable == to.executable && from.manifest == to.manifest {
        changes.push("both run the same: runs of one are known for the other".to_owned());
    }
    changes
}
