use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Stops an instance
///
/// Its files, port and token do not change. If a job is already stopping it, the response describes that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/stop", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: the job existed before"),
        ),
    )),
)]
pub async fn stop_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Accepted> {
    accept(app, who, context, path.id, Power::Stop).await
}
