//! Instances that were deleted, and can be restored.

pub mod list;
pub mod purge;
pub mod restore;
