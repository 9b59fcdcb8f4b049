//! Resource usage of containers.

use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptionsBuilder};
use futures_util::{Stream, StreamExt as _};

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
};

/// Counters of a container since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) cpu_ns: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) network_rx_bytes: u64,
    pub(crate) network_tx_bytes: u64,
    pub(crate) pids: u64,
}

impl Docker {
    /// Counters of a running container now. `None`: it does not run or does not exist.
    pub(crate) async fn counters(&self, container: &str) -> Result<Option<Counters>, DockerError> {
        let api = self.api().await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = api.stats(container, Some(options)).boxed();
        let first = async { stats.next().await.transpose() };
        match self.run("measure the container", READ_LIMIT, first).await {
            Ok(stats) => Ok(stats.map(counters).filter(|counters| counters.pids > 0)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same about once a second, until the container exits.
    pub(crate) async fn follow_counters(
        &self,
        container: &str,
    ) -> Result<impl Stream<Item = Result<Counters, DockerError>> + use<>, DockerError> {
        let api = self.api().await?;
        let docker = self.clone();
        let options = StatsOptionsBuilder::default().stream(true).build();
        let stats = api.stats(container, Some(options));
        Ok(stats.map(move |stats| stats.map(counters).map_err(|error| docker.failed("measure the container", error))))
    }
}

fn counters(stats: ContainerStatsResponse) -> Counters {
    let cpu_ns = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or_default();
    let memory = stats.memory_stats.unwrap_or_default();
    let details = memory.stats.unwrap_or_default();
    // Page cache that the kernel can reclaim. The name differs between cgroup versions.
    let reclaimable = ["inactive_file", "total_inactive_file"].iter().find_map(|name| details.get(*name)).copied();
    let networks = stats.networks.unwrap_or_default();
    let sum = |of: fn(&bollard::models::ContainerNetworkStats) -> Option<u64>| networks.values().filter_map(of).sum();
    Counters {
        cpu_ns,
        memory_bytes: memory.usage.unwrap_or_default().saturating_sub(reclaimable.unwrap_or_default()),
        memory_limit_bytes: memory.limit.unwrap_or_default(),
        network_rx_bytes: sum(|network| network.rx_bytes),
        network_tx_bytes: sum(|network| network.tx_bytes),
        pids: stats.pids_stats.and_then(|pids| pids.current).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_what_the_engine_says() {
        let said = serde_json::json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 5_000_000 } },
            "memory_stats": { "usage": 1000, "limit": 4000, "stats": { "inactive_file": 300 } },
            "networks": { "eth0": { "rx_bytes": 10, "tx_bytes": 20 }, "eth1": { "rx_bytes": 1, "tx_bytes": 2 } },
            "pids_stats": { "current": 7 },
        });
        let read = counters(serde_json::from_value(said).unwrap());
        let want = Counters {
            cpu_ns: 5_000_000,
            memory_bytes: 700,
            memory_limit_bytes: 4000,
            network_rx_bytes: 11,
            network_tx_bytes: 22,
            pids: 7,
        };
        assert_eq!(read, want);
        assert_eq!(counters(ContainerStatsResponse::default()), Counters::default());
    }
}
