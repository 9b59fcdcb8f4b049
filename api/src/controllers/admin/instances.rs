//! The instances of all people.

pub mod list;
pub mod query;
