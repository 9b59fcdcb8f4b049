//! Everybody's instances.

pub mod list;
pub mod query;
