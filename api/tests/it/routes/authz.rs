//! Authorization of every operation in the OpenAPI document. A new operation fails until it has a rule here.

use std::collections::BTreeSet;

use clawdeploy_tests::{Answer, Client};
use serde_json::{Value, json};

use super::{NO_INSTANCE, NO_UUID, Site, bare};

/// Operations without authentication. Add one only for a good reason.
const PUBLIC: [&str; 8] = [
    "GET /healthz",
    "GET /readyz",
    "GET /api/auth/options",
    // Sign-in with an identity provider.
    "GET /api/auth/oidc/start",
    "GET /api/auth/oidc/callback",
    "POST /api/auth/invitations/accept",
    "POST /api/auth/login",
    "POST /api/auth/setup",
];

/// Method and path of all operations.
pub(super) async fn operations(site: &Site) -> Vec<(String, String)> {
    let document = site.anon.get("/api/openapi.json").await.expect(200).json;
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// Fills ids into a path: those of `instance` and `job` where the path has them.
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
    let path = path.replace("{id}", id).replace("{queue}", "lifecycle");
    if path == "/api/instances/usage" { format!("{path}?ids={instance}") } else { path }
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
    /// Everyone.
    Public,
    /// Every signed-in user, for their own data: the path names no other user's.
    Own,
    /// The owner of what the path names, and administrators.
    Owner,
    /// Only the owner of what the path names.
    OwnerAlone,
    Admin,
}

/// Operations on the caller's own data. Add one only for a good reason.
const OWN: [&str; 14] = [
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
    "GET /api/instances/usage",
    "GET /api/instances/deleted",
];

/// Operations only for the owner: administrators may not look into instances of others or change how others sign in.
/// Add one only for a good reason.
const OWNER_ALONE: [&str; 19] = [
    "POST /api/instances/{id}/dashboard-link",
    "GET /api/instances/{id}/devices",
    "DELETE /api/instances/{id}/devices/{deviceId}",
    "POST /api/instances/{id}/devices/{requestId}/approve",
    "POST /api/instances/{id}/devices/{requestId}/reject",
    "GET /api/instances/{id}/logs",
    "GET /api/instances/{id}/stats",
    "GET /api/instances/{id}/stats/history",
    "GET /api/instances/{id}/terminal",
    "GET /api/instances/{id}/terminals",
    "POST /api/instances/{id}/terminals",
    "POST /api/instances/{id}/undelete",
    "GET /api/instances/{id}/usage",
    "GET /api/instances/{id}/usage/history",
    "GET /api/jobs/{id}/build-log",
    "DELETE /api/sessions/{id}",
    "DELETE /api/terminals/{id}",
    "POST /api/terminals/{id}/ticket",
    "DELETE /api/tokens/{id}",
];

/// Operations that administrators may also call for instances and jobs of others. Add one only for a good reason.
const ADMINISTRATORS_TOO: [&str; 13] = [
    "GET /api/instances/{id}",
    "DELETE /api/instances/{id}",
    "PATCH /api/instances/{id}",
    "GET /api/instances/{id}/changes",
    "GET /api/instances/{id}/jobs",
    "POST /api/instances/{id}/restart",
    "POST /api/instances/{id}/rollback",
    "POST /api/instances/{id}/start",
    "POST /api/instances/{id}/stop",
    "POST /api/instances/{id}/update",
    "GET /api/jobs/{id}",
    "POST /api/jobs/{id}/cancel",
    "GET /api/jobs/{id}/events",
];

/// The rule of an operation; panics if there is none.
pub(super) fn rule(method: &str, path: &str) -> Rule {
    let operation = format!("{method} {path}");
    if PUBLIC.contains(&operation.as_str()) {
        Rule::Public
    } else if path.starts_with("/api/admin/") {
        Rule::Admin
    } else if OWN.contains(&operation.as_str()) {
        Rule::Own
    } else if OWNER_ALONE.contains(&operation.as_str()) {
        Rule::OwnerAlone
    } else {
        let known = ADMINISTRATORS_TOO.contains(&operation.as_str());
        assert!(known, "{operation} has no rule: say in this file who may call it");
        Rule::Owner
    }
}

/// A user who owns one of everything.
struct Owner {
    browser: Client,
    instance: String,
    job: String,
    session: String,
    token: String,
    terminal: String,
}

impl Owner {
    /// `eve`, in a browser.
    async fn new(site: &Site) -> Self {
        let browser = super::sessions::browser(site, "eve", "Laptop").await;
        let made = browser.create("first").await;
        let token = browser.post("/api/tokens", &json!({ "name": "eve's" })).await.expect(201);
        site.env.remember_secret(token.json["token"].as_str().unwrap());
        let of_eve = "FROM users WHERE email = 'eve@test.example'";
        let row = format!("SELECT gen_random_uuid(), id, '{}', 'none' {of_eve}", made.instance);
        site.env.execute(&format!("INSERT INTO terminals (id, user_id, instance_id, worker) {row}")).await;
        let id =
            async |of: &str| site.env.row(&format!("SELECT id FROM {of}")).await["id"].as_str().unwrap().to_owned();
        Self {
            browser,
            instance: made.instance,
            job: made.job,
            session: id("sessions").await,
            token: id("api_tokens WHERE name = 'eve''s'").await,
            terminal: id("terminals").await,
        }
    }

    /// Fills ids of this user's data into a path.
    fn filled(&self, path: &str) -> String {
        let id = match path.split('/').nth(2) {
            Some("sessions") => &self.session,
            Some("terminals") => &self.terminal,
            Some("tokens") => &self.token,
            _ => return filled(path, &self.instance, &self.job),
        };
        path.replace("{id}", id)
    }

    /// Whether a text contains an id of this user's data.
    fn is_told_of(&self, text: &str) -> bool {
        [&self.instance, &self.job, &self.session, &self.token, &self.terminal].iter().any(|id| text.contains(*id))
    }
}

/// Everything that a request could change.
async fn state(site: &Site) -> (String, Vec<Value>) {
    let terminals = site.env.rows("SELECT id, close_reason, ended_at, ticket_expires_at FROM terminals").await;
    (site.env.fingerprint().await, terminals)
}

/// Cancels all queued jobs, because no worker ends them.
async fn nothing_waits(site: &Site) {
    for job in site.env.rows("SELECT id FROM jobs WHERE status = 'queued' ORDER BY id DESC").await {
        site.admin.post_empty(&format!("/api/jobs/{}/cancel", job["id"].as_str().unwrap())).await.expect(202);
    }
}

/// A request with a valid body, so that it is not refused for the body.
fn acceptable(client: &Client, method: &str, path: &str) -> reqwest::RequestBuilder {
    let request = bare(client, method, path);
    if method == "PATCH" { request.json(&json!({ "name": "mine" })) } else { request }
}

#[tokio::test]
async fn no_rule_is_of_an_operation_that_is_gone() {
    let site = Site::new().await;
    let there: Vec<_> = operations(&site).await.iter().map(|(method, path)| format!("{method} {path}")).collect();
    for operation in [&PUBLIC[..], &OWN, &OWNER_ALONE, &ADMINISTRATORS_TOO].concat() {
        assert!(there.iter().any(|one| one == operation), "{operation}");
    }
    site.env.finish().await;
}

/// Expired, revoked and suspended credentials are refused everywhere, change nothing, and show nothing of their user.
#[tokio::test]
async fn expired_revoked_and_suspended() {
    let site = Site::new().await;
    let mut refused = Vec::new();
    for (name, end) in [
        ("cid", "UPDATE api_tokens SET expires_at = now()"),
        ("dan", "UPDATE api_tokens SET revoked_at = now()"),
        ("eli", "UPDATE users SET suspended_at = now()"),
    ] {
        let client = site.env.user(name).await;
        let made = client.create("first").await;
        let key = if end.contains("users") { "id" } else { "user_id" };
        let of = format!("(SELECT id FROM users WHERE email = '{name}@test.example')");
        site.env.execute(&format!("{end} WHERE {key} = {of}")).await;
        refused.push((client, "invalid_token", made));
    }
    for (name, end) in [
        ("fay", "UPDATE sessions SET expires_at = now()"),
        ("gil", "UPDATE sessions SET last_seen_at = now() - interval '25 hours'"),
        ("hal", "UPDATE users SET suspended_at = now() WHERE email = 'hal@test.example'"),
    ] {
        let browser = super::sessions::browser(&site, name, "Laptop").await;
        let made = browser.create("first").await;
        site.env.execute(end).await;
        refused.push((browser, "unauthenticated", made));
    }
    let before = site.env.fingerprint().await;
    for (method, path) in operations(&site).await {
        if rule(&method, &path) == Rule::Public {
            continue;
        }
        for (client, code, made) in &refused {
            let url = filled(&path, &made.instance, &made.job);
            let answer = client.send(bare(client, &method, &url)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, *code), "{method} {path}");
        }
    }
    assert_eq!(site.env.fingerprint().await, before);
    nothing_waits(&site).await;
    site.env.finish().await;
}

/// A read-only token changes nothing, not even its owner's data.
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

/// Data of others does not seem to exist; operations of administrators say that they are.
#[tokio::test]
async fn by_somebody_else() {
    let site = Site::new().await;
    let owner = Owner::new(&site).await;
    let before = state(&site).await;
    let mut asked = (0, 0);
    for (method, path) in operations(&site).await {
        let want = match rule(&method, &path) {
            Rule::Admin => {
                asked.0 += 1;
                (403, "admin_only")
            }
            Rule::Owner | Rule::OwnerAlone => {
                asked.1 += 1;
                (404, "not_found")
            }
            Rule::Public | Rule::Own => continue,
        };
        let answer = site.bob.send(acceptable(&site.bob, &method, &owner.filled(&path))).await;
        assert_eq!((answer.status.as_u16(), answer.code()), want, "{method} {path}: {}", answer.text);
        if want.0 == 404 {
            as_for_nothing(&site.bob, &method, &path, &answer).await;
        }
    }
    assert!(asked.0 >= 10 && asked.1 >= 8, "the document has lost operations: {asked:?}");
    assert_eq!(state(&site).await, before);
    // Lists do not show it either.
    for list in ["/api/instances", "/api/tokens", "/api/sessions", "/api/audit"] {
        let text = site.bob.get(list).await.expect(200).text;
        assert!(!owner.is_told_of(&text), "{list}");
    }
    nothing_waits(&site).await;
    site.env.finish().await;
}

/// The response must be the same as for an id that does not exist.
async fn as_for_nothing(client: &Client, method: &str, path: &str, answer: &Answer) {
    let nothing = filled(path, NO_INSTANCE, NO_UUID);
    let told = client.send(acceptable(client, method, &nothing)).await;
    assert_eq!(told.json["detail"], answer.json["detail"], "{method} {path}");
}

/// Administrators can access data of others only where a rule allows it, and the audit log then names the owner.
#[tokio::test]
async fn by_an_administrator_on_what_is_somebody_elses() {
    let site = Site::new().await;
    let owner = Owner::new(&site).await;
    let lesser = json!({ "name": "operates", "scope": "operate" });
    let lesser = site.admin.post("/api/tokens", &lesser).await.expect(201).json["token"].as_str().unwrap().to_owned();
    site.env.remember_secret(&lesser);
    let operator = site.anon.with_token(&lesser);
    let all = operations(&site).await;
    let of = |wanted: Rule| all.iter().filter(move |(method, path)| rule(method, path) == wanted);

    // Lists of one's own show no data of others, even to administrators.
    for (_, path) in of(Rule::Own).filter(|(method, _)| method == "GET") {
        assert!(!owner.is_told_of(&site.admin.get(&owner.filled(path)).await.expect(200).text), "{path}");
    }
    // Operations only for the owner; and all operations, with an administrator's token that has a lesser scope.
    let before = state(&site).await;
    for (method, path) in of(Rule::OwnerAlone) {
        let answer = site.admin.send(acceptable(&site.admin, method, &owner.filled(path))).await;
        assert_eq!(answer.brief(), "404 not_found", "{method} {path}");
        as_for_nothing(&site.admin, method, path, &answer).await;
    }
    for (method, path) in of(Rule::OwnerAlone).chain(of(Rule::Owner)) {
        let answer = site.admin.send(acceptable(&operator, method, &owner.filled(path))).await;
        // Sessions and tokens need the scope `admin`.
        let of_account = path.starts_with("/api/sessions/") || path.starts_with("/api/tokens/");
        let want = if of_account { "403 insufficient_scope" } else { "404 not_found" };
        assert_eq!(answer.brief(), want, "{method} {path}");
    }
    assert_eq!(state(&site).await, before);

    // Each on its own instance, so that the jobs do not conflict.
    let mut done = 0;
    for (nth, (method, path)) in of(Rule::Owner).enumerate() {
        let made = owner.browser.create(&format!("number-{nth}")).await;
        let url = filled(path, &made.instance, &made.job);
        let answer = site.admin.send(acceptable(&site.admin, method, &url)).await;
        // A request that contradicts the queued job is refused for everyone.
        let allowed = answer.status.is_success() || answer.status.as_u16() == 409;
        assert!(allowed, "{method} {path}: {} {}", answer.status, answer.text);
        done += usize::from(method != "GET" && answer.status.is_success());
    }
    assert!(done >= 4, "only {done} operations succeeded");
    let by_name = "SELECT action, u.email AS owner FROM audit a LEFT JOIN users u ON u.id = a.owner_id \
        WHERE a.actor = 'admin@test.example' AND a.action NOT LIKE 'token.%'";
    let told = site.env.rows(by_name).await;
    // Requests that joined a job are not in the audit log.
    assert!(told.len() >= 3, "{done} operations succeeded, but the audit log has {told:?}");
    assert!(told.iter().all(|entry| entry["owner"] == "eve@test.example"), "{told:?}");
    nothing_waits(&site).await;
    site.env.finish().await;
}
