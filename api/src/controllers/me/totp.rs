//! The second factor of the person's own account.

pub mod confirm;
pub mod prepare;
pub mod remove;
