//! How a manifest says that its model is built.

use super::paths::{Allowed, Whole, command, relative};
use super::raw::RawBuild;
use super::{BUILD_LIMIT, Build, DockerBuild, Environment, quantities};
use crate::domain::image::ImageName;
use crate::domain::yaml::{Place, Placed, Reader, shown};

/// Most Debian packages of one model.
const MAX_PACKAGES: usize = 200;

pub(super) fn build(raw: &Placed<RawBuild>, reader: &mut Reader) -> Option<Build> {
    let RawBuild { dockerfile, context: _, args: _, platforms: _, python, debian, process, image, timeout } =
        &raw.value;
    if dockerfile.is_none() && process.is_none() && python.is_none() && debian.is_none() && image.is_none() {
        let hint = "write `dockerfile: Dockerfile`, `process: [[make]]`, or both; or name an environment, such as \
                    `python: requirements.txt` or `debian: [gfortran, make]`";
        let message = "`build` says neither `dockerfile` nor `process`, and names no environment";
        reader.fault(raw.place, message, Some(hint.to_owned()));
        return None;
    }
    let docker = match dockerfile {
        Some(dockerfile) => Some(docker(&raw.value, dockerfile, reader)?),
        None => {
            nothing_for_docker(&raw.value, reader)?;
            None
        }
    };
    let environment = environment(&raw.value, reader);
    let no_paths = Allowed { words: &[], reason: "the command runs in the copy of the source; use relative paths" };
    let process = match process {
        Some(commands) => {
            let commands: Vec<Option<_>> = commands.iter().map(|words| command(words, no_paths, reader)).collect();
            Some(commands.into_iter().collect::<Option<Vec<_>>>()?)
        }
        None => None,
    };
    let image = match image {
        Some(name) => match ImageName::parse(&name.value) {
            Ok(image) => Some(image),
            Err(error) => {
                let hint =
                    Some("write it with its registry and without a tag: `docker.io/urban/simple-tax`".to_owned());
                reader.fault(name.place, error.to_string(), hint);
                return None;
            }
        },
        None => None,
    };
    let timeout = match timeout {
        Some(text) => quantities::duration(text, reader),
        None => Some(BUILD_LIMIT),
    };
    Some(Build { process, docker, environment: environment?, image, timeout: timeout? })
}

fn docker(raw: &RawBuild, dockerfile: &Placed<String>, reader: &mut Reader) -> Option<DockerBuild> {
    let args = raw.args.iter().flat_map(|args| &args.0);
    Some(DockerBuild {
        dockerfile: relative(dockerfile, Whole::Refused, reader)?,
        context: match &raw.context {
            Some(context) => relative(context, Whole::Allowed, reader)?,
            None => ".".to_owned(),
        },
        args: args.map(|(key, value)| (key.name.clone(), value.clone())).collect(),
        platforms: raw
            .platforms
            .iter()
            .flatten()
            .map(|platform| self::platform(platform, reader))
            .collect::<Option<_>>()?,
    })
}

/// Without a Dockerfile there is nothing that could use what belongs to one.
fn nothing_for_docker(raw: &RawBuild, reader: &mut Reader) -> Option<()> {
    let place = raw.context.as_ref().map(|context| context.place);
    let place = place.or_else(|| raw.args.as_ref().and_then(|args| args.0.first()).map(|(key, _)| key.place));
    let place = place.or_else(|| raw.platforms.as_ref().and_then(|all| all.first()).map(|first| first.place));
    match place {
        Some(place) => {
            reader.fault(place, "`context`, `args` and `platforms` belong to a `dockerfile`", None);
            None
        }
        None => Some(()),
    }
}

fn platform(platform: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let parts: Vec<&str> = platform.value.split('/').collect();
    if (2..=3).contains(&parts.len()) && parts.iter().all(|part| word(part)) {
        return Some(platform.value.clone());
    }
    let hint = Some("write `linux/amd64` or `linux/arm64`".to_owned());
    reader.fault(platform.place, format!("`{}` is not a platform", shown(&platform.value)), hint);
    None
}

/// The named environment; the outer none means that a fault was noted.
#[expect(clippy::option_option, reason = "every function here says with the outer one whether it found a fault")]
fn environment(raw: &RawBuild, reader: &mut Reader) -> Option<Option<Environment>> {
    let RawBuild { dockerfile, python, debian, .. } = raw;
    let first: Option<Place> =
        python.as_ref().map(|python| python.place).or_else(|| debian.as_ref().map(|debian| debian.place));
    let Some(first) = first else { return Some(None) };
    if dockerfile.is_some() {
        let hint = Some("install what the model needs in the Dockerfile, or take `dockerfile` out".to_owned());
        reader.fault(first, "`python` and `debian` are for models without a `dockerfile`", hint);
        return None;
    }
    let python = match python {
        Some(python) => Some(requirements(python, reader)?),
        None => None,
    };
    let written = debian.as_ref().map_or(&[][..], |debian| &debian.value);
    let packages: Vec<Option<String>> = written.iter().map(|name| package(name, reader)).collect();
    let mut debian = packages.into_iter().collect::<Option<Vec<_>>>()?;
    if debian.len() > MAX_PACKAGES {
        reader.fault(first, format!("more than {MAX_PACKAGES} packages"), None);
        return None;
    }
    debian.sort();
    debian.dedup();
    Some(Some(Environment { python, debian }))
}

/// A requirements file's path, which becomes a word of a Dockerfile.
fn requirements(path: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let clean = relative(path, Whole::Refused, reader)?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+');
    if clean.chars().all(plain) && !clean.starts_with('-') {
        return Some(clean);
    }
    let hint = Some("use letters, digits, `.`, `_` and `-`".to_owned());
    reader.fault(path.place, format!("`{}` is no name for a requirements file", shown(&path.value)), hint);
    None
}

/// A Debian package's name, as Debian's policy has it.
fn package(name: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    let text = name.value.as_str();
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    // apt takes a sign at the end for "remove" and "install".
    if begins && (2..=100).contains(&text.len()) && text.bytes().all(allowed) && !text.ends_with('-') {
        return Some(text.to_owned());
    }
    let hint = Some("write the name of a Debian package, such as `gfortran`".to_owned());
    reader.fault(name.place, format!("`{}` is not a Debian package", shown(text)), hint);
    None
}
