//! The usage of an instance, second by second.

use axum::response::Response;
use chrono::{DateTime, Utc};
use clawdeploy_shared::{ids::InstanceId, rpc::usage::Usage};
use futures_util::{StreamExt as _, stream::unfold};

use super::{Rpc, container, refusal::Refused, stream};
use crate::runtime::Counters;

pub(super) async fn answer(rpc: &Rpc, id: &InstanceId) -> Result<Response, Refused> {
    let container = container::running(&rpc.env.runtime, id).await?;
    let counters = rpc.env.runtime.follow_counters(&container).await?;
    let (usage, id) = (rpc.env.usage.clone(), id.clone());
    let begin = (counters, None);
    let usages = unfold(begin, move |(mut counters, before)| {
        let (usage, id) = (usage.clone(), id.clone());
        async move {
            // For an exited container the engine still reports, with zeros.
            let now = counters.next().await?.ok().filter(|now| now.pids > 0)?;
            let now = (Utc::now(), now);
            // A rate needs two measurements.
            let told = match before {
                Some(before) => Some(between(before, now, usage.disk(&id).await)),
                None => None,
            };
            Some((told, (counters, Some(now))))
        }
    });
    let usages = usages.filter_map(std::future::ready);
    Ok(stream::answer(usages, rpc.env.draining.clone()))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn between(before: (DateTime<Utc>, Counters), now: (DateTime<Utc>, Counters), disk_bytes: Option<u64>) -> Usage {
    let ((began, before), (at, now)) = (before, now);
    let passed = (at - began).num_nanoseconds().unwrap_or(i64::MAX).max(1);
    let cpu = now.cpu_ns.saturating_sub(before.cpu_ns) as f64 / passed as f64 * 1000.0;
    Usage {
        at,
        cpu_percent: cpu.round() / 10.0,
        memory_bytes: now.memory_bytes,
        memory_limit_bytes: now.memory_limit_bytes,
        network_rx_bytes: now.network_rx_bytes,
        network_tx_bytes: now.network_tx_bytes,
        disk_bytes,
        pids: now.pids,
    }
}
