//! Updates: afterwards either the new image runs, or everything is as before.

mod away;
mod deleted;
mod everything;
mod faults;
mod meanwhile;
mod random;
mod rollback;
mod shared_build;
mod stuck;
mod success;
pub(crate) mod support;
