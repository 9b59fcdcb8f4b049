//! The warm pool. Tests make its instances and discard them at the moment that they need, as workers do, and check that
//! it is whole.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        instance::{NewInstance, seal_context},
        warm_pool,
    },
    ids::InstanceId,
    instance::{AiProvider, Channel, DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_MB, DesiredState, InstanceStatus},
    secret::Sealer,
    token::gateway_token,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{docker, env::TestEnv, wait};

/// Patience with the pool. It makes one instance after the other, and waits up to half a minute before it tries again.
const SOON: Duration = Duration::from_mins(1);

/// Instances that a creation may take, the oldest first.
const READY: &str = "SELECT i.id FROM instances i JOIN warm_instances w ON w.instance_id = i.id \
    WHERE i.owner_id IS NULL AND w.ready_at IS NOT NULL AND NOT EXISTS (SELECT FROM jobs j \
      WHERE j.instance_id = i.id AND j.status IN ('queued', 'running')) ORDER BY w.ready_at";

/// Instances that belong to nobody, with all that the pool knows about them.
const UNOWNED: &str = "SELECT i.id, i.status, i.desired_state, i.container_id, w.ready_at, w.taken_at, p.port, \
    (SELECT string_agg(j.kind || ' ' || j.status, ', ' ORDER BY j.seq) FROM jobs j WHERE j.instance_id = i.id) AS jobs \
    FROM instances i LEFT JOIN warm_instances w ON w.instance_id = i.id LEFT JOIN ports p ON p.instance_id = i.id \
    WHERE i.owner_id IS NULL ORDER BY i.id";

/// Instances that somebody took and nobody owns, or the other way round.
const HALF_TAKEN: &str = "SELECT i.id, i.owner_id, w.taken_at FROM instances i \
    JOIN warm_instances w ON w.instance_id = i.id WHERE (i.owner_id IS NULL) <> (w.taken_at IS NULL)";

/// After a failure, the pool waits for minutes before it tries again. This is as if they had passed.
const MINUTES_PASS: &str = "UPDATE jobs SET finished_at = finished_at - interval '1 hour' \
    WHERE kind IN ('warm_up', 'discard') AND status = 'failed' AND finished_at > now() - interval '30 minutes'";

/// A job on an instance of the pool.
#[derive(Debug, Clone)]
pub struct PoolJob {
    pub instance: String,
    pub job: String,
}

/// No worker decides about the pool until this is released or dropped.
pub struct HeldPool(Mutex<Option<AsyncPgConnection>>);

impl std::fmt::Debug for HeldPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldPool").finish_non_exhaustive()
    }
}

impl HeldPool {
    /// Lets the workers decide again.
    pub async fn release(&self) {
        if let Some(mut conn) = self.0.lock().await.take() {
            conn.batch_execute("ROLLBACK").await.expect("the end of the transaction");
        }
    }
}

impl TestEnv {
    /// Keeps the workers from deciding about the pool, by the lock under which one of them does. Jobs that exist are run.
    pub async fn hold_pool(&self) -> HeldPool {
        let mut conn = self.connect().await;
        conn.batch_execute("BEGIN").await.expect("a transaction");
        // A worker may be deciding just now.
        let held = async || warm_pool::lock(&mut conn).await.unwrap().then_some(());
        self.wait_for("a moment at which no worker decides about the pool", SOON, held).await;
        HeldPool(Mutex::new(Some(conn)))
    }

    /// Adds an instance to the pool, as a worker does that finds one missing.
    pub async fn warm_up(&self) -> PoolJob {
        let sealer = Sealer::from_file(&self.dir.path().join("key")).unwrap();
        let id = InstanceId::random();
        let new = NewInstance {
            id: &id,
            owner_id: None,
            name: "warm",
            desired_state: DesiredState::Running,
            status: InstanceStatus::Pending,
            channel: Channel::None,
            bot_token_sealed: None,
            ai_provider: AiProvider::None,
            api_key_sealed: None,
            gateway_token_sealed: sealer.seal(&gateway_token(), seal_context::gateway_token(&id)).unwrap(),
            memory_mb: DEFAULT_MEMORY_MB,
            cpu_millis: DEFAULT_CPU_MILLIS,
        };
        let job = warm_pool::add(&mut self.db.conn().await.unwrap(), &new).await.unwrap();
        PoolJob { instance: id.to_string(), job: job.id.to_string() }
    }

    /// Discards an instance of the pool, as a worker does that finds it of no use. Returns the job.
    pub async fn discard(&self, instance: &str) -> String {
        let id: InstanceId = instance.parse().unwrap();
        let job = warm_pool::discard(&mut self.db.conn().await.unwrap(), &id).await.unwrap();
        job.expect("an instance that nobody has taken, and no open job on it").id.to_string()
    }

    /// The instances that creations may take, the oldest first.
    pub async fn warm_instances(&self) -> Vec<String> {
        self.rows(READY).await.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Lets the minutes pass for which the pool does nothing after it failed to make or to remove an instance.
    pub async fn let_pool_try_again(&self) {
        // If a test has just terminated this session, it is for the next call.
        if let Ok(mut conn) = self.db.conn().await {
            let _ = conn.batch_execute(MINUTES_PASS).await;
        }
    }

    /// Waits until the pool has this many instances, all of them can be taken, and it is whole.
    pub async fn wait_for_pool(&self, count: usize) {
        let full = async || {
            self.let_pool_try_again().await;
            let counts = [self.rows(UNOWNED).await.len(), self.warm_instances().await.len()];
            (counts == [count, count] && self.flaw_of_pool().await.is_none()).then_some(())
        };
        if wait::poll(SOON, full).await.is_none() {
            let (flaw, rows) = (self.flaw_of_pool().await, self.rows(UNOWNED).await);
            let decided = self.rows("SELECT * FROM warm_pool").await;
            panic!("not {count} warm instances that are whole: {flaw:?}\n{rows:#?}\n{decided:?}");
        }
    }

    /// Waits until the pool is as large as the workers want it to be, if any worker lives.
    pub(crate) async fn settle_pool(&self) {
        let mut lives = false;
        for worker in self.workers() {
            lives |= worker.try_ended().await.is_none();
        }
        if !lives {
            return;
        }
        // After a failure, it stays too small for minutes.
        let unsettled = format!(
            "SELECT id FROM instances WHERE owner_id IS NULL AND id NOT IN (SELECT id FROM ({READY}) ready) \
             UNION ALL SELECT held_back FROM warm_pool WHERE wanted <> (SELECT count(*) FROM ({READY}) ready) \
               AND held_back IS DISTINCT FROM 'failed'"
        );
        let settled = async || self.rows(&unsettled).await.is_empty().then_some(());
        self.wait_for("the warm pool to be as large as it should be", SOON, settled).await;
    }

    /// Checks the pool when no job is open.
    pub async fn check_pool(&self) {
        assert_eq!(self.flaw_of_pool().await, None);
    }

    /// What is wrong with the instances that belong to nobody, or with those that somebody took from the pool. `None`:
    /// each of the former is frozen in the pool's network and has everything that a creation expects of it; each of the
    /// latter belongs to somebody, and its gateway is in its own network only.
    async fn flaw_of_pool(&self) -> Option<String> {
        let half = self.rows(HALF_TAKEN).await;
        if !half.is_empty() {
            return Some(format!("half taken: {half:?}"));
        }
        let (world, rows) = (self.world().await, self.rows(UNOWNED).await);
        let ids: Vec<&str> = world.containers.iter().map(|container| container.id.as_str()).collect();
        let attached = match docker::networks_of(&ids).await {
            Ok(attached) => attached,
            Err(gone) => return Some(format!("{gone:#}")),
        };
        let shared = docker::warm_networks(&self.name).await;
        if shared.len() > 1 {
            return Some(format!("several networks for the pool: {shared:?}"));
        }
        for row in &rows {
            let id = row["id"].as_str().unwrap();
            let containers = world.containers_of(id);
            let frozen = matches!(&containers[..], [one] if one.state == "paused"
                && row["container_id"] == one.id.as_str() && attached.get(&one.id) == Some(&shared));
            let own_network = world.networks.iter().filter(|of| *of == id).count() == 1;
            let files = world.directories.iter().any(|of| of == id);
            let known = row["status"] == "pending" && row["ready_at"].is_string() && row["port"].is_u64();
            if !(frozen && own_network && files && known) {
                return Some(format!(
                    "{row}: frozen {frozen}, own network {own_network}, files {files}, {containers:?} in {attached:?}"
                ));
            }
        }
        let unowned = |instance: &str| rows.iter().any(|row: &Value| row["id"] == instance);
        let owned = world.containers.iter().filter(|c| c.state == "running" && !unowned(&c.instance));
        for container in owned {
            let networks = attached.get(&container.id).cloned().unwrap_or_default();
            if networks != [format!("claw-{}", container.instance)] {
                return Some(format!("{container:?} is not in its own network only: {networks:?}"));
            }
        }
        None
    }
}
