//! All jobs.

pub mod cancel;
pub mod drop;
pub mod list;
pub mod query;
pub mod retry;
pub mod show;
