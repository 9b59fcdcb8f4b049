//! Sign-in and sign-out.

pub mod invitation;
pub mod login;
pub mod logout;
pub mod oidc;
pub mod options;
pub mod setup;
