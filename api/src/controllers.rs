//! What the API answers. One file for each request; forms that several share are beside them, what they show is in [`crate::views`].

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
