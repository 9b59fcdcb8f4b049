//! What the steps of a job are given, how they fail, and how they are told to stop.
//!
//! The engine ([`crate::engine`]) claims jobs and runs their steps. Steps do not know the engine.

pub mod context;
pub mod error;
pub mod secrets;
pub mod signals;
#[cfg(test)]
mod tests;
