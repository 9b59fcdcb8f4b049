//! Migrations: they can be reverted, `schema.rs` matches them, every table and column has a comment, and every table
//! has a retention.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clawdeploy_shared::db::{DbError, MIGRATIONS, migrate::LockPatience, retention::tables::TABLES};
use clawdeploy_tests::database::{self, Scratch};
use diesel::{QueryableByName, migration::MigrationSource, pg::Pg, sql_types::Text};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;

/// The tables of the schema. Partitions are what their table is.
const TABLES_SQL: &str = "SELECT relname FROM pg_class \
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";

/// Diesel's own table.
const BOOKKEEPING: &str = "__diesel_schema_migrations";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn lines(conn: &mut AsyncPgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(sql).load(conn).await.unwrap();
    rows.into_iter().map(|row| row.line).filter(|line| !line.starts_with(BOOKKEEPING)).collect()
}

/// Columns, constraints and indexes, one per line.
async fn everything(conn: &mut AsyncPgConnection) -> Vec<String> {
    let mut all = lines(
        conn,
        "SELECT concat_ws(' ', table_name, column_name, udt_name, is_nullable, column_default, is_identity) AS line \
         FROM information_schema.columns WHERE table_schema = 'public' \
        AND table_name NOT IN (SELECT table_name FROM information_schema.views WHERE table_schema = 'public') ORDER BY 1",
    )
    .await;
    let constraints = "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS line \
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1";
    all.extend(lines(conn, constraints).await);
    let indexes =
        "SELECT concat_ws(' ', tablename, indexdef) AS line FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
    all.extend(lines(conn, indexes).await);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn up_down_up() {
    let scratch = Scratch::empty().await;
    let mut harness = AsyncMigrationHarness::new(scratch.connect().await);
    harness.run_pending_migrations(MIGRATIONS).unwrap();
    let first = everything(&mut scratch.connect().await).await;
    assert!(first.len() > 100, "{first:#?}");
    harness.revert_all_migrations(MIGRATIONS).unwrap();
    assert_eq!(
        everything(&mut scratch.connect().await).await,
        Vec::<String>::new(),
        "leftovers of the reverted migrations"
    );
    harness.run_pending_migrations(MIGRATIONS).unwrap();
    assert_eq!(everything(&mut scratch.connect().await).await, first);
}

/// Tables of `schema.rs` and its modules: columns with their Postgres types, and `?` if nullable.
fn tables_of_schema_rs() -> BTreeMap<String, Vec<String>> {
    let source = concat!(
        include_str!("../../shared/src/db/schema.rs"),
        include_str!("../../shared/src/db/schema/warm_pool.rs"),
    );
    let mut tables = BTreeMap::new();
    for table in source.split("diesel::table! {").skip(1) {
        let (head, rest) = table.split_once('{').unwrap();
        let name = head.split('(').next().unwrap().trim().to_owned();
        let columns = rest.split('}').next().unwrap().lines().filter_map(|line| line.trim().split_once(" -> "));
        let columns = columns.map(|(column, kind)| format!("{column} {}", postgres_type(kind.trim_end_matches(','))));
        tables.insert(name, columns.collect());
    }
    tables
}

fn postgres_type(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>')) {
        return format!("{}?", postgres_type(inner));
    }
    if let Some(inner) = kind.strip_prefix("Array<").and_then(|kind| kind.strip_suffix('>')) {
        return format!("_{}", postgres_type(inner));
    }
    kind.to_lowercase()
}

#[tokio::test]
async fn schema_rs_is_what_the_migrations_make() {
    let scratch = Scratch::migrated().await;
    let sql = format!(
        "SELECT concat_ws(' ', table_name, column_name, udt_name || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END) AS line \
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ({TABLES_SQL}) \
        ORDER BY table_name, ordinal_position"
    );
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines(&mut scratch.connect().await, &sql).await {
        let (table, column) = line.split_once(' ').unwrap();
        found.entry(table.to_owned()).or_default().push(column.to_owned());
    }
    assert_eq!(tables_of_schema_rs(), found);
}

#[tokio::test]
async fn every_table_and_column_is_explained() {
    let scratch = Scratch::migrated().await;
    let sql = format!(
        "SELECT concat_ws('.', c.relname, a.attname) AS line FROM pg_class c \
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped \
        WHERE c.relname IN ({TABLES_SQL}) AND c.relnamespace = 'public'::regnamespace AND col_description(c.oid, a.attnum) IS NULL \
        UNION ALL SELECT c.relname::text FROM pg_class c WHERE c.relname IN ({TABLES_SQL}) AND c.relnamespace = 'public'::regnamespace \
        AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY 1"
    );
    assert_eq!(lines(&mut scratch.connect().await, &sql).await, Vec::<String>::new(), "without a comment");
}

#[tokio::test]
async fn every_table_has_a_retention() {
    let scratch = Scratch::migrated().await;
    let sql = format!("SELECT relname::text AS line FROM ({TABLES_SQL}) AS tables");
    let mut found: BTreeSet<String> = lines(&mut scratch.connect().await, &sql).await.into_iter().collect();
    found.insert(BOOKKEEPING.to_owned());
    let named: BTreeSet<String> = TABLES.iter().map(|kept| kept.table.to_owned()).collect();
    assert_eq!(named, found, "shared/src/db/retention/tables.rs names the tables");
}

/// Reverts the newest migrations, down to the one before `number`.
async fn revert_from(scratch: &Scratch, number: &str) {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS).unwrap();
    let mut harness = AsyncMigrationHarness::new(scratch.connect().await);
    for migration in migrations.iter().rev() {
        if migration.name().to_string().split('-').nth(3).unwrap() < number {
            return;
        }
        harness.revert_last_migration(MIGRATIONS).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_gets_no_lock_says_who_holds_it_and_succeeds_later() {
    let scratch = Scratch::migrated().await;
    revert_from(&scratch, "000036").await;
    let db = database::open(&scratch.name);
    let mut holder = scratch.connect().await;
    holder.batch_execute("SET application_name = 'a-report'; BEGIN; SELECT FROM audit").await.unwrap();
    let patience = LockPatience { limit: Duration::from_millis(300), tries: 2, pause: Duration::from_millis(10) };
    let refused = db.migrate_with(patience).await.unwrap_err();
    let DbError::MigrationBlocked(text) = refused else { panic!("{refused:?}") };
    assert!(text.contains("2026-11-30-000037_audit_range waited 2 times for 300ms for the table audit"), "{text}");
    assert!(text.contains("program a-report") && text.contains("idle in transaction"), "{text}");
    assert!(text.contains("pg_terminate_backend("), "{text}");

    holder.batch_execute("COMMIT").await.unwrap();
    db.migrate_with(patience).await.unwrap();
    let invalid = "SELECT indexrelid::regclass::text AS line FROM pg_index WHERE NOT indisvalid";
    assert_eq!(lines(&mut holder, invalid).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_given_up_half_built_is_built_anew() {
    let scratch = Scratch::migrated().await;
    revert_from(&scratch, "000035").await;
    let mut conn = scratch.connect().await;
    // What an interrupted creation leaves.
    conn.batch_execute("CREATE INDEX jobs_depends_on ON jobs (depends_on)").await.unwrap();
    conn.batch_execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_depends_on'::regclass")
        .await
        .unwrap();
    database::open(&scratch.name).migrate().await.unwrap();
    let built = "SELECT pg_get_expr(indpred, indrelid) AS line FROM pg_index WHERE indexrelid = 'jobs_depends_on'::regclass AND indisvalid";
    assert_eq!(lines(&mut conn, built).await, ["(depends_on IS NOT NULL)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_of_before_becomes_the_first_partition() {
    let scratch = Scratch::migrated().await;
    revert_from(&scratch, "000036").await;
    let mut conn = scratch.connect().await;
    let insert = "INSERT INTO audit (actor, action, target_kind, target_id) VALUES ('a', 'b.c', 'instance', 'd')";
    conn.batch_execute(insert).await.unwrap();
    conn.batch_execute(&insert.replace("(actor", "(at, actor").replace("('a'", "(now() - interval '2 years', 'a'"))
        .await
        .unwrap();
    database::open(&scratch.name).migrate().await.unwrap();
    // As an older program writes it.
    conn.batch_execute(insert).await.unwrap();
    let rows = "SELECT id || ' ' || tableoid::regclass AS line FROM audit ORDER BY id";
    assert_eq!(lines(&mut conn, rows).await, ["1 audit_early", "2 audit_early", "3 audit_early"]);
    for sql in ["DELETE FROM audit_early", "DELETE FROM audit", "UPDATE audit_early SET actor = ''"] {
        let refused = conn.batch_execute(sql).await.unwrap_err();
        assert_eq!(refused.to_string(), "rows of audit are only ever added", "{sql}");
    }
    let tenant = "SELECT has_table_privilege('clawdeploy_tenant', 'audit_early', 'SELECT')::text AS line";
    assert_eq!(lines(&mut conn, tenant).await, ["false"], "row-level security of the table does not cover this way");
}
