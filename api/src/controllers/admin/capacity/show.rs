use chrono::{DateTime, TimeDelta, Utc};
use clawdeploy_shared::{
    capacity::Capacity,
    db::{
        host::{self, HostMemory, HostUse},
        warm_pool::{self, Pool},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Admin, error::AppResult, extract::Json, state::AppState};

/// The longest forecast. What lies further ahead depends on more than the last two weeks.
const FORECAST_DAYS: f64 = 365.0;

/// Memory of the host, in MiB, and how much of it is promised to instances.
///
/// Instances are admitted by their memory limits. Those that run, or are to run, may have `limitMb` together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityView {
    /// Memory of the host; null: not known.
    memory_mb: Option<i64>,
    /// Part of it that is not for instances; null: not known.
    reserved_mb: Option<i64>,
    /// What the limits of running instances may add up to; null: not limited, or not known.
    limit_mb: Option<i64>,
    /// What the limits of running instances add up to.
    promised_mb: i64,
    /// What is left for others; null as `limitMb`.
    free_mb: Option<i64>,
    /// Memory that their gateways have now; null: not measured within the last minutes.
    used_mb: Option<i64>,
    /// Instances that run or are to run.
    instances: i64,
    /// Instances that sleep. A frozen gateway still has memory, which is not counted here, until others need it.
    asleep: i64,
    /// Memory limits that were added each day, on average over the last two weeks.
    growth_mb_per_day: f64,
    /// When the host will be full if it goes on like this; null: not within a year.
    full_at: Option<DateTime<Utc>>,
    /// The warm pool; null: no worker looks after it.
    warm_pool: Option<WarmPoolView>,
}

/// Instances that have booted and wait for an owner, so that a creation need not wait for a boot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarmPoolView {
    /// How many there should be now; 0: the pool is off, or `heldBack` says why.
    wanted: i32,
    /// Why there are fewer than the setting says: `no_image`, `vulnerable`, `no_network`, `other_versions`, `no_memory`,
    /// `failed` or `others_boot`; more can be added. null: there are not.
    held_back: Option<String>,
    /// How many can be taken now.
    ready: i64,
    /// How many are being made.
    warming: i64,
    /// Memory limits of all of them, in MiB. Instances that need it go first.
    memory_mb: i64,
    /// Since when the oldest one has been ready; null: none is.
    oldest_ready_at: Option<DateTime<Utc>>,
    /// Creations of the last seven days that took one.
    taken: i64,
    /// Creations of the last seven days that found none that fits.
    missed: i64,
}

impl From<Pool> for WarmPoolView {
    fn from(pool: Pool) -> Self {
        Self {
            wanted: pool.wanted,
            held_back: pool.held_back,
            ready: pool.ready,
            warming: pool.warming,
            memory_mb: pool.memory_mb,
            oldest_ready_at: pool.oldest_ready_at,
            taken: pool.taken,
            missed: pool.missed,
        }
    }
}

impl CapacityView {
    fn new(memory: HostMemory, capacity: Option<Capacity>, usage: HostUse, pool: Option<Pool>) -> Self {
        let free_mb = capacity.map(|capacity| capacity.free_mb());
        Self {
            memory_mb: memory.total_mb,
            reserved_mb: capacity.map(|capacity| capacity.reserved_mb),
            limit_mb: capacity.map(|capacity| capacity.limit_mb),
            promised_mb: memory.promised_mb,
            free_mb,
            used_mb: usage.used_mb,
            instances: usage.instances,
            asleep: usage.asleep,
            growth_mb_per_day: usage.growth_mb_per_day,
            full_at: free_mb.and_then(|free| full_at(Utc::now(), free, usage.growth_mb_per_day)),
            warm_pool: pool.map(WarmPoolView::from),
        }
    }
}

/// When `free_mb` is used up if `per_day` goes on.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "MiB of one host, and days of a year")]
fn full_at(now: DateTime<Utc>, free_mb: i64, per_day: f64) -> Option<DateTime<Utc>> {
    let days = free_mb as f64 / per_day;
    (days <= FORECAST_DAYS).then(|| now + TimeDelta::seconds((days * 86_400.0) as i64))
}

/// Returns the memory of the host, and how much of it is promised to instances
#[utoipa::path(get, path = "/api/admin/capacity", tag = "admin", responses((status = OK, body = CapacityView)))]
pub async fn get_capacity(app: AppState, _: Admin) -> AppResult<Json<CapacityView>> {
    let mut conn = app.db.conn().await?;
    let memory = host::memory(&mut conn, None).await?;
    let usage = host::usage(&mut conn).await?;
    let pool = warm_pool::pool(&mut conn).await?;
    Ok(Json(CapacityView::new(memory, app.capacity.of(memory), usage, pool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_host_is_full() {
        let now = DateTime::UNIX_EPOCH;
        let days = |free, per_day| full_at(now, free, per_day).map(|at| (at - now).num_days());
        assert_eq!(days(20_480, 2048.0), Some(10));
        assert_eq!(days(0, 2048.0), Some(0));
        // Nothing grows, or hardly.
        assert_eq!(days(20_480, 0.0), None);
        assert_eq!(days(0, 0.0), None);
        assert_eq!(days(20_480, 1.0), None);
    }
}
