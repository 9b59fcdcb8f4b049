//! What tests stand on. For the tests of the whole: the real programs as processes, on a Postgres database, Redis keys, Docker
//! containers, ports and directories that belong to one test alone.
//!
//! Nothing is mocked. The stand-in is the gateway in the container ([`fake`]), where a test is not about OpenClaw but
//! about what ClawDeploy does around it; the tests in `real_openclaw` run the real one.
//!
//! - [`TestEnv`] is one installation: an API process and any number of worker processes. What an API in the test's own process
//!   needs as well is in [`Installation`]; those tests are in `api/tests`.
//! - [`prepare`](prepare::prepare) makes what all tests share; nextest runs it before them.
//! - [`oracle`] says what must hold at the end of every test.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

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
pub mod oracle;
pub mod people;
pub mod pgbouncer;
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
pub mod watch;

pub use client::{Answer, Client};
pub use env::{Builder, Image, TestEnv, WorkerOptions};
pub use fake::FakeMode;
pub use hold::Hold;
pub use http::http;
pub use installation::Installation;
