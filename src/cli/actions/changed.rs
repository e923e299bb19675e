//! `modelship changed`: what a workflow has to build and to plan.

use serde_json::json;

use super::summary;
use crate::cli::arguments::Changed;
use crate::cli::output::{CliError, Output};
use crate::cli::workspace::{Workspace, from_source};
use crate::domain::diagnostic::Faults;
use crate::domain::ids::CommitSha;
use crate::edge::source::Source;
use crate::engine::{Changes, Hosting, changes};
use crate::settings::{ForgeSettings, Settings};

/// Says which models and sweep files differ from an earlier commit, found as the server finds them.
pub(crate) fn changed(settings: Settings, wanted: &Changed, output: &Output) -> Result<(), CliError> {
    let hosting = match settings.forge {
        ForgeSettings::Laptop { repository } => Hosting::laptop(&repository)?,
        ForgeSettings::Local { .. } | ForgeSettings::GitHub(_) => {
            return Err(CliError::User(
                "these settings are a server's, which finds by itself what changed; leave `--settings` out".to_owned(),
            ));
        }
    };
    let workspace = Workspace::open(&hosting, false)?;
    let source = Source::open(&workspace.root).map_err(from_source)?;
    let base = compared_with(&source, &workspace.commit, wanted, output)?;
    let Changes { models, sweeps, faults } = changes(&source, &workspace.repository, base.as_ref(), &workspace.commit)?;
    let models: Vec<_> = models.into_iter().map(|touched| touched.model.to_string()).collect();
    let sweeps: Vec<_> = sweeps.into_iter().map(|sweep| sweep.path).collect();
    output.set("changed-models", &json!(models));
    output.set("changed-sweeps", &json!(sweeps));
    output.summarize(|| summary::changed(&models, &sweeps));
    if output.is_json() {
        output.json(&json!({"since": base, "commit": workspace.commit, "models": models, "sweeps": sweeps}))?;
    } else {
        let rows = models.iter().map(|model| vec!["model".to_owned(), model.clone()]);
        let rows: Vec<_> = rows.chain(sweeps.iter().map(|path| vec!["sweep".to_owned(), path.clone()])).collect();
        output.table(&["WHAT", "NAME"], &rows)?;
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::Faults(Faults(faults))) }
}

/// The commit that HEAD is compared with; none where everything counts as new.
fn compared_with(
    source: &Source,
    head: &CommitSha,
    wanted: &Changed,
    output: &Output,
) -> Result<Option<CommitSha>, CliError> {
    if let Some(base) = &wanted.base {
        let base = source.resolve(base).map_err(from_source)?;
        return source.merge_base(&base, head).map_err(from_source);
    }
    match wanted.since.as_deref() {
        None => Ok(None),
        Some(zeros) if zeros.len() >= 40 && zeros.bytes().all(|byte| byte == b'0') => Ok(None),
        Some(since) => match source.resolve(since) {
            Ok(commit) => Ok(Some(commit)),
            // A force push leaves a commit behind that no clone has: then nothing is known of what was there.
            Err(error) if CommitSha::parse(since).is_ok() => {
                output.note(&format!("{error}, so every model counts as changed"));
                Ok(None)
            }
            Err(error) => Err(from_source(error)),
        },
    }
}
