//! Whether versions that workflows build can be registered.

use super::Check;
use crate::domain::report::numbers;
use crate::edge::oidc::Verifier;
use crate::settings::{ForgeSettings, Settings};

/// Whether a workflow that offers a version would be let in. A laptop takes no offers, nor does a server without an address.
pub(super) async fn workflows(settings: &Settings) -> Option<Check> {
    let part = "workflows";
    let server = &settings.server;
    let url = server.url.as_ref().filter(|_| !matches!(settings.forge, ForgeSettings::Laptop { .. }))?;
    if server.repositories.is_empty() {
        let advice = "list the numbers of those that may as `server.repositories`";
        return Some(Check::look(part, "no repository's workflow may register", advice));
    }
    if settings.docker.accept.is_empty() {
        let advice = "name where images may lie as `docker.registry` or `docker.accept`";
        return Some(Check::look(part, "no image may be registered", advice));
    }
    let verifier = match Verifier::new(&server.token_issuer, url) {
        Ok(verifier) => verifier,
        Err(error) => return Some(Check::bad(part, format!("{error:#}"), "look at `server.token_issuer`")),
    };
    let keys = match verifier.check().await {
        Ok(keys) => keys,
        Err(error) => {
            let found = format!("the keys of `{}` cannot be looked up: {error:#}", server.token_issuer);
            return Some(Check::bad(part, found, "look at `server.token_issuer`, and at this machine's way out"));
        }
    };
    let repositories = match server.repositories.len() {
        1 => "1 repository".to_owned(),
        many => format!("{many} repositories"),
    };
    let keys = numbers::plural(keys as u64, "key");
    let found = format!("of {repositories} may register; `{}` signs with {keys}", server.token_issuer);
    Some(Check::good(part, found))
}
