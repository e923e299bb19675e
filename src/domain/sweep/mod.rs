//! Sweeps: from the file that declares one to the analysis that joins its runs.

#[cfg(feature = "server")]
pub mod analysis;
#[cfg(feature = "server")]
pub mod cost;
#[cfg(feature = "server")]
pub mod decide;
#[cfg(feature = "server")]
pub mod design;
#[cfg(feature = "server")]
pub mod packing;
#[cfg(feature = "server")]
pub mod plan;
#[cfg(feature = "server")]
pub mod points;
pub mod record;
#[cfg(feature = "server")]
pub mod replay;
#[cfg(feature = "server")]
pub mod retry;
#[cfg(feature = "server")]
mod rounds;
#[cfg(feature = "server")]
pub mod sample;
#[cfg(feature = "server")]
pub mod spec;
#[cfg(feature = "server")]
pub mod state;
