//! The firewall of the machines that workers are on.

pub mod show;
