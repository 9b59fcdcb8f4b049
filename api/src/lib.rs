//! The HTTP API of ClawDeploy: accounts, instances, jobs and administration.
//!
//! The API is exposed to the internet and has no access to Docker. It writes rows, rings the doorbell, calls the
//! workers and reads what they wrote. [`build_app`] builds the complete application, for `serve` and for the tests.

pub mod audit;
pub mod auth;
pub mod build_log;
pub mod capacity;
pub mod commands;
pub mod config;
pub mod controllers;
pub mod domains;
pub mod error;
pub mod event_stream;
pub mod extract;
pub mod follow;
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
pub mod slots;
pub mod state;
pub mod validate;
pub mod views;
pub mod wake;
pub mod web;

pub use self::{config::ApiConfig, router::build_app, serve::serve, state::AppState};
