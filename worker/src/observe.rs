//! Derives an instance's status from its container.

use clawdeploy_shared::{
    db::{
        DbError, Scope, frozen,
        instance::{self, Fault, Instance},
        sleep,
    },
    ids::InstanceId,
    instance::InstanceStatus,
};

use crate::{
    env::Env,
    job::error::StepError,
    runtime::{GatewayState, GatewayStatus, Reference, RuntimeError},
};

/// An observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub status: InstanceStatus,
    /// The container, if there is one.
    pub container: Option<GatewayState>,
    reason: Option<(&'static str, String)>,
}

impl Observed {
    pub(crate) fn new(status: InstanceStatus) -> Self {
        Self { status, container: None, reason: None }
    }

    fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: InstanceStatus::Error, container: None, reason: Some((code, message.into())) }
    }

    /// The reason, if the status is error.
    pub fn fault(&self) -> Option<Fault<'_>> {
        self.reason.as_ref().map(|(code, message)| Fault { code, message })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("a call to Docker failed")]
    Runtime(#[from] RuntimeError),
}

impl From<ObserveError> for StepError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Db(error) => error.into(),
            ObserveError::Runtime(error) => error.into(),
        }
    }
}

/// Observes the container of an instance. A running one is `running` only if its gateway answers, else `starting`.
pub async fn observe(env: &Env, id: &InstanceId) -> Result<Observed, ObserveError> {
    let found = instance::find(&mut *env.db.conn().await?, Scope::Everything, id).await?;
    let Some((instance, port)) = found else { return Ok(Observed::new(InstanceStatus::Deleting)) };
    let mut seen = inspect(env, &instance).await?;
    if seen.status == InstanceStatus::Running {
        let gateway = port.map(|port| env.runtime.address(port));
        let ready = match gateway {
            Some(gateway) if instance.status == InstanceStatus::Running => env.probe.is_still_ready(gateway).await,
            Some(gateway) => env.probe.is_ready(gateway).await,
            None => false,
        };
        if !ready {
            seen.status = InstanceStatus::Starting;
        }
    }
    Ok(seen)
}

/// Observes the container that a row names, without asking its gateway: a running one counts as `running`.
pub(crate) async fn inspect(env: &Env, instance: &Instance) -> Result<Observed, ObserveError> {
    let state = match Reference::of(instance) {
        Some(container_id) => env.runtime.state(&container_id).await?,
        None => None,
    };
    Ok(match state {
        // Frozen, or ended by a reboot of the host.
        Some(state) if sleeps(env, instance, state.status).await? => {
            Observed { container: Some(state), ..Observed::new(InstanceStatus::Stopped) }
        }
        Some(state) => Observed { container: Some(state.clone()), ..judge(&state) },
        // It is made again when the instance wakes.
        None if sleep::is_asleep(instance) => Observed::new(InstanceStatus::Stopped),
        None => Observed::error(
            "container_gone",
            "Something other than ClawDeploy removed the container. Start the instance to recreate it; its files \
             are still there.",
        ),
    })
}

/// Whether a container shows no more than that its instance sleeps.
async fn sleeps(env: &Env, instance: &Instance, shown: GatewayStatus) -> Result<bool, DbError> {
    match shown {
        // Until it is stopped, also if its owner has ended the sleep.
        GatewayStatus::Paused => Ok(frozen::held(&mut *env.db.conn().await?, &instance.id).await?.is_some()),
        GatewayStatus::Exited | GatewayStatus::Created | GatewayStatus::Dead => Ok(sleep::is_asleep(instance)),
        GatewayStatus::Running | GatewayStatus::Restarting | GatewayStatus::Removing => Ok(false),
    }
}

/// Whether a gateway that was stopped exits like this: by itself, killed, or terminated.
pub(crate) fn is_of_a_stop(exit_code: i64) -> bool {
    matches!(exit_code, 0 | 137 | 143)
}

pub(crate) fn judge(state: &GatewayState) -> Observed {
    let code = state.exit_code.unwrap_or_default();
    match state.status {
        GatewayStatus::Running => Observed::new(InstanceStatus::Running),
        GatewayStatus::Paused => Observed::error(
            "container_paused",
            "Something other than ClawDeploy paused the container. Start the instance to resume it.",
        ),
        // If this goes on, the reconciler's crash-loop breaker stops it.
        GatewayStatus::Restarting => Observed::new(InstanceStatus::Starting),
        // A clean stop by somebody else counts as stopped. A stop exits with 137 or 143.
        GatewayStatus::Exited if state.oom_killed => Observed::error(
            "gateway_out_of_memory",
            "The gateway ran out of memory. Give the instance more memory, then start it.",
        ),
        GatewayStatus::Exited | GatewayStatus::Created if is_of_a_stop(code) => Observed::new(InstanceStatus::Stopped),
        GatewayStatus::Exited | GatewayStatus::Created | GatewayStatus::Dead | GatewayStatus::Removing => {
            Observed::error(
                "gateway_exited",
                format!("The gateway exited (exit code {code}). Look at its log, then start it."),
            )
        }
    }
}
