//! What a Dockerfile says of how its image is started. Nothing is executed or fetched.

/// The last stage of a Dockerfile.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// The image that it begins with.
    pub(super) from: String,
    /// `ENTRYPOINT`, as words.
    pub(super) entrypoint: Vec<String>,
    /// `CMD`, as words.
    pub(super) command: Vec<String>,
    /// `WORKDIR`, absolute; empty when there is none.
    pub(super) workdir: String,
}

/// Reads the last stage of a Dockerfile, which is what its image is made of.
pub(super) fn read(text: &str) -> Stage {
    let mut stage = Stage::default();
    for line in instructions(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line.as_str(), ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "FROM" => {
                let image = rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
                stage = Stage { from: image.to_owned(), ..Stage::default() };
            }
            "ENTRYPOINT" => stage.entrypoint = words(rest),
            "CMD" => stage.command = words(rest),
            "WORKDIR" if rest.starts_with('/') => rest.trim_end_matches('/').clone_into(&mut stage.workdir),
            "WORKDIR" => stage.workdir = format!("{}/{}", stage.workdir, rest.trim_end_matches('/')),
            _ => {}
        }
    }
    stage
}

/// The instructions, one a line: comments left out, continued lines joined.
fn instructions(text: &str) -> Vec<String> {
    let escape = text
        .lines()
        .map_while(|line| line.trim().strip_prefix('#'))
        .find_map(|line| line.trim().strip_prefix("escape=")?.chars().next())
        .unwrap_or('\\');
    let mut all = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix(escape) {
            Some(part) => {
                open.push_str(part);
                open.push(' ');
            }
            None => all.push(std::mem::take(&mut open) + line),
        }
    }
    if !open.is_empty() {
        all.push(open);
    }
    all
}

/// The words of a command in either form: `["a", "b"]`, or a line for a shell.
fn words(text: &str) -> Vec<String> {
    if let Ok(words) = serde_json::from_str::<Vec<String>>(text) {
        return words;
    }
    match shell_words(text) {
        Some(words) => words,
        None => vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()],
    }
}

/// The words of a line that needs no shell; none when it does.
pub(super) fn shell_words(text: &str) -> Option<Vec<String>> {
    let text = text.strip_prefix("exec ").unwrap_or(text);
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '$' | '`' | '\\') => return None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '\\' | '*' | '?' | '#' | '~') => return None,
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (quote.is_none() && !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn both_forms_of_a_command_are_read_from_the_last_stage() {
        let stage = read(
            "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 gcc AS build\nENTRYPOINT [\"gcc\"]\n\
             from python:3.12-slim\nWORKDIR /app\nworkdir src/\nRUN pip install \\\n  # a comment\n  numpy\n\
             ENTRYPOINT [\"python\", \"model.py\"]\nCMD --rate '0.1 or so' \\\n  out\n",
        );
        assert_eq!(stage.from, "python:3.12-slim");
        assert_eq!(stage.workdir, "/app/src");
        assert_eq!(stage.entrypoint, list(&["python", "model.py"]));
        assert_eq!(stage.command, list(&["--rate", "0.1 or so", "out"]));
    }

    #[test]
    fn a_line_that_needs_a_shell_keeps_one() {
        let stage = read("FROM x\nENTRYPOINT exec ./run \"$HOME\" > log\nCMD exec ./run in.csv\n");
        assert_eq!(stage.entrypoint, list(&["sh", "-c", "exec ./run \"$HOME\" > log"]));
        assert_eq!(stage.command, list(&["./run", "in.csv"]));
        assert_eq!(read(""), Stage::default());
        assert_eq!(
            read("FROM x\nCMD 'open"),
            Stage { from: "x".into(), command: list(&["sh", "-c", "'open"]), ..Stage::default() }
        );
    }
}
