//! What open streams and held requests wait for.
//!
//! A stream asks a [`Board`] one question and waits for the answer: "what comes after this event of this job?". One task
//! for each kind of question asks Postgres for all who wait together at a fixed interval, and not at all while nobody
//! does. So the number of statements does not grow with the number of those who wait.
//!
//! - Nothing is lost or repeated, because each stream keeps its own position and asks from there.
//! - A slow client delays nobody: it has read its answer before it asks again, and until then nothing is kept for it.
//! - If a task panics, all who wait learn that their question was not answered. Their streams end, their clients
//!   reconnect with their positions, and the task starts again.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Db, DbError,
        follow::{self, Access, JobNews, JobPosition},
        route::{self, Arrival},
    },
    ids::InstanceId,
};
use tokio_util::sync::CancellationToken;

use self::board::{Board, Question};
use crate::build_log::position::BuildPosition;

pub mod board;

/// The boards of a process.
#[derive(Debug)]
pub struct Follow {
    pub jobs: Board<JobPosition>,
    pub builds: Board<BuildPosition>,
    /// Answered when the access has ended.
    pub accesses: Board<Access>,
    /// Answered when a request to the instance need not wait any longer.
    pub arrivals: Board<InstanceId>,
}

impl Follow {
    /// Starts the tasks, which run until the shutdown. Call it within the runtime.
    pub fn start(db: &Db, shutdown: &CancellationToken) -> Self {
        Self {
            jobs: Board::start(db, shutdown),
            builds: Board::start(db, shutdown),
            accesses: Board::start(db, shutdown),
            arrivals: Board::start(db, shutdown),
        }
    }
}

impl Question for JobPosition {
    type Answer = JobNews;
    const NAME: &'static str = "jobs";
    const INTERVAL: Duration = Duration::from_millis(250);

    async fn ask(db: &Db, waiting: &[Self]) -> Result<Vec<(Self, JobNews)>, DbError> {
        follow::job_news(&mut *db.conn().await?, waiting).await
    }
}

impl Question for Access {
    type Answer = ();
    const NAME: &'static str = "accesses";
    const INTERVAL: Duration = Duration::from_secs(1);
    // While the database is down, nobody can be suspended either.
    const OUTLIVES_ERRORS: bool = true;

    async fn ask(db: &Db, waiting: &[Self]) -> Result<Vec<(Self, ())>, DbError> {
        let ended = follow::ended_access(&mut *db.conn().await?, waiting).await?;
        Ok(ended.into_iter().map(|access| (access, ())).collect())
    }
}

impl Question for InstanceId {
    type Answer = Arrival;
    const NAME: &'static str = "arrivals";
    // A frozen gateway wakes in 0.2 s.
    const INTERVAL: Duration = Duration::from_millis(50);
    // They wait for a limited time anyway.
    const OUTLIVES_ERRORS: bool = true;

    async fn ask(db: &Db, waiting: &[Self]) -> Result<Vec<(Self, Arrival)>, DbError> {
        route::arrivals(&mut *db.conn().await?, waiting).await
    }
}
