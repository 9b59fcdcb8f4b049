//! The host crashes and reboots: all programs, ours and the services, are killed, and started in a random order.
//!
//! `REBOOT_SEED` repeats the order of an earlier run.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use clawdeploy_tests::{
    Builder, TestEnv, WorkerOptions, docker, docker_proxy::DockerProxy, postgres_server::PostgresServer,
    redis_server::RedisServer, settings::variable,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ask, create, say, starts, succeeded, wait_step};

/// Time limit after all parts are started again.
const BACK: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
enum Part {
    Postgres,
    Redis,
    Api,
    Worker,
    /// Starts the containers that ran before, like the restart policy, and then answers.
    Engine,
}

struct Host {
    env: TestEnv,
    postgres: Arc<PostgresServer>,
    redis: RedisServer,
    engine: DockerProxy,
    rng: StdRng,
    _dir: tempfile::TempDir,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reboot() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn reboot_more() {
    run(4).await;
}

fn seed() -> u64 {
    let seed = variable("REBOOT_SEED").map_or_else(|| rand::random_range(0..1_000_000), |text| text.parse().unwrap());
    say(&format!("REBOOT_SEED={seed}"));
    seed
}

/// Gateways that boot without a job take slots, so a start has to wait for one. The boots take minutes, but no sweep
/// stops or restarts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_boot_at_once() {
    const READY: f64 = 120.0;
    let few = |builder: Builder| builder.set("CLAWDEPLOY_BOOTS_AT_ONCE", "2").ready(READY);
    let mut host = Host::new(StdRng::seed_from_u64(seed()), few).await;
    let ann = host.env.user("ann").await;
    let mut boots = Vec::new();
    for name in ["one", "two", "three"] {
        boots.push(create(&ann, name).await);
    }
    let asked_for = create(&ann, "asked for").await;
    for made in boots.iter().chain([&asked_for]) {
        succeeded(&host.env, &made.job).await;
    }
    succeeded(&host.env, &ann.act(&asked_for.instance, "stop").await.job).await;
    let data_dir = host.env.data_dir.clone();
    let fate = |id: &str| data_dir.join(id).join("config/fate");
    for made in &boots {
        tokio::fs::write(fate(&made.instance), "never").await.unwrap();
    }
    let started_before: Vec<usize> = boots.iter().map(|made| starts(&host.env, &made.instance)).collect();
    let ran = host.go_down().await;
    host.come_up(&ran).await;
    let starting = "SELECT id FROM instances WHERE status = 'starting'";
    let all_boot = async || (host.env.rows(starting).await.len() == boots.len()).then_some(());
    host.env.wait_for("all to boot by themselves", BACK, all_boot).await;

    let path = format!("/api/instances/{}/start", asked_for.instance);
    let start = ask(&ann, Method::POST, &path, None).await;
    let told = format!(
        "SELECT message FROM job_events WHERE job_id = '{}' AND message LIKE 'Waiting for its turn%3 gateways are booting%'",
        start.job
    );
    let waits = async || (!host.env.rows(&told).await.is_empty()).then_some(());
    host.env.wait_for("the start to wait for its turn", BACK, waits).await;

    // Longer than other statuses may last, but not longer than a gateway may take to boot.
    host.env
        .execute("UPDATE instances SET status_changed_at = now() - interval '90 seconds' WHERE status = 'starting'")
        .await;
    let seen =
        format!("SELECT name FROM sweeps WHERE name = 'stuck' AND findings::text LIKE '%{}%'", boots[0].instance);
    let looked = async || (!host.env.rows(&seen).await.is_empty()).then_some(());
    host.env.wait_for("the sweep to see them", BACK, looked).await;
    let repairs = "SELECT id FROM jobs WHERE requested_by IS NULL";
    assert_eq!(host.env.rows(repairs).await, Vec::<Value>::new(), "a booting gateway was repaired");
    let started: Vec<usize> = boots.iter().map(|made| starts(&host.env, &made.instance)).collect();
    assert_eq!(
        started,
        started_before.iter().map(|count| count + 1).collect::<Vec<_>>(),
        "a booting gateway was restarted"
    );

    // They become ready, and the start gets a slot.
    for made in &boots {
        std::fs::remove_file(fate(&made.instance)).unwrap();
        docker::docker(&["restart", "-t", "1", &format!("claw-{}", made.instance)]).await;
    }
    succeeded(&host.env, &start.job).await;
    let running = "SELECT id FROM instances WHERE status = 'running'";
    let so = async || (host.env.rows(running).await.len() == boots.len() + 1).then_some(());
    host.env.wait_for("everything to run", BACK, so).await;
    host.env.finish().await;
}

async fn run(times: u32) {
    let seed = seed();
    let mut host = Host::new(StdRng::seed_from_u64(seed), |builder| builder).await;
    let ann = host.env.user("ann").await;
    let (kept, stopped) = (create(&ann, "kept").await, create(&ann, "stopped").await);
    for made in [&kept, &stopped] {
        succeeded(&host.env, &made.job).await;
    }
    succeeded(&host.env, &ann.act(&stopped.instance, "stop").await.job).await;
    for round in 0..times {
        let name = format!("made in round {round}");
        let made = create(&ann, &name).await;
        let path = format!("/api/instances/{}/restart", kept.instance);
        let restart = ask(&ann, Method::POST, &path, None).await;
        // At a random point of the job.
        let step = ["reserve_port", "create_network", "start_container"][host.rng.random_range(0..3)];
        wait_step(&host.env, &made.job, step).await;
        let ran = host.go_down().await;
        host.come_up(&ran).await;
        let up_again = Instant::now();
        let wanted = [("kept", "running"), ("stopped", "stopped"), (name.as_str(), "running")];
        let so = async || {
            let rows = host.env.rows("SELECT name, status FROM instances").await;
            let is = |(name, status): &(&str, &str)| rows.contains(&json!({ "name": name, "status": status }));
            wanted.iter().all(is).then_some(())
        };
        host.env.wait_for("everything as it is wanted", BACK, so).await;
        for job in [&made.job, &restart.job] {
            succeeded(&host.env, job).await;
        }
        say(&format!("as it is wanted {:.1} s after the last start", up_again.elapsed().as_secs_f64()));
        host.env.assert_invariants().await;
        succeeded(&host.env, &ann.remove(&made.instance).await.job).await;
    }
    host.env.finish().await;
}

impl Host {
    async fn new(rng: StdRng, set: impl FnOnce(Builder) -> Builder) -> Self {
        let (postgres, redis) = (Arc::new(PostgresServer::start().await), RedisServer::start().await);
        let dir = tempfile::tempdir().unwrap();
        let engine = DockerProxy::new(dir.path());
        let builder = TestEnv::builder()
            .workers(2)
            .lease(4.0)
            .database_server(&postgres)
            .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
            .set("CLAWDEPLOY_REDIS_URL", &redis.url())
            .set("CLAWDEPLOY_RECONCILE_SECONDS", "1");
        let env = set(builder).build().await;
        env.watch().await;
        Self { env, postgres, redis, engine, rng, _dir: dir }
    }

    /// Kills everything and returns the containers that ran.
    async fn go_down(&self) -> BTreeSet<String> {
        for worker in self.env.workers() {
            worker.kill().await;
        }
        self.env.api.kill().await;
        self.redis.kill().await;
        self.postgres.kill().await;
        self.engine.shut();
        let mut ran = BTreeSet::new();
        // In a loop, because the engine still executes calls of dead workers.
        loop {
            let containers = docker::containers(&self.env.name).await;
            let up: Vec<_> =
                containers.into_iter().filter(|c| ["running", "restarting"].contains(&&*c.state)).collect();
            if up.is_empty() {
                return ran;
            }
            for container in up {
                // It may have exited in the meantime.
                docker::try_docker(&["kill", &container.id]).await.ok();
                ran.insert(container.id);
            }
        }
    }

    async fn come_up(&mut self, ran: &BTreeSet<String>) {
        let mut parts = [Part::Postgres, Part::Redis, Part::Api, Part::Worker, Part::Worker, Part::Engine];
        parts.shuffle(&mut self.rng);
        say(&format!("{parts:?}"));
        for part in parts {
            match part {
                Part::Postgres => self.postgres.revive().await,
                Part::Redis => self.redis.revive().await,
                Part::Api => self.env.revive_api(),
                Part::Worker => drop(self.env.start_worker(&WorkerOptions::default())),
                Part::Engine => {
                    for container in ran {
                        docker::docker(&["start", container]).await;
                    }
                    self.engine.open();
                }
            }
            let pause = self.rng.random_range(0..1500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}
