//! What a build would do, found out without doing it.

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::perform::build::{Ended, Prepared, prepare};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{Digest, ModelName, ObjectId};
use crate::domain::manifest::Manifest;
use crate::domain::version::{SourceRef, Version};

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
    source_tree: ObjectId,
    toolchain: Vec<String>,
    recipe: Digest,
}

impl Engine {
    /// Looks at what a build of `model` at `source` would do.
    ///
    /// # Errors
    /// When git or the database fail.
    pub async fn build_outlook(&self, model: &ModelName, source: &SourceRef) -> Result<Outlook> {
        let own = match prepare(self, model, (source, HeadOrigin::SameRepository), &CancellationToken::new()).await {
            Ok(prepared) => Ingredients::of(prepared),
            Err(Ended::Failed(failure)) if failure.faults.is_empty() => {
                let fault = Diagnostic::of_file(&source.manifest, failure.message, None);
                return Ok(Outlook::Refused(Faults::from(fault)));
            }
            Err(Ended::Failed(failure)) => return Ok(Outlook::Refused(Faults(failure.faults))),
            Err(Ended::Left(_)) => {
                let message = "`build_by` leaves this model to others, so this instance does not build it";
                return Ok(Outlook::Refused(Faults::from(Diagnostic::of_file(&source.manifest, message, None))));
            }
            Err(Ended::Cancelled) => anyhow::bail!("looking at `{model}` was cancelled"),
            Err(Ended::Ours(failure)) => return Err(failure.into_cause()),
        };
        let versions = self.store.versions(model).await?;
        let same: Vec<_> = versions.iter().filter(|version| own.is_of(version)).collect();
        let is_built = match same.first() {
            Some(version) => self.outside.builder.has(version).await?,
            None => false,
        };
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
    fn of(prepared: Prepared) -> Self {
        let Prepared { manifest: _, manifest_text, located, recipe } = prepared;
        Self {
            manifest_hash: Manifest::hash(&manifest_text),
            source_tree: located.tree,
            toolchain: recipe.toolchain,
            recipe: recipe.digest,
        }
    }

    /// Whether `version` was made by the same recipe, for the same manifest.
    fn is_of(&self, version: &Version) -> bool {
        let recipe = version.recipe.as_ref().unwrap_or(&version.executable);
        *recipe == self.recipe && version.manifest == self.manifest_hash
    }

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
