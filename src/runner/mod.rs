//! The run contract: how one run of a model is executed, wherever it is executed.
//!
//! A job is a slice of runs that share a place. [`run_job`] takes the slice's lines one after another, gives each run a
//! fresh directory and its parameters, supervises its processes, reads and checks what it leaves, and appends one
//! record. The runner binary is this and nothing more; the process executor and the process builder use the same parts.
//!
//! It may use clocks, because it supervises processes. It must not know the database, the engine or a forge, and it
//! never passes anything to a shell.

pub mod checks;
mod command;
pub mod job;
mod judge;
mod keep;
mod lock;
mod log;
pub mod memory;
mod orphans;
mod parameters;
pub mod place;
pub mod processes;
mod records;
pub mod redact;
mod room;
mod rows;
mod run;
pub mod scratch;
pub mod share;
pub mod slots;
pub mod spec;
mod steps;
mod summary;
pub mod supervise;
pub mod tree;

pub use command::{DEFAULT_SEARCH_PATH, Fill, base_environment, resolve_program};
pub use job::{JobEnd, run_job, run_job_file};
pub use log::{Log, tail_of};
pub use place::JobSummary;
pub use spec::{CONTRACT, JobSpec, SliceLine, SlotsSpec};

/// The environment variable that names the place of the job that a process belongs to.
pub const JOB_MARKER: &str = "MODELSHIP_JOB";

/// The environment variable that names the run that a process belongs to.
pub const RUN_MARKER: &str = "MODELSHIP_RUN";

/// The environment variable that names the directory of the build that a process belongs to.
pub const BUILD_MARKER: &str = "MODELSHIP_BUILD";

/// The environment variable that carries a run's seed, when the run has one.
pub const SEED_VARIABLE: &str = "MODELSHIP_SEED";
