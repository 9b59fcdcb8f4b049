//! The other ways in: git's protocol over HTTP, BuildKit, a registry.
