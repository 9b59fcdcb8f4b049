//! Judges the Docker engine.

use clawdeploy_shared::ports::{NetworkPool, PortRange};

use super::Check;
use crate::runtime::docker::EngineInfo;

/// API of Docker 20.10, the oldest that is tested.
const API: (u32, u32) = (1, 41);

pub(super) fn judge(engine: &EngineInfo) -> Vec<Check> {
    vec![
        version(engine),
        limits(engine),
        swap(engine),
        storage(engine),
        users(engine),
        selinux(engine),
        seccomp(engine),
    ]
}

fn version(engine: &EngineInfo) -> Check {
    let found = format!("Docker {}, API {}", engine.version, engine.api_version);
    let mut numbers = engine.api_version.split('.').map_while(|part| part.parse::<u32>().ok());
    let api = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if api >= API {
        Check::ok("engine", found)
    } else {
        Check::warn("engine", found, "Update it to Docker 20.10 or newer.")
    }
}

fn limits(engine: &EngineInfo) -> Check {
    let EngineInfo { cgroup_version, unlimited, .. } = engine;
    if unlimited.is_empty() {
        return Check::ok("cgroups", format!("cgroups v{cgroup_version} with memory, cpu and pids"));
    }
    Check::fail(
        "cgroups",
        format!("cgroups v{cgroup_version} without {}: the instances' limits are not enforced", unlimited.join(", ")),
        "Boot the host with cgroups v2 (systemd.unified_cgroup_hierarchy=1), or with cgroup_enable=memory on the kernel's \
         command line, then restart Docker.",
    )
}

fn swap(engine: &EngineInfo) -> Check {
    if engine.swap_limit {
        return Check::ok("swap", "the engine limits memory and swap together");
    }
    let fix = "Add swapaccount=1 to the kernel's command line, or switch swap off.";
    Check::warn("swap", "the engine cannot limit swap: an instance at its memory limit goes on into swap", fix)
}

fn storage(engine: &EngineInfo) -> Check {
    let driver = engine.storage_driver.as_str();
    let found = format!("storage driver {driver}");
    match driver {
        "vfs" => Check::warn(
            "storage_driver",
            format!("{found}: each container is a whole copy of the image"),
            "Use overlay2 (\"storage-driver\" in /etc/docker/daemon.json), on ext4 or XFS.",
        ),
        "aufs" | "devicemapper" | "overlay" => Check::warn(
            "storage_driver",
            format!("{found}: newer engines no longer have it"),
            "Use overlay2 (\"storage-driver\" in /etc/docker/daemon.json) before the next update of Docker.",
        ),
        _ => Check::ok("storage_driver", found),
    }
}

/// Workers give an instance's files to uid 1000, which a gateway has inside and outside.
fn users(engine: &EngineInfo) -> Check {
    let (found, fix) = if engine.has("rootless") {
        (
            "the engine is rootless: uid 1000 in a container is another user on the host and cannot read the instance's files",
            "Use an engine that runs as root.",
        )
    } else if engine.has("userns") {
        (
            "the engine maps users (userns-remap): uid 1000 in a container is another user on the host and cannot read the \
             instance's files",
            "Remove \"userns-remap\" from /etc/docker/daemon.json and restart Docker.",
        )
    } else {
        return Check::ok("users", "uid 1000 in a container is uid 1000 on the host");
    };
    Check::fail("users", found, fix)
}

fn selinux(engine: &EngineInfo) -> Check {
    if !engine.has("selinux") {
        return Check::ok("selinux", "the engine does not use SELinux");
    }
    let fix = "Label the data directory for containers: semanage fcontext -a -t container_file_t 'DATA_DIR(/.*)?' and \
               restorecon -R DATA_DIR (CLAWDEPLOY_DATA_DIR); or remove \"selinux-enabled\" from /etc/docker/daemon.json.";
    Check::warn(
        "selinux",
        "the engine uses SELinux: where it is enforced, a gateway cannot read files without the label of containers",
        fix,
    )
}

fn seccomp(engine: &EngineInfo) -> Check {
    let option = engine.security_options.iter().find(|option| option.starts_with("name=seccomp"));
    match option {
        Some(option) if !option.contains("profile=unconfined") => {
            Check::ok("seccomp", "containers have a seccomp profile")
        }
        _ => Check::warn(
            "seccomp",
            "containers have no seccomp profile, so a tenant's program may use every system call",
            "Use a kernel with seccomp, and remove \"seccomp-profile\" from /etc/docker/daemon.json.",
        ),
    }
}

/// How many networks are possible. Docker's own pools do not matter: each instance's network has an address of ours.
pub(super) fn networks(pool: NetworkPool, range: PortRange, instances: u64) -> Check {
    let ports = u64::from(range.last - range.first) + 1;
    let possible = (range.first..=range.last).filter(|port| pool.subnet(range, *port).is_some()).count() as u64;
    let found = format!("ports for {ports} instances and networks for {possible}");
    if possible < ports {
        let fix =
            "Set a larger CLAWDEPLOY_NETWORK_POOL (eight addresses for each port) or a smaller CLAWDEPLOY_PORT_RANGE.";
        return Check::warn("networks", found, fix);
    }
    if pool.probe_place(range).is_none() {
        let fix = "Set a larger CLAWDEPLOY_NETWORK_POOL: the firewall's probe needs a network beyond the instances'.";
        return Check::warn("networks", format!("{found}, none for the firewall's probe"), fix);
    }
    if ports < instances {
        let fix = "Set a larger CLAWDEPLOY_PORT_RANGE, for the API and the workers.";
        return Check::warn("networks", format!("{found}; the machine holds {instances}"), fix);
    }
    Check::ok("networks", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::CheckStatus;

    /// As `docker info` of Docker 20.10 on Debian 12 says.
    fn debian() -> EngineInfo {
        EngineInfo {
            version: "20.10.24+dfsg1".to_owned(),
            api_version: "1.41".to_owned(),
            cgroup_version: "1".to_owned(),
            swap_limit: true,
            storage_driver: "overlay2".to_owned(),
            security_options: vec!["name=seccomp,profile=default".to_owned()],
            ..EngineInfo::default()
        }
    }

    fn told(engine: &EngineInfo) -> Vec<(&'static str, CheckStatus)> {
        let checks = judge(engine).into_iter();
        checks.filter(|check| check.status != CheckStatus::Ok).map(|check| (check.name, check.status)).collect()
    }

    fn with(options: &[&str]) -> EngineInfo {
        EngineInfo { security_options: options.iter().map(|option| (*option).to_owned()).collect(), ..debian() }
    }

    #[test]
    fn an_ordinary_engine_is_fine() {
        assert_eq!(told(&debian()), []);
        assert_eq!(told(&with(&["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"])), []);
    }

    #[test]
    fn what_instances_cannot_work_with_fails_and_the_rest_warns() {
        use CheckStatus::{Fail, Warn};
        let seccomp = "name=seccomp,profile=default";
        assert_eq!(told(&with(&[seccomp, "name=userns"])), [("users", Fail)]);
        assert_eq!(told(&with(&[seccomp, "name=rootless", "name=cgroupns"])), [("users", Fail)]);
        assert_eq!(told(&with(&[seccomp, "name=selinux"])), [("selinux", Warn)]);
        assert_eq!(told(&with(&["name=seccomp,profile=unconfined"])), [("seccomp", Warn)]);
        assert_eq!(told(&EngineInfo { unlimited: vec!["pids"], ..debian() }), [("cgroups", Fail)]);
        assert_eq!(told(&EngineInfo { swap_limit: false, ..debian() }), [("swap", Warn)]);
        assert_eq!(told(&EngineInfo { storage_driver: "vfs".to_owned(), ..debian() }), [("storage_driver", Warn)]);
        assert_eq!(told(&EngineInfo { api_version: "1.39".to_owned(), ..debian() }), [("engine", Warn)]);
    }

    #[test]
    fn every_port_needs_a_network_and_the_probe_one_more() {
        let status = |pool: &str, range: &str, instances| {
            networks(pool.parse().unwrap(), range.parse().unwrap(), instances).status
        };
        assert_eq!(status("10.210.0.0/15", "10000-20000", 1000), CheckStatus::Ok);
        assert_eq!(status("10.0.0.0/16", "10000-20000", 10), CheckStatus::Warn);
        assert_eq!(status("10.0.0.0/28", "10000-10001", 1), CheckStatus::Warn);
        assert_eq!(status("10.210.0.0/15", "10000-10009", 64), CheckStatus::Warn);
    }
}
