//! Which container an errand is about.

use clawdeploy_shared::{ids::InstanceId, inside::RefusalCode};

use super::refusal::Refused;
use crate::docker::{ContainerStatus, Docker};

/// Id of the running container of an instance of this deployment. Going by our labels it cannot be anybody else's.
pub(super) async fn running(docker: &Docker, instance: &InstanceId) -> Result<String, Refused> {
    let found = docker.find_instance_containers(instance).await?;
    if found.is_empty() {
        return Err(Refused::new(RefusalCode::NoContainer, "no container of the instance is on this engine"));
    }
    let running = found.into_iter().find(|container| container.status == ContainerStatus::Running);
    running
        .map(|container| container.id)
        .ok_or_else(|| Refused::new(RefusalCode::NotRunning, "the instance's container does not run"))
}
