//! What a script says of the arguments that it takes: options of argparse, click, optparse and Julia's `ArgParse`, places in
//! `sys.argv` or `commandArgs`, variables of the environment. Read as text; nothing is executed.

use super::values::{Parameter, is_name, literal};

/// What a script takes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Arguments {
    /// Options with a value that can be parameters: `--RATE=0.1`.
    pub(super) options: Vec<Parameter>,
    /// Options whose names say that they are a parameter file or a place for outputs, with their role.
    pub(super) paths: Vec<(String, Role)>,
    /// Words without an option, in their order.
    pub(super) positional: Vec<(String, Role)>,
    /// Variables of the environment that it reads.
    pub(super) variables: Vec<Parameter>,
    /// Options that no parameter can stand for, with the reason.
    pub(super) left_out: Vec<(String, &'static str)>,
}

/// What a word on the command line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The parameter file.
    Parameters,
    /// Where outputs go.
    Outputs,
    /// Nobody can tell.
    Unknown,
}

impl Role {
    /// What a name says.
    pub(super) fn of(name: &str) -> Self {
        let name = name.trim_start_matches('-').to_ascii_lowercase();
        let mut words = name.split(['_', '-', '.']);
        let has = |word: &str| ["param", "parameter", "config", "setting"].iter().any(|known| word.starts_with(known));
        let out = |word: &str| ["out", "result", "dest"].iter().any(|known| word.starts_with(known));
        match words.find_map(|word| if out(word) { Some(Self::Outputs) } else { has(word).then_some(Self::Parameters) })
        {
            Some(role) => role,
            None if matches!(name.as_str(), "input" | "inputs" | "infile" | "input_file" | "in") => Self::Parameters,
            None => Self::Unknown,
        }
    }
}

/// Reads the text of a script whose file has this ending.
pub(super) fn read(ending: &str, text: &str) -> Arguments {
    let mut found = Arguments::default();
    let without_comments: String =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    let text = without_comments.as_str();
    match ending {
        "py" => {
            for call in calls(text, "add_argument").chain(calls(text, "click.option")) {
                found.declare(&call);
            }
            for name in ["os.environ.get", "os.getenv", "environ.get", "getenv"] {
                found.read_variables(calls(text, name));
            }
            found.read_variables(between(text, "os.environ[", ']'));
            if found.options.is_empty() && found.paths.is_empty() && found.positional.is_empty() {
                found.positional = places(text);
            }
        }
        "R" | "r" => {
            for call in calls(text, "make_option").chain(calls(text, "add_argument")) {
                found.declare(&call);
            }
            found.read_variables(calls(text, "Sys.getenv"));
            if text.contains("commandArgs") && found.options.is_empty() && found.paths.is_empty() {
                found.positional = vec![("params".to_owned(), Role::Parameters), ("outputs".to_owned(), Role::Outputs)];
            }
        }
        "jl" => {
            for call in julia_options(text) {
                found.declare(&call);
            }
            found.read_variables(between(text, "ENV[", ']'));
            if text.contains("ARGS[") && found.options.is_empty() && found.paths.is_empty() {
                found.positional = vec![("params".to_owned(), Role::Parameters), ("outputs".to_owned(), Role::Outputs)];
            }
        }
        _ => {}
    }
    found
}

impl Arguments {
    /// Takes one declaration: the words in the parentheses of a call.
    fn declare(&mut self, call: &[String]) {
        let names: Vec<String> =
            call.iter().filter(|part| key_of(part).is_none()).flat_map(|part| quoted(part)).collect();
        let value = |key: &str| {
            call.iter().find_map(|part| key_of(part).filter(|(own, _)| *own == key).map(|(_, value)| value))
        };
        let Some(name) = names.iter().find(|name| name.starts_with("--")).or(names.first()) else { return };
        if !name.starts_with('-') {
            self.positional.push((name.clone(), Role::of(name)));
            return;
        }
        if names.iter().any(|name| name == "-h" || name == "--help" || name == "--version") {
            return;
        }
        let role = Role::of(name);
        if role != Role::Unknown {
            self.paths.push((name.clone(), role));
            return;
        }
        if value("action").is_some_and(|action| action.contains("store_") || action.contains("count"))
            || value("is_flag").is_some_and(|flag| flag == "True")
        {
            self.left_out.push((name.clone(), "is a switch, which takes no value"));
            return;
        }
        let bare = name.trim_start_matches('-');
        if !name.starts_with("--") || !is_name(bare) {
            self.left_out.push((name.clone(), "is no name that a parameter can have: letters, digits and `_`"));
            return;
        }
        let default = value("default").filter(|text| !matches!(*text, "None" | "NULL" | "nothing"));
        let kind = value("type").or_else(|| value("arg_type")).and_then(kind_of);
        let default = default.map(literal).map(|value| match (kind, &value) {
            (Some("float"), serde_json::Value::Number(number)) => {
                number.as_f64().map_or(value, serde_json::Value::from)
            }
            _ => value,
        });
        let choices = value("choices").map(literal).and_then(|value| value.as_array().cloned()).unwrap_or_default();
        let description = value("help").map(|text| quoted(text).join("")).unwrap_or_default();
        self.options.push(Parameter { name: bare.to_owned(), default, kind, choices, description });
    }

    /// Takes variables of the environment: a name, perhaps a default.
    fn read_variables(&mut self, calls: impl Iterator<Item = Vec<String>>) {
        for call in calls {
            let Some(name) = call.first().and_then(|first| quoted(first).into_iter().next()) else { continue };
            let known = |name: &str| self.variables.iter().any(|variable| variable.name == name);
            let of_the_system =
                ["PATH", "HOME", "USER", "TMPDIR", "LANG", "PYTHONPATH", "SHELL", "PWD"].contains(&name.as_str());
            if !is_name(&name)
                || known(&name)
                || of_the_system
                || name.starts_with("MODELSHIP_")
                || name.ends_with("_DIR")
            {
                continue;
            }
            // A variable is text; what its default looks like is what it means.
            let default = call.get(1).map(|text| match literal(text) {
                serde_json::Value::String(text) => literal(&text),
                value => value,
            });
            self.variables.push(Parameter { default, ..Parameter::with_default(&name, serde_json::Value::Null) });
        }
    }
}

/// What a declared type is called in a manifest.
fn kind_of(text: &str) -> Option<&'static str> {
    match text.trim_matches(['"', '\'']) {
        "float" | "double" | "numeric" | "Float64" | "np.float64" => Some("float"),
        "int" | "integer" | "Int" | "Int64" => Some("int"),
        "bool" | "logical" | "Bool" => Some("bool"),
        "str" | "character" | "String" => Some("string"),
        _ => None,
    }
}

/// The arguments of every call of `name`, split at the commas.
fn calls<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Vec<String>> + 'a {
    let starts = text.match_indices(name).filter(move |(at, _)| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && text[at + name.len()..].trim_start().starts_with('(')
    });
    starts.filter_map(move |(at, _)| {
        let open = at + text[at..].find('(')? + 1;
        Some(parts(&text[open..]))
    })
}

/// What stands between `open` and the next `close`.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = Vec<String>> + 'a {
    text.match_indices(open).filter_map(move |(at, _)| {
        let rest = &text[at + open.len()..];
        Some(vec![rest[..rest.find(close)?].to_owned()])
    })
}

/// The parts up to the closing parenthesis, split at commas that stand in no further brackets or quotes.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_usize, None);
    let mut before = ' ';
    for c in text.chars().take(4_000) {
        match (quote, c) {
            (Some(open), _) if c == open && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth == 0 => break,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                before = c;
                continue;
            }
            _ => {}
        }
        before = c;
        parts.last_mut().expect("there is always one").push(c);
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// `key=value`, as one part of a call.
fn key_of(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let key = key.trim();
    is_name(key).then_some((key, value.trim()))
}

/// The texts in quotes in one part: of `c("-r", "--rate")` both.
fn quoted(part: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(char, String)> = None;
    for c in part.chars() {
        match &mut open {
            Some((quote, text)) if c == *quote => {
                found.push(std::mem::take(text));
                open = None;
            }
            Some((_, text)) => text.push(c),
            None if c == '"' || c == '\'' => open = Some((c, String::new())),
            None => {}
        }
    }
    found
}

/// The options in Julia's `@add_arg_table`: a name on a line of its own, and its settings below.
fn julia_options(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let Some((_, table)) = text.split_once("@add_arg_table") else { return found };
    for line in table.lines().skip(1).map(str::trim).take_while(|line| *line != "end") {
        if line.starts_with('"') {
            found.push(vec![line.to_owned()]);
        } else if let (Some(last), Some(_)) = (found.last_mut(), key_of(line)) {
            last.push(line.to_owned());
        }
    }
    found
}

/// What a script calls the words in `sys.argv`: `parameters, outputs = sys.argv[1:]`, or `path = sys.argv[1]`.
fn places(text: &str) -> Vec<(String, Role)> {
    let mut places: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once('=') else { continue };
        let names = || left.split(',').map(|name| name.trim().trim_matches(['(', ')']).to_owned());
        if right.contains("sys.argv[1:") {
            places.extend(names().enumerate().map(|(at, name)| (at + 1, name)));
        } else if let Some(at) = right.split("sys.argv[").nth(1).and_then(|rest| rest.split(']').next()?.parse().ok()) {
            places.extend(names().take(1).map(|name| (at, name)));
        }
    }
    places.sort();
    places.dedup_by_key(|(at, _)| *at);
    let mut roles: Vec<_> =
        places.into_iter().map(|(_, name)| (Role::of(&name), name)).map(|(role, name)| (name, role)).collect();
    if let [(_, first @ Role::Unknown), (_, Role::Outputs)] = roles.as_mut_slice() {
        *first = Role::Parameters;
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(found: &Arguments) -> Vec<String> {
        let shown = |p: &Parameter| {
            let default = p.default.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            format!("{} {} {default} {}", p.name, p.type_name(), p.description).trim_end().to_owned()
        };
        found.options.iter().map(shown).collect()
    }

    #[test]
    fn argparse_and_click_declare_options() {
        let found = read(
            "py",
            "import argparse\np.add_argument('--rate', '-r', type=float, default=0, help='the rate, (as a share)')\n\
             p.add_argument(\"--mode\", choices=['fast', 'slow'],\n    default=\"fast\")\np.add_argument('--steps', type=int, required=True)\n\
             p.add_argument('--verbose', action='store_true')\np.add_argument('--max-age', type=int)\n\
             p.add_argument('--out-dir')\np.add_argument('params')\n# p.add_argument('--old')\n\
             @click.option('--seed_value', default=1)\n",
        );
        assert_eq!(
            options(&found),
            ["rate float 0.0 the rate, (as a share)", "mode string \"fast\"", "steps int -", "seed_value int 1"]
        );
        assert_eq!(found.options[1].choices.len(), 2);
        assert_eq!(found.paths, [("--out-dir".to_owned(), Role::Outputs)]);
        assert_eq!(found.positional, [("params".to_owned(), Role::Parameters)]);
        assert_eq!(
            found.left_out.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["--verbose", "--max-age"]
        );
    }

    #[test]
    fn other_languages_declare_options_too() {
        let found = read(
            "R",
            "make_option(c('-r', '--rate'), type='double', default=0.5, help='Rate'),\nmake_option('--n', type='integer', default=3L)",
        );
        assert_eq!(options(&found), ["rate float 0.5 Rate", "n int 3"]);
        let found = read(
            "jl",
            "@add_arg_table! s begin\n  \"--rate\", \"-r\"\n    help = \"Rate\"\n    arg_type = Float64\n    default = 1\n  \"outputs\"\nend\n",
        );
        assert_eq!(options(&found), ["rate float 1.0 Rate"]);
        assert_eq!(found.positional, [("outputs".to_owned(), Role::Outputs)]);
    }

    #[test]
    fn places_and_variables_are_seen() {
        let roles = |text: &str| read("py", text).positional.into_iter().map(|(_, role)| role).collect::<Vec<_>>();
        assert_eq!(roles("parameters, outputs = sys.argv[1:]\n"), [Role::Parameters, Role::Outputs]);
        assert_eq!(roles("path = sys.argv[1]\nout = open(sys.argv[2], 'w')\n"), [Role::Parameters, Role::Outputs]);
        assert_eq!(roles("x = float(sys.argv[1])\n"), [Role::Unknown]);
        let found = read(
            "py",
            "r = float(os.environ['RATE'])\nn = int(os.environ.get(\"N\", \"10\"))\nh = os.getenv('HOME')\n",
        );
        let shown: Vec<_> = found.variables.iter().map(|v| (v.name.as_str(), v.default.clone())).collect();
        assert_eq!(shown, [("N", Some(serde_json::json!(10))), ("RATE", None)]);
    }
}
