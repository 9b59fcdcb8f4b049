use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Stops an instance
///
/// Its files, its port and its token stay. If a job is stopping it already, the answer is about that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/stop", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(("Location", description = "The job"), ("Idempotency-Replayed", description = "`true`: the job was there already")),
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
