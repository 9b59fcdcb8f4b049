//! Claims and leases, on the tables alone.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use clawdeploy_shared::{
    db::{
        Db, Scope,
        instance::{self, Fault, NewInstance},
        job::{self, Job, NewJob},
        lease::{self, Lease, LeaseError},
        user::{self, NewUser, Role},
    },
    fair_slots::FairSlots,
    ids::{InstanceId, JobId, UserId},
    instance::{AiProvider, Channel, DesiredState, InstanceStatus},
    job::{JobKind, JobStatus, Queue, UndoOutcome},
};
use clawdeploy_tests::{
    database::{self, Scratch},
    wait,
};
use diesel::QueryableByName;
use diesel_async::SimpleAsyncConnection as _;
use tokio::time::timeout;

pub(crate) const LONG: Duration = Duration::from_mins(1);
pub(crate) const SHORT: Duration = Duration::from_secs(20);

/// Tables with one user.
pub(crate) struct Tables {
    pub(crate) db: Db,
    owner: UserId,
    _scratch: Scratch,
}

impl Tables {
    pub(crate) async fn new() -> Self {
        let scratch = Scratch::migrated().await;
        let db = database::open(&scratch.name);
        let owner = UserId::generate();
        let new = NewUser { id: owner, email: "ann@test.example", name: "", password_hash: "!", role: Role::User };
        user::insert(&mut db.conn().await.unwrap(), &new).await.unwrap();
        Self { db, owner, _scratch: scratch }
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        self.db.conn().await.unwrap().batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn instance(&self) -> InstanceId {
        let id = InstanceId::random();
        let new = NewInstance {
            id: &id,
            owner_id: Some(self.owner),
            name: id.as_str(),
            desired_state: DesiredState::Running,
            status: InstanceStatus::Pending,
            channel: Channel::None,
            bot_token_sealed: None,
            ai_provider: AiProvider::None,
            api_key_sealed: None,
            gateway_token_sealed: String::new(),
            memory_mb: 2048,
            cpu_millis: 1000,
        };
        instance::insert(&mut self.db.conn().await.unwrap(), &new).await.unwrap();
        id
    }

    pub(crate) async fn job(&self, instance: &InstanceId, kind: JobKind) -> JobId {
        let new = NewJob::on_instance(kind, instance, self.owner);
        job::insert(&mut self.db.conn().await.unwrap(), &new).await.unwrap().id
    }

    /// A job of another owner, on an instance that has no row.
    pub(crate) async fn job_of(&self, owner: UserId) -> JobId {
        let instance = InstanceId::random();
        let new = NewJob::on_instance(JobKind::Start, &instance, owner);
        job::insert(&mut self.db.conn().await.unwrap(), &new).await.unwrap().id
    }

    pub(crate) async fn claim(&self, worker: &str, lease: Duration) -> Option<Lease> {
        let (mut conn, one) = (self.db.conn().await.unwrap(), FairSlots::new(1));
        let claimed = lease::claim(&mut conn, Queue::Lifecycle, worker, lease, &one).await.unwrap();
        claimed.jobs.first().map(|job| Lease { job: job.id, attempt: job.attempt, worker: worker.to_owned() })
    }

    async fn found(&self, id: JobId) -> Job {
        job::find(&mut self.db.conn().await.unwrap(), Scope::Everything, id).await.unwrap().unwrap()
    }

    /// Whether the holder may still write.
    async fn holds(&self, lease: &Lease) -> bool {
        match lease::hold(&mut self.db.conn().await.unwrap(), lease).await {
            Ok(()) => true,
            Err(LeaseError::Lost) => false,
            Err(LeaseError::Db(error)) => panic!("{error}"),
        }
    }

    /// Expires the short leases.
    pub(crate) async fn run_out(&self) {
        let past = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE lease_until < now() + interval '30 seconds'";
        self.run(past).await;
    }

    pub(crate) async fn reap(&self) -> usize {
        lease::reap(&mut self.db.conn().await.unwrap()).await.unwrap().len()
    }
}

#[tokio::test]
async fn one_at_a_time_on_an_instance_in_order_of_arrival() {
    let tables = Tables::new().await;
    let (one, two) = (tables.instance().await, tables.instance().await);
    let first = tables.job(&one, JobKind::Provision).await;
    let second = tables.job(&one, JobKind::Stop).await;
    let other = tables.job(&two, JobKind::Provision).await;
    let a = tables.claim("a", LONG).await.unwrap();
    let b = tables.claim("b", LONG).await.unwrap();
    assert_eq!((a.job, b.job), (first, other));
    assert_eq!(tables.claim("c", LONG).await, None, "the second job waits for the first");
    let mut conn = tables.db.conn().await.unwrap();
    lease::finish(&mut conn, &a, JobStatus::Succeeded, "Done").await.unwrap();
    assert_eq!(tables.claim("c", LONG).await.unwrap().job, second);
}

/// A lease is lost as soon as it expires, even if no worker has reaped it.
#[tokio::test]
async fn a_lease_that_ran_out_is_worth_nothing() {
    let tables = Tables::new().await;
    let id = tables.job(&tables.instance().await, JobKind::Provision).await;
    let lease = tables.claim("a", SHORT).await.unwrap();
    assert!(tables.holds(&lease).await);
    tables.run_out().await;
    assert!(!tables.holds(&lease).await);
    let mut conn = tables.db.conn().await.unwrap();
    let finished = lease::finish(&mut conn, &lease, JobStatus::Succeeded, "Done").await;
    assert!(matches!(finished, Err(LeaseError::Lost)));
    assert_eq!(tables.found(id).await.status, JobStatus::Running);
}

#[tokio::test]
async fn what_is_written_without_the_lease_is_not_written() {
    let tables = Tables::new().await;
    let id = tables.instance().await;
    tables.job(&id, JobKind::Provision).await;
    let lease = tables.claim("a", SHORT).await.unwrap();
    let mut conn = tables.db.conn().await.unwrap();
    let held: Result<_, LeaseError> =
        lease::fenced(&mut conn, &lease, async |conn| Ok(instance::rename(conn, &id, "held").await?)).await;
    held.unwrap();
    let failed: Result<(), LeaseError> = lease::fenced(&mut conn, &lease, async |conn| {
        instance::rename(conn, &id, "taken back").await?;
        Err(LeaseError::Lost)
    })
    .await;
    assert!(matches!(failed, Err(LeaseError::Lost)));
    tables.run_out().await;
    let late: Result<_, LeaseError> =
        lease::fenced(&mut conn, &lease, async |conn| Ok(instance::rename(conn, &id, "late").await?)).await;
    assert!(matches!(late, Err(LeaseError::Lost)));
    // On the same connection: neither failure left a transaction open.
    let (found, _) = instance::find(&mut conn, Scope::Everything, &id).await.unwrap().unwrap();
    assert_eq!(found.name, "held");
}

/// The database was unavailable for all workers: the holder continues or gives the job back, and this does not count as
/// a crash.
#[tokio::test]
async fn a_lease_that_ran_out_and_that_nobody_took() {
    let tables = Tables::new().await;
    let id = tables.job(&tables.instance().await, JobKind::Provision).await;
    let lease = tables.claim("a", SHORT).await.unwrap();
    tables.run_out().await;
    let mut conn = tables.db.conn().await.unwrap();
    assert_eq!(lease::renew(&mut conn, "a", &[id], SHORT).await.unwrap().len(), 1);
    assert!(tables.holds(&lease).await);
    tables.run_out().await;
    assert!(lease::give_back_late(&mut conn, &lease).await.unwrap());
    let job = tables.found(id).await;
    assert_eq!((job.status, job.attempt, job.failures, job.crashes), (JobStatus::Queued, 1, 0, 0));
    assert!(!lease::give_back_late(&mut conn, &lease).await.unwrap(), "it was already given back");

    // Not the lease of another claim, even by a worker of the same name.
    let next = tables.claim("a", SHORT).await.unwrap();
    assert!(!lease::give_back_late(&mut conn, &lease).await.unwrap());
    tables.run_out().await;
    assert_eq!(tables.reap().await, 1);
    assert!(!lease::give_back_late(&mut conn, &next).await.unwrap());
    assert!(lease::renew(&mut conn, "a", &[id], LONG).await.unwrap().is_empty());
    assert_eq!(tables.found(id).await.crashes, 1);
}

#[tokio::test]
async fn only_the_latest_claim_counts() {
    let tables = Tables::new().await;
    tables.job(&tables.instance().await, JobKind::Provision).await;
    let old = tables.claim("a", SHORT).await.unwrap();
    tables.run_out().await;
    assert_eq!(tables.reap().await, 1);
    // By the same worker, so that only the attempt differs.
    let new = tables.claim("a", LONG).await.unwrap();
    assert_eq!((old.attempt, new.attempt), (1, 2));
    assert!(!tables.holds(&old).await);
    assert!(tables.holds(&new).await);
    assert_eq!(tables.reap().await, 0);
}

#[tokio::test]
async fn only_what_is_named_is_renewed() {
    let tables = Tables::new().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        tables.job(&tables.instance().await, JobKind::Provision).await;
        ids.push(tables.claim("a", SHORT).await.unwrap());
    }
    let mut conn = tables.db.conn().await.unwrap();
    let renewed = lease::renew(&mut conn, "a", &[ids[0].job], LONG).await.unwrap();
    assert_eq!(renewed.iter().map(|r| (r.id, r.attempt)).collect::<Vec<_>>(), [(ids[0].job, 1)]);
    assert!(lease::renew(&mut conn, "b", &[ids[0].job], LONG).await.unwrap().is_empty(), "a lease of another worker");
    tables.run_out().await;
    assert!(tables.holds(&ids[0]).await);
    assert!(!tables.holds(&ids[1]).await);
}

#[tokio::test]
async fn crashes_are_counted_until_the_job_is_given_up() {
    let tables = Tables::new().await;
    let on = tables.instance().await;
    let id = tables.job(&on, JobKind::Provision).await;
    for crash in 1..=6 {
        tables.claim("a", SHORT).await.unwrap();
        tables.run_out().await;
        assert_eq!(tables.reap().await, 1);
        let job = tables.found(id).await;
        assert_eq!((job.crashes, job.failures), (crash, 0));
        let undoing = (crash >= 3).then_some(UndoOutcome::Failed);
        assert_eq!(job.unwinding_to, undoing, "after {crash} crashes");
        assert_eq!(job.status, if crash < 6 { JobStatus::Queued } else { JobStatus::Failed });
    }
    let (instance, _) =
        instance::find(&mut tables.db.conn().await.unwrap(), Scope::Everything, &on).await.unwrap().unwrap();
    assert_eq!((instance.status, instance.error_code.as_deref()), (InstanceStatus::Error, Some("worker_crashed")));
}

#[tokio::test]
async fn the_first_decision_to_undo_stands() {
    let tables = Tables::new().await;
    let id = tables.job(&tables.instance().await, JobKind::Provision).await;
    let lease = tables.claim("a", LONG).await.unwrap();
    let mut conn = tables.db.conn().await.unwrap();
    let fault = |code| Some(Fault { code, message: "m" });
    lease::begin_undo(&mut conn, &lease, UndoOutcome::Failed, fault("first")).await.unwrap();
    lease::begin_undo(&mut conn, &lease, UndoOutcome::Cancelled, fault("second")).await.unwrap();
    let job = tables.found(id).await;
    assert_eq!((job.unwinding_to, job.error_code.as_deref()), (Some(UndoOutcome::Failed), Some("first")));
}

/// A handed-back job is due at once and has no failure; a failed job is due later.
#[tokio::test]
async fn given_back_and_put_off() {
    let tables = Tables::new().await;
    let id = tables.job(&tables.instance().await, JobKind::Provision).await;
    let lease = tables.claim("a", LONG).await.unwrap();
    let mut conn = tables.db.conn().await.unwrap();
    lease::hand_back(&mut conn, &lease).await.unwrap();
    assert!(!tables.holds(&lease).await);
    let lease = tables.claim("b", LONG).await.unwrap();
    let fault = Fault { code: "c", message: "m" };
    lease::retry(&mut conn, &lease, LONG, fault).await.unwrap();
    assert_eq!(tables.claim("c", LONG).await, None, "it is not due yet");
    let job = tables.found(id).await;
    assert_eq!((job.attempt, job.failures, job.crashes), (2, 1, 0));
}

/// Many workers at once: no job is claimed twice, and no two jobs of an instance run at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_workers() {
    let tables = Tables::new().await;
    let (instances, each) = (8, 4);
    for _ in 0..instances {
        let on = tables.instance().await;
        for _ in 0..each {
            tables.job(&on, JobKind::Restart).await;
        }
    }
    let left = Cell::new(instances * each);
    let work = async |n: usize| {
        let (name, mut held, mut done) = (format!("worker {n}"), Vec::new(), Vec::new());
        let over = wait::poll(LONG, async || {
            let mut conn = tables.db.conn().await.unwrap();
            let claimed =
                lease::claim(&mut conn, Queue::Lifecycle, &name, LONG, &FairSlots::new(3)).await.unwrap().jobs;
            // Each is held until the next claim, and so the others' claims meet it.
            for job in std::mem::replace(&mut held, claimed) {
                let lease = Lease { job: job.id, attempt: job.attempt, worker: name.clone() };
                lease::finish(&mut conn, &lease, JobStatus::Succeeded, "Done").await.unwrap();
                done.push((job.instance_id.unwrap(), job.seq));
                left.update(|left| left - 1);
            }
            (left.get() == 0).then_some(())
        });
        over.await.expect("every job to be done");
        done
    };
    let done = futures_util::future::join_all((0..4).map(work)).await.concat();
    assert_eq!(done.len(), instances * each);
    let mut by_instance: BTreeMap<InstanceId, usize> = BTreeMap::new();
    for (instance, _) in &done {
        *by_instance.entry(instance.clone()).or_default() += 1;
    }
    assert!(by_instance.values().all(|jobs| *jobs == each), "{by_instance:?}");
}

/// A session that ends during a claim results in an error, not in an endless stream of rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_during_a_claim() {
    use diesel_async::RunQueryDsl as _;

    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        waits: bool,
    }
    const WAITING: &str = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

    let tables = Tables::new().await;
    let job = tables.job(&tables.instance().await, JobKind::Stop).await;
    let mut blocker = tables.db.conn().await.unwrap();
    // The claim has already begun to respond: it waits where it inserts its events.
    let wait_in_claims = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
            'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'; \
        CREATE TRIGGER wait BEFORE INSERT ON job_events FOR EACH ROW EXECUTE FUNCTION wait(); \
        SELECT pg_advisory_lock(1)";
    blocker.batch_execute(wait_in_claims).await.unwrap();
    let mut conn = tables.db.conn().await.unwrap();
    let claim =
        tokio::spawn(async move { lease::claim(&mut conn, Queue::Lifecycle, "a", LONG, &FairSlots::new(1)).await });
    let mut other = tables.db.conn().await.unwrap();
    let waits = format!("SELECT EXISTS (SELECT 1 {WAITING}) AS waits");
    let blocked = wait::poll(LONG, async || {
        let found: Waiting = diesel::sql_query(&waits).get_result(&mut other).await.unwrap();
        found.waits.then_some(())
    });
    blocked.await.expect("the claim waits");
    other.batch_execute(&format!("SELECT pg_terminate_backend(pid) {WAITING}")).await.unwrap();
    let claimed = timeout(SHORT, claim).await.expect("the claim ends").unwrap();
    assert!(claimed.unwrap_err().is_transient());

    blocker.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let claimed = lease::claim(&mut other, Queue::Lifecycle, "b", LONG, &FairSlots::new(1)).await.unwrap();
    assert_eq!(claimed.jobs.iter().map(|found| found.id).collect::<Vec<_>>(), [job]);
}
