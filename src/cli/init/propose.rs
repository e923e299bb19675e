//! A manifest for what was found in a folder, with a comment wherever a person has to look.

use serde_json::Value;

use super::folder::{Folder, ending};
use super::outputs::{self, Outputs};
use super::program::{self, Image, Program};
use super::script::{self, Arguments, Role};
use super::values::{Parameter, ParameterFile, parameter_file};
use crate::domain::ids::ModelName;
use crate::domain::report::numbers;

/// With more parameters than this a file of them is named, not copied.
const LISTED: usize = 40;

/// What marks a place that a person has to look at.
pub(super) const LOOK: &str = "# LOOK:";

/// A manifest and what it rests on.
#[derive(Debug)]
pub(super) struct Proposal {
    /// The manifest's text.
    pub(super) text: String,
    /// What was found: a file, and what it says.
    pub(super) found: Vec<(String, String)>,
    /// What is assumed, one sentence each.
    pub(super) assumed: Vec<String>,
}

/// How parameters reach the model.
struct Delivery {
    format: &'static str,
    parameters: Vec<Parameter>,
    /// A file to name instead of the parameters.
    from: Option<String>,
}

/// Everything that was found.
struct Found<'a> {
    folder: &'a Folder,
    image: Option<Image>,
    program: Program,
    arguments: Arguments,
    file: Option<ParameterFile>,
    outputs: Outputs,
    found: Vec<(String, String)>,
    assumed: Vec<String>,
}

/// Proposes a manifest for `model` in `folder`, which is the folder `source` of its repository, or the whole of it.
pub(super) fn propose(folder: &Folder, model: &ModelName, source: Option<&str>) -> Proposal {
    let image = program::image(folder);
    let program = program::find(folder, image.as_ref(), model.title());
    let script = match &program {
        Program::Script { file, .. } => folder.text(file).unwrap_or_default(),
        Program::Made(_) | Program::Image(_) | Program::Unknown => String::new(),
    };
    let arguments = match &program {
        Program::Script { file, .. } => script::read(ending(file), &script),
        Program::Made(_) | Program::Image(_) | Program::Unknown => Arguments::default(),
    };
    let file = parameter_file(folder);
    let known: Vec<String> = folder
        .files()
        .filter(|path| {
            file.as_ref().is_some_and(|file| file.file == **path)
                || path.starts_with("data/")
                || path.starts_with("inputs/")
        })
        .map(str::to_owned)
        .collect();
    let outputs = outputs::look(folder, &script, &known);
    let mut all = Found { folder, image, program, arguments, file, outputs, found: Vec::new(), assumed: Vec::new() };
    all.tell_found();
    let delivery = all.delivery();
    let text = all.manifest(model, source, &delivery);
    Proposal { text, found: all.found, assumed: all.assumed }
}

impl Found<'_> {
    fn tell_found(&mut self) {
        let mut tell = |file: &str, what: String| self.found.push((file.to_owned(), what));
        if let Some(image) = &self.image {
            let words = [image.stage.entrypoint.clone(), image.stage.command.clone()].concat();
            let starts = if words.is_empty() {
                "starts nothing by itself".to_owned()
            } else {
                format!("starts `{}`", words.join(" "))
            };
            tell(&image.file, format!("an image from `{}` that {starts}", image.stage.from));
        }
        match &self.program {
            Program::Script { interpreter, file, .. } => {
                let options = numbers::plural(self.arguments.options.len() as u64, "option");
                tell(file, format!("the model, run by {}, {options}", interpreter.join(" ")));
            }
            Program::Made(name) => tell("Makefile", format!("makes `{name}`")),
            Program::Image(_) | Program::Unknown => {}
        }
        if let Some(file) = &self.file {
            tell(&file.file, numbers::plural(file.parameters.len() as u64, "parameter"));
        }
        if let Some(from) = &self.outputs.from {
            tell(from, format!("{} of an earlier run", numbers::plural(self.outputs.columns.len() as u64, "result")));
        }
        for file in ["requirements.txt", "pyproject.toml"] {
            if self.folder.has(file) {
                tell(file, "packages that the model needs".to_owned());
            }
        }
    }

    /// How parameters reach the model, and which there are.
    fn delivery(&mut self) -> Delivery {
        let takes_file =
            self.arguments.paths.iter().chain(&self.arguments.positional).any(|(_, role)| *role == Role::Parameters);
        for (name, why) in &self.arguments.left_out {
            self.assumed.push(format!("the option `{name}` {why}; it keeps its own default"));
        }
        let inline =
            |format, parameters: &[Parameter]| Delivery { format, parameters: parameters.to_vec(), from: None };
        match &self.file {
            Some(file) if takes_file || (self.arguments.options.is_empty() && self.arguments.variables.is_empty()) => {
                if !file.left_out.is_empty() {
                    self.assumed.push(format!(
                        "{} in `{}` cannot be parameters, since they are nested or not called so: the model must do without them in its \
                         parameter file",
                        file.left_out.join(", "),
                        file.file
                    ));
                }
                if !takes_file && !matches!(self.program, Program::Unknown) {
                    self.assumed.push(format!(
                        "nothing shows that the model takes the path of its parameters as an argument; it is handed one in the form of `{}`",
                        file.file
                    ));
                }
                let from = (file.format == "csv" && file.parameters.len() > LISTED).then(|| file.file.clone());
                Delivery { format: file.format, parameters: file.parameters.clone(), from }
            }
            _ if !self.arguments.options.is_empty() => inline("args", &self.arguments.options),
            _ if !self.arguments.variables.is_empty() => inline("env", &self.arguments.variables),
            _ => {
                self.assumed.push("no parameters were found; RATE stands for yours".to_owned());
                let rate = Parameter {
                    description: "what RATE means".to_owned(),
                    ..Parameter::with_default("RATE", Value::from(0.1))
                };
                Delivery { format: "csv", parameters: vec![rate], from: None }
            }
        }
    }

    /// The command, as words.
    fn command(&mut self, delivery: &Delivery, title: &str) -> Vec<String> {
        let by_file = !matches!(delivery.format, "args" | "env");
        let mut words = match &self.program {
            Program::Script { interpreter, file, rest } => {
                let mut words = interpreter.clone();
                words.push(format!("{{model}}/{file}"));
                words.extend(rest.iter().map(|word| self.placed(word, by_file)));
                words
            }
            Program::Made(name) => vec![format!("{{model}}/{name}")],
            Program::Image(words) => {
                let command = self.image.as_ref().map_or(&words[..], |image| &image.stage.command[..]);
                command.iter().map(|word| self.placed(word, by_file)).collect()
            }
            Program::Unknown => vec![format!("{{model}}/{title}")],
        };
        for (name, role) in &self.arguments.paths {
            match role {
                Role::Parameters if by_file => words.extend([name.clone(), "{params}".to_owned()]),
                Role::Outputs => words.extend([name.clone(), self.place_of(name)]),
                Role::Parameters | Role::Unknown => {}
            }
        }
        for (name, role) in &self.arguments.positional {
            match role {
                Role::Parameters if by_file => words.push("{params}".to_owned()),
                Role::Outputs => words.push(self.place_of(name)),
                Role::Parameters | Role::Unknown => {
                    words.push(name.clone());
                    self.assumed.push(format!(
                        "nobody can tell what the argument `{name}` stands for; put a value in its place"
                    ));
                }
            }
        }
        let has = |words: &[String], placeholder: &str| words.iter().any(|word| word.contains(placeholder));
        if by_file && !has(&words, "{params}") {
            words.push("{params}".to_owned());
        }
        if !has(&words, "{outputs}") && self.outputs.summary.as_deref() != Some("stdout") {
            let takes_nothing = self.arguments.positional.is_empty() && !self.arguments.options.is_empty();
            let is_script = matches!(self.program, Program::Script { .. });
            if is_script && (takes_nothing || self.arguments.variables.len() > 1 || !by_file) {
                words.splice(0..0, ["env".to_owned(), "-C".to_owned(), "{outputs}".to_owned()]);
                self.assumed.push(
                    "no argument says where outputs go, so the model is started in `{outputs}` and should write there"
                        .to_owned(),
                );
            } else {
                words.push("{outputs}".to_owned());
            }
        }
        if self.packages().is_some() {
            let at = if words.first().is_some_and(|word| word == "env") { 3 } else { 0 };
            let path = "PYTHONPATH={model}/site".to_owned();
            words.splice(at..at, if at == 0 { vec!["env".to_owned(), path] } else { vec![path] });
        }
        words
    }

    /// A word of the Dockerfile's command, with a placeholder where it names a parameter file or a place for outputs.
    fn placed(&self, word: &str, by_file: bool) -> String {
        let is_parameters =
            self.file.as_ref().is_some_and(|file| word.ends_with(file.file.rsplit('/').next().unwrap_or(&file.file)));
        if is_parameters && by_file {
            "{params}".to_owned()
        } else if !word.starts_with('-') && Role::of(word.rsplit('/').next().unwrap_or(word)) == Role::Outputs {
            self.place_of(word)
        } else {
            word.to_owned()
        }
    }

    /// Where an argument of this name leads: a folder, or a file in it.
    fn place_of(&self, name: &str) -> String {
        let is_file = name.to_ascii_lowercase().contains("file")
            || name.rsplit('/').next().is_some_and(|last| last.contains('.'));
        if !is_file {
            return "{outputs}".to_owned();
        }
        let own = name.rsplit('/').next().filter(|last| last.contains('.')).map(str::to_owned);
        let summary = || {
            self.outputs.summary.clone().filter(|name| name != "stdout").unwrap_or_else(|| "summary.json".to_owned())
        };
        format!("{{outputs}}/{}", own.unwrap_or_else(summary))
    }

    /// How the packages of a script are installed beside it; none when it needs none.
    fn packages(&self) -> Option<&'static str> {
        let is_python = matches!(&self.program, Program::Script { file, .. } if ending(file) == "py");
        if !is_python {
            return None;
        }
        if self.folder.has("requirements.txt") {
            return Some("[python3, -m, pip, install, --quiet, --target, site, -r, requirements.txt]");
        }
        self.folder.has("pyproject.toml").then_some("[python3, -m, pip, install, --quiet, --target, site, .]")
    }

    fn build(&mut self) -> String {
        let mut text =
            "build:                        # commands, each a list of words, run in a clean copy of the source\n"
                .to_owned();
        let image = self.image.as_ref().map(|image| (image.file.clone(), image.stage.entrypoint.join(" ")));
        match &self.program {
            Program::Image(_) => {
                self.assumed.push(
                    "the model lies in its image alone, so it needs an instance with `executor: docker`".to_owned(),
                );
            }
            Program::Made(_) => text.push_str("  process: [[make]]\n"),
            Program::Script { .. } | Program::Unknown => match self.packages() {
                Some(command) => {
                    self.assumed
                        .push("packages are installed into `site` beside the model when it is built".to_owned());
                    text.push_str(&format!("  process:\n    - {command}\n"));
                }
                None if self.folder.has("Makefile") => {
                    self.assumed.push("`make` builds what has to be built".to_owned());
                    text.push_str("  process: [[make]]\n");
                }
                None => text.push_str("  process: []\n"),
            },
        }
        match image {
            None => {}
            Some((file, entrypoint)) if entrypoint.is_empty() || matches!(self.program, Program::Image(_)) => {
                text.push_str(&format!("  dockerfile: {}\n", word(&file)));
            }
            Some((file, entrypoint)) => {
                self.assumed.push(format!(
                    "with images, `{entrypoint}` of `{file}` comes before `run.command`, so the command would have to leave it out"
                ));
                text.push_str(&format!(
                    "  # dockerfile: {}      {LOOK} with it, `run.command` is what follows the ENTRYPOINT `{entrypoint}`\n",
                    word(&file)
                ));
            }
        }
        text
    }

    fn manifest(&mut self, model: &ModelName, source: Option<&str>, delivery: &Delivery) -> String {
        let (owner, title) = (model.owner(), model.title());
        let mut text = format!("owner: {}\ntitle: {}\n", word(owner), word(title));
        text.push_str(&format!("description: What {title} computes, in one line   {LOOK} say it\n"));
        text.push_str(&format!("source: {{path: {}}}\n", word(source.unwrap_or("."))));
        text.push_str(&self.build());
        let command: Vec<String> = self.command(delivery, title).iter().map(|part| word(part)).collect();
        text.push_str("run:                          # {model}: the built source; {params}: the parameter file; {outputs}: a fresh directory\n");
        let look = if matches!(self.program, Program::Unknown) {
            format!("   {LOOK} what starts your model?")
        } else {
            String::new()
        };
        text.push_str(&format!("  command: [{}]{look}\n", command.join(", ")));
        text.push_str(&format!(
            "  params: {{format: {}}}       # csv (NAME,value) | json | yaml | toml | args | env\n",
            delivery.format
        ));
        text.push_str(&format!(
            "  resources: {{vcpu: 1, memory: 1 GiB}}      {LOOK} what does one run need?\n  timeout: 10m\n"
        ));
        match &delivery.from {
            Some(file) => text.push_str(&format!(
                "parameters_from: {}   {LOOK} `parameters` may add min, max and unit to some\n",
                word(file)
            )),
            None => {
                text.push_str(&format!(
                    "parameters:                   {LOOK} add min, max and unit where they make sense\n"
                ));
                delivery.parameters.iter().for_each(|parameter| text.push_str(&line(parameter)));
            }
        }
        text.push_str(&self.outputs_text());
        text.push_str(
            "tests: []                     # each build runs them; a build that fails one becomes no version:\n",
        );
        text.push_str("# - {name: base case, parameters: {}, expect: {revenue: {value: 100, rel: 1e-9}}}\n");
        text.push_str("# - {name: unit tests, command: [python3, -m, unittest]}\n");
        text
    }

    fn outputs_text(&mut self) -> String {
        let Outputs { summary, columns, files, from } = &self.outputs;
        let mut text = "outputs:\n".to_owned();
        match summary {
            Some(summary) => text.push_str(&format!("  summary: {}       # one row of the analysis\n", word(summary))),
            None => {
                self.assumed.push(
                    "nothing shows where results in short are; the model should leave flat JSON in `summary.json`"
                        .to_owned(),
                );
                text.push_str(&format!("  summary: summary.json       {LOOK} flat JSON that the command leaves in {{outputs}}, or `stdout`\n"));
            }
        }
        if summary.is_some() && from.is_none() {
            self.assumed.push(
                "which results there are is not known yet; `outputs.columns` checks those that it names".to_owned(),
            );
        }
        let checks: Vec<_> = columns.iter().map(|name| format!("{}: {{}}", word(name))).collect();
        text.push_str(&format!(
            "  columns: {{{}}}     # results that must be there and be numbers; give them unit, min, max\n",
            checks.join(", ")
        ));
        let files: Vec<_> = files.iter().map(|file| word(file)).collect();
        text.push_str(&format!("  files: [{}]        # kept for each run\n", files.join(", ")));
        text
    }
}

/// One parameter of the manifest.
fn line(parameter: &Parameter) -> String {
    let kind = parameter.type_name();
    let mut parts = vec![format!("type: {kind}")];
    let spelled = |value: &Value| match (kind, value) {
        ("string", Value::String(text)) => Some(quoted(text)),
        ("string", value) => Some(quoted(&value.to_string())),
        ("int", Value::Number(number)) => number.is_i64().then(|| number.to_string()),
        ("float", Value::Number(number)) => Some(number.to_string()),
        ("bool", Value::Bool(value)) => Some(value.to_string()),
        ("list", Value::Array(_)) => Some(value.to_string()),
        _ => None,
    };
    parts.extend(parameter.default.as_ref().and_then(spelled).map(|default| format!("default: {default}")));
    let choices: Vec<_> = parameter.choices.iter().filter_map(spelled).collect();
    if !choices.is_empty() {
        parts.push(format!("choices: [{}]", choices.join(", ")));
    }
    if !parameter.description.is_empty() {
        parts.push(format!("description: {}", quoted(&parameter.description)));
    }
    format!("  {}: {{{}}}\n", parameter.name, parts.join(", "))
}

/// A word as YAML spells it in a list: plain where nothing could be misread.
fn word(text: &str) -> String {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-' | b'='));
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'.' || byte == b'_')
        || (text.starts_with('-') && text.len() > 1 && !text.as_bytes()[1].is_ascii_digit());
    let is_word =
        !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "nan");
    let is_number = text.trim_start_matches(['.', '-']).starts_with(|c: char| c.is_ascii_digit());
    if plain && starts && is_word && !is_number { text.to_owned() } else { quoted(text) }
}

/// Text in quotes, which JSON and YAML spell alike.
fn quoted(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Value::String(clean).to_string()
}
