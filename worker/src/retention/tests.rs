//! Runs on a real database with back-dated rows.

use std::{fs::File, io::Read as _};

use clawdeploy_shared::{
    db::{
        Db, DbError,
        audit_partition::{self, OldPartition},
        sweep::{FindingAction, SweepRun},
    },
    ids::{InstanceId, JobId},
};
use clawdeploy_tests::database::{self, Scratch};
use diesel::{
    QueryableByName,
    sql_types::{Int8, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use flate2::read::GzDecoder;

use super::*;
use crate::config::AuditExport;

const SETTINGS: RetentionArgs =
    RetentionArgs { jobs_keep_days: 90, build_logs_keep_days: 30, audit_keep_days: 400, audit_export_dir: None };

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Int8)]
    number: i64,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

struct Fixture {
    scratch: Scratch,
    db: Db,
}

impl Fixture {
    async fn new() -> Self {
        let scratch = Scratch::migrated().await;
        let db = database::open(&scratch.name);
        Self { scratch, db }
    }

    async fn run(&self, settings: &RetentionArgs) -> SweepRun {
        let lock = SessionLock::take(&self.db, Exclusive::Retention).await.unwrap().unwrap();
        Pass::new(&self.db, "a-worker", settings, CancellationToken::new(), lock).run().await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        self.scratch.connect().await.batch_execute(sql).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        let sql = format!("SELECT ({sql})::bigint AS number");
        diesel::sql_query(sql).get_result::<Number>(&mut self.scratch.connect().await).await.unwrap().number
    }

    async fn words(&self, sql: &str) -> Vec<String> {
        let rows: Vec<Word> = diesel::sql_query(sql).load(&mut self.scratch.connect().await).await.unwrap();
        rows.into_iter().map(|row| row.word).collect()
    }

    /// A job that ended so many days ago.
    async fn ended(&self, job: JobId, columns: &str, values: &str, days: i32) {
        let when = format!("now() - interval '{days} days'");
        let sql = format!(
            "INSERT INTO jobs (id, queue, created_at, started_at, finished_at, {columns}) \
               VALUES ('{job}', 'lifecycle', {when}, {when}, {when}, {values}); \
             INSERT INTO job_events (job_id, attempt, kind, created_at) VALUES ('{job}', 1, 'finished', {when})"
        );
        self.sql(&sql).await;
    }

    async fn person(&self) {
        self.sql("INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a@example.com', '')").await;
    }

    async fn instance(&self) -> InstanceId {
        let id = InstanceId::random();
        let sql = format!(
            "INSERT INTO instances (id, owner_id, name, desired_state, status, gateway_token_sealed, memory_mb, cpu_millis) \
             SELECT '{id}', id, '{id}', 'running', 'running', '', 1024, 1000 FROM users"
        );
        self.sql(&sql).await;
        id
    }

    /// A change of that job, from so many days ago.
    async fn change(&self, instance: &InstanceId, job: JobId, columns: &str, values: &str, days: i32) {
        let sql = format!(
            "INSERT INTO snapshots (id, instance_id, job_id, reason, was_running, from_image, from_settings, to_image, \
               to_settings, created_at, {columns}) \
             VALUES (gen_random_uuid(), '{instance}', '{job}', 'update', true, 'a', '{{}}', 'b', '{{}}', \
               now() - interval '{days} days', {values})"
        );
        self.sql(&sql).await;
    }

    async fn is_there(&self, job: JobId) -> bool {
        self.number(&format!("SELECT count(*) FROM jobs WHERE id = '{job}'")).await == 1
    }
}

const SUCCEEDED: (&str, &str) = ("kind, status", "'start', 'succeeded'");

/// Jobs that a run has to leave and to delete, each with what it is.
#[derive(Default)]
struct Expected {
    stay: Vec<(&'static str, JobId)>,
    go: Vec<(&'static str, JobId)>,
}

impl Expected {
    fn add(&mut self, what: &'static str, job: JobId, stays: bool) {
        if stays { &mut self.stay } else { &mut self.go }.push((what, job));
    }

    /// Runs and looks at what is left.
    async fn check(&self, fixture: &Fixture) {
        // A job that others refer to goes in the run after that of what refers to it.
        for _ in 0..2 {
            let run = fixture.run(&SETTINGS).await;
            assert_eq!(run.error, None);
            assert!(
                run.report.findings.iter().all(|f| f.action == FindingAction::Repaired),
                "{:?}",
                run.report.findings
            );
        }
        for (what, job) in &self.stay {
            assert!(fixture.is_there(*job).await, "{what} is gone");
        }
        for (what, job) in &self.go {
            assert!(!fixture.is_there(*job).await, "{what} stayed");
        }
        let orphaned = "SELECT count(*) FROM job_events e WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = e.job_id)";
        assert_eq!(fixture.number(orphaned).await, 0);
    }
}

/// Columns and values of a job on an instance.
fn on(instance: &InstanceId, kind: &str, status: &str) -> (&'static str, String) {
    ("kind, status, instance_id", format!("'{kind}', '{status}', '{instance}'"))
}

#[tokio::test]
async fn an_old_job_goes_unless_it_is_needed() {
    let fixture = Fixture::new().await;
    fixture.person().await;
    let instance = fixture.instance().await;
    let mut expected = Expected::default();
    for (what, stays, days) in [("old", false, 91), ("young", true, 89)] {
        let job = JobId::generate();
        fixture.ended(job, SUCCEEDED.0, SUCCEEDED.1, days).await;
        expected.add(what, job, stays);
    }

    // The last job of an instance that exists, of one that can be restored, and of one that is gone.
    for (what, stays, days) in [("older of an instance", false, 300), ("last of an instance", true, 200)] {
        let (job, (columns, values)) = (JobId::generate(), on(&instance, "start", "succeeded"));
        fixture.ended(job, columns, &values, days).await;
        expected.add(what, job, stays);
    }
    for (what, stays) in [("deleted and restorable", true), ("deleted", false)] {
        let (id, job) = (InstanceId::random(), JobId::generate());
        let (columns, values) = on(&id, "delete", "succeeded");
        fixture.ended(job, columns, &values, 200).await;
        expected.add(what, job, stays);
        if stays {
            let row = "INSERT INTO recoverable_instances (id, state, reason, expires_at) VALUES";
            fixture.sql(&format!("{row} ('{id}', 'deleted', 'a test', now() + interval '1 day')")).await;
        }
    }

    let (needed, open, stuck) = (JobId::generate(), JobId::generate(), JobId::generate());
    fixture.ended(needed, "kind, status", "'rebuild_image', 'succeeded'", 300).await;
    fixture
        .sql(&format!(
            "INSERT INTO jobs (id, kind, queue, depends_on, created_at, run_at) \
             VALUES ('{open}', 'noop', 'lifecycle', '{needed}', now() - interval '299 days', now() + interval '1 day')"
        ))
        .await;
    let undo = ("kind, status, error_code, unwinding_to", "'start', 'failed', 'undo_failed', 'failed'");
    fixture.ended(stuck, undo.0, undo.1, 300).await;
    for (what, job) in [("needed by an open job", needed), ("open", open), ("its undo was given up", stuck)] {
        expected.add(what, job, true);
    }
    expected.check(&fixture).await;
    assert_eq!(fixture.number("SELECT count(*) FROM jobs WHERE depends_on IS NOT NULL").await, 1);
}

#[tokio::test]
async fn the_job_of_a_change_stays_with_it() {
    let fixture = Fixture::new().await;
    fixture.person().await;
    let instance = fixture.instance().await;
    let mut expected = Expected::default();
    for (what, stays, columns, values) in [
        ("changing", true, "status", "'changing'"),
        ("can be rolled back", true, "status, expires_at", "'kept', now() + interval '1 day'"),
        ("expired lately", true, "status, expires_at", "'kept', now() - interval '10 days'"),
        ("was stuck", true, "status, stuck_at", "'rolled_back', now()"),
        ("undone", false, "status", "'rolled_back'"),
    ] {
        let (job, (job_columns, job_values)) = (JobId::generate(), on(&instance, "update", "succeeded"));
        fixture.ended(job, job_columns, &job_values, 300).await;
        fixture.change(&instance, job, columns, values, 300).await;
        expected.add(what, job, stays);
    }
    let (last, (columns, values)) = (JobId::generate(), on(&instance, "start", "succeeded"));
    fixture.ended(last, columns, &values, 100).await;
    expected.add("last of the instance", last, true);
    expected.check(&fixture).await;
    assert_eq!(fixture.number("SELECT count(*) FROM snapshots").await, 4);
}

#[tokio::test]
async fn rollouts_and_builds_keep_their_jobs() {
    let fixture = Fixture::new().await;
    fixture.person().await;
    let instance = fixture.instance().await;
    let mut expected = Expected::default();
    for (what, stays, days) in [("earlier rollout", false, 300), ("last rollout", true, 200)] {
        let (rollout, update) = (JobId::generate(), JobId::generate());
        fixture.ended(rollout, "kind, status", "'update_all', 'succeeded'", days).await;
        fixture.ended(update, "kind, status", "'update', 'succeeded'", days).await;
        let row = "INSERT INTO rollout_members (job_id, instance_id, wave, update_job_id, status) VALUES";
        fixture.sql(&format!("{row} ('{rollout}', '{instance}', 0, '{update}', 'updated')")).await;
        expected.add(what, rollout, stays);
        expected.add(what, update, stays);
    }
    for (what, stays, image, removed) in [
        ("failed build", false, "NULL", "NULL"),
        ("removed image", false, "'sha256:1'", "now() - interval '100 days'"),
        ("existing image", true, "'sha256:2'", "NULL"),
        ("image in use", true, "'sha256:3'", "now() - interval '100 days'"),
    ] {
        let job = JobId::generate();
        fixture.ended(job, "kind, status", "'rebuild_image', 'succeeded'", 300).await;
        fixture
            .sql(&format!(
                "INSERT INTO images (id, job_id, source, status, image_id, removed_at, log, created_at, finished_at) \
                 VALUES (gen_random_uuid(), '{job}', 'git', 'ready', {image}, {removed}, 'a log', \
                   now() - interval '300 days', now() - interval '300 days')"
            ))
            .await;
        expected.add(what, job, stays);
    }
    fixture.sql(&format!("UPDATE instances SET image_id = 'sha256:3' WHERE id = '{instance}'")).await;
    expected.check(&fixture).await;
    assert_eq!(fixture.number("SELECT count(*) FROM rollout_members").await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM images").await, 2);
    assert_eq!(fixture.number("SELECT count(*) FROM images WHERE log = '' AND log_offset = 5").await, 2);
}

/// A year of jobs with three events each, some of them on an instance that stays, and of the audit log.
const YEAR: &str = "\
    WITH made AS ( \
      INSERT INTO jobs (id, kind, queue, status, instance_id, created_at, started_at, finished_at) \
      SELECT gen_random_uuid(), 'start', 'lifecycle', 'succeeded', CASE WHEN n % 10 = 0 THEN 'aaaaaaaaaaaa' END, at, at, at \
      FROM generate_series(1, 6000) AS n, LATERAL (SELECT now() - interval '460 days' + n * interval '87 minutes' AS at) AS past \
      RETURNING id, created_at) \
    INSERT INTO job_events (job_id, attempt, kind, message, created_at) \
    SELECT id, 1, 'step_done', repeat('x', 200), created_at FROM made, generate_series(1, 3)";

#[tokio::test]
async fn another_year_takes_no_more_space() {
    let fixture = Fixture::new().await;
    let size = "SELECT sum(pg_total_relation_size(name)) FROM (VALUES ('jobs'), ('job_events')) AS grown (name)";
    let mut sizes = Vec::new();
    for _ in 0..4 {
        fixture.sql(YEAR).await;
        let run = fixture.run(&SETTINGS).await;
        assert_eq!((run.error, run.report.checked), (None, 6000));
        assert_eq!(fixture.number("SELECT count(*) FROM jobs").await, 0);
        assert_eq!(fixture.number("SELECT count(*) FROM job_events").await, 0);
        for table in ["jobs", "job_events"] {
            fixture.sql(&format!("VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) {table}")).await;
        }
        sizes.push(fixture.number(size).await);
    }
    assert!(sizes[0] > 1 << 20, "{sizes:?}");
    // Empty pages of an index are reused one or two vacuums later than those of a table. After that, hardly a page is
    // added; if the rows stayed, each year would add as much as the first.
    assert!(sizes[1] < sizes[0] * 3 / 2 && sizes[3] < sizes[2] + sizes[2] / 50, "{sizes:?}");
}

/// Entries of the month 15 months ago, with a partition that holds them.
async fn old_month(fixture: &Fixture) -> OldPartition {
    fixture
        .sql(
            "INSERT INTO audit (at, actor, action, target_kind, target_id, detail) \
             SELECT date_trunc('month', now()) - interval '15 months' + n * interval '1 hour', 'a@example.com', \
               'instance.create', 'instance', n::text, jsonb_build_object('n', n) FROM generate_series(1, 20) AS n",
        )
        .await;
    let mut conn = fixture.db.conn().await.unwrap();
    assert_eq!(audit_partition::add_months(&mut conn).await.unwrap(), 0, "entries without a month");
    let mut old = audit_partition::old(&mut conn, 400).await.unwrap();
    assert_eq!(old.len(), 1, "{old:?}");
    old.remove(0)
}

#[tokio::test]
async fn a_month_of_the_audit_log_leaves_with_its_export_only() {
    let fixture = Fixture::new().await;
    let month = old_month(&fixture).await;
    let entries = "SELECT count(*) FROM audit WHERE action = 'instance.create'";

    // Nobody said where to.
    let run = fixture.run(&SETTINGS).await;
    assert_eq!(run.error, None);
    let found = run.report.findings.iter().map(|f| (f.code.as_str(), f.action)).collect::<Vec<_>>();
    assert_eq!(found, [("audit_not_exported", FindingAction::Reported)]);
    assert_eq!(fixture.number(entries).await, 20);

    // No other way: neither in the table nor in the partition, nor without a complete export.
    for sql in [
        "DELETE FROM audit",
        "UPDATE audit SET actor = ''",
        "TRUNCATE audit",
        &format!("DELETE FROM {}", month.partition),
        &format!("UPDATE {} SET actor = ''", month.partition),
        &format!("TRUNCATE {}", month.partition),
    ] {
        let refused = fixture.scratch.connect().await.batch_execute(sql).await.unwrap_err();
        assert_eq!(refused.to_string(), "rows of audit are only ever added", "{sql}");
    }
    let mut conn = fixture.db.conn().await.unwrap();
    let refused = audit_partition::drop(&mut conn, "a-worker", &month, true).await.unwrap_err();
    let DbError::Query(refused) = refused else { panic!("{refused:?}") };
    assert!(refused.to_string().contains("were not exported"), "{refused}");
    assert_eq!(fixture.number(entries).await, 20);

    let directory = tempfile::tempdir().unwrap();
    let export = AuditExport::To(directory.path().to_owned());
    let run = fixture.run(&RetentionArgs { audit_export_dir: Some(export), ..SETTINGS }).await;
    assert_eq!(run.error, None);
    assert_eq!(fixture.number(entries).await, 0);
    let path = directory.path().join(format!("{}.ndjson.gz", month.partition));
    let mut text = String::new();
    GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    assert_eq!((&lines[0]["actor"], &lines[0]["detail"]["n"]), (&"a@example.com".into(), &1.into()));
    let recorded =
        fixture.words("SELECT file AS word FROM audit_exports WHERE entries = 20 AND dropped_at IS NOT NULL");
    assert_eq!(recorded.await, [path.display().to_string()]);
    let told = fixture.words("SELECT action AS word FROM audit ORDER BY id DESC LIMIT 2").await;
    assert_eq!(told, ["audit.drop", "audit.export"]);
}

#[tokio::test]
async fn an_export_that_cannot_be_written_keeps_the_month() {
    let fixture = Fixture::new().await;
    let month = old_month(&fixture).await;
    let export = Some(AuditExport::To("/nowhere".into()));
    let run = fixture.run(&RetentionArgs { audit_export_dir: export, ..SETTINGS }).await;
    let file = format!("/nowhere/{}.ndjson.gz", month.partition);
    let error = run.error.unwrap();
    assert!(error.starts_with(&format!("audit log: the file {file} could not be written: ")), "{error}");
    assert_eq!(fixture.number("SELECT count(*) FROM audit").await, 20);
}

#[tokio::test]
async fn without_a_wish_for_exports_a_month_just_goes() {
    let fixture = Fixture::new().await;
    old_month(&fixture).await;
    let run = fixture.run(&RetentionArgs { audit_export_dir: Some(AuditExport::Off), ..SETTINGS }).await;
    assert_eq!(run.error, None);
    assert_eq!(fixture.words("SELECT action AS word FROM audit").await, ["audit.drop"]);
    // And nothing goes where everything is to be kept.
    old_month(&fixture).await;
    let never = RetentionArgs { jobs_keep_days: 0, build_logs_keep_days: 0, audit_keep_days: 0, ..SETTINGS };
    assert_eq!(fixture.run(&never).await.report.findings, []);
}
