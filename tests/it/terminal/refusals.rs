//! Refused attachments, each with its code.

use std::time::Duration;

use clawdeploy_tests::terminal::{Attach, Terminal, open, ticket};
use serde_json::json;

use super::{builder, site};
use crate::support::running;

/// Close code of a refused attempt.
async fn closed(attach: Attach<'_>) -> Option<u16> {
    let mut terminal = attach.open().await.unwrap();
    let code = terminal.ended().await;
    assert_eq!(terminal.told[0]["type"], "error", "a refusal must have a reason");
    code
}

#[tokio::test]
async fn tickets_and_origins() {
    let (env, ann, instance) = site(builder()).await;
    let base = env.base.as_str();
    let (id, first) = open(&ann, &instance, &json!({})).await;
    let path = format!("/api/terminals/{id}/ws");
    let with = |ticket| Attach { base, path: path.clone(), origin: Some(base), ticket: Some(ticket), token: None };
    let unknown = "0".repeat(64);

    for origin in [None, Some("null"), Some("http://evil.test"), Some("http://localhost"), Some("https://127.0.0.1")] {
        let refused = Attach { origin, ..with(&first) }.open().await.unwrap_err();
        assert_eq!(refused, (403, "origin_refused".to_owned()), "{origin:?}");
    }
    // The dashboard of an instance has the same host but another port.
    let dashboard = ann.instance(&instance).await["dashboardUrl"].as_str().unwrap().trim_end_matches('/').to_owned();
    assert_eq!(Attach { origin: Some(&dashboard), ..with(&first) }.open().await.unwrap_err().0, 403);
    assert_eq!(ann.get(&path).await.status.as_u16(), 403, "a plain request without an origin");

    assert_eq!(closed(Attach { ticket: None, ..with(&first) }).await, Some(4401));
    assert_eq!(closed(with("")).await, Some(4401));
    assert_eq!(closed(with(&unknown)).await, Some(4401));
    let mut good = with(&first).open().await.unwrap();
    good.greeted().await;
    assert_eq!(closed(with(&first)).await, Some(4401), "it was used");
    let second = ticket(&ann, &id).await;
    env.execute("UPDATE terminals SET ticket_expires_at = now()").await;
    assert_eq!(closed(with(&second)).await, Some(4401), "it has expired");
    let (void, third) = (ticket(&ann, &id).await, ticket(&ann, &id).await);
    assert_eq!(closed(with(&void)).await, Some(4401), "there is a newer one");

    // A ticket of another terminal, and an unknown terminal.
    let other = running(&env, "second").await.instance;
    let (_, foreign) = open(&ann, &other, &json!({})).await;
    assert_eq!(closed(with(&foreign)).await, Some(4401));
    let nothing = format!("/api/terminals/{}/ws", uuid::Uuid::now_v7());
    assert_eq!(closed(Attach { path: nothing, ..with(&third) }).await, Some(4404));
    // The attached client is not affected.
    good.quiet().await;
    ann.delete(&format!("/api/terminals/{id}")).await.expect(204);
    assert_eq!(good.ended().await, Some(1000));
    assert_eq!(closed(with(&third)).await, Some(4404), "it has ended");

    // The direct route: programs send their token; pages must have the panel's origin.
    let path = format!("/api/instances/{instance}/terminal");
    let direct = |origin, token| Attach { base, path: path.clone(), origin, ticket: None, token };
    assert_eq!(direct(Some(base), None).open().await.unwrap_err(), (401, "unauthenticated".to_owned()));
    let refused = direct(Some("http://evil.test"), ann.token()).open().await.unwrap_err();
    assert_eq!(refused, (403, "origin_refused".to_owned()));
    let bob = env.user("bob").await;
    assert_eq!(direct(None, bob.token()).open().await.unwrap_err(), (404, "not_found".to_owned()));
    assert_eq!(ann.get(&path).await.brief(), "426 upgrade_required");
    env.finish().await;
}

#[tokio::test]
async fn a_container_without_a_shell_and_one_that_is_paused() {
    let env = clawdeploy_tests::TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let path = format!("/api/instances/{}/terminals", made.instance);
    assert_eq!(ann.post(&path, &json!({})).await.brief(), "502 gateway_failed");
    assert_eq!(env.rows("SELECT id FROM terminals").await, Vec::<serde_json::Value>::new());
    env.worker(0).kill().await;
    assert_eq!(ann.post(&path, &json!({})).await.brief(), "503 no_worker");
    env.finish().await;
}

#[tokio::test]
async fn so_many_and_no_more() {
    let few = builder().set("CLAWDEPLOY_TERMINALS", "6").set("CLAWDEPLOY_MAX_TERMINALS_PER_INSTANCE", "4");
    let (env, ann, instance) = site(few).await;
    let path = format!("/api/instances/{instance}/terminals");
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(Terminal::new(&ann, &env.base, &instance).await);
    }
    assert_eq!(ann.post(&path, &json!({})).await.brief(), "409 terminal_limit", "of the instance");
    let second = running(&env, "second").await.instance;
    let other = format!("/api/instances/{second}/terminals");
    ann.post(&other, &json!({})).await.expect(201);
    assert_eq!(ann.post(&other, &json!({})).await.brief(), "409 terminal_limit", "of the person");
    let bob = env.user("bob").await;
    let made = bob.create("third").await;
    crate::support::wait_job(&env, &made.job, "succeeded").await;
    let theirs = format!("/api/instances/{}/terminals", made.instance);
    bob.post(&theirs, &json!({})).await.expect(201);
    assert_eq!(bob.post(&theirs, &json!({})).await.brief(), "409 terminal_limit");
    let (mut first, _) = held.remove(0);
    first.say(&json!({ "type": "close" })).await;
    assert_eq!(first.ended().await, Some(1000));
    let room = async || (bob.post(&theirs, &json!({})).await.status == 201).then_some(());
    env.wait_for("room for another", Duration::from_secs(5), room).await;
    env.finish().await;
}
