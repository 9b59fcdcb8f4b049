//! Verbs that change containers.

use std::time::Duration;

use bollard::{
    models::ContainerUpdateBody,
    query_parameters::{
        CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
        StopContainerOptionsBuilder,
    },
};
use clawdeploy_shared::ids::InstanceId;

use super::{
    client::{CHANGE_LIMIT, Docker, READ_LIMIT, START_LIMIT, STOP_MARGIN},
    error::DockerError,
    spec::{LABEL_DEPLOYMENT, LABEL_INSTANCE, LABEL_SPEC, container_body, nano_cpus, restart_policy},
};
use crate::runtime::{GatewaySpec, GatewayStatus};

/// How often a create is retried while an invisible or returning container holds the name.
const CREATE_TRIES: usize = 20;
/// Delay between two tries.
const NAME_POLL: Duration = Duration::from_millis(50);
/// How long a frozen container that is replaced may take to end.
const FROZEN_GRACE: Duration = Duration::from_secs(10);
/// Delay between two checks of a removal that something else began.
const REMOVAL_POLL: Duration = Duration::from_millis(100);

/// The container that holds a name.
enum Holder {
    Nobody,
    /// Ours, made from the same body.
    Same(String),
    /// Ours, from another body or no longer usable.
    Stale(String),
    /// As [`Self::Stale`], and frozen: it has not ended yet.
    Frozen(String),
    Stranger,
}

impl Docker {
    /// Ensures that the container of `spec` exists and returns its id. Does not start it.
    ///
    /// An existing container of this instance made from the same body is reused, whatever its state. One from another
    /// body, or whose network is gone, is removed first. A foreign container with that name is left alone and yields
    /// [`DockerError::NameTaken`]. A missing image yields [`DockerError::is_not_found`].
    pub async fn ensure_container(&self, spec: &GatewaySpec) -> Result<String, DockerError> {
        let api = self.api().await?;
        let spec = self.fitted(spec).await?;
        let name = spec.instance.container_name();
        let body = container_body(&spec);
        let hash = body.labels.as_ref().and_then(|labels| labels.get(LABEL_SPEC)).cloned().unwrap_or_default();

        let mut tries = 0;
        loop {
            tries += 1;
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let create = api.create_container(Some(options), body.clone());
            let conflict = match self.run("create the container", CHANGE_LIMIT, create).await {
                Ok(created) => return Ok(created.id),
                Err(error) if error.is_conflict() => error,
                Err(error) => return Err(error),
            };
            match self.holder(&name, &spec.instance, &hash).await? {
                Holder::Same(id) => return Ok(id),
                Holder::Stranger => return Err(DockerError::NameTaken { kind: "container", name }),
                _ if tries == CREATE_TRIES => return Err(conflict),
                Holder::Frozen(id) => {
                    self.stop(&id, FROZEN_GRACE).await?;
                    self.remove(&id).await?;
                }
                Holder::Stale(id) => self.remove(&id).await?,
                // The engine reserves a name before the container is visible, and frees it after.
                Holder::Nobody => tokio::time::sleep(NAME_POLL).await,
            }
        }
    }

    /// Starts a container. A running one is left as it is; a paused one is resumed.
    pub async fn start(&self, id: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        let start = api.start_container(id, None::<StartContainerOptions>);
        match self.run("start the container", START_LIMIT, start).await {
            Err(error) if error.is_conflict() && error.says(&["paused"]) => {
                let unpause = api.unpause_container(id);
                match self.run("unpause the container", CHANGE_LIMIT, unpause).await {
                    Err(error) if error.says(&["is not paused"]) => Ok(()),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// Stops a container: the signal first, the kill after `grace`. A stopped or missing one counts as done.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), DockerError> {
        let api = self.api().await?;
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let stop = api.stop_container(id, Some(StopContainerOptionsBuilder::default().t(seconds).build()));
        done_if_missing(self.run("stop the container", grace + STOP_MARGIN, stop).await)
    }

    /// Removes a container, running or not, with its anonymous volumes. A missing one counts as done.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let remove = api.remove_container(id, Some(options));
        match self.run("remove the container", CHANGE_LIMIT, remove).await {
            Err(error) if error.is_conflict() && error.says(&["already in progress"]) => self.gone(id).await,
            other => done_if_missing(other),
        }
    }

    /// Limits the CPU of a container to `millis` thousandths of a core, at once, even while it runs.
    pub async fn set_cpu(&self, id: &str, millis: i32) -> Result<(), DockerError> {
        let nano_cpus = Some(self.nano_cpus(millis).await?);
        self.update(id, ContainerUpdateBody { nano_cpus, ..ContainerUpdateBody::default() }).await
    }

    /// Limits the CPU of a container, and has the engine start it again when it exits.
    pub async fn prepare_start(&self, id: &str, millis: i32) -> Result<(), DockerError> {
        let (nano_cpus, restart_policy) = (Some(self.nano_cpus(millis).await?), Some(restart_policy(true)));
        self.update(id, ContainerUpdateBody { nano_cpus, restart_policy, ..ContainerUpdateBody::default() }).await
    }

    /// Whether the engine starts a container again when it exits.
    pub async fn restart_by_itself(&self, id: &str, restarts: bool) -> Result<(), DockerError> {
        let restart_policy = Some(restart_policy(restarts));
        self.update(id, ContainerUpdateBody { restart_policy, ..ContainerUpdateBody::default() }).await
    }

    /// CPU limit as the engine takes it, of at most all its CPUs.
    async fn nano_cpus(&self, millis: i32) -> Result<i64, DockerError> {
        Ok(nano_cpus(millis.min(self.engine().await?.cpu_millis)))
    }

    async fn update(&self, id: &str, body: ContainerUpdateBody) -> Result<(), DockerError> {
        let api = self.api().await?;
        self.run("change the container's limits", CHANGE_LIMIT, api.update_container(id, body)).await
    }

    /// `spec` limited to the engine's CPUs, because it refuses more.
    async fn fitted(&self, spec: &GatewaySpec) -> Result<GatewaySpec, DockerError> {
        let most = self.engine().await?.cpu_millis;
        Ok(GatewaySpec {
            cpu_millis: spec.cpu_millis.min(most),
            boost_cpu_millis: spec.boost_cpu_millis.min(most),
            ..spec.clone()
        })
    }

    async fn holder(&self, name: &str, instance: &InstanceId, hash: &str) -> Result<Holder, DockerError> {
        let Some(found) = self.inspect(name).await? else { return Ok(Holder::Nobody) };
        let Some(id) = found.id else { return Ok(Holder::Nobody) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let says = |label: &str, value: &str| labels.get(label).is_some_and(|found| found == value);
        if !says(LABEL_DEPLOYMENT, self.deployment()) || !says(LABEL_INSTANCE, instance.as_str()) {
            return Ok(Holder::Stranger);
        }
        let status = GatewayStatus::from_engine(found.state.and_then(|state| state.status));
        let half_gone = matches!(status, GatewayStatus::Dead | GatewayStatus::Removing);
        if half_gone || !says(LABEL_SPEC, hash) {
            return Ok(if status == GatewayStatus::Paused { Holder::Frozen(id) } else { Holder::Stale(id) });
        }
        // A container that has run refers to its network by id and cannot be started once that network is gone (a prune
        // removes it while the instance is stopped), even if another one has the name.
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let remembered =
            networks.get(name).and_then(|network| network.network_id.as_deref()).filter(|id| !id.is_empty());
        match remembered {
            Some(network) if !self.has_network(instance, network).await? => Ok(Holder::Stale(id)),
            _ => Ok(Holder::Same(id)),
        }
    }

    /// Waits for a removal that something else began.
    async fn gone(&self, id: &str) -> Result<(), DockerError> {
        let watch = async {
            while self.inspect(id).await?.is_some() {
                tokio::time::sleep(REMOVAL_POLL).await;
            }
            Ok(())
        };
        let expired = DockerError::Timeout { operation: "remove the container", after: READ_LIMIT };
        tokio::time::timeout(READ_LIMIT, watch).await.unwrap_or(Err(expired))
    }
}

pub(super) fn done_if_missing(result: Result<(), DockerError>) -> Result<(), DockerError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
