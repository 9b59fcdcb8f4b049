//! The warm pool: instances that have booted and belong to nobody yet. A creation takes one, and need not wait for a boot.

use std::{fmt, str::FromStr};

use clap::Args;

use crate::text_enum;

/// Most warm instances. Each takes as much memory as a gateway that runs.
pub const MOST: u16 = 24;

/// What `auto` stands for.
const AUTO: PoolSize = PoolSize { least: 1, most: 8 };

#[derive(Debug, Clone, Copy, Args)]
pub struct WarmPoolArgs {
    /// Booted instances that wait for an owner: a number, a range such as 1-4 or `auto` to follow demand; 0: none
    #[arg(long, env = "CLAWDEPLOY_WARM_POOL", default_value = "1")]
    pub warm_pool: PoolSize,
}

/// How many warm instances there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    pub least: u16,
    pub most: u16,
}

impl PoolSize {
    /// How many there should be after this many creations within some minutes: one more than were needed, within the
    /// bounds. If there was none, as few as possible.
    pub fn wanted(self, lately: i64) -> u16 {
        let next = if lately > 0 { lately.saturating_add(1) } else { 0 };
        u16::try_from(next).unwrap_or(u16::MAX).clamp(self.least, self.most)
    }
}

text_enum!(
    /// Why there are fewer warm instances than the setting says.
    HeldBack {
        /// There is no image yet.
        NoImage = "no_image",
        /// The version of OpenClaw in the image may not be started.
        Vulnerable = "vulnerable",
        /// The address pool has no room for the network of the warm pool.
        NoNetwork = "no_network",
        /// Workers of another version are alive.
        OtherVersions = "other_versions",
        /// The host has no memory left for more.
        NoMemory = "no_memory",
        /// The last one could not be made, or not be removed.
        Failed = "failed",
        /// Other gateways are booting.
        OthersBoot = "others_boot",
    }
);

impl FromStr for PoolSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not a number or range from 0 to {MOST}; write it as 2, 1-4 or auto");
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number <= MOST).ok_or_else(form);
        if text == "auto" {
            return Ok(AUTO);
        }
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let size = Self { least: number(least)?, most: number(most)? };
        if size.least > size.most { Err(form()) } else { Ok(size) }
    }
}

impl fmt::Display for PoolSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most { write!(f, "{}", self.least) } else { write!(f, "{}-{}", self.least, self.most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_or_a_range() {
        let parse = |text: &str| text.parse::<PoolSize>();
        assert_eq!(parse("0"), Ok(PoolSize { least: 0, most: 0 }));
        assert_eq!(parse("1-4"), Ok(PoolSize { least: 1, most: 4 }));
        assert_eq!(parse("auto"), Ok(AUTO));
        for bad in ["", "-", "-1", "4-1", "25", "1-25", "one", "1-4-8"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn it_follows_the_demand_within_its_bounds() {
        let wanted = |text: &str, lately| text.parse::<PoolSize>().unwrap().wanted(lately);
        assert_eq!([0, 1, 3, 100, i64::MAX].map(|lately| wanted("1-4", lately)), [1, 2, 4, 4, 4]);
        assert_eq!([0, 100].map(|lately| wanted("2", lately)), [2, 2]);
        assert_eq!([0, 100].map(|lately| wanted("0", lately)), [0, 0]);
        assert_eq!([0, 1].map(|lately| wanted("0-4", lately)), [0, 2]);
    }
}
