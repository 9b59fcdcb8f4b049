//! Orphans: containers and networks of this deployment that belong to no instance.
//!
//! A container is an orphan if it carries this deployment's label and that of an instance without an open job, and the
//! instance has no row or its row names another container or none. A network is an orphan if its instance has neither a
//! row nor an open job. Names do not matter, and things without the labels are ignored.
//!
//! An orphan is removed after it was seen in every pass for a minute, if the database shows why it belongs to nothing:
//! - the last known job of the instance is a delete that succeeded, or a provision that failed or was cancelled, or the
//!   same of the warm pool (`discard`, `warm_up`); the instance has no row, or one without a container; and its files
//!   are gone, as they would not be had it been restored since;
//! - or the row names another container, which exists.
//!
//! All others are reported and keep running, and so does a network with an attached container: the database may have
//! been restored from an older dump. Their instances are restored from their directories (see `directories`).

use std::collections::{HashMap, HashSet};

use clawdeploy_shared::{
    db::{
        instance,
        orphan_candidate::{self, OrphanKind},
        recoverable,
        sweep::SweepReport,
    },
    ids::InstanceId,
    telemetry::chain,
};

use super::{ORPHAN_AGE, SweepError, SweepResult, busy, listing::Listing};
use crate::{
    env::Env,
    runtime::{OwnedGateway, OwnedNetwork},
};

pub(super) async fn sweep(env: &Env, listing: &Listing) -> SweepResult {
    let (listed, networks) = (listing.of_this_pass(&env.runtime).await?, env.runtime.networks().await?);
    let ids: HashSet<&InstanceId> =
        listed.iter().map(|c| &c.instance).chain(networks.iter().map(|n| &n.instance)).collect();
    let ids: Vec<&InstanceId> = ids.into_iter().collect();
    let served = instance::containers(&mut *env.db.conn().await?, &ids).await?;
    // Usually none, which takes no further statement.
    let strange =
        |found: &&OwnedGateway| served.get(&found.instance).and_then(Option::as_deref) != Some(found.id.as_str());
    let suspects: HashSet<InstanceId> = listed.iter().filter(strange).map(|found| found.instance.clone()).collect();
    let (checked, some) = (listed.len() + networks.len(), !suspects.is_empty());
    // The list may be from the beginning of the pass, and its containers may have been replaced since.
    let containers = if some { listing.refresh(&env.runtime).await? } else { listed };
    let containers: Vec<_> = containers.iter().filter(|found| suspects.contains(&found.instance)).cloned().collect();
    let networks: Vec<_> = networks
        .into_iter()
        .filter(|network| suspects.contains(&network.instance) || !served.contains_key(&network.instance))
        .collect();
    let ids: HashSet<&InstanceId> = suspects.iter().chain(networks.iter().map(|n| &n.instance)).collect();
    let rows = Rows::of(env, ids, &containers).await?;
    let mut report = SweepReport::of(checked);

    let orphans: Vec<_> = containers.iter().filter_map(|c| rows.why_orphan(c).map(|code| (c, code))).collect();
    let seen: Vec<&str> = orphans.iter().map(|(c, _)| c.id.as_str()).collect();
    let old = orphan_candidate::note(&mut *env.db.conn().await?, OrphanKind::Container, &seen, ORPHAN_AGE).await?;
    for (container, code) in orphans {
        let name = &container.name;
        if !rows.shows_why(container) {
            let message =
                format!("The container {name} belongs to no instance, and the database does not show why. It stays.");
            report.reported(code, &container.id, message);
        } else if old.contains(container.id.as_str()) {
            remove_container(env, container, &containers, code, &mut report).await?;
        } else {
            report.watching(code, &container.id, format!("The container {name} belongs to no instance."));
        }
    }

    let orphans: Vec<_> = networks.iter().filter(|n| rows.has_neither(&n.instance)).collect();
    let seen: Vec<&str> = orphans.iter().map(|n| n.id.as_str()).collect();
    let old = orphan_candidate::note(&mut *env.db.conn().await?, OrphanKind::Network, &seen, ORPHAN_AGE).await?;
    for network in orphans {
        let (code, of) = ("network_without_instance", &network.instance);
        if !rows.gone.contains(of) {
            let message =
                format!("The network of {of} belongs to no instance, and the database does not show why. It stays.");
            report.reported(code, &network.id, message);
        } else if old.contains(&network.id) {
            remove_network(env, network, &mut report).await?;
        } else {
            report.watching(code, &network.id, format!("The network of {of} belongs to no instance."));
        }
    }
    Ok(report)
}

async fn remove_container(
    env: &Env,
    container: &OwnedGateway,
    containers: &[OwnedGateway],
    code: &str,
    report: &mut SweepReport,
) -> Result<(), SweepError> {
    // Checked again: the steps before may have taken a while.
    let rows = Rows::of(env, [&container.instance].into(), containers).await?;
    if rows.why_orphan(container).is_none() || !rows.shows_why(container) {
        return Ok(());
    }
    let name = &container.name;
    match env.runtime.remove(&container.id).await.map_err(SweepError::from) {
        Ok(()) => {
            let message = format!("The container {name} belonged to no instance and was removed.");
            report.repaired(code, &container.id, message);
        }
        Err(error) if error.is_hopeless() => return Err(error),
        Err(error) => {
            let message =
                format!("The container {name} belongs to no instance and cannot be removed: {}.", chain(&error));
            report.reported("orphan_stays", &container.id, message);
        }
    }
    Ok(())
}

async fn remove_network(env: &Env, network: &OwnedNetwork, report: &mut SweepReport) -> Result<(), SweepError> {
    let rows = Rows::of(env, [&network.instance].into(), &[]).await?;
    if !rows.has_neither(&network.instance) || !rows.gone.contains(&network.instance) {
        return Ok(());
    }
    let of = &network.instance;
    match env.runtime.remove_unused_network(network).await.map_err(SweepError::from) {
        Ok(true) => {
            let message = format!("The network of {of} belonged to no instance and was removed.");
            report.repaired("network_without_instance", &network.id, message);
        }
        Ok(false) => {
            let message = format!("The network of {of} belongs to no instance, but a container is attached to it.");
            report.reported("network_in_use", &network.id, message);
        }
        Err(error) if error.is_hopeless() => return Err(error),
        Err(error) => {
            let message =
                format!("The network of {of} belongs to no instance and cannot be removed: {}.", chain(&error));
            report.reported("orphan_stays", &network.id, message);
        }
    }
    Ok(())
}

/// What the tables say about these instances.
struct Rows {
    /// The container in each instance's row.
    served: HashMap<InstanceId, Option<String>>,
    busy: HashSet<InstanceId>,
    /// Instances that the database shows to be gone and that have no files.
    gone: HashSet<InstanceId>,
    /// Every existing container of theirs.
    there: HashSet<String>,
}

impl Rows {
    async fn of(env: &Env, ids: HashSet<&InstanceId>, containers: &[OwnedGateway]) -> Result<Self, SweepError> {
        // Jobs first: a job that ends in between has written its row.
        let busy = busy(env, ids.iter().copied()).await?;
        let ids: Vec<&InstanceId> = ids.into_iter().collect();
        let mut conn = env.db.conn().await?;
        let served = instance::containers(&mut conn, &ids).await?;
        let mut gone = HashSet::new();
        for id in recoverable::shown_gone(&mut conn, &ids).await? {
            if !env.files.exists(&id).await? {
                gone.insert(id);
            }
        }
        Ok(Self { served, busy, gone, there: containers.iter().map(|c| c.id.to_string()).collect() })
    }

    /// Whether an instance has neither a row nor a job.
    fn has_neither(&self, id: &InstanceId) -> bool {
        !self.served.contains_key(id) && !self.busy.contains(id)
    }

    fn why_orphan(&self, container: &OwnedGateway) -> Option<&'static str> {
        if self.busy.contains(&container.instance) {
            return None;
        }
        match self.served.get(&container.instance) {
            None => Some("container_without_instance"),
            Some(served) if served.as_deref() != Some(container.id.as_str()) => Some("container_not_in_use"),
            Some(_) => None,
        }
    }

    /// Whether the database shows why an orphan belongs to nothing.
    fn shows_why(&self, container: &OwnedGateway) -> bool {
        match self.served.get(&container.instance) {
            Some(Some(other)) => self.there.contains(other),
            Some(None) | None => self.gone.contains(&container.instance),
        }
    }
}
