//! Where pull requests live.
//!
//! The local forge is a directory on this machine. Its engine side (`pull`, `open_pulls`, `branch_heads`,
//! `default_branch`, `permission`, `upsert_comment`, `post_comment_once`, `set_status`) is what any forge has to offer;
//! it becomes a trait when a second one is there.

pub mod local;
