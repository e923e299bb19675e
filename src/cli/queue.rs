//! `modelship queue`: what waits, who works on what, what was given up.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::output::{CliError, Output};
use crate::domain::ids::Time;
use crate::domain::report::numbers::{duration, plural};
use crate::engine;
use crate::settings::Settings;
use crate::store::Store;
use crate::store::queue::{FailedTask, LeasedTask, QueueDepth};

/// The queue at one moment. Times are milliseconds since the epoch.
#[derive(Debug, Serialize)]
struct Queue {
    now: Time,
    events: u64,
    effects: u64,
    leased: u64,
    failed: u64,
    /// How long the oldest task that is neither done nor given up has been there, in milliseconds.
    oldest_ms: Option<u64>,
    leases: Vec<LeaseLine>,
    failures: Vec<FailureLine>,
}

#[derive(Debug, Serialize)]
struct LeaseLine {
    task: i64,
    name: String,
    key: String,
    subject: String,
    attempts: u32,
    owner: String,
    until: Time,
    cancelled: bool,
    created_at: Time,
}

#[derive(Debug, Serialize)]
struct FailureLine {
    task: i64,
    name: String,
    key: String,
    subject: String,
    attempts: u32,
    error: String,
    created_at: Time,
}

/// Shows the queue.
pub(crate) async fn queue(settings: Settings, output: &Output) -> Result<(), CliError> {
    let store = Store::open(settings.database.expose_secret()).await?;
    let now = engine::system_time();
    let depth = store.pending(now).await?;
    let queue = Queue::new(now, depth, store.leased_tasks().await?, store.failed_tasks().await?);
    store.close().await;
    if output.is_json() {
        return output.json(&queue);
    }
    output.line(&queue.summary())?;
    if !queue.leases.is_empty() {
        output.heading("Under way")?;
        output.table(&["TASK", "WHAT", "OF", "ATTEMPT", "OWNER", "UNTIL"], &queue.lease_rows())?;
    }
    if !queue.failures.is_empty() {
        output.heading("Given up")?;
        output.table(&["TASK", "WHAT", "OF", "ATTEMPTS", "SINCE", "ERROR"], &queue.failure_rows(output))?;
    }
    Ok(())
}

impl Queue {
    fn new(now: Time, depth: QueueDepth, leases: Vec<LeasedTask>, failures: Vec<FailedTask>) -> Self {
        Self {
            now,
            events: depth.events,
            effects: depth.effects,
            leased: depth.leased,
            failed: depth.failed,
            oldest_ms: depth.oldest_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            leases: leases.into_iter().map(LeaseLine::from).collect(),
            failures: failures.into_iter().map(FailureLine::from).collect(),
        }
    }

    /// How much there is, in one sentence.
    fn summary(&self) -> String {
        let waiting = format!("{} and {} wait", plural(self.events, "event"), plural(self.effects, "effect"));
        let oldest = self.oldest_ms.map_or_else(String::new, |age| format!("; the oldest came {} ago", duration(age)));
        format!("{waiting}, {} under way, {} given up{oldest}", self.leased, self.failed)
    }

    fn lease_rows(&self) -> Vec<Vec<String>> {
        let row = |lease: &LeaseLine| {
            let left = u64::try_from(lease.until.0.saturating_sub(self.now.0)).unwrap_or(0);
            let until = match (left, lease.cancelled) {
                (0, _) => "run out".to_owned(),
                (left, false) => format!("in {}", duration(left)),
                (left, true) => format!("in {}, cancelled", duration(left)),
            };
            let of = about(&lease.key, &lease.subject);
            vec![lease.task.to_string(), lease.name.clone(), of, lease.attempts.to_string(), lease.owner.clone(), until]
        };
        self.leases.iter().map(row).collect()
    }

    fn failure_rows(&self, output: &Output) -> Vec<Vec<String>> {
        let row = |failure: &FailureLine| {
            vec![
                failure.task.to_string(),
                failure.name.clone(),
                about(&failure.key, &failure.subject),
                failure.attempts.to_string(),
                output.moment(failure.created_at),
                failure.error.clone(),
            ]
        };
        self.failures.iter().map(row).collect()
    }
}

/// What a task is about.
fn about(key: &str, subject: &str) -> String {
    if subject.is_empty() { key.to_owned() } else { format!("{key} {subject}") }
}

impl From<LeasedTask> for LeaseLine {
    fn from(task: LeasedTask) -> Self {
        Self {
            task: task.id,
            name: task.name,
            key: task.key,
            subject: task.subject,
            attempts: task.attempts,
            owner: task.owner.to_string(),
            until: task.until,
            cancelled: task.cancelled,
            created_at: task.created_at,
        }
    }
}

impl From<FailedTask> for FailureLine {
    fn from(task: FailedTask) -> Self {
        Self {
            task: task.id,
            name: task.name,
            key: task.key,
            subject: task.subject,
            attempts: task.attempts,
            error: task.error,
            created_at: task.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::queue::Owner;

    #[test]
    fn the_queue_is_told_in_a_sentence_and_a_line_for_each_lease() {
        let lease = |id, until, cancelled| LeasedTask {
            id,
            name: "BuildImage".to_owned(),
            key: "model/urban/simple-tax".to_owned(),
            subject: "1a2b3c".to_owned(),
            attempts: 2,
            owner: Owner::new("engine-1"),
            until: Time(until),
            cancelled,
            created_at: Time(0),
        };
        let depth =
            QueueDepth { events: 1, effects: 1_234, leased: 3, failed: 0, oldest_age: Some(Duration::from_secs(65)) };
        let leases = vec![lease(7, 95_000, false), lease(8, 95_000, true), lease(9, 65_000, false)];
        let queue = Queue::new(Time(65_000), depth, leases, Vec::new());
        insta::assert_snapshot!(queue.summary(), @"1 event and 1,234 effects wait, 3 under way, 0 given up; the oldest came 1 min 5 s ago");
        let ends: Vec<_> = queue.lease_rows().into_iter().map(|row| row[5].clone()).collect();
        assert_eq!(ends, ["in 30 s", "in 30 s, cancelled", "run out"]);
        assert_eq!(queue.lease_rows()[0][2], "model/urban/simple-tax 1a2b3c");
    }
}
