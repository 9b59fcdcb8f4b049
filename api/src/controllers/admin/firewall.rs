//! The instances' firewall.

pub mod show;
