//! Every sentence that a user reads in a pull request.
//!
//! Pure functions from values to Markdown. They decide how a thing is said, never whether: that is for
//! [`decide`](super::decide). Whatever users or models wrote passes through [`escape`] first.

pub mod escape;
pub mod numbers;
