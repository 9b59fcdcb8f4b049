use clawdeploy_shared::{
    db::{instance, instance::seal_context, job, token::TokenScope, version_policy},
    instance::InstanceStatus,
};

use super::InstancePath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    reveal::Revealed,
    state::AppState,
    views::instance::{InstanceView, current},
};

/// Returns an instance, with the token of its gateway
///
/// The gateway's token is included only while the instance runs, and only for its owner. API tokens with the scope
/// `read` do not receive it.
#[utoipa::path(
    get, path = "/api/instances/{id}", tag = "instances", params(InstancePath),
    responses((status = OK, body = InstanceView)),
)]
pub async fn get_instance(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<InstanceView>> {
    let seen = app.read(who.scope(), async |conn| {
        let found = instance::find(conn, who.scope(), &path.id).await?;
        let found = found.ok_or_else(|| AppError::not_found("instance"))?;
        let open = job::open_on(conn, &path.id).await?;
        Ok((found, open, version_policy::versions(conn).await?))
    });
    let ((instance, port), open, versions) = seen.await?;

    let sealed = (instance.status == InstanceStatus::Running
        && instance.owner_id == Some(who.user.id)
        && who.rights >= TokenScope::Operate)
        .then(|| instance.gateway_token_sealed.clone());
    let token = sealed.map(|sealed| app.sealer.open(&sealed, seal_context::gateway_token(&path.id))).transpose();
    let gateway_token = token.map_err(AppError::internal)?.map(Revealed);
    let view = InstanceView::new(instance, port, current(open), &versions, &app);
    Ok(Json(InstanceView { gateway_token, ..view }))
}
