//! `modelship forge-hook`: git calls it after a push to the local forge.

use std::io::Read as _;

use super::arguments::ForgeHook;
use super::output::{CliError, Output};
use crate::edge::forge::local::LocalForge;
use crate::engine::system_time;

/// Tells the server of the push. A server that does not answer is no reason to trouble the pusher: it compares with the
/// forge when it starts.
pub(crate) async fn hook(hook: &ForgeHook, output: &Output) -> Result<(), CliError> {
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines).map_err(anyhow::Error::from)?;
    let forge = LocalForge::open(&hook.forge, system_time).map_err(anyhow::Error::from)?;
    let deliveries = forge.post_receive(&hook.repository, &lines).map_err(anyhow::Error::from)?;
    super::pr::send(&forge, deliveries, output).await
}
