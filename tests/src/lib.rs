//! Test support. Integration tests run the real programs as processes. Each test has its own database, Redis keys,
//! containers, ports and directories.
//!
//! Nothing is mocked, except that the gateway in the container is a fake one ([`fake`]) in tests of the code around it.
//! The tests in `real_openclaw` run the real one.
//!
//! - [`TestEnv`] is an installation: an API process and any number of workers. [`Installation`] is the part of it that
//!   tests with an API in their own process (`api/tests`) use too.
//! - [`prepare`](prepare::prepare) creates what all tests share; nextest runs it first.
//! - [`oracle`] checks the invariants at the end of every test.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod asleep;
pub mod browser;
pub mod cases;
pub mod cleanup;
pub mod client;
pub mod clock;
pub mod database;
pub mod disk;
pub mod docker;
pub mod docker_proxy;
pub mod env;
pub mod fake;
pub mod firewall;
pub mod gate;
pub mod hold;
mod http;
pub mod identity_provider;
pub mod installation;
mod lock;
pub mod nginx;
pub mod openclaw;
pub mod oracle;
pub mod people;
pub mod pgbouncer;
pub mod plans;
pub mod port;
pub mod postgres_server;
pub mod prepare;
pub mod process;
pub mod programs;
pub mod redis_server;
pub mod settings;
pub mod slot;
pub mod story;
pub mod tcp_proxy;
pub mod terminal;
pub mod wait;
pub mod warm;
pub mod watch;

pub use client::{Answer, Client};
pub use env::{Builder, Image, TestEnv, WorkerOptions};
pub use fake::FakeMode;
pub use hold::Hold;
pub use http::http;
pub use installation::Installation;
