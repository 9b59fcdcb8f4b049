//! What happens under faults, beyond what the binary `it` covers one by one: a matrix of operations and faults, random
//! operations under random faults, and load. `scripts/test --faults` runs all of it, and `--chaos N` a long random run.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod builds;
mod chaos;
mod driver;
mod gateways;
mod load;
mod matrix;
mod provoke;
mod reboot;
mod row;
mod steps;
mod support;
