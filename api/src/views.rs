//! Response types that several handlers share. A view is built from database rows and does not depend on the request.

pub mod admin_job;
pub mod instance;
pub mod job;
pub mod queue;
pub mod steps;
pub mod worker;
