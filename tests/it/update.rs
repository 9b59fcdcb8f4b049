//! Updates: a new container from a new image, or everything as it was before.

mod everything;
mod faults;
mod random;
mod rollback;
mod shared_build;
mod success;
pub(crate) mod support;
