use clawdeploy_shared::rpc::{PairedDevice, RequestArguments, Verb};
use serde_json::json;

use super::{RequestPath, recorded};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    controllers::instances::running::own_running,
    error::AppResult,
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
};

/// Approves a pairing request
#[utoipa::path(
    post, path = "/api/instances/{id}/devices/{requestId}/approve", tag = "devices", params(RequestPath),
    responses((status = OK, body = PairedDevice)),
)]
pub async fn approve_device(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<RequestPath>,
) -> AppResult<Json<PairedDevice>> {
    let (instance, _) = own_running(&app, &who, &path.id).await?;
    let state = app.clone();
    let device = app
        .change(async move {
            let arguments = RequestArguments { request_id: path.request_id };
            let called: AppResult<PairedDevice> = state.rpc.call(Verb::ApproveDevice, &path.id, &arguments).await;
            let detail = match &called {
                Ok(device) => json!({
                    "requestId": path.request_id, "deviceId": device.device_id, "role": device.role,
                    "scopes": device.scopes, "remoteIp": device.remote_ip,
                }),
                Err(_) => json!({ "requestId": path.request_id }),
            };
            let entry = Entry::new("device.approve", Target::Instance(&path.id)).owned_by(instance.owner_id);
            if let Some(entry) = recorded(entry, &called, detail) {
                state.db.write(who.own(), async |conn| entry.by(conn, &who, &context).await).await?;
            }
            called
        })
        .await?;
    Ok(Json(device))
}
