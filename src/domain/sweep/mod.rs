//! Sweeps: from the file that declares one to the analysis that joins its runs.

pub mod analysis;
pub mod decide;
pub mod design;
pub mod plan;
pub mod points;
pub mod record;
pub mod replay;
pub mod sample;
pub mod spec;
pub mod state;
