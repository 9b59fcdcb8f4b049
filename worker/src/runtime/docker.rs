//! The Docker engine, as verbs that may be repeated.
//!
//! Two rules hold for every verb here:
//! - It is idempotent. A job that is picked up after a crash, or after an answer that was lost on its way, calls it
//!   again: what is there already is adopted, what is gone already counts as done.
//! - It acts on containers by id, never by name. A worker that lost its lease can then not touch the container that its
//!   successor has made under the same name.
//!
//! What is ours is known by label, and only what is ours is changed or removed.

pub(crate) mod build;
mod client;
mod container;
mod error;
mod events;
mod exec;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod images;
mod inspect;
pub(crate) mod logs;
mod network;
mod output;
mod probe;
mod spec;
mod stats;
mod terminal;

pub use client::{Docker, Engine};
pub use error::{DockerError, EngineMessage};
pub use events::{InstanceAction, InstanceEvent};
pub use exec::{Ending, Finished};
pub use images::LabelledImage;
pub(crate) use images::Pulled;
pub use inspect::{ContainerState, ContainerStatus, OwnedContainer};
pub use network::OwnedNetwork;
pub(crate) use probe::ProbeSpec;
pub use spec::{
    ContainerSpec, LABEL_ATTEMPT, LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_JOB, LABEL_OPENCLAW_VERSION, LABEL_SPEC,
    NetworkSpec, container_body, network_body, spec_hash,
};
pub(crate) use stats::Counters;

/// Exit code of a process that was killed: 128 and the number of the signal (`bash(1)`, "Exit status").
pub(crate) const KILLED: i64 = 137;
