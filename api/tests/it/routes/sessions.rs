//! Sessions of browsers.

use serde_json::json;

use super::{NO_UUID, Site, bare};
use clawdeploy_tests::cases::redacted;

const PATH: &str = "/api/sessions";
const PASSWORD: &str = "canary horse battery";

/// A browser in which `name` is signed in.
pub(super) async fn browser(site: &Site, name: &str, agent: &str) -> clawdeploy_tests::Client {
    let email = format!("{name}@test.example");
    site.env.account(&email).await;
    let form = json!({ "email": email, "password": PASSWORD });
    let request = site.anon.request("POST".parse().unwrap(), "/api/auth/login").json(&form);
    let answer = site.anon.send(request.header("user-agent", agent)).await.expect(200);
    site.anon.signed_in(&answer)
}

#[tokio::test]
async fn listed_and_ended_one_by_one() {
    let site = Site::new().await;
    let laptop = browser(&site, "eve", "Laptop/1.0").await;
    let phone = browser(&site, "eve", &"Phone".repeat(100)).await;
    let other = browser(&site, "dan", "Other").await;
    let list = phone.get(PATH).await.expect(200).json;
    let of = |agent: &str| {
        let items = list["items"].as_array().unwrap();
        items.iter().find(|item| item["userAgent"].as_str().unwrap().starts_with(agent)).unwrap().clone()
    };
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(of("Phone")["userAgent"].as_str().unwrap().len(), 256);
    insta::assert_json_snapshot!(redacted(&of("Laptop")), @r#"
    {
      "clientIp": "127.0.0.1",
      "createdAt": "[time]",
      "current": false,
      "expiresAt": "[time]",
      "id": "[uuid]",
      "lastSeenAt": "[time]",
      "userAgent": "Laptop/1.0"
    }
    "#);
    assert_eq!(of("Phone")["current"], true);

    let id = of("Laptop")["id"].as_str().unwrap().to_owned();
    let end = |client, id: &str| bare(client, "DELETE", &format!("{PATH}/{id}"));
    let cases = vec![
        ("nobody", end(&site.anon, &id)),
        ("somebody else's", end(&other, &id)),
        ("an administrator", end(&site.admin, &id)),
        ("one that is not there", end(&phone, NO_UUID)),
        ("no id", end(&phone, "x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    nobody: 401 unauthenticated
    somebody else's: 404 not_found
    an administrator: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");
    phone.delete(&format!("{PATH}/{id}")).await.expect(204);
    assert_eq!(laptop.get("/api/me").await.brief(), "401 unauthenticated");
    phone.get("/api/me").await.expect(200);
    other.get("/api/me").await.expect(200);
    site.env.finish().await;
}

#[tokio::test]
async fn signing_in_again_ends_what_the_browser_had() {
    let site = Site::new().await;
    let before = browser(&site, "eve", "Laptop").await;
    let form = json!({ "email": "eve@test.example", "password": PASSWORD });
    let after = before.signed_in(&before.post("/api/auth/login", &form).await.expect(200));
    assert_ne!(before.cookie(), after.cookie());
    assert_eq!(before.get("/api/me").await.brief(), "401 unauthenticated");
    after.get("/api/me").await.expect(200);
    site.env.finish().await;
}

#[tokio::test]
async fn they_end_by_time_by_silence_and_with_the_account() {
    let site = Site::new().await;
    for (name, end) in [
        ("cid", "UPDATE sessions SET expires_at = now()"),
        ("dan", "UPDATE sessions SET last_seen_at = now() - interval '25 hours'"),
        ("eli", "UPDATE users SET suspended_at = now() WHERE email = 'eli@test.example'"),
    ] {
        let client = browser(&site, name, "Laptop").await;
        client.get("/api/me").await.expect(200);
        site.env.execute(end).await;
        assert_eq!(client.get("/api/me").await.brief(), "401 unauthenticated", "{name}");
    }
    site.env.finish().await;
}
