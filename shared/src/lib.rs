//! What the API and the worker share.
//!
//! Ids, tables and their queries, the state machine of instances, the job kinds, the doorbell, sealing of secrets, and
//! the files that OpenClaw reads. This crate depends on neither program and knows neither Docker nor HTTP.

pub mod attempts;
pub mod capacity;
pub mod config;
pub mod db;
pub mod doorbell;
pub mod fair_slots;
pub mod http;
pub mod ids;
pub mod instance;
pub mod job;
pub mod metrics;
pub mod openclaw;
pub mod ports;
pub mod rpc;
pub mod secret;
pub mod sleep;
pub mod telemetry;
pub mod text;
pub mod text_enum;
mod tls;
pub mod token;
pub mod totp;
pub mod warm_pool;
