//! Deliveries that did not reach us.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::answers::Attempt;
use super::tokens::Login;
use super::{EVENTS, GitHub, PAGE, Result};
use crate::edge::forge::ForgeError;

/// How long until a delivery is asked for once more.
const ASKED_EVERY: Duration = Duration::from_secs(10 * 60);

impl GitHub {
    /// Asks for deliveries again that did not reach us, and says for how many. GitHub never repeats one by itself, and
    /// forgets them after three days.
    ///
    /// Source: <https://docs.github.com/en/webhooks/using-webhooks/automatically-redelivering-failed-deliveries-for-a-github-app-webhook>
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn ask_again(&self) -> Result<usize> {
        if let Login::Token(_) = self.tokens.login() {
            return Ok(0);
        }
        let app = self.tokens.app()?;
        let route = format!("/app/hook/deliveries?per_page={PAGE}");
        let attempts: Vec<Attempt> = self.client.get(&app, &route).await?.json(&route)?;
        let arrived: HashSet<&str> =
            attempts.iter().filter(|attempt| attempt.arrived()).map(|attempt| attempt.guid.as_str()).collect();
        // The newest attempt comes first; one request for each delivery is enough.
        let mut seen = HashSet::new();
        let mut asked = 0;
        for attempt in &attempts {
            let is_lost = !arrived.contains(attempt.guid.as_str()) && EVENTS.contains(&attempt.event.as_str());
            if !seen.insert(&attempt.guid) || !is_lost || !self.may_ask(&attempt.guid) {
                continue;
            }
            let route = format!("/app/hook/deliveries/{}/attempts", attempt.id);
            match self.client.write(&app, Method::POST, &route, None).await {
                Ok(_) => asked += 1,
                Err(ForgeError::Never(error)) => {
                    tracing::warn!(delivery.id = attempt.guid, "not delivered again: {error:#}")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(asked)
    }

    /// Whether this delivery was not asked for lately.
    fn may_ask(&self, guid: &str) -> bool {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now.duration_since(*at) < ASKED_EVERY);
        match asked.entry(guid.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }
}
