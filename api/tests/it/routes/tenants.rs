//! Row-level security, the second barrier between users. All queries are scoped too, so it shows only in queries
//! without a scope, as here.

use clawdeploy_shared::{
    db::{Conn, DbError, Scope, user::Role},
    ids::UserId,
};
use diesel::{
    QueryableByName,
    result::{DatabaseErrorKind, Error},
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::json;

use super::{
    Site,
    authz::{Rule, filled, operations, rule},
    bare, with,
};

mod connection;

/// Tables with rows of users, and the owner of each row.
const OWNED: [(&str, &str); 12] = [
    ("users", "id"),
    ("instances", "owner_id"),
    ("jobs", "owner_id"),
    ("recoverable_instances", "owner_id"),
    ("terminals", "user_id"),
    ("sessions", "user_id"),
    ("api_tokens", "user_id"),
    ("audit", "coalesce(owner_id, actor_id)"),
    ("job_events", "(SELECT owner_id FROM jobs WHERE jobs.id = job_id)"),
    ("ports", "(SELECT owner_id FROM instances WHERE instances.id = instance_id)"),
    ("snapshots", "(SELECT owner_id FROM instances WHERE instances.id = instance_id)"),
    ("instance_usage", "(SELECT owner_id FROM instances WHERE instances.id = instance_id)"),
];

/// Views under a table's former name, for programs of the previous release.
const FORMER: [(&str, &str); 1] =
    [("instance_stats", "(SELECT owner_id FROM instances WHERE instances.id = instance_id)")];

/// Tables that are the same for all users. Add one only for a good reason.
const SHARED: [&str; 4] = ["images", "queue_pauses", "version_policy", "workers"];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

async fn count(conn: &mut Conn, of: &str) -> i64 {
    let query = format!("SELECT count(*) AS count FROM {of}");
    diesel::sql_query(query).get_result::<Count>(conn).await.unwrap().count
}

async fn names(conn: &mut Conn, query: &str) -> Vec<String> {
    let rows: Vec<Name> = diesel::sql_query(query).load(conn).await.unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

/// Two users with a row in every table, and their ids. Nothing ends their jobs, so tests with them never `finish`.
async fn neighbours(site: &Site) -> (UserId, UserId) {
    for (client, name) in [(&site.ann, "anns"), (&site.bob, "bobs")] {
        client.create(name).await;
    }
    let rows = "INSERT INTO terminals (id, user_id, instance_id, worker) \
          SELECT gen_random_uuid(), owner_id, id, 'w' FROM instances; \
        INSERT INTO sessions (id, user_id, token_hash, user_agent, expires_at) \
          SELECT gen_random_uuid(), owner_id, sha256(id::bytea), 'x', now() + interval '1 hour' FROM instances; \
        INSERT INTO ports (port, instance_id) SELECT 20000 + row_number() OVER (), id FROM instances; \
        INSERT INTO snapshots (id, instance_id, job_id, reason, status, was_running, from_image, from_settings, to_image, \
          to_settings) SELECT gen_random_uuid(), id, gen_random_uuid(), 'update', 'kept', true, 'a', '{}', 'b', '{}' FROM instances; \
        INSERT INTO recoverable_instances (id, state, owner_id, reason, expires_at) \
          SELECT 'gone' || right(id, 8), 'deleted', owner_id, 'x', now() + interval '1 hour' FROM instances; \
        INSERT INTO instance_usage SELECT id, now(), 1, 1, 1, 1, 1, 1, 1 FROM instances";
    site.env.db.conn().await.unwrap().batch_execute(rows).await.unwrap();
    (site.env.user_id("ann", Role::User).await, site.env.user_id("bob", Role::User).await)
}

#[tokio::test]
async fn a_query_that_forgets_whose_rows_it_is_about_finds_ones_own() {
    let site = Site::new().await;
    let (ann, bob) = neighbours(&site).await;
    let mut system = site.env.db.conn().await.unwrap();
    for (table, owner) in OWNED.into_iter().chain(FORMER) {
        let all = count(&mut system, table).await;
        // The same connection serves one user after the other.
        for person in [ann, bob, ann] {
            let own = count(&mut system, &format!("{table} WHERE {owner} = '{person}'")).await;
            assert!(0 < own && own < all, "{table}: {own} of {all}");
            let of = if table == "users" { "(SELECT id FROM users) u" } else { table };
            let asked = site.env.db.read(Scope::Owner(person), async |conn| {
                assert_eq!(count(conn, of).await, own, "{table}");
                conn.batch_execute("SET LOCAL clawdeploy.tenant = ''").await?;
                assert_eq!(count(conn, of).await, 0, "{table}, in nobody's name");
                Ok::<_, DbError>(())
            });
            asked.await.unwrap();
        }
    }
    let policed = "SELECT relname::text AS name FROM pg_class WHERE relrowsecurity ORDER BY 1";
    let mut listed = OWNED.map(|(table, _)| table);
    listed.sort_unstable();
    assert_eq!(names(&mut system, policed).await, listed);
}

#[tokio::test]
async fn nor_does_it_change_anything_else() {
    let site = Site::new().await;
    let (ann, bob) = neighbours(&site).await;
    let before = site.env.fingerprint().await;
    let changed = site.env.db.write(Scope::Owner(ann), async |conn| {
        for (statement, rows) in [
            ("UPDATE instances SET name = 'mine'", 1),
            ("UPDATE jobs SET payload = '{}'", 1),
            ("UPDATE terminals SET close_reason = 'closed'", 1),
            ("DELETE FROM terminals", 1),
            ("DELETE FROM sessions", 1),
            ("UPDATE api_tokens SET revoked_at = now()", 1),
            ("UPDATE users SET name = 'me'", 1),
        ] {
            assert_eq!(diesel::sql_query(statement).execute(conn).await.unwrap(), rows, "{statement}");
        }
        Err::<(), _>(Error::RollbackTransaction.into())
    });
    assert!(matches!(changed.await, Err(DbError::Query(Error::RollbackTransaction))));
    for statement in [
        format!("UPDATE instances SET owner_id = '{bob}'"),
        format!(
            "INSERT INTO audit (actor_id, actor, action, target_kind, target_id) VALUES ('{bob}', 'b', 'a.b', 'c', 'd')"
        ),
        format!(
            "INSERT INTO jobs (id, kind, queue, owner_id) VALUES (gen_random_uuid(), 'noop', 'lifecycle', '{bob}')"
        ),
        "INSERT INTO jobs (id, kind, queue) VALUES (gen_random_uuid(), 'update_all', 'rollouts')".to_owned(),
        "INSERT INTO job_events (job_id, attempt, kind) VALUES ((SELECT id FROM jobs WHERE false), 0, 'log')"
            .to_owned(),
        "UPDATE users SET role = 'admin'".to_owned(),
        "SELECT password_hash FROM users".to_owned(),
        "SELECT totp_sealed FROM users".to_owned(),
        "DELETE FROM instances".to_owned(),
        "DELETE FROM audit".to_owned(),
        // A partition has no policies.
        "SELECT id FROM audit_default".to_owned(),
    ] {
        let refused = site.env.db.write(Scope::Owner(ann), async |conn| {
            Ok::<_, DbError>(diesel::sql_query(&statement).execute(conn).await?)
        });
        let refused = refused.await;
        let Err(DbError::Query(Error::DatabaseError(kind, info))) = refused else { panic!("{statement}: {refused:?}") };
        let why = info.message();
        let fenced = why.contains("row-level security") || why.contains("permission denied");
        assert!(fenced || kind == DatabaseErrorKind::NotNullViolation, "{statement}: {why}");
    }
    assert_eq!(site.env.fingerprint().await, before);
}

#[tokio::test]
async fn a_table_is_closed_until_somebody_decides() {
    let site = Site::new().await;
    let ann = site.env.user_id("ann", Role::User).await;
    let open = "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') \
                AND NOT relrowsecurity AND NOT coalesce('security_invoker=true' = ANY(reloptions), false) AND has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE') ORDER BY 1";
    let changeable = "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
                      AND NOT relrowsecurity AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1";
    let asked = site.env.db.read(Scope::Owner(ann), async |conn| {
        assert_eq!(names(conn, open).await, SHARED);
        assert_eq!(names(conn, changeable).await, Vec::<String>::new());
        Ok::<_, DbError>(())
    });
    asked.await.unwrap();
}

/// The API reads a user's data with the tenant's role: without its privileges, it gets nothing.
#[tokio::test]
async fn whatever_a_person_asks_for_is_asked_there() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let shut = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM clawdeploy_tenant";
    site.env.db.conn().await.unwrap().batch_execute(shut).await.unwrap();
    let before = site.env.fingerprint().await;
    let lists = ["/api/instances", "/api/instances/usage", "/api/tokens", "/api/sessions", "/api/audit"];
    let mut asked = 0;
    for (method, path) in operations(&site).await {
        let owned = matches!(rule(&method, &path), Rule::Owner | Rule::OwnerAlone);
        if !owned && !lists.contains(&path.as_str()) {
            continue;
        }
        asked += 1;
        let url = filled(&path, &made.instance, &made.job);
        let request = match (method.as_str(), path.as_str()) {
            ("PATCH", "/api/instances/{id}") | ("POST", "/api/instances" | "/api/tokens") => {
                with(&site.ann, &method, &url, &json!({ "name": "other" }))
            }
            _ => bare(&site.ann, &method, &url),
        };
        let answer = site.ann.send(request).await;
        assert_eq!(answer.brief(), "500 internal_error", "{method} {path}");
    }
    assert!(asked >= 30, "the document has lost operations: {asked}");
    assert_eq!(site.env.fingerprint().await, before);
    // Reads of administrators and of the system use another role.
    site.admin.get(&format!("/api/instances/{}", made.instance)).await.expect(200);
    site.ann.get("/api/me").await.expect(200);
    site.admin.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}
