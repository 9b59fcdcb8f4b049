//! What a step is given: the job, its lease, and the signals to stop.

use clawdeploy_shared::{
    db::{
        Conn,
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
    /// Whether a cancel is obeyed. Not while the job is being undone.
    pub cancellable: bool,
}

impl JobContext {
    /// A safe point: fails if the job must stop here.
    pub fn check(&self) -> Result<(), StepError> {
        if self.signals.lost.is_cancelled() {
            Err(StepError::LeaseLost)
        } else if self.cancellable && self.signals.cancel.is_cancelled() {
            Err(StepError::Cancelled)
        } else if self.env.draining.is_cancelled() || !self.env.identity.belongs() {
            // Another worker continues, or this one once database, directory and engine belong together.
            Err(StepError::Draining)
        } else {
            Ok(())
        }
    }

    /// Runs `writes` in one transaction that holds the lease. An error rolls back all of it.
    ///
    /// Fails with [`StepError::LeaseLost`], and writes nothing, once another worker may have the job. Queries that take
    /// a [`Lease`] check it themselves and only need a connection.
    pub async fn fenced<T>(&self, writes: impl AsyncFnOnce(&mut Conn) -> Result<T, StepError>) -> Result<T, StepError> {
        let mut conn = self.env.db.conn().await?;
        lease::fenced(&mut conn, &self.lease, writes).await
    }

    /// Checks, by the database's clock, that the lease is still good. Call it right before a change that cannot be
    /// fenced: to Docker or to files. It holds nothing, so writes to the database go through [`Self::fenced`] instead.
    ///
    /// A worker that stood still for longer than its lease resumes in the middle of a step, before its heartbeat
    /// notices. It would then stop or remove what its successor made.
    pub async fn ensure_leased(&self) -> Result<(), StepError> {
        if !self.env.identity.belongs() {
            return Err(StepError::Draining);
        }
        let mut conn = self.env.db.conn().await?;
        Ok(lease::hold(&mut conn, &self.lease).await?)
    }

    /// Waits until [`Self::check`] would fail. For loops that wait for something else.
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

    /// The instance as it is now, with its port. Nobody may own it.
    pub async fn instance(&self) -> Result<(Instance, Option<u16>), StepError> {
        let id = self.instance_id()?;
        let mut conn = self.env.db.conn().await?;
        instance::find_for_job(&mut conn, id)
            .await?
            .ok_or_else(|| StepError::permanent("instance_gone", "The instance no longer exists."))
    }

    /// Like [`Self::instance`], for steps after a port was reserved.
    pub async fn instance_with_port(&self) -> Result<(Instance, u16), StepError> {
        let (instance, port) = self.instance().await?;
        let port = port.ok_or_else(|| StepError::transient("port_missing", "The instance has no port yet."))?;
        Ok((instance, port))
    }

    /// The network that belongs to a port.
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

    /// The settings that the instance's files are rendered from.
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
            proxy: self.subnet(port)?.gateway(),
            openclaw_version: &self.env.config.image.build.openclaw_version,
            created_at: instance.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        })
    }

    /// Adds a line to the job's log.
    pub async fn log(&self, message: &str) -> Result<(), StepError> {
        self.note(&NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message)).await
    }

    /// Adds a line about a step to the job's log.
    pub async fn log_step(&self, step: &str, message: &str) -> Result<(), StepError> {
        let event = NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message);
        self.note(&NewJobEvent { step: Some(step), ..event }).await
    }

    /// Adds a line to the job's log and sets its progress, in percent.
    pub async fn log_progress(&self, message: &str, progress: i16) -> Result<(), StepError> {
        let event = NewJobEvent::new(self.job.id, self.lease.attempt, JobEventKind::Log, message);
        self.note(&NewJobEvent { progress: Some(progress), ..event }).await
    }

    pub(crate) async fn note(&self, event: &NewJobEvent<'_>) -> Result<(), StepError> {
        let mut conn = self.env.db.conn().await?;
        Ok(lease::note(&mut conn, &self.lease, event).await?)
    }
}
