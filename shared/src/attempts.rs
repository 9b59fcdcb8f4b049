//! Counts attempts to guess a secret over a sliding window, for all API processes together: in Redis, or in Postgres
//! while Redis does not answer.
//!
//! An attacker who makes Redis fail gets the budget a second time but not more, because the two counts are separate. In
//! Postgres, concurrent attempts may not see each other. The number of passwords checked at once bounds that.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Text},
};
use diesel_async::RunQueryDsl as _;
use redis::aio::ConnectionManager;

use crate::{
    db::{Db, DbError},
    doorbell::Doorbell,
    telemetry::chain,
};

/// Most attempts within a time. The SQL statement below has the same numbers.
const WINDOWS: [(Duration, u32); 2] = [(Duration::from_mins(1), 10), (Duration::from_hours(1), 60)];

/// Longest time that a sign-in waits for Redis.
const PATIENCE: Duration = Duration::from_millis(500);

/// Keys: one sorted set for each thing counted. Arguments: the name of the attempt, then milliseconds and limit of each
/// window, the longest last. Returns 0, or the milliseconds until the next attempt may be made.
const COUNT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local longest = tonumber(ARGV[#ARGV - 1])
local wait = 0
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - longest)
  for i = 2, #ARGV, 2 do
    local span, most = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    local last = redis.call('ZREVRANGE', key, most - 1, most - 1, 'WITHSCORES')[2]
    if last then wait = math.max(wait, tonumber(last) + span - now) end
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('PEXPIRE', key, longest)
end
return 0";

const COUNT_IN_POSTGRES: &str = "\
WITH recent AS (SELECT at, row_number() OVER (PARTITION BY key ORDER BY at DESC) AS nth FROM attempts \
                WHERE key = ANY($1) AND at > now() - interval '1 hour'), \
     late AS (SELECT max(at + span) - now() AS wait FROM recent \
              JOIN (VALUES (interval '1 minute', 10), (interval '1 hour', 60)) AS w (span, most) ON nth = most \
              WHERE at + span > now()), \
     added AS (INSERT INTO attempts (key, name) SELECT unnest($1), $2 WHERE (SELECT wait FROM late) IS NULL) \
SELECT coalesce(ceil(extract(epoch FROM wait) * 1000), 0)::bigint AS wait_ms FROM late";

#[derive(QueryableByName)]
struct Wait {
    #[diesel(sql_type = BigInt)]
    wait_ms: i64,
}

/// Counts attempts.
#[derive(Clone)]
pub struct Attempts {
    redis: ConnectionManager,
    prefix: String,
    db: Db,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Attempts {
    pub fn new(doorbell: &Doorbell, db: Db) -> Self {
        Self { redis: doorbell.connection(), prefix: format!("{}-attempts-", doorbell.prefix()), db }
    }

    /// Counts an attempt by its `name` under each of the keys, or returns how long to wait because one of them has
    /// reached its limit. Refused attempts are not counted.
    pub async fn count(&self, keys: &[String], name: &str) -> Result<Result<(), Duration>, DbError> {
        let wait_ms = match tokio::time::timeout(PATIENCE, self.count_in_redis(keys, name)).await {
            Ok(Ok(wait)) => wait,
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "Redis failed; counting attempts in Postgres");
                self.count_in_postgres(keys, name).await?
            }
            Err(_) => {
                tracing::warn!("Redis did not answer in time; counting attempts in Postgres");
                self.count_in_postgres(keys, name).await?
            }
        };
        Ok(match u64::try_from(wait_ms) {
            Ok(wait) if wait > 0 => Err(Duration::from_millis(wait)),
            _ => Ok(()),
        })
    }

    async fn count_in_redis(&self, keys: &[String], name: &str) -> Result<i64, redis::RedisError> {
        let script = redis::Script::new(COUNT);
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(format!("{}{key}", self.prefix));
        }
        call.arg(name);
        for (span, most) in WINDOWS {
            call.arg(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).arg(most);
        }
        call.invoke_async(&mut self.redis.clone()).await
    }

    async fn count_in_postgres(&self, keys: &[String], name: &str) -> Result<i64, DbError> {
        let mut conn = self.db.conn().await?;
        diesel::sql_query("DELETE FROM attempts WHERE at < now() - interval '1 hour'").execute(&mut conn).await?;
        let query = diesel::sql_query(COUNT_IN_POSTGRES).bind::<Array<Text>, _>(keys).bind::<Text, _>(name);
        Ok(query.get_result::<Wait>(&mut conn).await?.wait_ms)
    }

    /// Removes an attempt that was not a guess. Best effort: what remains counts for an hour at most.
    pub async fn forgive(&self, keys: &[String], name: &str) {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.zrem(format!("{}{key}", self.prefix), name).ignore();
        }
        let mut redis = self.redis.clone();
        let removed = tokio::time::timeout(PATIENCE, pipe.query_async::<()>(&mut redis)).await;
        if !matches!(removed, Ok(Ok(())))
            && let Ok(mut conn) = self.db.conn().await
        {
            let delete = diesel::sql_query("DELETE FROM attempts WHERE name = $1").bind::<Text, _>(name);
            delete.execute(&mut conn).await.ok();
        }
    }
}
