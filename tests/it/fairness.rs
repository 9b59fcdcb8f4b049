//! Owners share a worker: none waits for another one's jobs.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        job::{self, NewJob},
        lease,
    },
    fair_slots::FairSlots,
    ids::{JobId, UserId},
    job::{JobKind, Queue},
};
use clawdeploy_tests::{FakeMode, TestEnv};
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::{
    leases::{LONG, Tables},
    support::wait_job,
};

/// A worker on the tables alone, which claims but ends nothing.
struct Worker<'a> {
    tables: &'a Tables,
    slots: FairSlots,
}

impl<'a> Worker<'a> {
    fn new(tables: &'a Tables, slots: usize) -> Self {
        Self { tables, slots: FairSlots::new(slots) }
    }

    /// Claims once. Returns the jobs, and whether there may be more.
    async fn claim(&mut self) -> (Vec<JobId>, bool) {
        let mut conn = self.tables.db.conn().await.unwrap();
        let claimed = lease::claim(&mut conn, Queue::Lifecycle, "a", LONG, &self.slots).await.unwrap();
        assert!(claimed.unreadable.is_empty());
        claimed.jobs.iter().for_each(|job| self.slots.take(job.owner_id));
        (claimed.jobs.iter().map(|job| job.id).collect(), claimed.more)
    }

    /// Claims until there is no more, like a worker.
    async fn claim_all(&mut self) -> Vec<JobId> {
        let mut all = Vec::new();
        loop {
            let (jobs, more) = self.claim().await;
            all.extend(jobs);
            if !more || self.slots.free() == 0 {
                return all;
            }
        }
    }
}

/// Waiting jobs of an owner, each on its own instance.
async fn jobs(tables: &Tables, owner: UserId, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(tables.job_of(owner).await);
    }
    ids
}

fn owners<const N: usize>() -> [UserId; N] {
    std::array::from_fn(|_| UserId::generate())
}

#[tokio::test]
async fn an_owner_takes_no_more_than_it_leaves() {
    let tables = Tables::new().await;
    let [ann, bob] = owners();
    let of_ann = jobs(&tables, ann, 40).await;
    let mut worker = Worker::new(&tables, 16);
    assert_eq!(worker.claim_all().await, of_ann[..8]);
    assert_eq!(worker.claim().await, (vec![], false), "the share is used up");
    // Jobs that arrive later start at once, although others wait before them.
    let of_bob = jobs(&tables, bob, 3).await;
    assert_eq!(worker.claim_all().await, of_bob);
    worker.slots.give_back(Some(ann));
    assert_eq!(worker.claim().await, (vec![], false), "it still holds more than are free");
    worker.slots.give_back(Some(ann));
    assert_eq!(worker.claim_all().await, of_ann[8..9]);
}

/// The rule holds within a claim too: what is taken first leaves less for what comes next.
#[tokio::test]
async fn one_claim_shares_between_all_who_wait() {
    let tables = Tables::new().await;
    let owners: [UserId; 3] = owners();
    for owner in owners {
        jobs(&tables, owner, 10).await;
    }
    let mut worker = Worker::new(&tables, 16);
    worker.claim_all().await;
    let mut held: Vec<usize> = worker.slots.owners().map(|(_, held)| held).collect();
    held.sort_unstable();
    assert_eq!((held, worker.slots.free()), (vec![4, 4, 4], 4));
}

/// However many jobs of the owner come first, and whatever else waits.
#[tokio::test]
async fn jobs_of_others_are_found_behind_those_that_must_wait() {
    let tables = Tables::new().await;
    let [ann, bob] = owners();
    jobs(&tables, ann, 30).await;
    let mut worker = Worker::new(&tables, 4);
    assert_eq!(worker.claim_all().await.len(), 2);
    // Far behind in turn: most of its jobs have been done already.
    let of_bob = jobs(&tables, bob, 3).await;
    let mut conn = tables.db.conn().await.unwrap();
    let late = format!("UPDATE jobs SET turn = turn + 1000 WHERE owner_id = '{}'", bob.0);
    conn.batch_execute(&late).await.unwrap();
    let of_nobody = job::insert(&mut conn, &NewJob::new(JobKind::Noop)).await.unwrap().id;
    drop(conn);
    assert_eq!(worker.claim_all().await, [of_nobody, of_bob[0]]);
    assert_eq!((worker.slots.free(), worker.slots.taken()), (0, 4));
}

#[tokio::test]
async fn jobs_without_an_owner_take_what_is_free() {
    let tables = Tables::new().await;
    let mut conn = tables.db.conn().await.unwrap();
    for _ in 0..6 {
        job::insert(&mut conn, &NewJob::new(JobKind::Noop)).await.unwrap();
    }
    let mut worker = Worker::new(&tables, 4);
    assert_eq!(worker.claim().await.0.len(), 4);
}

/// Eight gateways of a tenant hang. Another tenant's instance is created meanwhile, as if they were not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_gateways_do_not_delay_another_tenant() {
    let env = TestEnv::builder().image(FakeMode::Ok).ready(600.0).build().await;
    let (ann, bob) = (env.user("ann").await, env.user("bob").await);
    let mut made = Vec::new();
    for n in 0..8 {
        made.push(ann.create(&format!("hanging {n}")).await);
    }
    let mut stops = Vec::new();
    for made in &made {
        wait_job(&env, &made.job, "succeeded").await;
        stops.push(ann.act(&made.instance, "stop").await.job);
    }
    for stop in &stops {
        wait_job(&env, stop, "succeeded").await;
    }
    let mut hanging = Vec::new();
    for made in &made {
        tokio::fs::write(env.data_dir.join(&made.instance).join("config/fate"), "never").await.unwrap();
        hanging.push(ann.act(&made.instance, "start").await.job);
    }
    let all = format!("id IN ('{}')", hanging.join("', '"));
    let running = async || env.rows(&format!("SELECT id FROM jobs WHERE {all} AND status = 'running'")).await.len();
    let all_run = async || (running().await == hanging.len()).then_some(());
    env.wait_for("all eight to run", Duration::from_secs(20), all_run).await;
    // They hold as many slots for boots as one tenant gets, or wait for one.
    let boots = async || (env.rows("SELECT job_id FROM boots").await.len() == hanging.len()).then_some(());
    env.wait_for("all eight to boot or to wait for it", Duration::from_secs(20), boots).await;

    let made = bob.create("does not wait").await;
    wait_job(&env, &made.job, "succeeded").await;
    assert_eq!(running().await, hanging.len(), "the others still hang");
    let waited = format!(
        "SELECT count(*) AS n FROM job_events WHERE job_id = '{}' AND message LIKE 'Waiting for its turn%'",
        made.job
    );
    assert_eq!(env.row(&waited).await["n"], json!(0));

    for job in &hanging {
        ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
    }
    for job in &hanging {
        wait_job(&env, job, "cancelled").await;
    }
    env.finish().await;
}
