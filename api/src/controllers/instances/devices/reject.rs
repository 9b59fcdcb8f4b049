use axum::http::StatusCode;
use clawdeploy_shared::rpc::{RequestArguments, Verb};
use serde_json::{Value, json};

use super::{RequestPath, recorded};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    controllers::instances::running::own_running,
    error::AppResult,
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Rejects a pairing request
///
/// The device can request pairing again.
#[utoipa::path(
    post, path = "/api/instances/{id}/devices/{requestId}/reject", tag = "devices", params(RequestPath),
    responses((status = NO_CONTENT)),
)]
pub async fn reject_device(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<RequestPath>,
) -> AppResult<StatusCode> {
    let (instance, _) = own_running(&app, &who, &path.id).await?;
    let state = app.clone();
    app.change(async move {
        let arguments = RequestArguments { request_id: path.request_id };
        let called: AppResult<Value> = state.rpc.call(Verb::RejectDevice, &path.id, &arguments).await;
        let entry = Entry::new("device.reject", Target::Instance(&path.id)).owned_by(instance.owner_id);
        if let Some(entry) = recorded(entry, &called, json!({ "requestId": path.request_id })) {
            state.db.write(who.own(), async |conn| entry.by(conn, &who, &context).await).await?;
        }
        called.map(|_| StatusCode::NO_CONTENT)
    })
    .await
}
