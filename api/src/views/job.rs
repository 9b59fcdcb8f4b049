//! Jobs as the API returns them.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{Conn, DbError, Scope, job, job::Job, job_event, queue_pause, worker},
    ids::{InstanceId, JobId, UserId},
    job::{JobKind, JobStatus, Queue},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::steps::{Step, steps};

/// An error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Failure {
    /// Stable code, for programs.
    pub code: String,
    /// Message, for people.
    pub message: String,
}

impl Failure {
    pub fn new(code: Option<String>, message: Option<String>) -> Option<Self> {
        code.map(|code| Self { code, message: message.unwrap_or_default() })
    }
}

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub id: JobId,
    pub kind: JobKind,
    pub status: JobStatus,
    /// Instance of the job, which may have been deleted since.
    pub instance_id: Option<InstanceId>,
    /// Owner of the job, who may see it.
    pub owner_id: Option<UserId>,
    /// Job that must succeed before this one can start.
    pub depends_on: Option<JobId>,
    /// Progress, in percent.
    pub progress: i16,
    /// Current step, or the last one.
    pub step: Option<String>,
    /// Number of times that a worker has claimed the job.
    pub attempt: i64,
    /// Whether cancellation was requested.
    pub cancel_requested: bool,
    /// Last error; also set while the job is being retried.
    pub error: Option<Failure>,
    pub created_at: DateTime<Utc>,
    /// Earliest time at which it can start.
    pub run_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            status: job.status,
            instance_id: job.instance_id,
            owner_id: job.owner_id,
            depends_on: job.depends_on,
            progress: job.progress,
            step: job.step,
            attempt: job.attempt,
            cancel_requested: job.cancel_requested_at.is_some(),
            error: Failure::new(job.error_code, job.error_message),
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// A job with its steps and its place in the queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobDetails {
    #[serde(flatten)]
    pub job: JobView,
    /// Steps that have started, in order.
    pub steps: Vec<Step>,
    /// Place in the queue; null: the job is not waiting.
    pub queue: Option<QueuePlace>,
}

/// The place of a job in its queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuePlace {
    pub queue: Queue,
    /// Position in the queue; 1 is the next job.
    pub position: i64,
    /// Number of live workers that serve the queue.
    pub workers: usize,
    /// Reason why the job waits, for programs.
    pub waits_for: WaitsFor,
    /// Reason why the job waits, for people.
    pub message: String,
}

/// The first reason why a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// Its queue is paused by an administrator.
    Resume,
    /// No worker takes jobs from its queue.
    Worker,
    /// No worker that serves its queue can reach the Docker engine.
    Docker,
    /// Another job must end first.
    Job,
    /// The time of its next attempt has not come.
    Time,
    /// Other jobs are ahead of it in the queue, or it is the next one.
    Turn,
}

impl JobDetails {
    pub async fn load(conn: &mut Conn, job: Job) -> Result<Self, DbError> {
        let steps = steps(&job_event::list_milestones(conn, job.id).await?, job.status);
        let queue = match job.status {
            JobStatus::Queued => Some(QueuePlace::load(conn, &job).await?),
            _ => None,
        };
        Ok(Self { job: job.into(), steps, queue })
    }
}

impl QueuePlace {
    async fn load(conn: &mut Conn, waiting: &Job) -> Result<Self, DbError> {
        let ahead = job::count_ahead(conn, waiting.id).await?;
        let all = worker::list(conn).await?;
        let serving = serving(&all, waiting.queue);
        let obstacles = Obstacles {
            paused: queue_pause::list(conn).await?.iter().any(|(queue, _)| *queue == waiting.queue),
            workers: serving.len(),
            docker_down: serving.iter().all(|worker| worker.docker_error.is_some()),
            job: blocking(conn, waiting).await?,
            ahead,
        };
        let (waits_for, message) = obstacles.first(waiting, Utc::now());
        Ok(Self { queue: waiting.queue, position: ahead + 1, workers: serving.len(), waits_for, message })
    }
}

/// The job that must end before this one can start.
async fn blocking(conn: &mut Conn, waiting: &Job) -> Result<Option<Job>, DbError> {
    if let Some(needed) = waiting.depends_on {
        let needed = job::find(conn, Scope::Everything, needed).await?;
        if let Some(open) = needed.filter(|job| !job.status.is_terminal()) {
            return Ok(Some(open));
        }
    }
    let Some(instance) = &waiting.instance_id else { return Ok(None) };
    Ok(job::open_on(conn, instance).await?.into_iter().find(|open| open.seq < waiting.seq))
}

/// The live workers that take jobs from a queue.
pub fn serving(all: &[(worker::Worker, bool)], queue: Queue) -> Vec<&worker::Worker> {
    let serves = |worker: &worker::Worker| worker.queues.iter().any(|q| q == queue.as_str());
    let takes = |worker: &worker::Worker| !worker.draining && !worker.stands_by() && serves(worker);
    all.iter().filter(|(worker, alive)| *alive && takes(worker)).map(|(worker, _)| worker).collect()
}

/// Possible reasons why a job waits.
struct Obstacles {
    paused: bool,
    workers: usize,
    docker_down: bool,
    job: Option<Job>,
    ahead: i64,
}

impl Obstacles {
    /// The first reason, as a code and as a message.
    fn first(&self, waiting: &Job, now: DateTime<Utc>) -> (WaitsFor, String) {
        let queue = waiting.queue;
        if self.paused {
            let message =
                format!("An administrator paused the {queue} queue; the job starts when an administrator resumes it.");
            return (WaitsFor::Resume, message);
        }
        if self.workers == 0 {
            let message = format!("No worker is serving the {queue} queue; the job starts when one does.");
            return (WaitsFor::Worker, message);
        }
        if self.docker_down {
            let message = "No worker can reach its Docker engine at the moment; the job starts when one can.";
            return (WaitsFor::Docker, message.to_owned());
        }
        if let Some(job) = &self.job {
            return (WaitsFor::Job, format!("Waits for the end of the {} job before it.", job.kind));
        }
        if waiting.run_at > now {
            let seconds = (waiting.run_at - now).num_seconds().max(1);
            return (WaitsFor::Time, format!("Will be retried in {seconds} s."));
        }
        let message = match self.ahead {
            0 => "Starts as soon as a worker has a free slot for its owner.".to_owned(),
            1 => "1 job is ahead of it.".to_owned(),
            n => format!("{n} jobs are ahead of it."),
        };
        (WaitsFor::Turn, message)
    }
}
