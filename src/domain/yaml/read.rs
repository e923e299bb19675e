//! From the tree to raw records: the shape of a file, with every fault of shape collected.
//!
//! [`record!`] declares a record once; its reader and its JSON Schema both come from that one declaration, so neither
//! can know a key that the other does not. What the values mean is checked later, by those who own them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::tree::{self, Key, Kind, Node, Scalar, Style};
use super::{Exact, Place, Source, did_you_mean, exact, shown};
use crate::domain::diagnostic::{Diagnostic, Faults};

/// Most faults that one reading reports.
const MAX_FAULTS: usize = 200;

/// Collects the faults of one file while it is read.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    faults: Vec<Diagnostic>,
}

impl Reader {
    /// Parses the text and begins to read it.
    pub(crate) fn open(path: &str, text: &str) -> Result<(Self, Node), Faults> {
        let source = Source::new(path, text);
        let (root, faults) = tree::parse(&source)?;
        Ok((Self { source, faults }, root))
    }

    /// Goes on collecting faults in a file that is parsed already.
    pub(crate) fn of(source: Source) -> Self {
        Self { source, faults: Vec::new() }
    }

    /// Parses the text and reads the record that it must hold.
    pub(crate) fn record<T: Read>(path: &str, text: &str) -> Result<(Self, T), Faults> {
        let (mut reader, root) = Self::open(path, text)?;
        match T::read(&root, &mut reader) {
            Some(record) => Ok((reader, record)),
            None => Err(reader.into_faults()),
        }
    }

    /// The file that is read.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Notes a fault at `place`.
    pub(crate) fn fault(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        let fault = self.source.fault(place, message, hint);
        self.note(fault);
    }

    /// Notes a fault that may lie in another file.
    pub(crate) fn note(&mut self, fault: Diagnostic) {
        if self.faults.len() < MAX_FAULTS && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_well(&self) -> bool {
        self.faults.is_empty()
    }

    /// What was read, unless something is wrong.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Faults> {
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            Some(_) | None => Err(self.into_faults()),
        }
    }

    fn into_faults(mut self) -> Faults {
        debug_assert!(!self.faults.is_empty(), "something was not read and no fault says why");
        self.faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Faults(self.faults)
    }
}

/// Something that can be read from a node.
pub(crate) trait Read: Sized {
    /// What it is, for messages: `a text`.
    const EXPECTED: &'static str;

    /// Reads it; none after a fault was noted.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// What stands for it where its key `name` is missing from the mapping at `place`; none after a fault was noted.
    fn absent(name: &str, place: Place, reader: &mut Reader) -> Option<Self> {
        reader.fault(place, format!("`{name}` is missing"), Some(format!("`{name}` must be {}", Self::EXPECTED)));
        None
    }

    /// Notes that `node` is something else.
    fn mismatch(node: &Node, reader: &mut Reader) {
        reader.fault(node.place, format!("expected {}, found {}", Self::EXPECTED, node.what()), None);
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) place: Place,
}

/// A mapping from names that the user chooses, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Key, T)>);

// By hand: a derived one would ask for `T: Default` for no reason.
impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Placed<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(Self { value: T::read(node, reader)?, place: node.place })
    }
}

impl<T: Read> Read for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::read(node, reader).map(Some) }
    }

    fn absent(_name: &str, _place: Place, _reader: &mut Reader) -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Box<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Kind::Sequence(items) = &node.kind else {
            let hint = node.scalar().map(|_| "write a list: `[...]`".to_owned());
            reader.fault(node.place, format!("expected a list, found {}", node.what()), hint);
            return None;
        };
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(item, reader)).collect();
        read.into_iter().collect()
    }
}

impl<T: Read> Read for Entries<T> {
    const EXPECTED: &'static str = "a mapping";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Kind::Mapping(entries) = &node.kind else {
            Self::mismatch(node, reader);
            return None;
        };
        let read: Vec<Option<(Key, T)>> =
            entries.iter().map(|(key, value)| Some((key.clone(), T::read(value, reader)?))).collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }
}

impl Read for String {
    const EXPECTED: &'static str = "a text";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            Self::mismatch(node, reader);
            return None;
        };
        if scalar.text.contains('\0') {
            reader.fault(node.place, "a text may not hold the character NUL", None);
            return None;
        }
        Some(scalar.text.clone())
    }
}

impl Read for Exact {
    const EXPECTED: &'static str = "a number";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(Scalar { text, style }) = node.scalar() else {
            Self::mismatch(node, reader);
            return None;
        };
        if *style != Style::Plain {
            let hint = exact(text).is_ok().then(|| "remove the quotes".to_owned());
            reader.fault(node.place, format!("\"{}\" is text, not a number", shown(text)), hint);
            return None;
        }
        match exact(text) {
            Ok(number) => Some(number),
            Err((message, hint)) => {
                reader.fault(node.place, message, hint);
                None
            }
        }
    }
}

impl Read for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("true", true), ("false", false)])
    }
}

impl Read for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = Exact::read(node, reader)?;
        match number.int().map(Self::try_from) {
            Some(Ok(whole)) => Some(whole),
            Some(Err(_)) | None => {
                reader.fault(node.place, format!("expected a whole number from 0, found {}", node.what()), None);
                None
            }
        }
    }
}

/// Reads one of a few words.
pub(crate) fn read_word<T: Copy>(node: &Node, reader: &mut Reader, words: &[(&'static str, T)]) -> Option<T> {
    let names = words.iter().map(|(name, _)| *name);
    let written = node.scalar().map(|scalar| scalar.text.as_str());
    if let Some((_, value)) = words.iter().find(|(name, _)| Some(*name) == written) {
        return Some(*value);
    }
    let list: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
    let hint = written.and_then(|written| super::closest(written, names)).map(|word| format!("did you mean `{word}`?"));
    reader.fault(node.place, format!("expected {}, found {}", list.join(" or "), node.what()), hint);
    None
}

/// The entries of a record's mapping, its keys checked.
pub(crate) struct Fields<'n> {
    place: Place,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Opens the mapping: every key must be one of `known`; one of `later` is refused by name with its reason.
    pub(crate) fn open(
        node: &'n Node,
        reader: &mut Reader,
        known: &[&'static str],
        later: &[(&'static str, &'static str)],
    ) -> Option<Self> {
        let Kind::Mapping(entries) = &node.kind else {
            let keys: Vec<String> = known.iter().take(4).map(|key| format!("`{key}`")).collect();
            let hint = Some(format!("its keys are {}{}", keys.join(", "), if known.len() > 4 { ", ..." } else { "" }));
            reader.fault(node.place, format!("expected a mapping, found {}", node.what()), hint);
            return None;
        };
        for (key, _) in entries {
            if known.contains(&key.name.as_str()) {
                continue;
            }
            if let Some((name, hint)) = later.iter().find(|(name, _)| *name == key.name) {
                reader.fault(key.place, format!("`{name}` is not part of this release"), Some((*hint).to_owned()));
                continue;
            }
            let hint = did_you_mean(&key.name, known.iter().copied());
            reader.fault(key.place, format!("unknown key `{}`", shown(&key.name)), hint);
        }
        Some(Self { place: node.place, entries })
    }

    /// Reads the value under `name`.
    pub(crate) fn take<T: Read>(&self, name: &'static str, reader: &mut Reader) -> Option<T> {
        match self.entries.iter().find(|(key, _)| key.name == name) {
            Some((_, value)) => T::read(value, reader),
            None => T::absent(name, self.place, reader),
        }
    }
}

/// A field's name as files spell it: the raw identifier's mark removed.
pub(crate) fn spelled(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Declares a record of a file: its keys, their types and their meaning. Optional keys are `Option`s. Keys after `later`
/// belong to the grammar but not to this release.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub(crate) struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty, )*
        }
        $( later { $( $word:literal => $hint:literal, )* } )?
    ) => {
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name {
            $( $(#[$field_meta])* pub(crate) $field: $type, )*
        }

        impl $crate::domain::yaml::Read for $name {
            const EXPECTED: &'static str = "a mapping";

            fn read(
                node: &$crate::domain::yaml::Node,
                reader: &mut $crate::domain::yaml::Reader,
            ) -> Option<Self> {
                let known = [ $( $crate::domain::yaml::spelled(stringify!($field)), )* ];
                let later: &[(&'static str, &'static str)] = &[ $( $( ($word, $hint), )* )? ];
                let fields = $crate::domain::yaml::Fields::open(node, reader, &known, later)?;
                $( let $field = fields.take::<$type>($crate::domain::yaml::spelled(stringify!($field)), reader); )*
                Some(Self { $( $field: $field?, )* })
            }
        }
    };
}
pub(crate) use record;

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MappingTo{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": values })
    }
}

impl JsonSchema for Exact {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "number" })
    }
}
