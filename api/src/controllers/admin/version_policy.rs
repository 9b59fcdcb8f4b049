//! Which versions of OpenClaw may be started.

pub mod set;
pub mod show;
