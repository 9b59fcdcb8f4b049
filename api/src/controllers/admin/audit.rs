//! The audit log.

pub mod export;
pub mod list;
pub mod query;
