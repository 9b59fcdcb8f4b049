//! The HTTP side of ClawDeploy: accounts, instances, jobs, and what administrators see.
//!
//! It faces the internet and therefore cannot touch Docker: it writes rows, rings the doorbell and reads what the
//! workers wrote. [`build_app`] is the whole of it, for `serve` and for tests alike.

pub mod audit;
pub mod auth;
pub mod build_log;
pub mod commands;
pub mod config;
pub mod controllers;
pub mod domains;
pub mod error;
pub mod event_stream;
pub mod extract;
pub mod identity;
pub mod image_build;
pub mod middleware;
pub mod openapi;
pub mod page;
pub mod quota;
pub mod relay;
pub mod reveal;
pub mod router;
pub mod rpc;
pub mod serve;
pub mod state;
pub mod validate;
pub mod views;
pub mod web;

pub use self::{config::ApiConfig, router::build_app, serve::serve, state::AppState};
