//! Records in, one table out.
