//! Instances that can be restored: deleted ones, and directories without an instance in the database.

pub mod list;
pub mod purge;
pub mod restore;
