//! Runs a row of the matrix and checks its end.

use std::{sync::Arc, time::Duration};

use clawdeploy_tests::{
    Client, FakeMode, Hold, Image, TestEnv, WorkerOptions,
    client::Accepted,
    database, docker,
    docker_proxy::DockerProxy,
    postgres_server::PostgresServer,
    process::{Process, Signal},
    redis_server::RedisServer,
    tcp_proxy::{Network, TcpProxy},
    warm::HeldPool,
};
use serde_json::json;

use crate::{
    asleep,
    row::{Expected, Fault, Operation, RedisFault, Row},
    support::{PATIENCE, ask, create, ended, say, starts, succeeded, wait_step},
    warm,
};

/// An installation with a proxy in front of every service that may fail.
pub(crate) struct Stage {
    pub(crate) env: TestEnv,
    pub(crate) ann: Client,
    pub(crate) engine: DockerProxy,
    pub(crate) postgres: TcpProxy,
    pub(crate) server: Option<Arc<PostgresServer>>,
    redis: Option<RedisServer>,
    /// The instance, except for a create.
    pub(crate) instance: Option<String>,
    /// The warm pool, if it does nothing by itself until the end.
    pub(crate) held: Option<HeldPool>,
    pub(crate) row: Row,
    _dir: tempfile::TempDir,
}

/// Runs rows one after the other, each on its own installation.
pub(crate) async fn run_all(rows: &[Row]) {
    for row in rows {
        run(*row).await;
    }
}

async fn run(row: Row) {
    let began = std::time::Instant::now();
    say(&format!("--- {}: {:?} under {:?}", row.name, row.operation, row.fault));
    let stage = Stage::set(row).await;
    let asked = stage.strike().await;
    stage.judge(&asked).await;
    say(&format!("    {:.1} s", began.elapsed().as_secs_f64()));
}

impl Stage {
    async fn set(row: Row) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = DockerProxy::new(dir.path());
        let postgres = TcpProxy::new(&database::address()).await;
        let redis = match row.fault {
            Fault::Redis(RedisFault::Absent) | Fault::Kill(_) => None,
            Fault::Redis(_) => Some(RedisServer::start().await),
            _ => None,
        };
        let mut builder = TestEnv::builder()
            .workers(0)
            .lease(4.0)
            .image(image(row))
            .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
            .set("CLAWDEPLOY_RECONCILE_SECONDS", "2");
        if matches!(
            row.fault,
            Fault::Postgres(..)
                | Fault::PostgresAway(_)
                | Fault::LoseRequest
                | Fault::LoseCommit(_)
                | Fault::LoseClaim(_)
        ) {
            builder = builder.database_port(postgres.port());
        }
        let mut server = None;
        if matches!(row.fault, Fault::Server(_)) {
            let own = Arc::new(PostgresServer::start().await);
            builder = builder.database_server(&own);
            server = Some(own);
        }
        if let Some(redis) = &redis {
            builder = builder.set("CLAWDEPLOY_REDIS_URL", &redis.url());
        } else if matches!(row.fault, Fault::Redis(RedisFault::Absent)) {
            builder = builder.set("CLAWDEPLOY_REDIS_URL", "redis://127.0.0.1:1/0");
        }
        let env = warm::with_pool(builder, row).build().await;
        env.watch().await;
        let (ann, instance, held) = (env.user("ann").await, None, None);
        let mut stage = Self { env, ann, engine, postgres, server, redis, instance, held, row, _dir: dir };
        stage.prepare().await;
        stage
    }

    /// Creates the instance in the state that the operation needs.
    async fn prepare(&mut self) {
        if self.row.operation == Operation::Create {
            return;
        }
        if self.row.operation.is_of_pool() {
            return self.prepare_pool().await;
        }
        let worker = self.env.add_worker(&WorkerOptions::default()).await;
        let made = create(&self.ann, "first").await;
        succeeded(&self.env, &made.job).await;
        match self.row.operation {
            Operation::Start => {
                let stop = self.ann.act(&made.instance, "stop").await;
                succeeded(&self.env, &stop.job).await;
            }
            Operation::Wake | Operation::WakeOnTime => {
                let stop = asleep::put_to_sleep(&self.env, &made.instance).await;
                succeeded(&self.env, &stop).await;
            }
            _ => {}
        }
        self.instance = Some(made.instance);
        worker.terminate().await;
    }

    pub(crate) async fn ask(&self) -> Accepted {
        let operation = self.row.operation;
        match &self.instance {
            _ if matches!(operation, Operation::WarmUp | Operation::Discard) => self.ask_pool().await,
            None => create(&self.ann, "first").await,
            Some(id) if operation.wakes().is_some() => self.begin_or_end_sleep(id).await,
            Some(id) => {
                let (path, body) = (format!("/api/instances/{id}{}", operation.verb()), operation.body());
                ask(&self.ann, operation.method(), &path, body.as_ref()).await
            }
        }
    }

    pub(crate) async fn worker(&self) -> Arc<Process> {
        self.env.add_worker(&self.with_image(WorkerOptions::default())).await
    }

    pub(crate) async fn doomed(&self, points: &str) -> Arc<Process> {
        let options = WorkerOptions::failpoints(points).set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1");
        self.env.add_worker(&self.with_image(options)).await
    }

    /// Workers of an update have another image than the instance's.
    fn with_image(&self, options: WorkerOptions) -> WorkerOptions {
        let image = match self.row.fault {
            _ if self.row.operation != Operation::Update => return options,
            Fault::UndoGivenUp => FakeMode::Migrate,
            _ => FakeMode::Next,
        };
        options.set("CLAWDEPLOY_IMAGE", &image.image())
    }

    /// Requests the operation and causes the fault.
    async fn strike(&self) -> Accepted {
        let middle = self.row.operation.middle();
        match self.row.fault {
            Fault::Kill(point) => self.kill(point).await,
            Fault::Poison(point) => self.poison_all(point).await,
            Fault::Server(fault) => self.server_fault(fault).await,
            Fault::Refusal(when, code, times) => self.refuse(when, code, times).await,
            Fault::Deadlock(table, row) => self.deadlock(table, row).await,
            Fault::Clock(hours) => self.clock(hours).await,
            Fault::Newer(word) => self.newer(word).await,
            Fault::Freeze(point) => self.freeze(point).await,
            Fault::UndoGivenUp => self.give_up_undo().await,
            Fault::Edited => self.edit_at_the_end().await,
            Fault::Terminate(step) => {
                let worker = self.worker().await;
                let asked = self.ask().await;
                wait_step(&self.env, &asked.job, step).await;
                worker.signal(Signal::TERM);
                self.worker().await;
                assert!(worker.ended_within(Duration::from_secs(25)).await.success(), "{}", worker.tail(20));
                asked
            }
            Fault::Redis(fault) => {
                self.worker().await;
                self.redis_fault(fault).await;
                let asked = self.ask().await;
                wait_step(&self.env, &asked.job, middle).await;
                self.redis_fault(fault).await;
                asked
            }
            Fault::Sessions(times) => {
                self.worker().await;
                let (asked, ()) = tokio::join!(self.ask(), self.cut_sessions(times));
                asked
            }
            Fault::Postgres(network, for_ms) => {
                self.worker().await;
                let asked = self.ask().await;
                wait_step(&self.env, &asked.job, middle).await;
                self.postgres.set(network);
                tokio::time::sleep(Duration::from_millis(for_ms)).await;
                self.postgres.set(Network::Pass);
                asked
            }
            Fault::PostgresAway(for_ms) => {
                self.worker().await;
                self.postgres.shut();
                let back = async {
                    tokio::time::sleep(Duration::from_millis(for_ms)).await;
                    self.postgres.open().await;
                };
                tokio::join!(self.ask(), back).0
            }
            Fault::LoseRequest => {
                // Before a worker starts, which would commit too.
                self.postgres.lose_answer_to("COMMIT", 1);
                let asked = self.ask().await;
                assert!(self.postgres.has_lost(), "the request committed nothing");
                self.worker().await;
                asked
            }
            Fault::LoseCommit(nth) => {
                self.worker().await;
                self.postgres.lose_answer_to("COMMIT", nth);
                self.ask().await
            }
            Fault::LoseClaim(silent_ms) => self.lose_claim(silent_ms).await,
            Fault::DiesIn(method, path) => self.die_in(method, path).await,
            Fault::Docker(method, path, action, nth) => {
                self.worker().await;
                self.engine.fault(method, path, action, nth);
                let asked = self.ask().await;
                let struck = async || (self.engine.struck() > 0).then_some(());
                self.env.wait_for("the call that fails", Duration::from_secs(20), struck).await;
                if nth == 0 {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    self.engine.heal();
                }
                asked
            }
            Fault::EngineAway(for_ms) => {
                self.worker().await;
                self.engine.shut();
                let asked = self.ask().await;
                tokio::time::sleep(Duration::from_millis(for_ms)).await;
                self.engine.open();
                asked
            }
            Fault::BehindOurBack(_)
            | Fault::NameTaken
            | Fault::PortTaken
            | Fault::NoImage
            | Fault::GatewayEnds
            | Fault::Config(_) => self.meddle().await,
        }
    }

    async fn kill(&self, point: &str) -> Accepted {
        let worker = self.doomed(&format!("{point}=return")).await;
        let asked = self.ask().await;
        worker.ended_within(Duration::from_secs(30)).await;
        self.worker().await;
        asked
    }

    /// Requests the operation with a foreign change of the container, name, port, image or files.
    async fn meddle(&self) -> Accepted {
        match self.row.fault {
            Fault::BehindOurBack(command) => {
                self.worker().await;
                let asked = self.ask().await;
                wait_step(&self.env, &asked.job, self.row.operation.middle()).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                let container = format!("claw-{}", asked.instance);
                let command: Vec<&str> = command.iter().copied().chain([container.as_str()]).collect();
                docker::docker(&command).await;
                asked
            }
            Fault::NameTaken => {
                let asked = self.ask().await;
                let name = format!("claw-{}", asked.instance);
                docker::docker(&["create", "--name", &name, &FakeMode::Ok.image(), "node"]).await;
                self.worker().await;
                asked
            }
            Fault::PortTaken => {
                // The port is taken between its reservation and the start of the container.
                let hold = Hold::default();
                self.doomed(&hold.at("provision.write_config.before")).await;
                let asked = self.ask().await;
                hold.reached(&self.env).await;
                let held = format!("SELECT port FROM ports WHERE instance_id = '{}'", asked.instance);
                let port = u16::try_from(self.env.row(&held).await["port"].as_u64().unwrap()).unwrap();
                let stranger = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                hold.release();
                let done = succeeded(&self.env, &asked.job).await;
                assert_eq!(done["failures"], 1, "the taken port caused no failure: {done}");
                drop(stranger);
                asked
            }
            Fault::Config(text) => {
                tokio::fs::write(self.config(), text).await.unwrap();
                self.worker().await;
                self.ask().await
            }
            _ => {
                self.worker().await;
                self.ask().await
            }
        }
    }

    fn config(&self) -> std::path::PathBuf {
        self.env.data_dir.join(self.instance.as_ref().unwrap()).join("config/openclaw.json")
    }

    /// The frozen worker wakes up after another one has done its job, and changes nothing more.
    async fn freeze(&self, point: &str) -> Accepted {
        let hold = Hold::default();
        let sleeper = self.doomed(&hold.at(point)).await;
        let asked = self.ask().await;
        hold.reached(&self.env).await;
        sleeper.signal(Signal::STOP);
        hold.release();
        self.worker().await;
        ended(&self.env, &asked.job).await;
        let before = (self.env.fingerprint().await, self.containers().await);
        sleeper.signal(Signal::CONT);
        let stopped = async || sleeper.gave_up_job().then_some(());
        self.env.wait_for("the frozen worker to leave the job alone", PATIENCE, stopped).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(
            (self.env.fingerprint().await, self.containers().await),
            before,
            "the frozen worker changed something"
        );
        asked
    }

    /// All containers, with what a start, stop or removal would change.
    async fn containers(&self) -> Vec<String> {
        let mut all = Vec::new();
        for container in docker::containers(&self.env.name).await {
            let format = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.State.FinishedAt}}";
            all.push(docker::inspect(&container.id, format).await);
        }
        all.sort();
        all
    }

    async fn cut_sessions(&self, times: u32) {
        let mut maintenance = database::maintenance().await.unwrap();
        for _ in 0..times {
            database::terminate_sessions(&mut maintenance, &self.env.database()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn redis_fault(&self, fault: RedisFault) {
        let Some(redis) = &self.redis else { return };
        match fault {
            RedisFault::Absent => {}
            RedisFault::KillAndRevive => {
                redis.kill().await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                redis.revive().await;
            }
            RedisFault::Flush => redis.say(&["FLUSHALL"]).await,
            RedisFault::Sleep => redis.say(&["DEBUG", "SLEEP", "5"]).await,
            RedisFault::KillClients => {
                for kind in ["normal", "pubsub"] {
                    redis.say(&["CLIENT", "KILL", "TYPE", kind]).await;
                }
            }
            RedisFault::Pause => redis.say(&["CLIENT", "PAUSE", "5000", "ALL"]).await,
            RedisFault::Full => {
                redis.say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
                redis.say(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
            }
            RedisFault::Garbage => self.poison(redis).await,
        }
    }

    /// Ten thousand entries that were never rung: garbage and jobs that do not exist, in the queue's list and data.
    async fn poison(&self, redis: &RedisServer) {
        let mut conn = redis.connect().await.unwrap();
        let queue = format!("{}-lifecycle", self.env.name);
        for n in 0..100 {
            let mut pipe = redis::pipe();
            for _ in 0..100 {
                let forged = uuid::Uuid::new_v4().to_string();
                pipe.cmd("RPUSH").arg(format!("{queue}:active")).arg(&forged).ignore();
                match n % 4 {
                    // Without data.
                    0 | 1 => {}
                    2 => drop(pipe.cmd("HSET").arg(format!("{queue}:data")).arg(&forged).arg("not json").ignore()),
                    _ => {
                        let ring = json!({ "v": 1, "id": forged }).to_string();
                        pipe.cmd("HSET").arg(format!("{queue}:data")).arg(&forged).arg(ring).ignore();
                    }
                }
            }
            pipe.query_async::<redis::Value>(&mut conn).await.expect("a Redis that takes it");
        }
        let wake = format!("{}-wake-lifecycle", self.env.name);
        redis::cmd("PUBLISH").arg(wake).arg("\0garbage").query_async::<i64>(&mut conn).await.expect("the same");
    }

    async fn judge(self, asked: &Accepted) {
        let (env, row) = (&self.env, self.row);
        let job = ended(env, &asked.job).await;
        self.engine.heal();
        self.wait_for_wake(asked).await;
        let ended = format!("{}: {job}", row.name);
        if let Expected::Failed(code) | Expected::PutBack(code) | Expected::StartedAgain(code) = row.expected {
            assert_eq!((&job["status"], &job["error_code"]), (&json!("failed"), &json!(code)), "{ended}");
        } else {
            assert_eq!(job["status"], "succeeded", "{ended}");
        }
        let wanted = match row.expected {
            Expected::Failed(_) if row.operation != Operation::WarmUp => Some("error"),
            _ => row.operation.leads_to(),
        };
        if row.expected == Expected::DoneAtOnce {
            assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{ended}");
        }
        if row.expected == Expected::DoneUnblamed {
            assert_eq!(job["crashes"], 0, "{ended}");
        }
        if matches!(row.expected, Expected::StartedAgain(_)) {
            let running = format!("SELECT id FROM instances WHERE id = '{}' AND status = 'running'", asked.instance);
            let is_back = async || (!env.rows(&running).await.is_empty()).then_some(());
            env.wait_for("drift to see that it answers", PATIENCE, is_back).await;
        }
        let instances = env.rows("SELECT id, status, error_code FROM instances WHERE name = 'first'").await;
        let statuses: Vec<_> = instances.iter().map(|row| row["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, Vec::from_iter(wanted), "{}: {instances:?}", row.name);
        match (wanted, row.expected) {
            // With the pool, below.
            _ if row.operation == Operation::WarmUp => {}
            (None, _) => env.assert_nothing_left_of(&asked.instance).await,
            (_, Expected::StartedAgain(_)) => {}
            (_, Expected::Failed(code)) => {
                assert_eq!(instances[0]["error_code"], code, "{}: the reason is not shown", row.name);
                if matches!(row.operation, Operation::Create | Operation::Take) {
                    env.assert_nothing_left_of(&asked.instance).await;
                }
            }
            _ => assert_eq!(starts(env, &asked.instance), row.operation.starts(), "starts under {}", row.name),
        }
        if matches!(row.fault, Fault::NameTaken) {
            let name = format!("claw-{}", asked.instance);
            assert!(docker::exists(&name).await, "the stranger's container was touched");
            docker::docker(&["rm", &name]).await;
        }
        if matches!(row.fault, Fault::LoseCommit(_) | Fault::LoseClaim(_)) {
            assert!(self.postgres.has_lost(), "no answer was lost under {}", row.name);
        }
        if let Fault::Config(text) = row.fault {
            let now = std::fs::read_to_string(self.config()).unwrap();
            match row.expected {
                Expected::Failed(_) => assert_eq!(now, text, "{}: the owner's file", row.name),
                _ => assert!(now.contains("/* mine */") && !now.contains("wrong"), "{}: {now}", row.name),
            }
        }
        self.judge_sleep(asked).await;
        self.judge_others().await;
        self.judge_pool(asked).await;
        env.assert_invariants().await;
        self.env.finish().await;
    }
}

/// Image of the instances. For faults in the middle of the job, it leaves time.
fn image(row: Row) -> Image {
    match row.fault {
        // It has booted before.
        _ if row.operation == Operation::Take => FakeMode::Ok.into(),
        Fault::Redis(_)
        | Fault::Sessions(_)
        | Fault::Postgres(..)
        | Fault::BehindOurBack(_)
        | Fault::Server(_)
        | Fault::Clock(_)
        | Fault::Newer(_)
        | Fault::Deadlock("job_events", _)
        | Fault::Terminate("wait_until_ready") => FakeMode::Slow.into(),
        Fault::GatewayEnds => FakeMode::Exit.into(),
        Fault::NoImage => Image::Named("clawdeploy-no-such-image:latest".into()),
        _ => FakeMode::Ok.into(),
    }
}
