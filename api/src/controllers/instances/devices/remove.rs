use axum::http::StatusCode;
use clawdeploy_shared::rpc::{DeviceArguments, Verb};
use serde_json::{Value, json};

use super::{DevicePath, recorded};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    controllers::instances::running::own_running,
    error::AppResult,
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Removes a paired device
#[utoipa::path(
    delete, path = "/api/instances/{id}/devices/{deviceId}", tag = "devices", params(DevicePath),
    responses((status = NO_CONTENT)),
)]
pub async fn remove_device(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<DevicePath>,
) -> AppResult<StatusCode> {
    let (instance, _) = own_running(&app, &who, &path.id).await?;
    let state = app.clone();
    app.change(async move {
        let arguments = DeviceArguments { device_id: path.device_id };
        let called: AppResult<Value> = state.rpc.call(Verb::RemoveDevice, &path.id, &arguments).await;
        let entry = Entry::new("device.remove", Target::Instance(&path.id)).owned_by(instance.owner_id);
        if let Some(entry) = recorded(entry, &called, json!({ "deviceId": arguments.device_id })) {
            state.db.write(who.own(), async |conn| entry.by(conn, &who, &context).await).await?;
        }
        called.map(|_| StatusCode::NO_CONTENT)
    })
    .await
}
