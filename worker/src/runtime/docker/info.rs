//! What an engine says about itself and its host.

use bollard::models::SystemInfo;

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
};

/// The engine's description, reduced to what instances depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineInfo {
    pub version: String,
    pub api_version: String,
    pub cgroup_version: String,
    /// Of memory, cpu and pids, what the engine cannot limit.
    pub unlimited: Vec<&'static str>,
    pub swap_limit: bool,
    pub storage_driver: String,
    /// `name=seccomp,profile=default`, `name=userns`, `name=rootless`, `name=selinux`, `name=apparmor` …
    pub security_options: Vec<String>,
    /// The engine's directory, as the engine sees it.
    pub root_dir: Option<String>,
    /// Memory of the host, in bytes.
    pub memory_bytes: u64,
}

impl Docker {
    /// Asks the engine, ours or not, for its description.
    pub async fn info(&self) -> Result<EngineInfo, DockerError> {
        let api = self.any_api().await?;
        let info = self.run("describe itself", READ_LIMIT, api.info()).await?;
        Ok(EngineInfo::new(info, api.client_version().to_string()))
    }
}

impl EngineInfo {
    fn new(info: SystemInfo, api_version: String) -> Self {
        let limits = [("memory", info.memory_limit), ("cpu", info.cpu_cfs_quota), ("pids", info.pids_limit)];
        Self {
            version: info.server_version.unwrap_or_default(),
            api_version,
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            unlimited: limits.into_iter().filter(|(_, has)| *has != Some(true)).map(|(name, _)| name).collect(),
            swap_limit: info.swap_limit.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            root_dir: info.docker_root_dir,
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        }
    }

    /// Whether the engine has this security option.
    pub fn has(&self, option: &str) -> bool {
        let name = format!("name={option}");
        self.security_options.iter().any(|given| given.split(',').next() == Some(&name))
    }

    /// Whether the containers' root is another user on the host.
    pub fn is_remapped(&self) -> bool {
        self.has("userns") || self.has("rootless")
    }
}
