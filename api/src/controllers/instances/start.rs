use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Starts an instance
///
/// Pending settings are applied. An instance whose provisioning failed is provisioned again. If a job is already
/// starting the instance, the response describes that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/start", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: the job existed before"),
        ),
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
