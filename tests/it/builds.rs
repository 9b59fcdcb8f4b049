//! Images: from a repository, over its protocol, from a release; what is refused; what is kept.

mod hostile;
mod repository;
mod retention;
mod servers;
mod sources;
pub(crate) mod support;
