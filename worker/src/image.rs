//! Makes the image that every instance runs, from one of three sources: a release of the `openclaw` package on a Node
//! base, a repository with its own Dockerfile, or an image that others built.
//!
//! The Dockerfile of a release is part of this binary and the whole context; that of a repository is packed from git's
//! objects. So what is built depends on settings only, never on files that lie about. A build touches no tag before it has
//! succeeded: until then, and when it fails, is cancelled or is killed, the image in use stays the one it was.

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
mod output;
mod protocol;
mod remote;
mod source;
mod tree;

pub use builder::{BuiltImage, ImageBuilder};
pub use context::DOCKERFILE;
pub use error::BuildError;
pub use git::GitSource;
pub use output::BuildUpdate;
pub use source::{BuildLimits, RegistrySource, ReleaseSource, Resolved, Source, source_dir};
