//! The files that a step of GitHub Actions leaves for the steps after it, and for the job's page.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Most bytes of one step's summary. GitHub drops a longer one whole.
const MOST_SUMMARY: u64 = 1024 * 1024;

/// What ends a summary that was cut.
const CUT: &str = "\n\n**Cut here: a summary has room for 1 MiB.**\n";

/// Adds `name=value` to the file that `GITHUB_OUTPUT` names. A value of several lines stands between two lines
/// `delimiter`, which nobody can guess.
///
/// # Errors
/// When the name is none, when the value holds the delimiter, and when the file cannot be written.
pub(super) fn add_output(file: &Path, name: &str, value: &str, delimiter: &str) -> Result<()> {
    append(file, &entry(name, value, delimiter)?)
}

fn entry(name: &str, value: &str, delimiter: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    ensure!(!name.is_empty() && name.chars().all(plain), "`{name}` is no name for an output");
    ensure!(!value.contains(delimiter), "the output `{name}` holds the delimiter that was chosen for it");
    ensure!(!value.contains('\0'), "the output `{name}` holds a zero byte");
    if value.contains(['\n', '\r']) {
        return Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"));
    }
    Ok(format!("{name}={value}\n"))
}

/// Adds `markdown` to the file that `GITHUB_STEP_SUMMARY` names, as much as it has room for.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn add_summary(file: &Path, markdown: &str) -> Result<()> {
    let taken = fs_err::metadata(file).map_or(0, |metadata| metadata.len());
    let room = usize::try_from(MOST_SUMMARY.saturating_sub(taken)).unwrap_or(0);
    append(file, &within(markdown, room))
}

fn within(markdown: &str, room: usize) -> String {
    if markdown.len() <= room {
        return markdown.to_owned();
    }
    let Some(most) = room.checked_sub(CUT.len()) else { return String::new() };
    let mut end = most;
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &markdown[..end])
}

fn append(file: &Path, text: &str) -> Result<()> {
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(text.as_bytes()).with_context(|| format!("failed to write `{}`", file.path().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_of_one_line_is_plain_and_one_of_several_is_fenced() {
        assert_eq!(entry("digest", "sha256:ab", "D").unwrap(), "digest=sha256:ab\n");
        assert_eq!(entry("log", "a\nb=c", "D").unwrap(), "log<<D\na\nb=c\nD\n");
        assert_eq!(entry("log", "a\rb", "D").unwrap(), "log<<D\na\rb\nD\n");
    }

    #[test]
    fn no_value_forges_another_output() {
        assert!(entry("a", "x\nD\nversion=evil", "D").unwrap_err().to_string().contains("delimiter"));
        assert!(entry("a=b", "x", "D").is_err() && entry("", "x", "D").is_err() && entry("a\nb", "x", "D").is_err());
        assert!(entry("a", "x\0y", "D").is_err());
    }

    #[test]
    fn a_summary_is_cut_at_a_character_before_github_drops_it_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("summary");
        add_summary(&file, "# begun\n").unwrap();
        add_summary(&file, &"é😀".repeat(300_000)).unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert!(text.len() as u64 <= MOST_SUMMARY && text.len() as u64 > MOST_SUMMARY - 8, "{}", text.len());
        assert!(text.starts_with("# begun\né😀") && text.ends_with(CUT));
        add_summary(&file, "more").unwrap();
        assert_eq!(
            fs_err::read_to_string(&file).unwrap().len(),
            text.len() + if MOST_SUMMARY - text.len() as u64 >= 4 { 4 } else { 0 }
        );
    }
}
