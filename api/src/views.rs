//! What the API shows of things, where several answers show it. A view knows the database's rows and nothing of requests.

pub mod admin_job;
pub mod instance;
pub mod job;
pub mod queue;
pub mod steps;
pub mod worker;
