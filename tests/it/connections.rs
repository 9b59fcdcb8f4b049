//! Connections to Postgres through poolers and TLS.

use clawdeploy_shared::db::{
    Db, DbError, Scope,
    session_lock::{Exclusive, SessionLock},
};
use clawdeploy_shared::ids::UserId;
use clawdeploy_tests::{
    database::{Scratch, open_url, open_with, url},
    pgbouncer::PgBouncer,
    postgres_server::{PostgresServer, authority},
};
use diesel::{QueryableByName, sql_types::Int4};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

/// The reason why the settings are refused; empty if they are accepted.
async fn refusal(db: &Db) -> String {
    match db.migrate().await {
        Ok(()) => String::new(),
        Err(DbError::Settings(why)) => why,
        Err(other) => panic!("{other:?}"),
    }
}

/// Locks, time limits and prepared statements would apply to the session's next user.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_is_refused() {
    let scratch = Scratch::migrated().await;
    for mode in ["transaction", "statement"] {
        let pooler = PgBouncer::start(mode).await;
        let why = refusal(&open_url(&pooler.url(&scratch.name))).await;
        assert!(why.contains("CLAWDEPLOY_DATABASE_URL") && why.contains("pool_mode=session"), "{mode}: {why:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_sessions_is_as_good_as_none() {
    let scratch = Scratch::migrated().await;
    let pooler = PgBouncer::start("session").await;
    let db = open_url(&pooler.url(&scratch.name));
    assert_eq!(refusal(&db).await, "");
    let asked = async |query: &'static str| {
        let scope = Scope::Owner(UserId::generate());
        db.read(scope, async |conn| Ok::<_, DbError>(conn.batch_execute(query).await?)).await
    };
    asked("SELECT * FROM instances").await.unwrap();
    asked("SELECT password_hash FROM users").await.expect_err("the role is in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_by_tls() {
    let server = PostgresServer::start_encrypted().await;
    server.create("panel").await;
    let other = tempfile::tempdir().unwrap();
    authority(other.path());
    let (trusted, foreign) = (server.authority(), other.path().join("ca.crt"));
    let (trusted, foreign) = (trusted.display(), foreign.display());
    for (host, query, says) in [
        ("127.0.0.1", String::new(), "add sslmode=require"),
        ("127.0.0.1", "?sslmode=disable".into(), "add sslmode=require"),
        ("127.0.0.1", "?sslmode=prefer".into(), ""),
        ("127.0.0.1", "?sslmode=require".into(), ""),
        ("127.0.0.1", format!("?sslmode=require&sslrootcert={foreign}"), "sslrootcert"),
        ("127.0.0.1", format!("?sslmode=verify-ca&sslrootcert={trusted}"), ""),
        ("127.0.0.1", format!("?sslmode=verify-ca&sslrootcert={foreign}"), "sslrootcert"),
        ("localhost", format!("?sslmode=verify-full&sslrootcert={trusted}"), ""),
        ("localhost", "?sslmode=verify-full".into(), "sslrootcert"),
        ("127.0.0.1", format!("?sslmode=verify-full&sslrootcert={trusted}"), "for another host"),
    ] {
        let url = server.url("panel").replace("127.0.0.1", host) + &query;
        let why = refusal(&open_url(&url)).await;
        let good = if says.is_empty() { why.is_empty() } else { why.contains(says) };
        assert!(good, "{host}{query}: {why:?}");
    }
}

/// If TLS is required, the connection does not fall back to plain text.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let scratch = Scratch::migrated().await;
    let url = url(&scratch.name);
    let why = refusal(&open_url(&format!("{url}?sslmode=require"))).await;
    assert!(why.contains("does not offer TLS"), "{why}");
    assert_eq!(refusal(&open_url(&format!("{url}?sslmode=prefer"))).await, "");
}

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Int4)]
    pid: i32,
}

/// Workers ask for the lock every second while another one's pass takes long.
#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_has_to_wait_opens_no_connections() {
    let scratch = Scratch::migrated().await;
    // With one connection each, the session shows whether it was replaced.
    let [holder, waiting] = [(); 2].map(|()| open_with(&url(&scratch.name), 1));
    let session = async || {
        let mut conn = waiting.conn().await.unwrap();
        diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result::<Session>(&mut conn).await.unwrap().pid
    };
    let lock = SessionLock::take(&holder, Exclusive::Reconciler).await.unwrap().expect("nobody holds it");
    let before = session().await;
    for _ in 0..5 {
        assert!(SessionLock::take(&waiting, Exclusive::Reconciler).await.unwrap().is_none());
    }
    assert_eq!(session().await, before);
    lock.end().await;
    let lock = SessionLock::take(&waiting, Exclusive::Reconciler).await.unwrap().expect("the lock was released");
    assert_ne!(session().await, before, "a connection with the lock does not return to the pool");
    drop(lock);
}
