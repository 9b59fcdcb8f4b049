//! Start, stop and restart: when they are accepted, and which jobs prevent them.

use clawdeploy_tests::{FakeMode, Hold, TestEnv, WorkerOptions};
use serde_json::json;

use super::{NO_INSTANCE, Site, bare};
use crate::support::{done, instance, redacted, running, wait_job};

const VERBS: [&str; 3] = ["start", "stop", "restart"];

fn verb(client: &clawdeploy_tests::Client, instance: &str, verb: &str) -> reqwest::RequestBuilder {
    bare(client, "POST", &format!("/api/instances/{instance}/{verb}"))
}

#[tokio::test]
async fn accepted() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let stop = site.ann.act(&made.instance, "stop").await;
    assert_eq!(stop.answer.header("location"), Some(format!("/api/jobs/{}", stop.job).as_str()));
    let mut shown = redacted(&stop.answer.json);
    // The job may have started already.
    shown["instance"]["status"] = "[status]".into();
    insta::assert_json_snapshot!(shown, @r#"
    {
      "instance": {
        "aiProvider": "none",
        "asleep": null,
        "channel": "none",
        "cpuMillis": 1000,
        "createdAt": "[time]",
        "currentJob": {
          "attempt": 0,
          "cancelRequested": false,
          "createdAt": "[time]",
          "dependsOn": null,
          "error": null,
          "finishedAt": null,
          "id": "[uuid]",
          "instanceId": "[instance]",
          "kind": "stop",
          "ownerId": "[uuid]",
          "progress": 0,
          "runAt": "[time]",
          "startedAt": null,
          "status": "queued",
          "step": null
        },
        "dashboardUrl": "[url]",
        "desiredState": "stopped",
        "diskBytes": null,
        "diskLimitBytes": null,
        "env": [],
        "error": null,
        "gatewayToken": null,
        "id": "[instance]",
        "lastWake": null,
        "latestVersion": null,
        "memoryMb": 2048,
        "name": "first",
        "openclawVersion": "2026.9.6",
        "ownerId": "[uuid]",
        "pendingChanges": [],
        "port": "[port]",
        "sleepMinutes": null,
        "sleepsAfterMinutes": null,
        "status": "[status]",
        "statusChangedAt": "[time]",
        "updateAvailable": false,
        "updatedAt": "[time]",
        "vulnerable": false
      },
      "job": {
        "attempt": 0,
        "cancelRequested": false,
        "createdAt": "[time]",
        "dependsOn": null,
        "error": null,
        "finishedAt": null,
        "id": "[uuid]",
        "instanceId": "[instance]",
        "kind": "stop",
        "ownerId": "[uuid]",
        "progress": 0,
        "runAt": "[time]",
        "startedAt": null,
        "status": "queued",
        "step": null
      }
    }
    "#);
    wait_job(&site.env, &stop.job, "succeeded").await;
    let actions = site.env.rows("SELECT action FROM audit WHERE target_kind = 'instance' ORDER BY id").await;
    assert_eq!(actions, [json!({ "action": "instance.create" }), json!({ "action": "instance.stop" })]);
    site.env.finish().await;
}

/// Refusals of the three verbs by status and by client.
#[tokio::test]
async fn refused() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let mut of_others = Vec::new();
    for name in VERBS {
        of_others.push(("no token", verb(&site.anon, id, name)));
        of_others.push(("somebody else's", verb(&site.bob, id, name)));
        of_others.push(("one that is not there", verb(&site.ann, NO_INSTANCE, name)));
        of_others.push(("no id", verb(&site.ann, "x", name)));
    }
    insta::assert_snapshot!(site.refusals(of_others).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");

    let running = vec![("start while it runs", verb(&site.ann, id, "start"))];
    insta::assert_snapshot!(site.refusals(running).await, @"start while it runs: 409 already_running");
    done(&site.env, id, "stop").await;
    let stopped = vec![
        ("stop while it is stopped", verb(&site.ann, id, "stop")),
        ("restart while it is stopped", verb(&site.ann, id, "restart")),
    ];
    insta::assert_snapshot!(site.refusals(stopped).await, @r"
    stop while it is stopped: 409 already_stopped
    restart while it is stopped: 409 wrong_status
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn refused_for_what_never_came_up() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Exit78)).await;
    let made = site.ann.create("first").await;
    wait_job(&site.env, &made.job, "failed").await;
    let cases = vec![
        ("stop", verb(&site.ann, &made.instance, "stop")),
        ("restart", verb(&site.ann, &made.instance, "restart")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    stop: 409 wrong_status
    restart: 409 wrong_status
    ");
    site.env.finish().await;
}

/// One job at a time: a different request is refused with the open job, and the same request joins it.
#[tokio::test]
async fn another_job_is_in_the_way() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let id = made.instance.as_str();
    let waiting = vec![("stop", verb(&site.ann, id, "stop")), ("restart", verb(&site.ann, id, "restart"))];
    insta::assert_snapshot!(site.refusals(waiting).await, @r"
    stop: 409 job_in_progress
    restart: 409 job_in_progress
    ");
    let answer = site.ann.send(verb(&site.ann, id, "stop")).await.expect(409);
    assert_eq!((&answer.json["job"]["id"], &answer.json["job"]["status"]), (&json!(made.job), &json!("queued")));
    let before = site.env.fingerprint().await;
    assert_eq!(site.ann.act(id, "start").await.job, made.job);
    assert_eq!(site.env.fingerprint().await, before);

    let hold = Hold::default();
    site.env.add_worker(&WorkerOptions::failpoints(&hold.at("provision.write_config.between"))).await;
    hold.reached(&site.env).await;
    let answer = site.ann.send(verb(&site.ann, id, "stop")).await.expect(409);
    assert_eq!((&answer.json["job"]["id"], &answer.json["job"]["status"]), (&json!(made.job), &json!("running")));
    hold.release();
    wait_job(&site.env, &made.job, "succeeded").await;
    site.env.finish().await;
}

/// Nine simultaneous requests create one job. The others join it or are refused.
#[tokio::test]
async fn many_at_once() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    site.env.worker(0).terminate().await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..9 {
        let (ann, id) = (site.ann.clone(), made.instance.clone());
        asked.spawn(async move { ann.send(verb(&ann, &id, if n % 2 == 0 { "stop" } else { "restart" })).await });
    }
    let answers = asked.join_all().await;
    let job = site.env.row("SELECT id FROM jobs WHERE kind <> 'provision'").await["id"].as_str().unwrap().to_owned();
    for answer in answers {
        assert!(matches!(answer.brief().as_str(), "202" | "409 job_in_progress"), "{}", answer.text);
        assert_eq!(answer.json["job"]["id"], job);
    }
    site.env.add_worker(&WorkerOptions::default()).await;
    wait_job(&site.env, &job, "succeeded").await;
    assert!(matches!(instance(&site.env, &made.instance).await["status"].as_str(), Some("running" | "stopped")));
    site.env.finish().await;
}
