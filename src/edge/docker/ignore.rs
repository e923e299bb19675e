//! `.dockerignore`: which files of a build context stay at home, by the rules that Docker's own client has.

/// The patterns of one `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// Whether what it matches is sent after all: it begins with `!`.
    exception: bool,
    parts: Vec<String>,
}

impl Ignore {
    /// Reads the text of a `.dockerignore`.
    pub(super) fn parse(text: &str) -> Self {
        let pattern = |line: &str| {
            let line = line.trim();
            let (exception, line) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let mut parts: Vec<String> = Vec::new();
            for part in line.split('/') {
                match part {
                    "" | "." => {}
                    ".." => {
                        parts.pop();
                    }
                    part => parts.push(part.to_owned()),
                }
            }
            (!parts.is_empty()).then_some(Pattern { exception, parts })
        };
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#'));
        Self { patterns: lines.filter_map(pattern).collect() }
    }

    /// Whether the file or folder with these parts of a path stays at home. The last pattern that matches it, or a folder
    /// that it lies in, decides.
    pub(super) fn excludes(&self, path: &[&str]) -> bool {
        let matches = |pattern: &Pattern| (1..=path.len()).any(|length| matches(&pattern.parts, &path[..length]));
        self.patterns.iter().rev().find(|pattern| matches(pattern)).is_some_and(|pattern| !pattern.exception)
    }

    /// Whether something below an excluded folder could be sent after all.
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }
}

/// Whether the whole path matches; `**` stands for any number of parts.
fn matches(pattern: &[String], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => {
            // At the end of a pattern it stands for something, elsewhere also for nothing.
            let least = usize::from(rest.is_empty());
            (least..=path.len()).any(|skipped| matches(rest, &path[skipped..]))
        }
        Some((first, rest)) => match path.split_first() {
            Some((name, below)) => {
                let (first, name): (Vec<char>, Vec<char>) = (first.chars().collect(), name.chars().collect());
                name_matches(&first, &name) && matches(rest, below)
            }
            None => false,
        },
    }
}

/// One part of a path against one part of a pattern: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character that means
/// itself. Takes no more than pattern times name, however many stars there are.
fn name_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, read));
            at += 1;
        } else if let Some(next) = one_matches(pattern, at, name[read]) {
            at = next;
            read += 1;
        } else if let Some((star_at, star_read)) = star {
            star = Some((star_at, star_read + 1));
            at = star_at + 1;
            read = star_read + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on after it has matched `c`; none when it does not match.
fn one_matches(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1)? == &c).then_some(at + 2),
        '[' => {
            let end = at + 2 + pattern.get(at + 2..)?.iter().position(|c| *c == ']')?;
            let (negated, class) = match pattern[at + 1] {
                '^' => (true, &pattern[at + 2..end]),
                _ => (false, &pattern[at + 1..end]),
            };
            (class_has(class, c) != negated).then_some(end + 1)
        }
        literal => (*literal == c).then_some(at + 1),
    }
}

fn class_has(class: &[char], c: char) -> bool {
    let mut at = 0;
    while at < class.len() {
        if class.get(at + 1) == Some(&'-') && at + 2 < class.len() {
            if (class[at]..=class[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else if class[at] == c {
            return true;
        } else {
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &str, excluded: &[&str], sent: &[&str]) {
        let ignore = Ignore::parse(patterns);
        let excludes = |path: &&str| ignore.excludes(&path.split('/').collect::<Vec<_>>());
        for path in excluded {
            assert!(excludes(path), "`{path}` is sent in spite of {patterns:?}");
        }
        for path in sent {
            assert!(!excludes(path), "`{path}` is not sent because of {patterns:?}");
        }
    }

    #[test]
    fn patterns_exclude_what_docker_excludes() {
        check("", &[], &["a"]);
        check("# a\n\nsecret", &["secret", "secret/key"], &["a", "x/secret", "secrets"]);
        check("/data/", &["data", "data/x"], &["x/data"]);
        check("*.o", &["a.o", ".o"], &["x/a.o", "a.op"]);
        check("*/temp*", &["a/temp", "a/temporary/b"], &["temp", "a/b/temp"]);
        check("**/*.o", &["a.o", "x/y/a.o"], &["a.c"]);
        check("a/**", &["a/b", "a/b/c"], &["a", "b"]);
        check("a/**/c", &["a/c", "a/b/c", "a/x/y/c/d"], &["a/b"]);
        check("x?.[a-c]", &["xy.b"], &["x.b", "xy.d"]);
        check("[^a]", &["b"], &["a"]);
        check(r"\*", &["*"], &["a"]);
        check("a/../b", &["b"], &["a"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("*.md\n!README.md\nREADME*", &["README.md"], &[]);
        check("*\n!src", &["Makefile"], &["src", "src/a/b"]);
        check("data\n!data/units.csv", &["data/x"], &["data/units.csv"]);
    }

    #[test]
    fn many_stars_take_little_time() {
        let (pattern, name) = ("*a".repeat(200) + "b", "a".repeat(2000));
        check(&pattern, &[], &[name.as_str()]);
    }
}
