//! A connection keeps nothing of a user's query, however that ended. The pool has one connection, so the next user gets
//! the same one, or a new one if it was closed.

use std::{future, time::Duration};

use clawdeploy_shared::{
    db::{Conn, Db, DbError, Scope},
    ids::UserId,
};
use clawdeploy_tests::{Installation, database};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Int4, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{Site, names, neighbours};

const SOON: Duration = Duration::from_secs(20);
const INSTANCES: &str = "SELECT name FROM instances ORDER BY 1";

#[derive(Debug, QueryableByName)]
struct Session {
    #[diesel(sql_type = Int4)]
    pid: i32,
    #[diesel(sql_type = Bool)]
    own_role: bool,
    #[diesel(sql_type = Text)]
    tenant: String,
}

/// The connection's Postgres process. Panics if the connection has a tenant or another role.
async fn nobodys(conn: &mut Conn) -> i32 {
    let query = "SELECT pg_backend_pid() AS pid, current_user = session_user AS own_role, \
                 coalesce(current_setting('clawdeploy.tenant', true), '') AS tenant";
    let session: Session = diesel::sql_query(query).get_result(conn).await.unwrap();
    assert!(session.own_role && session.tenant.is_empty(), "{session:?}");
    session.pid
}

/// As [`nobodys`], for the pool's only connection. Then each user must see only their own rows.
async fn left(db: &Db, (ann, bob): (UserId, UserId)) -> i32 {
    let pid = nobodys(&mut db.conn().await.unwrap()).await;
    assert_eq!(seen(db, bob).await, ["bobs"]);
    assert_eq!(seen(db, ann).await, ["anns"]);
    assert_eq!(nobodys(&mut db.conn().await.unwrap()).await, pid, "a clean connection must return to the pool");
    pid
}

async fn seen(db: &Db, person: UserId) -> Vec<String> {
    db.read(Scope::Owner(person), async |conn| Ok::<_, DbError>(names(conn, INSTANCES).await)).await.unwrap()
}

/// Two users with an instance each, and a pool of one connection.
async fn narrow() -> (Site, Db, (UserId, UserId)) {
    let site = Site::new().await;
    let people = neighbours(&site).await;
    let db = database::open_with(&database::url(&site.env.database()), 1);
    (site, db, people)
}

#[tokio::test]
async fn nothing_is_left_where_it_ended_in_order() {
    let (_site, db, people) = narrow().await;
    let scope = Scope::Owner(people.0);
    let pid = left(&db, people).await;

    let rename = "UPDATE instances SET name = 'mine'";
    let denied = db.read(scope, async |conn| Ok::<_, DbError>(conn.batch_execute(rename).await?)).await.unwrap_err();
    assert!(format!("{denied:?}").contains("read-only transaction"), "{denied:?}");
    assert_eq!(left(&db, people).await, pid);

    let taken_back = db.write(scope, async |conn| {
        conn.batch_execute(rename).await?;
        Err::<(), _>(DbError::Timeout)
    });
    assert!(matches!(taken_back.await, Err(DbError::Timeout)), "the error is the one that was met");
    assert_eq!(left(&db, people).await, pid);

    let broken = async |conn: &mut Conn| {
        conn.batch_execute(rename).await?;
        Ok::<_, DbError>(conn.batch_execute("SELECT 1 / 0").await?)
    };
    db.write(scope, broken).await.unwrap_err();
    assert_eq!(left(&db, people).await, pid);

    db.write(scope, async |conn| Ok::<_, DbError>(conn.batch_execute(rename).await?)).await.unwrap();
    assert_eq!(nobodys(&mut db.conn().await.unwrap()).await, pid);
    assert_eq!((seen(&db, people.0).await, seen(&db, people.1).await), (vec!["mine".into()], vec!["bobs".into()]));
}

/// The state in which a transaction is abandoned.
#[derive(Debug, Clone, Copy)]
enum Midst {
    /// It is open and idle.
    Idle,
    /// Postgres has not responded yet.
    Asking,
    Panic,
}

/// Begins a transaction of a user, and returns its Postgres process.
fn begin(
    db: &Db,
    person: UserId,
    write: bool,
    midst: Midst,
) -> (JoinHandle<Result<(), DbError>>, oneshot::Receiver<i32>) {
    let (db, scope) = (db.clone(), Scope::Owner(person));
    let (began, begun) = oneshot::channel();
    let work = async move |conn: &mut Conn| {
        let _ = began.send(pid_of(conn).await);
        match midst {
            Midst::Idle => future::pending().await,
            Midst::Asking => Ok::<_, DbError>(conn.batch_execute(INSTANCES).await?),
            Midst::Panic => panic!("a bug"),
        }
    };
    let asking =
        tokio::spawn(async move { if write { db.write(scope, work).await } else { db.read(scope, work).await } });
    (asking, begun)
}

/// A connection with an abandoned transaction is closed at once, not only when it is needed again.
#[tokio::test]
async fn a_connection_that_was_left_in_the_midst_is_closed() {
    let (site, db, people) = narrow().await;
    for (write, midst) in [false, true]
        .into_iter()
        .flat_map(|write| [Midst::Idle, Midst::Asking, Midst::Panic].map(|midst| (write, midst)))
    {
        let mut lock = site.env.connect().await;
        lock.batch_execute("BEGIN; LOCK TABLE instances IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let (asking, begun) = begin(&db, people.0, write, midst);
        let pid = begun.await.unwrap();
        if matches!(midst, Midst::Asking) {
            let blocked = async || stands(&site.env, pid, "wait_event_type = 'Lock'").await.then_some(());
            site.env.wait_for("the question to wait", SOON, blocked).await;
        }
        if !matches!(midst, Midst::Panic) {
            asking.abort();
        }
        let ended = asking.await.unwrap_err();
        assert_eq!(ended.is_panic(), matches!(midst, Midst::Panic), "{midst:?}");
        lock.batch_execute("ROLLBACK").await.unwrap();
        let gone = async || (!stands(&site.env, pid, "true").await).then_some(());
        site.env.wait_for("the connection's end", SOON, gone).await;
        left(&db, people).await;
    }
}

async fn pid_of(conn: &mut Conn) -> i32 {
    let query = "SELECT pg_backend_pid() AS pid, false AS own_role, current_setting('clawdeploy.tenant') AS tenant";
    let session: Session = diesel::sql_query(query).get_result(conn).await.unwrap();
    assert!(!session.tenant.is_empty());
    session.pid
}

async fn stands(env: &Installation, pid: i32, how: &str) -> bool {
    !env.rows(&format!("SELECT pid FROM pg_stat_activity WHERE pid = {pid} AND {how}")).await.is_empty()
}

/// By HTTP: many requests at once, and clients that disconnect. The API's own queries use the same connection and would
/// fail with a tenant's role.
#[tokio::test]
async fn people_share_the_connection_of_a_narrow_api() {
    let site = Site::with(&[("CLAWDEPLOY_DATABASE_CONNECTIONS", "1")]).await;
    neighbours(&site).await;
    let everybodys = async || {
        for (client, name) in [(&site.ann, "anns"), (&site.bob, "bobs")] {
            let answer = client.get("/api/instances").await.expect(200).json;
            let names: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
            assert_eq!(names, [name]);
        }
        let all = site.admin.get("/api/admin/instances").await.expect(200).json;
        assert_eq!(all["items"].as_array().unwrap().len(), 2);
    };
    futures_util::future::join_all((0..6).map(|_| everybodys())).await;
    for _ in 0..3 {
        let mut lock = site.env.connect().await;
        lock.batch_execute("BEGIN; LOCK TABLE instances IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let ann = site.ann.clone();
        let asking = tokio::spawn(async move { ann.get("/api/instances").await });
        let waits = async || {
            let query =
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (!site.env.rows(query).await.is_empty()).then_some(())
        };
        site.env.wait_for("ann's question to wait", SOON, waits).await;
        asking.abort();
        let _ = asking.await;
        lock.batch_execute("ROLLBACK").await.unwrap();
        everybodys().await;
    }
}
