//! Updates with random faults. In the end, either everything is new or everything is as before.
//!
//! `UPDATE_SEED` repeats the faults of an earlier run; their effect also depends on timing.

use std::time::Duration;

use clawdeploy_tests::{
    FakeMode, TestEnv, WorkerOptions,
    docker_proxy::{Action, DockerProxy},
    process::Signal,
    settings::variable,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    faults::{RECOVERED, STEPS},
    support::{assert_as_before, failing_on, image_id, look, on, retire, tree, update, write_state},
};
use crate::support::{done, http, instance, job, running, say};

/// Calls to the engine during an update.
const CALLS: [(&str, &str); 6] = [
    ("POST", "/stop"),
    ("DELETE", "/containers/"),
    ("POST", "/containers/create"),
    ("POST", "/start"),
    ("POST", "/update"),
    ("GET", "/json"),
];

const BAD: [FakeMode; 3] = [FakeMode::Never, FakeMode::Exit, FakeMode::Migrate];
const UNDOS: [&str; 4] = ["remove_container", "put_files_back", "resume_gateway", "forget_change"];
const PLACES: [&str; 3] = ["before", "between", "after"];

/// A fault during an update.
#[derive(Debug)]
enum Trouble {
    Nothing,
    BadImage(FakeMode),
    /// The worker dies at this kill point.
    Dies(String),
    /// The image is bad, and the worker dies at this kill point of a step or an undo.
    DiesWithBadImage(FakeMode, String),
    /// A call to the engine fails in this way.
    Docker((&'static str, &'static str), Action, usize),
    /// The owner cancels the update during this step.
    Cancelled(&'static str),
    /// The worker gets SIGTERM during this step.
    Terminated(&'static str),
    /// The worker freezes at this step for longer than its lease.
    Frozen(&'static str),
}

impl Trouble {
    fn random(rng: &mut StdRng) -> Self {
        let pick = |rng: &mut StdRng, of: &[&'static str]| *of.choose(rng).unwrap();
        let step = pick(rng, &STEPS);
        let point = format!("update.{step}.{}", pick(rng, &PLACES));
        let bad = *BAD.choose(rng).unwrap();
        let undo = format!("update.{}.{}", pick(rng, &UNDOS), pick(rng, &["undo", "undone"]));
        match rng.random_range(0..9) {
            0 => Self::Nothing,
            1 => Self::BadImage(bad),
            2 => Self::Dies(point),
            3 => Self::DiesWithBadImage(bad, point),
            4 => Self::DiesWithBadImage(bad, undo),
            5 => {
                let action = *[Action::DropBefore, Action::DropAfter, Action::Err500].choose(rng).unwrap();
                Self::Docker(*CALLS.choose(rng).unwrap(), action, rng.random_range(1..3))
            }
            6 => Self::Cancelled(step),
            7 => Self::Terminated(step),
            _ => Self::Frozen(step),
        }
    }

    fn image(&self, newer: FakeMode) -> FakeMode {
        match self {
            Self::BadImage(bad) | Self::DiesWithBadImage(bad, _) => *bad,
            _ => newer,
        }
    }

    /// The worker with this fault.
    fn worker(&self, image: FakeMode) -> WorkerOptions {
        let options = match self {
            Self::Dies(point) | Self::DiesWithBadImage(_, point) => failing_on(image, &format!("{point}=return")),
            Self::Cancelled(step) | Self::Terminated(step) | Self::Frozen(step) => {
                failing_on(image, &format!("update.{step}.before=sleep(1500)"))
            }
            _ => on(image),
        };
        options.set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1")
    }
}

/// One installation with one instance, which is updated repeatedly.
struct Lane {
    env: TestEnv,
    engine: DockerProxy,
    instance: String,
    rng: StdRng,
    _dir: tempfile::TempDir,
}

impl Lane {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = DockerProxy::new(dir.path());
        let env = TestEnv::builder()
            .lease(4.0)
            .ready(20.0)
            .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
            .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
            .build()
            .await;
        let made = running(&env, "first").await;
        write_state(&env, &made.instance);
        Self { env, engine, instance: made.instance, rng: StdRng::seed_from_u64(seed), _dir: dir }
    }

    async fn run(mut self, updates: usize) {
        let mut has = FakeMode::Ok;
        for nth in 0..updates {
            let newer = if has == FakeMode::Ok { FakeMode::Next } else { FakeMode::Ok };
            if self.turn(nth, newer).await {
                has = newer;
            }
        }
        self.env.finish().await;
    }

    /// Runs one update; true if it succeeded.
    async fn turn(&mut self, nth: usize, newer: FakeMode) -> bool {
        // A stopped instance stays stopped.
        let stop = self.rng.random_bool(0.15);
        if stop {
            self.env.add_worker(&on(newer)).await;
            done(&self.env, &self.instance, "stop").await;
        }
        retire(&self.env).await;
        let before = look(&self.env, &self.instance).await;
        let trouble = Trouble::random(&mut self.rng);
        say(&format!("{} {nth}: {trouble:?}{}", self.env.name, if stop { ", stopped" } else { "" }));
        // If the image is not started, a bad one is not noticed.
        let image = if stop { newer } else { trouble.image(newer) };
        let asked = update(&self.env, &self.instance).await;
        if let Trouble::Docker((method, path), action, nth) = trouble {
            self.engine.fault(method, path, action, nth);
        }
        let worker = self.env.start_worker(&trouble.worker(image));
        self.meet(&trouble, &asked.job, &worker).await;
        self.env.add_worker(&on(image)).await;
        let over = async || {
            let job = job(&self.env, &asked.job).await;
            matches!(job["status"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(job)
        };
        let ended = self.env.wait_for(&format!("the end of {trouble:?}"), RECOVERED, over).await;
        self.engine.heal();
        let succeeded = ended["status"] == "succeeded";
        if succeeded {
            let row = instance(&self.env, &self.instance).await;
            assert_eq!(row["image_id"], image_id(image).await, "{trouble:?}");
            assert_eq!(row["status"], before.row["status"], "{trouble:?}: {ended}");
            assert_eq!(tree(&self.env, &self.instance), before.tree, "{trouble:?}");
            if row["status"] == "running" {
                assert_eq!(http(before.port, "/readyz").await.map(|(status, _)| status), Some(200), "{trouble:?}");
            }
            assert_eq!(self.env.world().await.containers_of(&self.instance).len(), 1, "{trouble:?}");
        } else {
            // An earlier update may have left a snapshot; expire it.
            let kept = self.env.rows("SELECT id FROM snapshots WHERE status = 'changing'").await;
            assert_eq!(kept, Vec::<serde_json::Value>::new(), "{trouble:?}");
            self.env.execute("UPDATE snapshots SET expires_at = now() WHERE status = 'kept'").await;
            let gone = async || super::support::snapshots_on_disk(&self.env, &self.instance).is_empty().then_some(());
            self.env.wait_for("expired snapshots to go", Duration::from_secs(20), gone).await;
            assert_as_before(&self.env, &self.instance, &before).await;
        }
        if stop {
            // The next turn expects a running instance.
            done(&self.env, &self.instance, "start").await;
        }
        assert_eq!(instance(&self.env, &self.instance).await["status"], "running", "{trouble:?}");
        succeeded
    }

    /// Causes the fault and waits until it is over.
    async fn meet(&self, trouble: &Trouble, asked: &str, worker: &clawdeploy_tests::process::Process) {
        let begun = async |step: &str| {
            let sql = format!("SELECT id FROM job_events WHERE job_id = '{asked}' AND step = '{step}'");
            let reached = async || {
                let over = !matches!(job(&self.env, asked).await["status"].as_str(), Some("queued" | "running"));
                (over || !self.env.rows(&sql).await.is_empty()).then_some(())
            };
            self.env.wait_for(step, RECOVERED, reached).await;
        };
        match trouble {
            Trouble::Dies(_) | Trouble::DiesWithBadImage(..) => {
                // Some kill points are not reached.
                let dead = async || {
                    let over = !matches!(job(&self.env, asked).await["status"].as_str(), Some("queued" | "running"));
                    (over || worker.try_ended().await.is_some()).then_some(())
                };
                self.env.wait_for("the worker's end", RECOVERED, dead).await;
            }
            Trouble::Cancelled(step) => {
                begun(step).await;
                // It may be too late to cancel.
                let answer = self.env.user("ann").await.post_empty(&format!("/api/jobs/{asked}/cancel")).await;
                assert!(matches!(answer.brief().as_str(), "202" | "409 job_finished"), "{}", answer.text);
            }
            Trouble::Terminated(step) => {
                begun(step).await;
                worker.terminate().await;
            }
            Trouble::Frozen(step) => {
                begun(step).await;
                worker.signal(Signal::STOP);
                let taken = async || {
                    let job = job(&self.env, asked).await;
                    (job["status"] != "running" || job["crashes"].as_i64() > Some(0)).then_some(())
                };
                self.env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "0")).await;
                self.env.wait_for("the lease to run out", RECOVERED, taken).await;
                worker.signal(Signal::CONT);
            }
            Trouble::Nothing | Trouble::BadImage(_) | Trouble::Docker(..) => {}
        }
    }
}

/// This many updates in each of four installations in parallel.
async fn run(updates: usize) {
    let seed = variable("UPDATE_SEED").map_or_else(|| rand::random_range(0..1_000_000), |text| text.parse().unwrap());
    say(&format!("UPDATE_SEED={seed}"));
    let lane = async |n: u64| Lane::new(seed + n).await.run(updates).await;
    tokio::join!(lane(0), lane(1), lane(2), lane(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_random_faults() {
    Box::pin(run(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn two_hundred_random_faults() {
    Box::pin(run(50)).await;
}
