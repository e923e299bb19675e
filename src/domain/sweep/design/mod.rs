//! How points are made: levels of single parameters, and the designs that combine them.
//!
//! Nothing here is a list of points. A design is counted by arithmetic before anything is expanded, and then walked.

pub(crate) mod condition;
pub(crate) mod grid;
pub(crate) mod levels;
pub(crate) mod rows;
