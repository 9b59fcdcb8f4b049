//! Keeps the warm pool filled: instances that have booted, belong to nobody and are frozen, so that a creation need not wait
//! for a boot.
//!
//! One worker at a time decides. It makes one instance after the other, so that they never compete with the boots that
//! people wait for, and removes those that are of no use: their image is no longer the current one, they are more than a day
//! old, their container is not frozen, they are one too many, or their job failed. Jobs of a queue of its own do the work.
//!
//! All workers must have the same settings for it. After a job of the pool failed, there is a pause of some minutes.
//!
//! The pool never takes memory from instances: it counts for nothing when they are admitted, and shrinks as soon as what is
//! left is less than it has.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{
        Conn, DbError, boot, host,
        instance::{NewInstance, seal_context},
        job::Job,
        version_policy,
        warm_pool::{self, WarmInstance},
        worker,
    },
    ids::InstanceId,
    instance::{AiProvider, Channel, DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_MB, DesiredState, InstanceStatus},
    job::JobKind,
    secret::SecretError,
    telemetry::chain,
    token::gateway_token,
    warm_pool::HeldBack,
};
use diesel_async::AsyncConnection as _;

use crate::{
    env::Env,
    rounds::Rounds,
    runtime::{GatewayStatus, Reference, RuntimeError},
};

#[cfg(test)]
mod tests;

/// A warm instance is replaced after this time.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Creations within this time say how many the next ones will be, in minutes.
const DEMAND_MINUTES: i32 = 10;

/// How long nothing is made or removed after that failed, in minutes.
const PAUSE_MINUTES: i32 = 5;

/// The name of a warm instance, which nobody sees. Its owner gives it another one.
const NAME: &str = "warm";

/// Why the pool could not be looked after.
#[derive(Debug, thiserror::Error)]
enum PoolError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("a call to Docker failed")]
    Runtime(#[from] RuntimeError),
    #[error("a gateway token could not be sealed")]
    Secret(#[from] SecretError),
}

impl From<diesel::result::Error> for PoolError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Looks after the pool until the worker drains.
pub async fn run(env: Env) {
    let mut rounds = Rounds::new(env.config.engine.reconcile, env.draining.clone(), env.identity.clone());
    while rounds.next().await {
        if let Err(error) = round(&env).await {
            tracing::warn!(error = chain(&error), "Could not look after the warm pool");
        }
    }
}

async fn round(env: &Env) -> Result<(), PoolError> {
    // Asked first, because a transaction should not wait for the engine.
    let image = env.runtime.image_id(&env.config.image.image).await?;
    let version = env.runtime.image_version(&env.config.image.image).await?;
    let known = warm_pool::list(&mut *env.db.conn().await?).await?;
    let frozen = frozen(env, &known).await?;
    let mut conn = env.db.conn().await?;
    let jobs = conn.transaction::<_, PoolError, _>(async |conn| {
        if !warm_pool::lock(conn).await? {
            return Ok(Vec::new());
        }
        let pool = warm_pool::list(conn).await?;
        if pool.iter().any(|warm| warm.ready && !known.iter().any(|known| known.id == warm.id && known.ready)) {
            // It became ready in the meantime, so its container was not looked at.
            return Ok(Vec::new());
        }
        let (wanted, mut held_back) = match why_not_at_all(env, conn, image.is_some(), version.as_deref()).await? {
            Some(why) => (0, Some(why)),
            None => wanted(env, conn).await?,
        };
        let decision = decide(&pool, usize::from(wanted), |warm| why_useless(warm, image.as_deref(), &frozen));
        let mut jobs: Vec<Job> = Vec::new();
        let stays = warm_pool::failed_lately(conn, JobKind::Discard, PAUSE_MINUTES).await?.is_some();
        if stays && !decision.discard.is_empty() {
            held_back = Some(HeldBack::Failed);
        }
        for (id, why) in decision.discard.iter().filter(|_| !stays) {
            if let Some(job) = warm_pool::discard(conn, id).await? {
                tracing::info!(instance = %id, job.id = %job.id, why, "A warm instance is removed");
                jobs.push(job);
            }
        }
        if decision.make {
            match why_not_now(conn).await? {
                Some(why) => held_back = Some(why),
                None => jobs.push(make(env, conn).await?),
            }
        }
        warm_pool::record(conn, i32::from(wanted), held_back).await?;
        Ok(jobs)
    });
    for job in jobs.await? {
        env.doorbell.ring(job.queue, job.id);
    }
    Ok(())
}

/// Whether these containers are frozen. Missing: there is no such container.
async fn frozen(env: &Env, pool: &[WarmInstance]) -> Result<HashMap<String, bool>, RuntimeError> {
    let mut frozen = HashMap::new();
    for id in pool.iter().filter(|warm| warm.ready).filter_map(|warm| warm.container_id.clone()) {
        if let Some(state) = env.runtime.state(&Reference::new(id.as_str())).await? {
            frozen.insert(id, state.status == GatewayStatus::Paused);
        }
    }
    Ok(frozen)
}

/// Why there is to be no warm instance at all. `None`: there may be some.
async fn why_not_at_all(
    env: &Env,
    conn: &mut Conn,
    has_image: bool,
    version: Option<&str>,
) -> Result<Option<HeldBack>, DbError> {
    let (pool, range) = (env.config.instances.network_pool, env.config.routing.port_range);
    Ok(match () {
        () if env.config.warm.warm_pool.most == 0 => None,
        () if !has_image => Some(HeldBack::NoImage),
        () if pool.warm_place(range).is_none() => Some(HeldBack::NoNetwork),
        () if version_policy::get(conn).await?.refuses(version) => Some(HeldBack::Vulnerable),
        () if worker::other_versions(conn, env!("CARGO_PKG_VERSION")).await? => Some(HeldBack::OtherVersions),
        () => None,
    })
}

/// How many warm instances there should be, and why there are not more.
async fn wanted(env: &Env, conn: &mut Conn) -> Result<(u16, Option<HeldBack>), DbError> {
    let size = env.config.warm.warm_pool;
    if size.most == 0 {
        return Ok((0, None));
    }
    let wanted = size.wanted(warm_pool::created_lately(conn, DEMAND_MINUTES).await?);
    let capacity = env.config.capacity.of(host::memory(conn, None).await?);
    let Some(free_mb) = capacity.map(|capacity| capacity.free_mb()) else { return Ok((wanted, None)) };
    let fit = u16::try_from(free_mb / i64::from(DEFAULT_MEMORY_MB)).unwrap_or(u16::MAX);
    Ok((wanted.min(fit), (fit < wanted).then_some(HeldBack::NoMemory)))
}

/// Why no instance is made now, although one is missing.
async fn why_not_now(conn: &mut Conn) -> Result<Option<HeldBack>, DbError> {
    if warm_pool::failed_lately(conn, JobKind::WarmUp, PAUSE_MINUTES).await?.is_some() {
        return Ok(Some(HeldBack::Failed));
    }
    Ok((boot::count(conn).await? > 0).then_some(HeldBack::OthersBoot))
}

/// Why a warm instance cannot be offered any longer.
fn why_useless(warm: &WarmInstance, image: Option<&str>, frozen: &HashMap<String, bool>) -> Option<&'static str> {
    if warm.image_id.as_deref() != image {
        return Some("its image is not the current one");
    }
    let container = warm.container_id.as_deref().unwrap_or_default();
    if !frozen.get(container).copied().unwrap_or_default() {
        return Some("its container is not frozen");
    }
    (warm.age_seconds > MAX_AGE.as_secs_f64()).then_some("it is too old")
}

/// What is to be done about the pool.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decision {
    discard: Vec<(InstanceId, &'static str)>,
    /// Another one is needed, and none is being made.
    make: bool,
}

/// `useless` says why an instance that is ready cannot be offered any longer.
fn decide(pool: &[WarmInstance], wanted: usize, useless: impl Fn(&WarmInstance) -> Option<&'static str>) -> Decision {
    let mut decision = Decision::default();
    let mut good = 0;
    let warming = pool.iter().filter(|warm| warm.warming).count();
    for warm in pool.iter().filter(|warm| !warm.warming && !warm.leaving) {
        let why = if warm.ready { useless(warm) } else { Some("it could not be made") };
        let why = why.or((good >= wanted).then_some("it is one too many"));
        match why {
            Some(why) => decision.discard.push((warm.id.clone(), why)),
            None => good += 1,
        }
    }
    decision.make = warming == 0 && good < wanted;
    decision
}

/// Adds an instance with the default limits, without channel and model provider.
async fn make(env: &Env, conn: &mut Conn) -> Result<Job, PoolError> {
    let id = InstanceId::random();
    let token = env.sealer.seal(&gateway_token(), seal_context::gateway_token(&id))?;
    let new = NewInstance {
        id: &id,
        owner_id: None,
        name: NAME,
        desired_state: DesiredState::Running,
        status: InstanceStatus::Pending,
        channel: Channel::None,
        bot_token_sealed: None,
        ai_provider: AiProvider::None,
        api_key_sealed: None,
        gateway_token_sealed: token,
        memory_mb: DEFAULT_MEMORY_MB,
        cpu_millis: DEFAULT_CPU_MILLIS,
    };
    Ok(warm_pool::add(conn, &new).await?)
}
