//! The dashboard link and the devices of an instance. The fake gateway prints recorded output of the real one;
//! `real_openclaw` tests the real one.

use clawdeploy_tests::{Client, TestEnv};
use serde_json::json;

use super::{NO_INSTANCE, NO_UUID, Site, bare};
use crate::support::{done, redacted, running};

/// Ids in that output.
const WAITING: &str = "ab4fd755-e76d-49de-96cb-98c46ac66196";
const PAIRED: &str = "abb4a6afbe686908ec9263d81ff0753b05231284ea0b892a553584683f8ecda3";
/// The gateway's own token in that output, which must not be passed on.
const SHARED: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOOTSTRAP: &str = "GkqBXhwwdmTsG9AwLiAlXUuXsXzOQLXu7U7HQzdzJ3w";

/// All routes, with ids that exist.
fn routes(id: &str) -> [(&'static str, String); 5] {
    [
        ("POST", format!("/api/instances/{id}/dashboard-link")),
        ("GET", format!("/api/instances/{id}/devices")),
        ("POST", format!("/api/instances/{id}/devices/{WAITING}/approve")),
        ("POST", format!("/api/instances/{id}/devices/{WAITING}/reject")),
        ("DELETE", format!("/api/instances/{id}/devices/{PAIRED}")),
    ]
}

fn each(client: &Client, id: &str, case: &'static str) -> Vec<(&'static str, reqwest::RequestBuilder)> {
    routes(id).iter().map(|(method, path)| (case, bare(client, method, path))).collect()
}

#[tokio::test]
async fn a_link_for_the_owner_only() {
    let site = Site::with(TestEnv::builder()).await;
    site.env.remember_secret(BOOTSTRAP);
    site.env.remember_secret(SHARED);
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let answer = site.ann.post_empty(&format!("/api/instances/{id}/dashboard-link")).await.expect(200);
    let dashboard = site.ann.instance(id).await["dashboardUrl"].as_str().unwrap().to_owned();
    let want = format!("{dashboard}#bootstrapToken={BOOTSTRAP}&bootstrapProfile=owner");
    assert_eq!(answer.json, json!({ "url": want, "expiresAt": "2026-11-25T15:06:46.139Z" }));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let entry =
        site.env.row("SELECT actor, target_id, detail FROM audit WHERE action = 'instance.dashboard_link'").await;
    let detail = json!({ "expiresAt": "2026-11-25T15:06:46.139Z" });
    assert_eq!(entry, json!({ "actor": "ann@test.example", "target_id": id, "detail": detail }));
    site.env.finish().await;
}

#[tokio::test]
async fn devices_are_listed_let_in_turned_away_and_shut_out() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let [_, list, approve, reject, remove] = routes(&made.instance);
    let listed = site.ann.get(&list.1).await.expect(200).json;
    insta::assert_json_snapshot!(redacted(&listed["pending"]), @r#"
    [
      {
        "clientId": "openclaw-control-ui",
        "deviceId": "1e8164d7d9017d829e6a582164ddb08c8236a25770806601aa3b812fd1d15161",
        "platform": "Linux x86_64",
        "remoteIp": "198.51.100.7",
        "requestId": "[request]",
        "requestedAt": "[time]",
        "role": "operator",
        "scopes": [
          "operator.admin",
          "operator.read",
          "operator.write",
          "operator.approvals",
          "operator.questions",
          "operator.pairing"
        ]
      }
    ]
    "#);
    assert_eq!((&listed["paired"][0]["deviceId"], &listed["paired"][0]["connected"]), (&json!(PAIRED), &json!(false)));
    assert_eq!(listed["paired"][0]["approvedAt"], "2026-11-25T15:02:07.096Z");

    let device = site.ann.post_empty(&approve.1).await.expect(200).json;
    assert_eq!(device["role"], "operator");
    site.ann.post_empty(&reject.1).await.expect(204);
    site.ann.delete(&remove.1).await.expect(204);
    let audit = site.env.rows("SELECT action, detail FROM audit WHERE action LIKE 'device.%' ORDER BY id").await;
    let actions: Vec<_> = audit.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["device.approve", "device.reject", "device.remove"]);
    assert_eq!(audit[0]["detail"]["deviceId"], device["deviceId"]);
    assert_eq!((&audit[1]["detail"]["requestId"], &audit[2]["detail"]["deviceId"]), (&json!(WAITING), &json!(PAIRED)));
    site.env.finish().await;
}

#[tokio::test]
async fn refused() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    for (client, id, want) in [
        (&site.anon, id, "401 unauthenticated"),
        (&site.bob, id, "404 not_found"),
        (&site.admin, id, "404 not_found"),
        (&site.ann, NO_INSTANCE, "404 not_found"),
        (&site.ann, "x", "400 invalid_path id: invalid"),
    ] {
        let table = site.refusals(each(client, id, want)).await;
        assert_eq!(table, vec![format!("{want}: {want}"); 5].join("\n"));
    }
    let of = |method, rest: &str| bare(&site.ann, method, &format!("/api/instances/{id}/devices/{rest}"));
    let unknown = "0".repeat(64);
    let cases = vec![
        ("let in whom nobody knows", of("POST", &format!("{NO_UUID}/approve"))),
        ("turn away whom nobody knows", of("POST", &format!("{NO_UUID}/reject"))),
        ("shut out whom nobody knows", of("DELETE", &unknown)),
        ("an option for an id", of("POST", "--latest/approve")),
        ("a command for an id", of("POST", "$(id)/reject")),
        ("an option for a device", of("DELETE", "--help")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    let in whom nobody knows: 404 pairing_request_not_found
    turn away whom nobody knows: 404 pairing_request_not_found
    shut out whom nobody knows: 404 device_not_found
    an option for an id: 400 invalid_path id: invalid
    a command for an id: 400 invalid_path id: invalid
    an option for a device: 400 invalid_path id: invalid
    ");
    done(&site.env, id, "stop").await;
    let table = site.refusals(each(&site.ann, id, "stopped")).await;
    assert_eq!(table, ["stopped: 409 not_running"; 5].join("\n"));
    site.env.finish().await;
}
