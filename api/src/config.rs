//! Settings of the API, from arguments or the environment, once at start.

use std::net::SocketAddr;

use clap::Parser;
use clawdeploy_shared::config::{DatabaseArgs, RedisArgs, RoutingArgs, SecretArgs};

#[derive(Debug, Clone, Parser)]
pub struct ApiConfig {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, env = "CLAWDEPLOY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where people reach this API, if not where it listens: the address in front of it
    #[arg(long, env = "CLAWDEPLOY_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Instances that one person may have; admins may have any number
    #[arg(long, env = "CLAWDEPLOY_MAX_INSTANCES_PER_USER", default_value_t = 20)]
    pub max_instances_per_user: u32,

    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub redis: RedisArgs,

    #[command(flatten)]
    pub secrets: SecretArgs,

    #[command(flatten)]
    pub routing: RoutingArgs,
}
