//! Settings that both programs read, from arguments or the environment, once at start.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::ports::PortRange;

#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// Postgres, as postgres://user:password@host:port/database
    #[arg(long, env = "CLAWDEPLOY_DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,

    /// Maximum number of connections to Postgres
    #[arg(long, env = "CLAWDEPLOY_DATABASE_CONNECTIONS", default_value_t = 10)]
    pub database_connections: usize,
}

#[derive(Debug, Clone, Args)]
pub struct RedisArgs {
    /// Redis, as redis://:password@host:port/number
    #[arg(long, env = "CLAWDEPLOY_REDIS_URL", hide_env_values = true)]
    pub redis_url: SecretString,

    /// Prefix of all Redis keys; each installation on a shared Redis needs its own
    #[arg(long, env = "CLAWDEPLOY_REDIS_PREFIX", default_value = "clawdeploy")]
    pub redis_prefix: String,
}

#[derive(Debug, Clone, Args)]
pub struct SecretArgs {
    /// File (mode 0600) with the keys that encrypt secrets in the database, one per line: 32 bytes in base64
    #[arg(long, env = "CLAWDEPLOY_KEY_FILE")]
    pub key_file: PathBuf,
}

/// How browsers reach an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Routing {
    /// At `http://127.0.0.1:{port}`, from this machine only
    Direct,
    /// At `https://{id}.{base domain}`, through nginx
    Nginx,
}

#[derive(Debug, Clone, Args)]
pub struct RoutingArgs {
    /// How browsers reach an instance
    #[arg(long, env = "CLAWDEPLOY_ROUTING", value_enum, default_value = "direct")]
    pub routing: Routing,

    /// Domain whose subdomains are the instances
    #[arg(long, env = "CLAWDEPLOY_BASE_DOMAIN", default_value = "claw.a2a.ing")]
    pub base_domain: String,

    /// Port of nginx at which browsers open instances
    #[arg(long, env = "CLAWDEPLOY_HTTPS_PORT", default_value_t = 443)]
    pub https_port: u16,

    /// Range of host ports for instances
    #[arg(long, env = "CLAWDEPLOY_PORT_RANGE", default_value = "10000-20000")]
    pub port_range: PortRange,
}

impl RoutingArgs {
    /// Where the dashboard of an instance is opened.
    pub fn dashboard_url(&self, id: &crate::ids::InstanceId, port: u16) -> String {
        match self.routing {
            Routing::Direct => format!("http://127.0.0.1:{port}/"),
            Routing::Nginx => format!("{}/", self.origin(id)),
        }
    }

    /// What a browser calls the origin of an instance's pages behind nginx.
    pub fn origin(&self, id: &crate::ids::InstanceId) -> String {
        match self.https_port {
            443 => format!("https://{id}.{}", self.base_domain),
            port => format!("https://{id}.{}:{port}", self.base_domain),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Log format
    #[arg(long, env = "CLAWDEPLOY_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Log filter, as in `info,clawdeploy_worker=debug`
    #[arg(long, env = "RUST_LOG", default_value = "info,apalis_core=warn", global = true)]
    pub log: String,
}
