//! Orphans: containers and networks of this deployment that serve no instance.
//!
//! A container is an orphan when it carries this deployment's label and that of an instance on which no job is open, and
//! that instance has no row, or its row names another container or none. A network is an orphan when its instance has
//! no row and no open job. Names do not matter, and nothing without the labels is ever looked at.
//!
//! An orphan is removed once it was seen in every pass for a minute. A network to which any container is attached is
//! left alone and reported. If there are more orphans than instances, and more than twenty, nothing is removed.

use std::collections::{HashMap, HashSet};

use clawdeploy_shared::{
    db::{
        instance,
        sighting::{self, SightingKind},
        sweep::SweepReport,
    },
    ids::InstanceId,
    telemetry::chain,
};

use super::{ORPHAN_AGE, SweepError, SweepResult, busy, is_doubtful};
use crate::{
    docker::{OwnedContainer, OwnedNetwork},
    engine::Env,
};

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let (containers, networks) = (env.docker.list_owned().await?, env.docker.list_owned_networks().await?);
    let ids: HashSet<&InstanceId> =
        containers.iter().map(|c| &c.instance).chain(networks.iter().map(|n| &n.instance)).collect();
    let rows = Rows::of(env, ids).await?;
    let mut report = SweepReport::of(containers.len() + networks.len());

    let containers: Vec<_> = containers.into_iter().filter_map(|c| rows.why_orphan(&c).map(|code| (c, code))).collect();
    let networks: Vec<_> = networks.into_iter().filter(|n| rows.has_neither(&n.instance)).collect();
    let doubtful = is_doubtful(containers.len() + networks.len(), rows.served.len());

    let seen: Vec<&str> = containers.iter().map(|(c, _)| c.id.as_str()).collect();
    let old = sighting::note(&mut *env.db.conn().await?, SightingKind::Container, &seen, ORPHAN_AGE).await?;
    for (container, code) in &containers {
        if doubtful {
            report.reported("too_many_orphans", &container.id, doubt(&container.name));
        } else if old.contains(&container.id) {
            remove_container(env, container, code, &mut report).await?;
        } else {
            report.watching(code, &container.id, format!("The container {} serves no instance.", container.name));
        }
    }

    let seen: Vec<&str> = networks.iter().map(|n| n.id.as_str()).collect();
    let old = sighting::note(&mut *env.db.conn().await?, SightingKind::Network, &seen, ORPHAN_AGE).await?;
    for network in &networks {
        if doubtful {
            report.reported("too_many_orphans", &network.id, doubt(&network.instance.container_name()));
        } else if old.contains(&network.id) {
            remove_network(env, network, &mut report).await?;
        } else {
            let message = format!("The network of {} serves no instance.", network.instance);
            report.watching("network_without_instance", &network.id, message);
        }
    }
    Ok(report)
}

fn doubt(name: &str) -> String {
    format!(
        "{name} serves no instance, but neither does most of what there is. Is this worker given the right database?"
    )
}

async fn remove_container(
    env: &Env,
    container: &OwnedContainer,
    code: &str,
    report: &mut SweepReport,
) -> Result<(), SweepError> {
    // Asked again: what came before it may have taken a while.
    if Rows::of(env, [&container.instance].into()).await?.why_orphan(container).is_none() {
        return Ok(());
    }
    let name = &container.name;
    match env.docker.remove(&container.id).await.map_err(SweepError::from) {
        Ok(()) => {
            let message = format!("The container {name} served no instance and was removed.");
            report.repaired(code, &container.id, message);
        }
        Err(error) if error.is_hopeless() => return Err(error),
        Err(error) => {
            let message = format!("The container {name} serves no instance and cannot be removed: {}.", chain(&error));
            report.reported("orphan_stays", &container.id, message);
        }
    }
    Ok(())
}

async fn remove_network(env: &Env, network: &OwnedNetwork, report: &mut SweepReport) -> Result<(), SweepError> {
    if !Rows::of(env, [&network.instance].into()).await?.has_neither(&network.instance) {
        return Ok(());
    }
    let of = &network.instance;
    match env.docker.remove_unused_network(network).await.map_err(SweepError::from) {
        Ok(true) => {
            let message = format!("The network of {of} served no instance and was removed.");
            report.repaired("network_without_instance", &network.id, message);
        }
        Ok(false) => {
            let message = format!("The network of {of} serves no instance, but a container is attached to it.");
            report.reported("network_in_use", &network.id, message);
        }
        Err(error) if error.is_hopeless() => return Err(error),
        Err(error) => {
            let message = format!("The network of {of} serves no instance and cannot be removed: {}.", chain(&error));
            report.reported("orphan_stays", &network.id, message);
        }
    }
    Ok(())
}

/// What the tables say about some instances.
struct Rows {
    /// The container of each that has a row.
    served: HashMap<InstanceId, Option<String>>,
    busy: HashSet<InstanceId>,
}

impl Rows {
    async fn of(env: &Env, ids: HashSet<&InstanceId>) -> Result<Self, SweepError> {
        // Jobs first: the one that ends in between has its row written.
        let busy = busy(env, ids.iter().copied()).await?;
        let ids: Vec<&InstanceId> = ids.into_iter().collect();
        let served = instance::containers(&mut *env.db.conn().await?, &ids).await?;
        Ok(Self { served, busy })
    }

    /// Whether an instance has neither a row nor a job.
    fn has_neither(&self, id: &InstanceId) -> bool {
        !self.served.contains_key(id) && !self.busy.contains(id)
    }

    fn why_orphan(&self, container: &OwnedContainer) -> Option<&'static str> {
        if self.busy.contains(&container.instance) {
            return None;
        }
        match self.served.get(&container.instance) {
            None => Some("container_without_instance"),
            Some(served) if served.as_ref() != Some(&container.id) => Some("container_not_in_use"),
            Some(_) => None,
        }
    }
}
