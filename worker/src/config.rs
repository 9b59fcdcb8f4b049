//! Settings of the worker, read once at start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use clawdeploy_shared::{
    config::{DatabaseArgs, RedisArgs, RoutingArgs, SecretArgs},
    db::image::ImageSource,
    job::Queue,
    metrics::MetricsArgs,
    openclaw::{git_ref::GitRef, reference::ImageReference},
    ports::NetworkPool,
};
use url::Url;

pub use self::{command_line::CommandLine, listen::Listen};

mod command_line;
mod listen;

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} is not a number of seconds"))
}

#[derive(Debug, Clone, Args)]
pub struct WorkerConfig {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub redis: RedisArgs,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub routing: RoutingArgs,
    #[command(flatten)]
    pub nginx: NginxArgs,
    #[command(flatten)]
    pub instances: InstanceArgs,
    #[command(flatten)]
    pub image: ImageArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub terminals: TerminalArgs,
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// How instances are laid out on this host.
#[derive(Debug, Clone, Args)]
pub struct InstanceArgs {
    /// Docker Engine
    #[arg(long, env = "CLAWDEPLOY_DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    pub docker_host: String,

    /// Directory that holds each instance's files
    #[arg(long, env = "CLAWDEPLOY_DATA_DIR", default_value = "/data/clawdeploy")]
    pub data_dir: PathBuf,

    /// Label that tells the containers of this installation from those of another on the same engine
    #[arg(long, env = "CLAWDEPLOY_DEPLOYMENT", default_value = "clawdeploy")]
    pub deployment: String,

    /// Addresses from which each instance gets a network of its own; a /15 is enough for every port
    #[arg(long, env = "CLAWDEPLOY_NETWORK_POOL", default_value = "10.210.0.0/15")]
    pub network_pool: NetworkPool,

    /// Whether the instances' firewall (deploy/firewall.sh) is to be in force, which is then tried again and again
    #[arg(long, env = "CLAWDEPLOY_FIREWALL", value_enum, default_value = "on")]
    pub firewall: Switch,

    /// Seconds between two probes of the firewall; each runs one small container for a moment
    #[arg(long, env = "CLAWDEPLOY_FIREWALL_SECONDS", default_value = "20", value_parser = seconds)]
    pub firewall_interval: Duration,

    /// Seconds that a gateway may take until it answers; the first start with Discord installs a plugin
    #[arg(long, env = "CLAWDEPLOY_READY_SECONDS", default_value = "180", value_parser = seconds)]
    pub ready_within: Duration,

    /// Seconds that a gateway gets to finish what it is doing when it is stopped
    #[arg(long, env = "CLAWDEPLOY_STOP_SECONDS", default_value = "60", value_parser = seconds)]
    pub stop_within: Duration,

    /// Seconds for which an instance can be rolled back after an update
    #[arg(long, env = "CLAWDEPLOY_ROLLBACK_SECONDS", default_value = "259200", value_parser = seconds)]
    pub rollback_window: Duration,

    /// Seconds for which a deleted instance can be taken back; 0: its files are removed at once
    #[arg(long, env = "CLAWDEPLOY_DELETED_KEEP_SECONDS", default_value = "604800", value_parser = seconds)]
    pub deleted_keep: Duration,

    /// MiB that an instance's files may take; at that its gateway is stopped; 0: any number
    #[arg(long, env = "CLAWDEPLOY_DISK_LIMIT_MIB", default_value_t = 20480)]
    pub disk_limit_mib: u32,

    /// Seconds between two measurements of an instance's files
    #[arg(long, env = "CLAWDEPLOY_DISK_SECONDS", default_value = "60", value_parser = seconds)]
    pub disk_interval: Duration,

    /// CPU while a gateway starts, in thousandths of a core: its boot is bound by it
    #[arg(long, env = "CLAWDEPLOY_BOOST_CPU_MILLIS", default_value_t = 2000)]
    pub boost_cpu_millis: i32,

    /// Gateways that boot at once, over all workers; others wait for their turn; 0: twice the engine's cores, at least 4
    #[arg(long, env = "CLAWDEPLOY_BOOTS_AT_ONCE", default_value_t = 0)]
    pub boots_at_once: u32,
}

impl InstanceArgs {
    /// Bytes that an instance's files may take; `None`: any number.
    pub fn disk_limit_bytes(&self) -> Option<i64> {
        (self.disk_limit_mib > 0).then_some(i64::from(self.disk_limit_mib) << 20)
    }
}

/// How nginx is told where instances are; with routing `nginx` only.
#[derive(Debug, Clone, Args)]
pub struct NginxArgs {
    /// File that tells nginx the instances' ports; the worker replaces it, so its directory must be the worker's
    #[arg(long, env = "CLAWDEPLOY_NGINX_MAP", default_value = "/var/lib/clawdeploy/nginx/clawdeploy-ports.conf")]
    pub nginx_map: PathBuf,

    /// nginx's program, which tries each new file first
    #[arg(long, env = "CLAWDEPLOY_NGINX_PROGRAM", default_value = "/usr/sbin/nginx")]
    pub nginx_program: PathBuf,

    /// Command that makes nginx read its files again: words with blanks between, quotes around words with blanks, no shell
    #[arg(long, env = "CLAWDEPLOY_NGINX_RELOAD", default_value = "sudo -n /usr/sbin/nginx -s reload")]
    pub nginx_reload: CommandLine,

    /// Address on this machine where nginx tells which file it has read
    #[arg(long, env = "CLAWDEPLOY_NGINX_PROBE", default_value = "127.0.0.1:8079")]
    pub nginx_probe: SocketAddr,

    /// Seconds between two reloads at least, however much changes; longer while many old nginx workers wait for their
    /// last connections
    #[arg(long, env = "CLAWDEPLOY_NGINX_INTERVAL_SECONDS", default_value = "1", value_parser = seconds)]
    pub nginx_interval: Duration,
}

/// The image that instances run.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Image that new instances run
    #[arg(long, env = "CLAWDEPLOY_IMAGE", default_value = "openclaw:local")]
    pub image: String,

    /// Where it comes from: git, release or registry
    #[arg(long = "image-source", env = "CLAWDEPLOY_IMAGE_SOURCE", default_value = "git")]
    pub source: ImageSource,

    /// Repository whose Dockerfile the source git builds
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REPOSITORY", default_value = "https://github.com/openclaw/openclaw.git")]
    pub openclaw_repository: Url,

    /// Branch, tag or commit of it
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REF", default_value = "main")]
    pub openclaw_ref: GitRef,

    /// Image that the source registry pulls, by tag or digest
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE")]
    pub openclaw_registry_image: Option<ImageReference>,

    /// Fetch from private addresses and from this machine too
    #[arg(long, env = "CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", default_value = "false", action = clap::ArgAction::Set)]
    pub source_allow_private: bool,

    /// Seconds that a build may take
    #[arg(long, env = "CLAWDEPLOY_BUILD_SECONDS", default_value = "1800", value_parser = seconds)]
    pub build_within: Duration,

    /// Memory of each step of a build, in MiB; 0: no limit
    #[arg(long, env = "CLAWDEPLOY_BUILD_MEMORY_MIB", default_value_t = 6144)]
    pub build_memory_mib: u64,

    /// Free space that a build must find, in MiB
    #[arg(long, env = "CLAWDEPLOY_MIN_DISK_MIB", default_value_t = 6144)]
    pub min_disk_mib: u64,

    /// Images that are kept although nothing uses them
    #[arg(long, env = "CLAWDEPLOY_IMAGES_KEPT", default_value_t = 3)]
    pub images_kept: u32,

    /// Version of OpenClaw that the source release builds
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_VERSION", default_value = "2026.9.6")]
    pub openclaw_version: String,

    /// What the image is built on: Debian with Node 24.16 or newer
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_BASE_IMAGE", default_value = "node:24-bookworm-slim")]
    pub base_image: String,

    /// npm registry that the build installs from, where it is not npm's own
    #[arg(long, env = "CLAWDEPLOY_NPM_REGISTRY")]
    pub npm_registry: Option<String>,
}

/// How the API reaches this worker.
#[derive(Debug, Clone, Args)]
pub struct RpcArgs {
    /// Where the API can call this worker: a private address (port 0 takes any free one), or `unix:/a/directory` for a socket of
    /// its own in there
    #[arg(long = "worker-listen", env = "CLAWDEPLOY_WORKER_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: Listen,
}

/// Terminals that this worker holds.
#[derive(Debug, Clone, Args)]
pub struct TerminalArgs {
    /// Terminals that this worker holds at once; each may take 1.5 MiB
    #[arg(long, env = "CLAWDEPLOY_TERMINALS", default_value_t = 64)]
    pub terminals: usize,

    /// Seconds for which a terminal waits for a browser that is gone
    #[arg(long = "terminal-detach", env = "CLAWDEPLOY_TERMINAL_DETACH_SECONDS", default_value = "60", value_parser = seconds)]
    pub detach: Duration,

    /// Seconds after which a terminal ends in which nothing was typed
    #[arg(long = "terminal-idle", env = "CLAWDEPLOY_TERMINAL_IDLE_SECONDS", default_value = "1800", value_parser = seconds)]
    pub idle: Duration,

    /// Seconds that a terminal lives at most
    #[arg(long = "terminal-life", env = "CLAWDEPLOY_TERMINAL_LIFE_SECONDS", default_value = "43200", value_parser = seconds)]
    pub life: Duration,
}

impl TerminalArgs {
    pub fn limits(&self) -> TerminalLimits {
        TerminalLimits { detach: self.detach, idle: self.idle, life: self.life }
    }
}

/// How long a terminal may go on.
#[derive(Debug, Clone, Copy)]
pub struct TerminalLimits {
    /// With nobody attached.
    pub detach: Duration,
    /// With nothing typed.
    pub idle: Duration,
    /// In all.
    pub life: Duration,
}

/// How jobs are run.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Lifecycle jobs that this worker runs at once; 0: it does not serve the queue
    #[arg(long, env = "CLAWDEPLOY_LIFECYCLE_CONCURRENCY", default_value_t = 4)]
    pub lifecycle_concurrency: usize,

    /// Image builds that this worker runs at once; 0: it does not serve the queue
    #[arg(long, env = "CLAWDEPLOY_BUILD_CONCURRENCY", default_value_t = 1)]
    pub build_concurrency: usize,

    /// Seconds after which a silent worker's jobs go to another
    #[arg(long, env = "CLAWDEPLOY_LEASE_SECONDS", default_value = "6", value_parser = seconds)]
    pub lease: Duration,

    /// Seconds between two looks for due jobs that no ring announced
    #[arg(long, env = "CLAWDEPLOY_SWEEP_SECONDS", default_value = "1", value_parser = seconds)]
    pub sweep: Duration,

    /// Seconds between two passes of the reconciler, over all workers
    #[arg(long, env = "CLAWDEPLOY_RECONCILE_SECONDS", default_value = "10", value_parser = seconds)]
    pub reconcile: Duration,

    /// Seconds that running steps get to finish when the worker is told to end
    #[arg(long, env = "CLAWDEPLOY_GRACE_SECONDS", default_value = "25", value_parser = seconds)]
    pub grace: Duration,
}

impl EngineArgs {
    /// How many jobs of a queue may run here at once.
    pub fn concurrency(&self, queue: Queue) -> usize {
        match queue {
            Queue::Lifecycle => self.lifecycle_concurrency,
            Queue::Builds => self.build_concurrency,
            // One that waits costs nothing, and there is never more than one open.
            Queue::Rollouts => 1,
            // A newer version's: nobody here serves it.
            Queue::Unknown => 0,
        }
    }

    /// The queues that this worker serves.
    pub fn queues(&self) -> Vec<Queue> {
        Queue::ALL.iter().copied().filter(|queue| self.concurrency(*queue) > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clawdeploy_shared::config::LogArgs;

    use super::*;

    /// The settings of a program in docs/settings.md, each with what stands for its default.
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
        let page = explained(include_str!("../../docs/settings.md"), "worker");
        let command = LogArgs::augment_args(WorkerConfig::augment_args(clap::Command::new("worker")));
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
