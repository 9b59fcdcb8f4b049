//! The audit log: users see their part, administrators all of it, and no one can change it.

use serde_json::json;

use super::{Site, bare, with};

/// Ann and Bob create something, and a sign-in fails.
async fn site() -> Site {
    let site = Site::new().await;
    site.ann.post("/api/tokens", &json!({ "name": "hers" })).await.expect(201);
    site.bob.post("/api/tokens", &json!({ "name": "his" })).await.expect(201);
    let made = site.ann.create("first").await;
    site.admin.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let wrong = json!({ "email": "=eve@test.example", "password": "canary wrong one" });
    site.anon.send(with(&site.anon, "POST", "/api/auth/login", &wrong)).await.expect(401);
    site
}

#[tokio::test]
async fn everybody_sees_what_concerns_them() {
    let site = site().await;
    let own = site.ann.get("/api/audit").await.expect(200).json;
    let lines: Vec<_> = own["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{} {} {}", item["action"], item["actor"], item["clientIp"]).replace('"', ""))
        .collect();
    assert_eq!(
        lines,
        [
            "job.cancel admin@test.example null",
            "instance.create ann@test.example 127.0.0.1",
            "token.create ann@test.example 127.0.0.1",
        ]
    );
    assert!(!own.to_string().contains("bob"));
    insta::assert_snapshot!(site.refusals(vec![("nobody", bare(&site.anon, "GET", "/api/audit"))]).await, @"nobody: 401 unauthenticated");
    site.env.finish().await;
}

#[tokio::test]
async fn administrators_filter_and_export() {
    let site = site().await;
    let found = async |query: &str| {
        let list = site.admin.get(&format!("/api/admin/audit?{query}")).await.expect(200).json;
        let actions = list["items"].as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap().to_owned());
        actions.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("").await, "auth.login job.cancel instance.create token.create token.create");
    assert_eq!(found("actor=bob@test.example").await, "token.create");
    assert_eq!(found("action=token").await, "token.create token.create");
    assert_eq!(found("action=instance.create").await, "instance.create");
    assert_eq!(found("action=tok").await, "");
    assert_eq!(found("outcome=failure").await, "auth.login");
    assert_eq!(found("targetKind=job&outcome=success").await, "job.cancel");
    assert_eq!(found("until=2020-01-01T00:00:00Z").await, "");
    assert_eq!(found("from=2020-01-01T00:00:00Z&limit=1").await, "auth.login");

    let export = "/api/admin/audit/export?action=auth.login";
    let lines = site.admin.get(export).await.expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!((lines.text.lines().count(), lines.json["outcome"].as_str()), (1, Some("failure")));
    let table = site.admin.send(bare(&site.admin, "GET", export).header("accept", "text/csv")).await.expect(200);
    assert!(table.header("content-disposition").unwrap().contains("audit.csv"));
    assert_eq!(table.text.lines().count(), 2);
    assert!(table.text.contains("\"'=eve@test.example\""), "{}", table.text);

    let cases = vec![
        ("by a user", bare(&site.ann, "GET", "/api/admin/audit/export")),
        ("no outcome", bare(&site.admin, "GET", "/api/admin/audit?outcome=maybe")),
        ("no person", bare(&site.admin, "GET", "/api/admin/audit/export?ownerId=ann")),
        ("another field", bare(&site.admin, "GET", "/api/admin/audit?who=ann")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    by a user: 403 admin_only
    no outcome: 400 invalid_query outcome: invalid
    no person: 400 invalid_query ownerId: invalid
    another field: 400 invalid_query who: unknown_field
    ");
    site.env.finish().await;
}

/// The export has several batches; each entry must be in it once.
#[tokio::test]
async fn a_long_log_is_exported_whole() {
    let site = Site::new().await;
    let many = "INSERT INTO audit (actor, action, target_kind, target_id) \
        SELECT 'test', 'test.many', 'test', n::text FROM generate_series(1, 1203) n";
    site.env.execute(many).await;
    let export = site.admin.get("/api/admin/audit/export?action=test").await.expect(200);
    let ids: std::collections::BTreeSet<_> = export.text.lines().collect();
    assert_eq!((export.text.lines().count(), ids.len()), (1203, 1203));
    site.env.finish().await;
}

#[tokio::test]
async fn nothing_in_it_can_be_changed() {
    use diesel_async::RunQueryDsl as _;
    let site = site().await;
    let mut conn = site.env.connect().await;
    for sql in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = diesel::sql_query(sql).execute(&mut conn).await.unwrap_err().to_string();
        assert_eq!(refused, "rows of audit are only ever added", "{sql}");
    }
    site.env.finish().await;
}
