//! Request handlers, one file for each request. Types that several handlers share are in the parent module; response
//! types are in [`crate::views`].

pub mod admin;
pub mod audit;
pub mod auth;
pub mod health;
pub mod instances;
pub mod jobs;
pub mod me;
pub mod pages;
pub mod sessions;
pub mod terminals;
pub mod tokens;
