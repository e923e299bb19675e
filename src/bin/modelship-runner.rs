//! The program that executes a job: `modelship-runner <job.json>`.
//!
//! It stands wherever models run, so it knows the run contract and nothing of servers, databases or forges.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use modelship::runner::{CONTRACT, JobEnd, run_job_file};

const HELP: &str = "\
Executes the runs of one modelship job and writes their records.

Usage: modelship-runner <job.json>

Options:
  -h, --help     Print this help
  -V, --version  Print the version

Exit status: 0 the job ended, 2 it could not be executed, 143 it was asked to stop.
Runs that already have a record are skipped, so a job that was stopped can be started again.
";

/// The exit status of a process that SIGTERM ended, which is what this program stands for when it was asked to stop.
const STOPPED: u8 = 143;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag] if flag == "-h" || flag == "--help" => say(HELP),
        [flag] if flag == "-V" || flag == "--version" => {
            say(&format!("modelship-runner {} (run contract {CONTRACT})\n", env!("CARGO_PKG_VERSION")))
        }
        [job] => match run_job_file(Path::new(job)) {
            Ok(JobEnd::Ended(_)) => ExitCode::SUCCESS,
            Ok(JobEnd::Stopped) => ExitCode::from(STOPPED),
            Err(error) => complain(&format!("{error:#}")),
        },
        _ => complain("expected one argument, the job's file; `modelship-runner --help` says more"),
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

fn complain(message: &str) -> ExitCode {
    // Nobody can be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "modelship-runner: {message}");
    ExitCode::from(2)
}
