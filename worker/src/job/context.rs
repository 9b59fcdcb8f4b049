//! What a step is given: the job, the right to act in its name, and the ways in which it can be told to stop.

use clawdeploy_shared::{
    db::{
        Conn, Scope,
        instance::{self, Instance},
        job::Job,
        job_event::NewJobEvent,
        lease::{self, Lease},
    },
    ids::InstanceId,
    job::JobEventKind,
    openclaw::GatewaySettings,
    ports::Subnet,
};

use super::{error::StepError, secrets::Secrets, signals::Signals};
use crate::env::Env;

#[derive(Debug)]
pub struct JobContext {
    pub env: Env,
    pub job: Job,
    pub lease: Lease,
    pub signals: Signals,
    /// Whether a request to cancel is obeyed; not while the job is being undone already.
    pub cancellable: bool,
}

impl JobContext {
    /// A safe point: fails if the job is to stop here.
    pub fn check(&self) -> Result<(), StepError> {
        if self.signals.lost.is_cancelled() {
            Err(StepError::LeaseLost)
        } else if self.cancellable && self.signals.cancel.is_cancelled() {
            Err(StepError::Cancelled)
        } else if self.env.draining.is_cancelled() || !self.env.identity.belongs() {
            // What is handed back here goes on elsewhere, or here once database, directory and engine belong together.
            Err(StepError::Draining)
        } else {
            Ok(())
        }
    }

    /// Writes in the job's name, in one transaction that holds the lease: an error takes back all of it.
    ///
    /// Fails with [`StepError::LeaseLost`], and writes nothing, once somebody else may have the job. Queries that are given a
    /// [`Lease`] do the same by themselves, and need no more than a connection.
    pub async fn fenced<T>(&self, writes: impl AsyncFnOnce(&mut Conn) -> Result<T, StepError>) -> Result<T, StepError> {
        let mut conn = self.env.db.conn().await?;
        lease::fenced(&mut conn, &self.lease, writes).await
    }

    /// The last look before a change that cannot be fenced, to Docker or to files: the lease must still be good, by the
    /// database's clock. It holds nothing, so what is written to the database goes through [`Self::fenced`] instead.
    ///
    /// A worker that stood still for longer than its lease goes on in the middle of a step, before its heartbeat has noticed
    /// anything. What it would stop or remove then is what its successor has made.
    pub async fn ensure_leased(&self) -> Result<(), StepError> {
        if !self.env.identity.belongs() {
            return Err(StepError::Draining);
        }
        let mut conn = self.env.db.conn().await?;
        Ok(lease::hold(&mut conn, &self.lease).await?)
    }

    /// Waits until [`Self::check`] would fail; for loops that wait for something else.
    pub async fn told_to_stop(&self) {
        tokio::select! {
            () = self.signals.lost.cancelled() => {}
            () = self.signals.cancel.cancelled(), if self.cancellable => {}
            () = self.env.draining.cancelled() => {}
            () = self.env.identity.stands_by() => {}
        }
    }

    pub fn instance_id(&self) -> Result<&InstanceId, StepError> {
        self.job
            .instance_id
            .as_ref()
            .ok_or_else(|| StepError::permanent("job_without_instance", "The job has no instance."))
    }

    /// The instance as it is now, and its port.
    pub async fn instance(&self) -> Result<(Instance, Option<u16>), StepError> {
        let id = self.instance_id()?;
        let mut conn = self.env.db.conn().await?;
        instance::find(&mut conn, Scope::Everything, id)
            .await?
            .ok_or_else(|| StepError::permanent("instance_gone", "The instance no longer exists."))
    }

    /// As [`Self::instance`], for steps that come after a port was reserved.
    pub async fn instance_with_port(&self) -> Result<(Instance, u16), StepError> {
        let (instance, port) = self.instance().await?;
        let port = port.ok_or_else(|| StepError::transient("port_missing", "The instance has no port yet."))?;
        Ok((instance, port))
    }

    /// The network that goes with a port.
    pub fn subnet(&self, port: u16) -> Result<Subnet, StepError> {
        let (pool, range) = (self.env.config.instances.network_pool, self.env.config.routing.port_range);
        pool.subnet(range, port).ok_or_else(|| {
            StepError::permanent(
                "network_pool_too_small",
                format!("No network is left for port {port}. An administrator must give the workers a larger CLAWDEPLOY_NETWORK_POOL."),
            )
        })
    }

    pub fn secrets(&self, instance: &Instance) -> Result<Secrets, StepError> {
        Ok(Secrets::open(&self.env.sealer, instance)?)
    }

    /// What the instance's files are made from.
    pub fn gateway_settings<'a>(
        &'a self,
        instance: &'a Instance,
        secrets: &'a Secrets,
        port: u16,
    ) -> Result<GatewaySettings<'a>, StepError> {
        instance.known_settings()?;
        Ok(GatewaySettings {
            id: &instance.id,
            token: &secrets.gateway_token,
            channel: instance.channel,
            bot_token: secrets.bot_token.as_ref(),
            ai_provider: instance.ai_provider,
            api_key: secrets.api_key.as_ref(),
            env: &secrets.env,
            routing: &self.env.config.routing,
            port,
            proxy: self.subnet(port)?.gateway,
            openclaw_version: &self.env.config.image.openclaw_version,
            created_at: instance.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        })
    }

    /// Adds a line to the job's story.
    pub async fn log(&self, message: &str) -> Result<(), StepError> {
        self.note(&NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message)).await
    }

    /// Adds a line that belongs to a step.
    pub async fn log_step(&self, step: &str, message: &str) -> Result<(), StepError> {
        let event = NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message);
        self.note(&NewJobEvent { step: Some(step), ..event }).await
    }

    /// Adds a line and says how far the job is, in percent.
    pub async fn log_progress(&self, message: &str, progress: i16) -> Result<(), StepError> {
        let event = NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message);
        self.note(&NewJobEvent { progress: Some(progress), ..event }).await
    }

    pub(crate) async fn note(&self, event: &NewJobEvent<'_>) -> Result<(), StepError> {
        let mut conn = self.env.db.conn().await?;
        Ok(lease::note(&mut conn, &self.lease, event).await?)
    }
}
