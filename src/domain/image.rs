//! Names of container images: which registry, which repository there, and which content.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::Digest;

/// What Docker Hub is called in an image's name.
pub const DOCKER_HUB: &str = "docker.io";

/// How long may an image's name be?
const MOST: usize = 255;

/// What is wrong with an image of `size` bytes; none when it is no larger than `most`.
#[must_use]
pub fn too_large(size: u64, most: u64) -> Option<String> {
    if size <= most {
        return None;
    }
    let short = |bytes| bytesize::ByteSize(bytes).display().si().to_string();
    let (mut is, mut may) = (short(size), short(most));
    if is == may {
        (is, may) = (format!("{size} bytes"), format!("{most}"));
    }
    Some(format!("an image of {is}, and this server takes none above {may} (`docker.max_image` in its settings)"))
}

/// Why a text is no image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no name of an image such as `registry.example.org/models/simple-tax`: {reason}")]
pub struct InvalidImage {
    value: String,
    reason: &'static str,
}

/// A repository of images with its registry, without a tag: `registry.example.org:5000/models/simple-tax`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    registry: String,
    path: String,
}

impl ImageName {
    /// Checks `text` and makes the name. It has to name its registry.
    ///
    /// # Errors
    /// When it does not have the form that registries agree on.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        let no = |reason| InvalidImage { value: text.chars().take(120).collect(), reason };
        if text.len() > MOST {
            return Err(no("it is longer than 255 characters"));
        }
        let (registry, path) = text.split_once('/').ok_or_else(|| no("it names no registry"))?;
        if !is_registry(registry) {
            return Err(no("what stands before the first `/` is no registry"));
        }
        if !path.split('/').all(is_component) {
            return Err(no(
                "a part may hold only lower-case letters and digits, with `.`, `_`, `__` or `-` between them",
            ));
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }

    /// The registry: a host, perhaps with a port.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is `prefix`, or lies below it as a folder lies in another.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        let (name, prefix) = (self.to_string(), prefix.trim_end_matches('/').to_lowercase());
        name.strip_prefix(&prefix).is_some_and(|rest| !prefix.is_empty() && (rest.is_empty() || rest.starts_with('/')))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl TryFrom<String> for ImageName {
    type Error = InvalidImage;
    fn try_from(text: String) -> Result<Self, InvalidImage> {
        Self::parse(&text)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

/// An image by its content: `registry.example.org/models/simple-tax@sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    /// Where it lies.
    pub name: ImageName,
    /// Which one it is.
    pub digest: Digest,
}

impl ImageRef {
    /// Checks `text` and makes the reference.
    ///
    /// # Errors
    /// When it is no image's name, or has no digest after `@`, or a tag.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        let no = |reason| InvalidImage { value: text.chars().take(120).collect(), reason };
        let (name, digest) = text.split_once('@').ok_or_else(|| no("`@sha256:` and the digest must follow"))?;
        let digest = Digest::parse(digest).map_err(|_| no("what stands after `@` is no digest"))?;
        Ok(Self { name: ImageName::parse(name)?, digest })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidImage;
    fn try_from(text: String) -> Result<Self, InvalidImage> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

/// Whether `tag` is one that registries take. It becomes a part of an address.
#[must_use]
pub fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// A host with a dot or a port, as Docker tells a registry from a folder of Docker Hub.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        alphanumeric(label.bytes().next())
            && alphanumeric(label.bytes().next_back())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host.split('.').all(label)
        && (host.contains('.') || host == "localhost" || port.is_some())
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port))
}

fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let length = rest.iter().take_while(|byte| word(**byte)).count();
        rest = &rest[length..];
        match rest {
            _ if length == 0 => return false,
            [] => return true,
            [b'_', b'_', more @ ..] | [b'.' | b'_', more @ ..] => rest = more,
            [b'-', ..] => rest = &rest[rest.iter().take_while(|byte| **byte == b'-').count()..],
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_says_by_how_much() {
        assert_eq!((too_large(0, 0), too_large(20_000_000_000, 20_000_000_000)), (None, None));
        let said = |size, most| too_large(size, most).unwrap();
        assert!(
            said(30_400_000_000, 20_000_000_000)
                .starts_with("an image of 30.4 GB, and this server takes none above 20.0 GB (")
        );
        assert!(
            said(20_000_000_001, 20_000_000_000)
                .starts_with("an image of 20000000001 bytes, and this server takes none above 20000000000 (")
        );
        assert!(said(u64::MAX, 0).contains("18.4 EB"));
    }

    #[test]
    fn a_name_has_a_registry_and_a_path() {
        for name in [
            "registry.example.org/models/simple-tax",
            "127.0.0.1:5000/a",
            "localhost/a/b__c/d-e.f--g",
            "docker.io/urban/simple_tax",
            "registry:5000/x",
        ] {
            assert_eq!(ImageName::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            "simple-tax",
            "urban/simple-tax",
            "example.org/",
            "example.org//a",
            "example.org/A",
            "example.org/a:tag",
            "example.org/../v2/a",
            "example.org/a/",
            "example.org/-a",
            "example.org/a_",
            "example.org/a..b",
            "user@example.org/a",
            "example.org:0/a",
            "example.org:99999/a",
            "example.org:080/a",
            "exa mple.org/a",
            "-a.org/a",
            ".org/a",
            "https://example.org/a",
            "example.org/a?b",
            "example.org/a\n",
        ] {
            assert!(ImageName::parse(name).is_err(), "{name}");
        }
        assert!(ImageName::parse(&format!("example.org/{}", "a".repeat(255))).is_err());
    }

    #[test]
    fn below_a_prefix_is_within_a_folder_and_not_beside_it() {
        let name = ImageName::parse("example.org/models/tax").unwrap();
        for prefix in ["example.org", "example.org/models", "example.org/models/", "Example.org/models/tax"] {
            assert!(name.is_below(prefix), "{prefix}");
        }
        for prefix in ["", "/", "example.or", "example.org/model", "example.org/models/tax/more", "other.org"] {
            assert!(!name.is_below(prefix), "{prefix}");
        }
    }

    #[test]
    fn a_reference_is_a_name_and_a_digest() {
        let text = format!("example.org/a@sha256:{}", "0".repeat(64));
        assert_eq!(ImageRef::parse(&text).unwrap().to_string(), text);
        for text in ["example.org/a", "example.org/a:1", "example.org/a@sha256:0", "@", "example.org/a@sha512:00"] {
            assert!(ImageRef::parse(text).is_err(), "{text}");
        }
        assert!(is_tag("v1.0-rc_1") && !is_tag("") && !is_tag("-a") && !is_tag("a/b") && !is_tag(&"a".repeat(129)));
    }
}
