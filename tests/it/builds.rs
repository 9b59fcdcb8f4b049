//! Image builds: sources, refusals, and which images are kept.

mod by_hand;
mod hostile;
mod repository;
mod retention;
mod servers;
mod sources;
pub(crate) mod support;
