//! No statement reads a table from the first row to the last that grows with the installation's age, whatever the values
//! of its binds (the generic plan, with which a prepared statement may run from its sixth execution on).

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use clawdeploy_shared::{
    capacity::CapacityArgs,
    db::{
        Conn, Scope, audit, boot, disk, frozen, host, image, instance, job, job::JobFilter, job_event, lease, overdue,
        person, queue_stats, recoverable, rollout, route, sleep, snapshot, stuck, usage,
    },
    fair_slots::FairSlots,
    ids::{InstanceId, JobId, UserId},
    instance::InstanceStatus,
    job::{JobKind, JobStatus, Queue},
    sleep::SleepArgs,
};
use clawdeploy_tests::{database::Scratch, plans::Planned};
use diesel::{
    QueryableByName,
    sql_types::{Int8, Text, Uuid},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

/// More jobs than a page of the list looks at.
const JOBS: i64 = 3 * job::WINDOW + 1000;

/// Tables of which old rows stay for long, and partitions that hold most of one. All others have few rows for each
/// instance, person or worker.
const GROWING: [&str; 7] =
    ["jobs", "job_events", "audit", "audit_early", "audit_default", "snapshots", "instance_usage"];

/// A database like that of an old installation, with fewer rows.
async fn old_installation() -> Scratch {
    let scratch = Scratch::migrated().await;
    let mut sql = include_str!("../../../scripts/bench-scale/data.sql").to_owned();
    for (name, number) in [(":jobs", JOBS), (":instances", 300), (":users", 50), (":minutes", 120)] {
        sql = sql.replace(name, &number.to_string());
    }
    let mut conn = scratch.connect().await;
    conn.batch_execute(&sql).await.unwrap();
    conn.batch_execute("VACUUM ANALYZE").await.unwrap();
    scratch
}

#[derive(QueryableByName)]
struct Subject {
    #[diesel(sql_type = Uuid)]
    owner: UserId,
    #[diesel(sql_type = Text)]
    instance: InstanceId,
    #[diesel(sql_type = Uuid)]
    job: JobId,
    #[diesel(sql_type = Int8)]
    seq: i64,
}

async fn someone(conn: &mut Conn) -> Subject {
    let sql = "SELECT owner_id AS owner, instance_id AS instance, id AS job, seq FROM jobs \
        WHERE status = 'failed' AND instance_id IN (SELECT id FROM instances) ORDER BY seq DESC LIMIT 1";
    diesel::sql_query(sql).get_result(conn).await.unwrap()
}

/// Runs each call and notes those of which a plan reads a growing table as a whole.
macro_rules! planned {
    ($planned:ident, $found:ident, $($call:expr),+ $(,)?) => {
        $(
            $call.await.map(|_| ()).unwrap();
            let plans = $planned.take().await;
            assert!(!plans.is_empty(), "no plan of {}", stringify!($call));
            for plan in plans {
                for table in plan.whole_reads().into_iter().filter(|table| GROWING.contains(&table.as_str())) {
                    $found.push(format!("{table}: {}", plan.statement));
                }
            }
        )+
    };
}

#[tokio::test]
async fn no_growing_table_is_read_as_a_whole() {
    let scratch = old_installation().await;
    let mut planned = Planned::connect(&scratch.name).await;
    let Subject { owner, instance, job: id, seq } = someone(&mut planned.conn).await;
    planned.take().await;
    let mut found: Vec<String> = Vec::new();
    let (all, six, minute) = (Scope::Everything, Duration::from_secs(6), Duration::from_mins(1));
    // The owner has its share, so a claim must pass its jobs over.
    let mut half_taken = FairSlots::new(16);
    (0..8).for_each(|_| half_taken.take(Some(owner)));
    let filters = [
        JobFilter::default(),
        JobFilter { before_seq: Some(seq), ..JobFilter::default() },
        JobFilter { owner: Some(owner), ..JobFilter::default() },
        JobFilter { owner: Some(owner), statuses: vec![JobStatus::Failed], ..JobFilter::default() },
        JobFilter { owner: Some(owner), text: Some("refused".to_owned()), ..JobFilter::default() },
        JobFilter { instance: Some(instance.clone()), kind: Some(JobKind::Rollback), ..JobFilter::default() },
        JobFilter { statuses: vec![JobStatus::Queued, JobStatus::Running], ..JobFilter::default() },
        JobFilter { statuses: vec![JobStatus::Cancelled], ..JobFilter::default() },
        JobFilter { statuses: vec![JobStatus::Succeeded], kind: Some(JobKind::Noop), ..JobFilter::default() },
        JobFilter { kind: Some(JobKind::Restore), ..JobFilter::default() },
        JobFilter { kind: Some(JobKind::Stop), text: Some("refused".to_owned()), ..JobFilter::default() },
        JobFilter { text: Some("refused".to_owned()), ..JobFilter::default() },
        JobFilter { text: Some(id.to_string()), ..JobFilter::default() },
        JobFilter { text: Some(instance.to_string()), ..JobFilter::default() },
    ];
    for filter in &filters {
        planned!(planned, found, job::page(&mut planned.conn, all, filter, 51));
    }
    let entries = [
        audit::Filter::default(),
        audit::Filter { about: Some(owner), ..audit::Filter::default() },
        audit::Filter { owner: Some(owner), ..audit::Filter::default() },
        audit::Filter {
            target_kind: Some("instance".to_owned()),
            target_id: Some(instance.to_string()),
            ..audit::Filter::default()
        },
    ];
    for filter in &entries {
        planned!(planned, found, audit::page(&mut planned.conn, filter, None, 51));
    }
    let room = CapacityArgs { memory_overcommit: 1.0, reserved_memory_mb: None };
    planned!(
        planned,
        found,
        job::open_by_key(&mut planned.conn, "a key"),
        job::open_dependent(&mut planned.conn, id),
        job::open_on(&mut planned.conn, &instance),
        job::open_on_any(&mut planned.conn, &[&instance]),
        job::find_by_idempotency_key(&mut planned.conn, owner, "a key"),
        job::is_newest_on(&mut planned.conn, &instance, seq),
        job::count_ahead(&mut planned.conn, id),
        job::insert(&mut planned.conn, &job::NewJob::on_instance(JobKind::Start, &instance, owner)),
        job_event::list(&mut planned.conn, id, 0, 100),
        job_event::list_milestones(&mut planned.conn, id),
        image::is_building(&mut planned.conn),
        image::fail_abandoned(&mut planned.conn),
        stuck::list(&mut planned.conn, &[InstanceStatus::Starting, InstanceStatus::Stopping], minute),
        stuck::lately(&mut planned.conn, &instance, minute),
        overdue::list(&mut planned.conn, minute, 100),
        overdue::waiting(&mut planned.conn),
        queue_stats::counts(&mut planned.conn),
        queue_stats::last_hour(&mut planned.conn),
        queue_stats::minutes(&mut planned.conn),
        lease::claim(&mut planned.conn, Queue::Lifecycle, "here", six, &FairSlots::new(16)),
        lease::claim(&mut planned.conn, Queue::Lifecycle, "here", six, &half_taken),
        lease::renew(&mut planned.conn, "here", &[id], six),
        lease::give_back_lost_claims(&mut planned.conn, Queue::Lifecycle, "here", &[(id, 1)], six),
        lease::succeed_many(&mut planned.conn, "here", &[(id, 1)]),
        lease::reap(&mut planned.conn),
        boot::count(&mut planned.conn),
        route::read(&mut planned.conn, 0),
        route::shown(&mut planned.conn, &instance),
        recoverable::shown_gone(&mut planned.conn, &[&instance]),
        rollout::members(&mut planned.conn, id),
        snapshot::needed(&mut planned.conn),
        snapshot::latest_kept(&mut planned.conn, &instance),
        snapshot::of_job(&mut planned.conn, id),
        snapshot::list(&mut planned.conn, &instance, 50),
        instance::usage_of(&mut planned.conn, owner, None),
        instance::peak_of(&mut planned.conn, &instance),
        person::list(&mut planned.conn, None, 51),
        host::memory(&mut planned.conn, Some(&instance)),
        sleep::take_due(&mut planned.conn, SleepArgs { sleep_minutes: 30, frozen_minutes: 60 }, 64),
        sleep::to_wake(&mut planned.conn, 60.0, 32),
        frozen::due(&mut planned.conn, 60, &room, 16),
        sleep::withdraw_late(&mut planned.conn),
        sleep::last_stop(&mut planned.conn, &instance),
        sleep::has_terminal(&mut planned.conn, &instance),
        host::usage(&mut planned.conn),
        disk::due(&mut planned.conn, minute, 50),
        usage::due(&mut planned.conn, minute, 50),
        usage::history(&mut planned.conn, &instance),
        usage::recent(&mut planned.conn, all, std::slice::from_ref(&instance)),
        usage::forget_old(&mut planned.conn),
    );
    assert!(found.is_empty(), "read as a whole:\n{}", found.join("\n\n"));
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Int8)]
    count: i64,
}

async fn count(conn: &mut Conn, of: &str) -> i64 {
    diesel::sql_query(format!("SELECT count(*) AS count FROM {of}")).get_result::<Count>(conn).await.unwrap().count
}

/// The jobs of all pages, and how many pages there are.
async fn pages(conn: &mut Conn, filter: JobFilter) -> (Vec<JobId>, usize) {
    let (mut found, mut before_seq, mut pages) = (Vec::new(), None, 0);
    loop {
        let filter = JobFilter { before_seq, ..filter.clone() };
        let page = job::page(conn, Scope::Everything, &filter, 500).await.unwrap();
        pages += 1;
        before_seq = page.searched_to.or_else(|| page.jobs.get(499).map(|job| job.seq));
        found.extend(page.jobs.iter().map(|job| job.id));
        if before_seq.is_none() {
            return (found, pages);
        }
    }
}

#[tokio::test]
async fn a_search_goes_on_to_the_end() {
    let scratch = old_installation().await;
    let mut conn = scratch.connect().await;
    let Subject { owner, instance, job: id, .. } = someone(&mut conn).await;
    let text = |text: &str| JobFilter { text: Some(text.to_owned()), ..JobFilter::default() };

    // Few match: some pages are not full, and all together have them all.
    let (found, pages_of_few) = pages(&mut conn, text("on port 200")).await;
    assert!(!found.is_empty() && pages_of_few > 1, "{} on {pages_of_few} pages", found.len());
    let all = "jobs WHERE error_message LIKE '%on port 200%'";
    assert_eq!(found.len(), usize::try_from(count(&mut conn, all).await).unwrap());
    let (none, pages_of_none) = pages(&mut conn, text("no such text")).await;
    assert_eq!((none.len(), pages_of_none), (0, usize::try_from(JOBS / job::WINDOW).unwrap() + 1));

    // A list that an index serves has full pages.
    let (found, full) = pages(&mut conn, JobFilter { owner: Some(owner), ..JobFilter::default() }).await;
    let all = format!("jobs WHERE owner_id = '{owner}'");
    assert_eq!(found.len(), usize::try_from(count(&mut conn, &all).await).unwrap());
    assert_eq!(full, found.len() / 500 + 1);

    // An id is found wherever it is.
    assert_eq!(pages(&mut conn, text(&id.to_string())).await, (vec![id], 1));
    assert!(pages(&mut conn, text(&id.to_string()[..13])).await.0.contains(&id));
    let (found, _) = pages(&mut conn, text(instance.as_str())).await;
    let all = format!("jobs WHERE instance_id = '{instance}'");
    assert_eq!(found.len(), usize::try_from(count(&mut conn, &all).await).unwrap());

    // The audit log, by time and by what few entries have.
    let mut entries = Vec::new();
    let mut before = None;
    let filter = audit::Filter { action: Some("instance.rebuild_image".to_owned()), ..audit::Filter::default() };
    loop {
        let page = audit::page(&mut conn, &filter, before, 500).await.unwrap();
        entries.extend(page.entries);
        before = page.searched_to;
        if before.is_none() {
            break;
        }
    }
    let all = "audit WHERE action = 'instance.rebuild_image'";
    assert_eq!(entries.len(), usize::try_from(count(&mut conn, all).await).unwrap());
    let (from, until) = (Utc::now() - TimeDelta::days(101), Utc::now() - TimeDelta::days(100));
    let day = audit::Filter { from: Some(from), until: Some(until), ..audit::Filter::default() };
    let page = audit::page(&mut conn, &day, None, 500).await.unwrap();
    let all = format!("audit WHERE at >= '{}' AND at < '{}'", from.to_rfc3339(), until.to_rfc3339());
    assert_eq!((page.entries.len(), page.searched_to), (usize::try_from(count(&mut conn, &all).await).unwrap(), None));
}
