//! Jobs as the API returns them to administrators.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{Conn, DbError, instance, job::Job, user},
    ids::{InstanceId, UserId},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::job::JobView;

/// A job with details that only administrators see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminJob {
    #[serde(flatten)]
    pub job: JobView,
    /// Name of its instance; null: the job has none, or the instance no longer exists.
    pub instance_name: Option<String>,
    pub owner_email: Option<String>,
    /// Person who requested it; null: the system.
    pub requested_by: Option<UserId>,
    pub requested_by_email: Option<String>,
    /// Failed attempts that were retried, since the job was accepted or retried by an administrator.
    pub failures: i32,
    /// Attempts whose worker crashed, counted in the same way.
    pub crashes: i32,
    /// Lease of the worker that runs it; null: no worker runs it.
    pub lease: Option<LeaseView>,
    /// Id of the request that created it, for the logs.
    pub request_id: Option<String>,
}

/// The lease of a worker on a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseView {
    pub worker: String,
    /// Expiry. If the lease is not renewed by then, another worker takes the job.
    pub until: DateTime<Utc>,
    /// Number of the lease. Writes with any other number are refused.
    pub fence: i64,
}

/// E-mails of people and names of instances, by their ids.
#[derive(Debug)]
pub struct Names {
    people: HashMap<UserId, String>,
    instances: HashMap<InstanceId, String>,
}

impl Names {
    /// The e-mails and names for the people and instances of some jobs.
    pub async fn of(conn: &mut Conn, jobs: &[Job]) -> Result<Self, DbError> {
        let mut people: Vec<_> = jobs.iter().flat_map(|job| [job.owner_id, job.requested_by]).flatten().collect();
        people.sort();
        people.dedup();
        let instances: Vec<_> = jobs.iter().filter_map(|job| job.instance_id.as_ref()).collect();
        Ok(Self { people: user::emails(conn, &people).await?, instances: instance::names(conn, &instances).await? })
    }

    fn email(&self, id: Option<UserId>) -> Option<String> {
        self.people.get(&id?).cloned()
    }
}

impl AdminJob {
    pub fn new(job: Job, names: &Names) -> Self {
        let lease = job.leased_by.clone().zip(job.lease_until);
        Self {
            instance_name: job.instance_id.as_ref().and_then(|id| names.instances.get(id).cloned()),
            owner_email: names.email(job.owner_id),
            requested_by: job.requested_by,
            requested_by_email: names.email(job.requested_by),
            failures: job.failures,
            crashes: job.crashes,
            lease: lease.map(|(worker, until)| LeaseView { worker, until, fence: job.attempt }),
            request_id: job.request_id.clone(),
            job: job.into(),
        }
    }
}
