//! A Postgres database for each test, cloned from a template that has the schema.

use anyhow::Context as _;
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{Db, MIGRATIONS},
};
use diesel::{
    QueryableByName,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::{Int4, Text},
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use sha2::{Digest as _, Sha256};

use crate::{cleanup, programs, settings, slot::Slot};

/// Advisory lock of the process that creates the template. The number is arbitrary.
const TEMPLATE_LOCK: i64 = 0x7465_7374;
const TEMPLATES: &str = "cdtest_template_";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    datname: String,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Int4)]
    version: i32,
}

/// A connection to the maintenance database.
pub async fn maintenance() -> anyhow::Result<AsyncPgConnection> {
    AsyncPgConnection::establish(&settings::database_url()).await.context("Postgres (CLAWDEPLOY_TEST_DATABASE_URL)")
}

/// URL of another database on the same server.
pub fn url(database: &str) -> String {
    let mut url = reqwest::Url::parse(&settings::database_url()).expect("a URL in CLAWDEPLOY_TEST_DATABASE_URL");
    url.set_path(database);
    url.into()
}

/// URL of another database on the same server, through a proxy on another port.
pub fn url_through(database: &str, port: u16) -> String {
    let mut url = reqwest::Url::parse(&url(database)).expect("a URL");
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(port)).expect("a port");
    url.into()
}

/// Address of the server, as `host:port`.
pub fn address() -> String {
    let url = reqwest::Url::parse(&settings::database_url()).expect("a URL in CLAWDEPLOY_TEST_DATABASE_URL");
    format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432))
}

/// A handle on a database, with few connections.
pub fn open(database: &str) -> Db {
    open_url(&url(database))
}

/// As [`open`], for a database on any server.
pub fn open_url(url: &str) -> Db {
    open_with(url, 4)
}

/// As [`open_url`], with this many connections.
pub fn open_with(url: &str, connections: usize) -> Db {
    Db::new(&DatabaseArgs { database_url: url.into(), database_connections: connections }).expect("a pool")
}

/// Name of the template with the current schema. It changes with every migration.
fn template_name() -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| anyhow::anyhow!("the migrations: {error}"))?;
    for migration in migrations {
        let name = migration.name().to_string();
        let sql = std::fs::read(programs::workspace_root().join("migrations").join(&name).join("up.sql"))?;
        hash.update(name);
        hash.update(sql);
    }
    Ok(format!("{TEMPLATES}{}", &hex::encode(hash.finalize())[..12]))
}

async fn names_like(conn: &mut AsyncPgConnection, pattern: &str) -> anyhow::Result<Vec<String>> {
    let query = diesel::sql_query("SELECT datname::text AS datname FROM pg_database WHERE datname LIKE $1");
    let names: Vec<Name> = query.bind::<Text, _>(pattern.replace('_', "\\_")).load(conn).await?;
    Ok(names.into_iter().map(|name| name.datname).collect())
}

/// Creates the template if it does not exist. Needs the multi-threaded runtime.
pub async fn ensure_template() -> anyhow::Result<()> {
    let name = template_name()?;
    let mut conn = maintenance().await?;
    // The lock is released with the connection.
    conn.batch_execute(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await?;
    if !names_like(&mut conn, &name).await?.is_empty() {
        return Ok(());
    }
    // Created under another name, so that a template with the final name is always complete.
    let half = format!("{name}_half");
    conn.batch_execute(&format!("DROP DATABASE IF EXISTS {half} WITH (FORCE)")).await?;
    conn.batch_execute(&format!("CREATE DATABASE {half}")).await?;
    let db = open(&half);
    db.migrate().await.context("the migrations")?;
    drop(db);
    terminate_sessions(&mut conn, &half).await?;
    conn.batch_execute(&format!("ALTER DATABASE {half} RENAME TO {name}")).await?;
    for old in old_templates(&mut conn).await? {
        conn.batch_execute(&format!("DROP DATABASE IF EXISTS {old} WITH (FORCE)")).await?;
    }
    Ok(())
}

/// Templates older than a day. Younger ones may belong to another checkout whose tests are running.
async fn old_templates(conn: &mut AsyncPgConnection) -> anyhow::Result<Vec<String>> {
    let query = diesel::sql_query(
        "SELECT datname::text AS datname FROM pg_database WHERE datname LIKE $1 \
         AND (pg_stat_file('base/' || oid || '/PG_VERSION')).modification < now() - interval '1 day'",
    );
    let names: Vec<Name> = query.bind::<Text, _>(format!("{TEMPLATES}%").replace('_', "\\_")).load(conn).await?;
    Ok(names.into_iter().map(|name| name.datname).collect())
}

/// [`ensure_template`] for callers on a single-threaded runtime.
async fn make_template() -> anyhow::Result<()> {
    let made = tokio::task::spawn_blocking(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(ensure_template())
    });
    made.await?
}

/// Creates a database with the current schema.
pub async fn create(database: &str) -> anyhow::Result<()> {
    let template = template_name()?;
    let mut conn = maintenance().await?;
    if names_like(&mut conn, &template).await?.is_empty() {
        make_template().await?;
    }
    let version = "SELECT current_setting('server_version_num')::int AS version";
    let Version { version } = diesel::sql_query(version).get_result(&mut conn).await?;
    // Copying files is faster than logging every block, which is the default since version 15.
    let strategy = if version >= 150_000 { "STRATEGY file_copy" } else { "" };
    let sql = format!("CREATE DATABASE {database} TEMPLATE {template} {strategy}");
    Ok(conn.batch_execute(&sql).await?)
}

/// A database for tests that need nothing else. It is dropped with this.
#[derive(Debug)]
pub struct Scratch {
    pub name: String,
    slot: Slot,
}

impl Scratch {
    /// With the current schema.
    pub async fn migrated() -> Self {
        let scratch = Self::named().await;
        create(&scratch.name).await.expect("a database");
        scratch
    }

    /// Without tables.
    pub async fn empty() -> Self {
        let scratch = Self::named().await;
        let sql = format!("CREATE DATABASE {}", scratch.name);
        maintenance().await.expect("Postgres").batch_execute(&sql).await.expect("a database");
        scratch
    }

    async fn named() -> Self {
        let slot = Slot::take();
        let prefix = slot.prefix().replace('-', "_");
        drop_all(&prefix).await.expect("a clean slot");
        Self { name: format!("{prefix}scratch"), slot }
    }

    pub async fn connect(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&url(&self.name)).await.expect("a connection")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let prefix = self.slot.prefix().replace('-', "_");
        cleanup::block_on(async move {
            drop_all(&prefix).await.ok();
        });
    }
}

/// Drops all databases with this prefix, even if clients are connected.
pub async fn drop_all(prefix: &str) -> anyhow::Result<()> {
    let mut conn = maintenance().await?;
    for name in names_like(&mut conn, &format!("{prefix}%")).await? {
        conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    }
    Ok(())
}

/// Terminates all sessions of a database, as a restart of the server does, and returns how many there were.
pub async fn terminate_sessions(conn: &mut AsyncPgConnection, database: &str) -> anyhow::Result<usize> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
    Ok(diesel::sql_query(sql).bind::<Text, _>(database).execute(conn).await?)
}
