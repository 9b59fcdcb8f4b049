//! A job as its steps see it: what they are given, how they fail, and how they are told to stop.
//!
//! How jobs come here and are taken through their steps is the engine's ([`crate::engine`]), which steps know nothing of.

pub mod context;
pub mod error;
pub mod secrets;
pub mod signals;
#[cfg(test)]
mod tests;
