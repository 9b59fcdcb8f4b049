//! The dashboard as its owner has it: in a browser, at the instance's own address, through nginx.

use clawdeploy_tests::{Image, TestEnv, browser::Browser};

use super::booted;
use crate::{routing::behind, support::deleted};

/// Whom a gateway is told of where the client is on its own machine, as browsers of tests are.
const STRANGER: &str = "203.0.113.7";

#[tokio::test]
async fn a_browser_with_the_link_is_let_in_and_one_without_has_to_be_approved() {
    let (env, nginx) = behind(TestEnv::builder().image(Image::Real).ready(180.0)).await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    booted(&env, &made).await;
    let shown = ann.instance(&made.instance).await;
    let (dashboard, token) = (shown["dashboardUrl"].as_str().unwrap(), shown["gatewayToken"].as_str().unwrap());
    assert_eq!(dashboard, nginx.url(&made.instance));
    let devices = format!("/api/instances/{}/devices", made.instance);

    // The link, in a browser that has never been here.
    let link = ann.post_empty(&format!("/api/instances/{}/dashboard-link", made.instance)).await.expect(200).json;
    let link = link["url"].as_str().unwrap();
    assert!(link.starts_with(&format!("{dashboard}#bootstrapToken=")));
    let mut first = Browser::open(&env, "with-the-link", link, "connected");
    let seen = first.expect("connected").await;
    let socket = dashboard.replace("https://", "wss://");
    assert!(seen["socket"].as_str().unwrap().starts_with(&socket), "{seen:#}");
    // What signs in does not stay in the address bar, where a neighbour reads it.
    assert_eq!((seen["fragment"].as_bool(), &seen["refused"]), (Some(false), &serde_json::json!([])), "{seen:#}");
    assert!(first.screenshot().metadata().unwrap().len() > 0);
    let listed = ann.get(&devices).await.expect(200).json;
    assert_eq!(
        (listed["paired"].as_array().unwrap().len(), &listed["pending"]),
        (1, &serde_json::json!([])),
        "{listed:#}"
    );

    // Another browser with the gateway's token, which is not enough: it waits until its owner has said yes.
    let mut second = Browser::open(&env, "approved", &format!("{dashboard}#token={token}"), "pairing");
    second.expect("pairing").await;
    let listed = ann.get(&devices).await.expect(200).json;
    let pending = listed["pending"].as_array().unwrap();
    assert_eq!((pending.len(), &pending[0]["remoteIp"]), (1, &STRANGER.into()), "{listed:#}");
    let request = pending[0]["requestId"].as_str().unwrap();
    let device = ann.post_empty(&format!("{devices}/{request}/approve")).await.expect(200).json;
    assert_eq!(device["deviceId"], pending[0]["deviceId"]);
    let seen = second.expect("connected").await;
    assert!(seen["socket"].as_str().unwrap().starts_with(&socket), "{seen:#}");
    let listed = ann.get(&devices).await.expect(200).json;
    assert_eq!(
        (listed["paired"].as_array().unwrap().len(), &listed["pending"]),
        (2, &serde_json::json!([])),
        "{listed:#}"
    );

    deleted(&env, &made.instance).await;
    env.finish().await;
}
