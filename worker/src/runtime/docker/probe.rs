//! The firewall probe: a short-lived container on a network like an instance's.
//!
//! It has fewer rights than an instance and no files, secrets or port. Its two networks stay, because recreating them
//! would cost more than the probe. They carry the deployment's label but no instance's, so the sweep `orphans` leaves
//! them alone, and removing an installation by its label finds them.

use std::{collections::HashMap, time::Duration};

use bollard::{
    errors::Error as BollardError,
    models::{ContainerCreateBody, HealthConfig, HostConfig, Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, StartContainerOptions,
        WaitContainerOptions,
    },
};
use clawdeploy_shared::ports::{ProbePlace, Subnet};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    client::{CHANGE_LIMIT, Docker, READ_LIMIT, START_LIMIT},
    error::DockerError,
    spec::{LABEL_DEPLOYMENT, nano_cpus, restart_policy},
};

/// Marks the container and the networks of the probe.
const LABEL_PROBE: &str = "clawdeploy.probe";
/// Node with a few megabytes of script. Measured: 45 MiB.
const MEMORY: i64 = 128 << 20;

/// One run of the probe.
#[derive(Debug, Clone)]
pub(crate) struct ProbeSpec {
    pub(crate) image_id: String,
    pub(crate) command: Vec<String>,
    /// How long the command may take.
    pub(crate) limit: Duration,
}

impl Docker {
    /// Ensures that both networks of the probe exist.
    pub(crate) async fn ensure_probe_networks(&self, place: &ProbePlace) -> Result<(), DockerError> {
        for (role, network) in [("home", place.home), ("neighbour", place.neighbour)] {
            self.ensure_probe_network(&self.probe_name(role), network).await?;
        }
        Ok(())
    }

    /// Runs the probe and returns its exit code. First removes what a killed worker left of an earlier one.
    pub(crate) async fn run_probe(&self, spec: &ProbeSpec) -> Result<i64, DockerError> {
        for left in self.probes().await? {
            self.remove(&left).await?;
        }
        let api = self.api().await?;
        let name = self.probe_name("home");
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let create = api.create_container(Some(options), self.probe_body(spec, &name));
        let id = self.run("create the probe", CHANGE_LIMIT, create).await?.id;
        let ended = self.probe_ended(&id, spec.limit).await;
        // Whether this fails does not matter: the next run removes it as well.
        let removed = self.remove(&id).await;
        let code = ended?;
        removed?;
        Ok(code)
    }

    async fn probe_ended(&self, id: &str, limit: Duration) -> Result<i64, DockerError> {
        let api = self.api().await?;
        self.run("start the probe", START_LIMIT, api.start_container(id, None::<StartContainerOptions>)).await?;
        let end = async {
            // The library reports a nonzero exit code as an error.
            match api.wait_container(id, None::<WaitContainerOptions>).next().await {
                Some(Ok(ended)) => Ok(ended.status_code),
                Some(Err(BollardError::DockerContainerWaitError { code, .. })) => Ok(code),
                Some(Err(error)) => Err(error),
                None => Ok(-1),
            }
        };
        self.run("wait for the probe", limit, end).await
    }

    /// Ids of the probe's containers, in any state.
    async fn probes(&self) -> Result<Vec<String>, DockerError> {
        let api = self.api().await?;
        let filters = HashMap::from([("label", self.probe_filter())]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.run("list containers", READ_LIMIT, api.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    async fn ensure_probe_network(&self, name: &str, wanted: Subnet) -> Result<(), DockerError> {
        let api = self.api().await?;
        let filters = HashMap::from([("label", self.probe_filter())]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let mut there = false;
        for network in self.run("list networks", READ_LIMIT, api.list_networks(Some(options))).await? {
            let Some(id) = network.id.filter(|_| network.name.as_deref() == Some(name)) else { continue };
            let subnets: Vec<_> = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten()).collect();
            if !there && matches!(subnets.as_slice(), [only] if only.subnet == Some(wanted.cidr())) {
                there = true;
                continue;
            }
            // From another pool, or created twice by two workers at once.
            for container in self.probes().await? {
                self.remove(&container).await?;
            }
            self.run("remove the network", CHANGE_LIMIT, api.remove_network(&id)).await?;
        }
        if !there {
            let create = api.create_network(self.probe_network_body(name, wanted));
            self.run("create the network", CHANGE_LIMIT, create).await?;
        }
        Ok(())
    }

    /// Another deployment on the same engine has other names.
    fn probe_name(&self, role: &str) -> String {
        let digest = hex::encode(Sha256::digest(self.deployment().as_bytes()));
        format!("clawdeploy-probe-{}-{role}", &digest[..10])
    }

    fn probe_filter(&self) -> Vec<String> {
        vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment()), LABEL_PROBE.to_owned()]
    }

    fn probe_labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (LABEL_DEPLOYMENT.to_owned(), self.deployment().to_owned()),
            (LABEL_PROBE.to_owned(), "firewall".to_owned()),
        ])
    }

    fn probe_network_body(&self, name: &str, network: Subnet) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(network.cidr()),
                    gateway: Some(network.gateway().to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            enable_ipv6: Some(false),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
            labels: Some(self.probe_labels()),
            ..NetworkCreateRequest::default()
        }
    }

    fn probe_body(&self, spec: &ProbeSpec, network: &str) -> ContainerCreateBody {
        ContainerCreateBody {
            user: Some("1000:1000".to_owned()),
            entrypoint: Some(Vec::new()),
            cmd: Some(spec.command.clone()),
            working_dir: Some("/".to_owned()),
            image: Some(spec.image_id.clone()),
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
            labels: Some(self.probe_labels()),
            host_config: Some(HostConfig {
                network_mode: Some(network.to_owned()),
                memory: Some(MEMORY),
                memory_swap: Some(MEMORY),
                nano_cpus: Some(nano_cpus(500)),
                pids_limit: Some(64),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                privileged: Some(false),
                init: Some(true),
                readonly_rootfs: Some(true),
                ipc_mode: Some("private".to_owned()),
                oom_score_adj: Some(1000),
                restart_policy: Some(restart_policy(false)),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_has_no_more_rights_than_an_instance_and_nothing_of_anybodys() {
        let docker = Docker::connect("/nonexistent", "d").unwrap();
        let spec = ProbeSpec { image_id: "i".into(), command: vec!["node".into()], limit: Duration::from_secs(1) };
        let body = docker.probe_body(&spec, "n");
        let labels = body.labels.unwrap();
        assert_eq!(labels.get(LABEL_DEPLOYMENT).map(String::as_str), Some("d"));
        assert!(!labels.contains_key(super::super::spec::LABEL_INSTANCE), "the sweep for orphans would take it");
        assert_eq!(body.env, None);
        let host = body.host_config.unwrap();
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!((host.readonly_rootfs, host.privileged), (Some(true), Some(false)));
        assert_eq!((host.mounts, host.binds, host.port_bindings), (None, None, None));
        assert_eq!((host.memory, host.network_mode.as_deref()), (Some(MEMORY), Some("n")));
    }
}
