//! What an address shows during the life of its instance.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::Value;

use super::{behind, report};
use crate::support::{deleted, done, port, running, wait_job, wait_step};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_address_from_its_creation_to_its_end() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let made = running(&env, "a secret name").await;
    let id = &made.instance;
    // A job that has succeeded has a route, so no further wait is necessary.
    let page = nginx.open(id).await;
    assert_eq!((page.status, page.body.contains("Fake Control")), (200, true), "{page:?}");
    let line = format!("  \"{id}\" {};\n", port(&env, id).await);
    assert!(nginx.map_text().contains(&line), "{}", nginx.map_text());
    nginx.socket(id).await.assert_alive("hello").await;

    done(&env, id, "stop").await;
    let page = nginx.open(id).await;
    assert_eq!((page.status, page.body.contains("<h1>Stopped</h1>")), (503, true), "{page:?}");
    for part in ["retry-after: 60", "content-security-policy: default-src 'none'; style-src 'sha256-", "no-store"] {
        assert!(page.head.contains(part), "{part} in {}", page.head);
    }
    assert!(page.body.contains("https://panel.test:"), "{}", page.body);
    assert!(!page.body.contains("secret name") && !page.body.contains("ann"), "{}", page.body);
    // A program gets an error in JSON.
    let answer = nginx.get(id, "/api/x?y", &["--request", "POST", "--data", "{}"]).await;
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &problem["code"]), (503, &"instance_unavailable".into()), "{answer:?}");
    assert!(!nginx.map_text().contains(id.as_str()));

    done(&env, id, "start").await;
    assert_eq!(nginx.open(id).await.status, 200);
    done(&env, id, "restart").await;
    assert_eq!(nginx.open(id).await.status, 200);
    deleted(&env, id).await;
    for name in [id, "abcdefghijkl", "x", "www"] {
        let page = nginx.open(name).await;
        assert_eq!((page.status, page.body.contains("no such instance")), (404, true), "{name}: {page:?}");
    }
    let bare = nginx.get_at("claw.test", "/", &[]).await;
    assert!(bare.status == 302 && bare.head.contains("location: https://panel.test:"), "{bare:?}");
    assert_eq!(nginx.get_at("panel.test", "/healthz", &[]).await.status, 200);
    env.finish().await;
}

#[tokio::test]
async fn a_gateway_hears_of_its_client_what_nginx_says() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let made = running(&env, "first").await;
    let forged = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "X-Forwarded-Host: evil.test",
        "Forwarded: for=10.0.0.1",
        "Cookie: a=1; __Host-clawdeploy=secret; b=2",
    ];
    let more: Vec<_> = forged.iter().flat_map(|header| ["--header", header]).collect();
    let page = nginx.get(&made.instance, "/head", &more).await;
    let heard = page.body.to_lowercase();
    // The client of this test is on this machine, and OpenClaw refuses such a proxy, so nginx passes another address.
    for part in ["x-forwarded-for: 203.0.113.7\r\n", "x-forwarded-proto: https\r\n", "cookie: a=1; b=2\r\n"] {
        assert!(heard.contains(part), "{part:?} in {heard}");
    }
    for part in ["10.0.0.1", "evil.test", "\r\nforwarded:", "secret"] {
        assert!(!heard.contains(part), "{part:?} in {heard}");
    }
    assert!(page.head.contains(&format!("domain={}.claw.test", made.instance)), "{}", page.head);
    for (sent, arrives) in [
        ("__Host-clawdeploy=x", None),
        ("__Host-clawdeploy=x; a=1", Some("a=1")),
        ("a=1; __Host-clawdeploy_session=x", Some("a=1")),
        ("a=1; __Host-clawdeploy=x; __Host-clawdeploy=y", None),
        ("a=1; b=2", Some("a=1; b=2")),
    ] {
        let heard = nginx.get(&made.instance, "/head", &["--header", &format!("Cookie: {sent}")]).await.body;
        let cookie = heard.lines().find_map(|line| line.to_lowercase().strip_prefix("cookie: ").map(str::to_owned));
        assert_eq!(cookie.as_deref(), arrives, "{sent}");
    }
    env.finish().await;
}

#[tokio::test]
async fn an_address_while_its_gateway_starts_and_after_it_crashed() {
    let (env, nginx) = behind(TestEnv::builder().image(FakeMode::Slow)).await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    let page = nginx.open(&made.instance).await;
    assert_eq!(page.status, 503, "{page:?}");
    for part in ["<h1>Starting</h1>", "http-equiv=\"refresh\"", "Waiting for the gateway to answer"] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    wait_job(&env, &made.job, "succeeded").await;
    assert_eq!(nginx.open(&made.instance).await.status, 200);

    // On a busy machine, the engine may have restarted it before the request. After the fifth crash it would stay
    // stopped.
    let mut page = nginx.open(&made.instance).await;
    for _ in 0..4 {
        nginx.get(&made.instance, "/crash", &[]).await;
        page = nginx.open(&made.instance).await;
        if page.status == 503 {
            break;
        }
    }
    assert_eq!((page.status, page.body.contains("refresh")), (503, true), "{page:?}");
    let back = async || (nginx.open(&made.instance).await.status == 200).then_some(());
    env.wait_for("the gateway to be back", SOON, back).await;
    env.finish().await;
}

/// People see a page that reloads itself, and programs get an error in JSON, at the site and at an instance.
#[tokio::test]
async fn the_site_while_the_api_is_down() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let made = running(&env, "first").await;
    env.api.kill().await;
    let page = nginx.get_at("panel.test", "/", &[]).await;
    assert_eq!((page.status, page.body.contains("<h1>One moment</h1>")), (503, true), "{page:?}");
    assert!(page.head.contains("retry-after: 10") && page.head.contains("no-store"), "{}", page.head);
    let answer = nginx.get_at("panel.test", "/api/instances", &[]).await;
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &problem["code"]), (503, &"unavailable".into()), "{answer:?}");
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    assert_eq!(nginx.open(&made.instance).await.status, 200, "an instance needs no API");
    let page = nginx.open("abcdefghijkl").await;
    assert_eq!((page.status, page.body.contains("<h1>One moment</h1>")), (503, true), "{page:?}");
}

#[tokio::test]
async fn hostile_rows_keep_nobody_from_being_routed() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let first = running(&env, "first").await;
    let port = port(&env, &first.instance).await;
    for sql in [
        "ALTER TABLE instances DROP CONSTRAINT IF EXISTS instances_id_check, DROP CONSTRAINT IF EXISTS instances_id_form",
        "ALTER TABLE instances DROP CONSTRAINT instances_pkey CASCADE",
        "ALTER TABLE instances DROP CONSTRAINT instances_owner_name_unique",
    ] {
        env.execute(sql).await;
    }
    let columns =
        "owner_id, name, desired_state, status, channel, ai_provider, gateway_token_sealed, memory_mb, cpu_millis";
    let twins = ["bbbbbbbbbbbb", "bbbbbbbbbbbb"];
    let long = "a".repeat(63);
    let hostile = [&long, "~.*", ".x", "*.x", "x\"; } server {", "x\ny", "hostnames", "$http_evil00", "default"];
    for (n, id) in hostile.into_iter().chain(twins).enumerate() {
        let id = id.replace('\'', "''");
        env.execute(&format!(
            "INSERT INTO instances (id, {columns}) SELECT '{id}', {columns} FROM instances WHERE id = '{}'",
            first.instance
        ))
        .await;
        let spare = usize::from(port) + 1 + n;
        let sql = format!("INSERT INTO ports (port, instance_id) VALUES ({spare}, '{id}') ON CONFLICT DO NOTHING");
        env.execute(&sql).await;
    }
    let told = async || report(&env).await.contains("not_routed").then_some(());
    env.wait_for("the sweep to report them", SOON, told).await;
    let told = report(&env).await;
    assert!(told.contains("~.*") && told.contains("bbbbbbbbbbbb"), "{told}");
    // Other instances are routed, and no hostile row is in the file.
    let map = nginx.map_text();
    assert!(map.contains(&first.instance) && !map.contains("~.*") && !map.contains("bbbb"), "{map}");
    assert_eq!(nginx.open(&first.instance).await.status, 200);
    env.execute(&format!("DELETE FROM instances WHERE id <> '{}'", first.instance)).await;
    env.execute(&format!("DELETE FROM ports WHERE instance_id <> '{}'", first.instance)).await;
    env.finish().await;
}
