//! How many instances a host carries.
//!
//! Memory is what a host runs out of: an idle gateway has 0.6 GiB, and one at work about 1 GiB of its default limit of
//! 2 GiB. So instances are admitted by their memory limits: those that run may have a multiple of the host's memory
//! together, less what the host needs itself. Stopped instances count for nothing.

use clap::Args;

use crate::db::host::HostMemory;

/// The least that a host needs for itself, in MiB: its system, Postgres, Redis, and our programs.
const LEAST_RESERVED_MB: i64 = 1024;

#[derive(Debug, Clone, Copy, Args)]
pub struct CapacityArgs {
    /// Memory limits of all running instances together, as a multiple of the host's memory for instances; 0: unlimited
    #[arg(long, env = "CLAWDEPLOY_MEMORY_OVERCOMMIT", default_value = "2", value_parser = overcommit)]
    pub memory_overcommit: f64,

    /// Memory of the host that is not for instances, in MiB; unset: a tenth, and at least 1024
    #[arg(long, env = "CLAWDEPLOY_RESERVED_MEMORY_MB")]
    pub reserved_memory_mb: Option<u32>,
}

fn overcommit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        _ => Err("must be a number from 0 to 100".to_owned()),
    }
}

/// The memory of a host and what is promised of it, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub reserved_mb: i64,
    /// What the limits of running instances may add up to.
    pub limit_mb: i64,
    pub promised_mb: i64,
}

impl Capacity {
    /// What another instance may have.
    pub fn free_mb(&self) -> i64 {
        (self.limit_mb - self.promised_mb).max(0)
    }
}

impl CapacityArgs {
    /// Whether instances are admitted by memory at all.
    pub fn limits(&self) -> bool {
        self.memory_overcommit > 0.0
    }

    /// The capacity of a host. `None`: instances are not limited by memory, or the host's is not known.
    pub fn of(&self, memory: HostMemory) -> Option<Capacity> {
        let total_mb = memory.total_mb.filter(|_| self.limits())?;
        let reserved = self.reserved_memory_mb.map_or_else(|| (total_mb / 10).max(LEAST_RESERVED_MB), i64::from);
        let reserved_mb = reserved.min(total_mb);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "MiB of one host")]
        let limit_mb = ((total_mb - reserved_mb) as f64 * self.memory_overcommit) as i64;
        Some(Capacity { reserved_mb, limit_mb, promised_mb: memory.promised_mb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(memory_overcommit: f64, reserved_memory_mb: Option<u32>) -> CapacityArgs {
        CapacityArgs { memory_overcommit, reserved_memory_mb }
    }

    fn memory(total_mb: i64, promised_mb: i64) -> HostMemory {
        HostMemory { total_mb: Some(total_mb), promised_mb }
    }

    #[test]
    fn what_a_host_carries() {
        for (args, memory, limit_mb, free_mb) in [
            // Fourteen of 2 GiB on 16 GiB.
            (args(2.0, None), memory(16_384, 2048), 29_492, 27_444),
            (args(1.0, None), memory(4096, 0), 3072, 3072),
            (args(2.0, Some(4096)), memory(16_384, 30_000), 24_576, 0),
            (args(1.5, Some(9000)), memory(8192, 0), 0, 0),
        ] {
            let capacity = args.of(memory).unwrap();
            assert_eq!((capacity.limit_mb, capacity.free_mb()), (limit_mb, free_mb), "{args:?} {memory:?}");
        }
    }

    #[test]
    fn nothing_is_limited_where_the_memory_is_not_known_or_not_to_be_looked_at() {
        assert_eq!(args(0.0, None).of(memory(16_384, 0)), None);
        assert_eq!(args(2.0, None).of(HostMemory { total_mb: None, promised_mb: 0 }), None);
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused() {
        assert_eq!(["0", "1.5", "100"].map(|text| overcommit(text).is_ok()), [true; 3]);
        assert_eq!(["-1", "101", "NaN", "inf", "two", ""].map(|text| overcommit(text).is_err()), [true; 6]);
    }
}
