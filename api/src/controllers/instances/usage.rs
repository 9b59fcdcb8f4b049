//! CPU, memory, network and disk usage of instances.
//!
//! The former paths with `stats` instead of `usage` work for one more release.

pub mod follow;
pub mod history;
pub mod list;
pub mod query;
