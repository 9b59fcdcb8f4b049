//! The dashboard in a browser, at the instance's address, through nginx.

use std::collections::BTreeSet;

use clawdeploy_tests::{Client, Image, TestEnv, browser::Browser, docker, nginx::Nginx};
use serde_json::{Value, json};

use super::booted;
use crate::{
    routing::behind,
    support::{SOON, deleted, instance, port},
};

/// Client address that nginx passes on for clients on its own machine, such as browsers of tests.
const STRANGER: &str = "203.0.113.7";

#[tokio::test]
async fn a_browser_with_the_link_is_let_in_and_one_without_has_to_be_approved() {
    let (env, nginx) = behind(TestEnv::builder().image(Image::Real).ready(600.0)).await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    booted(&env, &made).await;
    let shown = ann.instance(&made.instance).await;
    let (dashboard, token) = (shown["dashboardUrl"].as_str().unwrap(), shown["gatewayToken"].as_str().unwrap());
    assert_eq!(dashboard, nginx.url(&made.instance));
    let devices = format!("/api/instances/{}/devices", made.instance);
    answers_as_the_stand_in_does(&nginx, &ann, &made.instance).await;
    // The first list has paired our device, so the gateway answers all that follow.
    let (worker, paired) = (env.worker(0), "Paired with the gateway");
    let commands = || worker.log().matches("Ran a command").count();
    assert_eq!(worker.log().matches(paired).count(), 1, "{}", worker.tail(50));
    let before = commands();

    // The link in a browser without a profile.
    let link = ann.post_empty(&format!("/api/instances/{}/dashboard-link", made.instance)).await.expect(200).json;
    let link = link["url"].as_str().unwrap();
    assert!(link.starts_with(&format!("{dashboard}#bootstrapToken=")) && link.ends_with("&bootstrapProfile=owner"));
    assert_eq!(commands(), before, "our plugin makes it: {}", worker.tail(50));
    only_the_owner_may_ask_the_plugin(&env, &made.instance, token).await;
    assert_eq!(nginx.get(&made.instance, "/clawdeploy/v1/owner-bootstrap", &[]).await.status, 404, "from outside");
    let mut first = Browser::open(&env, "with-the-link", link, "connected");
    let seen = first.expect("connected").await;
    let socket = dashboard.replace("https://", "wss://");
    assert!(seen["socket"].as_str().unwrap().starts_with(&socket), "{seen:#}");
    // The credential must not stay in the address bar, where others could read it.
    assert_eq!((seen["fragment"].as_bool(), &seen["refused"]), (Some(false), &json!([])), "{seen:#}");
    assert!(first.screenshot().metadata().unwrap().len() > 0);
    let listed = ann.get(&devices).await.expect(200).json;
    assert_eq!((listed["paired"].as_array().unwrap().len(), &listed["pending"]), (1, &json!([])), "{listed:#}");

    // The gateway's token alone is not enough: another browser waits for the owner's approval.
    let mut second = Browser::open(&env, "approved", &format!("{dashboard}#token={token}"), "pairing");
    second.expect("pairing").await;
    // A list may be some seconds old.
    let asks = async || Some(ann.get(&devices).await.expect(200).json).filter(|listed| listed["pending"] != json!([]));
    let listed = env.wait_for("the request of the second browser", SOON, asks).await;
    let pending = listed["pending"].as_array().unwrap();
    assert_eq!((pending.len(), &pending[0]["remoteIp"]), (1, &STRANGER.into()), "{listed:#}");
    let request = pending[0]["requestId"].as_str().unwrap();
    let device = ann.post_empty(&format!("{devices}/{request}/approve")).await.expect(200).json;
    assert_eq!(device["deviceId"], pending[0]["deviceId"]);
    let seen = second.expect("connected").await;
    assert!(seen["socket"].as_str().unwrap().starts_with(&socket), "{seen:#}");
    let listed = ann.get(&devices).await.expect(200).json;
    assert_eq!((listed["paired"].as_array().unwrap().len(), &listed["pending"]), (2, &json!([])), "{listed:#}");
    assert_eq!(listed["leftOut"], 0, "our device is not even counted");
    assert_eq!(commands(), before + 1, "the approval: {}", worker.tail(50));

    // Its command line gives the same list. Here it also has our device, which the gateway knows by the key's hash.
    let container = instance(&env, &made.instance).await["container_id"].as_str().unwrap().to_owned();
    let said = docker::docker(&["exec", &container, "openclaw", "devices", "list", "--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let is_ours = |device: &&Value| device["displayName"] == "ClawDeploy";
    let (ours, others): (Vec<_>, Vec<_>) = said["paired"].as_array().unwrap().iter().partition(is_ours);
    assert_eq!((ours.len(), &ours[0]["scopes"]), (1, &json!(["operator.pairing"])), "{said:#}");
    let ids = |devices: &[&Value]| devices.iter().map(|device| device["deviceId"].to_string()).collect::<BTreeSet<_>>();
    let shown: Vec<&Value> = listed["paired"].as_array().unwrap().iter().collect();
    assert_eq!(ids(&shown), ids(&others));

    // After the owner has removed it in OpenClaw, commands list the devices.
    let ours = ours[0]["deviceId"].as_str().unwrap();
    docker::docker(&["exec", &container, "openclaw", "devices", "remove", ours, "--json"]).await;
    let by_command = async || {
        assert_eq!(ann.get(&devices).await.expect(200).json["paired"].as_array().unwrap().len(), 2);
        (commands() > before + 1).then_some(())
    };
    env.wait_for("a list by command", SOON, by_command).await;
    assert_eq!(worker.log().matches(paired).count(), 1, "paired again at once");

    deleted(&env, &made.instance).await;
    assert_eq!(nginx.open(&made.instance).await.status, 404);
    env.finish().await;
}

/// The responses of the fake gateway in other tests, from the real OpenClaw: it trusts our nginx, accepts WebSockets
/// from its page, and answers its owner before any device is paired.
async fn answers_as_the_stand_in_does(nginx: &Nginx, ann: &Client, id: &str) {
    let page = nginx.open(id).await;
    assert_eq!((page.status, page.body.contains("<title>OpenClaw Control")), (200, true), "{}", page.head);
    assert_eq!(nginx.get(id, "/readyz", &[]).await.status, 200);
    drop(nginx.socket(id).await);
    let devices = format!("/api/instances/{id}/devices");
    let listed = ann.get(&devices).await.expect(200).json;
    assert_eq!(listed, json!({ "pending": [], "paired": [], "leftOut": 0 }));
    for verb in ["approve", "reject"] {
        let answer = ann.post_empty(&format!("{devices}/01900000-0000-7000-8000-000000000000/{verb}")).await;
        assert_eq!(answer.brief(), "404 pairing_request_not_found", "{verb}");
    }
    let answer = ann.delete(&format!("{devices}/{}", "0".repeat(64))).await;
    assert_eq!(answer.brief(), "404 device_not_found");
}

/// The gateway's token is what the plugin asks for. `scripts/tests/plugin.bats` has the other cases.
async fn only_the_owner_may_ask_the_plugin(env: &TestEnv, id: &str, token: &str) {
    let url = format!("http://127.0.0.1:{}/clawdeploy/v1/owner-bootstrap", port(env, id).await);
    let http = clawdeploy_shared::http::local().unwrap().build().unwrap();
    let ask = async |token: Option<&str>| {
        let request = http.post(&url).header("x-forwarded-for", STRANGER);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([ask(Some(token)).await, ask(Some("another")).await, ask(None).await], [200, 401, 401]);
}
