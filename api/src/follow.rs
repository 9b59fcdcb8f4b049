//! What open streams wait for.
//!
//! A stream asks a [`Board`] one question and waits for the answer: "what comes after this event of this job?". One task
//! for each kind of question asks Postgres for all streams together at a fixed interval, and not at all while nobody
//! waits. So the number of statements does not grow with the number of streams.
//!
//! - Nothing is lost or repeated, because each stream keeps its own position and asks from there.
//! - A slow client delays nobody: it has read its answer before it asks again, and until then nothing is kept for it.
//! - If a task panics, all who wait learn that their question was not answered. Their streams end, their clients
//!   reconnect with their positions, and the task starts again.

use std::time::Duration;

use clawdeploy_shared::db::{
    Db, DbError,
    follow::{self, Access, JobNews, JobPosition},
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
}

impl Follow {
    /// Starts the tasks, which run until the shutdown. Call it within the runtime.
    pub fn start(db: &Db, shutdown: &CancellationToken) -> Self {
        Self {
            jobs: Board::start(db, shutdown),
            builds: Board::start(db, shutdown),
            accesses: Board::start(db, shutdown),
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
