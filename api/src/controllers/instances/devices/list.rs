use clawdeploy_shared::inside::{Devices, NoArguments, Verb};

use crate::{
    auth::Principal,
    controllers::instances::{InstancePath, running::own_running},
    error::AppResult,
    extract::{Json, Path},
    state::AppState,
};

/// The devices of an instance: those that wait to be let in, and those that were
///
/// For the owner only, while the instance runs. What a device says of itself is not to be trusted: compare its request id
/// with the one that the device shows.
#[utoipa::path(
    get, path = "/api/instances/{id}/devices", tag = "devices", params(InstancePath),
    responses((status = OK, body = Devices)),
)]
pub async fn list_devices(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Json<Devices>> {
    own_running(&app, &who, &path.id).await?;
    Ok(Json(app.inside.call(Verb::Devices, &path.id, &NoArguments {}).await?))
}
