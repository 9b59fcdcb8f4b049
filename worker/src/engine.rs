//! The job engine: how jobs that wait in Postgres come to run here, each on one worker at a time.
//!
//! - [`doorbell`] listens to Redis and only says "look".
//! - [`dispatch`] claims due jobs while there is room and spawns each as a task of its own, so that nothing that
//!   happens to Redis, or to the future that rang, can cancel work.
//! - [`heartbeat`] renews the leases of what runs, and says that this worker lives.
//! - [`reaper`] takes back the leases of vanished workers and looks for work that no ring announced.
//! - [`completion`] ends jobs that concern no instance, many in one statement.
//! - [`runner`] runs one claimed job: `forward` through its steps, or back through their undos (`undo`).

pub mod active;
pub mod completion;
pub mod dispatch;
pub mod doorbell;
mod end;
mod forward;
mod gauges;
pub mod heartbeat;
pub mod prune;
pub mod reaper;
pub mod runner;
mod story;
mod undo;
