//! Paths and commands in a manifest: nothing leads out of the source, nothing is left to a shell.

use crate::domain::yaml::{Placed, Reader, closest, shown};

/// What a word of a command may have in braces.
const PLACEHOLDERS: [&str; 3] = ["model", "params", "outputs"];

/// The longest name of one file or folder, in bytes.
const LONGEST_NAME: usize = 255;

/// Whether a path may name the folder that it is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// `.` is fine.
    Allowed,
    /// It must name something within.
    Refused,
}

/// `path` with `.` and doubled slashes taken out; it is relative and stays below where it starts.
pub(crate) fn relative(path: &Placed<String>, whole: Whole, reader: &mut Reader) -> Option<String> {
    match clean(&path.value) {
        Ok(clean) if clean == "." && whole == Whole::Refused => {
            reader.fault(path.place, "the path must name a file within the folder", None);
            None
        }
        Ok(clean) => Some(clean),
        Err(reason) => {
            reader.fault(path.place, format!("the path `{}` {reason}", shown(&path.value)), None);
            None
        }
    }
}

/// The file at `path` within the folder `base`.
pub(crate) fn joined(base: &str, path: &str) -> String {
    if base == "." { path.to_owned() } else { format!("{base}/{path}") }
}

fn clean(path: &str) -> Result<String, &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if path.starts_with('/') || path.starts_with('~') {
        return Err("must be relative");
    }
    if path.contains('\\') {
        return Err("must be written with `/`");
    }
    if path.chars().any(char::is_control) || path.len() > 1000 {
        return Err("is too long or has a character that no path should have");
    }
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err("may not go up with `..`");
        }
        if part.len() > LONGEST_NAME {
            return Err("has a part of more than 255 bytes, which no file system takes");
        }
        if part.eq_ignore_ascii_case(".git") {
            return Err("may not lie in `.git`");
        }
        parts.push(part);
    }
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// Which placeholders a command may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// The words that may stand in braces.
    pub(crate) words: &'static [&'static str],
    /// Why the others may not.
    pub(crate) reason: &'static str,
}

impl Allowed {
    /// All of them.
    pub(crate) const ALL: Self = Self { words: &PLACEHOLDERS, reason: "" };
}

/// Checks a command: it has words, and what stands in braces is a known placeholder.
pub(crate) fn command(
    words: &Placed<Vec<Placed<String>>>,
    allowed: Allowed,
    reader: &mut Reader,
) -> Option<Vec<String>> {
    let argv: Vec<String> = words.value.iter().map(|word| word.value.clone()).collect();
    if argv.first().is_none_or(|program| program.trim().is_empty()) {
        reader.fault(
            words.place,
            "the command is empty",
            Some("write it as a list of words: `[make, all]`".to_owned()),
        );
        return None;
    }
    let mut well = true;
    for word in &words.value {
        for name in placeholders(&word.value) {
            if allowed.words.contains(&name) {
                continue;
            }
            well = false;
            let (message, hint) = if PLACEHOLDERS.contains(&name) {
                (format!("`{{{name}}}` cannot be used here"), Some(allowed.reason.to_owned()))
            } else {
                let near = closest(name, PLACEHOLDERS).map(|near| format!("did you mean `{{{near}}}`?"));
                let known = near.or_else(|| Some("known are `{model}`, `{params}` and `{outputs}`".to_owned()));
                (format!("unknown placeholder `{{{}}}`", shown(name)), known)
            };
            reader.fault(word.place, message, hint);
        }
    }
    well.then_some(argv)
}

/// The plain words in braces: `model` in `{model}/run`. JSON and shell braces are left alone.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        plain.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_and_never_leads_out() {
        assert_eq!(clean("./data//units.csv"), Ok("data/units.csv".to_owned()));
        assert_eq!(clean("."), Ok(".".to_owned()));
        assert_eq!(clean("a/"), Ok("a".to_owned()));
        for path in ["", "/etc/passwd", "../x", "a/../../b", "~/x", "a\\b", "a\nb", ".git/config", "x/.GIT/y"] {
            assert!(clean(path).is_err(), "{path}");
        }
    }

    #[test]
    fn only_plain_words_in_braces_are_placeholders() {
        assert_eq!(placeholders("{model}/a{outputs}").collect::<Vec<_>>(), ["model", "outputs"]);
        assert_eq!(placeholders("{\"a\": 1} {} ${HOME} {1..3} {").count(), 0);
    }
}
