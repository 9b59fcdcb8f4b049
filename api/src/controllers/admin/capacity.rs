//! How many instances the host carries.

pub mod show;
