//! The run contract.
