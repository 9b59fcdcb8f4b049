//! State that all requests share.

use std::{convert::Infallible, ops::Deref, sync::Arc};

use anyhow::Context as _;
use axum::{extract::FromRequestParts, http::request::Parts};
use clawdeploy_shared::{
    attempts::Attempts,
    capacity::CapacityArgs,
    config::RoutingArgs,
    db::{Conn, Db, Scope},
    doorbell::Doorbell,
    ids::{InstanceId, UserId},
    metrics::{EVENT_STREAMS, HELD_REQUESTS},
    secret::Sealer,
    sleep::SleepArgs,
};
use futures_util::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{password::Passwords, throttle::Throttle},
    config::ApiConfig,
    controllers::pages::hold,
    error::{AppError, AppResult},
    event_stream,
    follow::Follow,
    identity::Provider,
    middleware::{OwnOrigin, TrustedProxies},
    quota::QuotaArgs,
    rpc::WorkerRpc,
    slots::Slots,
};

/// The components of a running API.
#[derive(Debug)]
pub struct App {
    pub db: Db,
    pub doorbell: Doorbell,
    pub sealer: Sealer,
    /// Calls workers, for requests that need access to a container.
    pub rpc: WorkerRpc,
    /// How browsers reach instances, for links to their dashboards.
    pub routing: RoutingArgs,
    /// Hashes and verifies passwords. Limits how many at a time.
    pub passwords: Passwords,
    /// Limits attempts to guess passwords.
    pub logins: Throttle,
    /// The identity provider, if one is configured.
    pub provider: Option<Provider>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// The panel's own origin, for rejecting requests from other sites.
    pub own_origin: OwnOrigin,
    /// Open event streams of each person.
    pub streams: Slots<UserId>,
    /// Requests that wait until their instance runs.
    pub held: Slots<InstanceId>,
    /// What open streams wait for.
    pub follow: Follow,
    /// The URL of the panel, if configured.
    pub public_url: Option<String>,
    /// Maximum number of open terminals of a person.
    pub max_terminals_per_user: u32,
    /// Maximum number of open terminals in an instance.
    pub max_terminals_per_instance: u32,
    /// Default quotas.
    pub quotas: QuotaArgs,
    /// How many instances the host carries.
    pub capacity: CapacityArgs,
    /// When instances fall asleep.
    pub sleep: SleepArgs,
    /// Cancelled when the process shuts down. Anything that does not end by itself must watch it.
    pub shutdown: CancellationToken,
    /// Changes and terminals that are under way. The process waits for them before it exits.
    pub changes: TaskTracker,
}

/// Shared handle to [`App`].
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl Deref for AppState {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}

/// Lets handlers take the state as an argument.
impl FromRequestParts<Self> for AppState {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &Self) -> Result<Self, Infallible> {
        Ok(state.clone())
    }
}

impl AppState {
    /// Builds the state without connecting to any service. Call it within the runtime.
    pub fn new(config: &ApiConfig) -> anyhow::Result<Self> {
        let db = Db::new(&config.database)?;
        let doorbell = Doorbell::new(&config.redis).context("CLAWDEPLOY_REDIS_URL is invalid")?;
        let sealer = Sealer::from_file(&config.secrets.key_file)?;
        let shutdown = CancellationToken::new();
        Ok(Self(Arc::new(App {
            rpc: WorkerRpc::new(db.clone(), sealer.call_key().clone())?,
            logins: Throttle::new(Attempts::new(&doorbell, db.clone())),
            follow: Follow::start(&db, &shutdown),
            db,
            doorbell,
            sealer,
            routing: config.routing.clone(),
            passwords: Passwords::default(),
            provider: Provider::new(&config.identity, config.public_url.as_deref()),
            trusted_proxies: config.trusted_proxies.clone(),
            own_origin: OwnOrigin::new(config.public_url.as_deref()),
            streams: Slots::new(event_stream::MAX_PER_PERSON, EVENT_STREAMS),
            held: Slots::new(hold::MAX_PER_INSTANCE, HELD_REQUESTS),
            max_terminals_per_user: config.max_terminals_per_user,
            max_terminals_per_instance: config.max_terminals_per_instance,
            public_url: config.public_url.clone(),
            quotas: config.quotas.clone(),
            capacity: config.capacity,
            sleep: config.sleep,
            shutdown,
            changes: TaskTracker::new(),
        })))
    }

    /// [`Db::read`] with the error type of handlers.
    pub async fn read<T>(&self, scope: Scope, work: impl AsyncFnOnce(&mut Conn) -> AppResult<T>) -> AppResult<T> {
        self.db.read(scope, work).await
    }

    /// Runs [`Db::write`] in [`Self::change`]: one transaction that is completed even if the handler is dropped.
    ///
    /// Do other work, such as ringing the doorbell, afterwards, because the transaction holds a connection.
    pub async fn transaction<T, W>(&self, scope: Scope, work: W) -> AppResult<T>
    where
        T: Send + 'static,
        W: AsyncFnOnce(&mut Conn) -> AppResult<T> + for<'c> Work<'c, T> + Send + 'static,
    {
        let db = self.db.clone();
        self.change(async move { db.write(scope, async |conn| work.on(conn).await).await }).await
    }

    /// Completes a change even if the handler is dropped because its client disconnected or the deadline passed.
    /// Otherwise the change would be lost, and its connection with it.
    pub async fn change<T, F>(&self, work: F) -> AppResult<T>
    where
        T: Send + 'static,
        F: Future<Output = AppResult<T>> + Send + 'static,
    {
        match self.changes.spawn(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Err(AppError::panicked(&*panic)),
                Err(error) => Err(AppError::internal(error)),
            },
        }
    }
}

/// The work of a transaction. It is implemented for async closures whose future is `Send`, which the bound of an async
/// closure cannot express.
pub trait Work<'c, T> {
    /// Boxed, so that the database code is compiled once for each result type and not for each handler.
    fn on(self, conn: &'c mut Conn) -> BoxFuture<'c, AppResult<T>>;
}

impl<'c, T, W, F> Work<'c, T> for W
where
    W: FnOnce(&'c mut Conn) -> F,
    F: Future<Output = AppResult<T>> + Send + 'c,
{
    fn on(self, conn: &'c mut Conn) -> BoxFuture<'c, AppResult<T>> {
        Box::pin(self(conn))
    }
}
