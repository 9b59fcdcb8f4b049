//! Statements about few jobs read few rows, however many jobs wait or run. With the plan that Postgres keeps for all
//! executions, and with statistics from before.

use clawdeploy_shared::{
    db::{
        Conn,
        lease::{self, Lease},
    },
    fair_slots::FairSlots,
    ids::{JobId, UserId},
    job::Queue,
};
use diesel::{QueryableByName, sql_types};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::leases::{LONG, Tables};

/// Far less than there are.
const FEW: i64 = 200;

/// Rows of `jobs` that `work` reads, in a transaction that is kept.
async fn rows_read(tables: &Tables, work: impl AsyncFnOnce(&mut Conn)) -> i64 {
    #[derive(QueryableByName)]
    struct Read {
        #[diesel(sql_type = sql_types::BigInt)]
        rows: i64,
    }
    const SO_FAR: &str = "SELECT coalesce(seq_tup_read + idx_tup_fetch, 0)::bigint AS rows \
        FROM pg_stat_xact_user_tables WHERE relname = 'jobs'";
    let mut conn = tables.db.conn().await.unwrap();
    conn.batch_execute("SET plan_cache_mode = force_generic_plan; BEGIN").await.unwrap();
    let before: Read = diesel::sql_query(SO_FAR).get_result(&mut conn).await.unwrap();
    work(&mut conn).await;
    let after: Read = diesel::sql_query(SO_FAR).get_result(&mut conn).await.unwrap();
    conn.batch_execute("COMMIT").await.unwrap();
    after.rows - before.rows
}

/// Inserts waiting jobs of an owner, each on its own instance.
async fn insert(tables: &Tables, owner: UserId, count: u32) {
    let sql = format!(
        "INSERT INTO jobs (id, kind, queue, owner_id, instance_id) SELECT gen_random_uuid(), 'start', 'lifecycle', \
           '{}', 'a' || lpad(n::text, 11, '0') FROM generate_series(1, {count}) n",
        owner.0
    );
    tables.run(&sql).await;
}

async fn claim(conn: &mut Conn, slots: &mut FairSlots) {
    let claimed = lease::claim(conn, Queue::Lifecycle, "a", LONG, slots).await.unwrap();
    claimed.jobs.iter().for_each(|job| slots.take(job.owner_id));
}

#[tokio::test]
async fn a_claim_reads_what_it_takes() {
    let tables = Tables::new().await;
    insert(&tables, UserId::generate(), 5000).await;
    tables.run("ANALYZE jobs").await;
    let mut slots = FairSlots::new(16);
    let rows = rows_read(&tables, async |conn| claim(conn, &mut slots).await).await;
    assert_eq!(slots.taken(), 8);
    assert!(rows < FEW, "it read {rows} rows to take the first 8");
    // Behind thousands of an owner that must wait.
    tables.job_of(UserId::generate()).await;
    let rows = rows_read(&tables, async |conn| claim(conn, &mut slots).await).await;
    assert_eq!(slots.taken(), 9);
    assert!(rows < FEW, "it read {rows} rows to take the only job of another owner");
}

/// When the statistics were made, nothing waited.
#[tokio::test]
async fn a_claim_after_a_quiet_time_reads_what_it_takes() {
    let tables = Tables::new().await;
    insert(&tables, UserId::generate(), 5000).await;
    tables.run("UPDATE jobs SET status = 'succeeded', finished_at = now(); ANALYZE jobs").await;
    insert(&tables, UserId::generate(), 5000).await;
    let mut slots = FairSlots::new(16);
    let rows = rows_read(&tables, async |conn| claim(conn, &mut slots).await).await;
    assert_eq!(slots.taken(), 8);
    assert!(rows < FEW, "it read {rows} rows to take the first 8");
    let rows = rows_read(&tables, async |conn| claim(conn, &mut slots).await).await;
    assert_eq!(slots.taken(), 8);
    assert!(rows < FEW, "it read {rows} rows to take none");
}

/// Each write in a job's name checks its lease, and renewals and ends concern few jobs at once.
#[tokio::test]
async fn a_lease_is_checked_without_reading_those_of_others() {
    #[derive(QueryableByName)]
    struct Running {
        #[diesel(sql_type = sql_types::Uuid)]
        id: JobId,
    }
    let tables = Tables::new().await;
    insert(&tables, UserId::generate(), 2000).await;
    tables.run("ANALYZE jobs").await;
    let run =
        "UPDATE jobs SET status = 'running', attempt = 1, leased_by = 'a', lease_until = now() + interval '1 hour'";
    tables.run(run).await;
    let mut conn = tables.db.conn().await.unwrap();
    let four: Vec<Running> = diesel::sql_query("SELECT id FROM jobs LIMIT 4").load(&mut conn).await.unwrap();
    drop(conn);
    let ids: Vec<JobId> = four.iter().map(|job| job.id).collect();
    let held = Lease { job: ids[0], attempt: 1, worker: "a".into() };
    let rows = rows_read(&tables, async |conn| lease::hold(conn, &held).await.unwrap()).await;
    assert!(rows < FEW, "a check of the lease read {rows} rows");
    let rows = rows_read(&tables, async |conn| {
        assert_eq!(lease::renew(conn, "a", &ids, LONG).await.unwrap().len(), 4);
    });
    let rows = rows.await;
    assert!(rows < FEW, "a renewal read {rows} rows");
    let leases: Vec<_> = ids.iter().map(|id| (*id, 1)).collect();
    let rows = rows_read(&tables, async |conn| {
        assert_eq!(lease::succeed_many(conn, "a", &leases).await.unwrap().len(), 4);
    });
    let rows = rows.await;
    assert!(rows < FEW, "the end of four jobs read {rows} rows");
}
