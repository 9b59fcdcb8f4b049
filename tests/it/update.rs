//! Updates: a new container from a new image, or everything as it was before.

mod away;
mod everything;
mod faults;
mod meanwhile;
mod random;
mod rollback;
mod shared_build;
mod stuck;
mod success;
pub(crate) mod support;
