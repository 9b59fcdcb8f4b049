//! Builds the image for all instances from one of three sources: a release of the `openclaw` package on a Node base, a
//! repository with its own Dockerfile, or an existing image of a registry.
//!
//! A release's Dockerfile is part of this binary and is its whole context; a repository's context is packed from git
//! objects. So a build depends on settings only, never on stray files. It touches no tag before it has succeeded: if it
//! fails, is cancelled or is killed, the image in use stays the same.

mod base;
mod build;
mod builder;
mod buildkit;
mod context;
mod dockerfile;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod git;
mod layer;
mod node;
mod order;
mod output;
mod protocol;
mod public_address;
mod remote;
mod source;
mod tree;

pub use builder::{BuiltImage, ImageBuilder};
pub use context::DOCKERFILE;
pub use error::BuildError;
pub use git::GitSource;
pub use order::{BuildOrder, BuildRequest, BuildSettings, OrderError};
pub use output::BuildUpdate;
pub use source::{BuildLimits, RegistrySource, ReleaseSource, Resolved, Source, source_dir};
