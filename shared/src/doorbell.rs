//! The doorbell in Redis: an apalis queue carries the ids of due jobs, and a channel wakes idle workers.
//!
//! Losing a ring loses no job: the workers poll Postgres for due jobs every second. So ringing is best effort, no
//! request waits for it, and failures are only logged.
//!
//! apalis-redis is used in a narrow way, for measured reasons:
//! - the payload is `{v, id}` and never changes its type: one payload that cannot be decoded ends every worker that
//!   fetches it;
//! - batches of one: with larger ones, a busy worker sends no heartbeat while it holds prefetched jobs, and they run
//!   twice;
//! - task locks off (an O(n) list scan for each job), and events off (their script uses a key that is not passed);
//! - a response timeout of ten seconds: with the default of half a second, one slow command ends the worker;
//! - at most [`BACKLOG_CAP`] waiting rings: beyond about 8 000 the fetch script fails for good.

use std::time::Duration;

use apalis_core::backend::TaskSink as _;
use apalis_redis::{Config, RedisStorage};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::{config::RedisArgs, ids::JobId, job::Queue};

/// Most rings that wait in Redis. Polling finds the jobs of further ones.
pub const BACKLOG_CAP: usize = 1000;

/// Time limit of one attempt to ring. After that polling finds the job.
const RING_TIMEOUT: Duration = Duration::from_secs(3);

/// The payload of a ring.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ring {
    /// Version of the format.
    pub v: u8,
    pub id: JobId,
}

#[derive(Debug, thiserror::Error)]
pub enum DoorbellError {
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    #[error("the ring could not be pushed")]
    Push(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Redis did not answer in time")]
    Timeout,
}

/// Handle on the doorbell. Clones share one connection, which reconnects by itself.
#[derive(Clone)]
pub struct Doorbell {
    client: redis::Client,
    conn: ConnectionManager,
    prefix: String,
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Doorbell {
    /// Creates the handle. Redis need not be up yet.
    pub fn new(args: &RedisArgs) -> Result<Self, DoorbellError> {
        let client = redis::Client::open(args.redis_url.expose_secret())?;
        let conn = client.get_connection_manager_lazy(
            ConnectionManagerConfig::new()
                .set_connection_timeout(Some(Duration::from_secs(2)))
                .set_response_timeout(Some(Duration::from_secs(10)))
                .set_max_delay(Duration::from_secs(1)),
        )?;
        Ok(Self { client, conn, prefix: args.redis_prefix.clone() })
    }

    /// Name of a queue in Redis, which prefixes apalis's keys. No `:`, because apalis splits on it.
    pub fn queue_name(&self, queue: Queue) -> String {
        format!("{}-{queue}", self.prefix)
    }

    /// Channel that announces rings.
    pub fn wake_channel(&self, queue: Queue) -> String {
        format!("{}-wake-{queue}", self.prefix)
    }

    /// apalis's configuration of a queue; see the module's head.
    pub fn apalis_config(&self, queue: Queue) -> Config {
        Config::default()
            .queue(self.queue_name(queue))
            .batch_size(1)
            .lock_tasks(false)
            .emit_events(false)
            .heartbeat_interval(Duration::from_secs(5))
            .missed_heartbeats(3)
    }

    pub fn storage(&self, queue: Queue) -> RedisStorage<Ring> {
        RedisStorage::new(self.conn.clone()).with_config(self.apalis_config(queue))
    }

    /// Prefix of all our keys in Redis.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn connection(&self) -> ConnectionManager {
        self.conn.clone()
    }

    pub fn client(&self) -> &redis::Client {
        &self.client
    }

    /// Rings for a committed job, in the background.
    pub fn ring(&self, queue: Queue, id: JobId) {
        // Its name is not known here. The newer workers that serve it poll.
        if queue == Queue::Unknown {
            return;
        }
        let doorbell = self.clone();
        tokio::spawn(async move {
            if let Err(error) = doorbell.try_ring(queue, id).await {
                let error = crate::telemetry::chain(&error);
                tracing::warn!(job.id = %id, %queue, error, "Could not ring for a job; workers will find it by \
                                                             polling");
            }
        });
    }

    /// Rings and returns the result.
    pub async fn try_ring(&self, queue: Queue, id: JobId) -> Result<(), DoorbellError> {
        let ring = async {
            let config = self.apalis_config(queue);
            let mut conn = self.conn.clone();
            let (active, scheduled): (usize, usize) = redis::pipe()
                .llen(config.active_jobs_list())
                .zcard(config.scheduled_jobs_set())
                .query_async(&mut conn)
                .await?;
            if active + scheduled < BACKLOG_CAP {
                self.storage(queue).push(Ring { v: 1, id }).await.map_err(|e| DoorbellError::Push(e.into()))?;
            }
            let _: i64 = redis::cmd("PUBLISH").arg(self.wake_channel(queue)).arg(1).query_async(&mut conn).await?;
            Ok(())
        };
        tokio::time::timeout(RING_TIMEOUT, ring).await.map_err(|_| DoorbellError::Timeout)?
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), DoorbellError> {
        let mut conn = self.conn.clone();
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(Duration::from_secs(2), ping.query_async::<String>(&mut conn));
        answer.await.map_err(|_| DoorbellError::Timeout)??;
        Ok(())
    }
}
