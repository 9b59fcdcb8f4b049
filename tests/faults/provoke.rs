//! Faults that need more code: in the database, in a worker's clock, and of workers that always die.

use std::time::Duration;

use clawdeploy_tests::{WorkerOptions, client::Accepted, clock::Clock, tcp_proxy::Network};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use reqwest::Method;

use crate::{
    driver::Stage,
    row::{Fault, ServerFault},
    support::{PATIENCE, ask, create, ended, job, starts, succeeded, wait_step},
};

/// An instance of another owner, which has nothing to do with the job that kills workers.
const OTHER: &str = "other";

/// Maximum number of workers that die before the job fails.
const LIVES: usize = 12;

impl Stage {
    /// Every worker dies under one job, while another owner continues to work.
    pub(crate) async fn poison_all(&self, point: &str) -> Accepted {
        let bob = self.env.user("bob").await;
        let healthy = self.worker().await;
        let other = create(&bob, OTHER).await;
        succeeded(&self.env, &other.job).await;
        healthy.terminate().await;
        // One job at a time, so that jobs of bob do not die with the worker.
        let options =
            WorkerOptions::failpoints(&format!("{point}=return")).set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1");
        let asked = self.ask().await;
        let restart = async {
            for _ in 0..LIVES {
                let worker = self.env.start_worker(&options);
                let over = async || {
                    let over = job(&self.env, &asked.job).await["status"] == "failed";
                    (over || worker.try_ended().await.is_some()).then_some(over)
                };
                if self.env.wait_for("the worker's or the job's end", PATIENCE, over).await {
                    return;
                }
            }
            panic!("{LIVES} workers died under one job");
        };
        // A job of another kind, because the kill point is met by every job of its kind.
        let verb = if point.starts_with("stop.") { "restart" } else { "stop" };
        let path = format!("/api/instances/{}/{verb}", other.instance);
        let others = async {
            let done = ask(&bob, Method::POST, &path, None).await;
            succeeded(&self.env, &done.job).await;
        };
        tokio::join!(restart, others);
        let job = ended(&self.env, &asked.job).await;
        assert_eq!(job["crashes"], 3, "{job}");
        asked
    }

    /// Checks that all else is as it should be.
    pub(crate) async fn judge_others(&self) {
        match self.row.fault {
            Fault::Poison(point) => {
                let sql = format!("SELECT id, status, error_code FROM instances WHERE name = '{OTHER}'");
                let other = self.env.row(&sql).await;
                let (status, times) = if point.starts_with("stop.") { ("running", 2) } else { ("stopped", 1) };
                assert_eq!(other["status"], status, "{other}");
                assert_eq!(starts(&self.env, other["id"].as_str().unwrap()), times, "{other}");
                // A third owner can start now.
                let healthy = self.worker().await;
                succeeded(&self.env, &create(&self.env.user("cid").await, "third").await.job).await;
                healthy.terminate().await;
            }
            Fault::Refusal(_, _, times) => {
                let asked = self.env.row("SELECT last_value AS n FROM test_refusals").await["n"].as_u64();
                assert!(asked >= Some(times.into()), "nothing was refused under {}", self.row.name);
            }
            Fault::Edited => self.judge_edited().await,
            Fault::Newer(word) => self.judge_newer(word).await,
            _ => {}
        }
    }

    pub(crate) async fn server_fault(&self, fault: ServerFault) -> Accepted {
        let server = self.server.as_ref().expect("a server of its own");
        self.worker().await;
        let down = Duration::from_secs(5);
        if fault == ServerFault::CrashAtRequest {
            server.crash().await;
            let back = async {
                tokio::time::sleep(down).await;
                server.revive().await;
            };
            return tokio::join!(self.ask(), back).0;
        }
        let asked = self.ask().await;
        wait_step(&self.env, &asked.job, self.row.operation.middle()).await;
        if fault == ServerFault::Freeze {
            server.freeze(&self.env.database(), 2 * down).await;
        } else {
            server.crash().await;
            tokio::time::sleep(down).await;
            server.revive().await;
        }
        asked
    }

    /// A trigger that refuses. It counts with a sequence, because a rollback does not reset it.
    pub(crate) async fn refuse(&self, when: &str, code: &str, times: u32) -> Accepted {
        let mut conn = self.env.connect().await;
        let sql = format!(
            "CREATE SEQUENCE test_refusals; \
             CREATE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
               IF nextval('test_refusals') <= {times} THEN \
                 RAISE EXCEPTION '%', CASE WHEN '{code}' = '40P01' THEN 'deadlock detected' \
                   ELSE 'could not serialize access' END USING ERRCODE = '{code}'; \
               END IF; \
               RETURN NEW; END $$; \
             CREATE TRIGGER test_refuse {when} EXECUTE FUNCTION test_refuse();"
        );
        conn.batch_execute(&sql).await.expect("a trigger");
        self.worker().await;
        self.ask().await
    }

    /// A deadlock with the test, whose timeout is longer, so the other side is cancelled. A transaction that inserts
    /// into `table` has locked its row of `row` before.
    pub(crate) async fn deadlock(&self, table: &str, row: &str) -> Accepted {
        self.worker().await;
        let mut conn = self.env.connect().await;
        let lock = format!("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
        let meet = async |conn: &mut AsyncPgConnection| {
            let waiting = format!(
                // A claim inserts too, but with another statement, and it holds no row that the test could wait for.
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                 AND query LIKE 'INSERT INTO \"{table}\"%'"
            );
            let waits = async || (!self.env.rows(&waiting).await.is_empty()).then_some(());
            self.env.wait_for("somebody who waits for the test", PATIENCE, waits).await;
            let sql = format!("SELECT 1 FROM {row} ORDER BY created_at DESC FOR UPDATE");
            conn.batch_execute(&sql).await.expect("the other lock");
            conn.batch_execute("ROLLBACK").await.expect("an end");
        };
        let asked = if row == "users" {
            conn.batch_execute(&lock).await.expect("a lock");
            tokio::join!(self.ask(), meet(&mut conn)).0
        } else {
            let asked = self.ask().await;
            wait_step(&self.env, &asked.job, self.row.operation.middle()).await;
            conn.batch_execute(&lock).await.expect("a lock");
            meet(&mut conn).await;
            asked
        };
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let counted = async || (self.env.row(deadlocks).await["deadlocks"].as_u64() > Some(0)).then_some(());
        self.env.wait_for("Postgres to count the deadlock", PATIENCE, counted).await;
        asked
    }

    /// The claim is done but its response is lost; then the network is silent for a while.
    pub(crate) async fn lose_claim(&self, silent_ms: u64) -> Accepted {
        self.worker().await;
        let beats = async || self.env.rows("SELECT id FROM workers").await.pop();
        let worker = self.env.wait_for("the worker's first sign of life", PATIENCE, beats).await;
        // No other response contains the worker's name.
        self.postgres.lose_answer_with(worker["id"].as_str().unwrap());
        let asked = self.ask().await;
        let lost = async || self.postgres.has_lost().then_some(());
        self.env.wait_for("the claim to be lost", PATIENCE, lost).await;
        if silent_ms > 0 {
            self.postgres.set(Network::BlackHole);
            tokio::time::sleep(Duration::from_millis(silent_ms)).await;
            self.postgres.set(Network::Pass);
        }
        asked
    }

    /// The clock of a worker jumps in the middle of the job. A second worker with a correct clock could take the job
    /// over.
    pub(crate) async fn clock(&self, hours: i32) -> Accepted {
        let clock = Clock::new(self.env.scratch());
        self.env.add_worker(&clock.worker()).await;
        let asked = self.ask().await;
        wait_step(&self.env, &asked.job, self.row.operation.middle()).await;
        clock.jump(hours);
        self.worker().await;
        asked
    }
}
