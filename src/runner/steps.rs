//! What one run needs to start: its parameters, its steps with every placeholder filled in, its environment.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::domain::sweep::record::FailureClass;

use super::command::{Fill, base_environment, resolve_program};
use super::parameters::{Delivery, deliver};
use super::room::Room;
use super::run::{Failure, Trouble};
use super::spec::{JobSpec, SliceLine};
use super::{JOB_MARKER, RUN_MARKER, SEED_VARIABLE};

/// The steps of every run of a job, with their programs looked up once where that is possible.
pub(super) struct Steps<'a> {
    spec: &'a JobSpec,
    command: Prepared<'a>,
    summarize: Option<Prepared<'a>>,
}

/// One run, ready to start.
pub(super) struct ReadyRun<'a> {
    /// The command, then `summarize` if there is one.
    pub(super) steps: Vec<ReadyStep<'a>>,
    /// The environment of both.
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// One step of one run.
pub(super) struct ReadyStep<'a> {
    /// How messages call it.
    pub(super) name: &'static str,
    pub(super) program: Cow<'a, Path>,
    pub(super) arguments: Vec<OsString>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(spec: &'a JobSpec) -> Self {
        let summarize = spec.run.summarize.as_deref().map(|argv| Prepared::new("`summarize`", argv, spec));
        Self { spec, command: Prepared::new("the command", &spec.run.command, spec), summarize }
    }

    /// Writes the run's parameter file into `room` and gets its steps and environment ready.
    ///
    /// # Errors
    /// That the run cannot start, or ours.
    pub(super) fn ready(&self, line: &SliceLine, room: &mut Room) -> Result<ReadyRun<'_>, Trouble> {
        let spec = self.spec;
        let mut environment = base_environment(&spec.search_path, &room.path, spec.run.resources.milli_cpus);
        environment.extend(spec.environment.iter().map(|(name, value)| (name.into(), value.into())));
        let (mut params, mut extra) = (None, Vec::new());
        match deliver(spec.run.params, &line.parameters).map_err(cannot_start)? {
            Delivery::File { name, text } => params = Some(room.write_params(name, &text)?),
            Delivery::Arguments(arguments) => extra = arguments,
            Delivery::Environment(variables) => {
                environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
            }
        }
        environment.push((JOB_MARKER.into(), spec.place.clone().into()));
        environment.push((RUN_MARKER.into(), line.run.as_str().into()));
        if let Some(seed) = line.seed {
            environment.push((SEED_VARIABLE.into(), seed.to_string().into()));
        }
        let fill = Fill { model: &spec.model, params: params.as_deref(), outputs: Some(&room.outputs) };
        let mut command = self.command.ready(&fill, spec).map_err(cannot_start)?;
        command.arguments.extend(extra.into_iter().map(OsString::from));
        let mut steps = vec![command];
        if let Some(summarize) = &self.summarize {
            steps.push(summarize.ready(&fill, spec).map_err(cannot_start)?);
        }
        Ok(ReadyRun { steps, environment })
    }
}

fn cannot_start(message: String) -> Failure {
    Failure::new(FailureClass::CannotStart, message)
}

/// One command of the manifest.
struct Prepared<'a> {
    name: &'static str,
    /// What the image has before each command, taken as it is.
    entrypoint: &'a [String],
    argv: &'a [String],
    /// None when where the program lies differs from run to run.
    program: Option<Result<PathBuf, String>>,
}

impl<'a> Prepared<'a> {
    fn new(name: &'static str, argv: &'a [String], spec: &'a JobSpec) -> Self {
        let entrypoint = spec.image.as_ref().map_or(&[][..], |image| &image.entrypoint);
        // Only `{model}` is the same for all runs.
        let fill = Fill { model: &spec.model, params: None, outputs: None };
        let first = match entrypoint.first() {
            Some(first) => Ok(first.into()),
            None => fill.apply(argv.first().map_or("", String::as_str)),
        };
        let program = first.ok().map(|first| resolve_program(&first, &spec.model, &spec.search_path));
        Self { name, entrypoint, argv, program }
    }

    fn ready(&self, fill: &Fill<'_>, spec: &JobSpec) -> Result<ReadyStep<'_>, String> {
        let (first, rest) = self.argv.split_first().ok_or_else(|| format!("{} is empty", self.name))?;
        let program = match &self.program {
            Some(Ok(program)) => Cow::Borrowed(program.as_path()),
            Some(Err(message)) => return Err(message.clone()),
            None => Cow::Owned(resolve_program(&fill.apply(first)?, &spec.model, &spec.search_path)?),
        };
        let (before, filled) = match self.entrypoint.split_first() {
            Some((_, before)) => (before, self.argv),
            None => (self.entrypoint, rest),
        };
        let before = before.iter().map(|argument| Ok(argument.into()));
        let filled = filled.iter().map(|argument| fill.apply(argument));
        Ok(ReadyStep { name: self.name, program, arguments: before.chain(filled).collect::<Result<_, _>>()? })
    }
}
