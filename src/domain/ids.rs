//! Names and identifiers, each a type of its own with one `parse`.
//!
//! A value of these types is valid by construction: whatever comes in from a file, a request or the database passes
//! through `parse` once, and nothing checks it again. Each has one spelling, used by `Display`, JSON and the database.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not a valid name or identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` {reason}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
    reason: &'static str,
}

fn invalid(what: &'static str, value: &str, reason: &'static str) -> InvalidId {
    InvalidId { what, value: value.chars().take(120).collect(), reason }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and makes the identifier.
            ///
            /// # Errors
            /// When `text` does not have the form that the type documents.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err(invalid($what, &text, reason)),
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

/// Lower-case letters, digits and inner `-`, `_`, `.`; at most 100 characters. The form of owners, titles and sweep names.
fn check_slug(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > 100 {
        return Err("is longer than 100 characters");
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    if !text.bytes().all(|byte| word(byte) || matches!(byte, b'-' | b'_' | b'.')) {
        return Err("may hold only letters, digits, `-`, `_` and `.`");
    }
    if !text.bytes().next().is_some_and(word) || !text.bytes().next_back().is_some_and(word) {
        return Err("must begin and end with a letter or a digit");
    }
    if text.contains("..") {
        return Err("may not hold `..`");
    }
    Ok(())
}

fn check_hex(text: &str, length: usize) -> Result<(), &'static str> {
    if text.len() != length || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("must be lower-case hexadecimal of the full length");
    }
    Ok(())
}

text_id!(
    /// The name of a sweep: letters, digits and inner `-`, `_`, `.`; at most 100 characters.
    SweepName, "sweep name", check_slug
);
text_id!(
    /// Identifies one sweep: its name and the start of a hash over who asked for it and its plan digest.
    SweepId, "sweep id", check_slug
);
text_id!(
    /// A full git commit id: 40 lower-case hexadecimal characters.
    CommitSha, "commit", |text| check_hex(text, 40)
);
text_id!(
    /// A git tree or blob id: 40 lower-case hexadecimal characters.
    ObjectId, "git object", |text| check_hex(text, 40)
);
text_id!(
    /// A SHA-256 content digest, `sha256:` and 64 lower-case hexadecimal characters.
    Digest, "digest", |text| match text.strip_prefix("sha256:") {
        Some(rest) => check_hex(rest, 64),
        None => Err("must start with `sha256:`"),
    }
);
text_id!(
    /// A run's id: the SHA-256 of everything that decides its outcome, as 64 lower-case hexadecimal characters.
    RunId, "run id", |text| check_hex(text, 64)
);
text_id!(
    /// The beginning of a run's id by which people name it: 6 to 64 lower-case hexadecimal characters.
    RunPrefix, "run", |text| {
        if !(RunPrefix::SHORTEST..=64).contains(&text.len()) {
            return Err("must have 6 to 64 characters");
        }
        check_hex(text, text.len())
    }
);
text_id!(
    /// A version's id: 16 lower-case hexadecimal characters of the hash over model, commit, executable and manifest.
    VersionId, "version", |text| check_hex(text, 16)
);
text_id!(
    /// A channel: a branch name, a tag, `pr-<n>`, `staging` or `production`. Follows git's rules for reference names.
    ChannelName, "channel", check_reference
);

/// git's rules for a reference name (git-check-ref-format), plus a length limit.
fn check_reference(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 200 {
        return Err("must have 1 to 200 characters");
    }
    if text.starts_with(['-', '/', '.']) || text.ends_with(['/', '.']) || text.ends_with(".lock") {
        return Err("begins or ends with a character that git does not allow there");
    }
    if text.contains("..") || text.contains("//") || text.contains("@{") || text == "@" || text.contains("/.") {
        return Err("holds a sequence that git does not allow");
    }
    let banned =
        |c: char| c.is_control() || c == '\u{7f}' || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if text.chars().any(banned) {
        return Err("holds a character that git does not allow");
    }
    Ok(())
}

impl ChannelName {
    /// The channel that merged work serves from.
    #[must_use]
    pub fn production() -> Self {
        Self("production".to_owned())
    }

    /// The channel of the newest passing head of any branch.
    #[must_use]
    pub fn staging() -> Self {
        Self("staging".to_owned())
    }

    /// Whether a branch or tag of that name leaves the channel alone: what is in production is not decided by how somebody
    /// calls a branch.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        *self == Self::production() || *self == Self::staging() || self.follows_a_pull_request()
    }

    /// Whether it is the channel of one pull request: `pr-3`.
    #[must_use]
    pub fn follows_a_pull_request(&self) -> bool {
        let number = self.0.strip_prefix("pr-");
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// The channel of one pull request.
    #[must_use]
    pub fn pull_request(number: PullNumber) -> Self {
        Self(format!("pr-{number}"))
    }
}

impl CommitSha {
    /// The first ten characters, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::from_hash(Sha256::digest(bytes).as_slice())
    }

    /// Wraps a finished SHA-256 hash.
    #[must_use]
    pub fn from_hash(hash: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(hash)))
    }

    /// The 64 hexadecimal characters after `sha256:`.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first twelve hexadecimal characters, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl RunId {
    /// Wraps a finished SHA-256 hash.
    #[must_use]
    pub fn from_hash(hash: &[u8]) -> Self {
        Self(hex::encode(hash))
    }

    /// The first twelve characters, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl RunPrefix {
    /// How many characters it has at least. Fewer would match by chance.
    pub const SHORTEST: usize = 6;

    /// The beginning of an id as a person writes it, in letters of any case.
    ///
    /// # Errors
    /// When it is too short, too long or not hexadecimal.
    pub fn of_person(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text.to_ascii_lowercase())
    }
}

impl VersionId {
    /// The id of the version that `model` has at `commit` with this executable and manifest.
    #[must_use]
    pub fn of(model: &ModelName, commit: &CommitSha, executable: &Digest, manifest: &Digest) -> Self {
        let text = format!("{model}\n{commit}\n{executable}\n{manifest}");
        Self(Digest::of(text).hex()[..16].to_owned())
    }
}

impl SweepId {
    /// The id of the sweep `name` that `owner` asked for with this plan.
    #[must_use]
    pub fn of(name: &SweepName, owner: &str, plan: &Digest) -> Self {
        Self(format!("{name}-{}", &Digest::of(format!("{owner}\n{plan}")).hex()[..10]))
    }
}

macro_rules! pair_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $second:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            owner: String,
            $second: String,
        }

        impl $name {
            /// Checks both halves and makes the name.
            ///
            /// # Errors
            /// When a half is not made of letters, digits and inner `-`, `_`, `.`.
            pub fn new(owner: &str, $second: &str) -> Result<Self, InvalidId> {
                for half in [owner, $second] {
                    check_slug(half).map_err(|reason| invalid($what, &format!("{owner}/{}", $second), reason))?;
                }
                Ok(Self { owner: owner.to_owned(), $second: $second.to_owned() })
            }

            /// Checks `owner/name` and makes the name.
            ///
            /// # Errors
            /// When there is no `/` or a half has a character that it may not have.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                match text.split_once('/') {
                    Some((owner, second)) => Self::new(owner, second),
                    None => Err(invalid($what, text, concat!("must be written `owner/", stringify!($second), "`"))),
                }
            }

            /// The half before the slash.
            #[must_use]
            pub fn owner(&self) -> &str {
                &self.owner
            }

            /// The half after the slash.
            #[must_use]
            pub fn $second(&self) -> &str {
                &self.$second
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.owner, self.$second)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    };
}

pair_name!(
    /// A model's name, `owner/title`.
    ModelName, "model name", title
);
pair_name!(
    /// A repository's name, `owner/name`.
    RepositoryName, "repository name", name
);

/// The number of a pull request within its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PullNumber(pub u64);

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A repository as its forge knows it. The numeric id decides; the name is for people and links.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repository {
    /// The forge's own number, which a rename does not change.
    pub id: i64,
    /// The name today.
    pub name: RepositoryName,
}

/// One pull request of one repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PullRef {
    /// The repository that the pull request wants to change.
    pub repository: Repository,
    /// Its number there.
    pub number: PullNumber,
}

impl fmt::Display for PullRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repository.name, self.number)
    }
}

/// A moment, in milliseconds since the Unix epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This moment moved by `duration`.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This moment moved back by `duration`.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
