//! What must hold when an installation has come to rest, whatever happened to it before.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError, Scope, instance,
        instance::{InstanceFilter, places},
    },
    ids::InstanceId,
    secret::Sealer,
};
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::RunQueryDsl as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    cleanup, database,
    docker::{self, Container},
    env::TestEnv,
    process::Signal,
    story, wait,
};

/// In every secret that tests make up; found in a log or a story it is a leak.
pub const CANARY: &str = "canary";

/// Every table that requests and jobs write, without what changes by looking.
const TABLES: &str = "SELECT md5(string_agg(t, '|' ORDER BY t)) AS sum FROM ( \
    SELECT u::text AS t FROM users u UNION ALL SELECT p::text FROM ports p \
    UNION ALL SELECT (to_jsonb(i) - '{disk_bytes,disk_limit_bytes,disk_measured_at,disk_warned}'::text[])::text FROM instances i \
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

/// What there is of an installation outside its database.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct World {
    pub containers: Vec<Container>,
    /// Instances that have a network, once for each.
    pub networks: Vec<String>,
    /// Instances that have a directory.
    pub directories: Vec<String>,
    pub trash: Vec<String>,
    /// Files that a write left half done.
    pub half_written: Vec<String>,
}

impl World {
    pub fn containers_of(&self, instance: &str) -> Vec<&Container> {
        self.containers.iter().filter(|c| c.instance == instance).collect()
    }
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

impl TestEnv {
    /// Rows of a query, as JSON.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let sql = format!("SELECT row_to_json(q)::text AS json FROM ({sql}) q");
        // A test that cuts every session cuts this one too, which shows with the next query only.
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

    /// The one row of a query.
    pub async fn row(&self, sql: &str) -> Value {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql} has {} rows", rows.len());
        rows.remove(0)
    }

    /// Runs a statement.
    pub async fn execute(&self, sql: &str) -> usize {
        diesel::sql_query(sql).execute(&mut self.db.conn().await.unwrap()).await.unwrap()
    }

    /// Changes with any change of any row.
    pub async fn fingerprint(&self) -> String {
        self.row(TABLES).await["sum"].as_str().unwrap_or_default().to_owned()
    }

    /// Looks at everything outside the database.
    pub async fn world(&self) -> World {
        let (containers, networks) = (docker::containers(&self.name).await, docker::networks(&self.name).await);
        let mut world = World { containers, networks, trash: names(&self.data_dir.join(".trash")), ..World::default() };
        for name in names(&self.data_dir).into_iter().filter(|name| name.parse::<InstanceId>().is_ok()) {
            let files = names(&self.data_dir.join(&name).join("config"));
            world.half_written.extend(files.into_iter().filter(|file| file.starts_with('.') && file.contains(".new-")));
            world.directories.push(name);
        }
        world
    }

    /// Nothing is left of an instance but what the database says of it.
    pub async fn assert_nothing_left_of(&self, instance: &str) {
        let world = self.world().await;
        assert_eq!(world.containers_of(instance), Vec::<&Container>::new(), "containers of {instance}");
        assert!(!world.networks.iter().any(|of| of == instance), "a network of {instance}");
        assert!(!world.directories.iter().any(|of| of == instance), "files of {instance}");
        assert!(!world.trash.iter().any(|name| name.starts_with(instance)), "trash of {instance}");
        let ports = self.rows(&format!("SELECT port FROM ports WHERE instance_id = '{instance}'")).await;
        assert!(ports.is_empty(), "a port of {instance}: {ports:?}");
    }

    /// Checks what must hold at the end, ends every program, and takes everything away.
    pub async fn finish(mut self) {
        let no_open_job = async || {
            let open = self.rows("SELECT id FROM jobs WHERE status IN ('queued', 'running')").await;
            open.is_empty().then_some(())
        };
        self.wait_for("every job to end", Duration::from_secs(30), no_open_job).await;
        self.check_rows().await;
        self.check_world().await;
        self.check_programs().await;
        self.check_secrets().await;
        self.finished = true;
        cleanup::remove_traces(&self.name).await.expect("a clean end");
    }

    async fn check_rows(&self) {
        let unbalanced = self.rows("SELECT id, status, leased_by FROM jobs WHERE leased_by IS NOT NULL").await;
        assert_eq!(unbalanced, Vec::<Value>::new(), "leases without a running job");
        // Written by holders of a claim only, so the numbers never fall.
        let fallen = "SELECT * FROM (SELECT job_id, attempt, lag(attempt) OVER (PARTITION BY job_id ORDER BY id) AS before \
            FROM job_events WHERE attempt > 0) e WHERE attempt < before";
        assert_eq!(self.rows(fallen).await, Vec::<Value>::new(), "a former holder of a lease wrote to a story");
        let ends = "SELECT j.id, j.status, count(e.id) AS ends FROM jobs j LEFT JOIN job_events e ON e.job_id = j.id AND e.kind = 'finished' \
            AND e.id > (SELECT max(id) FROM job_events a WHERE a.job_id = j.id \
                AND (a.kind = 'accepted' OR a.message LIKE 'Put back by hand%')) \
            GROUP BY j.id, j.status HAVING count(e.id) <> 1";
        assert_eq!(self.rows(ends).await, Vec::<Value>::new(), "jobs that did not end exactly once");
        let stray = "SELECT job_id FROM job_events e WHERE kind <> 'finished' AND kind <> 'accepted' AND EXISTS \
            (SELECT 1 FROM job_events f WHERE f.job_id = e.job_id AND f.kind = 'finished' AND f.id < e.id) AND NOT EXISTS \
            (SELECT 1 FROM job_events f WHERE f.job_id = e.job_id AND f.message LIKE 'Put back by hand%')";
        assert_eq!(self.rows(stray).await, Vec::<Value>::new(), "stories that go on after their end");
        let between = "SELECT id, status FROM instances WHERE status IN ('pending', 'provisioning', 'stopping', 'deleting', 'updating')";
        assert_eq!(self.rows(between).await, Vec::<Value>::new(), "instances that hang between two states");
    }

    async fn check_world(&self) {
        // What a worker that is gone was removing is removed in the next pass of the sweep, and a snapshot may expire just now.
        let removed = async || {
            let world = self.world().await;
            world.trash.is_empty().then_some(world)
        };
        let world = match wait::poll(Duration::from_secs(10), removed).await {
            Some(world) => world,
            None => self.world().await,
        };
        let rows = self.rows("SELECT id, status, container_id FROM instances").await;
        let rows: HashMap<&str, &Value> = rows.iter().map(|row| (row["id"].as_str().unwrap(), row)).collect();
        // The step of a build that was cancelled is a container, and the engine is just taking it away.
        let of_build = |c: &&Container| c.instance.is_empty() && c.state == "removing";
        for container in world.containers.iter().filter(|c| !of_build(c)) {
            let row = rows.get(container.instance.as_str());
            let row = row.unwrap_or_else(|| panic!("a container of nobody: {container:?}"));
            assert_eq!(row["container_id"], container.id.as_str(), "{container:?} is not the one in {row}");
        }
        for (id, row) in &rows {
            let containers = world.containers_of(id);
            assert!(containers.len() <= 1, "several containers of {id}: {containers:?}");
            if row["status"] == "running" {
                let states: Vec<_> = containers.iter().map(|c| c.state.as_str()).collect();
                assert_eq!(states, ["running"], "container of {row}");
            }
            if ["running", "stopped"].contains(&row["status"].as_str().unwrap()) {
                assert!(world.directories.iter().any(|of| of == id), "the files of {row} are gone");
            }
        }
        let mut networks = world.networks.clone();
        networks.sort_unstable();
        networks.dedup();
        assert_eq!(networks.len(), world.networks.len(), "two networks of one instance: {:?}", world.networks);
        for id in world.networks.iter().chain(&world.directories) {
            assert!(rows.contains_key(id.as_str()), "a network or files of nobody: {id}");
        }
        assert_eq!((world.trash, world.half_written), (Vec::new(), Vec::new()), "what a removal or a write left");
    }

    /// A session that works may hold a transaction open for a moment; one that was left stays.
    pub async fn assert_no_open_transaction(&self) {
        let sessions = "SELECT pid, query FROM pg_stat_activity \
            WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        let none =
            wait::poll(Duration::from_secs(2), async || self.rows(sessions).await.is_empty().then_some(())).await;
        assert!(none.is_some(), "open transactions: {:?}", self.rows(sessions).await);
    }

    /// Programs end in order when they are asked to, and leave no session behind that holds a transaction open.
    async fn check_programs(&self) {
        self.assert_no_open_transaction().await;
        let mut alive = Vec::new();
        for worker in self.workers() {
            if worker.try_ended().await.is_none() {
                worker.signal(Signal::TERM);
                alive.push(worker);
            }
        }
        if self.api.try_ended().await.is_none() {
            self.api.signal(Signal::TERM);
            alive.push(self.api.clone());
        }
        for program in alive {
            let status = program.ended_within(Duration::from_secs(20)).await;
            assert!(status.success(), "{} ended with {status}", program.name);
        }
    }

    async fn check_secrets(&self) {
        let key_file = self.dir.path().join("key");
        let sealer = Sealer::from_file(&key_file).unwrap();
        let mut secrets = self.secrets();
        secrets.push(CANARY.to_owned());
        let (mut conn, all) = (self.db.conn().await.unwrap(), InstanceFilter::default());
        for (instance, _) in instance::list(&mut conn, Scope::Everything, &all, None, 1000).await.unwrap() {
            let place = places::gateway_token(&instance.id);
            secrets.push(sealer.open(&instance.gateway_token_sealed, place).unwrap().expose_secret().to_owned());
        }
        let told = "SELECT message FROM job_events UNION ALL SELECT error_message FROM jobs UNION ALL SELECT payload::text FROM jobs \
            UNION ALL SELECT error_message FROM instances UNION ALL SELECT detail::text FROM audit UNION ALL SELECT log FROM images";
        let mut texts: Vec<(String, String)> =
            self.rows(told).await.into_iter().map(|row| ("a row".to_owned(), row["message"].to_string())).collect();
        texts.extend(self.workers().iter().map(|worker| (worker.name.clone(), worker.log())));
        texts.push(("api".to_owned(), self.api.log()));
        for (place, text) in &texts {
            for secret in &secrets {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(line, None, "{place} tells a secret");
            }
        }
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (database_url, name) = (self.database_url.clone(), self.name.clone());
        let panicking = std::thread::panicking();
        let workers = self.workers();
        let mut tails: Vec<String> = workers.iter().map(|worker| worker.tail(60)).collect();
        tails.push(self.api.tail(60));
        for program in workers.iter().chain([&self.api]) {
            program.signal(Signal::KILL);
        }
        cleanup::block_on(async move {
            if panicking {
                // By connections of its own: those of the test are served by its runtime, which waits for this.
                let told = story::of_database(&database::open_url(&database_url)).await;
                show(&format!("{told}\n{}", tails.join("\n")));
            }
            if let Err(error) = cleanup::remove_traces(&name).await {
                show(&format!("could not clean up: {error:#}"));
            }
        });
    }
}

#[expect(clippy::print_stderr, reason = "what a failed test shows")]
fn show(text: &str) {
    eprintln!("{text}");
}
