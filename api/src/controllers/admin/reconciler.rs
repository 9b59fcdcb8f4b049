//! The reconciler, which workers run.

pub mod run;
pub mod show;
