//! What is decided, told as stories and under any order of events: nothing panics, nothing is done twice, nothing is
//! left waiting for an answer that nobody will give.
//!
//! A [`World`] keeps the state of each key as the database would, hears events in the order in which they were kept,
//! and collects what is asked for. Nothing happens outside until a test answers an effect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod again;
mod buttons;
mod checks;
mod comparisons;
mod driver;
mod ended_badly;
mod invariants;
mod models;
mod moves;
mod promotions;
mod properties;
mod pulls;
mod sweeps;
mod things;
