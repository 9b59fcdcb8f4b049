use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Starts an instance
///
/// One that never came up is made again from the beginning. If a job is starting it already, the answer is
/// about that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/start", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(("Location", description = "The job"), ("Idempotency-Replayed", description = "`true`: the job was there already")),
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
