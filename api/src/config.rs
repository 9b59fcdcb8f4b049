//! Settings of the API, read from arguments or the environment at startup.

use std::net::SocketAddr;

use clap::Parser;
use clawdeploy_shared::{
    capacity::CapacityArgs,
    config::{DatabaseArgs, RedisArgs, RoutingArgs, SecretArgs},
    metrics::MetricsArgs,
    sleep::SleepArgs,
};

use crate::{identity::IdentityArgs, middleware::TrustedProxies, quota::QuotaArgs};

#[derive(Debug, Clone, Parser)]
pub struct ApiConfig {
    /// Address to listen on; port 0 chooses a free port
    #[arg(long, env = "CLAWDEPLOY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// URL at which people open the panel, if it differs from the listen address
    #[arg(long, env = "CLAWDEPLOY_PUBLIC_URL")]
    pub public_url: Option<String>,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub quotas: QuotaArgs,

    #[command(flatten)]
    pub capacity: CapacityArgs,

    #[command(flatten)]
    pub sleep: SleepArgs,

    /// Maximum number of open terminals per person
    #[arg(long, env = "CLAWDEPLOY_MAX_TERMINALS_PER_USER", default_value_t = 5)]
    pub max_terminals_per_user: u32,

    /// Maximum number of open terminals per instance
    #[arg(long, env = "CLAWDEPLOY_MAX_TERMINALS_PER_INSTANCE", default_value_t = 8)]
    pub max_terminals_per_instance: u32,

    /// Proxies whose X-Forwarded-For header is trusted: addresses or networks, separated by commas
    #[arg(long, env = "CLAWDEPLOY_TRUSTED_PROXIES", default_value = "", hide_default_value = true)]
    pub trusted_proxies: TrustedProxies,

    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub redis: RedisArgs,

    #[command(flatten)]
    pub secrets: SecretArgs,

    #[command(flatten)]
    pub routing: RoutingArgs,

    #[command(flatten)]
    pub metrics: MetricsArgs,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::{Args as _, CommandFactory as _};
    use clawdeploy_shared::config::LogArgs;

    use super::*;

    /// The settings of a program in docs/settings.md, with their documented defaults.
    fn explained<'a>(page: &'a str, program: &str) -> BTreeMap<&'a str, &'a str> {
        let rows = page.lines().filter_map(|line| match line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
            ["", setting, default, by, meaning, ""] if by == program || by == "both" => {
                assert!(!meaning.is_empty(), "{setting}");
                Some((setting.trim_matches('`'), default))
            }
            _ => None,
        });
        rows.collect()
    }

    #[test]
    fn the_settings_are_explained_all_of_them_and_no_others() {
        let page = explained(include_str!("../../docs/settings.md"), "API");
        let command = LogArgs::augment_args(ApiConfig::command());
        let known = command.get_arguments().filter_map(|arg| Some((arg.get_env()?.to_str().unwrap(), arg)));
        let known: BTreeMap<_, _> = known.collect();
        assert_eq!(page.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
        for (setting, arg) in known {
            for default in arg.get_default_values().iter().filter(|default| !default.is_empty()) {
                assert_eq!(page[setting], format!("`{}`", default.to_str().unwrap()), "{setting}");
            }
            assert_eq!(page[setting] == "required", arg.is_required_set(), "{setting}");
        }
    }
}
