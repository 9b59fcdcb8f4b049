//! Tests of the whole, each on an installation of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod anything;
mod boots;
mod builds;
mod canary;
mod cancel;
mod connections;
mod crashes;
mod drain;
mod drift;
mod failures;
mod firewall;
mod hostile;
mod hostile_pages;
mod identity;
mod inside;
mod isolation;
mod keys;
mod leases;
mod lifecycle;
mod migrations;
mod network;
mod newer_words;
mod openclaw_files;
mod outages;
mod predecessor;
mod programs;
mod real_openclaw;
mod recoverable;
mod routes;
mod routing;
mod standby;
mod support;
mod terminal;
mod ui;
mod update;
