//! The second factor of one's own account.

pub mod confirm;
pub mod prepare;
pub mod remove;
