//! How a job looks to administrators.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{Conn, DbError, job::Job, user},
    ids::UserId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::controllers::jobs::JobView;

/// A job with what only administrators see of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminJob {
    #[serde(flatten)]
    pub job: JobView,
    pub owner_email: Option<String>,
    /// Who asked for it; null: the system itself.
    pub requested_by: Option<UserId>,
    pub requested_by_email: Option<String>,
    /// Tries that ended in an error and were followed by another, since it was accepted or put back by hand.
    pub failures: i32,
    /// Tries under which the worker vanished, counted alike.
    pub crashes: i32,
    /// Who runs it; null: nobody.
    pub lease: Option<LeaseView>,
    /// Id of the request that made it, for the logs.
    pub request_id: Option<String>,
}

/// The right of a worker to act in a job's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseView {
    pub worker: String,
    /// If it is not renewed by then, another worker takes the job.
    pub until: DateTime<Utc>,
    /// What is written with another number than this is refused.
    pub fence: i64,
}

/// E-mails of people, by their ids.
#[derive(Debug)]
pub struct Emails(HashMap<UserId, String>);

impl Emails {
    /// Of everybody whom some jobs name.
    pub async fn of(conn: &mut Conn, jobs: &[Job]) -> Result<Self, DbError> {
        let mut people: Vec<_> = jobs.iter().flat_map(|job| [job.owner_id, job.requested_by]).flatten().collect();
        people.sort();
        people.dedup();
        Ok(Self(user::emails(conn, &people).await?))
    }

    fn get(&self, id: Option<UserId>) -> Option<String> {
        self.0.get(&id?).cloned()
    }
}

impl AdminJob {
    pub fn new(job: Job, emails: &Emails) -> Self {
        let lease = job.leased_by.clone().zip(job.lease_until);
        Self {
            owner_email: emails.get(job.owner_id),
            requested_by: job.requested_by,
            requested_by_email: emails.get(job.requested_by),
            failures: job.failures,
            crashes: job.crashes,
            lease: lease.map(|(worker, until)| LeaseView { worker, until, fence: job.attempt }),
            request_id: job.request_id.clone(),
            job: job.into(),
        }
    }
}
