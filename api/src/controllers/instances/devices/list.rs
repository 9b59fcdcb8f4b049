use clawdeploy_shared::rpc::{Devices, NoArguments, Verb};

use crate::{
    auth::Principal,
    controllers::instances::{InstancePath, running::own_running},
    error::AppResult,
    extract::{Json, Path},
    state::AppState,
};

/// The paired devices of an instance, and its pairing requests
///
/// For the owner only, while the instance runs. Do not trust what a device says of itself: compare its request id with the one
/// that the device shows.
#[utoipa::path(
    get, path = "/api/instances/{id}/devices", tag = "devices", params(InstancePath),
    responses((status = OK, body = Devices)),
)]
pub async fn list_devices(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Json<Devices>> {
    own_running(&app, &who, &path.id).await?;
    Ok(Json(app.rpc.call(Verb::Devices, &path.id, &NoArguments {}).await?))
}
