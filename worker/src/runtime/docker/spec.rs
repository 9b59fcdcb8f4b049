//! The complete definition of an instance's container and network.
//!
//! Of user input only ids, numbers and our own paths reach these bodies, and no option can be passed through. They hold
//! no secrets either: whoever may inspect a container can read its environment and labels, so tokens and keys are in
//! files of the config directory.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Ipam, IpamConfig, Mount, MountType,
    NetworkCreateRequest, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use clawdeploy_shared::openclaw::{GATEWAY_PORT, WORKSPACE_DIR};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::runtime::{GatewaySpec, NetworkSpec};

/// Distinguishes two deployments on one engine.
pub const LABEL_DEPLOYMENT: &str = "clawdeploy.deployment";
/// Id of the instance that a container or network belongs to.
pub const LABEL_INSTANCE: &str = "clawdeploy.instance";
/// Hash of the body that a container was made from.
pub const LABEL_SPEC: &str = "clawdeploy.spec";
/// The job that made a container, and its attempt.
pub const LABEL_JOB: &str = "clawdeploy.job";
pub const LABEL_ATTEMPT: &str = "clawdeploy.attempt";
/// Version of OpenClaw in an image.
pub const LABEL_OPENCLAW_VERSION: &str = "clawdeploy.openclaw.version";

const HOME: &str = "/home/node";
const CONFIG_TARGET: &str = "/home/node/.openclaw";

/// The complete container of an instance.
pub fn container_body(spec: &GatewaySpec) -> ContainerCreateBody {
    let mut body = ContainerCreateBody {
        // OpenClaw's lease on its state records the host name. With a changing name, a recreated container would refuse
        // to start for five minutes after a kill.
        hostname: Some(spec.instance.to_string()),
        user: Some("1000:1000".to_owned()),
        working_dir: Some("/app".to_owned()),
        // An empty list, not `None`: the command below runs whatever the image's entry point is.
        entrypoint: Some(Vec::new()),
        cmd: Some(strings(&[
            "node",
            "dist/index.js",
            "gateway",
            "--bind",
            "lan",
            "--port",
            "18789",
            "--allow-unconfigured",
        ])),
        env: Some(environment(spec)),
        image: Some(spec.image_id.clone()),
        exposed_ports: Some(vec![format!("{GATEWAY_PORT}/tcp")]),
        // The worker probes the gateway itself. A health check would keep starting a process in every container.
        healthcheck: Some(HealthConfig { test: Some(strings(&["NONE"])), ..HealthConfig::default() }),
        // A gateway with a busy agent drains for minutes. Nobody waits longer than this.
        stop_timeout: Some(60),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    };
    let hash = spec_hash(&body);
    body.labels = Some(HashMap::from([
        (LABEL_DEPLOYMENT.to_owned(), spec.deployment.clone()),
        (LABEL_INSTANCE.to_owned(), spec.instance.to_string()),
        (LABEL_SPEC.to_owned(), hash),
        (LABEL_JOB.to_owned(), spec.job.to_string()),
        (LABEL_ATTEMPT.to_owned(), spec.attempt.to_string()),
    ]));
    body
}

/// The complete network of an instance.
pub fn network_body(spec: &NetworkSpec) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: spec.instance.container_name(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(spec.subnet.cidr()),
                gateway: Some(spec.subnet.gateway().to_string()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        enable_ipv6: Some(false),
        options: Some(HashMap::from([
            // A network holds one container. Should a second ever be attached, they cannot talk.
            ("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned()),
            ("com.docker.network.bridge.host_binding_ipv4".to_owned(), "127.0.0.1".to_owned()),
        ])),
        labels: Some(HashMap::from([
            (LABEL_DEPLOYMENT.to_owned(), spec.deployment.clone()),
            (LABEL_INSTANCE.to_owned(), spec.instance.to_string()),
        ])),
        ..NetworkCreateRequest::default()
    }
}

/// Sixteen hex digits that change with anything in a body except its labels.
pub fn spec_hash(body: &ContainerCreateBody) -> String {
    let body = ContainerCreateBody { labels: None, ..body.clone() };
    let mut canonical = String::new();
    // A structure of strings and numbers always serializes.
    write_canonical(&serde_json::to_value(&body).unwrap_or_default(), &mut canonical);
    let mut hash = hex::encode(Sha256::digest(canonical.as_bytes()));
    hash.truncate(16);
    hash
}

/// JSON with sorted keys: the bodies hold hash maps, whose order differs between runs.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn environment(spec: &GatewaySpec) -> Vec<String> {
    // Much of a gateway's memory is outside V8's old space: 7/16 of the limit leaves room for that and for a CLI
    // command (896 MiB of 2 GiB, as measured).
    let old_space_mb = spec.memory_mb * 7 / 16;
    vec![
        format!("HOME={HOME}"),
        "TERM=xterm-256color".to_owned(),
        "MALLOC_ARENA_MAX=2".to_owned(),
        format!("NODE_OPTIONS=--max-old-space-size={old_space_mb} --max-semi-space-size=8"),
        // Only the mounts of the home directory are writable.
        format!("XDG_CACHE_HOME={CONFIG_TARGET}/cache"),
        format!("npm_config_cache={CONFIG_TARGET}/cache/npm"),
        "OPENCLAW_NO_AUTO_UPDATE=1".to_owned(),
    ]
}

fn host_config(spec: &GatewaySpec) -> HostConfig {
    let memory = i64::from(spec.memory_mb) * 1024 * 1024;
    HostConfig {
        // Siblings, never nested: a mount below a directory that the tenant can write is resolved through what the
        // tenant put there (CVE-2021-30465).
        mounts: Some(vec![bind(&spec.config_dir, CONFIG_TARGET), bind(&spec.workspace_dir, WORKSPACE_DIR)]),
        network_mode: Some(spec.instance.container_name()),
        // On all interfaces the gateway would be exposed beside nginx, and other containers would reach it as its
        // trusted proxy.
        port_bindings: Some(HashMap::from([(
            format!("{GATEWAY_PORT}/tcp"),
            Some(vec![PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(spec.port.to_string()) }]),
        )])),
        memory: Some(memory),
        // Equal to the memory limit: no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus(spec.start_cpu_millis())),
        pids_limit: Some(512),
        cap_drop: Some(strings(&["ALL"])),
        security_opt: Some(strings(&["no-new-privileges"])),
        privileged: Some(false),
        // Without it node is PID 1 and ignores signals while it boots.
        init: Some(true),
        readonly_rootfs: Some(true),
        // Counts towards the container's memory.
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), "rw,noexec,nosuid,nodev,size=512m".to_owned())])),
        ipc_mode: Some("private".to_owned()),
        // When the host runs out of memory, instances are killed before the services that run them.
        oom_score_adj: Some(500),
        // Plenty for a gateway. Not higher, because a start fails if the engine's own limit is lower.
        ulimits: Some(vec![ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(16384), hard: Some(16384) }]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        restart_policy: Some(restart_policy(true)),
        ..HostConfig::default()
    }
}

/// Whether the engine starts a container again when it exits, until it is stopped.
pub(super) fn restart_policy(restarts: bool) -> RestartPolicy {
    let name = if restarts { RestartPolicyNameEnum::UNLESS_STOPPED } else { RestartPolicyNameEnum::NO };
    RestartPolicy { name: Some(name), maximum_retry_count: None }
}

/// A bind mount. Unlike with the short form `source:target`, the engine refuses a missing source instead of creating it
/// as root.
fn bind(source: &std::path::Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(false),
        ..Mount::default()
    }
}

pub(super) fn nano_cpus(millis: i32) -> i64 {
    i64::from(millis) * 1_000_000
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

#[cfg(test)]
mod tests;
