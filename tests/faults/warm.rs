//! The warm pool under faults. The rows are in `matrix`; the binary `it` (`crashes::warm`) tests all kill points.

use clawdeploy_shared::db::user::Role;
use clawdeploy_tests::{Builder, client::Accepted, docker_proxy::Action};
use serde_json::Value;

use crate::{
    driver::Stage,
    row::{Expected, Fault, Operation, Row},
    support::{PATIENCE, accepted, starts},
};

/// How many instances the pool has: one for each creation that is to take one.
fn size(row: Row) -> usize {
    // There, another owner's creation comes first.
    if matches!((row.operation, row.fault), (Operation::Take, Fault::Poison(_))) { 2 } else { 1 }
}

/// Settings for operations that need the pool.
pub(crate) fn with_pool(builder: Builder, row: Row) -> Builder {
    if !row.operation.is_of_pool() {
        return builder;
    }
    builder.set("CLAWDEPLOY_WARM_POOL", &size(row).to_string()).set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
}

impl Stage {
    /// Fills the pool, unless the operation is to do that. The pool then does nothing by itself if its jobs would meet the
    /// fault in place of the one that is to meet it, or would change what must not change.
    pub(crate) async fn prepare_pool(&mut self) {
        if self.row.operation == Operation::WarmUp {
            self.held = Some(self.env.hold_pool().await);
            return;
        }
        let worker = self.worker().await;
        self.env.wait_for_pool(size(self.row)).await;
        let alone = matches!(self.row.fault, Fault::Docker(..) | Fault::DiesIn(..) | Fault::Freeze(_));
        if alone || self.row.operation == Operation::Discard {
            self.held = Some(self.env.hold_pool().await);
        }
        if self.row.operation == Operation::Discard {
            self.instance = self.env.warm_instances().await.pop();
        }
        worker.terminate().await;
    }

    /// Queues what the pool does by itself.
    pub(crate) async fn ask_pool(&self) -> Accepted {
        if let Some(id) = &self.instance {
            return accepted(id.clone(), self.env.discard(id).await);
        }
        let made = self.env.warm_up().await;
        accepted(made.instance, made.job)
    }

    /// A worker is killed while it waits for the answer to a call that the engine never gets.
    pub(crate) async fn die_in(&self, method: &'static str, path: &str) -> Accepted {
        let worker = self.worker().await;
        self.engine.fault(method, path, Action::Hang, 1);
        let asked = self.ask().await;
        let struck = async || (self.engine.struck() > 0).then_some(());
        self.env.wait_for("the call that is not answered", PATIENCE, struck).await;
        worker.kill().await;
        self.engine.heal();
        self.worker().await;
        asked
    }

    /// The pool is as large as it should be, and whole. Each instance of it was taken by one creation or by none, belongs
    /// to who asked for it, and leaves nothing when it leaves.
    pub(crate) async fn judge_pool(&self, asked: &Accepted) {
        let (env, row) = (&self.env, self.row);
        if !row.operation.is_of_pool() {
            return;
        }
        if matches!(row.fault, Fault::Poison(_)) {
            // The last one lives, and would die under the next job of that kind.
            for worker in env.workers() {
                worker.terminate().await;
            }
            self.worker().await;
        }
        if let Some(held) = &self.held {
            held.release().await;
        }
        env.wait_for_pool(size(row)).await;
        let of_it = format!("SELECT owner_id FROM instances WHERE id = '{}'", asked.instance);
        let owners = env.rows(&of_it).await;
        match (row.operation, row.expected) {
            (Operation::Take, _) => {
                let ann = env.user_id("ann", Role::User).await.to_string();
                assert_eq!(owners[0]["owner_id"], ann.as_str(), "{}: it is another one's", row.name);
                self.judge_takes(asked).await;
            }
            (Operation::WarmUp, Expected::Done | Expected::DoneAtOnce | Expected::DoneUnblamed) => {
                assert_eq!(env.warm_instances().await, [asked.instance.as_str()], "{}", row.name);
                assert_eq!(starts(env, &asked.instance), row.operation.starts(), "starts under {}", row.name);
            }
            _ => {
                env.assert_nothing_left_of(&asked.instance).await;
                assert_eq!(owners, Vec::<Value>::new(), "{}: it is still in the pool", row.name);
            }
        }
    }

    /// Each creation that was accepted has taken one instance, whatever became of the answers.
    async fn judge_takes(&self, asked: &Accepted) {
        let (env, row) = (&self.env, self.row);
        let told = "SELECT target_id FROM audit WHERE action = 'instance.create' AND detail @> '{\"warm\": true}'";
        let taken = env.rows(told).await;
        assert!(taken.iter().any(|entry| entry["target_id"] == asked.instance.as_str()), "{}: {taken:?}", row.name);
        let counted = env.row("SELECT sum(taken) AS taken FROM warm_pool_days").await;
        assert_eq!(counted["taken"], taken.len(), "{}: takes that were counted", row.name);
        if !matches!(row.fault, Fault::Poison(_)) {
            assert_eq!(taken.len(), 1, "{}: one creation took {taken:?}", row.name);
        }
    }
}
