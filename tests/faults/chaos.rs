//! Random operations of three users on a few instances, with random faults. Then all jobs must end, and all invariants
//! must hold.
//!
//! `CHAOS_OPS` sets the number of operations, and `CHAOS_SEED` chooses them and the faults. The effect of a seed also
//! depends on timing, so a failure may need several runs to occur again.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

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
const CALLS: [(&str, &str); 6] = [
    ("POST", "/containers/create"),
    ("POST", "/networks/create"),
    ("POST", "/start"),
    ("POST", "/stop"),
    ("DELETE", "/containers/"),
    ("GET", "/containers/"),
];

struct Chaos {
    env: TestEnv,
    people: Vec<Client>,
    engine: DockerProxy,
    rng: StdRng,
    workers: Vec<Arc<Process>>,
    /// Instances with the index of their owner.
    instances: Vec<(usize, String)>,
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
            .build()
            .await;
        env.watch().await;
        let mut people = Vec::new();
        for name in PEOPLE {
            people.push(env.user(name).await);
        }
        let workers = env.workers();
        let rng = StdRng::seed_from_u64(seed);
        let (instances, jobs) = (Vec::new(), BTreeSet::new());
        Self { env, people, engine, rng, workers, instances, jobs, names: 0, _dir: dir }
    }

    async fn operate(&mut self, nth: u64) {
        let dice = self.rng.random_range(0..100);
        if self.instances.len() < 2 || (dice < 20 && self.instances.len() < INSTANCES) {
            let who = self.rng.random_range(0..self.people.len());
            self.names += 1;
            let body = json!({ "name": format!("number {}", self.names) });
            say(&format!("{nth:4} {} creates number {}", PEOPLE[who], self.names));
            if let Some(answer) = self.ask(who, Method::POST, "/api/instances", Some(&body)).await {
                self.instances.push((who, answer["instance"]["id"].as_str().unwrap().to_owned()));
            }
            return;
        }
        let (who, id) = self.instances.choose(&mut self.rng).unwrap().clone();
        let path = format!("/api/instances/{id}");
        let (method, path) = match dice {
            0..40 => (Method::POST, format!("{path}/restart")),
            40..60 => (Method::POST, format!("{path}/stop")),
            60..80 => (Method::POST, format!("{path}/start")),
            80..90 => (Method::DELETE, path),
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

    /// An administrator changes a container by hand.
    async fn meddle(&mut self) {
        let Some((_, id)) = self.instances.choose(&mut self.rng).cloned() else { return };
        let words =
            *[&["stop", "--time", "0"][..], &["rm", "--force"], &["pause"], &["kill"]].choose(&mut self.rng).unwrap();
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
            let open = self.env.rows("SELECT id FROM jobs WHERE status IN ('queued', 'running')").await;
            open.is_empty().then_some(())
        };
        env.wait_for("every job to end", REST, quiet).await;
        let known = env.rows("SELECT id FROM jobs").await;
        let known: BTreeSet<_> = known.iter().map(|row| row["id"].as_str().unwrap()).collect();
        for job in &self.jobs {
            assert!(known.contains(job.as_str()), "a job that was accepted is gone: {job}");
        }
        let counts = "SELECT kind, status, error_code, count(*) FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2";
        for row in env.rows(counts).await {
            say(&row.to_string());
        }
        env.assert_invariants().await;
        env.assert_starts().await;
        self.env.finish().await;
    }
}
