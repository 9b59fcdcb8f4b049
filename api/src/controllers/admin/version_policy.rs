//! The policy for vulnerable versions of OpenClaw.

pub mod set;
pub mod show;
