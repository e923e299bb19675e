//! Finding models and versions.

use super::{Found, ModelRow, past};
use crate::domain::ids::{ChannelName, CommitSha, Digest, ModelName, Repository, RepositoryName, VersionId};
use crate::domain::version::Version;
use crate::store::row::Cells;
use crate::store::{Result, Store};

/// How many characters must a short name have at least? Fewer would match by chance.
const SHORTEST: usize = 4;

/// How many versions are listed when a short name is not unique?
const LISTED: i64 = 20;

impl Store {
    /// The version `id`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn version(&self, id: &VersionId) -> Result<Option<Version>> {
        let row = sqlx::query("SELECT body FROM versions WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.json("body")).transpose()
    }

    /// The version that `text` names: a channel; or the beginning of a version's id, of its commit or of its executable's
    /// digest, at least four characters. A channel goes before everything else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_version(&self, model: &ModelName, text: &str) -> Result<Found<Version>> {
        if let Ok(channel) = ChannelName::parse(text)
            && let Some(id) = self.channel(model, &channel).await?
        {
            return Ok(self.version(&id).await?.map_or(Found::None, Found::One));
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < SHORTEST || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Found::None);
        }
        let (short, digest) = (text.to_owned(), format!("sha256:{hex}"));
        let rows = sqlx::query(
            "SELECT body FROM versions
             WHERE model = $1 AND ((id >= $2 AND id < $3) OR (commit_sha >= $2 AND commit_sha < $3)
                 OR (executable >= $4 AND executable < $5))
             ORDER BY position DESC LIMIT $6",
        )
        .bind(model.to_string())
        .bind(short.as_str())
        .bind(past(&short))
        .bind(digest.as_str())
        .bind(past(&digest))
        .bind(LISTED)
        .fetch_all(&self.reader)
        .await?;
        Ok(Found::of(rows.iter().map(|row| row.json("body")).collect::<Result<_>>()?))
    }

    /// The newest version of `model` built from this very commit.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn version_at(&self, model: &ModelName, commit: &CommitSha) -> Result<Option<Version>> {
        let row = sqlx::query(
            "SELECT body FROM versions WHERE model = $1 AND commit_sha = $2 AND tree = 'committed'
             ORDER BY position DESC LIMIT 1",
        )
        .bind(model.to_string())
        .bind(commit.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| row.json("body")).transpose()
    }

    /// The repository that `model` is published from; none where the registry does not know it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repository_of(&self, model: &ModelName) -> Result<Option<Repository>> {
        let row = sqlx::query("SELECT repository_id, repository_name FROM models WHERE name = $1")
            .bind(model.to_string())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok(Repository { id: row.number("repository_id")?, name: row.id("repository_name")? })).transpose()
    }

    /// The name under which a model was last registered from the repository of that number; none where none was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repository_name(&self, id: i64) -> Result<Option<RepositoryName>> {
        let row = sqlx::query("SELECT repository_name FROM models WHERE repository_id = $1 LIMIT 1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.id("repository_name")).transpose()
    }

    /// Every model with the repository that it is published from, under the name that it was last registered under.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn owners(&self) -> Result<Vec<(ModelName, Repository)>> {
        let rows = sqlx::query("SELECT name, repository_id, repository_name FROM models ORDER BY name")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                let repository = Repository { id: row.number("repository_id")?, name: row.id("repository_name")? };
                Ok((row.id("name")?, repository))
            })
            .collect()
    }

    /// The newest version of `model` built by this recipe and with this manifest, whatever commit it was built from.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn version_of_build(
        &self,
        model: &ModelName,
        recipe: &Digest,
        manifest: &Digest,
    ) -> Result<Option<Version>> {
        let row = sqlx::query(
            "SELECT body FROM versions WHERE model = $1 AND recipe = $2 AND manifest = $3
             ORDER BY position DESC LIMIT 1",
        )
        .bind(model.to_string())
        .bind(recipe.as_str())
        .bind(manifest.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| row.json("body")).transpose()
    }

    /// Every version of `model`, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn versions(&self, model: &ModelName) -> Result<Vec<Version>> {
        let rows = sqlx::query("SELECT body FROM versions WHERE model = $1 ORDER BY position DESC")
            .bind(model.to_string())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| row.json("body")).collect()
    }

    /// Every model, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn models(&self) -> Result<Vec<ModelRow>> {
        let rows = sqlx::query(
            "SELECT m.name, m.repository_id, m.repository_name, m.created_at,
                 (SELECT COUNT(*) FROM versions v WHERE v.model = m.name) AS versions,
                 (SELECT v.id FROM versions v WHERE v.model = m.name ORDER BY v.position DESC LIMIT 1) AS newest,
                 (SELECT c.version FROM channels c WHERE c.model = m.name AND c.channel = $1) AS production,
                 (SELECT c.version FROM channels c WHERE c.model = m.name AND c.channel = $2) AS staging
             FROM models m ORDER BY m.name",
        )
        .bind(ChannelName::production().as_str())
        .bind(ChannelName::staging().as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ModelRow {
                    name: row.id("name")?,
                    repository: Repository { id: row.number("repository_id")?, name: row.id("repository_name")? },
                    created_at: row.time("created_at")?,
                    versions: row.count("versions")?,
                    newest: row.id("newest")?,
                    production: row.optional_id("production")?,
                    staging: row.optional_id("staging")?,
                })
            })
            .collect()
    }
}
