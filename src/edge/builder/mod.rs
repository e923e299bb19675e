//! Builders: from a model's source at a commit to something that runs.

mod commands;
mod expectation;
pub mod process;
mod test_run;
mod toolchain;

pub use expectation::check_expectations;
