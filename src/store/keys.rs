//! Keys that the instance made for itself: what it signs with, so that it knows its own word again.

use secrecy::{ExposeSecret as _, SecretString};

use super::row::Cells as _;
use super::{Result, Store};
use crate::domain::ids::Time;

impl Store {
    /// The key `name`: the one that is there, or `fresh` from now on. Whoever asks gets the same one, whichever server of
    /// several was first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key(&self, name: &str, fresh: &SecretString, now: Time) -> Result<SecretString> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO keys (name, value, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(fresh.expose_secret())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT value FROM keys WHERE name = $1").bind(name).fetch_one(&mut *transaction).await?;
        let key = row.text("value")?;
        transaction.commit().await?;
        Ok(SecretString::from(key))
    }
}
