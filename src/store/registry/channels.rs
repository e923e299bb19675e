//! Moving channels, and what their history says.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::versions::stored_version;
use super::{ChannelRow, MoveRequest};
use crate::domain::event::PromotionTarget;
use crate::domain::ids::{ChannelName, ModelName, Time, VersionId};
use crate::domain::version::{ChannelMove, Tree};
use crate::store::row::{Cells, storable};
use crate::store::{Conflict, Result, Store, StoreError, take_ids};

const MOVE_OF_TOKEN: &str =
    "SELECT model, channel, version, previous, reason, moved_at FROM channel_moves WHERE token = $1";

impl Store {
    /// Moves a channel and returns the move. The same token moves once: asked again, the same answer comes back. A
    /// channel that points to the version already stays, and its last move is returned.
    ///
    /// # Errors
    /// [`Conflict::UnknownVersion`] when the model has no such version, [`Conflict::NoPrevious`] when there is nothing to
    /// go back to, [`Conflict::DirtyVersion`] when uncommitted work is to become `staging` or `production`.
    pub async fn move_channel(&self, request: &MoveRequest, now: Time) -> Result<ChannelMove> {
        let mut transaction = self.write().await?;
        if let Some(done) = move_of_token(&mut transaction, &request.token).await? {
            return Ok(done);
        }
        let last = last_move(&mut transaction, &request.model, &request.channel).await?;
        let version = match &request.target {
            PromotionTarget::Version(version) => version.clone(),
            PromotionTarget::Previous => last.as_ref().and_then(|last| last.previous.clone()).ok_or_else(|| {
                Conflict::NoPrevious { model: request.model.clone(), channel: request.channel.clone() }
            })?,
        };
        let moved = point(&mut transaction, request, &version, now).await?;
        transaction.commit().await?;
        let unknown = || StoreError::corrupt(format!("channel `{}` points somewhere but never moved", request.channel));
        moved.or(last).ok_or_else(unknown)
    }

    /// The move that was made under this token, if one was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn move_of(&self, token: &str) -> Result<Option<ChannelMove>> {
        let row = sqlx::query(MOVE_OF_TOKEN).bind(token).fetch_optional(&self.reader).await?;
        row.as_ref().map(channel_move).transpose()
    }

    /// Where a channel points.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn channel(&self, model: &ModelName, channel: &ChannelName) -> Result<Option<VersionId>> {
        let row = sqlx::query("SELECT version FROM channels WHERE model = $1 AND channel = $2")
            .bind(model.to_string())
            .bind(channel.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.id("version")).transpose()
    }

    /// Every channel of a model, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn channels(&self, model: &ModelName) -> Result<Vec<ChannelRow>> {
        let rows = sqlx::query("SELECT channel, version, moved_at FROM channels WHERE model = $1 ORDER BY channel")
            .bind(model.to_string())
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ChannelRow {
                    channel: row.id("channel")?,
                    version: row.id("version")?,
                    moved_at: row.time("moved_at")?,
                })
            })
            .collect()
    }

    /// The newest move of each channel of a model, by the channel's name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_moves(&self, model: &ModelName) -> Result<Vec<ChannelMove>> {
        let rows = sqlx::query(
            "SELECT m.model, m.channel, m.version, m.previous, m.reason, m.moved_at FROM channel_moves m
             WHERE m.model = $1 AND m.id = (
                 SELECT MAX(newest.id) FROM channel_moves newest
                 WHERE newest.model = m.model AND newest.channel = m.channel)
             ORDER BY m.channel",
        )
        .bind(model.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(channel_move).collect()
    }

    /// Every move of a channel, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn channel_history(&self, model: &ModelName, channel: &ChannelName) -> Result<Vec<ChannelMove>> {
        let rows = sqlx::query(
            "SELECT model, channel, version, previous, reason, moved_at FROM channel_moves
             WHERE model = $1 AND channel = $2 ORDER BY id DESC",
        )
        .bind(model.to_string())
        .bind(channel.as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(channel_move).collect()
    }
}

/// Points a channel to `version`; nothing happens when it does already.
pub(super) async fn point(
    connection: &mut AnyConnection,
    request: &MoveRequest,
    version: &VersionId,
    now: Time,
) -> Result<Option<ChannelMove>> {
    check_version(connection, request, version).await?;
    let row = sqlx::query("SELECT version, moved_at FROM channels WHERE model = $1 AND channel = $2")
        .bind(request.model.to_string())
        .bind(request.channel.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let previous: Option<VersionId> = row.as_ref().map(|row| row.id("version")).transpose()?;
    if previous.as_ref() == Some(version) {
        return Ok(None);
    }
    // Their times tell moves apart and put them in order, even where the clock was set back.
    let last: Option<Time> = row.map(|row| row.time("moved_at")).transpose()?;
    let now = last.map_or(now, |last| now.max(Time(last.0 + 1)));
    let moved = ChannelMove {
        model: request.model.clone(),
        channel: request.channel.clone(),
        version: version.clone(),
        previous,
        reason: request.reason.clone(),
        at: now,
    };
    sqlx::query(
        "INSERT INTO channels (model, channel, version, moved_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (model, channel) DO UPDATE SET version = excluded.version, moved_at = excluded.moved_at",
    )
    .bind(moved.model.to_string())
    .bind(moved.channel.as_str())
    .bind(moved.version.as_str())
    .bind(now.0)
    .execute(&mut *connection)
    .await?;
    write_move(connection, &moved, &request.token).await?;
    Ok(Some(moved))
}

/// The version must be one of the model's, and what nobody else can check out gets no channel that others rely on.
async fn check_version(connection: &mut AnyConnection, request: &MoveRequest, version: &VersionId) -> Result<()> {
    let stored = stored_version(connection, version).await?.filter(|stored| stored.model == request.model);
    let Some(stored) = stored else {
        return Err(Conflict::UnknownVersion { model: request.model.clone(), version: version.clone() }.into());
    };
    let relied_on = [ChannelName::staging(), ChannelName::production()].contains(&request.channel);
    if stored.tree == Tree::Dirty && relied_on {
        return Err(Conflict::DirtyVersion { version: version.clone(), channel: request.channel.clone() }.into());
    }
    Ok(())
}

async fn write_move(connection: &mut AnyConnection, moved: &ChannelMove, token: &str) -> Result<()> {
    let id = take_ids(connection, "channel_move", 1).await?;
    sqlx::query(
        "INSERT INTO channel_moves (id, model, channel, version, previous, reason, moved_at, token)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(moved.model.to_string())
    .bind(moved.channel.as_str())
    .bind(moved.version.as_str())
    .bind(moved.previous.as_ref().map(VersionId::as_str))
    .bind(storable(&moved.reason))
    .bind(moved.at.0)
    .bind(Some(token).filter(|token| !token.is_empty()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn move_of_token(connection: &mut AnyConnection, token: &str) -> Result<Option<ChannelMove>> {
    let row = sqlx::query(MOVE_OF_TOKEN).bind(token).fetch_optional(connection).await?;
    row.as_ref().map(channel_move).transpose()
}

pub(super) async fn last_move(
    connection: &mut AnyConnection,
    model: &ModelName,
    channel: &ChannelName,
) -> Result<Option<ChannelMove>> {
    let row = sqlx::query(
        "SELECT model, channel, version, previous, reason, moved_at FROM channel_moves
         WHERE model = $1 AND channel = $2 ORDER BY id DESC LIMIT 1",
    )
    .bind(model.to_string())
    .bind(channel.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(channel_move).transpose()
}

fn channel_move(row: &AnyRow) -> Result<ChannelMove> {
    Ok(ChannelMove {
        model: row.id("model")?,
        channel: row.id("channel")?,
        version: row.id("version")?,
        previous: row.optional_id("previous")?,
        reason: row.text("reason")?,
        at: row.time("moved_at")?,
    })
}
