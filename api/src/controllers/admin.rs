//! Endpoints for administrators.

pub mod audit;
pub mod capacity;
pub mod firewall;
pub mod images;
pub mod instances;
pub mod jobs;
pub mod queues;
pub mod reconciler;
pub mod recoverable;
pub mod rollouts;
pub mod users;
pub mod version_policy;
pub mod workers;
