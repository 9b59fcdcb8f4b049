//! What every installation has, whichever of its programs run: a database, an API address, and users.

use std::{path::Path, sync::Mutex, time::Duration};

use clawdeploy_shared::{
    db::{
        Db, DbError, Scope,
        instance::{self, InstanceFilter, seal_context},
        warm_pool,
    },
    secret::Sealer,
};
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{database, wait};

/// Part of every secret that tests make up. A log or an event that contains it leaks a secret.
pub const CANARY: &str = "canary";

/// Checksum of all tables that requests and jobs write, without columns that change on their own.
const TABLES: &str = "SELECT md5(string_agg(t, '|' ORDER BY t)) AS sum FROM ( \
    SELECT u::text AS t FROM users u UNION ALL SELECT p::text FROM ports p \
    UNION ALL SELECT (to_jsonb(i) - '{disk_bytes,disk_limit_bytes,disk_measured_at,disk_warned,disk_whole}'::text[])::text FROM instances i \
    UNION ALL SELECT j::text FROM jobs j UNION ALL SELECT e::text FROM job_events e UNION ALL SELECT a::text FROM audit a \
    UNION ALL SELECT m::text FROM images m UNION ALL SELECT s::text FROM snapshots s \
    UNION ALL SELECT r::text FROM rollout_members r UNION ALL SELECT v::text FROM version_policy v \
    UNION ALL SELECT (w.id, w.user_id, w.expires_at)::text FROM sessions w UNION ALL SELECT z::text FROM setup_tokens z \
    UNION ALL SELECT n::text FROM invitations n UNION ALL SELECT c::text FROM recovery_codes c \
    UNION ALL SELECT (k.id, k.user_id, k.name, k.revoked_at, k.expires_at)::text FROM api_tokens k) all_rows";

#[derive(QueryableByName)]
struct Json {
    #[diesel(sql_type = Text)]
    json: String,
}

/// A database and the address of an API that serves it.
#[derive(Debug)]
pub struct Installation {
    /// Deployment label, prefix of Redis keys and, with `_`, name of the database.
    pub name: String,
    pub db: Db,
    /// Address of the API.
    pub base: String,
    database_url: String,
    secrets: Mutex<Vec<String>>,
}

impl Installation {
    pub fn new(name: String, database_url: String, base: String) -> Self {
        let db = database::open_url(&database_url);
        Self { name, db, base, database_url, secrets: Mutex::default() }
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// A connection outside of the pool.
    pub async fn connect(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.database_url).await.expect("a connection")
    }

    /// Name of the database.
    pub fn database(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Rows of a query, as JSON.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let sql = format!("SELECT row_to_json(q)::text AS json FROM ({sql}) q");
        // A test that terminates all sessions terminates this one too, which shows only with the next query.
        let ask = async || -> Result<Vec<Json>, DbError> {
            Ok(diesel::sql_query(&sql).load(&mut *self.db.conn().await?).await?)
        };
        let mut answer = ask().await;
        for _ in 0..4 {
            answer = if answer.is_ok() { answer } else { ask().await };
        }
        let rows = answer.unwrap();
        rows.into_iter().map(|row| serde_json::from_str(&row.json).unwrap()).collect()
    }

    /// The only row of a query.
    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql} has {} rows", rows.len());
        rows.remove(0)
    }

    /// Runs a statement and returns the number of affected rows.
    pub async fn execute(&self, sql: &str) -> usize {
        diesel::sql_query(sql).execute(&mut self.db.conn().await.unwrap()).await.unwrap()
    }

    /// A checksum that changes with any row.
    pub async fn fingerprint(&self) -> String {
        self.row(TABLES).await["sum"].as_str().unwrap_or_default().to_owned()
    }

    /// Registers a secret that must not appear in any log or event; checked at the end.
    pub fn remember_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// Waits until `probe` returns something; panics when [`wait::poll`] gives up.
    pub async fn wait_for<T>(&self, what: &str, within: Duration, probe: impl AsyncFnMut() -> Option<T>) -> T {
        wait::poll(within, probe).await.unwrap_or_else(|| panic!("waited {:?} for {what}", within * wait::PATIENCE))
    }

    /// Waits until no job is open.
    pub async fn wait_for_rest(&self) {
        let no_open_job = async || {
            let open = self.rows("SELECT id FROM jobs WHERE status IN ('queued', 'running')").await;
            open.is_empty().then_some(())
        };
        self.wait_for("every job to end", Duration::from_secs(30), no_open_job).await;
    }

    /// Checks the invariants of the database when no job is open.
    pub async fn check_rows(&self) {
        let unbalanced = self.rows("SELECT id, status, leased_by FROM jobs WHERE leased_by IS NOT NULL").await;
        assert_eq!(unbalanced, Vec::<Value>::new(), "leases without a running job");
        // Only the holder of a claim writes events, so the numbers must not decrease.
        let fallen = "SELECT * FROM (SELECT job_id, attempt, lag(attempt) OVER (PARTITION BY job_id ORDER BY id) AS before \
            FROM job_events WHERE attempt > 0) e WHERE attempt < before";
        assert_eq!(self.rows(fallen).await, Vec::<Value>::new(), "a former holder of a lease wrote an event");
        let ends = "SELECT j.id, j.status, count(e.id) AS ends FROM jobs j LEFT JOIN job_events e ON e.job_id = j.id AND e.kind = 'finished' \
            AND e.id > (SELECT max(id) FROM job_events a WHERE a.job_id = j.id \
                AND (a.kind = 'accepted' OR a.message LIKE 'Retried by an administrator%')) \
            GROUP BY j.id, j.status HAVING count(e.id) <> 1";
        assert_eq!(self.rows(ends).await, Vec::<Value>::new(), "jobs that did not end exactly once");
        let stray = "SELECT job_id FROM job_events e WHERE kind <> 'finished' AND kind <> 'accepted' AND EXISTS \
            (SELECT 1 FROM job_events f WHERE f.job_id = e.job_id AND f.kind = 'finished' AND f.id < e.id) AND NOT EXISTS \
            (SELECT 1 FROM job_events f WHERE f.job_id = e.job_id AND f.message LIKE 'Retried by an administrator%')";
        assert_eq!(self.rows(stray).await, Vec::<Value>::new(), "jobs with events after their end");
        // One that is ready in the warm pool is pending until somebody takes it.
        let between = "SELECT id, status FROM instances i WHERE status IN ('pending', 'provisioning', 'stopping', 'deleting', 'updating') \
            AND NOT (owner_id IS NULL AND EXISTS (SELECT FROM warm_instances w WHERE w.instance_id = i.id AND w.ready_at IS NOT NULL))";
        assert_eq!(self.rows(between).await, Vec::<Value>::new(), "instances stuck between two states");
    }

    /// Fails if a session keeps a transaction open. A working session may have one for a moment.
    pub async fn assert_no_open_transaction(&self) {
        let sessions = "SELECT pid, query FROM pg_stat_activity \
            WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        let none =
            wait::poll(Duration::from_secs(2), async || self.rows(sessions).await.is_empty().then_some(())).await;
        assert!(none.is_some(), "open transactions: {:?}", self.rows(sessions).await);
    }

    /// Fails if a row or a log contains a secret of an instance, a registered one, or one that a test made up.
    pub async fn check_nothing_tells_a_secret(&self, key_file: &Path, logs: Vec<(String, String)>) {
        let sealer = Sealer::from_file(key_file).unwrap();
        let mut secrets = self.secrets.lock().unwrap().clone();
        secrets.push(CANARY.to_owned());
        let (mut conn, all) = (self.db.conn().await.unwrap(), InstanceFilter::default());
        let mut instances = instance::list(&mut conn, Scope::Everything, &all, None, 1000).await.unwrap();
        for warm in warm_pool::list(&mut conn).await.unwrap() {
            instances.extend(instance::find_for_job(&mut conn, &warm.id).await.unwrap());
        }
        for (instance, _) in instances {
            let place = seal_context::gateway_token(&instance.id);
            secrets.push(sealer.open(&instance.gateway_token_sealed, place).unwrap().expose_secret().to_owned());
        }
        let told = "SELECT message FROM job_events UNION ALL SELECT error_message FROM jobs UNION ALL SELECT payload::text FROM jobs \
            UNION ALL SELECT error_message FROM instances UNION ALL SELECT detail::text FROM audit UNION ALL SELECT log FROM images";
        let mut texts: Vec<(String, String)> =
            self.rows(told).await.into_iter().map(|row| ("a row".to_owned(), row["message"].to_string())).collect();
        texts.extend(logs);
        for (place, text) in &texts {
            for secret in &secrets {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(line, None, "{place} contains a secret");
            }
        }
    }
}
