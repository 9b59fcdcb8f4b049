//! Builds the image that every instance runs: one release of the `openclaw` package on a Node base.
//!
//! The Dockerfile is part of this binary and the whole context, so what is built depends on settings only, never on
//! files that lie about. A build touches no tag before it has succeeded and its version has been checked: until then,
//! and when it fails, is cancelled or is killed, the image in use stays the one it was.

mod base;
mod build;
mod context;
mod error;
mod output;
mod reference;
mod version;

pub use build::{BuildRequest, BuiltImage, build};
pub use context::DOCKERFILE;
pub use error::BuildError;
pub use output::BuildUpdate;
pub use reference::{ImageReference, InvalidReference};
pub use version::{InvalidVersion, OpenclawVersion};
