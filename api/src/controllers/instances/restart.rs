use super::{
    Accepted, InstancePath,
    power::{Power, accept},
};
use crate::{auth::Principal, error::AppResult, extract::Path, middleware::RequestContext, state::AppState};

/// Restarts an instance
///
/// The instance must be running; its files, port and token stay. If a restart is already queued, the answer describes that one.
#[utoipa::path(
    post, path = "/api/instances/{id}/restart", tag = "instances", params(InstancePath),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(("Location", description = "The job"), ("Idempotency-Replayed", description = "`true`: the job existed already")),
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
