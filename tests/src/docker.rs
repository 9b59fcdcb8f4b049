//! Docker by its command line, independent of the worker's client.

use std::{collections::HashMap, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::settings;

const LIMIT: Duration = Duration::from_mins(2);
const LABEL_DEPLOYMENT: &str = "clawdeploy.deployment";
const LABEL_INSTANCE: &str = "clawdeploy.instance";
const LABEL_PROBE: &str = "clawdeploy.probe";
const LABEL_WARM: &str = "clawdeploy.warm";

/// Output of `docker ARGUMENTS`.
pub async fn try_docker(arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("docker");
    // Without BuildKit, which needs a plugin and is not necessary here.
    command.args(arguments).env("DOCKER_HOST", settings::docker_host()).env("DOCKER_BUILDKIT", "0");
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let shown = || format!("docker {}", arguments.join(" "));
    let output = tokio::time::timeout(LIMIT, running).await.with_context(shown)?.with_context(shown)?;
    if !output.status.success() {
        bail!("{}: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`try_docker`], but panics on failure.
pub async fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// A container of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// `running`, `exited`, `paused`, ...
    pub state: String,
    pub instance: String,
}

/// Containers of a deployment, in any state.
pub async fn containers(deployment: &str) -> Vec<Container> {
    let filter = format!("label={LABEL_DEPLOYMENT}={deployment}");
    // Without the firewall's probe, which appears and disappears at any time.
    let format = format!(
        "{{{{if not (.Label \"{LABEL_PROBE}\")}}}}{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}} {{{{.Label \"{LABEL_INSTANCE}\"}}}}{{{{end}}}}"
    );
    let listed = docker(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format]).await;
    let container = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Container { id: next(), name: next(), state: next(), instance: next() }
    };
    listed.lines().filter(|line| !line.is_empty()).map(container).collect()
}

/// Instances of the networks of a deployment, one entry for each network.
pub async fn networks(deployment: &str) -> Vec<String> {
    let filter = format!("label={LABEL_DEPLOYMENT}={deployment}");
    let format = format!("{{{{.Label \"{LABEL_INSTANCE}\"}}}}");
    let listed = docker(&["network", "ls", "--filter", &filter, "--format", &format]).await;
    // The networks of the firewall's probe and of the warm pool belong to no instance.
    listed.lines().filter(|of| !of.is_empty()).map(str::to_owned).collect()
}

/// Names of a deployment's networks for gateways of the warm pool.
pub async fn warm_networks(deployment: &str) -> Vec<String> {
    let filter = format!("label={LABEL_DEPLOYMENT}={deployment}");
    let warm = format!("label={LABEL_WARM}");
    let listed = docker(&["network", "ls", "--filter", &filter, "--filter", &warm, "--format", "{{.Name}}"]).await;
    listed.lines().map(str::to_owned).collect()
}

/// Names of the networks that these containers are attached to. An error: one of them is gone.
pub async fn networks_of(containers: &[&str]) -> anyhow::Result<HashMap<String, Vec<String>>> {
    if containers.is_empty() {
        return Ok(HashMap::new());
    }
    let format = "{{.Id}}{{range $name, $network := .NetworkSettings.Networks}} {{$name}}{{end}}";
    let arguments = [&["inspect", "--type", "container", "--format", format][..], containers].concat();
    let listed = try_docker(&arguments).await?;
    let attached = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        (words.next().unwrap_or_default(), words.collect::<Vec<_>>())
    };
    Ok(listed.lines().map(attached).collect())
}

/// Removes the containers and networks of all deployments with this prefix.
pub async fn remove_deployments(prefix: &str) -> anyhow::Result<()> {
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL_DEPLOYMENT}\"}}}}");
    let filter = format!("label={LABEL_DEPLOYMENT}");
    let ids = |listed: String| -> Vec<String> {
        let mine =
            |line: &str| line.split_once(' ').filter(|(_, label)| label.starts_with(prefix)).map(|(id, _)| id.into());
        listed.lines().filter_map(mine).collect()
    };
    let containers = ids(try_docker(&["ps", "--all", "--filter", &filter, "--format", &format]).await?);
    if !containers.is_empty() {
        let mut arguments = vec!["rm", "--force", "--volumes"];
        arguments.extend(containers.iter().map(String::as_str));
        try_docker(&arguments).await?;
    }
    let networks = ids(try_docker(&["network", "ls", "--filter", &filter, "--format", &format]).await?);
    if !networks.is_empty() {
        let mut arguments = vec!["network", "rm"];
        arguments.extend(networks.iter().map(String::as_str));
        try_docker(&arguments).await?;
    }
    Ok(())
}

/// One property of a container, by `docker inspect --format`.
pub async fn inspect(container: &str, format: &str) -> String {
    docker(&["inspect", "--type", "container", "--format", format, container]).await.trim().to_owned()
}

/// Whether a container exists.
pub async fn exists(container: &str) -> bool {
    try_docker(&["inspect", "--type", "container", container]).await.is_ok()
}
