//! Every operation of the document, called by those who may not: a route that is added is covered, once it has a rule.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{NO_INSTANCE, NO_UUID, Site, bare};

/// What needs no token. Whoever adds a line here should know why.
const PUBLIC: [&str; 8] = [
    "GET /healthz",
    "GET /readyz",
    "GET /api/auth/options",
    // Those who sign in elsewhere; there is no elsewhere unless one is set.
    "GET /api/auth/oidc/start",
    "GET /api/auth/oidc/callback",
    "POST /api/auth/invitations/accept",
    "POST /api/auth/login",
    "POST /api/auth/setup",
];

/// Method and path of every operation.
pub(super) async fn operations(site: &Site) -> Vec<(String, String)> {
    let document = site.anon.get("/api/openapi.json").await.expect(200).json;
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// The path with ids in it: those of `instance` and `job` where something is asked of them.
pub(super) fn filled(path: &str, instance: &str, job: &str) -> String {
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
        if rule(&method, &operation[method.len() + 1..]) == Rule::Public {
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

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Everybody.
    Public,
    /// Whoever is signed in, about themselves: there is nobody else's to ask for.
    Own,
    /// The owner of what the path names, and administrators where they may.
    Owner,
    Admin,
}

/// What is about whoever asks. Whoever adds a line here should know why.
const OWN: [&str; 13] = [
    "POST /api/auth/logout",
    "GET /api/audit",
    "GET /api/me",
    "POST /api/me/password",
    "POST /api/me/totp",
    "DELETE /api/me/totp",
    "POST /api/me/totp/confirm",
    "GET /api/sessions",
    "GET /api/tokens",
    "POST /api/tokens",
    "GET /api/instances",
    "POST /api/instances",
    "GET /api/terminals",
];

/// An operation without a rule fails: whoever adds one says who may call it.
pub(super) fn rule(method: &str, path: &str) -> Rule {
    let operation = format!("{method} {path}");
    if PUBLIC.contains(&operation.as_str()) {
        Rule::Public
    } else if path.starts_with("/api/admin/") {
        Rule::Admin
    } else if OWN.contains(&operation.as_str()) {
        Rule::Own
    } else {
        let owned = ["instances", "jobs", "sessions", "terminals", "tokens"];
        let owned = owned.iter().any(|kind| path.starts_with(&format!("/api/{kind}/{{id}}")));
        assert!(owned, "{operation} has no rule: say in this file who may call it");
        Rule::Owner
    }
}

/// Whatever was good once and is not any more is refused, wherever it is shown, and changes nothing.
#[tokio::test]
async fn expired_revoked_and_suspended() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let mut refused = Vec::new();
    for (name, end) in [
        ("cid", "UPDATE api_tokens SET expires_at = now()"),
        ("dan", "UPDATE api_tokens SET revoked_at = now()"),
        ("eli", "UPDATE users SET suspended_at = now()"),
    ] {
        let client = site.env.user(name).await;
        client.get("/api/me").await.expect(200);
        let key = if end.contains("users") { "id" } else { "user_id" };
        let of = format!("(SELECT id FROM users WHERE email = '{name}@test.example')");
        site.env.execute(&format!("{end} WHERE {key} = {of}")).await;
        refused.push((client, "invalid_token"));
    }
    let browser = super::sessions::browser(&site, "fay", "Laptop").await;
    browser.get("/api/me").await.expect(200);
    site.env.execute("UPDATE sessions SET expires_at = now()").await;
    refused.push((browser, "unauthenticated"));
    let before = site.env.fingerprint().await;
    for (method, path) in operations(&site).await {
        if rule(&method, &path) == Rule::Public {
            continue;
        }
        let url = filled(&path, &made.instance, &made.job);
        for (client, code) in &refused {
            let answer = client.send(bare(client, &method, &url)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, *code), "{method} {path}");
        }
    }
    assert_eq!(site.env.fingerprint().await, before);
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// A token that only looks changes nothing, not even what is its owner's.
#[tokio::test]
async fn by_a_token_that_only_looks() {
    let site = Site::new().await;
    let made = site.admin.create("first").await;
    let token = site.admin.post("/api/tokens", &json!({ "name": "looks", "scope": "read" })).await.expect(201);
    let token = token.json["token"].as_str().unwrap();
    site.env.remember_secret(token);
    let reader = site.anon.with_token(token);
    let before = site.env.fingerprint().await;
    let mut asked = 0;
    for (method, path) in operations(&site).await {
        let rule = rule(&method, &path);
        if rule == Rule::Public || (method == "GET" && rule != Rule::Admin) {
            continue;
        }
        asked += 1;
        let url = filled(&path, &made.instance, &made.job);
        let answer = reader.send(bare(&reader, &method, &url)).await;
        assert_eq!(answer.brief(), "403 insufficient_scope", "{method} {path}");
    }
    assert!(asked >= 40, "the document has lost operations: {asked}");
    assert_eq!(site.env.fingerprint().await, before);
    site.admin.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
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
        let want = match rule(&method, &path) {
            Rule::Admin => {
                asked.0 += 1;
                (403, "admin_only")
            }
            Rule::Owner => {
                asked.1 += 1;
                (404, "not_found")
            }
            Rule::Public | Rule::Own => continue,
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
