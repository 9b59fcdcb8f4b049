//! Values of a newer version in the database, as during an upgrade.

use clawdeploy_shared::{
    db::job::{self, NewJob},
    job::JobKind,
};
use clawdeploy_tests::{client::Accepted, docker};
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::{
    driver::Stage,
    row::Word,
    support::{create, ended, succeeded, wait_step},
};

/// The migration of a newer version.
const OPEN: &str = "ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known; \
    ALTER TABLE job_events DROP CONSTRAINT job_events_kind_known; \
    ALTER TABLE instances DROP CONSTRAINT instances_status_known";

/// An instance of another owner, which gets an unknown status.
const OTHER: &str = "SELECT id, status FROM instances WHERE name = 'other'";

impl Stage {
    /// Writes the value while a worker serves the queue, and requests the operation.
    pub(crate) async fn newer(&self, word: Word) -> Accepted {
        self.env.connect().await.batch_execute(OPEN).await.unwrap();
        self.worker().await;
        match word {
            Word::Kind => {
                self.plant_job().await;
                self.ask().await
            }
            Word::Status => {
                let bob = self.env.user("bob").await;
                succeeded(&self.env, &create(&bob, "other").await.job).await;
                self.env.execute("UPDATE instances SET status = 'archived' WHERE name = 'other'").await;
                self.ask().await
            }
            Word::Event => {
                let asked = self.ask().await;
                wait_step(&self.env, &asked.job, self.row.operation.middle()).await;
                let event = "INSERT INTO job_events (job_id, attempt, kind, message) SELECT id, attempt, 'teleported', 'x' FROM jobs";
                self.env.execute(&format!("{event} WHERE id = '{}'", asked.job)).await;
                asked
            }
        }
    }

    /// Inserts a job of an unknown kind between two known ones, in one transaction.
    async fn plant_job(&self) {
        let mut conn = self.env.connect().await;
        conn.batch_execute("BEGIN").await.unwrap();
        let mut planted = Vec::new();
        for _ in 0..3 {
            planted.push(job::insert(&mut conn, &NewJob::new(JobKind::Noop)).await.unwrap().id);
        }
        // In the queue of the operation.
        let newer = format!("UPDATE jobs SET kind = 'teleport', queue = 'lifecycle' WHERE id = '{}'", planted[1]);
        conn.batch_execute(&format!("{newer}; COMMIT")).await.unwrap();
    }

    /// Checks that the value is still there, its row is unchanged, and the rows beside it were not affected.
    pub(crate) async fn judge_newer(&self, word: Word) {
        // All sweeps meet the value too.
        let swept = self.env.admin().await.post_empty("/api/admin/reconcile").await.expect(200).json;
        for sweep in swept["items"].as_array().unwrap() {
            assert!(sweep["error"].is_null(), "{sweep}");
        }
        match word {
            Word::Kind => {
                let waits = self.env.row("SELECT * FROM jobs WHERE kind = 'teleport'").await;
                let untouched = (&waits["status"], &waits["attempt"], &waits["crashes"]);
                assert_eq!(untouched, (&json!("queued"), &json!(0), &json!(0)), "{waits}");
                for job in self.env.rows("SELECT id FROM jobs WHERE kind = 'noop'").await {
                    let job = ended(&self.env, job["id"].as_str().unwrap()).await;
                    let at_once = (&job["status"], &job["attempt"], &job["crashes"]);
                    assert_eq!(at_once, (&json!("succeeded"), &json!(1), &json!(0)), "{job}");
                }
                self.env.execute("DELETE FROM jobs WHERE kind = 'teleport'").await;
            }
            Word::Status => {
                let other = self.env.row(OTHER).await;
                assert_eq!(other["status"], "archived", "{other}");
                let container = format!("claw-{}", other["id"].as_str().unwrap());
                assert_eq!(docker::inspect(&container, "{{.State.Status}}").await.trim(), "running");
                // The checks that follow know no unknown values.
                self.env.execute("UPDATE instances SET status = 'running' WHERE name = 'other'").await;
                self.env.execute("DELETE FROM test_moves WHERE 'archived' IN (was, becomes)").await;
            }
            Word::Event => {
                let told = "SELECT id FROM job_events WHERE kind = 'teleported'";
                assert_eq!(self.env.rows(told).await.len(), 1);
                self.env.execute("DELETE FROM job_events WHERE kind = 'teleported'").await;
            }
        }
    }
}
