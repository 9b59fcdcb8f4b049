//! Lists of instances and renames.

use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, bare, with};

async fn cancel(site: &Site, job: &str) {
    site.ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
}

#[tokio::test]
async fn list_in_pages() {
    let site = Site::new().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(site.ann.create(&format!("number {n}")).await);
    }
    site.env.execute("UPDATE instances SET created_at = now()").await;
    let (mut seen, mut path) = (Vec::new(), "/api/instances?limit=2".to_owned());
    loop {
        let page = site.ann.get(&path).await.expect(200).json;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        assert!(items.iter().all(|item| item["gatewayToken"] == Value::Null));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/instances?limit=2&cursor={cursor}");
    }
    let mut all: Vec<_> = made.iter().map(|accepted| accepted.instance.clone()).collect();
    all.sort();
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(sorted, all, "each exactly once, even where all were made in the same moment");

    let of = |query: &str| bare(&site.ann, "GET", &format!("/api/instances?{query}"));
    let cases = vec![
        ("no token", bare(&site.anon, "GET", "/api/instances")),
        ("limit 0", of("limit=0")),
        ("limit 101", of("limit=101")),
        ("a limit that is no number", of("limit=x")),
        ("another list's cursor", of("cursor=MTIz")),
        ("a cursor that is none", of("cursor=%00%00")),
        ("a parameter that is not known", of("page=2")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    limit 0: 400 invalid_query limit: out_of_range
    limit 101: 400 invalid_query limit: out_of_range
    a limit that is no number: 400 invalid_query limit: invalid
    another list's cursor: 400 invalid_query cursor: invalid
    a cursor that is none: 400 invalid_query cursor: invalid
    a parameter that is not known: 400 invalid_query page: unknown_field
    ");
    for accepted in made {
        cancel(&site, &accepted.job).await;
    }
    site.env.finish().await;
}

#[tokio::test]
async fn rename() {
    let site = Site::new().await;
    let (one, two) = (site.ann.create("one").await, site.ann.create("two").await);
    let path = format!("/api/instances/{}", one.instance);
    let renamed = site.ann.patch(&path, &json!({ "name": " 1 " })).await.expect(200).json;
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("1"), &json!(one.instance)));
    let audit = site.env.row("SELECT detail, actor FROM audit WHERE action = 'instance.rename'").await;
    assert_eq!(audit, json!({ "detail": { "from": "one", "to": "1" }, "actor": "ann@test.example" }));
    // The same name or an empty body is not a change.
    let before = site.env.fingerprint().await;
    for same in [json!({ "name": "1" }), json!({})] {
        site.ann.patch(&path, &same).await.expect(200);
    }
    assert_eq!(site.env.fingerprint().await, before);

    let named = |name: &str| json!({ "name": name });
    let cases = vec![
        ("no token", with(&site.anon, "PATCH", &path, &named("x"))),
        ("somebody else's", with(&site.bob, "PATCH", &path, &named("x"))),
        ("one that is not there", with(&site.ann, "PATCH", &format!("/api/instances/{NO_INSTANCE}"), &named("x"))),
        ("a name that is taken", with(&site.ann, "PATCH", &path, &named("two"))),
        ("an empty name", with(&site.ann, "PATCH", &path, &named(""))),
        ("a name of 65 characters", with(&site.ann, "PATCH", &path, &named(&"x".repeat(65)))),
        ("another field", with(&site.ann, "PATCH", &path, &json!({ "status": "running" }))),
        ("no body", bare(&site.ann, "PATCH", &path)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    a name that is taken: 409 name_taken name: taken
    an empty name: 422 validation_failed name: required
    a name of 65 characters: 422 validation_failed name: too_long
    another field: 400 unknown_field status: unknown_field
    no body: 415 unsupported_media_type
    ");
    for made in [one, two] {
        cancel(&site, &made.job).await;
    }
    site.env.finish().await;
}
