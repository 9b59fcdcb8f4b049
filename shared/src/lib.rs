//! What the API and the worker both know.
//!
//! This crate knows neither of them: ids, tables and their queries, the instance state machine, the job
//! kinds, the doorbell, sealing of secrets, and the files that OpenClaw reads. Docker and HTTP are not here.

pub mod attempts;
pub mod config;
pub mod db;
pub mod doorbell;
pub mod http;
pub mod ids;
pub mod inside;
pub mod instance;
pub mod job;
pub mod metrics;
pub mod openclaw;
pub mod ports;
pub mod secret;
pub mod telemetry;
pub mod text;
pub mod text_enum;
pub mod ticket;
pub mod token;
pub mod totp;
