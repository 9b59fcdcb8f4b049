//! Instances.
//!
//! Jobs change instances. A handler checks that the change is possible, records the desired state and queues the job,
//! in one transaction that locks the instance's row. A worker does the rest.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clawdeploy_shared::{
    db::{
        Conn, DbError,
        instance::Instance,
        job::Job,
        port,
        version_policy::{self, Versions},
    },
    ids::InstanceId,
    job::JobStatus,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    extract::Json,
    state::AppState,
    views::{instance::InstanceView, job::JobView},
};

mod change;
pub mod changes;
pub mod create;
pub mod dashboard_link;
pub mod delete;
pub mod deleted;
pub mod devices;
pub mod edit;
mod form;
mod idempotency;
pub mod jobs;
pub mod list;
pub mod log_query;
pub mod logs;
mod power;
pub mod restart;
pub mod rollback;
pub(crate) mod running;
mod settings;
pub mod show;
pub mod start;
pub mod stop;
pub mod undelete;
pub mod update;
pub mod usage;

pub use self::change::refuse_stuck;
pub(crate) use self::form::MEMORY_MB;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InstancePath {
    /// Id of the instance
    pub id: InstanceId,
}

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An accepted change: the instance as it is now, and the job that will change it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    pub instance: InstanceView,
    pub job: JobView,
    /// The job was created by an earlier, equal request.
    #[serde(skip)]
    pub replayed: bool,
}

/// The result of a change, as its transaction saw it at the end.
#[derive(Debug)]
pub(crate) struct Outcome {
    instance: Instance,
    port: Option<u16>,
    versions: Versions,
    job: Job,
    /// Other jobs that were created or changed.
    others: Vec<Job>,
    /// The job existed before.
    replayed: bool,
}

impl Outcome {
    async fn load(conn: &mut Conn, instance: Instance, job: Job) -> Result<Self, DbError> {
        let port = port::of(conn, &instance.id).await?;
        let versions = version_policy::versions(conn).await?;
        Ok(Self { instance, port, versions, job, others: Vec::new(), replayed: false })
    }

    fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }
}

impl Accepted {
    /// Rings the doorbell for the jobs, which are committed by now, and builds the response.
    pub(crate) fn of(app: &AppState, outcome: Outcome) -> Self {
        let Outcome { instance, port, versions, job, others, replayed } = outcome;
        let new = (!replayed).then_some(&job);
        for job in others.iter().chain(new).filter(|job| job.status == JobStatus::Queued) {
            app.doorbell.ring(job.queue, job.id);
        }
        let open = (!job.status.is_terminal()).then(|| job.clone());
        let instance = InstanceView::new(instance, port, open, &versions, app);
        Self { instance, job: job.into(), replayed }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let location = format!("/api/jobs/{}", self.job.id);
        let replayed = self.replayed.then(|| [(REPLAYED, HeaderValue::from_static("true"))]);
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], replayed, Json(self)).into_response()
    }
}
