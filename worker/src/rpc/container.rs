//! Finds the container for a call.

use clawdeploy_shared::{ids::InstanceId, rpc::RefusalCode};

use super::refusal::Refused;
use crate::runtime::{GatewayStatus, Reference, Runtime};

/// Id of the running container of an instance of this deployment. Our labels ensure that it is the right one.
pub(super) async fn running(runtime: &Runtime, instance: &InstanceId) -> Result<Reference, Refused> {
    let found = runtime.gateways_of(instance).await?;
    if found.is_empty() {
        return Err(Refused::new(RefusalCode::NoContainer, "this engine has no container of the instance"));
    }
    let running = found.into_iter().find(|container| container.status == GatewayStatus::Running);
    running
        .map(|container| container.id)
        .ok_or_else(|| Refused::new(RefusalCode::NotRunning, "the instance's container does not run"))
}
