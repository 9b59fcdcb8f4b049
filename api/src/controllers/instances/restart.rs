use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Restarts an instance
///
/// Only one that runs; its files, its port and its token stay. If a restart waits already, the answer is about
/// that one.
#[utoipa::path(
    post, path = "/api/instances/{id}/restart", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(("Location", description = "The job"), ("Idempotency-Replayed", description = "`true`: the job was there already")),
    )),
)]
pub async fn restart_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Accepted> {
    accept(app, who, context, path.id, Power::Restart).await
}
