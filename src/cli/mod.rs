//! What a person types: one short function for each verb.
//!
//! A verb reads arguments, tells the engine or asks the database, and shows what came of it: data on standard output,
//! progress and hints on standard error. It decides nothing; that is for the domain.

mod actions;
mod arguments;
mod build;
mod doctor;
mod faults;
mod github_app;
mod hook;
mod init;
mod logs;
mod man;
mod markdown;
mod models;
mod output;
mod pr;
mod progress;
mod queue;
mod replay;
mod serve;
mod session;
mod sweep;
mod table;
mod validate;
mod workspace;

use clap::{CommandFactory as _, Parser as _};

use arguments::{Arguments, GithubAppVerb, SweepVerb, Verb};
use output::{CliError, ExitStatus, Output};

use crate::settings::{self, Flags, Settings};
use crate::telemetry::{self, LogFormat};

/// How long work that nobody waits for any more may go on after the verb is done.
const LAST_WORK: std::time::Duration = std::time::Duration::from_millis(500);

/// Reads the command line, does what it says, and gives the process's exit status: 0 done, 1 the user's input or model
/// failed, 2 our fault.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(&arguments.global);
    let json_logs = matches!(&arguments.verb, Verb::Serve(serve) if serve.log_json);
    let filter = settings::log_filter().unwrap_or_else(|| default_filter(&arguments).to_owned());
    let status = telemetry::init(if json_logs { LogFormat::Json } else { LogFormat::Text }, &filter)
        .map_err(CliError::from)
        .and_then(|()| {
            let runtime = tokio::runtime::Runtime::new().map_err(|error| CliError::Ours(error.into()))?;
            let done = runtime.block_on(run(arguments, &output));
            // Whoever left in the middle of something does not wait for it after all.
            runtime.shutdown_timeout(LAST_WORK);
            done
        })
        .map_or_else(|error| output.error(&error), |()| ExitStatus::Done);
    output.end(status).into()
}

async fn run(arguments: Arguments, output: &Output) -> Result<(), CliError> {
    let Arguments { global, verb } = arguments;
    let cwd = settings::current_directory()?;
    let listen = match &verb {
        Verb::Serve(serve) => serve.listen,
        _ => None,
    };
    let flags = Flags { settings: global.settings, state: global.state, listen };
    let settings = || Settings::load(&flags, &cwd).map_err(|error| CliError::User(format!("{error:#}")));
    match verb {
        Verb::Init(init) => init::init(&init, &cwd, output),
        Verb::Validate(validate) => validate::validate(&validate, &cwd, output),
        Verb::Changed(changed) => actions::changed::changed(settings()?, &changed, output),
        Verb::Push(push) => actions::push::push(settings()?, &push, output).await,
        Verb::Register(register) => actions::register::register(settings()?, &register, output).await,
        Verb::Build(build) => build::build(settings()?, &build, &cwd, output).await,
        Verb::Test(build) => build::test(settings()?, &build, &cwd, output).await,
        Verb::GithubApp { verb: GithubAppVerb::Create(create) } => github_app::create(&create, &cwd, output).await,
        Verb::Models => models::models(settings()?, output).await,
        Verb::Versions(versions) => models::versions(settings()?, &versions, output).await,
        Verb::Promote(promote) => models::promote(settings()?, &promote, output).await,
        Verb::Sweep { verb } => match verb {
            SweepVerb::Plan(file) => sweep::plan(settings()?, &file, &cwd, output).await,
            SweepVerb::Run(run) => sweep::run(settings()?, &run, &cwd, output).await,
            SweepVerb::Status { sweep } => sweep::status(settings()?, sweep.as_deref(), output).await,
            SweepVerb::Results(results) => sweep::results(settings()?, &results, &cwd, output).await,
            SweepVerb::Replay(replay) => replay::sweep(settings()?, &replay, &cwd, output).await,
            SweepVerb::Cancel { sweep } => sweep::cancel(settings()?, &sweep, output).await,
            SweepVerb::Retry { sweep } => sweep::retry(settings()?, &sweep, output).await,
        },
        Verb::Replay(replay) => replay::run(settings()?, &replay, &cwd, output).await,
        Verb::Logs(logs) => logs::logs(settings()?, &logs, output).await,
        Verb::Pr { repository, forge, login, verb } => {
            let there = pr::Where { settings: settings()?, repository, forge, login, cwd: &cwd };
            pr::pr(there, verb, output).await
        }
        Verb::Queue => queue::queue(settings()?, output).await,
        Verb::Serve(_) => serve::serve(settings()?).await,
        Verb::Doctor => doctor::doctor(settings()?, &cwd, output).await,
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "modelship", &mut script);
            output.raw(&script)
        }
        Verb::Man { to } => man::man(to.map(|to| cwd.join(to)).as_deref(), output),
        Verb::ForgeHook(hook) => hook::hook(&hook, output).await,
    }
}

/// What is logged when nobody says otherwise: the server tells what it does, a verb only what goes wrong. That a browser
/// hung up is nothing that goes wrong here.
fn default_filter(arguments: &Arguments) -> &'static str {
    match (arguments.global.verbose, &arguments.verb) {
        (0, Verb::Serve(_)) => "modelship=info,warp=off,warn",
        (0, _) => "warp=off,error",
        (1, _) => "modelship=debug,warn",
        (_, _) => "modelship=trace,debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
