//! The API in this process, on a Postgres database and Redis keys of each test's own: no container, no worker.
//!
//! What needs a worker is in the crate `tests`, which starts the programs themselves.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod identity;
mod keys;
mod routes;
mod support;
