use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Starts an instance
///
/// An instance that never came up is provisioned again. If a job is already starting it, the answer describes that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/start", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(("Location", description = "The job"), ("Idempotency-Replayed", description = "`true`: the job existed already")),
    )),
)]
pub async fn start_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Accepted> {
    accept(app, who, context, path.id, Power::Start).await
}
