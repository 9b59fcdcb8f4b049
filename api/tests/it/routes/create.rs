//! `POST /api/instances`: accepted and refused bodies.

use serde_json::{Value, json};

use super::{Site, bare, with};
use clawdeploy_tests::cases::redacted;

const PATH: &str = "/api/instances";

#[tokio::test]
async fn accepted() {
    let site = Site::new().await;
    let made = site.ann.create("  my gateway ").await;
    let location = made.answer.header("location").unwrap();
    assert_eq!(location, format!("/api/jobs/{}", made.job));
    insta::assert_json_snapshot!(redacted(&made.answer.json), @r#"
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
          "kind": "provision",
          "ownerId": "[uuid]",
          "progress": 0,
          "runAt": "[time]",
          "startedAt": null,
          "status": "queued",
          "step": null
        },
        "dashboardUrl": null,
        "desiredState": "running",
        "diskBytes": null,
        "diskLimitBytes": null,
        "env": [],
        "error": null,
        "gatewayToken": null,
        "id": "[instance]",
        "lastWake": null,
        "latestVersion": null,
        "memoryMb": 2048,
        "name": "my gateway",
        "openclawVersion": null,
        "ownerId": "[uuid]",
        "pendingChanges": [],
        "port": null,
        "sleepMinutes": null,
        "sleepsAfterMinutes": null,
        "status": "pending",
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
        "kind": "provision",
        "ownerId": "[uuid]",
        "progress": 0,
        "runAt": "[time]",
        "startedAt": null,
        "status": "queued",
        "step": null
      }
    }
    "#);
    // One transaction has written the instance, its job, the event and the audit row.
    let counts = site.env.row(
        "SELECT (SELECT count(*) FROM instances) AS instances, (SELECT count(*) FROM jobs) AS jobs, \
         (SELECT count(*) FROM job_events) AS events, (SELECT count(*) FROM audit WHERE action = 'instance.create') AS audit, \
         (SELECT count(*) FROM ports) AS ports",
    );
    assert_eq!(counts.await, json!({ "instances": 1, "jobs": 1, "events": 1, "audit": 1, "ports": 0 }));
    cancel(&site, &made.job).await;
    site.env.finish().await;
}

/// Cancels a job, because no worker ends it.
async fn cancel(site: &Site, job: &str) {
    site.ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
}

#[tokio::test]
async fn secrets_are_sealed_and_never_shown() {
    let site = Site::new().await;
    let (bot, key) = ("123456789:canary-AAEhBOweik6ad9r_QXMENQ", "sk-canary-0123456789");
    let form =
        json!({ "name": "first", "channel": "telegram", "botToken": bot, "aiProvider": "gemini", "apiKey": key });
    let made = site.ann.create_with(&form).await;
    let row = site.env.row("SELECT * FROM instances").await.to_string();
    let shown = [
        made.answer.text.clone(),
        site.ann.instance(&made.instance).await.to_string(),
        site.ann.get(PATH).await.text,
        site.admin.get("/api/admin/audit").await.text,
        row,
    ];
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
    cancel(&site, &made.job).await;
    site.env.finish().await;
}

#[tokio::test]
async fn unacceptable_forms() {
    let site = Site::new().await;
    let form = |form: Value| with(&site.ann, "POST", PATH, &form);
    let named = |mut more: Value| {
        more["name"] = "first".into();
        with(&site.ann, "POST", PATH, &more)
    };
    let bot = "123456789:canary-AAEhBOweik6ad9r_QXMENQ";
    let cases = vec![
        ("no name", form(json!({}))),
        ("an empty name", form(json!({ "name": "" }))),
        ("a blank name", form(json!({ "name": " \t " }))),
        ("a name of 65 characters", form(json!({ "name": "é".repeat(65) }))),
        ("a name with a line break", form(json!({ "name": "a\nb" }))),
        ("a name that is a number", form(json!({ "name": 1 }))),
        ("a field that is not known", named(json!({ "image": "evil" }))),
        ("another channel", named(json!({ "channel": "irc" }))),
        ("telegram without a token", named(json!({ "channel": "telegram" }))),
        ("telegram with an empty token", named(json!({ "channel": "telegram", "botToken": "" }))),
        ("telegram with nonsense", named(json!({ "channel": "telegram", "botToken": "canary" }))),
        ("discord without a token", named(json!({ "channel": "discord" }))),
        ("a token without a channel", named(json!({ "botToken": bot }))),
        ("another provider", named(json!({ "aiProvider": "acme", "apiKey": "sk-canary-1" }))),
        ("a provider without a key", named(json!({ "aiProvider": "openai" }))),
        ("a key without a provider", named(json!({ "apiKey": "sk-canary-1" }))),
        ("a key with a line break", named(json!({ "aiProvider": "openai", "apiKey": "sk-canary\nEVIL=1" }))),
        ("too little memory", named(json!({ "memoryMb": 1 }))),
        ("too much CPU", named(json!({ "cpuMillis": 1_000_000 }))),
        ("several at once", form(json!({ "name": "", "channel": "telegram", "aiProvider": "openai" }))),
        ("no body", bare(&site.ann, "POST", PATH)),
        ("a list", form(json!([]))),
        ("half a body", bare(&site.ann, "POST", PATH).header("content-type", "application/json").body("{\"name\":")),
        ("another kind of body", bare(&site.ann, "POST", PATH).header("content-type", "text/plain").body("{}")),
        ("no token", with(&site.anon, "POST", PATH, &json!({ "name": "first" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no name: 422 validation_failed name: required
    an empty name: 422 validation_failed name: required
    a blank name: 422 validation_failed name: required
    a name of 65 characters: 422 validation_failed name: too_long
    a name with a line break: 422 validation_failed name: invalid_character
    a name that is a number: 400 invalid_body name: invalid
    a field that is not known: 400 unknown_field image: unknown_field
    another channel: 422 validation_failed channel: unknown_value
    telegram without a token: 422 validation_failed botToken: required
    telegram with an empty token: 422 validation_failed botToken: required
    telegram with nonsense: 422 validation_failed botToken: invalid
    discord without a token: 422 validation_failed botToken: required
    a token without a channel: 422 validation_failed botToken: unexpected
    another provider: 422 validation_failed aiProvider: unknown_value
    a provider without a key: 422 validation_failed apiKey: required
    a key without a provider: 422 validation_failed apiKey: unexpected
    a key with a line break: 422 validation_failed apiKey: invalid_character
    too little memory: 422 validation_failed memoryMb: out_of_range
    too much CPU: 422 validation_failed cpuMillis: out_of_range
    several at once: 422 validation_failed name: required, botToken: required, apiKey: required
    no body: 415 unsupported_media_type
    a list: 400 invalid_body body: invalid
    half a body: 400 invalid_body
    another kind of body: 415 unsupported_media_type
    no token: 401 unauthenticated
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn a_body_that_is_too_large() {
    let site = Site::new().await;
    let huge = json!({ "name": "x".repeat(100_000) });
    insta::assert_snapshot!(site.refusals(vec![("100 kB", with(&site.ann, "POST", PATH, &huge))]).await, @"100 kB: 413 body_too_large");
    site.env.finish().await;
}

#[tokio::test]
async fn a_name_is_taken_once_for_each_person() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let again = with(&site.ann, "POST", PATH, &json!({ "name": " first " }));
    insta::assert_snapshot!(site.refusals(vec![("again", again)]).await, @"again: 409 name_taken name: taken");
    let other = site.bob.create("first").await;
    cancel(&site, &made.job).await;
    site.bob.post_empty(&format!("/api/jobs/{}/cancel", other.job)).await.expect(202);
    site.env.finish().await;
}

#[tokio::test]
async fn a_person_has_so_many_and_no_more() {
    let site = Site::with(&[("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "2")]).await;
    let (one, two) = (site.ann.create("one").await, site.ann.create("two").await);
    let three = with(&site.ann, "POST", PATH, &json!({ "name": "three" }));
    insta::assert_snapshot!(site.refusals(vec![("the third", three)]).await, @"the third: 409 instance_limit");
    // Each user has their own limit, and administrators have none.
    let mut open = vec![(&site.bob, site.bob.create("one").await)];
    for name in ["one", "two", "three"] {
        open.push((&site.admin, site.admin.create(name).await));
    }
    for (who, made) in open {
        who.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    }
    for made in [one, two] {
        cancel(&site, &made.job).await;
    }
    site.env.finish().await;
}

/// Twenty simultaneous requests: the limit holds, and each response is valid.
#[tokio::test]
async fn many_at_once() {
    let site = Site::with(&[("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "5")]).await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..20 {
        let ann = site.ann.clone();
        asked.spawn(async move { ann.post(PATH, &json!({ "name": format!("number {n}") })).await });
    }
    let mut answers: Vec<_> = asked.join_all().await.into_iter().map(|answer| answer.brief()).collect();
    answers.sort();
    let (good, bad) = answers.split_at(5);
    assert!(good.iter().all(|answer| answer == "202"), "{answers:?}");
    assert!(bad.iter().all(|answer| answer == "409 instance_limit"), "{answers:?}");
    for row in site.env.rows("SELECT id FROM jobs").await {
        cancel(&site, row["id"].as_str().unwrap()).await;
    }
    site.env.finish().await;
}
