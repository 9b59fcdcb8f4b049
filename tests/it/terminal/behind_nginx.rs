//! A terminal through nginx, as in production.

use clawdeploy_tests::{
    nginx::SITE,
    terminal::{Attach, open},
};
use serde_json::json;

use super::builder;
use crate::{routing::behind, support::running};

#[tokio::test]
async fn a_page_of_the_site_attaches_and_no_other() {
    let (env, nginx) = behind(builder()).await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let (id, ticket) = open(&ann, &made.instance, &json!({})).await;
    let path = format!("/api/terminals/{id}/ws");
    // The API's own address is not the public one.
    let attach =
        Attach { base: &env.base, path: path.clone(), origin: Some(&env.base), ticket: Some(&ticket), token: None };
    assert_eq!(attach.open().await.unwrap_err(), (403, "origin_refused".to_owned()));
    let protocols = format!("Sec-WebSocket-Protocol: clawdeploy-term.v1, ticket.{ticket}\r\n");
    let mut socket = nginx.socket_at(SITE, &path, &protocols).await;
    let hello = socket.hear(b"}").await;
    assert!(hello.contains("\"type\":\"hello\""), "{hello:?}");
    env.finish().await;
}
