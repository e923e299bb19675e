//! From YAML text to a tree of nodes that know where they stand.
//!
//! The parser is serde-saphyr's own. What this adds: limits that fit files written by hand, every duplicate key
//! reported and not only the first, and none of YAML's features that surprise (tags, merge keys, several documents).

use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{MAX_TEXT, Place, Source, shown};
use crate::domain::diagnostic::{Diagnostic, Faults};

/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// Most nodes of a file, with every use of an alias counted.
const MAX_NODES: usize = 200_000;

/// Most uses of aliases.
const MAX_ALIASES: usize = 100;

/// One value of a file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands; for a list or mapping under a key, where the key stands.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) kind: Kind,
}

/// The three forms of a value.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A text, number, boolean or nothing; which one, its reader decides.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file, without duplicates.
    Mapping(Vec<(Key, Node)>),
}

/// A scalar as it is written, escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    /// The text.
    pub(crate) text: String,
    /// How it is written.
    pub(crate) style: Style,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: may be a number, a boolean or nothing.
    Plain,
    /// In quotes: always text.
    Quoted,
    /// A literal block (`|`): always text, line by line as it stands.
    Literal,
    /// A folded block (`>`): always text.
    Folded,
}

/// A mapping's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The key.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Node {
    /// The scalar, when the node is one that says something.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) if !self.is_null() => Some(scalar),
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }

    /// Whether the node says nothing: empty, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar(Scalar { text, style: Style::Plain }) => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => false,
        }
    }

    /// What the node is, for messages.
    pub(crate) fn what(&self) -> String {
        match &self.kind {
            Kind::Scalar(_) if self.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) => format!("`{}`", shown(&scalar.text)),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads `source`: its root, and the faults that leave the rest readable.
pub(crate) fn parse(source: &Source) -> Result<(Node, Vec<Diagnostic>), Faults> {
    if source.text().len() > MAX_TEXT {
        let message = format!("the file has {} bytes; at most {MAX_TEXT} are read", source.text().len());
        return Err(Diagnostic::of_file(source.path(), message, None).into());
    }
    let mut options = Options::default();
    options.disallow_directives = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let parser = Parser::new_from_str_with_options(source.text(), options);
    let mut builder = Builder { source, parser, anchors: HashMap::new(), nodes: 0, aliases: 0, faults: Vec::new() };
    let root = builder.document()?;
    Ok((root, builder.faults))
}

struct Builder<'t> {
    source: &'t Source,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliases: usize,
    faults: Vec<Diagnostic>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Diagnostic> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let place = place_of(error.marker(), None);
        let info = error.info().to_lowercase();
        let hint = if info.contains("tab") {
            Some("indent with spaces, never with tabs")
        } else if info.contains("alias") || info.contains("anchor") {
            Some("put a text that begins with `*` or `&` in quotes")
        } else if info.contains("mapping values are not allowed") {
            Some("a text with `: ` in it needs quotes; otherwise check the indentation")
        } else if info.contains("unexpected character") || info.contains("percent") {
            Some("put a text that begins with a special character in quotes")
        } else if info.contains("illegal placement") {
            Some("is a `[` or `{` above this line left open?")
        } else if info.contains("expected key") || info.contains("indentation") {
            Some("check the indentation of this line and the one before it")
        } else {
            None
        };
        self.source.fault(place, format!("not valid YAML: {}", shown(&error.info())), hint.map(str::to_owned))
    }

    fn document(&mut self) -> Result<Node, Diagnostic> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Err(Diagnostic::of_file(self.source.path(), "the file is empty", None));
                }
                first => {
                    let root = self.node(first, span, 0)?;
                    self.end()?;
                    return Ok(root);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(()),
                _ => {
                    let place = place_of(&span.start, None);
                    return Err(self.source.fault(place, "a second document begins here", Some("keep one".to_owned())));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        self.count(1, &span)?;
        let place = place_of(&span.start, Some(&span.end));
        if depth > MAX_DEPTH {
            return Err(self.source.fault(place, format!("nested deeper than {MAX_DEPTH} levels"), None));
        }
        let before = self.nodes;
        let (kind, anchor, tagged) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar { text: text.into_owned(), style: style_of(style) };
                (Kind::Scalar(scalar), anchor, tag.is_some())
            }
            Event::SequenceStart(_, anchor, tag) => (Kind::Sequence(self.items(depth)?), anchor, tag.is_some()),
            Event::MappingStart(_, anchor, tag) => (Kind::Mapping(self.entries(depth)?), anchor, tag.is_some()),
            Event::Alias(anchor) => return self.alias(anchor, &span),
            _ => return Err(self.source.fault(place, "not valid YAML: a value is missing here", None)),
        };
        if tagged {
            let hint = Some("leave the tag away; the declared type decides".to_owned());
            self.faults.push(self.source.fault(place, "YAML tags (`!...`) are not used here", hint));
        }
        let node = Node { place, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Diagnostic> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, u32> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            let place = key.place;
            let Some(name) = self.key_name(&key) else { continue };
            if let Some(first) = lines.get(&name) {
                let hint = format!("it is first written in line {first}; keep one of the two");
                let message = format!("`{}` is written twice", shown(&name));
                self.faults.push(self.source.fault(place, message, Some(hint)));
                continue;
            }
            lines.insert(name.clone(), place.line);
            if !matches!(value.kind, Kind::Scalar(_)) || value.is_null() {
                value.place = place;
            }
            entries.push((Key { name, place }, value));
        }
    }

    fn key_name(&mut self, key: &Node) -> Option<String> {
        match &key.kind {
            Kind::Scalar(Scalar { text, style: Style::Plain }) if text == "<<" => {
                let hint = Some("write the keys out".to_owned());
                self.faults.push(self.source.fault(key.place, "merge keys (`<<`) are not used here", hint));
                None
            }
            Kind::Scalar(scalar) => Some(scalar.text.clone()),
            Kind::Sequence(_) | Kind::Mapping(_) => {
                let hint = Some("put a text with `{` or `[` in quotes".to_owned());
                self.faults.push(self.source.fault(key.place, "a key must be a plain word", hint));
                None
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, Diagnostic> {
        let place = place_of(&span.start, Some(&span.end));
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(self.source.fault(place, format!("more than {MAX_ALIASES} aliases"), None));
        }
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(self.source.fault(place, "this alias stands within the value that it names", None));
        };
        let size = *size;
        self.count(size, span)?;
        Ok(self.anchors[&anchor].0.clone())
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let place = place_of(&span.start, None);
            return Err(self.source.fault(place, format!("more than {MAX_NODES} values in one file"), None));
        }
        Ok(())
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

/// From `start` to `end` when both are on one line, else the character at `start`.
fn place_of(start: &Marker, end: Option<&Marker>) -> Place {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let length = match end {
        Some(end) if end.line() == start.line() => end.col().saturating_sub(start.col()).max(1),
        Some(_) | None => 1,
    };
    Place { line: number(start.line()), column: number(start.col() + 1), length: number(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        match parse(&Source::new("f.yaml", text)) {
            Ok((_, faults)) => Faults(faults).to_string(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn a_scalar_is_kept_as_it_is_written_and_knows_its_place() {
        let (root, faults) = parse(&Source::new("f.yaml", "a: 0777\nb:\n  - 'no'\n  - no # really\n")).unwrap();
        assert!(faults.is_empty());
        let Kind::Mapping(entries) = &root.kind else { panic!("not a mapping") };
        let a = entries[0].1.scalar().unwrap();
        assert_eq!((a.text.as_str(), a.style), ("0777", Style::Plain));
        assert_eq!(entries[0].1.place, Place { line: 1, column: 4, length: 4 });
        let Kind::Sequence(items) = &entries[1].1.kind else { panic!("not a list") };
        assert_eq!(items[0].scalar().unwrap().style, Style::Quoted);
        assert_eq!(items[1].place, Place { line: 4, column: 5, length: 2 });
    }

    #[test]
    fn every_duplicate_key_is_found() {
        insta::assert_snapshot!(faults("a: 1\nb: 2\na: 3\n'b': 4\n"), @r"
        f.yaml:3:1: `a` is written twice (hint: it is first written in line 1; keep one of the two)
        f.yaml:4:1: `b` is written twice (hint: it is first written in line 2; keep one of the two)
        ");
    }

    #[test]
    fn what_surprises_is_refused() {
        insta::assert_snapshot!(faults("a: !!python/object 1\n"), @"f.yaml:1:20: YAML tags (`!...`) are not used here (hint: leave the tag away; the declared type decides)");
        insta::assert_snapshot!(faults("a: &x {b: 1}\nc:\n  <<: *x\n"), @"f.yaml:3:3: merge keys (`<<`) are not used here (hint: write the keys out)");
        insta::assert_snapshot!(faults("a: 1\n---\nb: 2\n"), @"f.yaml:2:1: a second document begins here (hint: keep one)");
        insta::assert_snapshot!(faults("%YAML 1.1\n---\na: 1\n"), @"f.yaml:1:1: not valid YAML: YAML directives are disallowed");
        insta::assert_snapshot!(faults("# nothing\n"), @"f.yaml: the file is empty");
        insta::assert_snapshot!(faults("{a: 1}: 2\n"), @"f.yaml:1:1: a key must be a plain word (hint: put a text with `{` or `[` in quotes)");
        insta::assert_snapshot!(faults("a: &x [*x]\n"), @"f.yaml:1:8: this alias stands within the value that it names");
    }

    #[test]
    fn broken_yaml_says_where() {
        insta::assert_snapshot!(faults("a: b: c\n"), @"f.yaml:1:5: not valid YAML: mapping values are not allowed in this context (hint: a text with `: ` in it needs quotes; otherwise check the indentation)");
        insta::assert_snapshot!(faults("a:\n\t- b\n"), @"f.yaml:2:2: not valid YAML: tabs disallowed within this context (block indentation) (hint: indent with spaces, never with tabs)");
        insta::assert_snapshot!(faults("a: [1, 2\nb: 3\n"), @"f.yaml:2:2: not valid YAML: illegal placement of ':' indicator (hint: is a `[` or `{` above this line left open?)");
        insta::assert_snapshot!(faults("a: *nowhere\n"), @"f.yaml:1:4: not valid YAML: while parsing node, found unknown anchor (hint: put a text that begins with `*` or `&` in quotes)");
        insta::assert_snapshot!(faults("a: @home\n"), @"f.yaml:1:4: not valid YAML: unexpected character: '@' (hint: put a text that begins with a special character in quotes)");
        insta::assert_snapshot!(faults("a: 'x\n"), @"f.yaml:2:1: not valid YAML: invalid indentation in multiline quoted scalar (hint: check the indentation of this line and the one before it)");
        insta::assert_snapshot!(faults("a:\n    b: 1\n  c: 2\n"), @"f.yaml:3:3: not valid YAML: while parsing a block mapping, did not find expected key (hint: check the indentation of this line and the one before it)");
    }

    #[test]
    fn a_small_file_cannot_become_a_large_tree() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
        }
        insta::assert_snapshot!(faults(&bomb), @"f.yaml:6:10: more than 200000 values in one file");
        insta::assert_snapshot!(faults(&"[".repeat(10_000)), @"f.yaml:1:33: not valid YAML: recursion limit exceeded");
        insta::assert_snapshot!(faults(&"- ".repeat(10_000)), @"f.yaml:1:65: not valid YAML: recursion limit exceeded");
        insta::assert_snapshot!(faults(&"x".repeat(MAX_TEXT + 1)), @"f.yaml: the file has 1048577 bytes; at most 1048576 are read");
        insta::assert_snapshot!(faults(&format!("[{}]", "1,".repeat(MAX_NODES + 1))), @"f.yaml:1:400000: more than 200000 values in one file");
        let keys: String = (0..=MAX_NODES / 2).map(|key| format!("{key}: \n")).collect();
        insta::assert_snapshot!(faults(&keys), @"f.yaml:100000:6: more than 200000 values in one file");
    }
}
