//! Deliveries that did not reach us.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::answers::Attempt;
use super::tokens::Token;
use super::{EVENTS, GitHub, PAGE, Result};
use crate::domain::ids::Time;
use crate::edge::forge::ForgeError;

/// Most pages of attempts that one look reads: two thousand attempts.
const MOST_PAGES: usize = 20;

/// How much later may an attempt be listed than its time says? GitHub waits ten seconds for an answer.
const SLACK: Duration = Duration::from_secs(60);

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
        if self.tokens.given().is_some() {
            return Ok(0);
        }
        let app = self.tokens.app()?;
        let known = *self.arrived_until.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = self.attempts_since(&app, known).await?;
        let arrived: HashSet<&str> =
            attempts.iter().filter(|attempt| attempt.arrived()).map(|attempt| attempt.guid.as_str()).collect();
        let is_lost =
            |attempt: &Attempt| !arrived.contains(attempt.guid.as_str()) && EVENTS.contains(&attempt.event.as_str());
        // The newest attempt comes first; one request for each delivery is enough.
        let mut seen = HashSet::new();
        let mut asked = 0;
        for attempt in attempts.iter().filter(|attempt| is_lost(attempt)) {
            if !seen.insert(&attempt.guid) || !self.may_ask(&attempt.guid) {
                continue;
            }
            let route = format!("/app/hook/deliveries/{}/attempts", attempt.id);
            match self.client.write(&*app, Method::POST, &route, None).await {
                Ok(_) => asked += 1,
                Err(ForgeError::Later(error)) => return Err(ForgeError::Later(error)),
                Err(error) => tracing::warn!(delivery.id = attempt.guid, "not delivered again: {:#}", error.cause()),
            }
        }
        // The next look goes back to the oldest one that is still on its way.
        let oldest_lost = attempts.iter().filter(|attempt| is_lost(attempt)).filter_map(Attempt::made_at).min();
        let newest = attempts.iter().filter_map(Attempt::made_at).max();
        *self.arrived_until.lock().unwrap_or_else(PoisonError::into_inner) = oldest_lost.or(newest).or(known);
        Ok(asked)
    }

    /// Attempts to deliver, the newest first, back to those before `known` or as far as one look goes.
    async fn attempts_since(&self, app: &Token, known: Option<Time>) -> Result<Vec<Attempt>> {
        let first = format!("/app/hook/deliveries?per_page={PAGE}");
        let mut route = first.clone();
        let mut attempts: Vec<Attempt> = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.client.get(app, &route).await?;
            attempts.extend(answer.json::<Vec<Attempt>>(&route)?);
            let oldest = attempts.last().and_then(Attempt::made_at);
            let is_known = known.zip(oldest).is_some_and(|(known, oldest)| oldest < known.minus(SLACK));
            match answer.cursor.filter(|_| !is_known) {
                Some(cursor) => route = format!("{first}&cursor={cursor}"),
                None => return Ok(attempts),
            }
        }
        tracing::warn!("more than {} deliveries to look at; older ones are left", attempts.len());
        Ok(attempts)
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
