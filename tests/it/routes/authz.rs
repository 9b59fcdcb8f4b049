//! Every operation of the document, called by those who may not: a route that is added is covered without a word here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{NO_INSTANCE, NO_UUID, Site, bare};

/// What needs no token. Whoever adds a line here should know why.
const PUBLIC: [&str; 6] = [
    "GET /healthz",
    "GET /readyz",
    "GET /api/auth/options",
    "POST /api/auth/invitations/accept",
    "POST /api/auth/login",
    "POST /api/auth/setup",
];

/// Method and path of every operation.
async fn operations(site: &Site) -> Vec<(String, String)> {
    let document = site.anon.get("/api/openapi.json").await.expect(200).json;
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// The path with ids in it: those of `instance` and `job` where something is asked of them.
fn filled(path: &str, instance: &str, job: &str) -> String {
    let id = if path.contains("/jobs/{id}") {
        job
    } else if path.contains("/instances/{id}") {
        instance
    } else {
        NO_UUID
    };
    let device = "0".repeat(64);
    let path = path.replace("{requestId}", NO_UUID).replace("{deviceId}", &device);
    path.replace("{id}", id).replace("{queue}", "lifecycle")
}

#[tokio::test]
async fn without_a_token() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let before = site.env.fingerprint().await;
    let mut public = BTreeSet::new();
    for (method, path) in operations(&site).await {
        let operation = format!("{method} {path}");
        let path = filled(&path, &made.instance, &made.job);
        if PUBLIC.contains(&operation.as_str()) {
            public.insert(operation);
            continue;
        }
        for (client, code) in [
            (site.anon.clone(), "unauthenticated"),
            (site.anon.with_token("claw_00000000000000000000000000000000"), "invalid_token"),
            (site.anon.with_token("not one of ours"), "invalid_token"),
        ] {
            let answer = client.send(bare(&client, &method, &path)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, code), "{operation}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{operation}");
        }
    }
    assert_eq!(public.len(), PUBLIC.len(), "a public operation is gone: {public:?}");
    assert_eq!(site.env.fingerprint().await, before);
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

#[tokio::test]
async fn expired_revoked_and_suspended() {
    let site = Site::new().await;
    let works = async |client: &clawdeploy_tests::Client| client.get("/api/me").await.status.as_u16();
    let (expired, revoked, suspended) =
        (site.env.user("cid").await, site.env.user("dan").await, site.env.user("eli").await);
    for client in [&expired, &revoked, &suspended] {
        assert_eq!(works(client).await, 200);
    }
    let of = |name: &str| format!("(SELECT id FROM users WHERE email = '{name}@test.example')");
    site.env.execute(&format!("UPDATE api_tokens SET expires_at = now() WHERE user_id = {}", of("cid"))).await;
    site.env.execute(&format!("UPDATE api_tokens SET revoked_at = now() WHERE user_id = {}", of("dan"))).await;
    site.env.execute("UPDATE users SET suspended_at = now() WHERE email = 'eli@test.example'").await;
    for client in [&expired, &revoked, &suspended] {
        assert_eq!(works(client).await, 401);
    }
    site.env.finish().await;
}

/// What is somebody else's is not there; what is for administrators says so.
#[tokio::test]
async fn by_somebody_else() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let before = site.env.fingerprint().await;
    let mut asked = (0, 0);
    for (method, path) in operations(&site).await {
        let url = filled(&path, &made.instance, &made.job);
        // A body that is acceptable, so that it is not what is refused.
        let request = match (method.as_str(), path.as_str()) {
            ("PATCH", "/api/instances/{id}") => bare(&site.bob, &method, &url).json(&json!({ "name": "mine" })),
            _ => bare(&site.bob, &method, &url),
        };
        let want = if path.starts_with("/api/admin/") {
            asked.0 += 1;
            (403, "admin_only")
        } else if path.contains("{id}") {
            asked.1 += 1;
            (404, "not_found")
        } else {
            continue;
        };
        let answer = site.bob.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), want, "{method} {path}: {}", answer.text);
        // Word for word the answer for what does not exist.
        if want.0 == 404 {
            let nothing = filled(&path, NO_INSTANCE, NO_UUID);
            let request = match method.as_str() {
                "PATCH" => bare(&site.bob, &method, &nothing).json(&json!({ "name": "mine" })),
                _ => bare(&site.bob, &method, &nothing),
            };
            assert_eq!(site.bob.send(request).await.json["detail"], answer.json["detail"], "{method} {path}");
        }
    }
    assert!(asked.0 >= 10 && asked.1 >= 8, "the document has lost operations: {asked:?}");
    assert_eq!(site.env.fingerprint().await, before);
    // Nor do lists show it.
    for list in ["/api/instances", "/api/tokens"] {
        let text = site.bob.get(list).await.expect(200).text;
        assert!(!text.contains(&made.instance), "{list}");
    }
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// An administrator sees everybody's instances, but not what opens them.
#[tokio::test]
async fn by_an_administrator() {
    let site = Site::with(clawdeploy_tests::TestEnv::builder()).await;
    let made = crate::support::running(&site.env, "first").await;
    let own = site.ann.instance(&made.instance).await;
    let seen = site.admin.instance(&made.instance).await;
    assert_eq!((&seen["status"], &seen["gatewayToken"]), (&json!("running"), &Value::Null));
    assert!(own["gatewayToken"].is_string());
    let list = site.admin.get("/api/admin/instances").await.expect(200);
    assert_eq!(list.json["items"][0]["ownerEmail"], "ann@test.example");
    assert!(!list.text.contains(own["gatewayToken"].as_str().unwrap()));
    assert_eq!(site.admin.get("/api/instances").await.expect(200).json["items"], json!([]));
    site.env.finish().await;
}
