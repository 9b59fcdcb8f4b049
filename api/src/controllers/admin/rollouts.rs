//! Rollouts: updates of all instances.

pub mod show;
pub mod start;
