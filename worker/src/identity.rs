//! Checks that this worker's database, data directory and Docker engine belong together.
//!
//! Each of the three knows the others: the database has a row with the ids of the installation, its data directory and
//! its engine; the directory has a file with the first two; the engine has its own id. They are bound at the first
//! start. A worker whose three do not match *stands by*: it claims nothing, repairs nothing, writes no status and
//! serves no call, because what looks like leftovers to it are somebody's instances. It logs what is wrong and checks
//! again every few seconds.
//!
//! Only what plainly belongs together is bound automatically ([`judge`]). Anything else is an operator's decision
//! ([`crate::adopt`]).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{
    db::{
        Conn, Db, DbError,
        installation::{self, Installation, StandbyCode},
    },
    ids::{DataDirId, InstallationId},
    metrics::WORKER_STANDBY,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::judge::Standby;
use self::judge::{Binding, Facts};
use crate::{
    config::InstanceArgs,
    runtime::Runtime,
    storage::{Mark, Storage, StorageError},
};

pub mod judge;

/// Delay between two checks.
const LOOK: Duration = Duration::from_secs(2);
/// How long the engine's id may be cached.
const ENGINE_AGE: Duration = Duration::from_secs(10);
/// Time limit for asking the engine's id.
const ENGINE_LIMIT: Duration = Duration::from_secs(3);

/// The result of the last check. Clones share it.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    storage: Storage,
    runtime: Runtime,
    /// The checked places, for messages.
    place: judge::Place,
    standing: watch::Sender<Standing>,
    /// One check at a time.
    looking: AsyncMutex<()>,
    /// Requests an immediate check.
    look: Notify,
    engine: Mutex<Engine>,
}

/// The engine's last answer.
#[derive(Debug, Default)]
struct Engine {
    id: Option<String>,
    asked_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Not known yet, so the worker does nothing.
    Unknown,
    Belongs(Mark),
    Standby(Standby),
}

/// Why a directory was not bound.
#[derive(Debug, thiserror::Error)]
enum Unbound {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<diesel::result::Error> for Unbound {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Identity {
    pub fn new(db: Db, storage: Storage, runtime: Runtime, args: &InstanceArgs) -> Self {
        Self(Arc::new(Inner {
            db,
            storage,
            runtime,
            place: judge::Place::of(args),
            standing: watch::Sender::new(Standing::Unknown),
            looking: AsyncMutex::default(),
            look: Notify::new(),
            engine: Mutex::default(),
        }))
    }

    /// Whether they belonged together at the last check.
    pub fn belongs(&self) -> bool {
        matches!(*self.0.standing.borrow(), Standing::Belongs(_))
    }

    /// Why this worker stands by, if it does.
    pub fn standby(&self) -> Option<Standby> {
        match &*self.0.standing.borrow() {
            Standing::Standby(standby) => Some(standby.clone()),
            _ => None,
        }
    }

    /// Waits until they belong together.
    pub async fn works(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.standing.subscribe().wait_for(|standing| matches!(standing, Standing::Belongs(_))).await;
    }

    /// Waits until they do not belong together.
    pub async fn stands_by(&self) {
        let _ = self.0.standing.subscribe().wait_for(|standing| !matches!(standing, Standing::Belongs(_))).await;
    }

    /// Whether `conn` still leads to the checked database. If not, the worker does nothing until the next check.
    pub async fn is_of(&self, conn: &mut Conn) -> Result<bool, DbError> {
        let Standing::Belongs(mark) = *self.0.standing.borrow() else { return Ok(false) };
        let found = installation::find(conn).await?;
        if found.is_some_and(|row| row.id == mark.installation && row.data_dir == Some(mark.data_dir)) {
            return Ok(true);
        }
        self.0.standing.send_replace(Standing::Unknown);
        self.0.look.notify_one();
        Ok(false)
    }

    /// Checks until the worker drains.
    pub async fn watch(self, draining: CancellationToken) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.0.look.notified() => {}
                () = draining.cancelled() => return,
            }
            if let Err(error) = self.check(false).await {
                tracing::debug!(error = chain(&error), "Could not check the identities");
            }
        }
    }

    /// Checks now and returns whether they belong together. With `thorough` the engine is asked for its id again.
    ///
    /// An unreachable database is no reason to stand by: nothing can be done without it anyway.
    pub async fn check(&self, thorough: bool) -> Result<bool, DbError> {
        let _turn = self.0.looking.lock().await;
        let standing = match self.look(thorough).await {
            Ok(standing) => standing,
            Err(error) if !error.is_transient() && !self.has_table().await? => {
                Standing::Standby(self.0.place.standby(StandbyCode::WrongDatabase, "The database has no installation."))
            }
            Err(error) => return Err(error),
        };
        let belongs = matches!(standing, Standing::Belongs(_));
        self.note(standing);
        Ok(belongs)
    }

    async fn has_table(&self) -> Result<bool, DbError> {
        installation::has_table(&mut *self.0.db.conn().await?).await
    }

    async fn look(&self, thorough: bool) -> Result<Standing, DbError> {
        let place = &self.0.place;
        // The row first: binding a directory creates the row before the file and records the directory after it.
        let mut found = installation::find(&mut *self.0.db.conn().await?).await?;
        let mark = match self.marked().await {
            Ok(mark) => mark,
            Err(error) => return Ok(Standing::Standby(place.unreadable(&error))),
        };
        if found.is_none() && mark.is_some() {
            // Both may have been created in between.
            found = installation::find(&mut *self.0.db.conn().await?).await?;
        }
        let (row, mark) = match judge::binding(found.as_ref(), mark.as_ref()) {
            Binding::Bound(mark) => (found, mark),
            Binding::Not(code) => return Ok(Standing::Standby(place.mismatch(code, found.as_ref(), mark.as_ref()))),
            Binding::Open => match self.bind().await {
                Ok(Ok((row, mark))) => (Some(row), mark),
                Ok(Err(standby)) => return Ok(Standing::Standby(standby)),
                Err(Unbound::Db(error)) => return Err(error),
                Err(Unbound::Storage(error)) => return Ok(Standing::Standby(place.unreadable(&error))),
            },
        };
        match self.other_engine(row.and_then(|row| row.engine), thorough).await? {
            Some(standby) => Ok(Standing::Standby(standby)),
            None => Ok(Standing::Belongs(mark)),
        }
    }

    async fn marked(&self) -> Result<Option<Mark>, StorageError> {
        self.0.storage.refresh().await?;
        self.0.storage.mark().await
    }

    /// Binds the directory to the database if they plainly belong together.
    async fn bind(&self) -> Result<Result<(Installation, Mark), Standby>, Unbound> {
        let Inner { db, storage, place, .. } = &*self.0;
        let mut conn = db.conn().await?;
        let facts = Facts::gather(&mut conn, storage.list().await?).await?;
        if let Some(code) = facts.doubt() {
            return Ok(Err(place.doubtful(code, &facts)));
        }
        // Committed separately: the file that names the row outlives a failed transaction.
        installation::ensure(&mut conn).await?;
        conn.transaction::<_, Unbound, _>(async |conn| {
            let row = installation::lock(conn).await?;
            let found = storage.mark().await?;
            let mark = match judge::binding(Some(&row), found.as_ref()) {
                // Another worker was faster.
                Binding::Bound(mark) => return Ok(Ok((row, mark))),
                Binding::Not(code) => return Ok(Err(place.mismatch(code, Some(&row), found.as_ref()))),
                Binding::Open => found.unwrap_or_else(|| Mark::new(row.id)),
            };
            if found.is_none() {
                storage.set_mark(mark).await?;
            }
            installation::bind_data_dir(conn, mark.data_dir).await?;
            tracing::info!(installation = %row.id, data_dir = %mark.data_dir, "Bound the data directory to the database");
            Ok(Ok((row, mark)))
        })
        .await
    }

    /// Compares the engine with the bound one, or binds the first that answers. No answer does not count as another
    /// engine.
    async fn other_engine(&self, bound: Option<String>, thorough: bool) -> Result<Option<Standby>, DbError> {
        self.0.runtime.expect(bound.as_deref());
        let Some(engine) = self.engine(thorough).await else { return Ok(None) };
        let bound = if let Some(bound) = bound {
            bound
        } else {
            let mut conn = self.0.db.conn().await?;
            installation::bind_engine(&mut conn, &engine).await?;
            let row = installation::find(&mut conn).await?;
            let Some(bound) = row.and_then(|row| row.engine) else { return Ok(None) };
            self.0.runtime.expect(Some(&bound));
            bound
        };
        Ok((bound != engine).then(|| self.0.place.other_engine(&bound, &engine)))
    }

    /// The engine's id, or the last known one if it does not answer.
    async fn engine(&self, thorough: bool) -> Option<String> {
        let state = || self.0.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = thorough || state().asked_at.is_none_or(|at| at.elapsed() > ENGINE_AGE);
        if let Ok(Ok(id)) = timeout(ENGINE_LIMIT, self.0.runtime.engine_id(anew)).await {
            let mut state = state();
            if anew {
                state.asked_at = Some(Instant::now());
            }
            state.id = id;
        }
        state().id.clone()
    }

    /// Stores the result and logs it if it is new.
    fn note(&self, standing: Standing) {
        let stands_by = matches!(standing, Standing::Standby(_));
        metrics::gauge!(WORKER_STANDBY).set(if stands_by { 1.0 } else { 0.0 });
        let was = self.0.standing.send_replace(standing.clone());
        if was == standing {
            return;
        }
        match standing {
            Standing::Standby(Standby { code, message }) => {
                tracing::error!(%code, message, "This worker stands by: it takes no jobs and repairs nothing");
            }
            Standing::Belongs(_) if matches!(was, Standing::Standby(_)) => {
                tracing::info!("Database, data directory and Docker engine belong together; this worker is at work");
            }
            Standing::Belongs(_) | Standing::Unknown => {}
        }
    }
}

impl Mark {
    /// A directory that gets its id now.
    pub(crate) fn new(installation: InstallationId) -> Self {
        Self { installation, data_dir: DataDirId(uuid::Uuid::new_v4()) }
    }
}
