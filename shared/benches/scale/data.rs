//! The data, and what of it is asked for.

use clap::Args;
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{Conn, Db, connection::Target},
    ids::{InstanceId, JobId, UserId},
};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Int8, Text, Uuid},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use secrecy::ExposeSecret as _;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Size {
    /// Number of jobs, over a year
    #[arg(long, default_value_t = 10_000_000)]
    jobs: u32,
    #[arg(long, default_value_t = 10_000)]
    instances: u32,
    #[arg(long, default_value_t = 2000)]
    users: u32,
    /// Minutes of usage that each running instance has
    #[arg(long, default_value_t = 1440)]
    minutes: u32,
}

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = Bool)]
    made: bool,
}

/// Migrates the database and fills it, unless that was done before.
pub(crate) async fn make(db: &Db, args: &DatabaseArgs, size: Size) -> anyhow::Result<()> {
    db.migrate().await?;
    // Without the time limit of the pool's statements.
    let mut conn = Target::parse(args.database_url.expose_secret())?.connect().await?;
    let made = diesel::sql_query("SELECT EXISTS (SELECT FROM workers WHERE id = 'bench-0') AS made");
    if made.get_result::<Made>(&mut conn).await?.made {
        return Ok(());
    }
    let mut sql = include_str!("../../../scripts/bench-scale/data.sql").to_owned();
    let numbers =
        [(":jobs", size.jobs), (":instances", size.instances), (":users", size.users), (":minutes", size.minutes)];
    for (name, number) in numbers {
        sql = sql.replace(name, &number.to_string());
    }
    conn.batch_execute(&sql).await?;
    conn.batch_execute("VACUUM (ANALYZE)").await?;
    Ok(())
}

/// What queries are about: the owner and the instance with the most jobs of late, and a person with few.
#[derive(Debug, QueryableByName)]
pub(crate) struct Subject {
    #[diesel(sql_type = Uuid)]
    pub(crate) busy_owner: UserId,
    #[diesel(sql_type = Uuid)]
    pub(crate) quiet_owner: UserId,
    #[diesel(sql_type = Text)]
    pub(crate) busy_instance: InstanceId,
    #[diesel(sql_type = Text)]
    pub(crate) running_instance: InstanceId,
    /// A job from the middle of the year that failed.
    #[diesel(sql_type = Uuid)]
    pub(crate) old_job: JobId,
    /// The waiting job that is last in turn.
    #[diesel(sql_type = Uuid)]
    pub(crate) last_waiting: JobId,
    #[diesel(sql_type = Int8)]
    pub(crate) jobs: i64,
}

impl Subject {
    pub(crate) async fn find(conn: &mut Conn) -> anyhow::Result<Self> {
        conn.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
        Ok(diesel::sql_query(
            "WITH late AS (SELECT * FROM jobs ORDER BY seq DESC LIMIT 100000) SELECT \
               (SELECT owner_id FROM late WHERE owner_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) AS busy_owner, \
               (SELECT id FROM users ORDER BY email LIMIT 1 OFFSET (SELECT count(*) * 3 / 4 FROM users)) AS quiet_owner, \
               (SELECT instance_id FROM late JOIN instances i ON i.id = instance_id GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) \
                 AS busy_instance, \
               (SELECT id FROM instances WHERE status = 'running' ORDER BY id LIMIT 1) AS running_instance, \
               (SELECT id FROM jobs WHERE status = 'failed' AND seq > (SELECT max(seq) / 2 FROM jobs) ORDER BY seq LIMIT 1) AS old_job, \
               (SELECT id FROM jobs WHERE status = 'queued' AND run_at <= now() ORDER BY turn DESC, seq DESC LIMIT 1) AS last_waiting, \
               (SELECT max(seq) FROM jobs) AS jobs",
        )
        .get_result(conn)
        .await?)
    }
}
