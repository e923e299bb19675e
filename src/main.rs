//! modelship's one program: server, terminal verbs, and the hook of the local forge.

use std::process::ExitCode;

fn main() -> ExitCode {
    modelship::cli::main()
}
