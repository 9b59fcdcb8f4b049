//! Verbs for gateways of the warm pool: their network, and freezing them.
//!
//! Warm gateways boot in an internal network that all of them share. It leads nowhere, and containers in it cannot talk to
//! each other. A container is moved to its own network while it is frozen; only then does the engine publish its port. The
//! network stays. It carries the deployment's label but no instance's, so the sweep `orphans` leaves it alone, and removing
//! an installation by its label finds it.

use std::collections::HashMap;

use bollard::{
    models::{
        ContainerUpdateBody, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    },
    query_parameters::ListNetworksOptionsBuilder,
};
use clawdeploy_shared::{ids::InstanceId, ports::Subnet};
use sha2::{Digest as _, Sha256};

use super::{
    client::{CHANGE_LIMIT, Docker, READ_LIMIT},
    error::DockerError,
    network::{ADOPT_PAUSE, ADOPT_TRIES},
    spec::LABEL_DEPLOYMENT,
};

/// Share of the CPU that a warm gateway gets while others want it too, and the usual one. Nobody waits for its boot.
const LOW_SHARES: i64 = 64;
const USUAL_SHARES: i64 = 1024;

/// Marks the network of the warm pool.
const LABEL_WARM: &str = "clawdeploy.warm";

impl Docker {
    /// Freezes a running container. A frozen one is left as it is.
    pub async fn freeze(&self, id: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        match self.run("pause the container", CHANGE_LIMIT, api.pause_container(id)).await {
            Err(error) if error.says(&["already paused"]) => Ok(()),
            other => other,
        }
    }

    /// Attaches a container that has not started to the warm pool's network, and to no other.
    pub async fn seclude(&self, id: &str, place: Subnet) -> Result<(), DockerError> {
        let name = self.ensure_warm_network(place).await?;
        self.set_shares(id, LOW_SHARES).await?;
        self.connect_only(id, &name, &name).await
    }

    async fn set_shares(&self, id: &str, shares: i64) -> Result<(), DockerError> {
        let api = self.api().await?;
        let body = ContainerUpdateBody { cpu_shares: Some(shares), ..ContainerUpdateBody::default() };
        self.run("set the container's share of the CPU", CHANGE_LIMIT, api.update_container(id, body)).await
    }

    /// Attaches a container to the network of its instance, and to no other, and gives it the usual share of the CPU.
    pub async fn admit(&self, id: &str, instance: &InstanceId) -> Result<(), DockerError> {
        self.set_shares(id, USUAL_SHARES).await?;
        let name = instance.container_name();
        let network = self.networks(instance).await?.into_iter().find_map(|network| network.id);
        self.connect_only(id, &name, network.as_deref().unwrap_or(&name)).await
    }

    /// Attaches a container to the network of this name and id, and to no other. The new network comes first, because the
    /// engine attaches a container without any to the one it was created for.
    async fn connect_only(&self, id: &str, name: &str, network: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        let found = self.inspect(id).await?.and_then(|found| found.network_settings?.networks).unwrap_or_default();
        if !found.contains_key(name) {
            let request = NetworkConnectRequest { container: id.to_owned(), ..NetworkConnectRequest::default() };
            let connect = api.connect_network(network, request);
            self.run("connect the container to a network", CHANGE_LIMIT, connect).await?;
        }
        for other in found.keys().filter(|other| *other != name) {
            let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
            let disconnect = api.disconnect_network(other, request);
            match self.run("disconnect the container from a network", CHANGE_LIMIT, disconnect).await {
                Err(error) if error.says(&["is not connected"]) || error.is_not_found() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// The name of the warm pool's network, which exists from now on.
    async fn ensure_warm_network(&self, place: Subnet) -> Result<String, DockerError> {
        let api = self.api().await?;
        let name = self.warm_name(place);
        if self.has_warm_network(&name).await? {
            return Ok(name);
        }
        let create = api.create_network(self.warm_network_body(&name, place));
        match self.run("create the network", CHANGE_LIMIT, create).await {
            // Another worker may have been faster. Before API 1.44 the engine only notices that the addresses are taken, and
            // it reserves them before the network is visible.
            Err(error) if error.is_conflict() || error.is_subnet_taken() => {
                for _ in 0..ADOPT_TRIES {
                    if self.has_warm_network(&name).await? {
                        return Ok(name);
                    }
                    tokio::time::sleep(ADOPT_PAUSE).await;
                }
                Err(error)
            }
            other => other.map(|_| name),
        }
    }

    async fn has_warm_network(&self, name: &str) -> Result<bool, DockerError> {
        let api = self.api().await?;
        let labels = vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment()), LABEL_WARM.to_owned()];
        let filters = HashMap::from([("label", labels)]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.run("list networks", READ_LIMIT, api.list_networks(Some(options))).await?;
        Ok(found.iter().any(|network| network.name.as_deref() == Some(name)))
    }

    /// Another deployment on the same engine has another one, and so has another address pool.
    fn warm_name(&self, place: Subnet) -> String {
        let digest = hex::encode(Sha256::digest(format!("{} {}", self.deployment(), place.cidr())));
        format!("clawdeploy-warm-{}", &digest[..10])
    }

    fn warm_network_body(&self, name: &str, place: Subnet) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(place.cidr()),
                    gateway: Some(place.gateway().to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            enable_ipv6: Some(false),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
            labels: Some(HashMap::from([
                (LABEL_DEPLOYMENT.to_owned(), self.deployment().to_owned()),
                (LABEL_WARM.to_owned(), "boot".to_owned()),
            ])),
            ..NetworkCreateRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::ports::NetworkPool;

    use super::*;

    #[test]
    fn warm_gateways_reach_nothing_and_their_network_is_no_instances() {
        let docker = Docker::connect("/nonexistent", "d").unwrap();
        let pool: NetworkPool = "10.210.0.0/15".parse().unwrap();
        let place = pool.warm_place("10000-20000".parse().unwrap()).unwrap();
        let body = docker.warm_network_body("n", place);
        assert_eq!(body.internal, Some(true));
        let icc = body.options.unwrap().remove("com.docker.network.bridge.enable_icc");
        assert_eq!(icc.as_deref(), Some("false"));
        let labels = body.labels.unwrap();
        assert_eq!(labels.get(LABEL_DEPLOYMENT).map(String::as_str), Some("d"));
        assert!(!labels.contains_key(super::super::spec::LABEL_INSTANCE), "the sweep for orphans would take it");
    }
}
