//! What every request can reach.

use std::{convert::Infallible, ops::Deref, sync::Arc};

use anyhow::Context as _;
use axum::{extract::FromRequestParts, http::request::Parts};
use clawdeploy_shared::{
    attempts::Attempts,
    config::RoutingArgs,
    db::{Conn, Db, Scope},
    doorbell::Doorbell,
    secret::Sealer,
};
use futures_util::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{password::Passwords, throttle::Throttle},
    config::ApiConfig,
    error::{AppError, AppResult},
    event_stream::StreamSlots,
    identity::Provider,
    middleware::{OwnOrigin, TrustedProxies},
    quota::QuotaArgs,
    rpc::WorkerRpc,
};

/// The parts of a running API.
#[derive(Debug)]
pub struct App {
    pub db: Db,
    pub doorbell: Doorbell,
    pub sealer: Sealer,
    /// Calls workers, for what happens in containers.
    pub rpc: WorkerRpc,
    /// How instances are reached, for links to their dashboards.
    pub routing: RoutingArgs,
    /// Hashes and checks passwords, a few at a time.
    pub passwords: Passwords,
    /// Slows down whoever tries passwords.
    pub logins: Throttle,
    /// Who else knows people, if anybody.
    pub provider: Option<Provider>,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// Which pages may change something in a person's name.
    pub own_origin: OwnOrigin,
    /// How many event streams each person has open.
    pub streams: StreamSlots,
    /// Where people find the panel, if that was said.
    pub public_url: Option<String>,
    /// Terminals that one person may have open.
    pub max_terminals_per_user: u32,
    /// Terminals that may be open in one instance.
    pub max_terminals_per_instance: u32,
    /// What people may have for whom nothing else was said.
    pub quotas: QuotaArgs,
    /// Cancelled when the process is asked to end; what never ends by itself listens to it.
    pub shutdown: CancellationToken,
    /// Changes that were begun, and terminals to say farewell to; the process waits for them before it ends.
    pub changes: TaskTracker,
}

/// Shared handle on [`App`].
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl Deref for AppState {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}

/// Handlers take it as it is.
impl FromRequestParts<Self> for AppState {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &Self) -> Result<Self, Infallible> {
        Ok(state.clone())
    }
}

impl AppState {
    /// Prepares everything and connects to nothing yet. Call it inside the runtime.
    pub fn new(config: &ApiConfig) -> anyhow::Result<Self> {
        let db = Db::new(&config.database)?;
        let doorbell = Doorbell::new(&config.redis).context("CLAWDEPLOY_REDIS_URL is not usable")?;
        let sealer = Sealer::from_file(&config.secrets.key_file)?;
        Ok(Self(Arc::new(App {
            rpc: WorkerRpc::new(db.clone(), sealer.call_key().clone())?,
            logins: Throttle::new(Attempts::new(&doorbell, db.clone())),
            db,
            doorbell,
            sealer,
            routing: config.routing.clone(),
            passwords: Passwords::default(),
            provider: Provider::new(&config.identity, config.public_url.as_deref()),
            trusted_proxies: config.trusted_proxies.clone(),
            own_origin: OwnOrigin::new(config.public_url.as_deref()),
            streams: StreamSlots::default(),
            max_terminals_per_user: config.max_terminals_per_user,
            max_terminals_per_instance: config.max_terminals_per_instance,
            public_url: config.public_url.clone(),
            quotas: config.quotas.clone(),
            shutdown: CancellationToken::new(),
            changes: TaskTracker::new(),
        })))
    }

    /// As [`Db::read`], with a handler's errors.
    pub async fn read<T>(&self, scope: Scope, work: impl AsyncFnOnce(&mut Conn) -> AppResult<T>) -> AppResult<T> {
        self.db.read(scope, work).await
    }

    /// Changes what the scope may see, in one transaction that goes on where the handler is dropped: [`Self::change`]
    /// around [`Db::write`].
    ///
    /// Everything else, such as the doorbell, is for after it: it has a connection all the while.
    pub async fn transaction<T, W>(&self, scope: Scope, work: W) -> AppResult<T>
    where
        T: Send + 'static,
        W: AsyncFnOnce(&mut Conn) -> AppResult<T> + for<'c> Work<'c, T> + Send + 'static,
    {
        let db = self.db.clone();
        self.change(async move { db.write(scope, async |conn| work.on(conn).await).await }).await
    }

    /// Carries a change to its end even where the handler is dropped, because its client went away or took too long:
    /// what is dropped half-way is lost, together with its connection.
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

/// What is done in a transaction. An async closure whose future a task can take is one; the bound of an async closure alone
/// cannot say that of its future.
pub trait Work<'c, T> {
    /// Boxed, so that the way to the database is compiled once for each kind of result, and not for each handler.
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
