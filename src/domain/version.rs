//! A version: one model that built and passed its tests. Immutable once registered.

use serde::{Deserialize, Serialize};

use super::ids::{ChannelName, CommitSha, Digest, ModelName, ObjectId, Repository, Time, VersionId};

/// Where a model's source and manifest lie: a repository, a commit in it, and the manifest's path there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceRef {
    /// The repository that holds the manifest.
    pub repository: Repository,
    /// The commit that is built.
    pub commit: CommitSha,
    /// The manifest's path at that commit, for instance `config/urban/simple-tax.yaml`.
    pub manifest: String,
}

/// Whether the source is a commit that somebody can check out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// A pushed or committed tree.
    Committed,
    /// A work tree with changes that no commit holds; such a version is for local runs and is never promoted.
    Dirty,
}

/// One registered version with its provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The hash over model, commit, executable and manifest.
    pub id: VersionId,
    /// The model.
    pub model: ModelName,
    /// Repository, commit and manifest path.
    pub source: SourceRef,
    /// Whether `source.commit` can be checked out again by others.
    pub tree: Tree,
    /// The commit of another repository that the source was taken from; none when it lies beside the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<PinnedSource>,
    /// The git tree id of the model's own source folder.
    pub source_tree: ObjectId,
    /// What runs: an image digest, or the digest over source tree, build commands and toolchain.
    pub executable: Digest,
    /// What decides how the executable is built; the same recipe is not built again. None when it is `executable` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Digest>,
    /// How `executable` was made: `process` or `docker`.
    pub builder: String,
    /// The container image that runs; none for `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The hash of the manifest's text.
    pub manifest: Digest,
    /// The manifest's text as it was at that commit.
    pub manifest_text: String,
    /// The SHA-256 of each declared input file, by path.
    pub inputs: std::collections::BTreeMap<String, Digest>,
    /// The toolchain lines that the build saw, for instance `gfortran 12.2.0`.
    pub toolchain: Vec<String>,
    /// Names of the tests that passed, in order, with their duration in milliseconds.
    pub tests: Vec<PassedTest>,
    /// How long building took, in milliseconds; tests are not counted.
    pub build_ms: u64,
    /// When the version was registered.
    pub registered_at: Time,
}

impl Version {
    /// What decides how the executable is built.
    #[must_use]
    pub fn recipe(&self) -> &Digest {
        self.recipe.as_ref().unwrap_or(&self.executable)
    }
}

/// A commit of another repository, as it was when the version was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedSource {
    /// The repository's address.
    pub repo: String,
    /// The branch, tag or commit that the manifest names.
    pub reference: String,
    /// The commit that it stood for.
    pub commit: CommitSha,
}

/// A container image with a runner in it, and how the model's own image starts what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What a container engine runs or pulls: `registry:5000/urban/simple-tax@sha256:...`; without a registry the image's
    /// id, `sha256:...`.
    pub reference: String,
    /// The entrypoint that the model's own image has; comes before each command.
    pub entrypoint: Vec<String>,
    /// The variables that it sets.
    pub environment: std::collections::BTreeMap<String, String>,
    /// The directory that it starts commands in; empty when it names none. `{model}` in a command is this, or `/`.
    pub workdir: String,
}

impl Image {
    /// `{model}` in commands of this image.
    #[must_use]
    pub fn model(&self) -> &str {
        if self.workdir.is_empty() { "/" } else { &self.workdir }
    }

    /// Where commands start, when the image says so. `/` is what images have that say nothing.
    #[must_use]
    pub fn starts_in(&self) -> Option<&str> {
        Some(self.workdir.as_str()).filter(|workdir| !matches!(*workdir, "" | "/"))
    }
}

/// A version in short, as a pull request shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltVersion {
    /// The version.
    pub id: VersionId,
    /// The tests that it passed.
    pub tests: Vec<PassedTest>,
    /// How long building took, in milliseconds.
    pub build_ms: u64,
}

impl From<&Version> for BuiltVersion {
    fn from(version: &Version) -> Self {
        Self { id: version.id.clone(), tests: version.tests.clone(), build_ms: version.build_ms }
    }
}

/// A test that a version passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedTest {
    /// The name that the manifest gives it.
    pub name: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// One entry of a channel's history. The newest is where the channel points now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelMove {
    /// The model.
    pub model: ModelName,
    /// The channel.
    pub channel: ChannelName,
    /// Where it points from then on.
    pub version: VersionId,
    /// Where it pointed before.
    pub previous: Option<VersionId>,
    /// Why it moved, as a sentence part: `push to main`, `merge of #3`, `promoted by ada`, `rolled back by ada`.
    pub reason: String,
    /// When.
    pub at: Time,
}
