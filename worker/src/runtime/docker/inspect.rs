//! Verbs that only read.

use std::collections::HashMap;

use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum},
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use chrono::{DateTime, Datelike as _, Utc};
use clawdeploy_shared::{ids::InstanceId, openclaw::GATEWAY_PORT};

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
    listed::owned,
    spec::{LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_OPENCLAW_VERSION},
};
use crate::runtime::{GatewayState, GatewayStatus, OwnedGateway};

impl GatewayStatus {
    pub(super) fn from_engine(status: Option<ContainerStateStatusEnum>) -> Self {
        use ContainerStateStatusEnum as Engine;
        match status {
            Some(Engine::RUNNING | Engine::STOPPING) => Self::Running,
            Some(Engine::PAUSED) => Self::Paused,
            Some(Engine::RESTARTING) => Self::Restarting,
            Some(Engine::REMOVING) => Self::Removing,
            Some(Engine::EXITED) => Self::Exited,
            Some(Engine::DEAD) => Self::Dead,
            Some(Engine::CREATED | Engine::EMPTY) | None => Self::Created,
        }
    }
}

impl Docker {
    /// Id of the image that `reference` names now. `None`: this engine has no such image.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, DockerError> {
        Ok(self.inspect_image(reference).await?.and_then(|image| image.id))
    }

    /// Version of OpenClaw in an image, by its label. `None` without image or label.
    pub async fn image_version(&self, reference: &str) -> Result<Option<String>, DockerError> {
        let labels = self.inspect_image(reference).await?.and_then(|image| image.config).and_then(|c| c.labels);
        Ok(labels.and_then(|mut labels| labels.remove(LABEL_OPENCLAW_VERSION)))
    }

    /// Containers of one instance, usually one or none.
    pub async fn find_instance_containers(&self, instance: &InstanceId) -> Result<Vec<OwnedGateway>, DockerError> {
        self.list(Some(instance)).await
    }

    /// Containers of all instances of this deployment, in any state.
    pub async fn list_owned(&self) -> Result<Vec<OwnedGateway>, DockerError> {
        self.list(None).await
    }

    /// State of a container. `None`: it does not exist.
    pub async fn inspect_state(&self, id: &str) -> Result<Option<GatewayState>, DockerError> {
        Ok(self.inspect(id).await?.map(state_of))
    }

    /// Host port of a container's gateway. `None`: there is no such container or port.
    pub async fn host_port(&self, id: &str) -> Result<Option<u16>, DockerError> {
        let bindings = self.inspect(id).await?.and_then(|found| found.host_config?.port_bindings).unwrap_or_default();
        let bound = bindings.get(&format!("{GATEWAY_PORT}/tcp")).cloned().flatten().unwrap_or_default();
        Ok(bound.into_iter().find_map(|binding| binding.host_port?.parse().ok()))
    }

    pub(super) async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>, DockerError> {
        let api = self.api().await?;
        let inspect = api.inspect_container(id, None::<InspectContainerOptions>);
        none_if_missing(self.run("inspect the container", READ_LIMIT, inspect).await)
    }

    pub(crate) async fn inspect_image(
        &self,
        reference: &str,
    ) -> Result<Option<bollard::models::ImageInspect>, DockerError> {
        let api = self.api().await?;
        none_if_missing(self.run("inspect the image", READ_LIMIT, api.inspect_image(reference)).await)
    }

    async fn list(&self, instance: Option<&InstanceId>) -> Result<Vec<OwnedGateway>, DockerError> {
        let api = self.api().await?;
        let mut labels = vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment())];
        labels.push(instance.map_or_else(|| LABEL_INSTANCE.to_owned(), |id| format!("{LABEL_INSTANCE}={id}")));
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.run("list containers", READ_LIMIT, api.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(owned).collect())
    }
}

fn state_of(found: ContainerInspectResponse) -> GatewayState {
    let state = found.state.unwrap_or_default();
    let status = GatewayStatus::from_engine(state.status);
    let ended = matches!(status, GatewayStatus::Exited | GatewayStatus::Restarting | GatewayStatus::Dead);
    let nano_cpus = found.host_config.and_then(|host| host.nano_cpus).unwrap_or_default();
    GatewayState {
        status,
        exit_code: state.exit_code.filter(|_| ended),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: found.restart_count.unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(engine_time),
        image_id: found.image.unwrap_or_default(),
        cpu_millis: i32::try_from(nano_cpus / 1_000_000).unwrap_or(i32::MAX),
        error: state.error.filter(|error| !error.is_empty()),
    }
}

/// The engine writes "never" as the year 1.
fn engine_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (time.year() > 1).then_some(time)
}

pub(super) fn none_if_missing<T>(result: Result<T, DockerError>) -> Result<Option<T>, DockerError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_started_is_no_time() {
        assert_eq!(engine_time("0001-01-01T00:00:00Z"), None);
        assert!(engine_time("2026-11-22T10:00:00.123456789Z").is_some());
    }

    #[test]
    fn a_running_container_has_no_exit_code() {
        let inspect = |status, exit_code| {
            let state = bollard::models::ContainerState {
                status: Some(status),
                exit_code: Some(exit_code),
                ..bollard::models::ContainerState::default()
            };
            state_of(ContainerInspectResponse { state: Some(state), ..ContainerInspectResponse::default() })
        };
        assert_eq!(inspect(ContainerStateStatusEnum::RUNNING, 0).exit_code, None);
        assert_eq!(inspect(ContainerStateStatusEnum::EXITED, 78).exit_code, Some(78));
        assert_eq!(inspect(ContainerStateStatusEnum::CREATED, 0).exit_code, None);
    }
}
