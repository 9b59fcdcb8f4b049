//! Deleted instances, which their owners and administrators can restore.

use clawdeploy_shared::db::user::Role;
use serde_json::json;

use super::{NO_INSTANCE, NO_UUID, Site, bare, with};
use clawdeploy_tests::cases::redacted;

const OWN: &str = "/api/instances/deleted";
const ALL: &str = "/api/admin/recoverable-instances";
/// Recoverable instances: one of `ann` that was deleted, an expired one, one that is to be purged, and an unclaimed
/// directory.
const DELETED: &str = "deleted00000";
const EXPIRED: &str = "expired00000";
const PURGED: &str = "purged000000";
const UNCLAIMED: &str = "unclaimed000";

/// An installation with these instances. Without workers, missing files are not noticed.
async fn site() -> Site {
    let site = Site::new().await;
    let ann = site.env.user_id("ann", Role::User).await;
    let rows = [
        (DELETED, "deleted", "now() + interval '1 day'", "null", "1000"),
        (EXPIRED, "deleted", "now() - interval '1 second'", "null", "null"),
        (PURGED, "deleted", "now() + interval '1 day'", "now()", "null"),
        (UNCLAIMED, "unclaimed", "null", "null", "null"),
    ];
    for (n, (id, state, expires, purge, bytes)) in rows.iter().enumerate() {
        let sql = format!(
            "INSERT INTO recoverable_instances (id, state, owner_id, owner_email, name, reason, since, expires_at, \
               purge_requested_at, bytes) \
             VALUES ('{id}', '{state}', '{ann}', 'ann@before.example', 'my {state}', 'For a test.', \
               now() - interval '{n} minutes', {expires}, {purge}, {bytes})"
        );
        site.env.execute(&sql).await;
    }
    site
}

fn undelete(id: &str) -> String {
    format!("/api/instances/{id}/undelete")
}

fn restore(id: &str) -> String {
    format!("{ALL}/{id}/restore")
}

fn purge(id: &str) -> String {
    format!("{ALL}/{id}")
}

/// Cancels the job that restores an instance.
async fn cancel(site: &Site, job: &str) {
    site.admin.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
}

/// The row of an instance.
async fn instance(site: &Site, id: &str) -> serde_json::Value {
    site.env.row(&format!("SELECT * FROM instances WHERE id = '{id}'")).await
}

#[tokio::test]
async fn lists() {
    let site = site().await;
    insta::assert_json_snapshot!(redacted(&site.ann.get(OWN).await.expect(200).json), @r#"
    {
      "items": [
        {
          "bytes": 1000,
          "deletedAt": "[time]",
          "expiresAt": "[time]",
          "id": "[instance]",
          "name": "my deleted"
        }
      ]
    }
    "#);
    assert_eq!(site.bob.get(OWN).await.expect(200).json, json!({ "items": [] }));
    assert_eq!(site.admin.get(OWN).await.expect(200).json, json!({ "items": [] }), "an administrator's own");
    let all = site.admin.get(ALL).await.expect(200).json;
    let ids: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [DELETED, EXPIRED, PURGED, UNCLAIMED]);
    insta::assert_json_snapshot!(redacted(&all["items"][3]), @r#"
    {
      "bytes": null,
      "expiresAt": null,
      "id": "[instance]",
      "name": "my unclaimed",
      "ownerEmail": "ann@test.example",
      "ownerId": "[uuid]",
      "purgeRequestedAt": null,
      "reason": "For a test.",
      "since": "[time]",
      "state": "unclaimed"
    }
    "#);
    let cases = vec![
        ("no token", bare(&site.anon, "GET", OWN)),
        ("all: no token", bare(&site.anon, "GET", ALL)),
        ("all: not an administrator", bare(&site.ann, "GET", ALL)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    all: no token: 401 unauthenticated
    all: not an administrator: 403 admin_only
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn taken_back() {
    let site = site().await;
    let path = undelete(DELETED);
    let cases = vec![
        ("no token", bare(&site.anon, "POST", &path)),
        ("somebody else's", bare(&site.bob, "POST", &path)),
        ("an administrator", bare(&site.admin, "POST", &path)),
        ("one that is not there", bare(&site.ann, "POST", &undelete(NO_INSTANCE))),
        ("no id", bare(&site.ann, "POST", &undelete("x"))),
        ("expired", bare(&site.ann, "POST", &undelete(EXPIRED))),
        ("to be removed", bare(&site.ann, "POST", &undelete(PURGED))),
        ("an administrator's to give", bare(&site.ann, "POST", &undelete(UNCLAIMED))),
        ("another field", with(&site.ann, "POST", &path, &json!({ "owner": "me" }))),
        ("no name", with(&site.ann, "POST", &path, &json!({ "name": " " }))),
        ("no text", with(&site.ann, "POST", &path, &json!({ "name": 7 }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    an administrator: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    expired: 404 not_found
    to be removed: 404 not_found
    an administrator's to give: 404 not_found
    another field: 400 unknown_field owner: unknown_field
    no name: 422 validation_failed name: required
    no text: 400 invalid_body name: invalid
    ");
    let other = site.ann.create("my deleted").await;
    let taken = vec![("a name that is taken", bare(&site.ann, "POST", &path))];
    insta::assert_snapshot!(site.refusals(taken).await, @"a name that is taken: 409 name_taken name: taken");
    let ann = site.env.user_id("ann", Role::User).await;
    let quota = |instances: i64| json!({ "quotas": { "instances": instances } });
    site.admin.patch(&format!("/api/admin/users/{ann}"), &quota(1)).await.expect(200);
    let full = vec![("more than one may have", with(&site.ann, "POST", &path, &json!({ "name": "again" })))];
    insta::assert_snapshot!(site.refusals(full).await, @"more than one may have: 409 instance_limit");
    site.admin.patch(&format!("/api/admin/users/{ann}"), &quota(2)).await.expect(200);

    let back = site.ann.post(&path, &json!({ "name": "again" })).await.accepted();
    assert_eq!(back.instance, DELETED);
    assert_eq!(back.answer.header("location"), Some(format!("/api/jobs/{}", back.job).as_str()));
    let row = instance(&site, DELETED).await;
    assert_eq!((&row["name"], &row["owner_id"]), (&json!("again"), &json!(ann)));
    let cases = vec![
        ("once more", bare(&site.ann, "POST", &path)),
        ("by an administrator", bare(&site.admin, "POST", &restore(DELETED))),
        ("removed meanwhile", bare(&site.admin, "DELETE", &purge(DELETED))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    once more: 404 not_found
    by an administrator: 404 not_found
    removed meanwhile: 409 job_in_progress
    ");
    let told = site.env.row("SELECT actor, detail FROM audit WHERE action = 'instance.undelete'").await;
    assert_eq!((&told["actor"], &told["detail"]["was"]), (&json!("ann@test.example"), &json!("deleted")));
    for job in [&other.job, &back.job] {
        cancel(&site, job).await;
    }
    site.env.finish().await;
}

#[tokio::test]
async fn restored_by_an_administrator() {
    let site = site().await;
    let path = restore(UNCLAIMED);
    let cases = vec![
        ("no token", bare(&site.anon, "POST", &path)),
        ("not an administrator", bare(&site.ann, "POST", &path)),
        ("one that is not there", bare(&site.admin, "POST", &restore(NO_INSTANCE))),
        ("no id", bare(&site.admin, "POST", &restore("x"))),
        ("expired", bare(&site.admin, "POST", &restore(EXPIRED))),
        ("to be removed", bare(&site.admin, "POST", &restore(PURGED))),
        ("no account", with(&site.admin, "POST", &path, &json!({ "ownerId": NO_UUID }))),
        ("no id of an account", with(&site.admin, "POST", &path, &json!({ "ownerId": "x" }))),
        ("no name", with(&site.admin, "POST", &path, &json!({ "name": "" }))),
        ("another field", with(&site.admin, "POST", &path, &json!({ "owner": "x" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    not an administrator: 403 admin_only
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    expired: 404 not_found
    to be removed: 404 not_found
    no account: 422 validation_failed ownerId: unknown_value
    no id of an account: 400 invalid_body ownerId: invalid
    no name: 422 validation_failed name: required
    another field: 400 unknown_field owner: unknown_field
    ");
    let bob = site.env.user_id("bob", Role::User).await;
    let back = site.admin.post(&path, &json!({ "ownerId": bob, "name": "given" })).await.accepted();
    assert_eq!(back.answer.header("location"), Some(format!("/api/jobs/{}", back.job).as_str()));
    let row = instance(&site, UNCLAIMED).await;
    assert_eq!((&row["name"], &row["owner_id"]), (&json!("given"), &json!(bob)));
    assert_eq!(site.ann.get(&format!("/api/instances/{UNCLAIMED}")).await.brief(), "404 not_found");
    let cases = vec![
        ("once more", bare(&site.admin, "POST", &path)),
        ("removed meanwhile", bare(&site.admin, "DELETE", &purge(UNCLAIMED))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    once more: 404 not_found
    removed meanwhile: 409 job_in_progress
    ");
    let told = site.env.row("SELECT owner_id FROM audit WHERE action = 'instance.restore'").await;
    assert_eq!(told["owner_id"], json!(bob));
    cancel(&site, &back.job).await;
    insta::assert_snapshot!(
        site.refusals(vec![("an instance that is there", bare(&site.admin, "DELETE", &purge(UNCLAIMED)))]).await,
        @"an instance that is there: 409 wrong_status"
    );
    site.env.finish().await;
}

#[tokio::test]
async fn removed_for_good() {
    let site = site().await;
    let path = purge(DELETED);
    let cases = vec![
        ("no token", bare(&site.anon, "DELETE", &path)),
        ("not an administrator", bare(&site.ann, "DELETE", &path)),
        ("one that is not there", bare(&site.admin, "DELETE", &purge(NO_INSTANCE))),
        ("no id", bare(&site.admin, "DELETE", &purge("x"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    not an administrator: 403 admin_only
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");
    let asked = site.admin.delete(&path).await.expect(202).json;
    assert_eq!(asked["id"], DELETED);
    let before = site.env.fingerprint().await;
    let again = site.admin.delete(&path).await.expect(202).json;
    assert_eq!(again["purgeRequestedAt"], asked["purgeRequestedAt"], "asked again, nothing changes");
    assert_eq!(site.env.fingerprint().await, before);
    let cases = vec![
        ("taken back", bare(&site.ann, "POST", &undelete(DELETED))),
        ("restored", bare(&site.admin, "POST", &restore(DELETED))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    taken back: 404 not_found
    restored: 404 not_found
    ");
    let told =
        site.env.rows("SELECT target_id, detail->>'was' AS was FROM audit WHERE action = 'instance.purge'").await;
    assert_eq!(told, [json!({ "target_id": DELETED, "was": "deleted" })]);
    assert_eq!(site.ann.get(OWN).await.expect(200).json, json!({ "items": [] }));
    site.env.finish().await;
}
