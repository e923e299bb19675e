//! Writing versions. The first registration decides; a later one with the same id must be the same version.

use sqlx::AnyConnection;

use super::channels::{last_move, point};
use super::{MoveRequest, Novelty, Registered};
use crate::domain::event::PromotionTarget;
use crate::domain::ids::{ChannelName, ModelName, Repository, Time, VersionId};
use crate::domain::version::{Tree, Version};
use crate::store::row::{Cells, json};
use crate::store::{Conflict, Result, Store, take_ids};

impl Store {
    /// Writes a version that built and passed its tests, and moves channels to it, each with the reason to note.
    ///
    /// Registering it again changes nothing, except that a version that was built from uncommitted changes becomes a
    /// committed one when the same content is registered from the commit itself.
    ///
    /// # Errors
    /// [`Conflict::OtherRepository`] when the model's name belongs to another repository, [`Conflict::VersionDiffers`]
    /// when the id is taken by another content, [`Conflict::DirtyVersion`] when uncommitted work is to become `staging`
    /// or `production`. Nothing is changed then.
    pub async fn register_version(
        &self,
        version: &Version,
        channels: &[(ChannelName, String)],
        now: Time,
    ) -> Result<Registered> {
        let mut transaction = self.write().await?;
        claim_name(&mut transaction, &version.model, &version.source.repository, now).await?;
        let novelty = match stored_version(&mut transaction, &version.id).await? {
            None => {
                insert(&mut transaction, version).await?;
                Novelty::New
            }
            Some(stored) => {
                same_content(&stored, version)?;
                let stored_at = stored.registered_at;
                if stored.tree == Tree::Dirty && version.tree == Tree::Committed {
                    commit_tree(&mut transaction, stored).await?;
                }
                // Each build has its moment: the same one again is an attempt whose answer was lost.
                if stored_at == version.registered_at { Novelty::New } else { Novelty::Known }
            }
        };
        let mut stands = Vec::new();
        for (channel, reason) in channels {
            let request = MoveRequest {
                model: version.model.clone(),
                channel: channel.clone(),
                target: PromotionTarget::Version(version.id.clone()),
                reason: reason.clone(),
                token: String::new(),
            };
            point(&mut transaction, &request, &version.id, now).await?;
            stands.extend(last_move(&mut transaction, &version.model, channel).await?);
        }
        transaction.commit().await?;
        Ok(Registered { novelty, stands })
    }

    /// Notes under which name the repository is found now, for each of its models.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rename_repository(&self, repository: &Repository) -> Result<()> {
        let mut transaction = self.write().await?;
        rename(&mut transaction, repository).await?;
        Ok(transaction.commit().await?)
    }
}

/// Notes under which name the repository is found now, for each of its models.
async fn rename(connection: &mut AnyConnection, repository: &Repository) -> Result<()> {
    sqlx::query("UPDATE models SET repository_name = $1 WHERE repository_id = $2 AND repository_name <> $1")
        .bind(repository.name.to_string())
        .bind(repository.id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the model belong to the repository, or checks that it does. A renamed repository is the same one.
async fn claim_name(
    connection: &mut AnyConnection,
    model: &ModelName,
    repository: &Repository,
    now: Time,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO models (name, repository_id, repository_name, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(model.to_string())
    .bind(repository.id)
    .bind(repository.name.to_string())
    .bind(now.0)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT repository_id, repository_name FROM models WHERE name = $1")
        .bind(model.to_string())
        .fetch_one(&mut *connection)
        .await?;
    let owner = Repository { id: row.number("repository_id")?, name: row.id("repository_name")? };
    if owner.id == repository.id {
        // All its models are published from the same repository, whatever it was called when they were.
        rename(connection, repository).await?;
        return Ok(());
    }
    let (owner, other) = (Box::new(owner), Box::new(repository.clone()));
    Err(Conflict::OtherRepository { model: model.clone(), owner, other }.into())
}

/// The version `id` as it is inside this transaction.
pub(super) async fn stored_version(connection: &mut AnyConnection, id: &VersionId) -> Result<Option<Version>> {
    let row =
        sqlx::query("SELECT body FROM versions WHERE id = $1").bind(id.as_str()).fetch_optional(connection).await?;
    row.map(|row| row.json("body")).transpose()
}

async fn insert(connection: &mut AnyConnection, version: &Version) -> Result<()> {
    let position = take_ids(connection, "version", 1).await?;
    sqlx::query(
        "INSERT INTO versions
             (id, position, model, commit_sha, executable, recipe, manifest, builder, tree, body, registered_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(version.id.as_str())
    .bind(position)
    .bind(version.model.to_string())
    .bind(version.source.commit.as_str())
    .bind(version.executable.as_str())
    .bind(version.recipe().as_str())
    .bind(version.manifest.as_str())
    .bind(version.builder.as_str())
    .bind(tree_text(version.tree))
    .bind(json(version)?)
    .bind(version.registered_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Compares what makes a version the one that it is. Times, and how the build went, differ between two builds of one
/// version; the first one's stay.
fn same_content(stored: &Version, new: &Version) -> Result<()> {
    let same = [
        ("model", stored.model == new.model),
        ("repository", stored.source.repository.id == new.source.repository.id),
        ("commit", stored.source.commit == new.source.commit),
        ("manifest path", stored.source.manifest == new.source.manifest),
        ("source tree", stored.source_tree == new.source_tree),
        ("pinned source", stored.pinned == new.pinned),
        ("executable", stored.executable == new.executable),
        ("builder", stored.builder == new.builder),
        ("manifest", stored.manifest == new.manifest && stored.manifest_text == new.manifest_text),
        ("set of input files", stored.inputs == new.inputs),
    ];
    match same.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => {
            Err(Conflict::VersionDiffers { model: new.model.clone(), version: new.id.clone(), field }.into())
        }
    }
}

async fn commit_tree(connection: &mut AnyConnection, stored: Version) -> Result<()> {
    let version = Version { tree: Tree::Committed, ..stored };
    sqlx::query("UPDATE versions SET tree = $2, body = $3 WHERE id = $1")
        .bind(version.id.as_str())
        .bind(tree_text(version.tree))
        .bind(json(&version)?)
        .execute(connection)
        .await?;
    Ok(())
}

fn tree_text(tree: Tree) -> &'static str {
    match tree {
        Tree::Committed => "committed",
        Tree::Dirty => "dirty",
    }
}
