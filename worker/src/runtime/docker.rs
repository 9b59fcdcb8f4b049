//! The Docker engine, with the verbs of [`Runtime`](super::Runtime).
//!
//! Labels mark what is ours, and nothing else is changed or removed.

pub(crate) mod build;
mod client;
mod container;
mod error;
mod events;
mod exec;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod images;
mod info;
mod inspect;
mod listed;
mod logs;
mod network;
mod output;
mod probe;
mod spec;
mod stats;
mod terminal;
mod warm;

pub use client::{Docker, Engine};
pub use error::{DockerError, EngineMessage};
pub use exec::{Ending, Finished};
pub use images::LabelledImage;
pub(crate) use images::Pulled;
pub use info::EngineInfo;
pub use network::OwnedNetwork;
pub(crate) use probe::ProbeSpec;
pub use spec::{
    LABEL_ATTEMPT, LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_JOB, LABEL_OPENCLAW_VERSION, LABEL_SPEC, container_body,
    network_body, spec_hash,
};
pub(crate) use stats::Counters;
pub(crate) use terminal::{Attached, RunningExec};

/// Exit code of a killed process: 128 plus the number of the signal (`bash(1)`, "Exit status").
pub(crate) const KILLED: i64 = 137;
