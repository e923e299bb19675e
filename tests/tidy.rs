//! A line knows its room: this test reads the source and fails on a line that stands in the wrong place.
//!
//! The rules are those of `ARCHITECTURE.md`. Comments and texts do not count, only code.

#![expect(clippy::unwrap_used, reason = "a test may stop where something is not as it should be")]

use std::fmt;
use std::path::Path;

/// Crates that belong to one room, and the paths under which they may be named. A name ending in `*` is a beginning.
const CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["src/store/"]),
    ("warp", &["src/server/"]),
    ("git2", &["src/edge/source"]),
    ("octocrab", &["src/edge/forge/"]),
    ("aws_*", &["src/edge/"]),
    ("bollard", &["src/edge/"]),
    ("kube", &["src/edge/"]),
    ("k8s_openapi", &["src/edge/"]),
    ("reqwest", &["src/edge/", "src/cli/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/"]),
    ("indicatif", &["src/cli/"]),
    ("comfy_table", &["src/cli/"]),
    ("arrow_*", &["src/analysis/"]),
    ("parquet", &["src/analysis/"]),
    ("tracing_subscriber", &["src/telemetry.rs"]),
];

/// What `domain/` may not name: everything that does I/O, waits, or belongs to the outside.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures_util",
    "fs_err",
    "rustix",
    "tempfile",
    "tracing",
    "uuid",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::mpsc",
    "std::sync::atomic",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Which rooms a room may use besides itself. Files that stand in no room come after.
const IMPORTS: &[(&str, &[&str])] = &[
    ("src/domain/", &[]),
    ("src/runner/", &["domain"]),
    ("src/store/", &["domain"]),
    ("src/analysis/", &["domain"]),
    ("src/edge/", &["domain", "runner"]),
    ("src/engine/", &["domain", "runner", "store", "edge", "analysis", "settings"]),
    ("src/server/", &["domain", "runner", "store", "edge", "analysis", "settings", "engine"]),
    ("src/cli/", &["domain", "runner", "store", "edge", "analysis", "settings", "engine", "server", "telemetry"]),
    ("src/settings/", &["domain", "telemetry"]),
    ("src/telemetry.rs", &[]),
    ("src/bin/modelship-runner.rs", &["domain", "runner"]),
];

const ROOMS: &[&str] =
    &["domain", "runner", "store", "edge", "analysis", "engine", "server", "cli", "settings", "telemetry"];

/// Paths that only some places may name: the end of the path, and those places.
const PLACES: &[(&[&str], &[&str], &str)] = &[
    (&["SystemTime", "now"], CLOCKS, "asks the time"),
    (&["Instant", "now"], CLOCKS, "asks the time"),
    (&["Utc", "now"], CLOCKS, "asks the time"),
    (&["Local", "now"], CLOCKS, "asks the time"),
    (&["time", "sleep"], CLOCKS, "sleeps"),
    (&["time", "sleep_until"], CLOCKS, "sleeps"),
    (&["time", "interval"], CLOCKS, "sleeps"),
    (&["thread", "sleep"], CLOCKS, "sleeps"),
    (&["Uuid", "new_v4"], IDS, "makes an id"),
    (&["Uuid", "now_v7"], IDS, "makes an id"),
];

/// The engine decides when; the others supervise processes or connections, show progress, or stand in for a whole forge.
const CLOCKS: &[&str] = &[
    "src/engine/",
    "src/runner/",
    "src/edge/executor/",
    "src/edge/builder/",
    "src/edge/source/remote.rs",
    "src/edge/forge/github/",
    "src/edge/forge/local",
    "src/server/connections",
    "src/cli/",
];

const IDS: &[&str] = &["src/engine/", "src/edge/forge/local"];

/// Who reads the environment; programs read their own arguments, and tests are told where the throw-away server is.
const ENVIRONMENT: &[&str] = &["src/settings/", "src/main.rs", "src/bin/", "src/store/tests/"];

/// Names under which anything could hide.
const VAGUE: &[&str] = &["utils", "util", "common", "helpers", "helper", "prelude", "misc"];

/// How long may a file be?
const MOST_LINES: usize = 600;

/// A line in the wrong place.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[test]
fn every_line_is_in_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    assert!(files.len() > 30, "the source was not found");
    let mut offences = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        offences.extend(check(&name, &fs_err::read_to_string(&file).unwrap()));
    }
    let list: Vec<_> = offences.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} lines are in the wrong place:\n{}", list.len(), list.join("\n"));
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every offence in one file.
fn check(file: &str, source: &str) -> Vec<Offence> {
    let tokens = tokens(source);
    let mut found: Vec<(usize, String)> = Vec::new();
    let lines = source.lines().count();
    if lines > MOST_LINES {
        found.push((lines, format!("the file has {lines} lines; {MOST_LINES} are the most")));
    }
    for part in file.trim_end_matches(".rs").split('/') {
        if VAGUE.contains(&part) {
            found.push((1, format!("`{part}` says nothing about what is inside")));
        }
    }
    let tests = first_line_of_tests(file, &tokens);
    for path in paths(&tokens) {
        let always = [wrong_crate, wrong_import, wrong_environment];
        let outside_tests = [wrong_place, wrong_file_system, impure];
        let rules = always.iter().chain(outside_tests.iter().filter(|_| path.line < tests));
        found.extend(rules.filter_map(|rule| rule(file, &path.names)).map(|what| (path.line, what)));
    }
    found.extend(wrong_tokens(file, &tokens));
    found.sort();
    found.dedup();
    found.into_iter().map(|(line, what)| Offence { file: file.to_owned(), line, what }).collect()
}

fn within(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file.starts_with(place))
}

fn wrong_crate(file: &str, path: &[String]) -> Option<String> {
    let named = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => path[0].starts_with(start),
        None => path[0] == pattern,
    };
    let (_, places) = CRATES.iter().find(|(pattern, _)| named(pattern))?;
    (!within(file, places)).then(|| format!("`{}` belongs to {}", path[0], places.join(", ")))
}

fn wrong_place(file: &str, path: &[String]) -> Option<String> {
    let (end, places, does) = PLACES.iter().find(|(end, ..)| path.ends_with(&end.map_strings()))?;
    (!within(file, places)).then(|| format!("`{}` {does}; that belongs to {}", end.join("::"), places.join(", ")))
}

fn wrong_import(file: &str, path: &[String]) -> Option<String> {
    let (start, allowed) = IMPORTS.iter().find(|(start, _)| file.starts_with(start))?;
    let own = start.trim_start_matches("src/").trim_end_matches(['/']).trim_end_matches(".rs");
    let room = room(file, path)?;
    let fine = room == own || allowed.contains(&room);
    (!fine).then(|| format!("{start} may not use `{room}`; imports run one way"))
}

/// The room that a path leads into from the top of the crate, when it does.
fn room<'a>(file: &str, path: &'a [String]) -> Option<&'a str> {
    let module = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = module.split('/').count();
    let above = path.iter().take_while(|name| *name == "super").count();
    let at = match path[0].as_str() {
        "crate" | "modelship" => 1,
        "super" if above == depth => above,
        _ => return None,
    };
    path.get(at).map(String::as_str).filter(|name| ROOMS.contains(name))
}

fn wrong_environment(file: &str, path: &[String]) -> Option<String> {
    let environment = path.starts_with(&["std", "env"].map_strings());
    (environment && !within(file, ENVIRONMENT)).then(|| "only src/settings/ reads the environment".to_owned())
}

fn wrong_file_system(_: &str, path: &[String]) -> Option<String> {
    let plain_types = ["Permissions", "Metadata", "FileType"];
    let plain = path.get(2).is_some_and(|name| plain_types.contains(&name.as_str()));
    (path.starts_with(&["std", "fs"].map_strings()) && !plain)
        .then(|| "`std::fs` names no file in its errors; use `fs_err`".to_owned())
}

fn impure(file: &str, path: &[String]) -> Option<String> {
    let whole = path.join("::");
    let outside = |name: &&&str| whole == **name || whole.starts_with(&format!("{name}::"));
    let name = IMPURE.iter().find(outside).filter(|_| file.starts_with("src/domain/"))?;
    Some(format!("`{name}` in `domain/`, which is pure"))
}

/// Offences that are no paths.
fn wrong_tokens(file: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let follows = |texts: &[&str]| {
            let next = tokens[at + 1..].iter().map(|token| token.text.as_str());
            next.take(texts.len()).eq(texts.iter().copied())
        };
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        match token.text.as_str() {
            "todo" | "unimplemented" if follows(&["!"]) => {
                found.push((token.line, format!("`{}!` is not an answer", token.text)));
            }
            "allow" if before == "[" && follows(&["("]) => {
                found.push((token.line, "use `#[expect(.., reason = \"..\")]` instead of `#[allow(..)]`".to_owned()));
            }
            "async" | "await" if file.starts_with("src/domain/") => {
                found.push((token.line, format!("`{}` in `domain/`, which is pure", token.text)));
            }
            "cfg" | "cfg_attr" if names_test(&tokens[at + 1..]) && !begins_tests(&tokens[at + 1..]) => {
                found.push((token.line, "only `mod tests` may be there for tests alone".to_owned()));
            }
            _ => {}
        }
    }
    found
}

/// Where the unit tests of a file begin; they may wait for something with a deadline, and set scenes by any means.
fn first_line_of_tests(file: &str, tokens: &[Token]) -> usize {
    if file.ends_with("/tests.rs") || file.contains("/tests/") {
        return 0;
    }
    let begin = |at: &usize| tokens[*at].text == "cfg" && begins_tests(&tokens[at + 1..]);
    (0..tokens.len()).find(begin).map_or(usize::MAX, |at| tokens[at].line)
}

/// Whether these tokens, which follow `cfg`, begin a test module.
fn begins_tests(tokens: &[Token]) -> bool {
    let texts: Vec<_> = tokens.iter().take(10).map(|token| token.text.as_str()).collect();
    let module = texts.strip_prefix(["(", "test", ")", "]"].as_slice()).unwrap_or_default();
    let module = module.strip_prefix(["pub", "(", "crate", ")"].as_slice()).unwrap_or(module);
    module.starts_with(&["mod", "tests"])
}

/// Whether the parenthesis that begins here names `test`.
fn names_test(tokens: &[Token]) -> bool {
    let mut depth = 0;
    for token in tokens {
        match token.text.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            "test" => return true,
            "!" if depth == 0 => {}
            _ if depth == 0 => return false,
            _ => {}
        }
        if depth == 0 && token.text == ")" {
            return false;
        }
    }
    false
}

/// A name or a mark, and its line.
#[derive(Debug, Clone)]
struct Token {
    text: String,
    line: usize,
}

/// Names and marks of the source, `::` as one; comments, texts and characters are left out.
fn tokens(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| characters.get(at + i) == Some(&c));
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < characters.len() {
        let character = characters[at];
        let end = if starts(at, "//") {
            at + characters[at..].iter().take_while(|c| **c != '\n').count()
        } else if starts(at, "/*") {
            end_of_comment(&characters, at)
        } else if let Some(hashes) = raw_text(&characters, at) {
            let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let open = at + characters[at..].iter().take_while(|c| **c != '"').count() + 1;
            (open..characters.len()).find(|end| starts(*end, &close)).map_or(characters.len(), |end| end + close.len())
        } else if character == '"' {
            end_of_text(&characters, at, '"')
        } else if character == '\'' {
            // A character, or a lifetime: that one has no second quote right after its first character.
            let escaped = characters.get(at + 1) == Some(&'\\');
            if escaped || characters.get(at + 2) == Some(&'\'') { end_of_text(&characters, at, '\'') } else { at + 1 }
        } else if character.is_alphanumeric() || character == '_' {
            let end = at + characters[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            tokens.push(Token { text: characters[at..end].iter().collect(), line });
            end
        } else if starts(at, "::") {
            tokens.push(Token { text: "::".to_owned(), line });
            at + 2
        } else {
            if !character.is_whitespace() {
                tokens.push(Token { text: character.to_string(), line });
            }
            at + 1
        };
        line += characters[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// How many `#` a raw text that begins here has; nothing when none begins.
fn raw_text(characters: &[char], at: usize) -> Option<usize> {
    let inside_a_name = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    let skip = match (characters[at], characters.get(at + 1)) {
        ('r', _) => 1,
        ('b' | 'c', Some('r')) => 2,
        _ => return None,
    };
    let hashes = characters[at + skip..].iter().take_while(|c| **c == '#').count();
    (!inside_a_name && characters.get(at + skip + hashes) == Some(&'"')).then_some(hashes)
}

fn end_of_comment(characters: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at + 1 < characters.len() {
        match (characters[at], characters[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    characters.len()
}

fn end_of_text(characters: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < characters.len() && characters[at] != quote {
        at += if characters[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(characters.len())
}

/// A path as written out, and its line.
struct NamedPath {
    names: Vec<String>,
    line: usize,
}

/// Every path with at least two names, and every single name after `use`; groups are written out.
fn paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let import = tokens[at].text == "use";
        let start = at + usize::from(import);
        let begins = tokens.get(start).is_some_and(is_name) && (start == 0 || tokens[start - 1].text != "::");
        if begins && (import || tokens.get(start + 1).is_some_and(|token| token.text == "::")) {
            at = tree(tokens, start, &[], &mut paths).max(start + 1);
        } else {
            at += 1;
        }
    }
    paths
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path after `prefix`, with the groups in it, and returns where it ends.
fn tree(tokens: &[Token], start: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut names = prefix.to_vec();
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        if is_name(token) {
            names.push(token.text.clone());
            at += 1;
        } else if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                at = tree(tokens, at, &names, paths).max(at + 1);
            }
            return at + 1;
        } else {
            break;
        }
        match tokens.get(at) {
            Some(token) if token.text == "::" => at += 1,
            _ => break,
        }
    }
    if names.len() > prefix.len() {
        paths.push(NamedPath { names, line: tokens[start].line });
    }
    at
}

/// Owned names, to compare with those of a path.
trait Names {
    fn map_strings(&self) -> Vec<String>;
}

impl Names for [&str] {
    fn map_strings(&self) -> Vec<String> {
        self.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// What is said about a file with this content, without the places.
fn said(file: &str, source: &str) -> Vec<String> {
    check(file, source).into_iter().map(|offence| offence.what).collect()
}

#[test]
fn a_line_in_the_wrong_room_is_found() {
    for (file, source, part) in [
        ("src/engine/mod.rs", "use sqlx::Row;", "`sqlx` belongs to src/store/"),
        ("src/engine/mod.rs", "use {std::fmt, sqlx::Row};", "`sqlx`"),
        ("src/engine/mod.rs", "fn f() -> sqlx::Result<()> {}", "`sqlx`"),
        ("src/cli/serve.rs", "use warp::Filter;", "`warp`"),
        ("src/edge/images.rs", "let r = git2::Repository::open(p);", "`git2`"),
        ("src/engine/mod.rs", "#[derive(clap::Parser)] struct A;", "`clap`"),
        ("src/server/mod.rs", "use aws_sdk_s3::Client;", "`aws_sdk_s3`"),
        ("src/engine/mod.rs", "use arrow_array::RecordBatch;", "`arrow_array`"),
        ("src/domain/build.rs", "use tokio::fs;", "which is pure"),
        ("src/domain/build.rs", "async fn f() {}", "which is pure"),
        ("src/domain/build.rs", "use std::{fmt, fs::File};", "which is pure"),
        ("src/domain/build.rs", "let x = std::process::Command::new(p);", "which is pure"),
        ("src/domain/build.rs", "use crate::store::Store;", "src/domain/ may not use `store`"),
        ("src/domain/build.rs", "use super::super::store::Store;", "may not use `store`"),
        ("src/domain/mod.rs", "use super::engine::Engine;", "may not use `engine`"),
        ("src/edge/source.rs", "use crate::{domain::ids::Time, store::Store};", "may not use `store`"),
        ("src/edge/source.rs", "use crate::{\n    domain,\n    engine::{Clock, perform},\n};", "may not use `engine`"),
        ("src/store/mod.rs", "let x = crate::edge::source::open();", "may not use `edge`"),
        ("src/analysis/mod.rs", "use crate::edge::artifacts;", "may not use `edge`"),
        ("src/server/mod.rs", "use crate::cli::Cli;", "may not use `cli`"),
        ("src/bin/modelship-runner.rs", "use modelship::engine;", "may not use `engine`"),
        ("src/engine/mod.rs", "let home = std::env::var(name);", "reads the environment"),
        ("src/cli/mod.rs", "use std::{env, fmt};", "reads the environment"),
        ("src/store/mod.rs", "let now = SystemTime::now();", "asks the time"),
        ("src/server/api.rs", "let t = std::time::Instant::now();", "asks the time"),
        ("src/domain/policy.rs", "let t = chrono::Utc::now();", "asks the time"),
        ("src/edge/source.rs", "tokio::time::sleep(d).await;", "sleeps"),
        ("src/server/mod.rs", "use tokio::time::{sleep, timeout};", "sleeps"),
        ("src/store/mod.rs", "let id = uuid::Uuid::new_v4();", "makes an id"),
        ("src/engine/mod.rs", "use std::fs;", "use `fs_err`"),
        ("src/engine/mod.rs", "#[cfg(test)]\nfn fake() {}", "only `mod tests`"),
        ("src/engine/mod.rs", "#[cfg(not(test))]\nmod tests {}", "only `mod tests`"),
        ("src/engine/mod.rs", "#[cfg(all(test, unix))] mod tests {}", "only `mod tests`"),
        ("src/engine/mod.rs", "if cfg!(test) { return; }", "only `mod tests`"),
        ("src/domain/build.rs", "#[cfg(test)] mod tests { use crate::engine; }", "may not use `engine`"),
        ("src/domain/build.rs", "use std::sync::{Arc, Mutex};", "which is pure"),
        ("src/store/mod.rs", "#[cfg(test)] fn tests() { sleep() }", "only `mod tests`"),
        ("src/engine/mod.rs", "#[allow(dead_code)] fn f() {}", "#[expect("),
        ("src/engine/mod.rs", "#![allow(dead_code)]", "#[expect("),
        ("src/engine/mod.rs", "fn f() { todo!() }", "`todo!`"),
        ("src/engine/mod.rs", "fn f() { unimplemented!(\"later\") }", "`unimplemented!`"),
        ("src/engine/utils.rs", "", "`utils` says nothing"),
        ("src/store/helpers/mod.rs", "", "`helpers` says nothing"),
    ] {
        let said = said(file, source);
        assert!(said.iter().any(|what| what.contains(part)), "{file}: {source}\nexpected {part}, got {said:?}");
    }
}

#[test]
fn a_line_in_its_room_is_left_alone() {
    for (file, source) in [
        ("src/store/mod.rs", "use sqlx::Row; use crate::domain::ids::Time; use super::store::row;"),
        ("src/edge/forge/local.rs", "use crate::runner::run; let t = SystemTime::now();"),
        ("src/edge/source.rs", "use git2::Repository;"),
        ("src/engine/mod.rs", "use crate::{domain::ids, store::Store, edge}; let t = Instant::now();"),
        ("src/engine/mod.rs", "// use sqlx::Row; todo!()\n/* sqlx::Row /* warp::x */ clap::y */ fn f() {}"),
        ("src/engine/mod.rs", "let s = \"use sqlx::Row; \\\" std::env::var\"; let r = r#\"\"std::env::var\"\"#;"),
        ("src/engine/mod.rs", "fn f<'a>(x: &'a str, c: char) { if c == '\"' || c == '\\'' { sqlx_like(x) } }"),
        ("src/engine/mod.rs", "#[cfg(test)]\nmod tests { use super::*; }"),
        ("src/store/mod.rs", "#[cfg(test)] pub(crate) mod tests { fn f() { std::thread::sleep(d) } }"),
        ("src/edge/source/tests.rs", "std::fs::write(p, t); let end = Instant::now() + wait;"),
        ("src/domain/yaml/mod.rs", "use std::sync::{Arc, LazyLock};"),
        ("src/engine/mod.rs", "#[cfg(unix)] fn f() {}  #[tokio::test] async fn g() {}"),
        ("src/engine/mod.rs", "let version = env!(\"CARGO_PKG_VERSION\"); self.sleep(); allow(x);"),
        ("src/settings/environment.rs", "let value = std::env::var(name);"),
        ("src/main.rs", "fn main() { modelship::cli::main(std::env::args_os()) }"),
        ("src/runner/mod.rs", "let mode = std::fs::Permissions::from_mode(0o755);"),
        ("src/domain/pull.rs", "use super::ids::Time; let gap = std::time::Duration::ZERO; fn asynchronous() {}"),
        ("src/cli/commands.rs", "use crate::server; use clap::Parser;"),
    ] {
        assert_eq!(said(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(said("src/engine/mod.rs", &"\n".repeat(600)), Vec::<String>::new());
    assert_eq!(said("src/engine/mod.rs", &"\n".repeat(601)), ["the file has 601 lines; 600 are the most"]);
}

#[test]
fn an_offence_names_its_line() {
    let source = "//! Text.\n\nfn f() {\n    let s = \"two\nlines\";\n    sqlx::query(s);\n}\n";
    let found = check("src/engine/mod.rs", source);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["src/engine/mod.rs:6: `sqlx` belongs to src/store/"]
    );
}
