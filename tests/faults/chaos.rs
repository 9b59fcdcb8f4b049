//! Random operations of three users on a few instances, which also fall asleep and wake, with random faults. A creation
//! takes the instance that the warm pool has, if it has one just then. Then all jobs must end, and all invariants must
//! hold.
//!
//! `CHAOS_OPS` sets the number of operations, and `CHAOS_SEED` chooses them and the faults. The effect of a seed also
//! depends on timing, so a failure may need several runs to occur again.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use clawdeploy_shared::db::user::Role;
use clawdeploy_tests::{
    Client, TestEnv, WorkerOptions, cleanup, database, docker,
    docker_proxy::{Action, DockerProxy},
    process::{Process, Signal},
    settings::variable,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::say;

const PEOPLE: [&str; 3] = ["ann", "bob", "cid"];
const INSTANCES: usize = 8;
const WORKERS: usize = 3;

/// Time limit of all open jobs after the last operation and fault.
const REST: Duration = Duration::from_secs(30);

/// Calls to the engine that may fail.
const CALLS: [(&str, &str); 10] = [
    ("POST", "/containers/create"),
    ("POST", "/networks/create"),
    ("POST", "/start"),
    ("POST", "/stop"),
    ("DELETE", "/containers/"),
    ("GET", "/containers/"),
    ("POST", "/connect"),
    ("POST", "/disconnect"),
    ("POST", "/pause"),
    ("POST", "/unpause"),
];

struct Chaos {
    env: TestEnv,
    people: Vec<Client>,
    engine: DockerProxy,
    rng: StdRng,
    workers: Vec<Arc<Process>>,
    /// Instances with the index of their owner.
    instances: Vec<(usize, String)>,
    /// All that were ever created.
    created: BTreeSet<String>,
    jobs: BTreeSet<String>,
    names: usize,
    _dir: tempfile::TempDir,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos() {
    let number = |name: &str| variable(name).map(|text| text.parse::<u64>().expect("a number"));
    let operations = number("CHAOS_OPS").unwrap_or(25);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    say(&format!("CHAOS_OPS={operations} CHAOS_SEED={seed}"));
    let mut chaos = Chaos::begin(seed).await;
    let began = Instant::now();
    for nth in 0..operations {
        chaos.operate(nth).await;
        if chaos.rng.random_bool(0.35) {
            chaos.fail().await;
        }
        let pause = chaos.rng.random_range(0..700);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    say(&format!("{operations} operations in {:.0} s", began.elapsed().as_secs_f64()));
    chaos.rest().await;
}

impl Chaos {
    async fn begin(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = DockerProxy::new(dir.path());
        let env = TestEnv::builder()
            .workers(WORKERS)
            .lease(4.0)
            .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
            .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
            .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
            .set("CLAWDEPLOY_WARM_POOL", "1")
            .set("CLAWDEPLOY_FROZEN_MINUTES", "600")
            .build()
            .await;
        env.watch().await;
        // So that at least the first creation takes one.
        env.wait_for_pool(1).await;
        let mut people = Vec::new();
        for name in PEOPLE {
            people.push(env.user(name).await);
        }
        let workers = env.workers();
        let rng = StdRng::seed_from_u64(seed);
        let (instances, created, jobs) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Self { env, people, engine, rng, workers, instances, created, jobs, names: 0, _dir: dir }
    }

    async fn operate(&mut self, nth: u64) {
        let dice = self.rng.random_range(0..100);
        if self.instances.len() < 2 || (dice < 20 && self.instances.len() < INSTANCES) {
            let who = self.rng.random_range(0..self.people.len());
            self.names += 1;
            let body = json!({ "name": format!("number {}", self.names) });
            say(&format!("{nth:4} {} creates number {}", PEOPLE[who], self.names));
            if let Some(answer) = self.ask(who, Method::POST, "/api/instances", Some(&body)).await {
                let id = answer["instance"]["id"].as_str().unwrap().to_owned();
                assert!(self.created.insert(id.clone()), "{id} was given to two creations");
                self.instances.push((who, id));
            }
            // For the next creation.
            self.env.let_pool_try_again().await;
            return;
        }
        let (who, id) = self.instances.choose(&mut self.rng).unwrap().clone();
        let path = format!("/api/instances/{id}");
        let (method, path) = match dice {
            0..30 => (Method::POST, format!("{path}/restart")),
            30..43 => (Method::POST, format!("{path}/stop")),
            43..56 => (Method::POST, format!("{path}/start")),
            56..70 => return self.fall_asleep(nth, &id).await,
            70..82 => return self.visit(nth, &id).await,
            82..91 => (Method::DELETE, path),
            _ => return self.cancel(nth, who, &id).await,
        };
        say(&format!("{nth:4} {} {method} {path}", PEOPLE[who]));
        let deleted = method == Method::DELETE;
        if self.ask(who, method, &path, None).await.is_some() && deleted {
            self.instances.retain(|(_, other)| *other != id);
        }
    }

    /// Cancels the open jobs of an instance.
    async fn cancel(&mut self, nth: u64, who: usize, id: &str) {
        let open = format!("SELECT id FROM jobs WHERE instance_id = '{id}' AND status IN ('queued', 'running')");
        for row in self.env.rows(&open).await {
            let job = row["id"].as_str().unwrap();
            say(&format!("{nth:4} {} cancels {job}", PEOPLE[who]));
            self.ask(who, Method::POST, &format!("/api/jobs/{job}/cancel"), None).await;
        }
    }

    /// An instance falls asleep, as if it had been idle for long enough, unless it does not run or has an open job.
    /// About half of them are due to wake at once, and half of the gateways are frozen.
    async fn fall_asleep(&mut self, nth: u64, id: &str) {
        let wake_at = self.rng.random_bool(0.5).then(SystemTime::now);
        let freezes = self.rng.random_bool(0.5) && self.env.can_be_released(id);
        let job = if freezes { self.env.freeze(id, wake_at).await } else { self.env.fall_asleep(id, wake_at).await };
        if let Some(job) = job {
            let how = if freezes { "is frozen" } else { "falls asleep" };
            let due = if wake_at.is_some() { " and is due to wake" } else { "" };
            say(&format!("{nth:4} {id} {how}{due}"));
            self.jobs.insert(job);
        }
    }

    /// Somebody opens the address of an instance, which wakes it if it sleeps.
    async fn visit(&mut self, nth: u64, id: &str) {
        say(&format!("{nth:4} somebody opens the address of {id}"));
        self.env.visit(id).await;
        self.jobs.extend(self.env.wakes(id).await);
    }

    /// Repeats a request until there is a response. A refusal (the instance is busy or gone) is one.
    async fn ask(&mut self, who: usize, method: Method, path: &str, body: Option<&Value>) -> Option<Value> {
        let key = format!("{:032x}", self.rng.random::<u128>());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            let mut request = self.people[who].request(method.clone(), path).header("Idempotency-Key", &key);
            if let Some(body) = body {
                request = request.json(body);
            }
            let Ok(answer) = request.send().await else { continue };
            let status = answer.status().as_u16();
            let Ok(text) = answer.text().await else { continue };
            match status {
                202 => {
                    let json: Value = serde_json::from_str(&text).unwrap();
                    if let Some(job) = json["job"]["id"].as_str() {
                        self.jobs.insert(job.to_owned());
                    }
                    return Some(json);
                }
                503 => tokio::time::sleep(Duration::from_millis(100)).await,
                404 | 409 | 200 => return None,
                other => panic!("{method} {path} answered {other}: {text}"),
            }
        }
        panic!("{method} {path} has no answer");
    }

    async fn fail(&mut self) {
        let worker = self.rng.random_range(0..self.workers.len());
        match self.rng.random_range(0..9) {
            0 => {
                say(&format!("     ! kill {}", self.workers[worker].name));
                self.workers[worker].kill().await;
                self.workers[worker] = self.env.start_worker(&WorkerOptions::default());
            }
            1 => {
                let pause = Duration::from_millis(self.rng.random_range(200..3500));
                say(&format!("     ! {} stands still for {pause:?}", self.workers[worker].name));
                let sleeper = Arc::clone(&self.workers[worker]);
                sleeper.signal(Signal::STOP);
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    sleeper.signal(Signal::CONT);
                });
            }
            2 => {
                say("     ! Redis forgets");
                cleanup::remove_keys(&self.env.name).await.unwrap();
            }
            3 => {
                say("     ! Postgres cuts its sessions");
                let mut maintenance = database::maintenance().await.unwrap();
                database::terminate_sessions(&mut maintenance, &self.env.database()).await.unwrap();
                // The test's own sessions end too, and its pool takes a moment to notice.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            4 | 5 => {
                let (method, path) = *CALLS.choose(&mut self.rng).unwrap();
                let action = *[Action::Err500, Action::DropBefore, Action::DropAfter].choose(&mut self.rng).unwrap();
                say(&format!("     ! {action:?} meets the next {method} {path}"));
                self.engine.heal();
                self.engine.fault(method, path, action, 1);
            }
            6 => {
                say(&format!("     ! {} drains", self.workers[worker].name));
                self.workers[worker].signal(Signal::TERM);
                self.workers[worker] = self.env.start_worker(&WorkerOptions::default());
            }
            _ => self.meddle().await,
        }
    }

    /// An administrator changes a container by hand, of an instance or of the warm pool.
    async fn meddle(&mut self) {
        let mut ids: Vec<String> = self.instances.iter().map(|(_, id)| id.clone()).collect();
        ids.extend(self.env.warm_instances().await);
        let Some(id) = ids.choose(&mut self.rng) else { return };
        let words = *[&["stop", "--time", "0"][..], &["rm", "--force"], &["pause"], &["unpause"], &["kill"]]
            .choose(&mut self.rng)
            .unwrap();
        let name = format!("claw-{id}");
        say(&format!("     ! docker {} {name}", words.join(" ")));
        let command: Vec<&str> = words.iter().copied().chain([name.as_str()]).collect();
        // The container may not exist at the moment.
        docker::try_docker(&command).await.ok();
    }

    async fn rest(self) {
        self.engine.heal();
        let env = &self.env;
        let quiet = async || {
            // In one statement: what falls asleep may be due to wake as soon as its job has ended.
            let open = "SELECT id::text FROM jobs WHERE status IN ('queued', 'running') \
                 UNION ALL SELECT id FROM instances WHERE status = 'stopped' AND wake_at IS NOT NULL";
            self.env.rows(open).await.is_empty().then_some(())
        };
        env.wait_for("every job to end, and every schedule that is due to wake its instance", REST, quiet).await;
        env.wait_for_pool(1).await;
        let known = env.rows("SELECT id FROM jobs").await;
        let known: BTreeSet<_> = known.iter().map(|row| row["id"].as_str().unwrap()).collect();
        for job in &self.jobs {
            assert!(known.contains(job.as_str()), "a job that was accepted is gone: {job}");
        }
        self.check_owners().await;
        let counts = "SELECT kind, status, error_code, count(*) FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2";
        for row in env.rows(counts).await {
            say(&row.to_string());
        }
        env.assert_invariants().await;
        env.assert_starts().await;
        env.assert_sleeps().await;
        self.env.finish().await;
    }

    /// Instances that nobody has deleted belong to who created them, whether they came from the warm pool or not.
    async fn check_owners(&self) {
        let env = &self.env;
        for (who, id) in &self.instances {
            let owner = env.user_id(PEOPLE[*who], Role::User).await.to_string();
            let row = env.row(&format!("SELECT owner_id FROM instances WHERE id = '{id}'")).await;
            assert_eq!(row["owner_id"], owner.as_str(), "{id} is not {}'s", PEOPLE[*who]);
        }
        let counted = env.row("SELECT coalesce(sum(taken), 0) AS taken FROM warm_pool_days").await;
        say(&format!("{} of {} creations took a warm instance", counted["taken"], self.created.len()));
        assert!(counted["taken"].as_u64() >= Some(1), "the pool was never used");
    }
}
