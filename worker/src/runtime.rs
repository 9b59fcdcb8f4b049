//! The engine that runs the gateways, as verbs that may be repeated.
//!
//! Callers do not see which engine it is: each verb states what is wanted, and a match implements it for each engine.
//! Two rules hold for all of them:
//! - A verb is idempotent. After a crash or a lost response it is called again: an existing object is reused, and a
//!   missing one counts as removed.
//! - It addresses a gateway by its engine's id, never by name. So a worker that lost its lease cannot touch the gateway
//!   that its successor made under the same name.
//!
//! What only one engine has, such as image builds, is matched on where it is used.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clawdeploy_shared::{
    ids::InstanceId,
    ports::{ProbePlace, Subnet},
    rpc::usage::{LogArguments, LogLine},
};
use futures_util::{StreamExt as _, stream::BoxStream};

use self::docker::Docker;
pub(crate) use self::docker::{Attached, Counters, KILLED, ProbeSpec, RunningExec};
pub use self::{
    docker::{Ending, Finished, LabelledImage, OwnedNetwork},
    error::RuntimeError,
    gateway::{
        GatewaySpec, GatewayState, GatewayStatus, InstanceAction, InstanceEvent, NetworkSpec, OwnedGateway, Reference,
    },
    limit::HostLimit,
};

pub mod docker;
mod error;
mod gateway;
mod limit;
pub(crate) mod printed;

/// The engine that runs this installation's gateways. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub enum Runtime {
    Docker(Docker),
}

/// The engine itself.
impl Runtime {
    /// Fails unless the engine answers.
    pub async fn ping(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.ping().await.map(drop)?),
        }
    }

    /// CPU available for gateways, in thousandths of a core.
    pub async fn cpu_millis(&self) -> Result<i32, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.engine().await?.cpu_millis),
        }
    }

    /// Memory of the host that runs gateways, in MiB. `None`: the engine does not say.
    pub async fn memory_mb(&self) -> Result<Option<i32>, RuntimeError> {
        match self {
            Self::Docker(docker) => {
                let bytes = docker.engine().await?.memory_bytes;
                Ok(bytes.and_then(|bytes| i32::try_from(bytes >> 20).ok()))
            }
        }
    }

    /// The engine's id, if it has one. With `refresh` it is asked for again, else the last known one is returned.
    pub async fn engine_id(&self, refresh: bool) -> Result<Option<String>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.engine_id(refresh).await?),
        }
    }

    /// Sets the id of this installation's engine. Calls to an engine with another id are refused. `None`: not known
    /// yet.
    pub fn expect(&self, id: Option<&str>) {
        match self {
            Self::Docker(docker) => docker.expect(id),
        }
    }
}

/// Images.
impl Runtime {
    /// Id of the image that `reference` names now. `None`: the engine has no such image.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.image_id(reference).await?),
        }
    }

    /// Version of OpenClaw in an image. `None`: there is no such image, or it does not say.
    pub async fn image_version(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.image_version(reference).await?),
        }
    }

    /// Images with this deployment's label.
    pub async fn list_labelled_images(&self) -> Result<Vec<LabelledImage>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.list_labelled_images().await?),
        }
    }

    /// Ids of the images that anything on the engine was made from.
    pub async fn images_in_use(&self) -> Result<HashSet<String>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.images_of_containers().await?),
        }
    }

    /// Removes an image with those of its tags that are ours. False: it has another name or is in use, so it stays.
    pub async fn remove_own_image(&self, id: &str, own_tags: &HashSet<String>) -> Result<bool, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.remove_own_image(id, own_tags).await?),
        }
    }
}

/// Gateways and their networks.
impl Runtime {
    /// Gateways of one instance, usually one or none.
    pub async fn gateways_of(&self, instance: &InstanceId) -> Result<Vec<OwnedGateway>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.find_instance_containers(instance).await?),
        }
    }

    /// Gateways of all instances of this deployment, in any state.
    pub async fn gateways(&self) -> Result<Vec<OwnedGateway>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.list_owned().await?),
        }
    }

    /// State of a gateway. `None`: no gateway has this id.
    pub async fn state(&self, id: &Reference) -> Result<Option<GatewayState>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.inspect_state(id.as_str()).await?),
        }
    }

    /// Address of the gateway of the instance that holds `port`, for probes and users.
    pub fn address(&self, port: u16) -> SocketAddr {
        match self {
            Self::Docker(_) => (Ipv4Addr::LOCALHOST, port).into(),
        }
    }

    /// Port of this host that leads to a gateway. `None`: there is no such gateway or port.
    pub async fn host_port(&self, id: &Reference) -> Result<Option<u16>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.host_port(id.as_str()).await?),
        }
    }

    /// Events of this deployment's gateways, from now on and without a gap, until the engine ends the stream or an
    /// error occurs.
    pub async fn events(&self) -> Result<BoxStream<'static, Result<InstanceEvent, RuntimeError>>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.events().await?.map(|event| Ok(event?)).boxed()),
        }
    }

    /// Ensures that the gateway of `spec` exists and returns it. Does not start it.
    pub async fn ensure_gateway(&self, spec: &GatewaySpec) -> Result<Reference, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(Reference::new(docker.ensure_container(spec).await?)),
        }
    }

    /// Starts a gateway. A running one is left as it is.
    pub async fn start(&self, id: &Reference) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.start(id.as_str()).await?),
        }
    }

    /// Stops a gateway, with `grace` to exit. A stopped or missing one counts as done.
    pub async fn stop(&self, id: &Reference, grace: Duration) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.stop(id.as_str(), grace).await?),
        }
    }

    /// Removes a gateway, running or not. Its files stay.
    pub async fn remove(&self, id: &Reference) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.remove(id.as_str()).await?),
        }
    }

    /// Freezes a running gateway: it keeps its memory and gets no CPU. A frozen one is left as it is;
    /// [`start`](Self::start) thaws it.
    pub async fn freeze(&self, id: &Reference) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.freeze(id.as_str()).await?),
        }
    }

    /// Attaches a gateway that was created and not started to the warm pool's network instead of its own. From there it
    /// reaches nothing, and nothing reaches it. It boots with a small share of the CPU.
    pub async fn seclude(&self, id: &Reference, place: Subnet) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.seclude(id.as_str(), place).await?),
        }
    }

    /// Undoes [`seclude`](Self::seclude), also while the gateway runs: attaches it to its own network, which exists.
    pub async fn admit(&self, id: &Reference, instance: &InstanceId) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.admit(id.as_str(), instance).await?),
        }
    }

    /// Prepares a gateway that is about to be started: limits its CPU to `millis` thousandths of a core, and has the engine
    /// start it again when it exits.
    pub async fn prepare_start(&self, id: &Reference, millis: i32) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.prepare_start(id.as_str(), millis).await?),
        }
    }

    /// Sets whether the engine starts a gateway again when it exits, and after a reboot of the host.
    pub async fn restart_by_itself(&self, id: &Reference, restarts: bool) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.restart_by_itself(id.as_str(), restarts).await?),
        }
    }

    /// Limits the CPU of a gateway to `millis` thousandths of a core, at once, even while it runs.
    pub async fn set_cpu(&self, id: &Reference, millis: i32) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.set_cpu(id.as_str(), millis).await?),
        }
    }

    /// Ensures that the instance's network of `spec` exists.
    pub async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.ensure_network(spec).await?),
        }
    }

    /// Removes the network of an instance. A missing one counts as done.
    pub async fn remove_network(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.remove_network(instance).await?),
        }
    }

    /// Networks of all instances of this deployment.
    pub async fn networks(&self) -> Result<Vec<OwnedNetwork>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.list_owned_networks().await?),
        }
    }

    /// Removes an unused network. False: it is in use and stays. A missing one counts as done.
    pub async fn remove_unused_network(&self, network: &OwnedNetwork) -> Result<bool, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.remove_unused_network(network).await?),
        }
    }

    /// Ensures that the two networks of the firewall probe exist.
    pub(crate) async fn ensure_probe_networks(&self, place: &ProbePlace) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.ensure_probe_networks(place).await?),
        }
    }

    /// Runs the firewall probe once and returns its exit code.
    pub(crate) async fn run_probe(&self, spec: &ProbeSpec) -> Result<i64, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.run_probe(spec).await?),
        }
    }
}

/// The inside of a gateway's container.
impl Runtime {
    /// The last `lines` lines of a gateway's output, oldest first, at most 16 KiB, with `secrets` masked. Empty if
    /// there is no gateway.
    pub async fn tail(&self, id: &Reference, lines: usize, secrets: &[&str]) -> Result<Vec<String>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.tail(id.as_str(), lines, secrets).await?),
        }
    }

    /// Lines of a gateway's output, without control characters: the existing ones and, if it is followed, the coming
    /// ones.
    pub(crate) async fn log_lines(
        &self,
        id: &Reference,
        arguments: LogArguments,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.log_lines(id.as_str(), arguments).await?.map(|line| Ok(line?)).boxed()),
        }
    }

    /// The usage counters of a running gateway since its start. `None`: it does not run or does not exist.
    pub(crate) async fn counters(&self, id: &Reference) -> Result<Option<Counters>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.counters(id.as_str()).await?),
        }
    }

    /// The same about once a second, until the gateway exits.
    pub(crate) async fn follow_counters(
        &self,
        id: &Reference,
    ) -> Result<BoxStream<'static, Result<Counters, RuntimeError>>, RuntimeError> {
        match self {
            Self::Docker(docker) => {
                Ok(docker.follow_counters(id.as_str()).await?.map(|counters| Ok(counters?)).boxed())
            }
        }
    }

    /// Runs `command` beside a gateway, without a TTY, and waits for its end. It is killed after `limit`.
    pub async fn exec(&self, id: &Reference, command: &[&str], limit: Duration) -> Result<Finished, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.exec(id.as_str(), command, limit).await?),
        }
    }

    /// Prepares `command` beside a gateway and returns its id. With a `variable` (`NAME=value`) for its environment it
    /// gets a TTY.
    pub(crate) async fn create_exec(
        &self,
        id: &Reference,
        command: &[&str],
        variable: Option<&str>,
    ) -> Result<String, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.create_exec(id.as_str(), command, variable).await?),
        }
    }

    /// Starts a prepared command and takes over its streams.
    pub(crate) async fn attach_exec(&self, exec: &str, tty: bool) -> Result<Attached, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.attach_exec(exec, tty).await?),
        }
    }

    /// Resizes the TTY of a command.
    pub(crate) async fn resize_exec(&self, exec: &str, cols: u16, rows: u16) -> Result<(), RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.resize_exec(exec, cols, rows).await?),
        }
    }

    /// The exit code of a command. `None`: it still runs.
    pub(crate) async fn exec_ended(&self, exec: &str) -> Result<Option<i64>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.exec_ended(exec).await?),
        }
    }

    /// Commands that run beside a gateway.
    pub(crate) async fn running_execs(&self, id: &Reference) -> Result<Vec<RunningExec>, RuntimeError> {
        match self {
            Self::Docker(docker) => Ok(docker.running_execs(id.as_str()).await?),
        }
    }
}
