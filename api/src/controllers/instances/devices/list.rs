use clawdeploy_shared::rpc::{Devices, NoArguments, Verb};

use crate::{
    auth::Principal,
    controllers::instances::{InstancePath, running::own_running},
    error::AppResult,
    extract::{Json, Path},
    state::AppState,
};

/// Lists the paired devices of an instance, and its pairing requests
///
/// For the owner only, while the instance runs. What a device says about itself is not verified: before you approve a
/// request, compare its id with the one that the device shows.
#[utoipa::path(
    get, path = "/api/instances/{id}/devices", tag = "devices", params(InstancePath),
    responses((status = OK, body = Devices)),
)]
pub async fn list_devices(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Json<Devices>> {
    own_running(&app, &who, &path.id).await?;
    Ok(Json(app.rpc.call(Verb::Devices, &path.id, &NoArguments {}).await?))
}
