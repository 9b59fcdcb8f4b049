//! Image builds under faults: the current image stays until a new one is complete, whose tags and row agree, and
//! abandoned builds end.

use std::sync::Arc;

use clawdeploy_shared::job::MAX_CRASHES;
use clawdeploy_tests::{
    Client, Hold, Image, TestEnv, WorkerOptions, cleanup, docker,
    docker_proxy::{Action, DockerProxy},
    process::{Process, Signal},
    programs::{Program, dir},
};
use serde_json::{Value, json};

use crate::{
    builds::Fault::{
        Cancelled, Dies, DiesAlways, DiesAmidst, DiesAmidstForTwo, Docker, EndsAmidst, EngineAway, Freezes, NoBase,
    },
    support::{PATIENCE, create, ended, say, succeeded},
};

/// Label of the base image. The images and build containers that are made from it inherit it.
const LABEL: &str = "clawdeploy.test.base";

/// Duration of each of the two commands of a build, in milliseconds.
const COMMAND_MS: u32 = 800;

#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    fault: Fault,
    /// Status of the job at its end, and the error code if it fails.
    ends: (&'static str, Option<&'static str>),
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A worker dies at a kill point.
    Dies(&'static str),
    /// A worker dies while a command of the build runs.
    DiesAmidst,
    /// As [`Self::DiesAmidst`], with a second request that has joined the job.
    DiesAmidstForTwo,
    /// Every worker dies during the build and is restarted, like a service.
    DiesAlways,
    /// A worker gets SIGTERM during the build.
    EndsAmidst,
    /// A worker is frozen before the build until another worker has done it.
    Freezes,
    /// The job is cancelled while a command of the build runs.
    Cancelled,
    /// A call to the engine fails: a part of its path, the action, and which of them.
    Docker(&'static str, Action, usize),
    /// The engine is down for some seconds, from the middle of a command on.
    EngineAway,
    /// The base image does not exist anywhere.
    NoBase,
}

const DONE: (&str, Option<&str>) = ("succeeded", None);

const fn row(name: &'static str, fault: Fault, ends: (&'static str, Option<&'static str>)) -> Row {
    Row { name, fault, ends }
}

const BUILDS: &[Row] = &[
    row("K9 no base image", NoBase, ("failed", Some("base_image_missing"))),
    row("B4 killed with the tags moved, and nothing noted", Dies("build_image.between"), DONE),
    row("B3 cancelled while it builds", Cancelled, ("cancelled", None)),
];

const BUILD: &str = "/build?";
const TAG: &str = "/tag?";

const BUILDS_WITH_AN_ENGINE_THAT_FAILS: &[Row] = &[row("K1 second tag refused", Docker(TAG, Action::Err500, 2), DONE)];

const BUILDS_WITH_AN_ENGINE_THAT_FAILS_MORE: &[Row] = &[
    row("K3 build, answer lost", Docker(BUILD, Action::DropAfter, 1), DONE),
    row("K4 engine away while it builds", EngineAway, DONE),
    row("K2 tag unheard", Docker(TAG, Action::DropBefore, 1), DONE),
    row("K1 build refused", Docker(BUILD, Action::Err500, 1), DONE),
    row("K2 build unheard", Docker(BUILD, Action::DropBefore, 1), DONE),
    row("K1 tag refused", Docker(TAG, Action::Err500, 1), DONE),
    row("K2 second tag unheard", Docker(TAG, Action::DropBefore, 2), DONE),
    row("K3 tag, answer lost", Docker(TAG, Action::DropAfter, 1), DONE),
    row("K3 second tag, answer lost", Docker(TAG, Action::DropAfter, 2), DONE),
];

const BUILDS_MORE: &[Row] = &[
    row("F5 killed at every build", DiesAlways, ("failed", Some("worker_crashed"))),
    row("B3 killed while it builds for two", DiesAmidstForTwo, DONE),
    row("B3 killed while it builds", DiesAmidst, DONE),
    row("B1 killed before it builds", Dies("build_image.before"), DONE),
    row("B4 killed after it was noted", Dies("build_image.after"), DONE),
    row("B3 asked to end while it builds", EndsAmidst, DONE),
    row("B1 frozen before it builds", Freezes, DONE),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds() {
    run_all(BUILDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn builds_more() {
    run_all(BUILDS_MORE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_with_an_engine_that_fails() {
    run_all(BUILDS_WITH_AN_ENGINE_THAT_FAILS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn builds_with_an_engine_that_fails_more() {
    run_all(BUILDS_WITH_AN_ENGINE_THAT_FAILS_MORE).await;
}

async fn run_all(rows: &[Row]) {
    for row in rows {
        let began = std::time::Instant::now();
        say(&format!("--- {}: {:?}", row.name, row.fault));
        let site = Site::new().await;
        let job = site.strike(row.fault).await;
        site.judge(*row, &job).await;
        say(&format!("    {:.1} s", began.elapsed().as_secs_f64()));
    }
}

/// A base image without packages, and the images that are built on it. All are removed with this.
struct Images {
    name: String,
}

impl Images {
    async fn new() -> Self {
        let images = Self { name: format!("clawdeploy-test-{:08x}", rand::random::<u32>()) };
        let context = tempfile::tempdir().unwrap();
        std::fs::copy(Program::FakeGateway.path(), context.path().join("fake")).unwrap();
        let passwd = "root:x:0:0::/:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n";
        tokio::fs::write(context.path().join("passwd"), passwd).await.unwrap();
        let label = format!("LABEL {LABEL}={}", images.name);
        let dockerfile = format!(
            "FROM scratch\nCOPY fake /bin/bash\nCOPY fake /usr/local/bin/node\nCOPY passwd /etc/passwd\n\
             ENV FAKE_SHELL_MS={COMMAND_MS}\n{label}\n"
        );
        tokio::fs::write(context.path().join("Dockerfile"), dockerfile).await.unwrap();
        let path = context.path().display().to_string();
        docker::docker(&["build", "--quiet", "--force-rm", "--tag", &images.base(), &path]).await;
        // The current image, which the build replaces.
        docker::docker(&["tag", &images.base(), &images.target()]).await;
        images
    }

    /// In a registry that does not exist, so that a pull fails at once.
    fn base(&self) -> String {
        format!("127.0.0.1:1/{}:base", self.name)
    }

    fn target(&self) -> String {
        format!("{}:local", self.name)
    }

    fn filter(&self) -> String {
        format!("label={LABEL}={}", self.name)
    }

    async fn id_of(&self, tag: &str) -> Option<String> {
        let name = format!("{}:{tag}", self.name);
        let id = docker::try_docker(&["image", "inspect", "--format", "{{.Id}}", &name]).await.ok()?;
        Some(id.trim().to_owned())
    }

    /// Containers of build commands, running or not.
    async fn at_work(&self, of_env: &TestEnv) -> Vec<String> {
        let found = docker::docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &self.filter()]).await;
        let gateways: Vec<_> = docker::containers(&of_env.name).await.into_iter().map(|c| c.id).collect();
        found.lines().filter(|id| !gateways.iter().any(|gateway| gateway == id)).map(str::to_owned).collect()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let filter = self.filter();
        cleanup::block_on(async move {
            // Children must be removed first, but their order is unknown, so this takes several rounds.
            for _ in 0..12 {
                let ids = docker::try_docker(&["images", "--all", "--quiet", "--no-trunc", "--filter", &filter]).await;
                let Ok(ids) = ids else { return };
                let mut ids: Vec<_> = ids.lines().collect();
                ids.dedup();
                if ids.is_empty() {
                    return;
                }
                let remove: Vec<_> = ["image", "rm", "--force"].into_iter().chain(ids).collect();
                docker::try_docker(&remove).await.ok();
            }
        });
    }
}

struct Site {
    env: TestEnv,
    admin: Client,
    before: Option<String>,
    engine: DockerProxy,
    _dir: tempfile::TempDir,
    // Dropped after the programs that use them.
    images: Images,
}

impl Site {
    async fn new() -> Self {
        assert!(dir().exists(), "run these tests with cargo nextest run");
        let (images, dir) = (Images::new().await, tempfile::tempdir().unwrap());
        let engine = DockerProxy::new(dir.path());
        let env = TestEnv::builder()
            .workers(0)
            .lease(4.0)
            .image(Image::Named(images.target()))
            .set("CLAWDEPLOY_OPENCLAW_BASE_IMAGE", &images.base())
            .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
            .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
            .build()
            .await;
        env.watch().await;
        let (admin, before) = (env.admin().await, images.id_of("local").await);
        Self { env, admin, before, engine, _dir: dir, images }
    }

    async fn ask(&self) -> String {
        let asked = self.admin.post_empty("/api/admin/image/rebuild").await.expect(202).json;
        asked["job"]["id"].as_str().unwrap().to_owned()
    }

    async fn worker(&self) -> Arc<Process> {
        self.env.add_worker(&WorkerOptions::default()).await
    }

    fn doomed(&self, point: &str) -> Arc<Process> {
        self.env.start_worker(&WorkerOptions::failpoints(&format!("rebuild_image.{point}")))
    }

    async fn amidst(&self) {
        let works = async || (!self.images.at_work(&self.env).await.is_empty()).then_some(());
        self.env.wait_for("a command of the build", PATIENCE, works).await;
    }

    async fn strike(&self, fault: Fault) -> String {
        match fault {
            Dies(point) => {
                let (worker, job) = (self.doomed(&format!("{point}=return")), self.ask().await);
                worker.ended_within(PATIENCE).await;
                self.worker().await;
                job
            }
            Freezes => {
                let hold = Hold::default();
                let sleeper = self.doomed(&hold.at("build_image.before"));
                let job = self.ask().await;
                hold.reached(&self.env).await;
                sleeper.signal(Signal::STOP);
                hold.release();
                self.worker().await;
                succeeded(&self.env, &job).await;
                let before = (self.env.fingerprint().await, self.images.id_of("local").await);
                sleeper.signal(Signal::CONT);
                let stopped = async || sleeper.gave_up_job().then_some(());
                self.env.wait_for("the frozen worker to leave the job alone", PATIENCE, stopped).await;
                let after = (self.env.fingerprint().await, self.images.id_of("local").await);
                assert_eq!(after, before, "the sleeper did something");
                job
            }
            DiesAlways => self.poison().await,
            Docker(path, action, nth) => {
                self.worker().await;
                self.engine.fault("POST", path, action, nth);
                let job = self.ask().await;
                let struck = async || (self.engine.struck() > 0).then_some(());
                self.env.wait_for("the call that fails", PATIENCE, struck).await;
                job
            }
            NoBase => {
                docker::docker(&["image", "rm", &self.images.base()]).await;
                self.worker().await;
                let job = self.ask().await;
                ended(&self.env, &job).await;
                // The base image is back, so that a second build can succeed.
                docker::docker(&["tag", &self.images.target(), &self.images.base()]).await;
                job
            }
            DiesAmidst | DiesAmidstForTwo | EndsAmidst | EngineAway | Cancelled => self.amid(fault).await,
        }
    }

    /// Every worker dies after it began the build, until the job fails.
    async fn poison(&self) -> String {
        let job = self.ask().await;
        for life in 1..=MAX_CRASHES {
            let worker = self.worker().await;
            let begun = format!(
                "SELECT 1 FROM jobs JOIN images ON job_id = jobs.id WHERE jobs.id = '{job}' \
                 AND jobs.status = 'running' AND attempt = {life} AND images.status = 'building'"
            );
            let so = async || (!self.env.rows(&begun).await.is_empty()).then_some(());
            self.env.wait_for("a build that has begun", PATIENCE, so).await;
            worker.kill().await;
        }
        self.worker().await;
        job
    }

    /// Faults while a command of the build runs.
    async fn amid(&self, fault: Fault) -> String {
        let worker = self.worker().await;
        let asked = self.ask().await;
        self.amidst().await;
        match fault {
            DiesAmidst => worker.kill().await,
            DiesAmidstForTwo => {
                assert_eq!(self.ask().await, asked, "the second one did not join");
                worker.kill().await;
            }
            EngineAway => {
                self.engine.shut();
                tokio::time::sleep(std::time::Duration::from_secs(3)).await;
                self.engine.open();
                return asked;
            }
            EndsAmidst => assert!(worker.terminate().await.success(), "{}", worker.tail(20)),
            _ => {
                self.admin.post_empty(&format!("/api/jobs/{asked}/cancel")).await.expect(202);
                return asked;
            }
        }
        self.worker().await;
        asked
    }

    async fn judge(self, row: Row, asked: &str) {
        let env = &self.env;
        let done = ended(env, asked).await;
        self.engine.heal();
        assert_eq!((&done["status"], done["error_code"].as_str()), (&json!(row.ends.0), row.ends.1), "{done}");
        let idle = async || self.images.at_work(env).await.is_empty().then_some(());
        env.wait_for("no command of a build to run", PATIENCE, idle).await;
        let entry = if row.ends == DONE { "ready" } else { row.ends.0 };
        let noted = async || {
            let row = env.row(&format!("SELECT status, image_id FROM images WHERE job_id = '{asked}'")).await;
            (row["status"] == entry).then_some(row)
        };
        let noted = env.wait_for("what became of the build", PATIENCE, noted).await;
        if row.ends == DONE {
            self.judge_image(&noted).await;
        } else {
            assert_eq!(self.images.id_of("local").await, self.before, "{}: the image in use changed", row.name);
            // After a failed or cancelled build, a new one succeeds.
            let again = self.ask().await;
            assert_eq!(succeeded(env, &again).await["attempt"], 1);
        }
        env.assert_invariants().await;
        self.env.finish().await;
    }

    /// Checks that both tags and the row have the same image, and that instances run it.
    async fn judge_image(&self, noted: &Value) {
        let image = self.images.id_of("local").await;
        assert_ne!(image, self.before, "the image in use is the old one");
        assert_eq!(noted["image_id"].as_str(), image.as_deref(), "the entry is of another image");
        assert_eq!(self.images.id_of("2026.9.6").await, image, "the version's tag is of another image");
        let made = create(&self.env.user("ann").await, "first").await;
        succeeded(&self.env, &made.job).await;
        let row = self.env.row(&format!("SELECT image_id FROM instances WHERE id = '{}'", made.instance)).await;
        assert_eq!(row["image_id"].as_str(), image.as_deref());
    }
}
