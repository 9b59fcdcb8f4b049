//! Tests of the API in the test process, each with its own Postgres database and Redis keys, without containers or
//! workers.
//!
//! Tests that need a worker are in the crate `tests`, which starts the real programs.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod identity;
mod keys;
mod plans;
mod routes;
mod support;
