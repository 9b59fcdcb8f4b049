//! Settings of the worker, read once at start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use clawdeploy_shared::{
    capacity::CapacityArgs,
    config::{DatabaseArgs, RedisArgs, RoutingArgs, SecretArgs},
    db::image::ImageSource,
    job::Queue,
    metrics::MetricsArgs,
    openclaw::{git_ref::GitRef, reference::ImageReference},
    ports::NetworkPool,
    sleep::SleepArgs,
    warm_pool::WarmPoolArgs,
};
use url::Url;

pub use self::{
    command_line::CommandLine,
    listen::Listen,
    retention::{AuditExport, RetentionArgs},
};

mod command_line;
mod listen;
mod retention;

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
    pub capacity: CapacityArgs,
    #[command(flatten)]
    pub sleep: SleepArgs,
    #[command(flatten)]
    pub warm: WarmPoolArgs,
    #[command(flatten)]
    pub image: ImageArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub terminals: TerminalArgs,
    #[command(flatten)]
    pub retention: RetentionArgs,
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Instances on this host.
#[derive(Debug, Clone, Args)]
pub struct InstanceArgs {
    /// Address of the Docker Engine
    #[arg(long, env = "CLAWDEPLOY_DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    pub docker_host: String,

    /// Directory for the files of all instances
    #[arg(long, env = "CLAWDEPLOY_DATA_DIR", default_value = "/data/clawdeploy")]
    pub data_dir: PathBuf,

    /// Label of this installation's containers; must differ from that of any other installation on the same engine
    #[arg(long, env = "CLAWDEPLOY_DEPLOYMENT", default_value = "clawdeploy")]
    pub deployment: String,

    /// Address pool for the instances' networks, one for each; a /15 is enough for every port
    #[arg(long, env = "CLAWDEPLOY_NETWORK_POOL", default_value = "10.210.0.0/15")]
    pub network_pool: NetworkPool,

    /// Whether the instances' firewall (deploy/firewall.sh) must be in force; if on, it is probed regularly
    #[arg(long, env = "CLAWDEPLOY_FIREWALL", value_enum, default_value = "on")]
    pub firewall: Switch,

    /// Seconds between probes of the firewall; each probe runs a small container briefly
    #[arg(long, env = "CLAWDEPLOY_FIREWALL_SECONDS", default_value = "20", value_parser = seconds)]
    pub firewall_interval: Duration,

    /// Time limit in seconds for a gateway to become ready; the first start with Discord installs a plugin
    #[arg(long, env = "CLAWDEPLOY_READY_SECONDS", default_value = "180", value_parser = seconds)]
    pub ready_within: Duration,

    /// Seconds that a gateway gets to shut down before it is killed
    #[arg(long, env = "CLAWDEPLOY_STOP_SECONDS", default_value = "60", value_parser = seconds)]
    pub stop_within: Duration,

    /// Seconds after an update during which the instance can be rolled back
    #[arg(long, env = "CLAWDEPLOY_ROLLBACK_SECONDS", default_value = "259200", value_parser = seconds)]
    pub rollback_window: Duration,

    /// Seconds after its deletion during which an instance can be restored; 0 removes its files at once
    #[arg(long, env = "CLAWDEPLOY_DELETED_KEEP_SECONDS", default_value = "604800", value_parser = seconds)]
    pub deleted_keep: Duration,

    /// Maximum size of an instance's files in MiB; its gateway is stopped when it is reached; 0 means no limit
    #[arg(long, env = "CLAWDEPLOY_DISK_LIMIT_MIB", default_value_t = 20480)]
    pub disk_limit_mib: u32,

    /// Seconds between measurements of an instance's files, at least; up to eight times as many while nothing changes
    #[arg(long, env = "CLAWDEPLOY_DISK_SECONDS", default_value = "60", value_parser = seconds)]
    pub disk_interval: Duration,

    /// CPU limit of a gateway while it starts, in thousandths of a core; starting is CPU-bound
    #[arg(long, env = "CLAWDEPLOY_BOOST_CPU_MILLIS", default_value_t = 2000)]
    pub boost_cpu_millis: i32,

    /// Maximum number of gateways that start at once, over all workers; 0 means twice the engine's cores, at least 4
    #[arg(long, env = "CLAWDEPLOY_BOOTS_AT_ONCE", default_value_t = 0)]
    pub boots_at_once: u32,
}

impl InstanceArgs {
    /// Maximum size of an instance's files in bytes; `None` means no limit.
    pub fn disk_limit_bytes(&self) -> Option<i64> {
        (self.disk_limit_mib > 0).then_some(i64::from(self.disk_limit_mib) << 20)
    }
}

/// How nginx learns the instances' ports. Only used if the routing is `nginx`.
#[derive(Debug, Clone, Args)]
pub struct NginxArgs {
    /// File with the instances' ports for nginx; the worker replaces it, so it must be able to write to the directory
    #[arg(long, env = "CLAWDEPLOY_NGINX_MAP", default_value = "/var/lib/clawdeploy/nginx/clawdeploy-ports.conf")]
    pub nginx_map: PathBuf,

    /// Path of nginx, which tests each new file before it is used
    #[arg(long, env = "CLAWDEPLOY_NGINX_PROGRAM", default_value = "/usr/sbin/nginx")]
    pub nginx_program: PathBuf,

    /// Command that makes nginx reload its configuration; run without a shell, so quote arguments that contain blanks
    #[arg(long, env = "CLAWDEPLOY_NGINX_RELOAD", default_value = "sudo -n /usr/sbin/nginx -s reload")]
    pub nginx_reload: CommandLine,

    /// Local address at which nginx reports which version of the file it has loaded
    #[arg(long, env = "CLAWDEPLOY_NGINX_PROBE", default_value = "127.0.0.1:8079")]
    pub nginx_probe: SocketAddr,

    /// Minimum number of seconds between reloads; more while many old nginx workers wait for their last connections
    #[arg(long, env = "CLAWDEPLOY_NGINX_INTERVAL_SECONDS", default_value = "1", value_parser = seconds)]
    pub nginx_interval: Duration,
}

/// The image that instances run.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// Image that new instances run
    #[arg(long, env = "CLAWDEPLOY_IMAGE", default_value = "openclaw:local")]
    pub image: String,

    /// Source of the image: git, release or registry
    #[arg(long = "image-source", env = "CLAWDEPLOY_IMAGE_SOURCE", default_value = "git")]
    pub source: ImageSource,

    #[command(flatten)]
    pub build: BuildArgs,

    /// Number of unused images to keep
    #[arg(long, env = "CLAWDEPLOY_IMAGES_KEPT", default_value_t = 3)]
    pub images_kept: u32,
}

/// How the image is built.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// Repository whose Dockerfile is built, for the source git
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REPOSITORY", default_value = "https://github.com/openclaw/openclaw.git")]
    pub openclaw_repository: Url,

    /// Branch, tag or commit of the repository
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REF", default_value = "main")]
    pub openclaw_ref: GitRef,

    /// Image to pull, by tag or digest, for the source registry
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE")]
    pub openclaw_registry_image: Option<ImageReference>,

    /// Allow sources at private addresses and on this machine
    #[arg(long, env = "CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", default_value = "false", action = clap::ArgAction::Set)]
    pub source_allow_private: bool,

    /// Time limit for a build in seconds
    #[arg(long, env = "CLAWDEPLOY_BUILD_SECONDS", default_value = "1800", value_parser = seconds)]
    pub build_within: Duration,

    /// Memory limit for each step of a build in MiB; 0 means no limit
    #[arg(long, env = "CLAWDEPLOY_BUILD_MEMORY_MIB", default_value_t = 6144)]
    pub build_memory_mib: u64,

    /// Free disk space that a build requires in MiB
    #[arg(long, env = "CLAWDEPLOY_MIN_DISK_MIB", default_value_t = 6144)]
    pub min_disk_mib: u64,

    /// Version of OpenClaw to build, for the source release
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_VERSION", default_value = "2026.9.6")]
    pub openclaw_version: String,

    /// Base image of the build: Debian with a Node that the release accepts (24.16, or 24.22.1 from 2026.10.6 on)
    #[arg(long, env = "CLAWDEPLOY_OPENCLAW_BASE_IMAGE", default_value = "node:24-bookworm-slim")]
    pub base_image: String,

    /// npm registry for the build, if it is not the default one
    #[arg(long, env = "CLAWDEPLOY_NPM_REGISTRY")]
    pub npm_registry: Option<String>,
}

/// How the API reaches this worker.
#[derive(Debug, Clone, Args)]
pub struct RpcArgs {
    /// Where the worker listens for the API: a private address (port 0 chooses a free port), or `unix:/a/directory` for a
    /// socket in that directory
    #[arg(long = "worker-listen", env = "CLAWDEPLOY_WORKER_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: Listen,
}

/// Terminals of this worker.
#[derive(Debug, Clone, Args)]
pub struct TerminalArgs {
    /// Maximum number of open terminals of this worker; each takes up to 1.5 MiB of memory
    #[arg(long, env = "CLAWDEPLOY_TERMINALS", default_value_t = 64)]
    pub terminals: usize,

    /// Seconds that a terminal waits for its browser to reconnect
    #[arg(long = "terminal-detach", env = "CLAWDEPLOY_TERMINAL_DETACH_SECONDS", default_value = "60", value_parser = seconds)]
    pub detach: Duration,

    /// Seconds without input after which a terminal is closed
    #[arg(long = "terminal-idle", env = "CLAWDEPLOY_TERMINAL_IDLE_SECONDS", default_value = "1800", value_parser = seconds)]
    pub idle: Duration,

    /// Maximum lifetime of a terminal in seconds
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
    /// Maximum number of lifecycle jobs at once; with 0 the worker does not serve the queue
    #[arg(long, env = "CLAWDEPLOY_LIFECYCLE_CONCURRENCY", default_value_t = 16)]
    pub lifecycle_concurrency: usize,

    /// Maximum number of image builds at once; with 0 the worker does not serve the queue
    #[arg(long, env = "CLAWDEPLOY_BUILD_CONCURRENCY", default_value_t = 1)]
    pub build_concurrency: usize,

    /// Seconds without a heartbeat after which a worker's jobs go to another worker
    #[arg(long, env = "CLAWDEPLOY_LEASE_SECONDS", default_value = "6", value_parser = seconds)]
    pub lease: Duration,

    /// Seconds between polls for due jobs that were not announced
    #[arg(long, env = "CLAWDEPLOY_SWEEP_SECONDS", default_value = "1", value_parser = seconds)]
    pub sweep: Duration,

    /// Seconds between passes of the reconciler, over all workers
    #[arg(long, env = "CLAWDEPLOY_RECONCILE_SECONDS", default_value = "10", value_parser = seconds)]
    pub reconcile: Duration,

    /// Seconds that running steps get to finish when the worker is shut down
    #[arg(long, env = "CLAWDEPLOY_GRACE_SECONDS", default_value = "25", value_parser = seconds)]
    pub grace: Duration,
}

impl EngineArgs {
    /// How many jobs of a queue may run here at once.
    pub fn concurrency(&self, queue: Queue) -> usize {
        match queue {
            Queue::Lifecycle => self.lifecycle_concurrency,
            Queue::Builds => self.build_concurrency,
            // There is never more than one open, and one that waits costs nothing.
            Queue::Rollouts => 1,
            // One boots while another is removed.
            Queue::Warm => 2,
            // Of a newer version: this one cannot serve it.
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
