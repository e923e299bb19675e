//! One file for each outside thing.

pub mod artifacts;
pub mod builder;
pub mod docker;
pub mod executor;
pub mod forge;
pub mod images;
pub mod notify;
pub mod oidc;
pub mod source;
mod web;
