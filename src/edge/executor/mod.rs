//! Executors: where jobs run.

pub mod process;
