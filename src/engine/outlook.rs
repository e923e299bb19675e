//! What a build would do, found out without doing it.

use anyhow::Result;

use super::{Engine, FilesAt};
use crate::domain::diagnostic::Faults;
use crate::domain::ids::{Digest, ModelName};
use crate::domain::manifest::{Manifest, Source};
use crate::domain::version::{SourceRef, Version};
use crate::edge::builder::process::ProcessBuilder;
use crate::edge::source::Source as Repository;

/// What a build of a model at a commit would do.
#[derive(Debug)]
pub enum Outlook {
    /// Nothing: this version is registered, and what was built for it is here.
    Known(Box<Version>),
    /// A version would be registered that runs exactly as this one does; nothing would be built or tested.
    Same(Box<Version>),
    /// The model would be built and tested.
    Build {
        /// Why, one sentence part each.
        reasons: Vec<String>,
    },
    /// It cannot be built: the manifest at that commit has faults, or asks for what this instance does not do.
    Refused(Faults),
}

/// What decides whether two builds make the same.
struct Ingredients {
    manifest_hash: Digest,
    source_tree: crate::domain::ids::ObjectId,
    toolchain: Vec<String>,
    executable: Digest,
}

impl Engine {
    /// Looks at what a build of `model` at `source` would do.
    ///
    /// # Errors
    /// When git or the database fail.
    pub async fn build_outlook(&self, model: &ModelName, source: &SourceRef) -> Result<Outlook> {
        let outside = self.share_outside();
        let wanted = source.clone();
        let looked = tokio::task::spawn_blocking(move || ingredients(&outside, &wanted)).await;
        let own = match looked.map_err(|error| anyhow::Error::new(error).context("looking at a model panicked"))?? {
            Ok(own) => own,
            Err(faults) => return Ok(Outlook::Refused(faults)),
        };
        let is_built = self.outside.builder.built(&own.executable).is_some();
        let versions = self.store.versions(model).await?;
        let same: Vec<_> = versions
            .iter()
            .filter(|version| version.executable == own.executable && version.manifest == own.manifest_hash)
            .collect();
        if is_built && let Some(version) = same.iter().find(|version| version.source.commit == source.commit) {
            return Ok(Outlook::Known(Box::new((*version).clone())));
        }
        if is_built && let Some(version) = same.first() {
            return Ok(Outlook::Same(Box::new((*version).clone())));
        }
        let mut reasons = Vec::new();
        match (same.first(), versions.first()) {
            (Some(version), _) => reasons.push(format!("what was built for version {} is no longer here", version.id)),
            (None, None) => reasons.push("the model has no version yet".to_owned()),
            (None, Some(newest)) => reasons = own.unlike(newest),
        }
        Ok(Outlook::Build { reasons })
    }
}

impl Ingredients {
    /// What differs from `version`.
    fn unlike(&self, version: &Version) -> Vec<String> {
        let since = format!("since version {}", version.id);
        let mut reasons = Vec::new();
        if version.source_tree != self.source_tree {
            reasons.push(format!("the source has changed {since}"));
        }
        if version.manifest != self.manifest_hash {
            reasons.push(format!("the manifest has changed {since}"));
        }
        if version.toolchain != self.toolchain {
            let new: Vec<_> = self.toolchain.iter().filter(|line| !version.toolchain.contains(line)).cloned().collect();
            let gone: Vec<_> =
                version.toolchain.iter().filter(|line| !self.toolchain.contains(line)).cloned().collect();
            let named = |lines: &[String]| if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") };
            reasons.push(format!("the toolchain has changed {since}: {} instead of {}", named(&new), named(&gone)));
        }
        if reasons.is_empty() {
            reasons.push(format!("it is built in another way than version {}", version.id));
        }
        reasons
    }
}

fn ingredients(outside: &super::Outside, source: &SourceRef) -> Result<Result<Ingredients, Faults>> {
    use crate::domain::diagnostic::Diagnostic;

    let refused = |message: String| Ok(Err(Faults::from(Diagnostic::of_file(&source.manifest, message, None))));
    let repository = Repository::open(&outside.git_dir(&source.repository.name)?)?;
    let (manifest, text) = match FilesAt::new(&repository, &source.commit).manifest(&source.manifest) {
        Ok(read) => read,
        Err(faults) => return Ok(Err(faults)),
    };
    let Source::Path(path) = &manifest.source else {
        return refused("`source.repo` names another repository, which a dry run does not fetch".to_owned());
    };
    let Some(commands) = &manifest.build.process else {
        return refused("the manifest has no `build: {process: [...]}`, which this instance needs".to_owned());
    };
    let Some(source_tree) = repository.tree_of(&source.commit, path)? else {
        return refused(format!("`source.path` names `{path}`, which is no folder at {}", source.commit.short()));
    };
    let mut implied = commands.clone();
    implied.push(manifest.run.command.clone());
    implied.extend(manifest.run.summarize.clone());
    let toolchain = outside.builder.toolchain(&implied)?;
    let executable = ProcessBuilder::executable_digest(&source_tree, commands, &toolchain);
    Ok(Ok(Ingredients { manifest_hash: Manifest::hash(&text), source_tree, toolchain, executable }))
}
