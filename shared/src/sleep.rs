//! Instances that nobody uses fall asleep until somebody or something needs them. Their gateways are frozen for a while,
//! and then stopped.

use clap::Args;

use crate::{db::instance::Instance, instance::Channel, text_enum};

/// The longest time, in minutes: a week.
pub const MOST_MINUTES: i32 = 7 * 24 * 60;

#[derive(Debug, Clone, Copy, Args)]
pub struct SleepArgs {
    /// Idle minutes after which an instance without a chat channel falls asleep; 0: never
    #[arg(long, env = "CLAWDEPLOY_SLEEP_MINUTES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_080))]
    pub sleep_minutes: u16,
    /// Minutes for which the gateway of an instance that falls asleep is frozen before it is stopped; 0: it is stopped at
    /// once
    #[arg(long, env = "CLAWDEPLOY_FROZEN_MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=10_080))]
    pub frozen_minutes: u16,
}

impl SleepArgs {
    /// Idle minutes after which an instance falls asleep. `None`: it never does.
    ///
    /// With a channel it does only if its owner wants that: it hears no message while it sleeps.
    pub fn minutes(self, instance: &Instance) -> Option<i32> {
        let usual = if instance.channel == Channel::None { i32::from(self.sleep_minutes) } else { 0 };
        Some(instance.sleep_minutes.unwrap_or(usual)).filter(|minutes| *minutes > 0)
    }
}

text_enum!(
    /// What woke an instance.
    WokenBy {
        /// Somebody opened its address.
        Address = "address",
        /// Somebody opened its dashboard from the panel.
        Dashboard = "dashboard",
        /// Somebody opened a terminal.
        Terminal = "terminal",
        /// A job of its own schedule is due.
        Schedule = "schedule",
        /// Somebody started it.
        Start = "start",
    }
);
