//! What a message to another program says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{FinishedSweep, Notice};
use crate::domain::ids::Time;
use crate::domain::version::Version;

/// A message to another program. Keys that do not fit the event are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Body {
    /// What happened: `registered`, `promoted` or `finished`.
    pub event: &'static str,
    /// What tells it from all others, the same each time that it is sent.
    pub id: String,
    /// When it happened: `2026-11-20T22:04:05.123Z`.
    pub time: String,
    /// The model: `owner/title`.
    pub model: String,
    /// The version, 16 hexadecimal characters: the one registered, promoted or run.
    pub version: String,
    /// The digest of what the version runs.
    pub digest: String,
    /// The container image, where the version is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The repository that the version comes from.
    pub repository: Place,
    /// The commit that it was built from.
    pub commit: String,
    /// The channel that moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The version that the channel pointed to before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Why the channel moved: `merge of #3`, `promoted by ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sweep that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<EndedSweep>,
    /// Addresses of the server, by what is there; empty where the server has none that others know.
    pub links: BTreeMap<&'static str, String>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Place {
    /// The forge's number for it, which never changes.
    pub id: i64,
    /// What it was called when the version was built.
    pub name: String,
}

/// A sweep that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EndedSweep {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// After which round it ended. A sweep that is retried ends again, in a later one.
    pub round: u32,
    /// How it ended: `succeeded`, `incomplete`, `cancelled` or `stopped`.
    pub outcome: String,
    /// Why, where it did not succeed and that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many runs it has, and how they ended.
    pub counts: Counts,
    /// Who started it.
    pub by: String,
    /// The number of the pull request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// When it was started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: String,
}

/// How many runs there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Counts {
    /// All runs of the plan.
    pub runs: u64,
    /// Those with a good result, reused ones too.
    pub succeeded: u64,
    /// Those that failed, by class: `timeout`, `model_error`.
    pub failed: BTreeMap<String, u64>,
}

impl Body {
    /// What to say of `notice`, which is about `version`. `server` is the server's own address, `moment` writes times.
    #[must_use]
    pub fn of(notice: &Notice, version: &Version, server: Option<&str>, moment: fn(Time) -> String) -> Self {
        let mut body = Self {
            event: notice.kind().as_str(),
            id: notice.id(),
            time: moment(notice.at()),
            model: notice.model().to_string(),
            version: version.id.to_string(),
            digest: version.executable.to_string(),
            image: version.image.as_ref().map(|image| image.reference.clone()),
            repository: Place { id: version.source.repository.id, name: version.source.repository.name.to_string() },
            commit: version.source.commit.to_string(),
            channel: None,
            previous: None,
            reason: None,
            sweep: None,
            links: server.map(|server| ("server", server.to_owned())).into_iter().collect(),
        };
        match notice {
            Notice::Registered { .. } => {}
            Notice::Promoted { moved } => {
                body.channel = Some(moved.channel.to_string());
                body.previous = moved.previous.as_ref().map(ToString::to_string);
                body.reason = Some(moved.reason.clone());
            }
            Notice::Finished { sweep } => {
                if let Some(server) = server.filter(|_| sweep.has_analysis) {
                    body.links.insert("analysis", format!("{server}/sweeps/{}/analysis.csv", sweep.id));
                }
                body.sweep = Some(EndedSweep::of(sweep, moment));
            }
        }
        body
    }
}

impl EndedSweep {
    fn of(sweep: &FinishedSweep, moment: fn(Time) -> String) -> Self {
        Self {
            id: sweep.id.to_string(),
            name: sweep.name.to_string(),
            round: sweep.round,
            outcome: sweep.outcome.clone(),
            reason: sweep.reason.clone(),
            counts: Counts {
                runs: sweep.runs,
                succeeded: sweep.succeeded,
                failed: sweep.failed.iter().map(|(class, runs)| (class.words().replace(' ', "_"), *runs)).collect(),
            },
            by: sweep.by.clone(),
            pull_request: sweep.pull.as_ref().map(|pull| pull.number.0),
            started_at: moment(sweep.started_at),
            ended_at: moment(sweep.ended_at),
        }
    }
}
