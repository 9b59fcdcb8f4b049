//! Verbs for networks.
//!
//! The engine allows two networks of one name (before API 1.44), so they are looked up by list and addressed by id.

use std::{collections::HashMap, time::Duration};

use bollard::{
    models::{Network, NetworkDisconnectRequest},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use clawdeploy_shared::ids::InstanceId;

use super::{
    client::{CHANGE_LIMIT, Docker, READ_LIMIT},
    container::done_if_missing,
    error::DockerError,
    inspect::none_if_missing,
    spec::{LABEL_DEPLOYMENT, LABEL_INSTANCE, network_body},
};
use crate::runtime::{GatewayStatus, NetworkSpec};

/// How often a network that is being created is checked: for a second in total, many times what it takes.
pub(super) const ADOPT_TRIES: usize = 10;
pub(super) const ADOPT_PAUSE: Duration = Duration::from_millis(100);

/// A network of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNetwork {
    pub id: String,
    pub instance: InstanceId,
}

impl Docker {
    /// Networks of all instances of this deployment.
    pub async fn list_owned_networks(&self) -> Result<Vec<OwnedNetwork>, DockerError> {
        let api = self.api().await?;
        let labels = vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment()), LABEL_INSTANCE.to_owned()];
        let filters = HashMap::from([("label", labels)]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.run("list networks", READ_LIMIT, api.list_networks(Some(options))).await?;
        Ok(found
            .into_iter()
            .filter_map(|network| {
                let instance = network.labels.as_ref()?.get(LABEL_INSTANCE)?.parse().ok()?;
                Some(OwnedNetwork { id: network.id?, instance })
            })
            .collect())
    }

    /// Removes an unused network. False: a container is attached, so it stays. A missing one counts as done.
    pub async fn remove_unused_network(&self, network: &OwnedNetwork) -> Result<bool, DockerError> {
        for container in self.attached(&network.id).await? {
            if self.inspect_state(&container).await?.is_some() {
                return Ok(false);
            }
        }
        // Remaining endpoints belong to containers that are gone, left by a crash of the engine.
        self.cut_off(&network.id).await?;
        self.remove_network_by_id(&network.id).await?;
        Ok(true)
    }

    /// Ensures that the instance's network exists with the subnet of `spec`.
    ///
    /// Our network with that subnet is reused. Ours with another subnet is recreated, unless a running container is
    /// attached to it ([`DockerError::NetworkBusy`]). A foreign network with that name is left alone and yields
    /// [`DockerError::NameTaken`]; a subnet that overlaps with a foreign one yields [`DockerError::is_subnet_taken`].
    pub async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), DockerError> {
        if self.adopt_network(spec).await? {
            return Ok(());
        }
        let api = self.api().await?;
        let create = api.create_network(network_body(spec));
        match self.run("create the network", CHANGE_LIMIT, create).await {
            // The subnet or name was taken between the check and the create, perhaps by ourselves: the engine reserves
            // a subnet before its network is visible.
            Err(error) if error.is_subnet_taken() || error.is_conflict() => {
                for _ in 0..ADOPT_TRIES {
                    if self.adopt_network(spec).await? {
                        return Ok(());
                    }
                    tokio::time::sleep(ADOPT_PAUSE).await;
                }
                Err(error)
            }
            other => other.map(drop),
        }
    }

    /// Removes the instance's network and disconnects what is attached. A missing one counts as done.
    pub async fn remove_network(&self, instance: &InstanceId) -> Result<(), DockerError> {
        for network in self.networks(instance).await?.into_iter().filter(|found| self.owns(found, instance)) {
            let id = network.id.unwrap_or_default();
            self.cut_off(&id).await?;
            self.remove_network_by_id(&id).await?;
        }
        Ok(())
    }

    /// Whether the network already exists. Removes stale ones of ours.
    async fn adopt_network(&self, spec: &NetworkSpec) -> Result<bool, DockerError> {
        let mut adopted = false;
        for network in self.networks(&spec.instance).await? {
            if !self.owns(&network, &spec.instance) {
                return Err(DockerError::NameTaken { kind: "network", name: spec.instance.container_name() });
            }
            if !adopted && agrees(&network, spec) {
                adopted = true;
                continue;
            }
            let id = network.id.unwrap_or_default();
            if self.has_running_container(&id).await? {
                return Err(DockerError::NetworkBusy { name: spec.instance.container_name() });
            }
            self.cut_off(&id).await?;
            self.remove_network_by_id(&id).await?;
        }
        Ok(adopted)
    }

    /// Whether the instance's network has this id.
    pub(super) async fn has_network(&self, instance: &InstanceId, id: &str) -> Result<bool, DockerError> {
        Ok(self.networks(instance).await?.iter().any(|network| network.id.as_deref() == Some(id)))
    }

    /// Networks with exactly the instance's name.
    pub(super) async fn networks(&self, instance: &InstanceId) -> Result<Vec<Network>, DockerError> {
        let api = self.api().await?;
        let name = instance.container_name();
        // The engine's filter also matches parts of names.
        let filters = HashMap::from([("name", vec![name.clone()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let mut found = self.run("list networks", READ_LIMIT, api.list_networks(Some(options))).await?;
        found.retain(|network| network.name.as_ref() == Some(&name) && network.id.is_some());
        Ok(found)
    }

    fn owns(&self, network: &Network, instance: &InstanceId) -> bool {
        let label = |name: &str| network.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
        label(LABEL_DEPLOYMENT) == Some(self.deployment()) && label(LABEL_INSTANCE) == Some(instance.as_str())
    }

    async fn has_running_container(&self, id: &str) -> Result<bool, DockerError> {
        for container in self.attached(id).await? {
            let found = self.inspect_state(&container).await?.map(|state| state.status);
            if matches!(found, Some(GatewayStatus::Running | GatewayStatus::Paused | GatewayStatus::Restarting)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ids of the containers with an endpoint in a network, including those left by a crash.
    async fn attached(&self, id: &str) -> Result<Vec<String>, DockerError> {
        let api = self.api().await?;
        let inspect = api.inspect_network(id, None::<InspectNetworkOptions>);
        let found = none_if_missing(self.run("inspect the network", READ_LIMIT, inspect).await)?;
        Ok(found.and_then(|network| network.containers).unwrap_or_default().into_keys().collect())
    }

    async fn cut_off(&self, id: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        for container in self.attached(id).await? {
            let request = NetworkDisconnectRequest { container, force: Some(true) };
            let disconnect = api.disconnect_network(id, request);
            match self.run("disconnect a container from its network", CHANGE_LIMIT, disconnect).await {
                Err(error) if error.says(&["is not connected"]) => {}
                other => done_if_missing(other)?,
            }
        }
        Ok(())
    }

    async fn remove_network_by_id(&self, id: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        done_if_missing(self.run("remove the network", CHANGE_LIMIT, api.remove_network(id)).await)
    }
}

/// Whether a network is what [`network_body`] would create.
fn agrees(network: &Network, spec: &NetworkSpec) -> bool {
    let wanted = network_body(spec);
    let options = network.options.clone().unwrap_or_default();
    let subnets: Vec<_> = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten()).collect();
    network.driver == wanted.driver
        && matches!(subnets.as_slice(), [only] if only.subnet == Some(spec.subnet.cidr())
            && only.gateway == Some(spec.subnet.gateway().to_string()))
        && wanted.options.iter().flatten().all(|(name, value)| options.get(name) == Some(value))
}
