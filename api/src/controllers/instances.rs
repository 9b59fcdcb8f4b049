//! Instances: what people come for.
//!
//! What changes one is a job. The handler checks whether the change is possible, notes what the owner wants and queues
//! the job, all in one transaction with the instance's row locked; a worker does the rest.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clawdeploy_shared::{
    config::RoutingArgs,
    db::{instance::Instance, job::Job},
    ids::InstanceId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{controllers::jobs::JobView, extract::Json};

pub mod create;
pub mod delete;
mod form;
mod idempotency;
pub mod jobs;
pub mod list;
mod power;
pub mod restart;
pub mod show;
pub mod start;
pub mod stop;
pub mod update;
mod view;

pub use self::view::InstanceView;

/// Which instance.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InstancePath {
    /// Id of the instance
    pub id: InstanceId,
}

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A change that was accepted: the instance as it is now, and the job that will change it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    pub instance: InstanceView,
    pub job: JobView,
    /// The job is that of an earlier request, which asked for the same.
    #[serde(skip)]
    pub replayed: bool,
}

impl Accepted {
    fn new(instance: Instance, port: Option<u16>, job: Job, routing: &RoutingArgs) -> Self {
        let open = (!job.status.is_terminal()).then(|| job.clone());
        Self { instance: InstanceView::new(instance, port, open, routing), job: job.into(), replayed: false }
    }

    fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let location = format!("/api/jobs/{}", self.job.id);
        let replayed = self.replayed.then(|| [(REPLAYED, HeaderValue::from_static("true"))]);
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], replayed, Json(self)).into_response()
    }
}
